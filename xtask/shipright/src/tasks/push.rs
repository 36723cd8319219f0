//! `push`: images for an environment, built, pushed under their six tags, and checked.

use std::{fs::File, process::ExitCode, thread};

use anyhow::{Context as _, Result};

use super::{exit_code, images, since};
use crate::{
    arch::Arch,
    attest,
    aws::Aws,
    cli::Push,
    context::Context,
    docker::Docker,
    endpoint,
    execute::OtherRegion,
    facts::{git, paths, published::Read, state, version},
    model::{
        config::{Config, Environment},
        revision::Revision,
        tags::TagKind,
    },
    plan::{
        self, Plan, PlatformBuild, PushFacts, Selected, attest::AttestFacts, guards, plan_push,
    },
    record,
    refused::Refused,
    report::result::Report,
    scan,
    session::{self, Session},
    workspace::Workspace,
};

/// Which images go where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request<'r> {
    /// The environment.
    pub environment: &'r str,
    /// Services; none means all.
    pub services: &'r [String],
    /// The Dockerfile, where one is named.
    pub dockerfile: Option<&'r str>,
    /// The commit that images have to differ from.
    pub(crate) since: Option<&'r str>,
    /// Whether each image is built for both CPUs.
    pub multi_arch: bool,
    /// The one platform that is wanted.
    pub platform: Option<Arch>,
    /// Whether each image gets an SBOM, whatever deploy.toml says.
    pub sbom: bool,
}

/// Pushes to an environment.
pub(super) fn run(context: &Context, push: &Push) -> Result<ExitCode> {
    let selection = &push.selection;
    let request = Request {
        environment: &push.environment,
        services: &selection.service,
        dockerfile: selection.dockerfile.as_deref(),
        since: selection.since.as_deref(),
        multi_arch: selection.multi_arch,
        platform: selection.platform,
        sbom: selection.sbom,
    };
    let workspace = Workspace::of(context)?;
    let Some(push) = Prepared::of(context, &workspace, request)? else {
        return Ok(since::nothing(context));
    };
    if images::show_or_announce(context, &push.plan) {
        return Ok(ExitCode::SUCCESS);
    }
    session::confirm_protected(context, push.session.environment)?;
    let report = push.carry_out(context, selection.jobs)?;
    images::say_next(context, &push.plan, &report, &selection.service);
    context.print(&report);
    Ok(exit_code(report.succeeded()))
}

/// A push that is planned.
pub(super) struct Prepared<'w> {
    /// The environment, open.
    pub session: Session<'w>,
    /// The same environment in its other regions.
    pub others: Vec<Session<'w>>,
    /// The images.
    pub selection: Vec<Selected<'w>>,
    /// Their builds, in the order of the plan's images.
    pub builds: Vec<PlatformBuild<'w>>,
    /// What will be done.
    pub plan: Plan,
    docker: Docker,
    /// Until the end nobody else pushes from here.
    _turn: Option<File>,
}

impl<'w> Prepared<'w> {
    /// Reads what there is, and plans. `None` where no image differs from the commit that was named: nobody is asked for a
    /// login or for leave to do nothing.
    ///
    /// # Errors
    /// Every reason why nothing can be done.
    pub(super) fn of(
        context: &Context,
        workspace: &'w Workspace<'_>,
        request: Request<'_>,
    ) -> Result<Option<Self>> {
        let config = &workspace.config;
        let environment = workspace.environment(request.environment)?;
        let selection = plan::select(config, environment, request.services, request.dockerfile)
            .map_err(Refused)?;
        let selection =
            plan::for_platform(config, selection, request.platform).map_err(Refused::from)?;
        let selection = since::keep(context, config, selection, request.since)?;
        if selection.is_empty() {
            return Ok(None);
        }
        let mut revision = git::project_revision(config)?;
        if let Some(revision) = &mut revision {
            version::read(config, revision).map_err(Refused)?;
        }
        Refused::unless_none(guards(environment, revision.as_ref()))?;

        // Two pushes of one project at once would give their images the same names in the local engine.
        let turn = if context.global.dry_run {
            None
        } else {
            Some(turn(context, config)?)
        };
        // Everything that needs no network has been asked; only now a sandbox is started.
        let mut session = Session::open_or_empty(workspace, environment)?;
        if environment.protected && session.is_readable() {
            session.guard_registry()?;
        }
        let look = Look {
            context,
            session: &session,
            selection: &selection,
            revision: revision.as_ref(),
            platform: request.platform,
        };
        let docker = session.docker();
        let asked = look.is_likely_to_build().then(|| {
            let docker = docker.clone();
            thread::spawn(move || docker.ask_early())
        });
        let (platform_builds, read) = look.read(request.multi_arch)?;
        let facts = facts(&session, request, revision, read);
        let mut plan = plan_push(config, environment, &platform_builds, &facts).map_err(Refused)?;
        scan::leave_out_in_sandbox(&mut plan.scan, &session, &context.terminal);
        if let Some(sandbox) = &mut session.sandbox {
            sandbox.provide_bases(
                &mut plan,
                &config.stand_ins,
                context.global.dry_run,
                &context.terminal,
            )?;
        }
        if session.is_protected() && plan.builds_anything() {
            say_if_promotion_would_do(context, config, environment, &plan, &platform_builds);
        }
        // Where there is nothing to build nobody waits for docker, which may be far away or silent.
        if let Some(asked) = asked.filter(|_| plan.builds_anything()) {
            let _ = asked.join();
        }
        // A sandbox that is not there yet has no engine to ask.
        if session.is_readable() {
            docker.resolve_build_modes(&mut plan);
        }
        let others = session.others(workspace)?;
        add_regions(&mut plan, &session, &others)?;
        Ok(Some(Self {
            session,
            others,
            selection,
            builds: platform_builds,
            plan,
            docker,
            _turn: turn,
        }))
    }

