//! The workflow of a CI system that builds, proves, pushes and deploys a project, made from its deploy.toml.
//!
//! Each service has a job for each CPU, on a machine of that CPU: nothing is emulated. The first environment gets what was built;
//! the others get the very same images, by promotion, wherever they are built alike.

mod github;
mod gitlab;
mod login;
mod to_do;

use std::collections::{BTreeMap, BTreeSet};

pub use to_do::to_do;

use crate::{
    Selected, all,
    arch::Arch,
    going_to,
    model::{
        cache::Store,
        config::{Config, Environment, Secret, SecretSource},
        path,
        refusal::Refusal,
        shell::quoted,
        target::Target,
    },
};

/// Which CI system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// GitHub Actions.
    GitHub,
    /// GitLab CI/CD.
    GitLab,
}

impl System {
    /// Its name.
    fn title(self) -> &'static str {
        match self {
            Self::GitHub => "GitHub",
            Self::GitLab => "GitLab",
        }
    }

    /// The file that it reads, from the repository's directory.
    pub fn file(self) -> &'static str {
        match self {
            Self::GitHub => ".github/workflows/ship.yml",
            Self::GitLab => ".gitlab-ci.yml",
        }
    }
}

/// How the tool is started there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start<'s> {
    /// What is typed: `cargo xtask`, or the program's name.
    pub program: &'s str,
    /// Where the directory of deploy.toml is, from the repository's: `.` where it is that.
    pub directory: &'s str,
}

/// What begins the file: who finds it may make it again.
pub const MARK: &str = "# Made by `";

/// The file.
pub fn workflow(config: &Config, system: System, start: &Start<'_>) -> String {
    let workflow = Workflow::of(config, start);
    match system {
        System::GitHub => github::text(&workflow),
        System::GitLab => gitlab::text(&workflow),
    }
}

/// One image on one CPU, as it is named on the command line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Check {
    service: String,
    dockerfile: String,
    stage: Option<String>,
    arch: Arch,
}

/// One environment on the way.
#[derive(Debug)]
struct Stage<'c> {
    environment: &'c Environment,
    /// The environment whose images it takes. `None` for one that has its own built.
    from: Option<&'c str>,
    /// What is pushed to it: services, and CPUs of their images.
    pushes: BTreeSet<(String, Arch)>,
    /// Services with an image for both CPUs.
    indexes: BTreeSet<String>,
    /// What runs its images.
    targets: BTreeSet<Target>,
    /// Registries that docker has to be logged in to.
    registries: BTreeSet<String>,
}

struct Workflow<'w> {
    program: &'w str,
    directory: &'w str,
    /// The branches that are shipped.
    branches: BTreeSet<&'w str>,
    checks: BTreeSet<Check>,
    stages: Vec<Stage<'w>>,
    /// Whether builds keep their cache in that of GitHub.
    uses_github_cache: bool,
    /// Environment variables that builds read secrets from.
    secrets: BTreeSet<&'w str>,
}

impl<'w> Workflow<'w> {
    fn of(config: &'w Config, start: &Start<'w>) -> Self {
        let stages = stages(config);
        let check = |selected: Selected<'_>| {
            let image = selected.image;
            let one = move |arch| Check {
                service: selected.service.name.clone(),
                // From deploy.toml's directory: two contexts may have a Dockerfile of one name.
                dockerfile: path::slashed(config.shown(&image.file)),
                stage: image.stage.clone(),
                arch,
            };
            config.archs(image).into_iter().map(one).collect::<Vec<_>>()
        };
        let branches = stages.iter().map(|stage| stage.environment.branch.as_str());
        let is_github = |one: Selected<'_>| {
            let mut environments = config.environments.values();
            environments.any(|environment| one.image.cache_in(environment) == Some(Store::GitHub))
        };
        Self {
            program: start.program,
            directory: start.directory,
            branches: branches.collect(),
            checks: all(config).flat_map(check).collect(),
            uses_github_cache: all(config).any(is_github),
            secrets: secrets(config)
                .filter_map(|one| variable(&one.source))
                .collect(),
            stages,
        }
    }

    fn is_cargo(&self) -> bool {
        self.program.starts_with("cargo ")
    }
}

