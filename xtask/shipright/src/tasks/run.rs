//! `run`: an image on this machine, for the CPU that it is for, with its port where one can reach it.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::{Context, Refused, reach::Reached};
use crate::{
    arch::Arch,
    cli::Run,
    docker::{Docker, Others, Session},
    facts::host,
    interrupt,
    model::{config::Config, refusal::Refusal, target::Target},
    plan::{self, Selected},
    report::document,
    sandbox,
};

/// What `docker run` ends with when it could not start the container. Source: docker's reference, "Exit status".
const NOT_STARTED: i32 = 125;

/// Where Lambda's base images, and everything else, listen inside. Source: AWS's "Test Lambda container images locally".
const INSIDE: u16 = 8080;

/// Runs an image in the foreground.
pub fn run(context: &Context, arguments: &Run) -> Result<ExitCode> {
    let mut config = context.config()?;
    let dockerfile = arguments.dockerfile.as_deref();
    plan::one(&config, arguments.service.as_deref(), dockerfile).map_err(Refused::from)?;
    let reached = arguments.env.as_deref().map(|env| Reached::open(context, env)).transpose()?;
    let session = match &reached {
        Some(_) => None,
        None => sandbox::for_command(context.global.sandbox, context.global.dry_run, &mut config, &context.terminal)?,
    };
    let sandbox = reached.as_ref().and_then(|reached| reached.sandbox.as_ref()).or(session.as_ref());
    let docker = Docker::new(&sandbox.map(sandbox::Session::docker_env).unwrap_or_default());
    let selected = plan::one(&config, arguments.service.as_deref(), dockerfile).map_err(Refused::from)?;
    let target = selected.image.target;
    if let Some(environment) = arguments.env.as_ref().filter(|name| !selected.image.environments.contains(name)) {
        let problem = format!("{} does not go to `{environment}`", selected.name());
        let cure =
            format!("leave `--env` out for the local image, or add \"{environment}\" to its `environments` in deploy.toml");
        return Err(Refused::from(Refusal::new(problem, cure)).into());
    }
    let arch = arguments.arch.unwrap_or_else(|| usual_arch(&config, selected, &docker));
    let outside = arguments.port.unwrap_or(target.usual_port());
    let image = match &reached {
        Some(reached) => format!("{}/{}:{}", reached.place.registry, reached.repository(selected), reached.tag(selected)),
        // The last name is the most special.
        None => plan::local_names(&config, selected.service, Some(selected.image), arch).pop().unwrap_or_default(),
    };
    let words = command(&image, arch, outside);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let shown = crate::model::shell::quoted(std::iter::once("docker").chain(words.iter().copied()));
    let about = |exit: Option<i32>| {
        if context.global.json {
            document::print(&json!({ "image": image, "arch": arch, "port": outside, "command": shown, "exit-code": exit }));
        }
    };
    if context.global.dry_run {
        about(None);
        context.terminal.block(&shown);
        return Ok(ExitCode::SUCCESS);
    }
    docker.check()?;
    can_execute(&docker, arch)?;
    if let Some(reached) = &reached {
        let login = Session::open(&docker, &reached.place.registry, reached.aws.reader(), Others::LeftOut)?;
        context.terminal.status("Pulling", &image);
        let push = || format!("where it is not there yet: cargo xtask push {}", reached.environment.name);
        docker.pull(&login, &image, arch).with_context(push)?;
    } else if !docker.has(&image) {
        let problem = format!("there is no image `{image}` here");
        let service = &selected.service.name;
        let file = selected.image.dockerfile.display();
        let sandbox = if context.global.sandbox { " --sandbox" } else { "" };
        let cure = format!("build it: cargo xtask docker-build --service {service} --dockerfile {file} --arch {arch}{sandbox}");
        return Err(Refused::from(Refusal::new(problem, cure)).into());
    }
    context.terminal.status("Running", &shown);
    context.terminal.note(&match target {
        Target::Lambda => {
            format!("call it: curl http://localhost:{outside}/2015-03-31/functions/function/invocations --data '{{}}'")
        }
        Target::AppRunner | Target::Eks => format!("look at it: http://localhost:{outside}/"),
    });
    let terminal_is_its = interrupt::hand_over();
    let outcome = docker.run(&words, context.global.json).context("failed to run the image")?;
    drop(terminal_is_its);
    let exit = outcome.status.and_then(|status| status.code());
    about(exit);
    if exit == Some(NOT_STARTED) {
        context.terminal.note(&format!("where port {outside} is taken, say another: --port {}", outside.saturating_add(1)));
    }
    Ok(if outcome.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// An image for both CPUs runs natively, any other for the CPU of its target.
fn usual_arch(config: &Config, selected: Selected<'_>, docker: &Docker) -> Arch {
    let native = || docker.native_arch().or_else(host::arch);
    let native = if selected.image.multi_arch { native() } else { None };
    native.unwrap_or_else(|| config.arch(selected.image.target))
}

/// Says before the start what would otherwise be `exec format error` after it.
fn can_execute(docker: &Docker, arch: Arch) -> Result<()> {
    if docker.native_arch() == Some(arch) || docker.engine_executes(arch)? {
        return Ok(());
    }
    let native = docker.native_arch().map_or_else(|| "another CPU".to_owned(), |native| native.to_string());
    let problem = format!("this engine runs on {native} and cannot execute {arch}: the image would end with `exec format error`");
    let cure = "install emulation, a one-time setup: cargo xtask doctor --fix; or run the image for this CPU with `--arch`";
    Err(Refused::from(Refusal::new(problem, cure)).into())
}

/// Nobody else on the network can reach it.
fn command(image: &str, arch: Arch, outside: u16) -> Vec<String> {
    let port = format!("127.0.0.1:{outside}:{INSIDE}");
    let words = ["run", "--rm", "--init", "--platform", &arch.platform(), "--publish", &port, image];
    words.map(str::to_owned).into()
}
