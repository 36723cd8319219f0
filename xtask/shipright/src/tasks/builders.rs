//! `builders`: where each CPU's images are built, and how.

use std::{collections::BTreeMap, process::ExitCode};

use anyhow::Result;
use serde::Serialize;

use crate::{
    arch::Arch,
    context::Context,
    docker::Docker,
    model::{builder::Builder, config::Config},
    plan::{self, BuildMode},
    tasks::exit_code,
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
pub(super) fn run(context: &Context) -> Result<ExitCode> {
    let workspace = Workspace::of(context)?;
    let (config, sandbox) = (&workspace.config, workspace.sandbox()?);
    let docker = Workspace::docker(sandbox.as_ref());
    let mut images = images(config);
    let row = |arch| {
        row(
            context,
            config,
            &docker,
            arch,
            images.remove(&arch).unwrap_or_default(),
        )
    };
    let rows: Vec<Row> = Arch::ALL.into_iter().map(row).collect();
    context.print(&rows);
    for row in &rows {
        row.show(context);
    }
    let is_fine = rows
        .iter()
        .all(|row| row.problem.is_none() || row.images.is_empty());
    Ok(exit_code(is_fine))
}

/// What is built for each architecture.
fn images(config: &Config) -> BTreeMap<Arch, Vec<String>> {
    let mut images: BTreeMap<Arch, Vec<String>> = BTreeMap::new();
    for selected in plan::all(config) {
        for arch in config.archs(selected.image) {
            images.entry(arch).or_default().push(selected.name());
        }
    }
    images
}

fn row(
    context: &Context,
    config: &Config,
    docker: &Docker,
    arch: Arch,
    images: Vec<String>,
) -> Row {
    let looks = context.global.dry_run;
    let builder = config.builders.get(&arch).cloned();
    let asked = docker.builder_for(builder.as_ref(), arch, !looks);
    let (platforms, told) = asked.as_ref().map(Clone::clone).unwrap_or_default();
    // What the engine emulates may have changed since its builder was asked.
    let mode = match (&builder, told) {
        (None, Some(BuildMode::Emulated | BuildMode::Cross)) if !looks => {
            let emulates = docker.executes(arch, None).unwrap_or(false);
            Some(if emulates {
                BuildMode::Emulated
            } else {
                BuildMode::Cross
            })
        }
        _ => told,
    };
    let problem = asked.as_ref().err().map(|error| format!("{error:#}"));
    Row {
        arch,
        builder,
        platforms,
        mode,
        problem,
        images,
    }
}

impl Row {
    fn show(&self, context: &Context) {
        let name = Builder::shown(self.builder.as_ref());
        let images = if self.images.is_empty() {
            "no image".to_owned()
        } else {
            self.images.join(", ")
        };
        let mode = self
            .mode
            .map_or("and whether natively is not known", BuildMode::words);
        let terminal = &context.terminal;
        terminal.status(&self.arch.to_string(), &format!("{name}, {mode}: {images}"));
        if !self.platforms.is_empty() {
            terminal.detail(&format!(
                "it says that it builds {}",
                self.platforms.join(", ")
            ));
        }
        if let Some(problem) = &self.problem {
            terminal.error(problem);
        }
    }
}