impl Stage<'_> {
    /// The commands that look at what is there and what runs.
    fn verifications(&self) -> Vec<String> {
        let name = &self.environment.name;
        let word = |target: &Target| match target {
            Target::Lambda => Some("lambda"),
            Target::Ecs => Some("ecs"),
            Target::Eks | Target::AppRunner => None,
        };
        let words = self.targets.iter().filter_map(word);
        ["ecr"]
            .into_iter()
            .chain(words)
            .map(|word| format!("verify {word} {name}"))
            .collect()
    }

    /// What lets kubectl reach the cluster, where one is named and something runs there.
    fn kubeconfig(&self) -> Option<String> {
        let is_there = self.targets.iter().any(|target| target.runs_on_nodes());
        let cluster = self.environment.cluster.as_ref().filter(|_| is_there)?;
        let context = self.environment.kube_context.as_ref().unwrap_or(cluster);
        let words = [
            "aws",
            "eks",
            "update-kubeconfig",
            "--name",
            cluster,
            "--alias",
            context,
        ];
        Some(quoted(words))
    }

    /// The environment, and the one whose images it takes.
    fn environments<'e>(&'e self, config: &'e Config) -> impl Iterator<Item = &'e Environment> {
        let from = self.from.and_then(|from| config.environments.get(from));
        from.into_iter().chain([self.environment])
    }

    /// Whether something here is moved to its images.
    fn deploys(&self) -> bool {
        !self.targets.is_empty()
    }
}

fn secrets(config: &Config) -> impl Iterator<Item = &Secret> {
    all(config).flat_map(|one| &one.image.secrets)
}

fn variable(source: &SecretSource) -> Option<&str> {
    match source {
        SecretSource::Env(name) => Some(name),
        SecretSource::File(_) => None,
    }
}

/// Why no workflow can be made: two environments whose jobs and roles would have one name.
pub fn clash(config: &Config) -> Option<Refusal> {
    let mut known: BTreeMap<String, &str> = BTreeMap::new();
    for stage in stages(config) {
        let name = stage.environment.name.as_str();
        if let Some(other) = known.insert(role_variable(stage.environment), name) {
            return Some(Refusal::new(
                format!("the environments `{other}` and `{name}` would have jobs of one name"),
                "give one of them another name: in a workflow `.`, `-` and `_` are one sign",
            ));
        }
    }
    None
}

/// The variable that has the role of an environment: `AWS_ROLE_DEV`.
fn role_variable(environment: &Environment) -> String {
    let name = environment.name.to_ascii_uppercase();
    let fits = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    format!("AWS_ROLE_{}", name.chars().map(fits).collect::<String>())
}

/// The environments in the order in which images reach them: the file's, but those that are not protected first.
fn stages(config: &Config) -> Vec<Stage<'_>> {
    let named = config
        .order
        .iter()
        .filter_map(|name| config.environments.get(name));
    let mut environments: Vec<_> = named.collect();
    environments.sort_by_key(|one| one.protected);
    let mut stages: Vec<Stage<'_>> = Vec::new();
    for environment in environments {
        let here: Vec<_> = going_to(config, environment).collect();
        if here.is_empty() {
            continue;
        }
        let alike = |stage: &&Stage<'_>| stage.environment.build_args == environment.build_args;
        let from = stages.iter().rev().find(alike);
        let from = from.map(|stage| stage.environment);
        let registries = login::registries(from.into_iter().chain([environment]));
        let pushes = here.iter().flat_map(|one| {
            let archs = config.archs(one.image).into_iter();
            archs.map(|arch| (one.service.name.clone(), arch))
        });
        let indexes = here.iter().filter(|one| one.image.multi_arch);
        stages.push(Stage {
            environment,
            from: from.map(|from| from.name.as_str()),
            registries,
            pushes: pushes.collect(),
            indexes: indexes.map(|one| one.service.name.clone()).collect(),
            targets: here.iter().map(|one| one.image.target).collect(),
        });
    }
    stages
}
