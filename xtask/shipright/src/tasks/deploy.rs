//! `deploy`: the whole way in one command. What is pushed already is not built again, and what runs already is not touched.

use std::process::ExitCode;

use anyhow::{Context as _, Result};

use super::{
    images,
    migration::{Migration, apply_all},
    moves,
    push::{Prepared, Request},
    since,
};
use crate::{
    arch::Arch,
    cli::Deploy,
    context::Context,
    model::{function::Code, target::IndexUse},
    parallel::side_by_side,
    plan::{
        Selected, Source, registry_refusal,
        targets::{Choice, lambda::Options},
    },
    refused::Refused,
    report::result::Report,
    session::{self, Session},
    workspace::Workspace,
};

/// How many questions are asked at a time.
const QUESTIONS: usize = 8;

/// How many images are built at a time, where nobody says.
const JOBS: u8 = 2;

/// Pushes, then moves what runs.
pub(super) fn run(context: &Context, arguments: &Deploy) -> Result<ExitCode> {
    let (since, sbom) = (arguments.since.as_deref(), arguments.sbom);
    let arguments = &arguments.migrate;
    let workspace = Workspace::of(context)?;
    let request = Request {
        environment: &arguments.environment,
        services: &arguments.service,
        dockerfile: None,
        since,
        multi_arch: false,
        platform: None,
        sbom,
    };
    let Some(push) = Prepared::of(context, &workspace, request)? else {
        return Ok(since::nothing(context));
    };
    // Nothing is pushed that cannot be run from there.
    let sessions = || std::iter::once(&push.session).chain(&push.others);
    let in_the_way = |session: &Session<'_>| {
        let moved = push.selection.iter();
        let refusals = moved.filter_map(|one| registry_refusal(*one, &session.place));
        refusals.collect::<Vec<_>>()
    };
    Refused::unless_none(sessions().flat_map(in_the_way).collect())?;
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
    say_what_is_passed_over(context, &push);
    // The push has asked what there was to ask.
    let plan = |session| {
        let migration = Migration::open(context, session, "deploy")?;
        let resolver = migration.resolver()?;
        let selection: Vec<_> = to_move(&push, &migration).collect();
        let choices = side_by_side(QUESTIONS, &selection, |selected| {
            let arch = push.session.config.arch(selected.image.target);
            let proven = proven_here(&push, &report, *selected, session)?;
            let (code, archs) = match proven {
                Some(code) => (code, vec![arch]),
                None => resolver.choose(*selected, arrived(&push, &report, *selected)?, arch)?,
            };
            Ok(Choice {
                selected: *selected,
                code,
                archs,
                version: None,
            })
        })?;
        let workloads = migration.plan(&choices, Options::default())?;
        Ok((migration, workloads))
    };
    let planned = Refused::all(sessions().map(plan))?;
    let (migrations, workloads): (Vec<_>, Vec<_>) = planned.into_iter().unzip();
    let migrations: Vec<_> = migrations.iter().collect();
    apply_all(context, &migrations, &workloads)
}

/// The images of a push that something runs here.
fn to_move<'p, 'w>(
    push: &'p Prepared<'w>,
    migration: &Migration<'_>,
) -> impl Iterator<Item = Selected<'w>> + use<'p, 'w> {
    let targets = migration.targets();
    let all = push.selection.iter().copied();
    all.filter(move |selected| targets.contains(&selected.image.target))
}

/// The one image that something is to run, where this run has put it into this registry, read it back and proven it: then there is
/// nothing to ask.
fn proven_here(
    push: &Prepared<'_>,
    report: &Report,
    selected: Selected<'_>,
    session: &Session<'_>,
) -> Result<Option<Code>> {
    let planned = Planned::of(push, selected)?;
    let is_first = session.place == push.session.place;
    if planned.index.is_some() || !is_first {
        return Ok(None);
    }
    let image = report.images.get(planned.image);
    let proven = image.and_then(|image| {
        let (digest, proof) = (image.digest.as_ref()?, image.proof.as_ref()?);
        (proof.digest.as_ref() == Some(digest)).then_some((digest, image.arch))
    });
    let place = (&session.place.registry, session.repository(selected));
    Ok(proven.map(|(digest, arch)| Code {
        image: format!("{}/{}@{digest}", place.0, place.1),
        digest: digest.clone(),
        arch,
    }))
}