    /// Carries the plan out. What failed is in the report.
    ///
    /// # Errors
    /// What is in the way before anything is done.
    pub(super) fn carry_out(&self, context: &Context, jobs: u8) -> Result<Report> {
        let (config, docker) = (self.session.config, &self.docker);
        let others = self.others.iter();
        let others = others.filter(|other| has_own_registry(&self.session, other));
        let others = others.map(|other| OtherRegion {
            place: &other.place,
            repositories: other.repositories(),
        });
        images::Run {
            context,
            config,
            docker,
            session: Some(&self.session),
            others: &others.collect::<Vec<_>>(),
            jobs,
        }
        .carry_out(&self.plan)
    }
}

/// What a push is planned from, besides deploy.toml.
fn facts(
    session: &Session<'_>,
    request: Request<'_>,
    revision: Option<Revision>,
    read: Read,
) -> PushFacts {
    PushFacts {
        place: session.place.clone(),
        revision,
        now: read.now,
        repositories: read.repositories,
        published: read.published,
        functions: read.functions,
        build: paths::build_facts(session.config, None),
        scanners: scan::installed(),
        attest: AttestFacts {
            sbom: request.sbom,
            is_sandbox: session.sandbox.is_some(),
            tools: attest::installed(),
        },
    }
}

/// Adds the other regions to a plan: what is there for its images.
///
/// # Errors
/// A refusal for a repository that is missing there, or that cannot take the tags.
fn add_regions(plan: &mut Plan, first: &Session<'_>, others: &[Session<'_>]) -> Result<()> {
    let config = first.config;
    let publications = plan
        .images
        .iter()
        .filter_map(|image| image.publication.clone());
    let publications: Vec<_> = publications.collect();
    let mut refusals = Vec::new();
    for other in others {
        plan.other_places.push(other.place.clone());
        for publication in publications
            .iter()
            .filter(|_| has_own_registry(first, other))
        {
            let name = &publication.repository;
            let movable = plan::movable_tags(config, other.environment, name);
            let found = other.repositories().repository(name)?;
            refusals.extend(plan::region_refusals(
                other.environment,
                &other.place,
                publication,
                found.as_ref(),
                &movable,
            ));
            plan.movable_tags.insert(name.clone(), movable);
        }
    }
    refusals.dedup();
    Ok(Refused::unless_none(refusals)?)
}

/// Whether another region keeps its images elsewhere than the first: a registry that deploy.toml names may serve all of them.
fn has_own_registry(first: &Session<'_>, other: &Session<'_>) -> bool {
    first.environment.registry_host() != other.environment.registry_host()
}

/// Waits for other pushes of this project on this machine. The turn ends with the file.
fn turn(context: &Context, config: &Config) -> Result<File> {
    let path = state::directory(&config.root)?.join("push.lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path);
    let file = file.with_context(|| format!("failed to open `{}`", path.display()))?;
    if file.try_lock().is_err() {
        context
            .terminal
            .note("another push of this project is running: waiting for it to end");
        file.lock()
            .with_context(|| format!("failed to lock `{}`", path.display()))?;
    }
    Ok(file)
}

/// A look at what the registry has of the images of a push.
struct Look<'l, 'w> {
    context: &'l Context,
    session: &'l Session<'w>,
    selection: &'l [Selected<'w>],
    revision: Option<&'l Revision>,
    /// The one platform that is wanted.
    platform: Option<Arch>,
}

