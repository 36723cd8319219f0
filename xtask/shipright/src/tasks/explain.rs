//! `explain` and `explain-error`: why a service gets its CPU, and what a message means.

use std::{
    fmt::Write as _,
    io::{IsTerminal, Read},
    path::Path,
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::{
    arch::Arch,
    context::Context,
    model::{path, refusal::Refusal, suggestion::suggestion, target::Target},
    plan::{Selected, reason, trouble},
    refused::Refused,
    report::document,
};

/// One image of a service.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Explained {
    image: String,
    dockerfile: String,
    /// From deploy.toml's directory.
    context: String,
    stage: Option<String>,
    target: Target,
    arch: Arch,
    /// Both, for an image index.
    archs: Vec<Arch>,
    because: String,
    cost: &'static str,
    environments: Vec<String>,
}

/// Says for each image of a service which CPU it is for, which rule decided that, and what it costs or saves.
pub(super) fn service(context: &Context, name: &str) -> Result<ExitCode> {
    let config = context.config()?;
    let service = config.services.get(name).ok_or_else(|| {
        let cure = suggestion(name, config.services.keys().map(String::as_str));
        Refused::from(Refusal::new(
            format!("`{}` is no service of deploy.toml", name.escape_debug()),
            cure,
        ))
    })?;
    let explain = |image| Explained {
        image: Selected { service, image }.name(),
        dockerfile: image.dockerfile.display().to_string(),
        context: path::slashed(config.shown(&image.context)),
        stage: image.stage.clone(),
        target: image.target,
        arch: config.arch(image.target),
        archs: config.archs(image),
        because: reason(&config, image.target, Some(image.target_rule)),
        cost: image.target.cost(config.arch(image.target)),
        environments: image.environments.clone(),
    };
    let images: Vec<_> = service.images.iter().map(explain).collect();
    if context.global.json {
        document::print(&images);
    }
    for image in &images {
        let platforms: Vec<_> = image.archs.iter().map(|arch| arch.platform()).collect();
        let stage = image.stage.as_ref();
        let mut text = format!(
            "{}: {} from {}{} in {}\n",
            image.image,
            platforms.join(" and "),
            image.dockerfile,
            stage.map_or_else(String::new, |stage| format!(", stage {stage}")),
            image.context
        );
        let _ = writeln!(text, "    because      {}", image.because);
        let _ = writeln!(text, "    cost         {}", image.cost);
        let _ = writeln!(text, "    goes to      {}", image.environments.join(", "));
        context.terminal.block(&text);
    }
    Ok(ExitCode::SUCCESS)
}

/// Says what a message means. Exit code 1 when nothing in it is known.
pub(super) fn error(context: &Context, file: Option<&Path>) -> Result<ExitCode> {
    const LONGEST: u64 = 16 * 1024 * 1024;
    let mut bytes = Vec::new();
    match file {
        Some(file) => {
            let open = std::fs::File::open(file)
                .with_context(|| format!("failed to open `{}`", file.display()))?;
            open.take(LONGEST)
                .read_to_end(&mut bytes)
                .with_context(|| format!("failed to read `{}`", file.display()))?;
        }
        None => {
            if std::io::stdin().is_terminal() {
                context
                    .terminal
                    .note("paste the message, then press Ctrl-D");
            }
            std::io::stdin()
                .lock()
                .take(LONGEST)
                .read_to_end(&mut bytes)
                .context("failed to read standard input")?;
        }
    }
    let found = trouble::explain(&String::from_utf8_lossy(&bytes));
    if context.global.json {
        document::print(&found);
    }
    for trouble in &found {
        context.terminal.block(&format!(
            "{}\n    cause   {}\n    next    {}",
            trouble.name, trouble.cause, trouble.next
        ));
    }
    if found.is_empty() {
        context.terminal.error("nothing in this text is known: `cargo xtask verify image REF` looks at an image itself");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}
