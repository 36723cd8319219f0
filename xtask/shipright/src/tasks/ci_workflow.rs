//! `ci-workflow`: the workflow of a CI system, made from deploy.toml.

use std::{fs, path::Path, process::ExitCode};

use anyhow::{Context as _, Result};

use super::exit_code;
use crate::{
    cli::{CiWorkflow, System},
    context::Context,
    facts::git,
    model::{path, refusal::Refusal},
    plan::workflow::{self, MARK, Start},
    refused::Refused,
    report::{document, name::typed},
};

/// Writes it, or compares it with the one that is there.
pub(super) fn run(context: &Context, arguments: &CiWorkflow) -> Result<ExitCode> {
    let config = context.config()?;
    if config.environments.is_empty() {
        let cure = "add one: `[environments.dev]` with `account` and `region`";
        return Err(Refused::from(Refusal::new(
            "deploy.toml has no environment to ship to",
            cure,
        ))
        .into());
    }
    if let Some(clash) = workflow::clash(&config) {
        return Err(Refused::from(clash).into());
    }
    let top = git::top(&config.root).unwrap_or_else(|| config.root.clone());
    let inner = config.root.strip_prefix(&top).unwrap_or(Path::new(""));
    let directory = path::slashed(inner);
    let start = Start {
        program: typed(),
        directory: &directory,
    };
    let system = match arguments.system {
        System::Github => workflow::System::GitHub,
        System::Gitlab => workflow::System::GitLab,
    };
    let text = workflow::workflow(&config, system, &start);
    let file = top.join(system.file());
    let there = fs::read_to_string(&file).ok();
    let is_same = there.as_ref() == Some(&text);
    let shown = file.display().to_string();
    if arguments.check {
        if !is_same {
            let kind = if there.is_some() {
                "differs from"
            } else {
                "is missing, which is"
            };
            context.terminal.error(format!(
                "`{shown}` {kind} what deploy.toml makes: cargo xtask ci-workflow {}",
                arguments.system
            ));
        }
        context.print(&serde_json::json!({ "file": shown, "same": is_same }));
        return Ok(exit_code(is_same));
    }
    let is_ours = there.as_ref().is_none_or(|there| there.starts_with(MARK));
    if !is_ours && !context.global.dry_run {
        return Err(Refused::from(Refusal::new(
            format!("`{shown}` is there already, and was not made by this command"),
            "see what would be written with `--dry-run`; move the other away to have it written",
        ))
        .into());
    }
    if !context.global.json {
        document::text_line(&text);
    }
    let is_written = !context.global.dry_run && !is_same;
    if is_written {
        write(&file, &text)?;
        context.terminal.status("Wrote", &shown);
    }
    let to_do = workflow::to_do(&config, system);
    for one in &to_do {
        context.terminal.note(one);
    }
    context.print(
        &serde_json::json!({ "file": shown, "written": is_written, "text": text, "to-do": to_do }),
    );
    Ok(ExitCode::SUCCESS)
}

/// Writes the whole file, or leaves what is there.
fn write(file: &Path, text: &str) -> Result<()> {
    let failed = || format!("failed to write `{}`", file.display());
    let directory = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory).with_context(failed)?;
    let new = file.with_extension("yml.new");
    fs::write(&new, text).with_context(failed)?;
    fs::rename(&new, file).with_context(failed)
}
