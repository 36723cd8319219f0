//! What the runner of GitHub Actions obeys in the output of a step, and the files that it reads after one.
//!
//! Source: GitHub's documentation, "Workflow commands for GitHub Actions".

use std::{
    fmt::Write as _,
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use sha2::{Digest as _, Sha256};

use super::screen::{Audience, Screen};
use crate::facts::host;

/// Whether this is a step of a workflow.
pub(super) fn runs() -> bool {
    host::variable("GITHUB_ACTIONS").is_some_and(|value| value == "true")
}

/// Sees to it that the runner shows a secret nowhere. No one else is told of it.
pub(crate) fn mask(secret: &str) {
    let screen = Screen::the();
    if matches!(screen.audience, Audience::GitHub) {
        // A mask is one line; a secret of several has one for each.
        for line in secret.lines().filter(|line| !line.trim().is_empty()) {
            screen.print(&format!("::add-mask::{}", data(line)));
        }
    }
}

/// A message at a line of a file, shown in the pull request.
pub(super) fn error_at(file: &Path, line: usize, message: &str) -> String {
    // The pull request knows files by their way from the checkout, which a step begins in if not told otherwise.
    let checkout = host::variable("GITHUB_WORKSPACE").map(PathBuf::from);
    let checkout = checkout.or_else(|| std::env::current_dir().ok());
    let inside = checkout.and_then(|checkout| file.strip_prefix(checkout).ok());
    let file = inside.unwrap_or(file);
    let (file, message) = (property(&file.display().to_string()), data(message));
    format!("::error file={file},line={line}::{message}")
}

/// A message of the whole step.
pub(super) fn error(message: &str) -> String {
    format!("::error::{}", data(message))
}

/// Lines that can be folded.
pub(super) fn group(title: &str, text: &str) -> String {
    let (title, text) = (data(title), obeyed_nowhere(text));
    format!("::group::{title}\n{text}::endgroup::")
}

/// Text of which the runner obeys nothing, whatever it says.
pub(super) fn obeyed_nowhere(text: &str) -> String {
    if !text.contains("::") && !text.contains("##[") {
        return with_end(text);
    }
    // A word that the text cannot know.
    let word = delimiter(text);
    format!("::stop-commands::{word}\n{}::{word}::\n", with_end(text))
}

fn with_end(text: &str) -> String {
    let mut text = text.to_owned();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

fn delimiter(text: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(host::precise_timestamp());
    hash.update(std::process::id().to_le_bytes());
    hash.update(text);
    let mut word = "xtask_".to_owned();
    for byte in &hash.finalize()[..12] {
        let _ = write!(word, "{byte:02x}");
    }
    word
}

fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// Adds Markdown to the summary of the job, where there is one.
///
/// # Errors
/// A file that cannot be written.
pub(crate) fn add_summary(markdown: &str) -> Result<()> {
    append("GITHUB_STEP_SUMMARY", &with_end(markdown))
}

/// Adds outputs of the step, where there are such.
///
/// # Errors
/// A file that cannot be written.
pub(crate) fn add_outputs(outputs: &[(String, String)]) -> Result<()> {
    let mut text = String::new();
    for (name, value) in outputs {
        let name = output_name(name);
        if value.contains('\n') {
            let word = delimiter(value);
            let _ = writeln!(text, "{name}<<{word}\n{value}\n{word}");
        } else {
            let _ = writeln!(text, "{name}={value}");
        }
    }
    append("GITHUB_OUTPUT", &text)
}

fn append(variable: &str, text: &str) -> Result<()> {
    let Some(path) = host::variable(variable).filter(|_| runs()) else {
        return Ok(());
    };
    let about = || format!("failed to write to `{path}`, which `{variable}` names");
    let file = File::options()
        .append(true)
        .create(true)
        .open(Path::new(&path));
    let mut file = file.with_context(about)?;
    file.write_all(text.as_bytes()).with_context(about)
}

/// Names of outputs have letters, digits, `-` and `_`.
fn output_name(name: &str) -> String {
    let allowed = |c: char| {
        if c.is_ascii_alphanumeric() || c == '-' || c == '_' {
            c
        } else {
            '_'
        }
    };
    name.chars().map(allowed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_message_ends_the_command_that_carries_it() {
        assert_eq!(
            error_at(Path::new("a,b:c/Dockerfile"), 3, "50% of\r\nit"),
            "::error file=a%2Cb%3Ac/Dockerfile,line=3::50%25 of%0D%0Ait"
        );
        assert_eq!(output_name("digest-api.v1"), "digest-api_v1");
    }

    #[test]
    fn a_build_s_output_commands_nothing() {
        let shown = group("api", "fine\n::add-mask::e\n");
        let (_, rest) = shown.split_once("::stop-commands::").unwrap();
        let (word, rest) = rest.split_once('\n').unwrap();
        assert!(rest.starts_with("fine\n::add-mask::e\n"), "{shown}");
        assert!(
            rest.ends_with(&format!("::{word}::\n::endgroup::")),
            "{shown}"
        );
        assert_eq!(group("api", "fine"), "::group::api\nfine\n::endgroup::");
    }
}
