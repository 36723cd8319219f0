//! `docker-build`: images that stay on this machine.

use std::process::ExitCode;

use anyhow::Result;

use super::{Context, Refused};
use crate::{
    cli::{Archs, LocalSelection},
    docker::Docker,
    facts::{git, host, paths},
    model::refusal::Refusal,
    plan::{LocalRequest, plan_local},
    sandbox,
};

/// Builds local images.
pub fn run(context: &Context, selection: LocalSelection, arch: Option<Archs>) -> Result<ExitCode> {
    let mut config = context.config()?;
    // As make had them: a variable that is empty is not set, and a flag wins.
    let (archs, arch_from) = match (arch, host::variable("ARCH")) {
        (Some(Archs(archs)), _) => (archs, "--arch"),
        (None, Some(word)) => (from_environment(&word)?.0, "ARCH in the environment"),
        (None, None) => (Vec::new(), ""),
    };
    let dockerfile = selection.dockerfile.or_else(|| host::variable("DOCKERFILE"));
    let request = LocalRequest { services: selection.service, archs, arch_from, dockerfile };
    let revision = git::project_revision(&config)?;
    let mut sandbox = sandbox::for_command(context.global.sandbox, context.global.dry_run, &mut config, &context.terminal)?;
    let missing = paths::missing(&config, request.dockerfile.as_deref());
    let ca_bundle = host::ca_bundle();
    let mut plan = plan_local(&config, &request, revision, ca_bundle.as_deref(), &missing).map_err(Refused)?;
    if let Some(sandbox) = &mut sandbox {
        sandbox.provide_bases(&mut plan, context.global.dry_run, &context.terminal)?;
    }
    let docker = Docker::new(&sandbox.as_ref().map(sandbox::Session::docker_env).unwrap_or_default());
    // A sandbox that is not there yet has no engine to ask.
    if sandbox.as_ref().is_none_or(sandbox::Session::is_up) {
        docker.tell_how(&mut plan);
    }
    if let Some(done) = context.announce(&plan) {
        return Ok(done);
    }
    context.terminal.detail(&format!("Docker Engine {}", docker.check()?));
    context.look_at_dockerfiles(&config, &plan, &docker)?;
    Ok(context.carry_out(&config, &plan, &docker, None, selection.jobs))
}

fn from_environment(word: &str) -> Result<Archs, Refused> {
    word.parse().map_err(|_| {
        let problem = format!("ARCH in the environment is `{}`, which is no architecture", word.escape_debug());
        Refused::from(Refusal::new(problem, "write `arm64`, `amd64` or `all`, or unset it"))
    })
}
