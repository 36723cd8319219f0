//! `docker build` in Makefiles, shell scripts and the files of CI systems. Variables are filled in where the file itself says their
//! value, and a `for` loop over words is unrolled.

use std::collections::BTreeMap;

use super::{File, LONGEST, command};
use crate::plan::init::{BuildSource, FoundBuild};

/// What begins a build.
const STARTS: [&str; 8] = [
    "docker buildx build ",
    "docker build ",
    "docker image build ",
    "podman build ",
    "nerdctl build ",
    "finch build ",
    "buildah build ",
    "buildah bud ",
];

/// How many commands one line may become, when variables stand for several words.
const MOST: usize = 100;

/// Values of variables: several, for the variable of a loop.
pub(super) type Variables = BTreeMap<String, Vec<String>>;

pub(super) fn read(file: &File<'_>, text: &str) -> Vec<FoundBuild> {
    // A Makefile is used where it lies; a script most often from the repository's directory, or from the one above its own.
    let is_make = ["makefile", ".mk"]
        .iter()
        .any(|end| file.path.to_ascii_lowercase().ends_with(end));
    let above = file
        .directory
        .rsplit_once('/')
        .map_or("", |(above, _)| above);
    let bases = if is_make {
        [file.directory, "", above]
    } else {
        ["", above, file.directory]
    };
    // In a recipe `$$` is the shell's `$`.
    let recipes = if is_make {
        text.replace("$$", "$")
    } else {
        text.to_owned()
    };
    commands(&recipes, Variables::new())
        .into_iter()
        .map(|found| {
            let line = found.line;
            let mut build = file.build(BuildSource::Script, format!("line {line}"));
            let bases = bases.map(|base| joined(base, &found.directory));
            let bases: Vec<&str> = bases.iter().map(String::as_str).collect();
            command::read(&mut build, &bases, &found.words);
            build
        })
        .collect()
}

fn joined(base: &str, directory: &str) -> String {
    match (base, directory) {
        (base, "") => base.to_owned(),
        ("", directory) => directory.to_owned(),
        (base, directory) => format!("{base}/{directory}"),
    }
}

/// One build that a text types.
pub(super) struct Command {
    /// The line that it begins on, from 1.
    pub line: usize,
    /// The directory that a `cd` before it leads to.
    pub directory: String,
    /// The words after `build`.
    pub words: Vec<String>,
}

/// The builds in a text of commands.
pub(super) fn commands(text: &str, mut variables: Variables) -> Vec<Command> {
    let mut found = Vec::new();
    // Where a `cd` on a line of its own has led.
    let mut here = String::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let mut whole = line.trim().to_owned();
        while let Some(start) = whole.strip_suffix('\\') {
            whole = start.to_owned();
            let Some((_, next)) = lines.next() else { break };
            whole.push(' ');
            whole.push_str(next.trim());
        }
        let whole = whole.trim_start_matches(['@', '-', '+']).trim_start();
        let is_said = ["#", "echo ", "printf "]
            .iter()
            .any(|start| whole.starts_with(start));
        if is_said {
            continue;
        }
        if let Some(to) = moved(whole) {
            here = joined_inner(&here, &filled_once(to, &variables));
            continue;
        }
        learn(whole, &mut variables);
        let mut rest = whole;
        while let Some((before, after)) = build_in(rest) {
            let command = until_the_end(after);
            let directory = directory_before(before).unwrap_or_default();
            for filled in all_filled(command, &variables) {
                let directory = filled_once(&directory, &variables);
                found.push(Command {
                    line: number + 1,
                    directory: joined(&here, &directory),
                    words: shlex::split(&filled).unwrap_or_default(),
                });
            }
            rest = &after[command.len()..];
        }
    }
    found.truncate(MOST);
    found
}

/// Where a line leads that does nothing else. A way that is not written out leads nowhere.
fn moved(line: &str) -> Option<&str> {
    let to = ["cd ", "pushd "]
        .iter()
        .find_map(|word| line.strip_prefix(word))?;
    let to = to.trim().trim_end_matches(';').trim();
    let is_alone = !to.contains("&&") && !to.contains(';') && !to.contains("||");
    is_alone.then(|| to.trim_matches(['"', '\'']))
}

