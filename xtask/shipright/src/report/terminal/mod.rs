//! Lines for people, on standard error, in cargo's manner.

mod activity;
pub(crate) mod github;
mod margin;
mod screen;
mod wait;

use std::{
    borrow::Cow,
    fmt::Display,
    io::{BufRead, Write},
    path::Path,
};

use anstyle::{AnsiColor, Style};
use indicatif::ProgressBar;
use serde_json::Map;

pub use activity::{Activity, Meter, rounded};
pub use screen::LogFormat;
use screen::{Audience, Screen};
pub(crate) use screen::{last_words, prepare};
pub use wait::Wait;

use super::name::as_typed;
use crate::problem::{ProblemReport, Problems};

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors alone.
    Quiet,
    /// Steps, and what builds print.
    Normal,
    /// The commands as well.
    Verbose,
}

/// Standard error as people see it.
#[derive(Debug)]
pub struct Terminal {
    verbosity: Verbosity,
}

const GOOD: Style = AnsiColor::Green.on_default().bold();
const NOTE: Style = AnsiColor::Cyan.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();
const FAINT: Style = Style::new().dimmed();

impl Terminal {
    /// A terminal that says this much.
    pub fn new(verbosity: Verbosity) -> Self {
        Self { verbosity }
    }

    /// A step: a verb and what it is done to.
    pub fn status(&self, verb: &str, object: &str) {
        if self.verbosity >= Verbosity::Normal {
            Screen::the().event("info", Some(verb), &printable(object), Map::new);
            Screen::the().print(&Self::status_line(verb, object));
        }
    }

    fn status_line(verb: &str, object: &str) -> String {
        line(GOOD, &format!("{verb:>12}"), object)
    }

    /// Something worth knowing.
    pub fn note(&self, text: &str) {
        let text = readable(text);
        self.say(Verbosity::Normal, ("note", NOTE, "note:"), &text);
    }

    /// Something that people get wrong.
    pub fn warning(&self, text: &str) {
        let text = readable(text);
        self.say(Verbosity::Normal, ("warning", WARNING, "warning:"), &text);
    }

    /// What this is doing in detail.
    pub fn detail(&self, text: &str) {
        self.say(Verbosity::Verbose, ("detail", FAINT, "detail:"), text);
    }

    /// An image's failure.
    pub fn failed(&self, name: &str, error: &anyhow::Error) {
        self.error(format!("{name}: {error:#}"));
    }

    /// The same, with the line of a file that it comes from.
    pub fn failed_at(&self, (file, line): (&Path, usize), name: &str, error: &anyhow::Error) {
        match &Screen::the().audience {
            Audience::GitHub => self.annotate(file, line, &format!("{name}: {error:#}")),
            _ => self.failed(name, error),
        }
    }

    /// Why the command ends badly.
    pub fn error(&self, error: impl Display) {
        let text = readable(&error.to_string());
        match Screen::the().audience {
            // The runner shows it as an error of the step.
            Audience::GitHub => Screen::the().print(&github::error(&as_typed(&text))),
            _ => self.say(Verbosity::Quiet, ("error", BAD, "error:"), &text),
        }
    }

    /// What would help.
    pub fn help(&self, text: &str) {
        self.say(Verbosity::Quiet, ("help", NOTE, " help:"), text);
    }

    /// A line that a program has printed about something.
    pub fn output(&self, name: &str, line: &str) {
        if !line.trim().is_empty() {
            let head = format!("{name} |");
            self.say(Verbosity::Normal, ("output", FAINT, &head), line);
        }
    }

    /// What is wrong in a file that somebody wrote, each with its lines. It is shown however quiet we are.
    pub fn problems(&self, problems: &Problems) {
        let report = problems.report();
        for problem in &report {
            let text = as_typed(&problem.to_string()).into_owned();
            Screen::the().event("error", Some("problem"), &printable(&text), || {
                problem.fields()
            });
        }
        let rendered = problems.render();
        Screen::the().print(&format!("{}\n", as_typed(&rendered)));
        self.annotate_all(problems.path(), &report);
    }

    /// The same, one line for each, where it hinders nothing.
    pub fn findings(&self, problems: &Problems) {
        let report = problems.report();
        for problem in &report {
            self.warning(&problem.to_string());
        }
        self.annotate_all(problems.path(), &report);
    }

    fn annotate_all(&self, file: &Path, report: &[ProblemReport]) {
        for problem in report {
            let text = format!("{}; {}", problem.problem, problem.cure);
            self.annotate(file, problem.line, &text);
        }
    }

    /// Shows a message at a line of a file, where the reader can.
    pub fn annotate(&self, file: &Path, line: usize, text: &str) {
        if let Audience::GitHub = Screen::the().audience {
            let text = printable(text);
            Screen::the().print(&github::error_at(file, line, &as_typed(&text)));
        }
    }

    /// A command that comes next.
    pub fn next(&self, command: &str) {
        self.say(Verbosity::Normal, ("next", NOTE, "next:"), command);
    }

    /// Text that is laid out already, and may have colours.
    pub fn block(&self, text: &str) {
        if self.verbosity >= Verbosity::Normal && !text.trim().is_empty() {
            let text = colours_alone(text.trim_end());
            let text = as_typed(&text);
            Screen::the().event("info", Some("text"), &text, Map::new);
            Screen::the().print(&text);
        }
    }

