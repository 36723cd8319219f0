//! `deploy`: the whole way in one command. What is pushed already is not built again, and what runs already is not touched.

use std::process::ExitCode;

use anyhow::{Context as _, Result};

use super::{
    images,
    migration::Migration,
    moves,
    push::{Prepared, Request},
};
use crate::{
    arch::Arch,
    cli::Deploy,
    context::Context,
    model::{function::Code, target::IndexUse},
    plan::{
        PlannedImage, Selected, Source,
        targets::{Choice, lambda::Options},
    },
    report::result::Report,
    session,
    workspace::Workspace,
};

/// How many images are built at a time, where nobody says.
const JOBS: u8 = 2;

/// Pushes, then moves what runs.
pub(super) fn run(context: &Context, arguments: &Deploy) -> Result<ExitCode> {
    let since = arguments.since.as_deref();
    let arguments = &arguments.migrate;
    let workspace = Workspace::of(context)?;
    let request = Request {
        environment: &arguments.environment,
        services: &arguments.service,
        dockerfile: None,
        since,
        multi_arch: false,
    };
    let push = Prepared::of(context, &workspace, request)?;
    if context.global.dry_run {
        return show(context, &push);
    }
    images::show_or_announce(context, &push.plan);
    session::confirm_protected(context, push.session.environment)?;
    let report = push.carry_out(context, JOBS)?;
    if !report.succeeded() {
        context.print(&report);
        return Ok(ExitCode::FAILURE);
    }
    // The push has asked what there was to ask.
    let migration = Migration::open(context, &push.session, "deploy")?;
    say_what_is_passed_over(context, &push);
    let resolver = migration.resolver()?;
    let targets = migration.targets();
    let to_move = push
        .selection
        .iter()
        .filter(|selected| targets.contains(&selected.image.target));
    let mut choices = Vec::new();
    for &selected in to_move {
        let arch = push.session.config.arch(selected.image.target);
        let digest = arrived(&report, selected, arch)?;
        let (code, archs) = resolver.choose(selected, digest, arch)?;
        choices.push(Choice {
            selected,
            code,
            archs,
            version: None,
        });
    }
    let workloads = migration.plan(&choices, Options::default())?;
    Ok(migration.apply(&workloads))
}

/// The digest that a push has given an image: of its index, where the target runs indexes.
fn arrived<'r>(report: &'r Report, selected: Selected<'_>, arch: Arch) -> Result<&'r str> {
    let name = selected.name();
    let index = report.image_indexes.iter().find(|index| index.name == name);
    if let Some(index) = index.filter(|_| selected.image.target.index_use() == IndexUse::Whole) {
        return Ok(&index.digest);
    }
    let of_index = format!("{name}-{arch}");
    let image = report
        .images
        .iter()
        .find(|image| image.name == name || image.name == of_index);
    image
        .and_then(|image| image.digest.as_deref())
        .with_context(|| format!("{name} was not pushed"))
}

/// Shows what would be pushed, and what would be moved to it.
fn show(context: &Context, push: &Prepared<'_>) -> Result<ExitCode> {
    let mut plan = serde_json::to_value(&push.plan).context("the plan has no JSON form")?;
    context
        .terminal
        .block(&crate::report::plan::Shown(&push.plan).to_string());
    if push.session.is_readable() {
        let migration = Migration::open(context, &push.session, "deploy")?;
        say_what_is_passed_over(context, push);
        let targets = migration.targets();
        let moved = push
            .selection
            .iter()
            .filter(|selected| targets.contains(&selected.image.target));
        let choices: Vec<_> = moved.map(|selected| planned(push, *selected)).collect();
        let workloads = migration.plan(&choices, Options::default())?;
        plan["workloads"] =
            serde_json::to_value(&workloads).context("the plan has no JSON form")?;
        moves::show(context, &workloads);
    }
    context.print(&serde_json::json!({ "plan": plan }));
    Ok(ExitCode::SUCCESS)
}

/// What something is to run after a push that is planned: an image of which there is no digest yet, or the one that is there.
fn planned<'c>(push: &Prepared<'_>, selected: Selected<'c>) -> Choice<'c> {
    const NEW: &str = "DIGEST-OF-THE-PUSH";
    let (name, arch) = (
        selected.name(),
        push.session.config.arch(selected.image.target),
    );
    let of_index = format!("{name}-{arch}");
    let is_index = push.plan.indexes.iter().any(|index| index.name == name);
    let whole = is_index && selected.image.target.index_use() == IndexUse::Whole;
    let image = push
        .plan
        .images
        .iter()
        .find(|image| image.name == name || image.name == of_index);
    let digest = match image
        .filter(|_| !whole)
        .map(|image: &PlannedImage| &image.source)
    {
        Some(Source::Existing { digest }) => digest.clone(),
        Some(Source::Build(_)) | None => NEW.to_owned(),
    };
    let image = format!(
        "{}/{}@{digest}",
        push.session.place.registry,
        push.session.repository(selected)
    );
    let archs = if whole {
        Arch::ALL.to_vec()
    } else {
        vec![arch]
    };
    Choice {
        selected,
        code: Code {
            image,
            digest,
            arch,
        },
        archs,
        version: None,
    }
}

fn say_what_is_passed_over(context: &Context, push: &Prepared<'_>) {
    if push.session.sandbox.is_some() {
        let text = "the sandbox has neither App Runner nor a cluster: only Lambda functions are moved there";
        context.terminal.note(text);
    }
}
