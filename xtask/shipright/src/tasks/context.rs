//! What every command works with: the global options, the terminal and the configuration.

use std::{
    collections::BTreeSet,
    fmt,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result, bail};
use dockerfile_rules::Model;
use serde::Serialize;

use crate::{
    cli::{self, Global, Typed},
    config::{self},
    docker::Docker,
    execute::{Hands, execute},
    model::{config::Config, place::Place, refusal::Refusal},
    plan::Plan,
    problem::{Problem, Problems},
    proof::Kept,
    record::{self, Record},
    report::{
        document,
        plan::Shown,
        result::Report,
        terminal::{Terminal, Verbosity},
    },
};

/// Nothing was done, for these reasons.
#[derive(Debug)]
pub struct Refused(pub Vec<Refusal>);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("refused; nothing was done")
    }
}

impl std::error::Error for Refused {}

impl Refused {
    /// Parts what could be had from the refusals, so that all of them are told at once.
    ///
    /// # Errors
    /// The first error that is no refusal.
    pub fn part<T>(outcomes: impl IntoIterator<Item = Result<T>>) -> Result<(Vec<T>, Vec<Refusal>)> {
        let (mut had, mut refusals) = (Vec::new(), Vec::new());
        for outcome in outcomes {
            match outcome.map_err(|error| error.downcast::<Self>()) {
                Ok(one) => had.push(one),
                Err(Ok(Self(more))) => refusals.extend(more),
                Err(Err(error)) => return Err(error),
            }
        }
        Ok((had, refusals))
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self(vec![refusal])
    }
}

/// What every command works with.
pub struct Context {
    /// The global options.
    pub global: Global,
    /// Where people watch.
    pub terminal: Terminal,
}

