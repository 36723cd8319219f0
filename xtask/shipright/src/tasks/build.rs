//! `docker-build`: images that stay on this machine.

use std::{collections::BTreeSet, process::ExitCode};

use anyhow::Result;

use super::{exit_code, images, since};
use crate::{
    cli::{Archs, LocalSelection},
    context::Context,
    facts::{git, host, paths},
    model::{config::Config, refusal::Refusal},
    plan::{self, LocalFacts, LocalRequest, plan_local},
    refused::Refused,
    sandbox::Sandbox,
    workspace::Workspace,
};

/// Builds local images.
pub(super) fn run(
    context: &Context,
    selection: LocalSelection,
    arch: Option<Archs>,
) -> Result<ExitCode> {
    let workspace = Workspace::of(context)?;
    let config = &workspace.config;
    // As make had them: a variable that is empty is not set, and a flag wins.
    let (archs, arch_from) = match (arch, host::variable("ARCH")) {
        (Some(Archs(archs)), _) => (archs, "--arch"),
        (None, Some(word)) => (from_environment(&word)?.0, "ARCH in the environment"),
        (None, None) => (Vec::new(), ""),
    };
    let dockerfile = selection
        .dockerfile
        .or_else(|| host::variable("DOCKERFILE"));
    let request = LocalRequest {
        services: selection.service,
        archs,
        arch_from,
        dockerfile,
        stage: selection.stage,
    };
    let request = match selection.since.as_deref() {
        Some(reference) => match differing(context, config, request, reference)? {
            Some(request) => request,
            None => return Ok(since::nothing(context)),
        },
        None => request,
    };
    let revision = git::project_revision(config)?;
    let mut sandbox = workspace.sandbox()?;
    let build = paths::build_facts(config, request.dockerfile.as_deref());
    let facts = LocalFacts { revision, build };
    let mut plan = plan_local(config, &request, facts).map_err(Refused)?;
    if let Some(sandbox) = &mut sandbox {
        sandbox.provide_bases(
            &mut plan,
            &config.stand_ins,
            context.global.dry_run,
            &context.terminal,
        )?;
    }
    let docker = Workspace::docker(sandbox.as_ref());
    // A sandbox that is not there yet has no engine to ask.
    if sandbox.as_ref().is_none_or(Sandbox::is_up) {
        docker.resolve_build_modes(&mut plan);
    }
    if images::show_or_announce(context, &plan) {
        return Ok(ExitCode::SUCCESS);
    }
    let run = images::Run {
        context,
        config,
        docker: &docker,
        session: None,
        others: &[],
        jobs: selection.jobs,
    };
    let report = run.carry_out(&plan)?;
    images::say_next(context, &plan, &report, &[]);
    context.print(&report);
    Ok(exit_code(report.succeeded()))
}

/// The same request for those of its services whose image differs. `None` where none does. Without a service all are asked.
fn differing(
    context: &Context,
    config: &Config,
    request: LocalRequest,
    reference: &str,
) -> Result<Option<LocalRequest>> {
    let one = |name: &String| plan::one(config, Some(name), request.wanted());
    let selection = if request.services.is_empty() {
        // Not every service has the Dockerfile or the stage that was named.
        let (found, refused): (Vec<_>, Vec<_>) =
            config.services.keys().map(one).partition(Result::is_ok);
        let found: Vec<_> = found.into_iter().flatten().collect();
        if found.is_empty() {
            Refused::unless_none(refused.into_iter().filter_map(Result::err).collect())?;
        }
        found
    } else {
        let named: BTreeSet<&String> = request.services.iter().collect();
        Refused::all(
            named
                .into_iter()
                .map(|name| one(name).map_err(|refusal| Refused::from(refusal).into())),
        )?
    };
    let kept = since::keep(context, config, selection, Some(reference))?;
    let services: Vec<_> = kept
        .iter()
        .map(|selected| selected.service.name.clone())
        .collect();
    Ok((!services.is_empty()).then_some(LocalRequest {
        services,
        ..request
    }))
}

fn from_environment(word: &str) -> Result<Archs, Refused> {
    word.parse().map_err(|_| {
        let problem = format!(
            "ARCH in the environment is `{}`, which is no architecture",
            word.escape_debug()
        );
        Refused::from(Refusal::new(
            problem,
            "write `arm64`, `amd64` or `all`, or unset it",
        ))
    })
}
