//! `doctor`: whether everything that a build and a push need is there, with a cure for each miss.
//!
//! Nothing is changed, unless `--fix` asks for the one thing that can be set up once: emulation.

use std::process::ExitCode;

use anyhow::Result;
use serde::Serialize;

use crate::{
    arch::Arch,
    aws::Aws,
    context::Context,
    docker::Docker,
    facts::{git, paths},
    model::{
        config::{Config, Environment},
        target::Target,
    },
    plan::{self, Selected, account_guard, command::let_tags_move, guards},
    sandbox::Sandbox,
    session,
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
        Self { what: what.to_owned(), state: State::Good, found: found.into(), cure: None }
    }

    fn note(what: &str, found: impl Into<String>, cure: &str) -> Self {
        Self { what: what.to_owned(), state: State::Note, found: found.into(), cure: Some(cure.to_owned()) }
    }

    fn bad(what: &str, found: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { what: what.to_owned(), state: State::Bad, found: found.into(), cure: Some(cure.into()) }
    }
}

/// Looks at everything, and installs emulation where `fix` asks for it.
pub fn run(context: &Context, fix: bool) -> Result<ExitCode> {
    let workspace = Workspace::of(context)?;
    let (config, sandbox) = (&workspace.config, workspace.sandbox()?);
    let docker = Workspace::docker(sandbox.as_ref());
    let mut checks = vec![Check::good(
        "deploy.toml",
        format!("{} services, {} environments", config.services.len(), config.environments.len()),
    )];
    checks.extend(files(config));
    checks.extend(repository(config)?);
    checks.extend(engine(context, config, &docker, fix && !context.global.dry_run));
    for environment in config.environments.values() {
        checks.extend(cloud(config, environment, sandbox.as_ref()));
    }
    Ok(show(context, &checks))
}

fn files(config: &Config) -> Vec<Check> {
    let missing = paths::missing(config, None);
    let gone = missing.iter().map(|path| {
        let cure = "create it, or correct `context` or `dockerfile` in deploy.toml";
        Check::bad("files", format!("`{}` is not in the build context", config.shown(path).display()), cure)
    });
    let found: usize = paths::dockerfiles(config)
        .values()
        .map(|text| dockerfile_rules::check(text).iter().filter(|finding| !finding.is_note).count())
        .sum();
    let rules = match found {
        0 => Check::good("Dockerfiles", "no rule finds anything"),
        count => Check::note("Dockerfiles", format!("{count} findings"), "cargo xtask verify dockerfiles"),
    };
    gone.chain([rules]).collect()
}

fn repository(config: &Config) -> Result<Vec<Check>> {
    let Some(revision) = git::project_revision(config)? else {
        return Ok(vec![Check::bad("git", "nothing is committed", "git add --all && git commit")]);
    };
    let state = if revision.dirty { "dirty" } else { "clean" };
    let branch = revision.branch.clone().unwrap_or_else(|| "a detached HEAD".to_owned());
    let mut checks = vec![Check::good("git", format!("{} on {branch}, {state}", revision.short(config.revision_length)))];
    for environment in config.environments.values() {
        let refusals = guards(environment, Some(&revision));
        checks.extend(refusals.iter().map(|refusal| Check::note("git", refusal.problem.clone(), &refusal.cure)));
    }
    Ok(checks)
}

/// The engine, its builder, and what that can build: the builder is asked, and not `uname`, which knows neither remote
/// engines nor Rosetta.
fn engine(context: &Context, config: &Config, docker: &Docker, fix: bool) -> Vec<Check> {
    let version = match docker.check() {
        Ok(version) => version,
        Err(error) => {
            return vec![Check::bad("docker", format!("{error:#}"), "start Docker, or add `--sandbox` for a private engine")];
        }
    };
    let mut checks = vec![Check::good("docker", format!("Engine {version}, with buildx"))];
    match docker.platforms() {
        Ok(platforms) => checks.push(Check::good("builder", format!("says that it builds {}", platforms.join(", ")))),
        Err(error) => {
            checks.push(Check::bad("builder", format!("{error:#}"), "docker buildx inspect --bootstrap"));
            return checks;
        }
    }
    let native = docker.native_arch();
    for arch in Arch::ALL
        .into_iter()
        .filter(|arch| config.services.values().flat_map(|s| &s.images).any(|i| config.arch(i.target) == *arch))
    {
        let what = format!("builder for {arch}");
        if native == Some(arch) {
            checks.push(Check::good(&what, format!("native: {}", images_for(config, arch))));
        } else if docker.executes(arch, None).unwrap_or(false) {
            let handler = docker.handler(arch).map(|handler| format!(" ({handler})")).unwrap_or_default();
            checks.push(Check::good(
                &what,
                format!(
                    "emulated{handler}: a program ran; slow where a build executes its programs: {}",
                    images_for(config, arch)
                ),
            ));
        } else if fix {
            checks.push(install(context, docker, arch, &what));
        } else {
            let cure = "cargo xtask doctor --fix: docker run --privileged --rm tonistiigi/binfmt --install all, a one-time setup";
            checks.push(Check::note(
                &what,
                "no emulation: a step that executes its programs fails; one that copies and cross-compiles works",
                cure,
            ));
        }
    }
    if let Some(free) = docker.free_disk() {
        const LITTLE: u64 = 5;
        let found = format!("{free} GiB free for the engine");
        checks.push(if free < LITTLE { Check::bad("disk", found, "docker system prune") } else { Check::good("disk", found) });
    }
    checks
}

