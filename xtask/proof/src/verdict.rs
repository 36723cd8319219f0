//! The verdict: what an image's bytes say about its CPU.

use std::fmt;

use serde::Serialize;

use crate::{
    elf::{Elf, Machine},
    layer::{Content, File, Layer},
    manifest::Config,
    path,
    tree::{Found, Present, Tree},
};

/// A foreign binary that is there on purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// A path from the image's root; `*` stands for any characters.
    pub path: String,
    /// Why it is there.
    pub reason: String,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Problem {
    /// Machine code for another CPU.
    WrongMachine,
    /// The image's config says another CPU.
    WrongConfig,
    /// A layer is not the one that the config names.
    WrongLayer,
    /// The program that the image starts is not there.
    MissingEntrypoint,
    /// The program that the image starts is neither machine code nor a script.
    NotExecutable,
    /// The interpreter of the script that the image starts is not there.
    MissingInterpreter,
    /// The loader of the program that the image starts is not there.
    MissingLoader,
}

/// One thing that is wrong, with what helps to mend it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Finding {
    /// What is wrong.
    pub problem: Problem,
    /// The file, from the image's root. Empty when it is about no file.
    pub path: String,
    /// What was found.
    pub found: String,
    /// What was expected.
    pub expected: String,
    /// The digest of the layer that has it.
    pub layer: Option<String>,
    /// The instruction that made the layer.
    pub instruction: Option<String>,
    /// The package that the file came with.
    pub package: Option<String>,
    /// The likely cause, and its cure.
    pub cause: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            write!(f, "{}, expected {}", self.found, self.expected)?;
        } else {
            write!(f, "/{}: {}, expected {}", self.path, self.found, self.expected)?;
        }
        for (name, value) in [("package", &self.package), ("layer", &self.layer), ("made by", &self.instruction)] {
            if let Some(value) = value {
                write!(f, "\n    {name:<8} {value}")?;
            }
        }
        write!(f, "\n    likely   {}", self.cause)
    }
}

/// What an image's bytes say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Verdict {
    /// The CPU that the image was compared with.
    pub expected: String,
    /// Files with machine code that were looked at.
    pub checked: usize,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// What is worth knowing and not wrong.
    pub notes: Vec<String>,
}

impl Verdict {
    /// Whether nothing is wrong.
    pub fn holds(&self) -> bool {
        self.findings.is_empty()
    }

    /// One line for people.
    pub fn summary(&self) -> String {
        match (self.findings.len(), self.checked) {
            (0, 0) => "nothing to prove: no native code".to_owned(),
            (0, 1) => format!("the one file of machine code is for {}", self.expected),
            (0, files) => format!("all {files} files of machine code are for {}", self.expected),
            (count, _) => format!("not for {}: {count} {}", self.expected, if count == 1 { "finding" } else { "findings" }),
        }
    }
}

/// Compares everything in an image with the CPU that it is meant for.
pub fn prove(config: &Config, layers: &[Layer], expected: Machine, allowed: &[Allowed]) -> Verdict {
    let tree = Tree::new(layers);
    let mut judge = Judge {
        config,
        layers,
        expected,
        verdict: Verdict { expected: expected.to_string(), checked: 0, findings: Vec::new(), notes: Vec::new() },
    };
    judge.claims();
    judge.machine_code(&tree, allowed);
    judge.entrypoint(&tree);
    judge.verdict
}

struct Judge<'i> {
    config: &'i Config,
    layers: &'i [Layer],
    expected: Machine,
    verdict: Verdict,
}

