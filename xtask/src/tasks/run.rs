//! `run`: an image on this machine, for the CPU that it is for, with its port where one can reach it.

use std::process::ExitCode;

use anyhow::{Context as _, Result};

use super::{Context, Refused, reach::Reached};
use crate::{
    arch::Arch,
    cli::Run,
    config::{Config, suggestion},
    docker::{Docker, Others, Session},
    policy::{
        plan::{Refusal, Selected},
        target::Target,
    },
    sandbox,
};

/// Where Lambda's base images, and everything else, listen inside. Source: AWS's "Test Lambda container images locally".
const INSIDE: u16 = 8080;

/// Runs an image in the foreground.
pub fn run(context: &Context, arguments: &Run) -> Result<ExitCode> {
    let mut config = context.config()?;
    let name = arguments.service.clone().unwrap_or_else(|| config.default_service.clone());
    let selected = selected(&config, &name, arguments.dockerfile.as_deref())?;
    let target = selected.image.target;
    let arch = arguments.arch.unwrap_or_else(|| config.arch(target));
    let outside = arguments.port.unwrap_or(if target == Target::Lambda { 9000 } else { INSIDE });
    let local = format!("{}:{name}-{arch}-latest", config.project);
    let reached = arguments.env.as_deref().map(|env| Reached::open(context, env)).transpose()?;
    let image = match &reached {
        Some(reached) => format!("{}/{}:{}", reached.place.registry, reached.repository(selected), reached.tag(selected)),
        None => local.clone(),
    };
    let words = command(&image, arch, outside);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let shown = crate::process::quoted(std::iter::once("docker").chain(words.iter().copied()));
    if context.global.dry_run {
        context.terminal.block(&shown);
        return Ok(ExitCode::SUCCESS);
    }
    let session = match &reached {
        Some(_) => None,
        None => sandbox::for_command(context.global.sandbox, false, &mut config, &context.terminal)?,
    };
    let sandbox = reached.as_ref().and_then(|reached| reached.sandbox.as_ref()).or(session.as_ref());
    let docker = Docker::new(&sandbox.map(sandbox::Session::docker_env).unwrap_or_default());
    docker.check()?;
    can_execute(&docker, arch)?;
    if let Some(reached) = &reached {
        let login = Session::open(&docker, &reached.place.registry, reached.aws.reader(), Others::LeftOut)?;
        context.terminal.status("Pulling", &image);
        docker.pull(&login, &image, arch)?;
    } else if !docker.has(&image) {
        let problem = format!("there is no image `{image}` here");
        let cure = format!("build it: cargo xtask docker-build --service {name} --arch {arch}");
        return Err(Refused::from(Refusal::new(problem, cure)).into());
    }
    context.terminal.status("Running", &shown);
    context.terminal.note(&match target {
        Target::Lambda => {
            format!("call it: curl http://localhost:{outside}/2015-03-31/functions/function/invocations --data '{{}}'")
        }
        Target::AppRunner | Target::Eks => format!("look at it: http://localhost:{outside}/"),
    });
    let outcome = docker.run(&words).context("failed to run the image")?;
    Ok(if outcome.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Says before the start what would otherwise be `exec format error` after it.
fn can_execute(docker: &Docker, arch: Arch) -> Result<()> {
    if docker.native_arch() == Some(arch) || docker.executes(arch)? {
        return Ok(());
    }
    let native = docker.native_arch().map_or_else(|| "another CPU".to_owned(), |native| native.to_string());
    let problem = format!("this engine runs on {native} and cannot execute {arch}: the image would end with `exec format error`");
    let cure = "install emulation, a one-time setup: cargo xtask doctor --fix; or run the image for this CPU with `--arch`";
    Err(Refused::from(Refusal::new(problem, cure)).into())
}

fn selected<'c>(config: &'c Config, name: &str, dockerfile: Option<&str>) -> Result<Selected<'c>, Refused> {
    let service = config.services.get(name).ok_or_else(|| {
        let known = config.services.keys().map(String::as_str);
        Refusal::new(format!("`{}` is no service of deploy.toml", name.escape_debug()), suggestion(name, known))
    })?;
    let named = |wanted: &str| service.images.iter().find(|image| image.dockerfile.to_str() == Some(wanted));
    let image = match dockerfile {
        Some(wanted) => named(wanted).ok_or_else(|| {
            let known: Vec<_> = service.images.iter().filter_map(|image| image.dockerfile.to_str()).collect();
            let problem = format!("no image of `{name}` is built from `{}`", wanted.escape_debug());
            Refusal::new(problem, suggestion(wanted, known.iter().copied()))
        })?,
        None => named("Dockerfile.lambda")
            .or(service.images.first())
            .ok_or_else(|| Refusal::new(format!("service `{name}` has no image"), "add one to deploy.toml"))?,
    };
    Ok(Selected { service, image })
}

/// Nobody else on the network can reach it.
fn command(image: &str, arch: Arch, outside: u16) -> Vec<String> {
    let port = format!("127.0.0.1:{outside}:{INSIDE}");
    let words = ["run", "--rm", "--init", "--platform", &arch.platform(), "--publish", &port, image];
    words.map(str::to_owned).into()
}