/// A directory from another. What is absolute or not written out is the repository's own again.
fn joined_inner(here: &str, to: &str) -> String {
    super::inner(here, to).map_or_else(
        String::new,
        |path| if path == "." { String::new() } else { path },
    )
}

/// What stands before and after the next `docker build`.
fn build_in(line: &str) -> Option<(&str, &str)> {
    let starts = STARTS
        .iter()
        .filter_map(|start| Some((line.find(start)?, *start)));
    let (at, start) = starts.min()?;
    Some((&line[..at], &line[at + start.len()..]))
}

/// The directory of a `cd` in the same line.
fn directory_before(before: &str) -> Option<String> {
    let (_, rest) = before.rsplit_once("cd ")?;
    let (directory, _) = rest.split_once("&&").or_else(|| rest.split_once(';'))?;
    let directory = directory.trim().trim_matches(['"', '\'']);
    (!directory.contains("$(")).then(|| directory.to_owned())
}

/// The text up to what ends a command outside of quotes.
fn until_the_end(text: &str) -> &str {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            (None, ';' | '|' | '&' | '>' | ')')
                if !text[..at].ends_with(['$', '{']) && !is_inside(text, at) =>
            {
                return &text[..at];
            }
            _ => {}
        }
    }
    text
}

/// Whether a place is inside `$(…)` or `${…}`.
fn is_inside(text: &str, at: usize) -> bool {
    let before = &text[..at];
    let open = |start: &str, end: char| {
        before
            .rfind(start)
            .is_some_and(|start| !before[start..].contains(end))
    };
    open("$(", ')') || open("${", '}')
}

/// What a line says of variables.
fn learn(line: &str, variables: &mut Variables) {
    if let Some(rest) = line.find("for ").and_then(|at| line.get(at + 4..))
        && let Some((name, rest)) = rest.split_once(" in ")
    {
        let end = rest.find([';', '\n']).unwrap_or(rest.len());
        let text = filled_once(&rest[..end], variables);
        let words: Vec<String> = text
            .split_whitespace()
            .filter(|word| *word != "do")
            .map(|word| word.trim_matches(['"', '\'']).to_owned())
            .collect();
        let is_written = !words.is_empty()
            && words
                .iter()
                .all(|word| !word.contains(['$', '*', '`', '{']));
        if is_name(name.trim()) && is_written {
            variables.insert(name.trim().to_owned(), words);
        }
        return;
    }
    let line = ["export ", "readonly ", "local ", "declare "]
        .iter()
        .find_map(|word| line.strip_prefix(word))
        .unwrap_or(line);
    let assigned = line
        .split_once('=')
        .map(|(name, value)| (name.trim_end_matches([':', '?', '+', ' ']), value));
    let said = line
        .split_once(": ")
        .filter(|(name, _)| is_name(name) && name.to_uppercase() == **name);
    let Some((name, value)) = assigned.filter(|(name, _)| is_name(name)).or(said) else {
        return;
    };
    let value = value.trim().trim_matches(['"', '\'']);
    // `${1:-api}` is what stands there unless somebody types another.
    let value = filled_once(value, variables);
    if value.contains(['$', '`']) || value.len() > LONGEST {
        variables.remove(name);
    } else {
        variables.insert(name.to_owned(), vec![value]);
    }
}

