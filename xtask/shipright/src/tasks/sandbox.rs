//! `sandbox`: the local AWS by itself.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::{
    cli::Sandbox as Command,
    config,
    context::Context,
    facts::host::variable,
    model::{refusal::Refusal, shell::quoted},
    refused::Refused,
    report::document,
    sandbox::{ACCOUNT, REGION, Sandbox},
};

/// Starts, stops or describes the sandbox.
pub(super) fn run(context: &Context, command: Command) -> Result<ExitCode> {
    // A sandbox can be stopped and looked at whatever is wrong in deploy.toml: only its place is needed.
    let root = project_root(context.global.config.as_deref())?;
    let config = root.as_path();
    let terminal = &context.terminal;
    if context.global.dry_run && matches!(command, Command::Up | Command::Down) {
        let doing = if matches!(command, Command::Up) {
            "start what is missing of"
        } else {
            "stop"
        };
        terminal.note(&format!(
            "this would {doing} the sandbox in `{}`",
            root.display()
        ));
        return Ok(ExitCode::SUCCESS);
    }
    match command {
        Command::Up => Ok(status(context, &Sandbox::up(config, terminal)?)),
        Command::Down => {
            let text = if Sandbox::down(config)? {
                "the sandbox"
            } else {
                "nothing: no sandbox was running"
            };
            terminal.status("Stopped", text);
            if context.global.json {
                document::print(&Status::default());
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Status => Ok(status(context, &Sandbox::look(config)?)),
        Command::Env => env(context, &Sandbox::look(config)?),
    }
}

/// Where everything is.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Status {
    running: bool,
    endpoint: Option<String>,
    registry: Option<String>,
    region: Option<&'static str>,
    account: Option<&'static str>,
    /// The private engine's address. `None` where the user's own is used.
    docker_host: Option<String>,
    private_engine: bool,
}

impl Status {
    fn of(session: &Sandbox) -> Self {
        let engine = session.engine_is_up();
        let host = session
            .docker_host()
            .filter(|_| engine == Some(true))
            .or_else(|| variable("DOCKER_HOST").filter(|_| engine.is_none()));
        let private_engine = engine == Some(true);
        if !session.is_up() {
            return Self {
                docker_host: host.filter(|_| private_engine),
                private_engine,
                ..Self::default()
            };
        }
        Self {
            running: engine != Some(false),
            endpoint: Some(session.endpoint()),
            registry: Some(session.registry()),
            region: Some(REGION),
            account: Some(ACCOUNT),
            docker_host: host,
            private_engine,
        }
    }
}

fn status(context: &Context, session: &Sandbox) -> ExitCode {
    let status = Status::of(session);
    if context.global.json {
        document::print(&status);
    }
    let mut lines = Vec::new();
    if let (Some(endpoint), Some(registry)) = (&status.endpoint, &status.registry) {
        lines.push(format!("endpoint     {endpoint}\nregistry     {registry}\nregion       {REGION}\naccount      {ACCOUNT}"));
    }
    match (&status.docker_host, status.private_engine) {
        (Some(host), true) => lines.push(format!("docker       {host} (private)")),
        (Some(host), false) if status.running => lines.push(format!("docker       {host}")),
        (None, _) if status.running => lines.push("docker       your own Docker Engine".to_owned()),
        _ => {}
    }
    let rest = "`cargo xtask sandbox up` starts what is missing, `sandbox down` stops the rest";
    match (lines.is_empty(), status.running) {
        (true, _) => {
            lines.push("no sandbox is running; `cargo xtask sandbox up` starts one".to_owned());
        }
        (false, false) => lines.push(format!("only a part of the sandbox is running; {rest}")),
        (false, true) => {}
    }
    context.terminal.block(&lines.join("\n"));
    ExitCode::SUCCESS
}

/// The directory of deploy.toml, which may have mistakes.
fn project_root(file: Option<&Path>) -> Result<PathBuf> {
    let here = std::env::current_dir().context("failed to read the current directory")?;
    let found = file
        .map(|file| here.join(file))
        .or_else(|| config::find(&here));
    let root = found
        .as_deref()
        .and_then(Path::parent)
        .map(Path::to_path_buf);
    root.ok_or_else(|| {
        let problem = format!(
            "there is no {} in `{}` or above it",
            config::FILE,
            here.display()
        );
        Refused::from(Refusal::new(
            problem,
            "go to the project's directory, or name the file with `--config`",
        ))
        .into()
    })
}

fn env(context: &Context, session: &Sandbox) -> Result<ExitCode> {
    if !session.is_up() {
        return Err(Refused::from(Refusal::new(
            "no sandbox is running",
            "cargo xtask sandbox up",
        ))
        .into());
    }
    if context.global.json {
        document::print(
            &session
                .variables()
                .into_iter()
                .collect::<std::collections::BTreeMap<_, _>>(),
        );
        return Ok(ExitCode::SUCCESS);
    }
    let lines = session
        .variables()
        .into_iter()
        .map(|(name, value)| format!("export {name}={}", quoted([value.as_str()])));
    let gone = ["unset AWS_PROFILE AWS_SESSION_TOKEN".to_owned()];
    document::text_line(&gone.into_iter().chain(lines).collect::<Vec<_>>().join("\n"));
    Ok(ExitCode::SUCCESS)
}
