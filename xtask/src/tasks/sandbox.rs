//! `sandbox`: the local AWS by itself.

use std::process::ExitCode;

use anyhow::{Result, bail};
use serde::Serialize;

use super::Context;
use crate::{
    cli::Sandbox,
    process::quoted,
    report::document,
    sandbox::{ACCOUNT, REGION, Session},
};

/// Starts, stops or describes the sandbox.
pub fn run(context: &Context, command: Sandbox) -> Result<ExitCode> {
    let config = context.config()?;
    let terminal = &context.terminal;
    if context.global.dry_run && matches!(command, Sandbox::Up | Sandbox::Down) {
        let doing = if matches!(command, Sandbox::Up) { "start what is missing of" } else { "stop" };
        terminal.note(&format!("this would {doing} the sandbox:"));
        return Ok(status(context, &Session::look(&config)?));
    }
    match command {
        Sandbox::Up => Ok(status(context, &Session::up(&config, terminal)?)),
        Sandbox::Down => {
            let text = if Session::down(&config)? { "the sandbox" } else { "nothing: no sandbox was running" };
            terminal.status("Stopped", text);
            if context.global.json {
                document::print(&Status::default());
            }
            Ok(ExitCode::SUCCESS)
        }
        Sandbox::Status => Ok(status(context, &Session::look(&config)?)),
        Sandbox::Env => env(context, &Session::look(&config)?),
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
    fn of(session: &Session) -> Self {
        if !session.is_up() {
            return Self::default();
        }
        Self {
            running: true,
            endpoint: Some(session.endpoint()),
            registry: Some(session.registry()),
            region: Some(REGION),
            account: Some(ACCOUNT),
            private_engine: session.docker_host().is_some(),
            docker_host: session.docker_host().or_else(|| crate::facts::host::variable("DOCKER_HOST")),
        }
    }
}

fn status(context: &Context, session: &Session) -> ExitCode {
    let status = Status::of(session);
    if context.global.json {
        document::print(&status);
    }
    let (Some(endpoint), Some(registry)) = (&status.endpoint, &status.registry) else {
        context.terminal.block("no sandbox is running; `cargo xtask sandbox up` starts one");
        return ExitCode::SUCCESS;
    };
    let docker = match (&status.docker_host, status.private_engine) {
        (Some(host), true) => format!("{host} (private)"),
        (Some(host), false) => host.clone(),
        (None, _) => "your own Docker Engine".to_owned(),
    };
    context.terminal.block(&format!(
        "endpoint     {endpoint}\nregistry     {registry}\nregion       {REGION}\naccount      {ACCOUNT}\ndocker       {docker}"
    ));
    ExitCode::SUCCESS
}

fn env(context: &Context, session: &Session) -> Result<ExitCode> {
    if !session.is_up() {
        bail!("no sandbox is running: `cargo xtask sandbox up` starts one");
    }
    if context.global.json {
        document::print(&session.variables().into_iter().collect::<std::collections::BTreeMap<_, _>>());
        return Ok(ExitCode::SUCCESS);
    }
    let lines = session.variables().into_iter().map(|(name, value)| format!("export {name}={}", quoted([value.as_str()])));
    let gone = ["unset AWS_PROFILE AWS_SESSION_TOKEN".to_owned()];
    document::text_line(&gone.into_iter().chain(lines).collect::<Vec<_>>().join("\n"));
    Ok(ExitCode::SUCCESS)
}
