//! `ci`: everything that has to hold before a change lands, in the order of what fails fastest.

use std::process::ExitCode;

use anyhow::{Context as _, Result};

use super::Context;
use crate::process::{Tool, quoted};

/// The steps. `RUSTFLAGS` stays as it is, so that the dependencies of `cargo xtask` itself are not built again.
const STEPS: [(&str, &[&str]); 4] = [
    ("format", &["fmt", "--all", "--check"]),
    ("lints", &["clippy", "--locked", "--workspace", "--all-targets", "--", "--deny", "warnings"]),
    ("tests", &["test", "--locked", "--workspace"]),
    (
        "end-to-end run",
        &["test", "--locked", "--package", "xtask", "--test", "end_to_end", "--", "--ignored", "--nocapture", "--test-threads=1"],
    ),
];

/// Runs every step. The first that fails ends it.
pub fn run(context: &Context) -> Result<ExitCode> {
    let root = context.config()?.root;
    for (name, words) in STEPS {
        context
            .terminal
            .status("Checking", &format!("{name}: {}", quoted(std::iter::once("cargo").chain(words.iter().copied()))));
        if context.global.dry_run {
            continue;
        }
        let outcome = Tool::new("cargo").folder(&root).inherit(words).with_context(|| format!("failed to start the {name}"))?;
        if !outcome.success() {
            context.terminal.error(format!("the {name} failed: cargo {}", outcome.describe()));
            return Ok(ExitCode::FAILURE);
        }
    }
    if context.global.dry_run {
        return Ok(ExitCode::SUCCESS);
    }
    context.terminal.status("Passed", "format, lints, tests and the end-to-end run");
    Ok(ExitCode::SUCCESS)
}