/// The images that are built for a CPU.
fn images_for(config: &Config, arch: Arch) -> String {
    let all = config.services.values().flat_map(|service| service.images.iter().map(move |image| Selected { service, image }));
    let names: Vec<_> = all.filter(|one| config.arch(one.image.target) == arch).map(|one| one.name()).collect();
    names.join(", ")
}

fn install(context: &Context, docker: &Docker, arch: Arch, what: &str) -> Check {
    context.terminal.status("Installing", &format!("QEMU emulation of {arch}; this is a one-time setup"));
    match docker.install_emulation(arch) {
        Ok(()) => Check::good(what, "emulated, since just now"),
        Err(error) => Check::bad(what, format!("{error:#}"), "install qemu-user-static by hand, as root"),
    }
}

/// The account, the repositories and the functions of an environment.
fn cloud(config: &Config, environment: &Environment, sandbox: Option<&Sandbox>) -> Vec<Check> {
    let what = format!("AWS for {}", environment.name);
    let aws = match Aws::connect(&session::connection(environment, sandbox)) {
        Ok(aws) => aws,
        Err(error) => return vec![Check::bad(&what, format!("{error:#}"), "correct ~/.aws/config")],
    };
    let identity = match aws.reader().identity() {
        Ok(identity) => identity,
        Err(error) => return vec![Check::bad(&what, format!("{error:#}"), "aws sso login, or set AWS_PROFILE")],
    };
    let login = match aws.reader().login() {
        Ok(_) => Check::good(&format!("registry login for {}", environment.name), "ECR gives a token"),
        Err(error) => {
            let cure = "a push needs ecr:GetAuthorizationToken";
            Check::bad(&format!("registry login for {}", environment.name), format!("{error:#}"), cure)
        }
    };
    let mut checks = vec![
        login,
        match account_guard(environment, &identity.account, &identity.arn) {
            Ok(()) => Check::good(&what, format!("{} in {}, {}", identity.arn, identity.account, environment.region)),
            Err(refusal) => Check::bad(&what, refusal.problem, refusal.cure),
        },
    ];
    let images = config.services.values().flat_map(|service| service.images.iter().map(move |image| (service, image)));
    let mut names: Vec<_> =
        images.map(|(service, image)| environment.repository(&config.project, &service.name, image.target)).collect();
    names.sort();
    names.dedup();
    checks.extend(names.iter().map(|name| registry(&aws, environment, name)));
    let images = config.services.values().flat_map(|service| service.images.iter().map(move |image| Selected { service, image }));
    let functions = images.filter(|selected| selected.image.environments.contains(&environment.name));
    checks.extend(
        functions
            .filter_map(|selected| plan::function_name(config, environment, selected))
            .map(|name| function(config, &aws, &name)),
    );
    checks
}

fn function(config: &Config, aws: &Aws, name: &str) -> Check {
    let what = format!("function {name}");
    let wanted = config.arch(Target::Lambda);
    match aws.reader().function(name) {
        Ok(function) if !function.exists => {
            Check::note(&what, "does not exist", "create it before its first deployment; a push needs none")
        }
        Ok(function) if function.arch.is_some_and(|arch| arch != wanted) => {
            let cure = "aws lambda update-function-code with --image-uri and --architectures in one call";
            Check::note(&what, format!("{}, and the policy is {wanted}", function.describe()), cure)
        }
        Ok(function) => Check::good(&what, function.describe()),
        Err(error) => Check::note(&what, format!("{error:#}"), "ask for lambda:GetFunction to see what functions run"),
    }
}

fn registry(aws: &Aws, environment: &Environment, name: &str) -> Check {
    let what = format!("repository {name} of {}", environment.name);
    match aws.reader().repository(name) {
        Ok(Some(repository)) if repository.mutability.can_move("x-latest") => match aws.reader().can_look_for_layers(name) {
            Ok(()) => Check::good(&what, "is there, and `latest` can move"),
            Err(error) => Check::bad(&what, format!("{error:#}"), "a push needs ecr:BatchCheckLayerAvailability and the like"),
        },
        Ok(Some(_)) => Check::bad(&what, "is immutable: `latest` cannot move", let_tags_move(name)),
        Ok(None) if environment.create_repository => Check::good(&what, "does not exist; a push creates it"),
        Ok(None) => Check::bad(&what, "does not exist", "set `create-repository = true` in deploy.toml, or create it"),
        Err(error) => Check::bad(&what, format!("{error:#}"), "ask for ecr:DescribeRepositories"),
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
    let bad = checks.iter().filter(|check| check.state == State::Bad).count();
    if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