impl Context {
    /// Makes the terminal that the options ask for.
    pub fn new(global: Global) -> Self {
        let verbosity = match (global.quiet, global.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, false) => Verbosity::Normal,
            (false, true) => Verbosity::Verbose,
        };
        Self { terminal: Terminal::new(verbosity), global }
    }

    /// Runs one of our commands as if it had been typed, with the global options of this one: `call(&["push", "dev"])`.
    ///
    /// # Errors
    /// What the command ends with; words that are no command.
    pub fn call(&self, words: &[&str]) -> Result<ExitCode> {
        let words: Vec<String> = std::iter::once("cargo xtask").chain(words.iter().copied()).map(str::to_owned).collect();
        let mut command = cli::command("cargo xtask", &cli::named_environments(&words), Vec::new());
        match cli::parse(&mut command, &words, &[])?.1 {
            Typed::Ours(task) => super::run(self, task),
            Typed::Completions(_) | Typed::Theirs(..) => bail!("`{}` cannot be called", words[1..].join(" ")),
        }
    }

    /// Prints the one JSON document of a command, where `--json` asks for it.
    pub fn print(&self, value: &impl Serialize) {
        if self.global.json {
            document::print(value);
        }
    }

    /// Reads deploy.toml.
    ///
    /// # Errors
    /// Every problem in it.
    pub fn config(&self) -> Result<Config> {
        load_config(self.global.config.as_deref())
    }

    /// Looks into the Dockerfiles of a plan: what the rules find is said, and a base image that lacks the wanted CPU is a
    /// reason to stop. A registry that cannot be asked is none: the build will say so.
    ///
    /// # Errors
    /// A refusal for each base image that does not have the platform.
    pub fn look_at_dockerfiles(&self, config: &Config, plan: &Plan, docker: &Docker) -> Result<(), Refused> {
        let mut refusals: Vec<Refusal> = Vec::new();
        let mut seen = BTreeSet::new();
        for image in &plan.images {
            let Some(build) = image.build() else { continue };
            let Ok(text) = std::fs::read_to_string(&build.dockerfile) else { continue };
            let shown = config.shown(&build.dockerfile).to_path_buf();
            if seen.insert(shown.clone()) {
                let problems = Problems::new(
                    shown.clone(),
                    text.clone(),
                    dockerfile_rules::check(&text).into_iter().map(Problem::from).collect(),
                );
                problems.lines().iter().for_each(|line| self.terminal.warning(line));
            }
            let base = Model::parse(&text).ok().and_then(|model| model.base(&build.args));
            let Some(base) = base.filter(|base| seen.insert(PathBuf::from(format!("{base} {}", build.arch)))) else { continue };
            match docker.platforms_of(&base) {
                Ok(platforms) if platforms.iter().any(|platform| platform.starts_with(&build.arch.platform())) => {}
                Ok(platforms) => refusals.push(Refusal::new(
                    format!(
                        "the base image `{base}` of {} has no {}: it has {}",
                        shown.display(),
                        build.arch.platform(),
                        platforms.join(", ")
                    ),
                    "choose a tag that has it: `docker buildx imagetools inspect` shows what a tag has",
                )),
                Err(error) => {
                    self.terminal.detail(&format!("the registry of `{base}` cannot be asked for its platforms: {error:#}"));
                }
            }
        }
        if refusals.is_empty() { Ok(()) } else { Err(Refused(refusals)) }
    }

    /// Shows a plan and, unless this is a dry run, says which CPU each image is for.
    pub fn announce(&self, plan: &Plan) -> Option<ExitCode> {
        if self.global.dry_run {
            if self.global.json {
                document::print(&Document { plan });
            }
            self.terminal.block(&Shown(plan).to_string());
            return Some(ExitCode::SUCCESS);
        }
        for note in &plan.notes {
            self.terminal.warning(note);
        }
        for image in &plan.images {
            if let Some(build) = image.build() {
                let name = build.dockerfile.file_name().map_or(build.dockerfile.as_path(), Path::new).display();
                self.terminal.warning(&format!(
                    "{} ({name}) will be built for {} ({}): {}",
                    image.name,
                    image.arch,
                    image.arch.hardware(),
                    image.because
                ));
            }
        }
        None
    }

    /// Carries out a plan and shows what came of it.
    pub fn carry_out(&self, config: &Config, plan: &Plan, docker: &Docker, aws: Option<&crate::aws::Aws>, jobs: u8) -> ExitCode {
        for line in crate::plan::command::script(plan) {
            self.terminal.detail(&line);
        }
        let kept = Kept::of_project(&config.root);
        let report = execute(plan, &Hands { docker, aws, terminal: &self.terminal, kept: &kept, jobs: jobs.into() });
        if self.global.json {
            document::print(&report);
        }
        self.terminal.block(&report.to_string());
        self.say_what_still_runs(plan, &report);
        if let (Some(place), Some(aws)) = (&report.place, aws) {
            self.write_down(config, place, aws, &report);
        }
        if report.succeeded() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    /// Writes down what was pushed, by whom. Somebody who may push need not be allowed to ask who they are.
    fn write_down(&self, config: &Config, place: &Place, aws: &crate::aws::Aws, report: &Report) {
        let images = report.images.iter().filter(|image| image.changed && image.error.is_none());
        let images = images.map(|image| (&image.name, image.repository.as_deref(), image.digest.as_deref()));
        let lists = report.image_indexes.iter().filter(|list| list.changed);
        let lists = lists.map(|list| (&list.name, Some(list.repository.as_str()), Some(list.digest.as_str())));
        let pushed: Vec<_> = images.chain(lists).collect();
        if pushed.is_empty() {
            return;
        }
        let who = aws.reader().identity().map_or_else(|_| "unknown".to_owned(), |identity| identity.arn);
        let records: Vec<_> = pushed
            .into_iter()
            .map(|(name, repository, digest)| Record {
                who: &who,
                action: "push",
                environment: &place.environment,
                image: name,
                workload: repository.unwrap_or_default(),
                from: None,
                to: digest.unwrap_or_default(),
                outcome: "moved",
            })
            .collect();
        self.record(config, &records);
    }

    /// Writes down what was done. That it cannot be written undoes nothing.
    pub fn record(&self, config: &Config, records: &[Record<'_>]) {
        if let Err(error) = record::append(&config.root, records) {
            self.terminal.warning(&format!("{error:#}"));
        }
    }

    /// People take a moved tag for a deployment; it is none.
    fn say_what_still_runs(&self, plan: &Plan, report: &Report) {
        for (image, done) in plan.images.iter().zip(&report.images) {
            let stays = image.function.as_ref().filter(|function| function.exists && function.digest != done.digest);
            if let (Some(function), None) = (stays, &done.error) {
                self.terminal.note(&format!("{}: a moved tag changes no function", function.describe()));
            }
        }
    }
}

#[derive(Serialize)]
struct Document<'p> {
    plan: &'p Plan,
}

/// Reads the named deploy.toml, or the nearest one.
///
/// # Errors
/// A file that is missing or refused.
pub fn load_config(file: Option<&Path>) -> Result<Config> {
    let here = std::env::current_dir().context("failed to read the current folder")?;
    let found = file.map(PathBuf::from).or_else(|| config::find(&here));
    let found = found.ok_or_else(|| {
        Refused::from(Refusal::new(
            format!("there is no {} in `{}` or above it", config::FILE, here.display()),
            "go to the project's folder, or name the file with `--config`",
        ))
    })?;
    if !found.is_file() {
        let problem = format!("`{}` is not there", found.display());
        return Err(Refused::from(Refusal::new(problem, "correct `--config`")).into());
    }
    config::load(&found)
}
