//! `doctor`: whether everything that a build and a push need is there, with a cure for each miss.
//!
//! Nothing is changed, unless `--fix` asks for the one thing that can be set up once: emulation.

use std::{collections::BTreeSet, process::ExitCode};

use anyhow::Result;
use serde::Serialize;

use crate::{
    arch::Arch,
    attest,
    aws::Aws,
    context::Context,
    docker::Docker,
    endpoint,
    facts::{git, paths},
    model::{
        config::{Config, Environment},
        target::Target,
    },
    plan::{self, Selected, account_guard, command::let_tags_move, guards},
    registry::{Actions, Registry},
    sandbox::Sandbox,
    scan, session, store,
    tasks::exit_code,
    workspace::Workspace,
};

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    what: String,
    state: State,
    found: String,
    cure: Option<String>,
}

/// How it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// As it should be.
    Good,
    /// Worth knowing.
    Note,
    /// A build or push would fail.
    Bad,
}

impl Check {
    fn good(what: &str, found: impl Into<String>) -> Self {
        Self {
            what: what.to_owned(),
            state: State::Good,
            found: found.into(),
            cure: None,
        }
    }

    fn note(what: &str, found: impl Into<String>, cure: &str) -> Self {
        Self {
            what: what.to_owned(),
            state: State::Note,
            found: found.into(),
            cure: Some(cure.to_owned()),
        }
    }

    fn bad(what: &str, found: impl Into<String>, cure: impl Into<String>) -> Self {
        Self {
            what: what.to_owned(),
            state: State::Bad,
            found: found.into(),
            cure: Some(cure.into()),
        }
    }
}

/// Looks at everything, and installs emulation where `fix` asks for it.
pub(super) fn run(context: &Context, fix: bool) -> Result<ExitCode> {
    let workspace = Workspace::of(context)?;
    let (config, sandbox) = (&workspace.config, workspace.sandbox()?);
    let docker = Workspace::docker(sandbox.as_ref());
    let mut checks = vec![Check::good(
        "deploy.toml",
        format!(
            "{} services, {} environments",
            config.services.len(),
            config.environments.len()
        ),
    )];
    checks.extend(files(config));
    checks.extend(repository(config)?);
    checks.extend(engine(
        context,
        config,
        &docker,
        fix && !context.global.dry_run,
    ));
    checks.push(content_store(config));
    checks.extend(scanner(config));
    checks.extend(signers(config));
    for environment in config.environments.values() {
        checks.extend(cloud(config, environment, sandbox.as_ref()));
        if environment.ecr().is_none() {
            checks.extend(other_registry(config, environment));
        }
    }
    Ok(show(context, &checks))
}

/// What builds have left, and how long it stays.
fn content_store(config: &Config) -> Check {
    let store::Contents { images, bytes } = store::Contents::of(&config.root);
    let (megabytes, days) = (bytes / 1_000_000, store::LONGEST.as_secs() / (24 * 60 * 60));
    let gibibytes = store::LARGEST >> 30;
    Check::good(
        "content store",
        format!(
            "{images} images, {megabytes} MB; what no push uses for {days} days goes, and the oldest beyond {gibibytes} GiB"
        ),
    )
}

/// What scans images, where an environment asks for that.
fn scanner(config: &Config) -> Vec<Check> {
    let installed = scan::installed();
    let asks = config.environments.values();
    let asks = asks.filter(|environment| environment.scan.is_some());
    let check = |environment: &Environment| {
        let what = format!("scanner for {}", environment.name);
        let (host, is_in_ecr) = (environment.registry_host(), environment.ecr().is_some());
        match plan::scan::choose(None, &installed, is_in_ecr, &host) {
            Ok(scanner) => Check::good(&what, scanner.title()),
            Err(refusal) => Check::bad(&what, refusal.problem, refusal.cure),
        }
    };
    asks.map(check).collect()
}

/// What signs images, where an environment asks for that.
fn signers(config: &Config) -> Vec<Check> {
    let installed = attest::installed();
    let check = |environment: &Environment| {
        let signing = environment.attest.sign.as_ref()?;
        let what = format!("signatures for {}", environment.name);
        let there = plan::attest::require_tool(&environment.name, signing, &installed);
        Some(match there {
            Ok(()) => Check::good(&what, signing.tool.name()),
            Err(refusal) => Check::bad(&what, refusal.problem, refusal.cure),
        })
    };
    config.environments.values().filter_map(check).collect()
}

fn files(config: &Config) -> Vec<Check> {
    let facts = paths::build_facts(config, None);
    let missing: BTreeSet<_> = plan::all(config)
        .flat_map(|selected| plan::needs(config, selected, &facts))
        .map(|refusal| (refusal.problem, refusal.cure))
        .collect();
    let gone = missing
        .into_iter()
        .map(|(problem, cure)| Check::bad("builds", problem, cure));
    let found: usize = paths::dockerfiles(config)
        .values()
        .map(|text| {
            dockerfile_rules::check(text)
                .iter()
                .filter(|finding| !finding.is_note)
                .count()
        })
        .sum();
    let rules = match found {
        0 => Check::good("Dockerfiles", "no rule finds anything"),
        count => Check::note(
            "Dockerfiles",
            format!("{count} findings"),
            "cargo xtask verify dockerfiles",
        ),
    };
    gone.chain([rules]).collect()
}

