//! `run`: an image on this machine, for the CPU that it is for, with its port where one can reach it.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::{
    arch::Arch,
    cli::Run,
    context::Context,
    docker::{Docker, ExistingLogins, LoginSession},
    facts::host,
    interrupt,
    model::{config::Config, refusal::Refusal, shell::quoted, target::Target},
    plan::{self, Selected, Wanted},
    refused::Refused,
    sandbox::Sandbox,
    session::Session,
    tasks::exit_code,
    workspace::Workspace,
};

/// What `docker run` ends with when it could not start the container. Source: docker's reference, "Exit status".
const NOT_STARTED: i32 = 125;

/// Where Lambda's base images, and everything else, listen inside. Source: AWS's "Test Lambda container images locally".
const INSIDE: u16 = 8080;

/// Runs an image in the foreground.
pub(super) fn run(context: &Context, arguments: &Run) -> Result<ExitCode> {
    let workspace = Workspace::of(context)?;
    let config = &workspace.config;
    let named = arguments.service.as_deref();
    let wanted = Wanted {
        dockerfile: arguments.dockerfile.as_deref(),
        stage: arguments.stage.as_deref(),
    };
    let selected = plan::one(config, named, wanted).map_err(Refused::from)?;
    let session = arguments
        .env
        .as_deref()
        .map(|env| Session::open(&workspace, env))
        .transpose()?;
    let own = if session.is_none() {
        workspace.sandbox()?
    } else {
        None
    };
    let sandbox = session
        .as_ref()
        .and_then(|session| session.sandbox.as_ref())
        .or(own.as_ref());
    let docker = Workspace::docker(sandbox);
    goes_there(selected, arguments.env.as_ref())?;
    let arch = arguments
        .arch
        .unwrap_or_else(|| usual_arch(config, selected, &docker));
    let outside = arguments.port.unwrap_or(selected.image.target.usual_port());
    let image = match &session {
        Some(session) => {
            format!(
                "{}/{}:{}",
                session.place.registry,
                session.repository(selected),
                session.tag(selected)
            )
        }
        // The last name is the most special.
        None => plan::local_names(config, selected.service, Some(selected.image), arch)
            .pop()
            .unwrap_or_default(),
    };
    let container = Container {
        context,
        docker: &docker,
        image,
        arch,
        outside,
        address: sandbox.map_or("127.0.0.1", Sandbox::publishing_address),
    };
    if context.global.dry_run {
        container.report(None);
        context.terminal.block(&container.command_line());
        return Ok(ExitCode::SUCCESS);
    }
    docker.check()?;
    can_execute(&docker, arch)?;
    match &session {
        Some(session) => container.pull(session)?,
        None => container.require_built(selected)?,
    }
    let _leads_there = sandbox
        .map(|sandbox| sandbox.forward(outside))
        .transpose()?;
    container.start(selected.image.target)
}

fn goes_there(selected: Selected<'_>, environment: Option<&String>) -> Result<(), Refused> {
    let Some(environment) = environment.filter(|name| !selected.image.environments.contains(name))
    else {
        return Ok(());
    };
    let problem = format!("{} does not go to `{environment}`", selected.name());
    let cure = format!(
        "leave `--env` out for the local image, or add \"{environment}\" to its `environments` in deploy.toml"
    );
    Err(Refusal::new(problem, cure).into())
}

/// A container that is to run here.
struct Container<'c> {
    context: &'c Context,
    docker: &'c Docker,
    image: String,
    arch: Arch,
    /// The port of this machine.
    outside: u16,
    /// Where the engine listens for it. Nobody else on the network can reach it.
    address: &'static str,
}

impl Container<'_> {
    fn words(&self) -> Vec<String> {
        let port = format!("{}:{}:{INSIDE}", self.address, self.outside);
        let words = [
            "run",
            "--rm",
            "--init",
            "--platform",
            &self.arch.platform(),
            "--publish",
            &port,
            &self.image,
        ];
        words.map(str::to_owned).into()
    }

    fn command_line(&self) -> String {
        quoted(std::iter::once("docker").chain(self.words().iter().map(String::as_str)))
    }

    fn report(&self, exit: Option<i32>) {
        self.context.print(&json!({
            "image": self.image, "arch": self.arch, "port": self.outside, "command": self.command_line(), "exit-code": exit,
        }));
    }

    fn pull(&self, session: &Session<'_>) -> Result<()> {
        let registry = &session.place.registry;
        let login = LoginSession::open(
            self.docker,
            registry,
            session.repositories(),
            ExistingLogins::LeftOut,
        )?;
        self.context.terminal.status("Pulling", &self.image);
        let push = || {
            format!(
                "where it is not there yet: cargo xtask push {}",
                session.environment.name
            )
        };
        self.docker
            .pull(&login, &self.image, self.arch)
            .with_context(push)
    }

    fn require_built(&self, selected: Selected<'_>) -> Result<(), Refused> {
        if self.docker.has(&self.image) {
            return Ok(());
        }
        let problem = format!("there is no image `{}` here", self.image);
        let (service, file, arch) = (
            &selected.service.name,
            selected.image.dockerfile.display(),
            self.arch,
        );
        let sandbox = self.context.sandbox_flag();
        let cure = format!(
            "build it: cargo xtask docker-build --service {service} --dockerfile {file} --arch {arch}{sandbox}"
        );
        Err(Refusal::new(problem, cure).into())
    }

    fn start(&self, target: Target) -> Result<ExitCode> {
        let (terminal, outside) = (&self.context.terminal, self.outside);
        terminal.status("Running", &self.command_line());
        terminal.note(&match target {
            Target::Lambda => {
                format!("call it: curl http://localhost:{outside}/2015-03-31/functions/function/invocations --data '{{}}'")
            }
            Target::AppRunner | Target::Ecs | Target::Eks => format!("look at it: http://localhost:{outside}/"),
        });
        let words = self.words();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let terminal_is_its = interrupt::hand_over();
        let outcome = self
            .docker
            .run_in_foreground(&words, self.context.global.json)
            .context("failed to run the image")?;
        drop(terminal_is_its);
        let exit = outcome.status.and_then(|status| status.code());
        self.report(exit);
        if exit == Some(NOT_STARTED) {
            let next = outside.saturating_add(1);
            terminal.note(&format!(
                "where port {outside} is taken, say another: --port {next}"
            ));
        }
        Ok(exit_code(outcome.success()))
    }
}

/// An image for both CPUs runs natively, any other for the CPU of its target.
fn usual_arch(config: &Config, selected: Selected<'_>, docker: &Docker) -> Arch {
    let native = || docker.native_arch().or_else(host::arch);
    let native = if selected.image.multi_arch {
        native()
    } else {
        None
    };
    native.unwrap_or_else(|| config.arch(selected.image.target))
}

/// Says before the start what would otherwise be `exec format error` after it.
fn can_execute(docker: &Docker, arch: Arch) -> Result<()> {
    if docker.native_arch() == Some(arch) || docker.engine_executes(arch)? {
        return Ok(());
    }
    let native = docker
        .native_arch()
        .map_or_else(|| "another CPU".to_owned(), |native| native.to_string());
    let problem = format!(
        "this engine runs on {native} and cannot execute {arch}: the image would end with `exec format error`"
    );
    let cure = "install emulation, a one-time setup: cargo xtask doctor --fix; or run the image for this CPU with `--arch`";
    Err(Refused::from(Refusal::new(problem, cure)).into())
}
