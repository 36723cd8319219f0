//! `schema` and `completions`: what editors and shells need to help.

use std::process::ExitCode;

use clap::Command;
use clap_complete::Shell;

use crate::{config, report::document};

/// Prints the JSON Schema of deploy.toml.
pub(super) fn print() -> ExitCode {
    document::text_line(&text());
    ExitCode::SUCCESS
}

/// The JSON Schema of deploy.toml.
pub fn text() -> String {
    serde_json::to_string_pretty(&config::schema()).unwrap_or_default() + "\n"
}

/// Prints a shell's completions of a command line.
pub(crate) fn completions(command: &mut Command, shell: Shell) -> ExitCode {
    let name = command.get_name().to_owned();
    let mut bytes = Vec::new();
    clap_complete::generate(shell, command, name, &mut bytes);
    document::text_line(&String::from_utf8_lossy(&bytes));
    ExitCode::SUCCESS
}