fn repository(config: &Config) -> Result<Vec<Check>> {
    let Some(revision) = git::project_revision(config)? else {
        return Ok(vec![Check::bad(
            "git",
            "nothing is committed",
            "git add --all && git commit",
        )]);
    };
    let state = if revision.dirty { "dirty" } else { "clean" };
    let branch = revision
        .branch
        .clone()
        .unwrap_or_else(|| "a detached HEAD".to_owned());
    let mut checks = vec![Check::good(
        "git",
        format!(
            "{} on {branch}, {state}",
            revision.short(config.revision_length)
        ),
    )];
    for environment in config.environments.values() {
        let refusals = guards(environment, Some(&revision));
        checks.extend(
            refusals
                .iter()
                .map(|refusal| Check::note("git", refusal.problem.clone(), &refusal.cure)),
        );
    }
    Ok(checks)
}

fn engine(context: &Context, config: &Config, docker: &Docker, fix: bool) -> Vec<Check> {
    let version = match docker.check() {
        Ok(version) => version,
        Err(error) => {
            let cure = "start Docker, or add `--sandbox` for a private engine";
            return vec![Check::bad("docker", format!("{error:#}"), cure)];
        }
    };
    let mut checks = vec![Check::good(
        "docker",
        format!("Engine {version}, with buildx"),
    )];
    match docker.platforms() {
        Ok(platforms) => {
            let found = format!("says that it builds {}", platforms.join(", "));
            checks.push(Check::good("builder", found));
        }
        Err(error) => {
            let cure = "docker buildx inspect --bootstrap";
            checks.push(Check::bad("builder", format!("{error:#}"), cure));
            return checks;
        }
    }
    let native = docker.native_arch();
    let images = || config.services.values().flat_map(|service| &service.images);
    let is_built = |arch: Arch| images().any(|image| config.arch(image.target) == arch);
    for arch in Arch::ALL.into_iter().filter(|arch| is_built(*arch)) {
        checks.push(builder_for(context, config, docker, arch, (native, fix)));
    }
    checks.extend(docker.free_disk().map(disk));
    checks
}

/// How images of an architecture are built. `native` is the engine's own.
fn builder_for(
    context: &Context,
    config: &Config,
    docker: &Docker,
    arch: Arch,
    (native, fix): (Option<Arch>, bool),
) -> Check {
    let (what, images) = (format!("builder for {arch}"), images_for(config, arch));
    if native == Some(arch) {
        return Check::good(&what, format!("native: {images}"));
    }
    if docker.executes(arch, None).unwrap_or(false) {
        let handler = docker.handler(arch).map(|handler| format!(" ({handler})"));
        let handler = handler.unwrap_or_default();
        let text = "a program ran; slow where a build executes its programs";
        return Check::good(&what, format!("emulated{handler}: {text}: {images}"));
    }
    if fix {
        return install(context, docker, arch, &what);
    }
    Check::note(
        &what,
        "no emulation: a step that executes its programs fails; one that copies and cross-compiles works",
        "cargo xtask doctor --fix: docker run --privileged --rm tonistiigi/binfmt --install all, a one-time setup",
    )
}

/// Whether the engine has room. `free` is in GiB.
fn disk(free: u64) -> Check {
    const LITTLE: u64 = 5;
    let found = format!("{free} GiB free for the engine");
    if free < LITTLE {
        Check::bad("disk", found, "docker system prune")
    } else {
        Check::good("disk", found)
    }
}

/// The images that are built for a CPU.
fn images_for(config: &Config, arch: Arch) -> String {
    let names: Vec<_> = plan::all(config)
        .filter(|one| config.arch(one.image.target) == arch)
        .map(|one| one.name())
        .collect();
    names.join(", ")
}

fn install(context: &Context, docker: &Docker, arch: Arch, what: &str) -> Check {
    context.terminal.status(
        "Installing",
        &format!("QEMU emulation of {arch}; this is a one-time setup"),
    );
    match docker.install_emulation(arch) {
        Ok(()) => Check::good(what, "emulated, since just now"),
        Err(error) => Check::bad(
            what,
            format!("{error:#}"),
            "install qemu-user-static by hand, as root",
        ),
    }
}