/// The name or the number of a variable.
fn is_word(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn filled_once(text: &str, variables: &Variables) -> String {
    let all = all_filled(text, variables);
    all.into_iter().next().unwrap_or_default()
}

/// The text with every value of its variables; a variable has the same value everywhere in it. What has none stays as it is.
pub(super) fn all_filled(text: &str, variables: &Variables) -> Vec<String> {
    let mut sets = vec![Variables::new()];
    let mut rest = text;
    while let Some((_, variable, after)) = next_variable(rest) {
        rest = after;
        let values = variables.get(variable.name).cloned();
        let values = values.or_else(|| variable.default.map(|text| vec![text.to_owned()]));
        let Some(values) = values.filter(|_| !sets[0].contains_key(variable.name)) else {
            continue;
        };
        let with = |set: &Variables, value: &String| {
            let mut set = set.clone();
            set.insert(variable.name.to_owned(), vec![value.clone()]);
            set
        };
        let all = sets
            .iter()
            .flat_map(|set| values.iter().map(|value| with(set, value)));
        sets = all.take(MOST).collect();
    }
    let whole = sets.iter().map(|set| filled(text, set));
    // What stays of an expression is one word, whatever blanks it has.
    whole.map(|text| without_blanks(&text)).collect()
}

/// The text without blanks inside `${{ … }}`.
fn without_blanks(text: &str) -> String {
    let mut whole = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${{") {
        let Some((inner, after)) = after.split_once("}}") else {
            break;
        };
        whole.push_str(before);
        let inner: String = inner.split_whitespace().collect();
        whole.extend(["${{", inner.as_str(), "}}"]);
        rest = after;
    }
    whole + rest
}

fn filled(text: &str, values: &Variables) -> String {
    let mut whole = String::new();
    let mut rest = text;
    while let Some((before, variable, after)) = next_variable(rest) {
        whole.push_str(before);
        let value = values.get(variable.name).and_then(|values| values.first());
        whole.push_str(value.map_or(variable.written, String::as_str));
        rest = after;
    }
    whole + rest
}

struct Variable<'t> {
    name: &'t str,
    default: Option<&'t str>,
    written: &'t str,
}

/// The next variable: `$X`, `${X}`, `${X:-default}`, `$(X)`, and `${{ matrix.x }}` of workflows.
fn next_variable(text: &str) -> Option<(&str, Variable<'_>, &str)> {
    let at = text.find('$')?;
    let rest = &text[at + 1..];
    let is_expression = rest.starts_with("{{");
    let (inner, after) = if let Some(rest) = rest.strip_prefix("{{") {
        rest.split_once("}}")?
    } else if let Some(rest) = rest.strip_prefix('{') {
        rest.split_once('}')?
    } else if let Some(rest) = rest.strip_prefix('(') {
        rest.split_once(')')?
    } else {
        let end = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .unwrap_or(rest.len());
        rest.split_at(end)
    };
    let written = &text[at..text.len() - after.len()];
    let inner = inner.trim();
    let split = inner.split_once(":-").or_else(|| inner.split_once('-'));
    let split = split.filter(|(name, default)| is_word(name) && !default.contains('$'));
    let (name, default) = match split.filter(|_| !is_expression) {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    Some((
        &text[..at],
        Variable {
            name,
            default,
            written,
        },
        after,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<(String, String)> {
        let found = commands(text, Variables::new()).into_iter();
        found
            .map(|one| (one.directory, one.words.join(" ")))
            .collect()
    }

    #[test]
    fn commands_are_found_with_what_the_file_says_of_their_variables() {
        let cases: [(&str, &[(&str, &str)]); 11] = [
            ("docker build -t api .", &[("", "-t api .")]),
            (
                "\t@docker buildx build \\\n\t  --push \\\n\t  api",
                &[("", "--push api")],
            ),
            (
                "cd api && docker build -t x . && docker push x",
                &[("api", "-t x .")],
            ),
            (
                "DIR := services\nall:\n\tdocker build $(DIR)/api",
                &[("", "services/api")],
            ),
            (
                "S=${1:-api}\ndocker build \"services/$S\"",
                &[("", "services/api")],
            ),
            (
                "for s in api web; do docker build -t $s services/$s; done",
                &[("", "-t api services/api"), ("", "-t web services/web")],
            ),
            (
                "docker build -t \"$(git rev-parse HEAD)\" . | cat",
                &[("", "-t $(git rev-parse HEAD) .")],
            ),
            ("# docker build .\necho docker build -t fake w", &[]),
            (
                "cd c\ndocker build -t x .\ncd ..\ndocker build .",
                &[("c", "-t x ."), ("", ".")],
            ),
            (
                "docker build a && docker build -t b b; true",
                &[("", "a"), ("", "-t b b")],
            ),
            (
                "docker build --build-arg A=${{ env.A }} .",
                &[("", "--build-arg A=${{env.A}} .")],
            ),
        ];
        for (text, expected) in cases {
            let expected: Vec<_> = expected
                .iter()
                .map(|(directory, words)| ((*directory).to_owned(), (*words).to_owned()))
                .collect();
            assert_eq!(words(text), expected, "{text}");
        }
    }
}
