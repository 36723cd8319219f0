//! Lines for people, on standard error, in cargo's manner.
#![expect(
    clippy::disallowed_macros,
    reason = "this is the room that speaks to people"
)]

use std::{
    fmt::Display,
    io::{BufRead, Write},
};

use anstyle::{AnsiColor, Style};

use super::name::as_typed;

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
        self.line(Verbosity::Normal, GOOD, &format!("{verb:>12}"), object);
    }

    /// Something worth knowing.
    pub fn note(&self, text: &str) {
        self.line(Verbosity::Normal, NOTE, "note:", text);
    }

    /// Something that people get wrong.
    pub fn warning(&self, text: &str) {
        self.line(Verbosity::Normal, WARNING, "warning:", text);
    }

    /// What this is doing in detail.
    pub fn detail(&self, text: &str) {
        self.line(Verbosity::Verbose, FAINT, "detail:", text);
    }

    /// A line that a program printed about an image.
    pub fn output(&self, name: &str, line: &str) {
        if !line.trim().is_empty() {
            self.line(Verbosity::Normal, FAINT, &format!("{name} |"), line);
        }
    }

    /// An image's failure.
    pub fn failed(&self, name: &str, error: &anyhow::Error) {
        self.line(
            Verbosity::Quiet,
            BAD,
            "error:",
            &format!("{name}: {error:#}"),
        );
    }

    /// Why the command ends badly.
    pub fn error(&self, error: impl Display) {
        self.line(Verbosity::Quiet, BAD, "error:", &error.to_string());
    }

    /// What would help.
    pub fn help(&self, text: &str) {
        self.line(Verbosity::Quiet, NOTE, " help:", text);
    }

    /// Text that is laid out already.
    pub fn block(&self, text: &str) {
        if self.verbosity >= Verbosity::Normal {
            anstream::eprintln!("{}", as_typed(text.trim_end()));
        }
    }

    fn line(&self, least: Verbosity, style: Style, head: &str, text: &str) {
        if self.verbosity >= least {
            anstream::eprintln!("{style}{head}{style:#} {}", as_typed(&printable(text)));
        }
    }
}

/// Asks for a line.
pub fn ask(question: &str) -> String {
    anstream::eprint!("{question} ");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    let _ = std::io::stdin().lock().read_line(&mut answer);
    answer.trim().to_owned()
}

/// Rendered problems, which are shown however quiet we are.
pub fn problems(rendered: &str) {
    anstream::eprintln!("{}\n", as_typed(rendered));
}

/// What clap says: a mistake on standard error, the help that was asked for on standard output.
pub(crate) fn clap_message(text: &str, is_mistake: bool) {
    if is_mistake {
        anstream::eprint!("{text}");
    } else {
        anstream::print!("{text}");
    }
}

/// Text from elsewhere (git, docker, AWS, deploy.toml) without anything that a terminal would obey.
pub fn printable(text: &str) -> String {
    let plain = anstream::adapter::strip_str(text).to_string();
    let is_hidden = |c: char| {
        c.is_control() && c != '\n' && c != '\t'
            || matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    plain.chars().filter(|c| !is_hidden(*c)).collect()
}

/// The same as one line: nothing in it can look like a line of ours.
pub fn one_line(text: &str) -> String {
    printable(text).replace(['\n', '\t'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

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
