//! `builders`: where each CPU's images are built, and mode.

use std::{collections::BTreeMap, process::ExitCode};

use anyhow::Result;
use serde::Serialize;

use crate::{
    arch::Arch,
    context::Context,
    model::builder::Builder,
    plan::{BuildMode, Selected},
    report::document,
    workspace::Workspace,
};

/// One CPU's builder.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Row {
    arch: Arch,
    /// Its name, as `docker buildx ls` has it. `None`: docker's current one.
    builder: Option<Builder>,
    /// The platforms that it says it builds.
    platforms: Vec<String>,
    /// Whether that takes emulation. `None`: it cannot be told.
    mode: Option<BuildMode>,
    /// Why it cannot be asked.
    problem: Option<String>,
    images: Vec<String>,
}

/// Lists them.
pub fn run(context: &Context) -> Result<ExitCode> {
    let workspace = Workspace::of(context)?;
    let (config, sandbox) = (&workspace.config, workspace.sandbox()?);
    let docker = Workspace::docker(sandbox.as_ref());
    let mut images: BTreeMap<Arch, Vec<String>> = BTreeMap::new();
    for service in config.services.values() {
        for image in &service.images {
            let archs = if image.multi_arch { Arch::ALL.to_vec() } else { vec![config.arch(image.target)] };
            for arch in archs {
                images.entry(arch).or_default().push(Selected { service, image }.name());
            }
        }
    }
    let mut rows = Vec::new();
    for arch in Arch::ALL {
        let builder = config.builders.get(&arch).cloned();
        let asked = docker.builder_for(builder.as_ref(), arch, !context.global.dry_run);
        let (platforms, told) = asked.as_ref().map(Clone::clone).unwrap_or_default();
        // What the engine emulates may have changed since its builder was asked.
        let mode = match (&builder, told) {
            (None, Some(BuildMode::Emulated | BuildMode::Cross)) if !context.global.dry_run => {
                Some(if docker.executes(arch, None).unwrap_or(false) { BuildMode::Emulated } else { BuildMode::Cross })
            }
            _ => told,
        };
        let problem = asked.as_ref().err().map(|error| format!("{error:#}"));
        let images = images.remove(&arch).unwrap_or_default();
        rows.push(Row { arch, builder, platforms, mode, problem, images });
    }
    if context.global.json {
        document::print(&rows);
    }
    for row in &rows {
        let name = Builder::shown(row.builder.as_ref());
        let images = if row.images.is_empty() { "no image".to_owned() } else { row.images.join(", ") };
        let mode = row.mode.map_or("and whether natively is not known", BuildMode::words);
        context.terminal.status(&row.arch.to_string(), &format!("{name}, {mode}: {images}"));
        if !row.platforms.is_empty() {
            context.terminal.detail(&format!("it says that it builds {}", row.platforms.join(", ")));
        }
        if let Some(problem) = &row.problem {
            context.terminal.error(problem);
        }
    }
    let is_fine = rows.iter().all(|row| row.problem.is_none() || row.images.is_empty());
    Ok(if is_fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