    /// What a program of somebody else's has printed, and that says why something failed.
    pub fn log(&self, text: &str) {
        let text = printable(text.trim_end());
        Screen::the().event("error", Some("log"), &text, Map::new);
        match Screen::the().audience {
            Audience::GitHub => Screen::the().print(github::obeyed_nowhere(&text).trim_end()),
            _ => Screen::the().print(&text),
        }
    }

    /// How many columns there are, where somebody looks at them.
    pub fn width(&self) -> Option<usize> {
        Screen::the().width()
    }

    /// Does something that speaks with the user itself, as a program that asks for a password: nothing is drawn meanwhile.
    pub fn aside<T>(&self, work: impl FnOnce() -> T) -> T {
        screen::aside(work)
    }

    /// A line that is drawn, where somebody looks at it and wants to hear more than errors.
    fn draw(&self, template: &str) -> Option<ProgressBar> {
        let is_heard = self.verbosity >= Verbosity::Normal;
        is_heard.then(|| Screen::the().draw(template)).flatten()
    }

    fn say(&self, least: Verbosity, (level, style, head): (&str, Style, &str), text: &str) {
        if self.verbosity >= least {
            let screen = Screen::the();
            screen.event(level, None, &as_typed(&printable(text)), Map::new);
            screen.print(&line(style, head, text));
        }
    }
}

fn line(style: Style, head: &str, text: &str) -> String {
    format!("{style}{head}{style:#} {}", as_typed(&printable(text)))
}

/// Asks for a line.
pub fn ask(question: &str) -> String {
    anstream::eprint!("{question} ");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    let _ = std::io::stdin().lock().read_line(&mut answer);
    answer.trim().to_owned()
}

/// Asks for a yes; anything else is a no.
pub fn says_yes(question: &str) -> bool {
    let answer = ask(&format!("{question} [y/N]")).to_ascii_lowercase();
    matches!(answer.as_str(), "y" | "yes")
}

/// What clap says: a mistake on standard error, the help that was asked for on standard output. What is in it beside clap's own
/// colours was typed, and is obeyed by no terminal.
pub(crate) fn clap_message(text: &str, is_mistake: bool) {
    let text = colours_alone(text);
    if is_mistake {
        anstream::eprint!("{text}");
    } else {
        anstream::print!("{text}");
    }
}

/// Text with nothing that a terminal obeys but colours. Where something else has to be taken away, they go with it.
fn colours_alone(text: &str) -> Cow<'_, str> {
    let plain = printable(text);
    if plain == without_colours(text) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(plain)
    }
}

/// Text without the sequences that set a colour, and with all others.
fn without_colours(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        match rest.strip_prefix('m') {
            Some(rest) => shown.push_str(rest),
            None => {
                shown.push_str("\u{1b}[");
                shown.push_str(part);
            }
        }
    }
    shown
}

/// Text with no line that is longer than anybody reads: what is quoted in it, somebody may have made as long as they like.
fn readable(text: &str) -> String {
    const LONGEST: usize = 2_000;
    let text = printable(text);
    let end = |line: &str| line.char_indices().nth(LONGEST).map(|(end, _)| end);
    if !text.lines().any(|line| end(line).is_some()) {
        return text;
    }
    let lines = text.lines().map(|line| match end(line) {
        None => line.to_owned(),
        Some(end) => {
            let more = line[end..].chars().count();
            format!("{}… ({more} characters more)", &line[..end])
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Text from elsewhere (git, docker, AWS, deploy.toml) without anything that a terminal would obey.
pub fn printable(text: &str) -> String {
    let plain = anstream::adapter::strip_str(text).to_string();
    plain.chars().filter(|c| !is_obeyed(*c)).collect()
}

/// The same with as many bytes: each character that a terminal would obey has another in its place.
pub fn harmless(text: &str) -> String {
    let shown = |c: char| {
        if !is_obeyed(c) {
            return c;
        }
        match c.len_utf8() {
            1 => '?',
            2 => '\u{bf}',
            _ => '\u{fffd}',
        }
    };
    text.chars().map(shown).collect()
}

/// Whether a terminal does something other than showing a character, or going on to the next line or column.
pub(crate) fn is_obeyed(c: char) -> bool {
    c.is_control() && !matches!(c, '\n' | '\t')
        || matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The same as one line: nothing in it can look like a line of ours.
pub fn one_line(text: &str) -> String {
    printable(text).replace(['\n', '\t'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_where_nobody_reads_on() {
        assert_eq!(readable("short\nlines"), "short\nlines");
        let shown = readable(&format!("one\n{}\ntwo", "ü".repeat(2_007)));
        let expected = format!("one\n{}… (7 characters more)\ntwo", "ü".repeat(2_000));
        assert_eq!(shown, expected);
    }

    #[test]
    fn nothing_that_a_terminal_obeys_gets_through() {
        let hostile =
            "a\x1b[31mred\x1b[0m\x1b]8;;http://x\x07link\x07\u{202e}b\r\x7f\u{9b}1m\n\tend";
        let shown = printable(hostile);
        assert!(
            shown
                .chars()
                .all(|c| !c.is_control() || c == '\n' || c == '\t'),
            "{shown:?}"
        );
        assert!(
            !shown.contains('\u{202e}') && shown.ends_with("\n\tend"),
            "{shown:?}"
        );
    }
}
