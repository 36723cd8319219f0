//! Moves what runs in an environment to chosen images: planned, shown, applied and written down. What `migrate-…`, `deploy` and
//! `rollback` have in common.
//!
//! Everything is read, and every image is proven, before anything is changed; one refusal stops all.

use std::process::ExitCode;

use anyhow::Result;

use super::moves;
use crate::{
    aws::Identity,
    context::Context,
    interrupt,
    model::{refusal::Refusal, target::Target},
    parallel::side_by_side,
    plan::{
        Selected,
        targets::{Choice, Workload, eks, lambda::Options},
    },
    refused::Refused,
    resolver::ImageResolver,
    session::{self, Session},
    targets::{self, Move},
};

/// How many questions are asked at a time.
const QUESTIONS: usize = 8;

/// An environment whose workloads are to be moved.
pub(super) struct Migration<'m> {
    /// The global options and the terminal.
    pub context: &'m Context,
    /// The environment.
    pub session: &'m Session<'m>,
    identity: Identity,
    action: &'static str,
}

impl<'m> Migration<'m> {
    /// Asks whether the environment may be changed. `action` is what records say.
    ///
    /// # Errors
    /// A refusal, or credentials that AWS does not know.
    pub(super) fn open(
        context: &'m Context,
        session: &'m Session<'m>,
        action: &'static str,
    ) -> Result<Self> {
        Ok(Self {
            context,
            session,
            identity: session.guard()?,
            action,
        })
    }

