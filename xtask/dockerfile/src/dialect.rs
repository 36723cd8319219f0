//! Files that are called Dockerfiles and that the rules have nothing to say about: those for Windows containers, and templates of
//! which a Dockerfile is still to be made.

use std::ops::Range;

/// What such a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// For Windows containers.
    Windows,
    /// A template, of Jinja or Go most often.
    Template,
}

/// Names in Windows base images. Source: Microsoft's "Container Base Images".
const WINDOWS_BASES: [&str; 4] = ["windows/", "servercore", "nanoserver", "windowsservercore"];

impl Dialect {
    /// What a file is, and the line that says so. `None` for a Dockerfile of the usual kind.
    pub(crate) fn of(text: &str) -> Option<(Self, Range<usize>)> {
        let mut start = 0;
        let mut in_directives = true;
        for line in text.split_inclusive('\n') {
            let (trimmed, span) = (line.trim(), start..start + line.trim_end().len());
            start += line.len();
            in_directives &= trimmed.starts_with('#');
            if in_directives && is_backtick_escape(trimmed) || is_windows_base(trimmed) {
                return Some((Self::Windows, span));
            }
            if is_of_template(trimmed) {
                return Some((Self::Template, span));
            }
        }
        None
    }

    /// What is said of it, and what to do.
    pub(crate) fn note(self) -> (&'static str, &'static str) {
        match self {
            Self::Windows => (
                "this is for Windows containers: the rules are about Linux images, and looked no further",
                "nothing, if it is for no target of deploy.toml: none of them runs Windows",
            ),
            Self::Template => (
                "this is a template: the rules look at Dockerfiles, and not at what they are made of",
                "check the Dockerfile that is made of it: cargo xtask verify dockerfiles FILE",
            ),
        }
    }
}

/// `# escape=` with a backtick. Source: "Parser directives" in the Dockerfile reference.
fn is_backtick_escape(line: &str) -> bool {
    let directive = line.trim_start_matches('#').split_once('=');
    directive.is_some_and(|(name, value)| {
        name.trim().eq_ignore_ascii_case("escape") && value.trim() == "`"
    })
}

fn is_windows_base(line: &str) -> bool {
    let mut words = line.split_whitespace().map(str::to_ascii_lowercase);
    if words.next().as_deref() != Some("from") {
        return false;
    }
    words.any(|word| {
        let is_platform = word.starts_with("--platform=windows");
        is_platform || WINDOWS_BASES.iter().any(|base| word.contains(base))
    })
}

/// A line that only a template has. Braces within a command are of that command: `docker inspect --format '{{.Id}}'`.
fn is_of_template(line: &str) -> bool {
    let has_braces = line.contains("{{") || line.contains("{%");
    let first = line
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .to_ascii_uppercase();
    let is_statement = line.starts_with("{{") || line.starts_with("{%");
    has_braces && (is_statement || matches!(first.as_str(), "FROM" | "ARG" | "EXPOSE" | "WORKDIR"))
}
