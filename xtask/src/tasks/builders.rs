//! `builders`: where each CPU's images are built, and how.

use std::{collections::BTreeMap, process::ExitCode};

use anyhow::Result;
use serde::Serialize;

use super::Context;
use crate::{
    arch::Arch,
    docker::Docker,
    policy::plan::{Builder, Selected},
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
    /// `native`, `emulated`, `cross`, or `unknown`.
    how: &'static str,
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
        let asked = docker.builder_platforms(builder.as_ref());
        let how = match (&asked, &builder) {
            (Err(_), _) => "unknown",
            (Ok(_), None) if docker.native_arch() == Some(arch) => "native",
            (Ok(_), None) if docker.executes(arch).unwrap_or(false) => "emulated",
            // A builder's nodes say what they are: the first platform of a node is its own.
            (Ok(platforms), Some(_)) if platforms.first().is_some_and(|first| first.starts_with(&arch.platform())) => "native",
            (Ok(platforms), Some(_)) if platforms.iter().any(|one| one.starts_with(&arch.platform())) => "emulated",
            (Ok(_), _) => "cross",
        };
        let problem = asked.as_ref().err().map(|error| format!("{error:#}"));
        let images = images.remove(&arch).unwrap_or_default();
        rows.push(Row { arch, builder, platforms: asked.unwrap_or_default(), how, problem, images });
    }
    if context.global.json {
        document::print(&rows);
    }
    for row in &rows {
        let name = row.builder.as_ref().map_or("docker's current builder", |builder| builder.name.as_str());
        let images = if row.images.is_empty() { "no image".to_owned() } else { row.images.join(", ") };
        let how = match row.how {
            "native" => "natively",
            "emulated" => "with emulation, slow where programs are executed",
            "cross" => "without executing anything: only cross-compiling Dockerfiles build",
            _ => "unknown",
        };
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
