//! A plan for images: shown, its Dockerfiles looked at, carried out, and written down.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use dockerfile_rules::Model;
use image_oci::Platform;

use crate::{
    arch::Arch,
    build_logs::BuildLogs,
    context::Context,
    docker::Docker,
    execute::{Executor, OtherRegion, execute},
    facts::host,
    model::{
        config::{Config, SecretSource},
        place::Place,
        refusal::Refusal,
        revision::Revision,
    },
    parallel::{both, side_by_side},
    plan::{Build, BuildSecret, Plan, PlannedImage, command, next},
    problem::{Problem, Problems},
    proof::Prover,
    record::Record,
    refused::Refused,
    registry::{Actions, Reference, Registry},
    report::{
        plan::Shown,
        result::{ImageReport, Report},
        summary::Summary,
    },
    scan::GateKeeper,
    session::Session,
    store::{self, ContentStore},
};

/// Shows a plan where this is a dry run, and says otherwise which CPU each image is for. Returns whether it was shown.
pub(super) fn show_or_announce(context: &Context, plan: &Plan) -> bool {
    if context.global.dry_run {
        context.print(&serde_json::json!({ "plan": plan }));
        context.terminal.block(&Shown(plan).to_string());
        return true;
    }
    for note in &plan.notes {
        context.terminal.warning(note);
    }
    for image in &plan.images {
        if let Some(build) = image.build() {
            let name = build
                .dockerfile
                .file_name()
                .map_or(build.dockerfile.as_path(), Path::new)
                .display();
            let (arch, hardware) = (image.arch, image.arch.hardware());
            let text = format!(
                "{}: {name} will be built for {arch} ({hardware})",
                image.name
            );
            context.terminal.warning(&text);
            context
                .terminal
                .detail(&format!("{}: {}", image.name, image.because));
            for lent in lent(build) {
                let text = format!("{}: the build may read {lent}", image.name);
                context.terminal.warning(&text);
            }
        }
    }
    false
}

/// What of the user's own a build is given, as deploy.toml says: whoever wrote it and the Dockerfile can have it.
fn lent(build: &Build) -> Vec<String> {
    let secret = |secret: &BuildSecret| match &secret.source {
        SecretSource::File(file) => format!("{file}, as the secret {}", secret.id),
        SecretSource::Env(name) => format!("the variable {name}, as the secret {}", secret.id),
    };
    let agent = (!build.ssh.is_empty()).then(|| "what your ssh agent signs".to_owned());
    build.secrets.iter().map(secret).chain(agent).collect()
}

/// A base image.
struct Base<'b> {
    /// The Dockerfile that names it.
    shown: &'b Path,
    image: String,
    /// What it is wanted for.
    arch: Arch,
}

/// What a registry says of an image. It is asked once: what it would say can be done without.
fn platforms_of(image: &str) -> anyhow::Result<Vec<Platform>> {
    let reference: Reference = image.parse().map_err(anyhow::Error::msg)?;
    let registry = Registry::with_docker_login(&reference.host, Actions::Pull).impatient();
    registry.platforms(&reference.repository, &reference.tag)
}

/// What a plan for images is carried out with.
pub(super) struct Run<'r> {
    /// The global options and the terminal.
    pub context: &'r Context,
    /// The project.
    pub config: &'r Config,
    /// Docker.
    pub docker: &'r Docker,
    /// The environment, for images that leave this machine.
    pub session: Option<&'r Session<'r>>,
    /// The other regions that get the same images.
    pub others: &'r [OtherRegion<'r>],
    /// How many images are worked on at a time.
    pub jobs: u8,
}

