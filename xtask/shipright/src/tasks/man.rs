//! `man`: a page for each command.

use std::{fs, path::Path, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::Command;

use crate::{context::Context, report::terminal::one_line};

/// Writes the pages into a directory. `command` is the command line with everything that can be typed.
///
/// # Errors
/// A directory or a page that cannot be written.
pub(crate) fn write(context: &Context, command: Command, directory: &Path) -> Result<ExitCode> {
    let shown = directory.display().to_string();
    if context.global.dry_run {
        let text = format!(
            "would write a page for each command into {}",
            one_line(&shown)
        );
        context.terminal.note(&text);
        return Ok(ExitCode::SUCCESS);
    }
    let about = || format!("failed to write pages into `{shown}`");
    fs::create_dir_all(directory).with_context(about)?;
    clap_mangen::generate_to(command, directory).with_context(about)?;
    let text = format!("a page for each command into {shown}; `man -M` and `MANPATH` know where");
    context.terminal.status("Wrote", &text);
    context.print(&serde_json::json!({ "directory": shown }));
    Ok(ExitCode::SUCCESS)
}