impl Judge<'_> {
    /// What the config says of the image.
    fn claims(&mut self) {
        let claimed = format!("{}/{}", self.config.os, self.config.architecture);
        let expected = format!("linux/{}", self.expected);
        let is_right = Machine::from_oci(&self.config.architecture) == Some(self.expected) && self.config.os == "linux";
        if !is_right {
            self.find(
                Problem::WrongConfig,
                format!("the config says `{claimed}`"),
                expected,
                "build with `--platform`, and no other platform in the last `FROM`",
            );
        }
        let named = &self.config.rootfs.diff_ids;
        if named.len() != self.layers.len() {
            let found = format!("the image has {} layers", self.layers.len());
            self.find(
                Problem::WrongLayer,
                found,
                format!("{} by its config", named.len()),
                "the image is damaged: build it again",
            );
        }
        let wrong: Vec<_> = named.iter().zip(self.layers).filter(|(named, layer)| **named != layer.diff_id).collect();
        for (named, layer) in wrong {
            let found = format!("layer {} holds {}", layer.digest, layer.diff_id);
            self.find(
                Problem::WrongLayer,
                found,
                format!("{named} by the config"),
                "the image is damaged, or was put together by hand: build it again",
            );
        }
    }

    fn machine_code(&mut self, tree: &Tree<'_>, allowed: &[Allowed]) {
        let mut used = vec![false; allowed.len()];
        let (mut narrow, mut objects, mut damaged, mut test_data) = (0, 0, 0, 0);
        for (path, present) in &tree.files {
            let elf = match present.content() {
                Content::Elf(elf) => elf,
                Content::Damaged(_) => {
                    damaged += 1;
                    continue;
                }
                Content::Script(_) => continue,
            };
            if !elf.machine.is_no_cpu() {
                self.verdict.checked += 1;
            }
            if elf.machine == self.expected || elf.machine.is_no_cpu() {
                continue;
            }
            if let Some(place) = allowed.iter().position(|allowed| fits(&allowed.path, path)) {
                used[place] = true;
            } else if self.expected.runs_in_32_bit_mode(elf.machine) {
                narrow += 1;
            } else if !elf.is_loadable {
                objects += 1;
            } else if path.split('/').any(|part| part == "testdata") {
                test_data += 1;
            } else {
                let finding = self.wrong_machine(path, present, elf);
                self.verdict.findings.push(finding);
            }
        }
        let counted = [
            (narrow, "for the 32-bit mode of this CPU"),
            (objects, "for another CPU, but object files: nothing runs or loads them"),
            (damaged, "beginning like machine code and damaged after that: nothing runs or loads them"),
            (test_data, "for another CPU in folders named `testdata`"),
        ];
        let notes = counted.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} files {what}"));
        self.verdict.notes.extend(notes);
        for (allowed, used) in allowed.iter().zip(used) {
            let how = if used { "allowed" } else { "allowed, but not there" };
            self.verdict.notes.push(format!("`{}` is {how}: {}", allowed.path, allowed.reason));
        }
    }

    fn wrong_machine(&self, path: &str, present: &Present, elf: &Elf) -> Finding {
        let instruction = self.config.instruction(present.layer);
        let package = present.file.package.clone();
        let cause = self.cause(path, package.as_deref(), instruction.as_deref(), elf.machine);
        Finding {
            problem: Problem::WrongMachine,
            path: path.to_owned(),
            found: format!("machine code for {}", elf.machine),
            expected: self.expected.to_string(),
            layer: self.layers.get(present.layer).map(|layer| layer.digest.clone()),
            instruction,
            package,
            cause,
        }
    }

    /// Why such a file is most likely there, and what helps.
    fn cause(&self, path: &str, package: Option<&str>, instruction: Option<&str>, found: Machine) -> String {
        let expected = self.expected;
        let in_folder = |name: &str| path.split('/').any(|part| part == name);
        if in_folder("site-packages") || in_folder("dist-packages") || package.is_some_and(|name| name.starts_with("Python")) {
            return format!(
                "pip or uv installed the wheel for {found}, in a stage on `--platform=$BUILDPLATFORM`; install on the target's \
                 platform, or ask for its wheels: `uv pip install --python-platform … --only-binary :all:`"
            );
        }
        if in_folder("node_modules") {
            return format!(
                "npm installed the package for {found}, in a stage on `--platform=$BUILDPLATFORM`; run `npm ci --cpu …` for {expected}, or install on the target's platform"
            );
        }
        let words = instruction.unwrap_or_default();
        if package.is_some_and(|name| name.starts_with("Debian")) || words.starts_with("ADD rootfs") || words.is_empty() {
            return format!("the base image is for {found}: its tag has no {expected}, or `FROM --platform` pins it");
        }
        if words.starts_with("COPY") || words.starts_with("ADD") {
            return format!(
                "a file that was built for {found} was copied in; build it for `$TARGETARCH`, or copy it from a stage that does"
            );
        }
        format!("this step fetched or built something for {found}; use `$TARGETARCH` in its address or options")
    }

    /// The program that the image starts, and what that needs to start.
    fn entrypoint(&mut self, tree: &Tree<'_>) {
        let execution = &self.config.config;
        let words = execution.entrypoint.iter().chain(&execution.cmd).flatten();
        let Some(program) = words.into_iter().next().cloned() else {
            self.verdict.notes.push("the image says no program to start".to_owned());
            return;
        };
        let (path, file) = match self.look_up(tree, &program) {
            Found::File(path, file) => (path, file.clone()),
            Found::Other => {
                let found = format!("the entry point `{program}` is neither machine code nor a script with a `#!` line");
                self.find(
                    Problem::NotExecutable,
                    found,
                    "a program",
                    "the kernel says `exec format error` to such a file: give it a first line such as `#!/bin/sh`",
                );
                return;
            }
            Found::Missing => {
                let found = format!("the entry point `{program}` is not in the image");
                self.find(
                    Problem::MissingEntrypoint,
                    found,
                    "a program",
                    "copy it into the last stage, or correct ENTRYPOINT, CMD, WORKDIR or PATH",
                );
                return;
            }
        };
        self.needs(tree, &path, &file, 0);
    }

    /// What a program needs to start, and what that needs in turn. The kernel follows four interpreters and no more.
    fn needs(&mut self, tree: &Tree<'_>, path: &str, file: &File, depth: usize) {
        const DEEPEST: usize = 4;
        match &file.content {
            Content::Elf(elf) => self.starts(tree, path, elf, depth),
            Content::Damaged(reason) => {
                let found = format!("`/{path}`, which the image starts, begins like machine code, but {reason}");
                self.find(Problem::NotExecutable, found, "a program", "the file was cut or damaged on its way: build it again");
            }
            Content::Script(_) if depth > DEEPEST => {
                let found = format!("`/{path}` is the fifth script in a row that interprets another");
                self.find(Problem::NotExecutable, found, "a program", "let the first line name a program that is no script");
            }
            Content::Script(words) => self.interpreters(tree, path, words, depth),
        }
    }

    fn starts(&mut self, tree: &Tree<'_>, path: &str, elf: &Elf, depth: usize) {
        // What is only a note elsewhere is not one here. Amd64 machines of AWS run i386 programs; arm64 ones need not run arm.
        let runs = elf.machine == self.expected || self.expected == Machine::AMD64 && elf.machine == Machine::I386;
        let is_found = self.verdict.findings.iter().any(|finding| finding.path == path);
        if !elf.is_loadable || !runs && !is_found {
            let what = if elf.is_loadable { format!("machine code for {}", elf.machine) } else { "an object file".to_owned() };
            let found = format!("`/{path}`, which the image starts, is {what}");
            self.find(
                Problem::NotExecutable,
                found,
                format!("a program for {}", self.expected),
                "build a program for the target's CPU, and start that",
            );
            return;
        }
        let Some(loader) = elf.loader.as_ref().filter(|_| depth == 0 || runs) else { return };
        match tree.find(loader) {
            Found::File(_, File { content: Content::Elf(elf), .. }) if elf.is_loadable => {}
            Found::Missing => {
                let found = format!("the loader `{loader}` of `/{path}`, which the image starts, is not in the image");
                let cause = "use a base image with the C library that the program was built for, or link it statically";
                self.find(Problem::MissingLoader, found, "a loader", cause);
            }
            Found::File(..) | Found::Other => {
                let found = format!("the loader `{loader}` of `/{path}`, which the image starts, is no loader");
                self.find(Problem::MissingLoader, found, "a loader", "repair the base image: this file belongs to its C library");
            }
        }
    }

    /// The interpreter of a script, and the program that `env` looks for.
    fn interpreters(&mut self, tree: &Tree<'_>, path: &str, words: &[String], depth: usize) {
        let Some(interpreter) = words.first() else { return };
        // The kernel searches no PATH.
        let from = self.config.config.working_dir.as_deref().unwrap_or("/");
        let place = if interpreter.starts_with('/') { interpreter.clone() } else { format!("{from}/{interpreter}") };
        if !self.interprets(tree, path, interpreter, tree.find(&place), depth) || path::split(interpreter).1 != "env" {
            return;
        }
        if let Some(program) = words.get(1).and_then(|argument| env_program(argument)) {
            self.interprets(tree, path, &program, self.look_up(tree, &program), depth);
        }
    }

    /// Says what is wrong with an interpreter. Returns whether it is there.
    fn interprets(&mut self, tree: &Tree<'_>, path: &str, name: &str, found: Found<'_>, depth: usize) -> bool {
        let shown = name.escape_debug();
        let (what, cause) = match found {
            Found::File(real, file) => {
                let file = file.clone();
                self.needs(tree, &real, &file, depth + 1);
                return true;
            }
            Found::Missing if name.contains('\r') => {
                ("is not in the image", "the script has Windows line ends: save it with `\\n` alone")
            }
            Found::Missing => ("is not in the image", "install it in the last stage, or correct the script's first line"),
            Found::Other => ("is no program", "let the script's first line name a program"),
        };
        let found = format!("the interpreter `{shown}` of the entry point `/{path}` {what}");
        self.find(Problem::MissingInterpreter, found, "an interpreter", cause);
        false
    }

    /// A program as execvp(3) would find it.
    fn look_up<'t>(&self, tree: &'t Tree<'_>, program: &str) -> Found<'t> {
        const USUAL: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        let execution = &self.config.config;
        if program.starts_with('/') {
            return tree.find(program);
        }
        let folder = execution.working_dir.as_deref().unwrap_or("/");
        if program.contains('/') {
            return tree.find(&format!("{folder}/{program}"));
        }
        let variables = execution.env.iter().flatten();
        let folders = variables.filter_map(|variable| variable.strip_prefix("PATH=")).next_back().unwrap_or(USUAL);
        let places = folders.split(':').map(|folder| tree.find(&format!("{folder}/{program}")));
        places.into_iter().find(|found| !matches!(found, Found::Missing)).unwrap_or(Found::Missing)
    }

    fn find(&mut self, problem: Problem, found: String, expected: impl Into<String>, cause: &str) {
        self.verdict.findings.push(Finding {
            problem,
            path: String::new(),
            found,
            expected: expected.into(),
            layer: None,
            instruction: None,
            package: None,
            cause: cause.to_owned(),
        });
    }
}