/// Where a plan has what something is to run.
struct Planned {
    /// The image for its CPU, by its place in the plan.
    image: usize,
    /// The index that it runs as a whole, by its place in the plan.
    index: Option<usize>,
}

impl Planned {
    fn of(push: &Prepared<'_>, selected: Selected<'_>) -> Result<Self> {
        let arch = push.session.config.arch(selected.image.target);
        let mut builds = push.builds.iter();
        let image = builds.position(|build| build.selected.is(&selected) && build.arch == arch);
        let image = image.with_context(|| format!("{} is not in the plan", selected.name()))?;
        let mut indexes = push.plan.indexes.iter();
        let index = indexes.position(|index| index.images.contains(&image));
        let index = index.filter(|_| selected.image.target.index_use() == IndexUse::Whole);
        Ok(Self { image, index })
    }
}

/// The digest that a push has given an image: of its index, where the target runs indexes.
fn arrived<'r>(push: &Prepared<'_>, report: &'r Report, selected: Selected<'_>) -> Result<&'r str> {
    let planned = Planned::of(push, selected)?;
    let digest = match planned.index {
        Some(place) => report.image_indexes.get(place).map(|index| &index.digest),
        None => report
            .images
            .get(planned.image)
            .and_then(|image| image.digest.as_ref()),
    };
    digest
        .map(String::as_str)
        .with_context(|| format!("{} was not pushed", selected.name()))
}

/// Shows what would be pushed, and what would be moved to it.
fn show(context: &Context, push: &Prepared<'_>) -> Result<ExitCode> {
    let mut plan = serde_json::to_value(&push.plan).context("the plan has no JSON form")?;
    context
        .terminal
        .block(&crate::report::plan::Shown(&push.plan).to_string());
    if push.session.is_readable() {
        say_what_is_passed_over(context, push);
        let mut all = Vec::new();
        for session in std::iter::once(&push.session).chain(&push.others) {
            let migration = Migration::open(context, session, "deploy")?;
            let choices = to_move(push, &migration)
                .map(|selected| planned(push, session, selected))
                .collect::<Result<Vec<_>>>()?;
            let workloads = migration.plan(&choices, Options::default())?;
            if !push.others.is_empty() {
                context
                    .terminal
                    .block(&format!("\nin {}", session.place.region));
            }
            moves::show(context, &workloads);
            all.extend(workloads);
        }
        plan["workloads"] = serde_json::to_value(&all).context("the plan has no JSON form")?;
    } else {
        let text = "the sandbox is not running, so that nothing can be said about what would be moved: cargo xtask sandbox up";
        context.terminal.note(text);
    }
    context.print(&serde_json::json!({ "plan": plan }));
    Ok(ExitCode::SUCCESS)
}

/// What something is to run after a push that is planned: an image of which there is no digest yet, or the one that is there.
fn planned<'c>(
    push: &Prepared<'_>,
    session: &Session<'_>,
    selected: Selected<'c>,
) -> Result<Choice<'c>> {
    const NEW: &str = "DIGEST-OF-THE-PUSH";
    let planned = Planned::of(push, selected)?;
    let arch = push.session.config.arch(selected.image.target);
    let digest = match &push.plan.images[planned.image].source {
        Source::Existing { digest } if planned.index.is_none() => digest.clone(),
        Source::Existing { .. } | Source::Build(_) => NEW.to_owned(),
    };
    let image = format!(
        "{}/{}@{digest}",
        session.place.registry,
        session.repository(selected)
    );
    let archs = if planned.index.is_some() {
        Arch::ALL.to_vec()
    } else {
        vec![arch]
    };
    Ok(Choice {
        selected,
        code: Code {
            image,
            digest,
            arch,
        },
        archs,
        version: None,
    })
}

fn say_what_is_passed_over(context: &Context, push: &Prepared<'_>) {
    if push.session.sandbox.is_some() {
        let text = "the sandbox has neither App Runner nor Kubernetes: only Lambda functions and ECS services are moved there";
        context.terminal.note(text);
    }
}
