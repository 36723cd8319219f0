//! `schema`: what editors need to help.

use std::process::ExitCode;

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