impl<'w> Look<'_, 'w> {
    /// The builds of each image, and what there is of each. An image of which this commit has an index already stays one.
    fn read(&self, multi_arch: bool) -> Result<(Vec<PlatformBuild<'w>>, Read)> {
        let platform_builds = self.builds(|_| multi_arch);
        if !self.session.is_readable() {
            let nothing = Read::nothing(platform_builds.len());
            return Ok((platform_builds, nothing));
        }
        self.context.terminal.detail(&format!(
            "reading what `{}` has",
            self.session.place.registry
        ));
        let read = Read::of(self.session, &platform_builds, self.revision)?;
        let both = self.indexes(&platform_builds, &read);
        if both.is_empty() {
            return Ok((platform_builds, read));
        }
        let is_index = |selected: &Selected<'_>| both.iter().any(|one| one.is(selected));
        let platform_builds = self.builds(|selected| multi_arch || is_index(selected));
        let read = Read::of(self.session, &platform_builds, self.revision)?;
        Ok((platform_builds, read))
    }

    /// Whether docker's current builder will most often be asked to build: for a commit that nobody has pushed from here. A dry run
    /// asks once it is known that there is something to build.
    fn is_likely_to_build(&self) -> bool {
        let (config, name) = (self.session.config, &self.session.environment.name);
        let is_new = |revision: &Revision| {
            revision.dirty || !record::has_pushed(&config.root, name, &revision.commit)
        };
        let is_asked = !self.context.global.dry_run && self.session.is_readable();
        is_asked && config.builders.is_empty() && self.revision.is_some_and(is_new)
    }

    fn builds(&self, is_index: impl Fn(&Selected<'w>) -> bool) -> Vec<PlatformBuild<'w>> {
        let all = plan::platform_builds(self.session.config, self.selection, is_index);
        let is_wanted = |one: &PlatformBuild<'_>| self.platform.is_none_or(|arch| one.arch == arch);
        all.into_iter().filter(is_wanted).collect()
    }

    fn indexes(&self, platform_builds: &[PlatformBuild<'w>], read: &Read) -> Vec<Selected<'w>> {
        let Some(revision) = self.revision else {
            return Vec::new();
        };
        let (config, environment) = (self.session.config, self.session.environment);
        let single = platform_builds
            .iter()
            .zip(&read.published)
            .filter(|(platform_build, _)| !platform_build.in_index);
        let indexes = single.filter(|(platform_build, published)| {
            plan::has_index(config, environment, **platform_build, revision, published)
        });
        let images: Vec<_> = indexes
            .map(|(platform_build, _)| platform_build.selected)
            .collect();
        for image in &images {
            let text = format!(
                "{} of this commit is an image index for both CPUs, and stays one",
                image.name()
            );
            self.context.terminal.note(&text);
        }
        images
    }
}

/// Another environment may have this very revision, tried and proven: then nothing needs to be built.
fn say_if_promotion_would_do(
    context: &Context,
    config: &Config,
    environment: &Environment,
    plan: &Plan,
    builds: &[PlatformBuild<'_>],
) {
    let others = config
        .environments
        .values()
        .filter(|other| other.name != environment.name && !other.protected);
    for other in others {
        if !endpoint::is_trusted(other) {
            continue;
        }
        let Ok(aws) = Aws::connect(&session::connection(other, None)) else {
            continue;
        };
        let images = plan.images.iter().zip(builds);
        let mut built = images.filter(|(image, _)| image.build().is_some());
        if built.all(|(_, build)| has_revision(config, other, &aws, plan, *build) == Some(true)) {
            let (from, to) = (&other.name, &environment.name);
            context.terminal.note(&format!(
                "`{from}` has this revision: `cargo xtask promote {from} {to}` takes the very same images, without a build"
            ));
        }
    }
}

/// Whether an environment has the image of the plan's revision. `None` where it cannot be read.
fn has_revision(
    config: &Config,
    other: &Environment,
    aws: &Aws,
    plan: &Plan,
    build: PlatformBuild<'_>,
) -> Option<bool> {
    let tags = plan::tag_set(config, other, build, plan.revision.as_ref()?, "");
    let tag = &tags.plain().find(|tag| tag.kind == TagKind::Revision)?.name;
    let Selected { service, image } = build.selected;
    let repository = other.repository(&config.project, &service.name, image.target);
    let found = aws.reader().tagged(&repository, tag).ok()?;
    Some(found.is_some())
}
