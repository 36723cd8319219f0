//! `rollback`: what runs goes back to an earlier image, with its architecture. The image is looked for, and proven, first: a
//! lifecycle rule may have deleted it.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use super::migration::{Migration, carry_out};
use crate::{
    arch::Arch,
    cli::Rollback,
    context::Context,
    model::{
        function::{Code, Version},
        target::Target,
    },
    plan::{
        Selected,
        rollback::{self, Candidate, image_before, is_version_number, version_before},
        targets::{
            Choice,
            lambda::{Facts, Options},
        },
    },
    record,
    refused::Refused,
    resolver::ImageResolver,
    session::Session,
    targets,
    workspace::Workspace,
};

/// Goes back.
pub(super) fn run(context: &Context, arguments: &Rollback) -> Result<ExitCode> {
    let workspace = Workspace::of(context)?;
    let sessions = Session::open_all(&workspace, &arguments.migrate.environment)?;
    let choose = |session| {
        let migration = Migration::open(context, session, "rollback")?;
        let search = Search {
            context,
            session,
            resolver: migration.resolver()?,
            to: arguments.to.as_deref(),
        };
        let selected = migration.selected(&arguments.migrate.service, &migration.targets())?;
        let choices = Refused::all(selected.into_iter().map(|selected| search.choose(selected)))?;
        Ok((migration, choices))
    };
    let regions = Refused::all(sessions.iter().map(choose))?;
    carry_out(context, &regions, Options::default())
}

/// Looks for what to go back to.
struct Search<'s> {
    context: &'s Context,
    session: &'s Session<'s>,
    resolver: ImageResolver<'s>,
    /// A version, tag or digest, where one is named.
    to: Option<&'s str>,
}