    /// What looks for images here.
    ///
    /// # Errors
    /// ECR that gives no token.
    pub(super) fn resolver(&self) -> Result<ImageResolver<'m>> {
        ImageResolver::open(&self.context.terminal, self.session)
    }

    /// The targets that can be moved here: a sandbox has neither App Runner nor Kubernetes.
    pub(super) fn targets(&self) -> Vec<Target> {
        let is_there = |target: &Target| self.session.sandbox.is_none() || target.is_in_sandbox();
        Target::ALL.into_iter().filter(is_there).collect()
    }

    /// The images of these services that are for these targets.
    ///
    /// # Errors
    /// A refusal where there is none.
    pub(super) fn selected(
        &self,
        services: &[String],
        targets: &[Target],
    ) -> Result<Vec<Selected<'m>>, Refused> {
        let all = self.session.selected(services)?;
        let chosen: Vec<_> = all
            .iter()
            .filter(|one| targets.contains(&one.image.target))
            .copied()
            .collect();
        if !chosen.is_empty() {
            return Ok(chosen);
        }
        if let Some(other) = all.first().filter(|_| self.session.sandbox.is_some()) {
            let (name, target) = (other.name(), other.image.target.title());
            let problem = format!(
                "{name} is for {target}, and the sandbox has neither App Runner nor Kubernetes"
            );
            let cure = "name a service with an image for Lambda or ECS, or leave `--sandbox` out";
            return Err(Refusal::new(problem, cure).into());
        }
        let names: Vec<_> = targets.iter().map(|target| target.title()).collect();
        let problem = format!(
            "no image of `{}` is for {}",
            self.session.environment.name,
            names.join(" or ")
        );
        Err(Refusal::new(
            problem,
            "add an image with this target in deploy.toml, or name another service",
        )
        .into())
    }

    /// What the environment's tags name, for images of these services and targets.
    ///
    /// # Errors
    /// Refusals, and images that cannot be read.
    pub(super) fn newest(
        &self,
        services: &[String],
        targets: &[Target],
    ) -> Result<Vec<Choice<'m>>> {
        let selected = self.selected(services, targets)?;
        let resolver = self.resolver()?;
        side_by_side(QUESTIONS, &selected, |selected| {
            let arch = self.session.config.arch(selected.image.target);
            let tag = self.session.tag(*selected);
            let (code, archs) = resolver.choose(*selected, &tag, arch)?;
            Ok(Choice {
                selected: *selected,
                code,
                archs,
                version: None,
            })
        })
    }

    /// Reads each workload, and decides what has to be done.
    ///
    /// # Errors
    /// Every refusal.
    pub(super) fn plan(&self, choices: &[Choice<'_>], options: Options) -> Result<Vec<Workload>> {
        let (terminal, dry_run) = (&self.context.terminal, self.context.global.dry_run);
        let plan =
            |choice: &Choice<'_>| targets::plan(self.session, terminal, choice, options, dry_run);
        let planned = side_by_side(QUESTIONS, choices, |choice| Ok(plan(choice)))?;
        let (workloads, mut refusals) = Refused::part(planned)?;
        refusals.extend(self.node_refusals(choices, &workloads));
        Refused::unless_none(refusals)?;
        Ok(workloads)
    }

    /// Whether pods land on nodes of their CPU.
    fn node_refusals(&self, choices: &[Choice<'_>], workloads: &[Workload]) -> Vec<Refusal> {
        let on_nodes: Vec<_> = choices
            .iter()
            .filter(|one| one.selected.image.target.runs_on_nodes())
            .collect();
        if on_nodes.is_empty() {
            return Vec::new();
        }
        let (indexes, images): (Vec<_>, Vec<_>) =
            on_nodes.into_iter().partition(|one| one.archs.len() > 1);
        let names =
            |all: Vec<&Choice<'_>>| all.into_iter().map(|one| one.selected.name()).collect();
        let found = targets::look_at_nodes(self.session, names(images), names(indexes));
        for note in &found.notes {
            self.context.terminal.note(note);
        }
        eks::node_refusals(self.session.environment, workloads, &found)
    }

    /// Moves one workload after the other, until one fails or somebody interrupts.
    fn apply(&self, workloads: &[Workload]) -> Vec<Move> {
        let mut moves = Vec::new();
        for workload in workloads {
            if interrupt::requested() {
                break;
            }
            let done = targets::apply(
                self.session,
                &self.context.terminal,
                &self.identity,
                workload,
            );
            let succeeded = done.succeeded();
            moves.push(done);
            if !succeeded {
                break;
            }
        }
        moves
    }
}

/// What is to run in one region of an environment.
pub(super) type InRegion<'m> = (Migration<'m>, Vec<Choice<'m>>);

/// Plans and, unless this is a dry run, moves each workload to its choice: everything is planned in every region before anything is
/// done in one, and a region in which something fails is the last.
///
/// # Errors
/// Refusals, before anything was done.
pub(super) fn carry_out(
    context: &Context,
    regions: &[InRegion<'_>],
    options: Options,
) -> Result<ExitCode> {
    let plan = |(migration, choices): &InRegion<'_>| migration.plan(choices, options);
    let planned = Refused::all(regions.iter().map(plan))?;
    let migrations: Vec<_> = regions.iter().map(|(migration, _)| migration).collect();
    if context.global.dry_run {
        let all: Vec<_> = planned.iter().flatten().collect();
        let place = migrations.first().map(|first| &first.session.place);
        let mut plan = serde_json::json!({ "place": place, "workloads": all });
        if migrations.len() > 1 {
            let others = migrations.iter().skip(1).map(|one| &one.session.place);
            plan["other-places"] = serde_json::json!(others.collect::<Vec<_>>());
        }
        context.print(&serde_json::json!({ "plan": plan }));
        for (migration, workloads) in migrations.iter().zip(&planned) {
            if migrations.len() > 1 {
                let region = &migration.session.place.region;
                context.terminal.block(&format!("\nin {region}"));
            }
            moves::show(context, workloads);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let is_done = planned.iter().flatten().all(Workload::is_done);
    if let Some(first) = migrations.first().filter(|_| !is_done) {
        session::confirm_protected(context, first.session.environment)?;
    }
    apply_all(context, &migrations, &planned)
}

/// Moves what was planned, one region after the other, once somebody has said yes to what cannot be undone.
///
/// # Errors
/// A refusal where nobody has: nothing was moved.
pub(super) fn apply_all(
    context: &Context,
    migrations: &[&Migration<'_>],
    planned: &[Vec<Workload>],
) -> Result<ExitCode> {
    for workloads in planned {
        session::confirm_no_way_back(context, workloads)?;
    }
    let mut done = Vec::new();
    for (migration, workloads) in migrations.iter().zip(planned) {
        if migrations.len() > 1 {
            let region = &migration.session.place.region;
            context.terminal.status("Region", region);
        }
        let moves = migration.apply(workloads);
        let is_whole = moves.len() == workloads.len() && moves.iter().all(Move::succeeded);
        done.push(moves);
        if !is_whole {
            break;
        }
    }
    let regions = migrations.iter().zip(planned).zip(&done);
    let regions = regions.map(|((migration, workloads), moves)| moves::InRegion {
        session: migration.session,
        identity: &migration.identity,
        action: migration.action,
        workloads,
        moves,
    });
    let regions: Vec<_> = regions.collect();
    let left = planned.iter().skip(done.len()).map(Vec::len).sum();
    Ok(moves::report(context, &regions, left))
}