fn cloud(config: &Config, environment: &Environment, sandbox: Option<&Sandbox>) -> Vec<Check> {
    let what = format!("AWS for {}", environment.name);
    let bad =
        |error: anyhow::Error, cure: &str| vec![Check::bad(&what, format!("{error:#}"), cure)];
    if sandbox.is_none() && !endpoint::is_trusted(environment) {
        let endpoint = environment.endpoint.as_deref().unwrap_or_default();
        let problem =
            format!("{endpoint} is not on this machine, and is sent no credentials by this");
        let cure = format!("if you know it: {}={endpoint}", endpoint::TRUSTED);
        return vec![Check::bad(&what, problem, cure)];
    }
    let aws = match Aws::connect(&session::connection(environment, sandbox)) {
        Ok(aws) => aws,
        Err(error) => return bad(error, "correct ~/.aws/config"),
    };
    let identity = match aws.reader().identity() {
        Ok(identity) => identity,
        Err(error) => return bad(error, "aws sso login, or set AWS_PROFILE"),
    };
    let account = match account_guard(environment, &identity.account, &identity.arn) {
        Ok(()) => {
            let (arn, account, region) = (&identity.arn, &identity.account, &environment.region);
            Check::good(&what, format!("{arn} in {account}, {region}"))
        }
        Err(refusal) => Check::bad(&what, refusal.problem, refusal.cure),
    };
    let functions = plan::going_to(config, environment);
    let functions = functions.filter_map(|one| plan::function_name(config, environment, one));
    let mut checks = vec![account];
    if environment.ecr().is_some() {
        let names = repositories(config, environment);
        let names = names.iter();
        checks.insert(0, login(&aws, environment));
        checks.extend(names.map(|name| registry(&aws, (config, environment), name)));
    }
    checks.extend(functions.map(|name| function(config, &aws, &name)));
    checks
}

fn repositories(config: &Config, environment: &Environment) -> BTreeSet<String> {
    let repository = |one: Selected<'_>| {
        environment.repository(&config.project, &one.service.name, one.image.target)
    };
    plan::all(config).map(repository).collect()
}

/// Whether a registry that is not ECR takes docker's login for each repository.
fn other_registry(config: &Config, environment: &Environment) -> Vec<Check> {
    let host = environment.registry_host();
    let look = |name: &String| {
        let what = format!("repository {name} of {}", environment.name);
        match Registry::with_docker_login(&host, Actions::Push).tags(name) {
            Ok(tags) if tags.is_empty() => {
                Check::good(&what, format!("{host} has no image there yet"))
            }
            Ok(tags) => Check::good(&what, format!("{host} has {} tags there", tags.len())),
            Err(error) => Check::bad(&what, format!("{error:#}"), format!("docker login {host}")),
        }
    };
    let names = repositories(config, environment);
    names.iter().map(look).collect()
}

fn login(aws: &Aws, environment: &Environment) -> Check {
    let what = format!("registry login for {}", environment.name);
    match aws.reader().login() {
        Ok(_) => Check::good(&what, "ECR gives a token"),
        Err(error) => {
            let cure = "a push needs ecr:GetAuthorizationToken";
            Check::bad(&what, format!("{error:#}"), cure)
        }
    }
}

fn function(config: &Config, aws: &Aws, name: &str) -> Check {
    let what = format!("function {name}");
    let wanted = config.arch(Target::Lambda);
    match aws.reader().function(name) {
        Ok(function) if !function.exists => Check::note(
            &what,
            "does not exist",
            "create it before its first deployment; a push needs none",
        ),
        Ok(function) if function.arch.is_some_and(|arch| arch != wanted) => {
            let cure =
                "aws lambda update-function-code with --image-uri and --architectures in one call";
            Check::note(
                &what,
                format!("{}, and the policy is {wanted}", function.describe()),
                cure,
            )
        }
        Ok(function) => Check::good(&what, function.describe()),
        Err(error) => Check::note(
            &what,
            format!("{error:#}"),
            "ask for lambda:GetFunction to see what functions run",
        ),
    }
}

fn registry(aws: &Aws, (config, environment): (&Config, &Environment), name: &str) -> Check {
    let what = format!("repository {name} of {}", environment.name);
    match aws.reader().repository(name) {
        Ok(Some(repository)) if repository.mutability.can_move("x-latest") => {
            match aws.reader().can_look_for_layers(name) {
                Ok(()) => Check::good(&what, "is there, and `latest` can move"),
                Err(error) => Check::bad(
                    &what,
                    format!("{error:#}"),
                    "a push needs ecr:BatchCheckLayerAvailability and the like",
                ),
            }
        }
        Ok(Some(_)) => Check::bad(
            &what,
            "is immutable: `latest` cannot move",
            let_tags_move(name, &plan::movable_tags(config, environment, name)),
        ),
        Ok(None) if environment.create_repository => {
            Check::good(&what, "does not exist; a push creates it")
        }
        Ok(None) => Check::bad(
            &what,
            "does not exist",
            "set `create-repository = true` in deploy.toml, or create it",
        ),
        Err(error) => Check::bad(
            &what,
            format!("{error:#}"),
            "ask for ecr:DescribeRepositories",
        ),
    }
}

fn show(context: &Context, checks: &[Check]) -> ExitCode {
    if context.global.json {
        crate::report::document::print(&checks);
    }
    for check in checks {
        let text = format!("{}: {}", check.what, check.found);
        match check.state {
            State::Good => context.terminal.status("Good", &text),
            State::Note => context.terminal.note(&text),
            State::Bad => context.terminal.error(&text),
        }
        if let Some(cure) = &check.cure {
            context.terminal.help(cure);
        }
    }
    let bad = checks
        .iter()
        .filter(|check| check.state == State::Bad)
        .count();
    exit_code(bad == 0)
}