/// The program that `env` starts. Without `-S` its one argument is the program's name, spaces and all. `None` where an option
/// makes it uncertain.
fn env_program(argument: &str) -> Option<String> {
    let split = argument.strip_prefix("-S").or_else(|| argument.strip_prefix("--split-string="));
    let Some(rest) = split else { return (!argument.starts_with('-') && !argument.contains('=')).then(|| argument.to_owned()) };
    let mut words = rest.split_whitespace();
    while let Some(word) = words.next() {
        match word {
            "-u" | "--unset" | "-C" | "--chdir" => drop(words.next()),
            word if word.starts_with('-') || word.contains('=') => {}
            program => return Some(program.to_owned()),
        }
    }
    None
}

/// Whether a path fits a pattern, in which `*` stands for any characters.
fn fits(pattern: &str, path: &str) -> bool {
    let pattern = pattern.trim_start_matches('/');
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|start| path.strip_prefix(start)) else { return false };
    let mut parts: Vec<_> = parts.collect();
    let Some(end) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, path, expected) in [
            ("/opt/tool", "opt/tool", true),
            ("opt/*", "opt/a/b", true),
            ("*.so", "usr/lib/x.so", true),
            ("opt/*/bin/*", "opt/x/bin/y", true),
            ("opt/*/bin/*", "opt/x/y", false),
            ("opt/tool", "opt/tool2", false),
            ("*", "", true),
        ] {
            assert_eq!(fits(pattern, path), expected, "{pattern} {path}");
        }
    }
}
