//! `builders`: where each CPU's images are built, and how.

use std::{collections::BTreeMap, process::ExitCode};

use anyhow::Result;
use serde::Serialize;

use super::Context;
use crate::{
    arch::Arch,
    docker::Docker,
    model::builder::Builder,
    plan::{How, Selected},
    report::document,
    sandbox,
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
    how: Option<How>,
    /// Why it cannot be asked.
    problem: Option<String>,
    images: Vec<String>,
}

/// Lists them.
pub fn run(context: &Context) -> Result<ExitCode> {
    let mut config = context.config()?;
    let sandbox = sandbox::for_command(context.global.sandbox, context.global.dry_run, &mut config, &context.terminal)?;
    let docker = Docker::new(&sandbox.map(|sandbox| sandbox.docker_env()).unwrap_or_default());
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
        let how = match (&builder, told) {
            (None, Some(How::Emulated | How::Cross)) if !context.global.dry_run => {
                Some(if docker.executes(arch, None).unwrap_or(false) { How::Emulated } else { How::Cross })
            }
            _ => told,
        };
        let problem = asked.as_ref().err().map(|error| format!("{error:#}"));
        let images = images.remove(&arch).unwrap_or_default();
        rows.push(Row { arch, builder, platforms, how, problem, images });
    }
    if context.global.json {
        document::print(&rows);
    }
    for row in &rows {
        let name = Builder::shown(row.builder.as_ref());
        let images = if row.images.is_empty() { "no image".to_owned() } else { row.images.join(", ") };
        let how = row.how.map_or("and whether natively is not known", How::words);
        context.terminal.status(&row.arch.to_string(), &format!("{name}, {how}: {images}"));
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
