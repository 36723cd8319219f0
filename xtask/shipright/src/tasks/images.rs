//! A plan for images: shown, its Dockerfiles looked at, carried out, and written down.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use dockerfile_rules::Model;

use crate::{
    context::Context,
    docker::Docker,
    execute::{Executor, OtherRegion, execute},
    facts::host,
    model::{config::Config, place::Place, refusal::Refusal},
    plan::{Build, Plan, command},
    problem::{Problem, Problems},
    proof::Prover,
    record::Record,
    refused::Refused,
    report::{plan::Shown, result::Report},
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
                "{} ({name}) will be built for {arch} ({hardware}): {}",
                image.name, image.because
            );
            context.terminal.warning(&text);
        }
    }
    false
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
        if plan.images.iter().any(|image| image.build().is_some()) {
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
        let executor = Executor {
            docker: self.docker,
            repositories: self.session.map(Session::repositories),
            others: self.others,
            terminal,
            store: store.as_ref(),
            prover: &prover,
            jobs: self.jobs.into(),
        };
        let report = execute(plan, &executor);
        drop(store);
        if let Err(error) = store::collect(root, host::now().into()) {
            let text = format!("the content store was not cleared: {error:#}");
            terminal.detail(&text);
        }
        terminal.block(&report.to_string());
        self.say_what_still_runs(plan, &report);
        if let (Some(place), Some(session)) = (&report.place, self.session) {
            self.write_down(place, session, &report);
        }
        Ok(report)
    }

    /// Looks into the Dockerfiles of a plan: what the rules find is said, and a base image that lacks the wanted platform is a
    /// reason to stop.
    fn look_at_dockerfiles(&self, plan: &Plan) -> Result<(), Refused> {
        let (mut files, mut bases) = (BTreeSet::new(), BTreeSet::new());
        let mut refusals = Vec::new();
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
                problems
                    .lines()
                    .iter()
                    .for_each(|line| self.context.terminal.warning(line));
            }
            let Ok(model) = Model::parse(&text) else {
                continue;
            };
            let stage = build.stage.as_deref();
            let base = model.base(stage, &build.args);
            if let Some(base) = base.filter(|base| bases.insert((base.clone(), build.arch))) {
                refusals.extend(self.base_lacks_platform(shown, build, &base));
            }
        }
        Refused::unless_none(refusals)
    }

    /// A registry that cannot be asked is no reason to stop: the build will say so.
    fn base_lacks_platform(&self, shown: &Path, build: &Build, base: &str) -> Option<Refusal> {
        let wanted = build.arch.platform();
        match self.docker.platforms_of(base) {
            Ok(platforms)
                if platforms
                    .iter()
                    .any(|platform| platform.starts_with(&wanted)) =>
            {
                None
            }
            Ok(platforms) => {
                let (shown, has) = (shown.display(), platforms.join(", "));
                Some(Refusal::new(
                    format!("the base image `{base}` of {shown} has no {wanted}: it has {has}"),
                    "choose a tag that has it: `docker buildx imagetools inspect` shows what a tag has",
                ))
            }
            Err(error) => {
                let text = format!(
                    "the registry of `{base}` cannot be asked for its platforms: {error:#}"
                );
                self.context.terminal.detail(&text);
                None
            }
        }
    }

    /// Writes down what was pushed, by whom. Somebody who may push need not be allowed to ask who they are.
    fn write_down(&self, place: &Place, session: &Session<'_>, report: &Report) {
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
        let who = session
            .guard_registry()
            .unwrap_or_else(|_| "unknown".to_owned());
        let record =
            |(name, repository, digest): (&'_ String, Option<&'_ str>, Option<&'_ str>)| Record {
                who: who.clone(),
                action: "push",
                environment: place.environment.clone(),
                image: name.clone(),
                workload: repository.unwrap_or_default().to_owned(),
                from: None,
                to: digest.unwrap_or_default().to_owned(),
                outcome: "moved",
            };
        let records: Vec<_> = pushed.into_iter().map(record).collect();
        self.context.record(self.config, &records);
    }

    /// People take a moved tag for a deployment; it is none.
    fn say_what_still_runs(&self, plan: &Plan, report: &Report) {
        for (image, done) in plan.images.iter().zip(&report.images) {
            let stays = image
                .function
                .as_ref()
                .filter(|function| function.exists && function.digest != done.digest);
            if let (Some(function), None) = (stays, &done.error) {
                let text = format!("{}: a moved tag changes no function", function.describe());
                self.context.terminal.note(&text);
            }
        }
    }
}