impl Search<'_> {
    fn choose<'c>(&self, selected: Selected<'c>) -> Result<Choice<'c>> {
        match selected.image.target {
            Target::Lambda => self.version(selected),
            Target::AppRunner | Target::Ecs | Target::Eks => self.image(selected),
        }
    }

    /// A function goes back to a version of its own, so that an alias gets that very version, with its settings.
    fn version<'c>(&self, selected: Selected<'c>) -> Result<Choice<'c>> {
        let (terminal, dry_run) = (&self.context.terminal, self.context.global.dry_run);
        let facts = targets::function_facts(self.session, terminal, selected, dry_run)?;
        let name = facts.function.name.clone();
        if !facts.function.exists {
            bail!("function {name} does not exist");
        }
        let version = match self.to {
            None => version_before(&facts, &self.bad(&name)).cloned(),
            Some(to) => match self.numbered(&facts, to)? {
                Some(version) => Some(version),
                // The beginning of a commit may be nothing but digits.
                None if is_version_number(to) && self.named(selected, to).is_err() => None,
                None => return self.version_of_image(selected, &facts, to),
            },
        };
        let Some((version, code)) =
            version.and_then(|version| Some((version.number, version.code?)))
        else {
            let problem = match self.to {
                Some(to) => format!("function {name} has no version {to}"),
                None => format!("function {name} has no earlier version that runs another image"),
            };
            return Err(Refused::from(rollback::none(problem, &rollback::versions(&facts))).into());
        };
        let code = self.prove(selected, &facts, &version, &code)?;
        Ok(Choice {
            selected,
            archs: vec![code.arch],
            code,
            version: Some(version),
        })
    }

    fn numbered(&self, facts: &Facts, to: &str) -> Result<Option<Version>> {
        if !is_version_number(to) {
            return Ok(None);
        }
        targets::read_version(self.session, facts, to)
    }

    /// An image by its tag or digest, and the version that has it, where there is one.
    fn version_of_image<'c>(
        &self,
        selected: Selected<'c>,
        facts: &Facts,
        to: &str,
    ) -> Result<Choice<'c>> {
        let (code, archs) = self.named(selected, to)?;
        let has_it = |version: &&Version| version.code.as_ref().is_some_and(|one| one.is(&code));
        let version = facts
            .versions
            .iter()
            .find(has_it)
            .map(|version| version.number.clone());
        Ok(Choice {
            selected,
            version,
            code,
            archs,
        })
    }

    /// Proves the image of a version. The function may have come from another repository once.
    fn prove(
        &self,
        selected: Selected<'_>,
        facts: &Facts,
        version: &str,
        code: &Code,
    ) -> Result<Code> {
        let own = code
            .image
            .split_once('/')
            .and_then(|(_, rest)| rest.split_once('@'));
        let repository = own.map_or_else(
            || self.session.repository(selected),
            |(name, _)| name.to_owned(),
        );
        if self.resolver.manifest(&repository, &code.digest)?.is_none() {
            let (name, digest) = (&facts.function.name, &code.digest);
            let problem = format!(
                "version {version} of {name} runs {digest}, which is gone from `{repository}`: a lifecycle rule may have \
                 deleted it"
            );
            return Err(Refused::from(rollback::none(problem, &rollback::versions(facts))).into());
        }
        self.resolver
            .find_in(&repository, selected, &code.digest, code.arch)
    }

    /// Other targets keep no versions: ECR's tags tell what the environment has had.
    fn image<'c>(&self, selected: Selected<'c>) -> Result<Choice<'c>> {
        if let Some(to) = self.to {
            let (code, archs) = self.named(selected, to)?;
            return Ok(Choice {
                selected,
                code,
                archs,
                version: None,
            });
        }
        let running = targets::running(self.session, selected)?;
        let digest = running.digest.as_deref().with_context(|| {
            let (workload, image) = (
                &running.workload,
                running.image.as_deref().unwrap_or("nothing"),
            );
            format!(
                "{workload} runs {image}, which names no digest: say what to go back to with `--to`"
            )
        })?;
        let repository = self.session.repository(selected);
        let stored = self.session.repositories().images(&repository)?;
        let candidates = rollback::images(
            &stored,
            &selected.image.tag_prefix,
            &self.session.environment.name,
        );
        let bad = self.bad(&running.workload);
        let candidate = image_before(&candidates, &running, digest, &bad, &repository)
            .map_err(Refused::from)?;
        self.candidate(selected, candidate)
    }

    fn candidate<'c>(&self, selected: Selected<'c>, candidate: &Candidate) -> Result<Choice<'c>> {
        let arch = candidate
            .arch
            .unwrap_or_else(|| self.session.config.arch(selected.image.target));
        let (code, archs) = self.resolver.choose(selected, &candidate.digest, arch)?;
        Ok(Choice {
            selected,
            code,
            archs,
            version: None,
        })
    }

    /// What `--to TAG` and `--to DIGEST` name. A tag may be written without the image's prefix.
    fn named(&self, selected: Selected<'_>, to: &str) -> Result<(Code, Vec<Arch>)> {
        let repository = self.session.repository(selected);
        let prefixed = format!("{}{to}", selected.image.tag_prefix);
        let is_whole =
            to.starts_with("sha256:") || self.resolver.manifest(&repository, &prefixed)?.is_none();
        let name = if is_whole { to } else { &prefixed };
        let target = selected.image.target;
        let policy = self.session.config.arch(target);
        // An earlier image may be for the CPU of an earlier policy.
        let others = Arch::ALL
            .into_iter()
            .filter(|arch| *arch != policy && target.can_run(*arch));
        let mut first = None;
        for arch in [policy].into_iter().chain(others) {
            match self.resolver.choose(selected, name, arch) {
                Ok(chosen) => return Ok(chosen),
                Err(error) => first = first.or(Some(error)),
            }
        }
        Err(first.context("no architecture was tried")?)
    }

    fn bad(&self, workload: &str) -> std::collections::BTreeSet<String> {
        record::bad(
            &self.session.config.root,
            &self.session.environment.name,
            workload,
        )
    }
}
