//! `schema` and `completions`: what editors and shells need to help.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap_complete::Shell;

use super::Context;
use crate::{cli, config, report::document};

/// The schema's file, beside deploy.toml.
pub const FILE: &str = "deploy.schema.json";

/// Prints the JSON Schema of deploy.toml, or writes it beside the file.
pub fn print(context: &Context, write: bool) -> Result<ExitCode> {
    if write && !context.global.dry_run {
        let folder = context.config()?.root;
        let file = folder.join(FILE);
        std::fs::write(&file, text()).with_context(|| format!("failed to write `{}`", file.display()))?;
        context.terminal.status("Wrote", &file.display().to_string());
    } else {
        document::text_line(&text());
    }
    Ok(ExitCode::SUCCESS)
}

fn text() -> String {
    serde_json::to_string_pretty(&config::schema()).unwrap_or_default() + "\n"
}

/// Prints a shell's completions, with the commands of every environment.
pub fn completions(context: &Context, shell: Shell) -> ExitCode {
    let environments: Vec<_> = context.config().map(|config| config.environments.into_keys().collect()).unwrap_or_default();
    let mut bytes = Vec::new();
    clap_complete::generate(shell, &mut cli::command(&environments), "xtask", &mut bytes);
    document::text_line(&String::from_utf8_lossy(&bytes));
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_in_the_repository_is_the_one_of_these_types() {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(FILE);
        let written = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(written == text(), "{FILE} is stale: run `cargo xtask schema --write`");
    }
}