impl Run<'_> {
    /// Carries out a plan, unless there is something in the way: no engine, or a base image without the platform.
    ///
    /// # Errors
    /// What is in the way. What fails later is in the report.
    pub(super) fn carry_out(&self, plan: &Plan) -> anyhow::Result<Report> {
        if plan.builds_anything() {
            self.context
                .terminal
                .detail(&format!("Docker Engine {}", self.docker.check()?));
            self.look_at_dockerfiles(plan)?;
        }
        let terminal = &self.context.terminal;
        for line in command::script(plan) {
            terminal.detail(&line);
        }
        let prover = Prover::of_project(&self.config.root);
        let root = &self.config.root;
        let store = self.session.map(|_| ContentStore::open(root)).transpose()?;
        let logs = plan
            .builds_anything()
            .then(|| BuildLogs::open(root))
            .transpose()?;
        let names = plan.images.iter().map(|image| image.name.chars().count());
        let gate = plan.scan.zip(store.as_ref());
        let gate = gate.map(|(gate, store)| GateKeeper::new(gate, self.config, terminal, store));
        let executor = Executor {
            gate: gate.as_ref(),
            docker: self.docker,
            repositories: self.session.map(Session::repositories),
            others: self.others,
            terminal,
            store: store.as_ref(),
            prover: &prover,
            jobs: self.jobs.into(),
            root,
            logs: logs.as_ref(),
            width: names.max().unwrap_or(0),
        };
        // Who pushes is only written down afterwards.
        let session = self.session.filter(|_| plan.changes_anything());
        let (who, report) = both(
            || session.and_then(|session| session.guard_registry().ok()),
            || execute(plan, &executor),
        );
        drop(gate);
        drop(store);
        if let Err(error) = store::collect(root, host::now().into()) {
            let text = format!("the content store was not cleared: {error:#}");
            terminal.detail(&text);
        }
        let summary = Summary::of(plan, &report);
        terminal.block(&summary.text(terminal.width()));
        if let Some(logs) = &logs {
            let text = format!(
                "logs of the builds are in {}",
                logs.shown_directory().display()
            );
            terminal.detail(&text);
        }
        if let Err(error) = summary.for_github(&report) {
            terminal.warning(&format!("{error:#}"));
        }
        if let Some(place) = &report.place {
            self.write_down(place, who, plan.revision.as_ref(), &report);
        }
        Ok(report)
    }

    /// Looks into the Dockerfiles of a plan: what the rules find is said, and a base image that lacks the wanted platform is a
    /// reason to stop.
    fn look_at_dockerfiles(&self, plan: &Plan) -> anyhow::Result<()> {
        const QUESTIONS: usize = 8;
        let (mut files, mut bases) = (BTreeSet::new(), BTreeMap::new());
        for build in plan.images.iter().filter_map(|image| image.build()) {
            let Ok(text) = std::fs::read_to_string(&build.dockerfile) else {
                continue;
            };
            let shown = self.config.shown(&build.dockerfile);
            if files.insert(shown) {
                let problems = dockerfile_rules::check(&text)
                    .into_iter()
                    .map(Problem::from)
                    .collect();
                let problems = Problems::new(PathBuf::from(shown), text.clone(), problems);
                self.context.terminal.findings(&problems);
            }
            let Ok(model) = Model::parse(&text) else {
                continue;
            };
            let stage = build.stage.as_deref();
            if let Some(image) = model.base(stage, &build.args) {
                let arch = build.arch;
                let base = bases.entry((image.clone(), arch));
                base.or_insert(Base { shown, image, arch });
            }
        }
        let bases: Vec<_> = bases.into_values().collect();
        let refusals = side_by_side(QUESTIONS, &bases, |base| Ok(self.base_lacks_platform(base)))?;
        Ok(Refused::unless_none(
            refusals.into_iter().flatten().collect(),
        )?)
    }

    /// A registry that cannot be asked is no reason to stop: the build will say so.
    fn base_lacks_platform(&self, base: &Base<'_>) -> Option<Refusal> {
        let Base { shown, image, arch } = base;
        let platforms = match platforms_of(image) {
            Ok(platforms) => platforms,
            Err(error) => {
                let text = format!(
                    "the registry of `{image}` cannot be asked for its platforms: {error:#}"
                );
                self.context.terminal.detail(&text);
                return None;
            }
        };
        let is_wanted = |one: &Platform| one.os == "linux" && one.architecture == arch.oci();
        if platforms.iter().any(is_wanted) {
            return None;
        }
        let (shown, wanted) = (shown.display(), arch.platform());
        let has: Vec<_> = platforms.iter().map(Platform::to_string).collect();
        let has = has.join(", ");
        Some(Refusal::new(
            format!("the base image `{image}` of {shown} has no {wanted}: it has {has}"),
            "choose a tag that has it: `docker buildx imagetools inspect` shows what a tag has",
        ))
    }

    /// Writes down what was pushed, by whom. Somebody who may push need not be allowed to ask who they are.
    fn write_down(
        &self,
        place: &Place,
        who: Option<String>,
        revision: Option<&Revision>,
        report: &Report,
    ) {
        let images = report
            .images
            .iter()
            .filter(|image| image.changed && image.error.is_none());
        let images = images.map(|image| {
            (
                &image.name,
                image.repository.as_deref(),
                image.digest.as_deref(),
            )
        });
        let indexes = report.image_indexes.iter().filter(|index| index.changed);
        let indexes = indexes.map(|index| {
            (
                &index.name,
                Some(index.repository.as_str()),
                Some(index.digest.as_str()),
            )
        });
        let pushed: Vec<_> = images.chain(indexes).collect();
        if pushed.is_empty() {
            return;
        }
        let who = who.unwrap_or_else(|| "unknown".to_owned());
        let commit = revision.filter(|revision| !revision.dirty);
        let commit = commit.map(|revision| &revision.commit);
        let record =
            |(name, repository, digest): (&'_ String, Option<&'_ str>, Option<&'_ str>)| Record {
                who: who.clone(),
                action: "push",
                environment: place.environment.clone(),
                image: name.clone(),
                workload: repository.unwrap_or_default().to_owned(),
                from: None,
                to: digest.unwrap_or_default().to_owned(),
                commit: commit.cloned(),
                outcome: "moved",
            };
        let records: Vec<_> = pushed.into_iter().map(record).collect();
        self.context.record(self.config, &records);
    }
}

/// What people do next, once images are where they should be. A moved tag changes nothing that runs.
pub(super) fn say_next(context: &Context, plan: &Plan, report: &Report, services: &[String]) {
    let stays = |(image, done): (&PlannedImage, &ImageReport)| {
        let function = image.function.as_ref().filter(|function| function.exists);
        function.is_some_and(|function| function.digest != done.digest && done.error.is_none())
    };
    if plan.images.iter().zip(&report.images).any(stays) {
        context.terminal.note("a moved tag changes no function");
    }
    if let Some(command) = next::after(plan, services).filter(|_| report.succeeded()) {
        context.say_next(&command);
    }
}
