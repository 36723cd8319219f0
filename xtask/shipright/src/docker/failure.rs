//! Why a build failed, from what it has said.

use std::fmt;

use super::progress::{FailedStep, Said};
use crate::{plan::trouble, process::Outcome};

/// A build that failed.
#[derive(Debug)]
pub struct BuildFailed {
    /// How it ended.
    ending: String,
    /// What it said of the reason.
    reason: String,
    /// What that means, where it is known.
    trouble: Option<&'static trouble::Trouble>,
    /// The step that has failed, where BuildKit tells.
    step: Option<FailedStep>,
    /// What buildx has shown beside it: lines of the Dockerfile.
    text: Vec<String>,
    /// The line of the Dockerfile, from 1.
    pub line: Option<usize>,
    /// Whether the builder cannot write OCI layouts: then it has built nothing.
    pub lacks_oci_exporter: bool,
    /// Whether buildx is too old to tell its progress as JSON: then it has built nothing.
    pub(super) lacks_raw_json: bool,
}

impl BuildFailed {
    pub(super) fn of(outcome: &Outcome, said: Said) -> Self {
        let words = said.reasons();
        let trouble = trouble::explain(&words).into_iter().next();
        let telling = trouble
            .and_then(|trouble| trouble.line(&words))
            .map(without_prefix);
        Self {
            ending: outcome.describe(),
            reason: telling.unwrap_or_else(|| reason(&words)).to_owned(),
            trouble,
            // Source: `notSupported` in docker/buildx, `build/opt.go`.
            lacks_oci_exporter: words.contains("OCI exporter is not supported"),
            // Source: `NewDisplay` in moby/buildkit, `util/progress/progressui/display.go`.
            lacks_raw_json: words.contains("invalid progress mode"),
            line: place(&said.text),
            step: said.failed,
            text: said.text,
        }
    }

    /// What people read to find the reason: what the step has printed, and the lines of the Dockerfile. Empty where the error says all.
    pub fn log(&self) -> String {
        /// Of a buildx that does not tell steps apart, the last lines are shown.
        const TAIL: usize = 40;
        let is_error = |line: &&String| line.starts_with("ERROR: ");
        let text: Vec<_> = self.text.iter().filter(|line| !is_error(line)).collect();
        let text = &text[text.len().saturating_sub(TAIL)..];
        let mut lines = Vec::new();
        if let Some(step) = &self.step {
            lines.push(format!("{} has failed", step.name));
            lines.extend(step.log.iter().map(|line| format!("    {line}")));
        }
        lines.extend(text.iter().map(|line| (*line).clone()));
        lines.join("\n")
    }
}

impl fmt::Display for BuildFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the build {}: {}", self.ending, self.reason)?;
        match self.trouble {
            Some(trouble) => write!(
                f,
                "\n    likely   {}: {}\n    next     {}",
                trouble.name, trouble.cause, trouble.next
            ),
            None => Ok(()),
        }
    }
}

impl std::error::Error for BuildFailed {}

/// The line that buildx shows the surroundings of: `Dockerfile:3`, and a rule below it.
fn place(text: &[String]) -> Option<usize> {
    let pairs = text.iter().zip(text.iter().skip(1));
    let mut places = pairs.filter(|(_, below)| below.starts_with("-----"));
    let (place, _) = places.next()?;
    place.rsplit_once(':')?.1.trim().parse().ok()
}

/// A line without the step's number and time: `#10 1.477   cause: …`.
fn without_prefix(line: &str) -> &str {
    let is_prefix = |word: &str| {
        let number = word.strip_prefix('#').unwrap_or(word);
        !number.is_empty()
            && number
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'.')
    };
    let mut rest = line.trim();
    while let Some((_, more)) = rest.split_once(' ').filter(|(word, _)| is_prefix(word)) {
        rest = more.trim_start();
    }
    rest
}

/// The error that buildx ends with, or whatever was said last.
fn reason(said: &str) -> &str {
    let mut lines = said.lines().rev().filter(|line| !line.trim().is_empty());
    let last = lines.clone().next().unwrap_or("docker gave no reason");
    lines
        .find_map(|line| line.strip_prefix("ERROR: "))
        .unwrap_or(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_had_without_its_step() {
        assert_eq!(
            without_prefix("#10 1.477   cause: Because docopt==0.6.2"),
            "cause: Because docopt==0.6.2"
        );
        assert_eq!(without_prefix("ERROR: failed"), "ERROR: failed");
        assert_eq!(without_prefix("#10"), "#10");
    }

    #[test]
    fn the_reason_is_the_last_error() {
        assert_eq!(reason("x\nERROR: a\nERROR: b\nview details\n\n"), "b");
        assert_eq!(reason("x\ny\n"), "y");
        assert_eq!(reason(""), "docker gave no reason");
    }

    #[test]
    fn the_dockerfile_s_line_stands_above_a_rule() {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let shown = "warning: 1\nbackend/Dockerfile:12\n--------------------\n  12 | >>> RUN x\n--------------------";
        assert_eq!(place(&lines(shown)), Some(12));
        assert_eq!(place(&lines("ERROR: failed to solve: x:3")), None);
    }
}
