//! deploy.toml: which service becomes which images, for what, in which environments.
//!
//! [`load`] reads the one file and returns a finished [`Config`], or every problem in it at once. Nothing in a `Config`
//! still needs checking: names are legal where they will be used, and every image has its target and architecture.

mod builders;
mod check;
mod raw;
mod resolve;
mod tag_clash;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::Serialize;

pub use check::suggestion;
pub use raw::schema;

use crate::{
    arch::Arch,
    policy::{cache::Store, plan::Builder, target::Target},
    problem::{Problem, Problems},
};

/// The file's name, looked for in the current folder and those above it.
pub const FILE: &str = "deploy.toml";

/// A deploy.toml without mistakes.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Config {
    /// The file it was read from.
    pub file: PathBuf,
    /// The folder of the file: every path in it starts here.
    pub root: PathBuf,
    /// The name of local images.
    pub project: String,
    /// The build context, an absolute path.
    pub context: PathBuf,
    /// The service that `docker-build` builds when none is named.
    pub default_service: String,
    /// Characters of the git commit in a tag.
    pub revision_length: usize,
    /// The `org.opencontainers.image.source` label, where the file says it.
    pub source: Option<String>,
    /// Which CPU each target runs.
    pub targets: BTreeMap<Target, Arch>,
    /// Where images of each architecture are built, if not by docker's current builder.
    pub builders: BTreeMap<Arch, Builder>,
    /// By name.
    pub environments: BTreeMap<String, Environment>,
    /// By name.
    pub services: BTreeMap<String, Service>,
    /// Build arguments that name base images, and the public image that each stands for.
    pub stand_ins: BTreeMap<String, String>,
}

/// An AWS account and region, and what protects it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Environment {
    /// Its name.
    pub name: String,
    /// Twelve digits.
    pub account: String,
    /// Such as `eu-west-1`.
    pub region: String,
    /// The profile of `~/.aws/config`, if not the usual one.
    pub profile: Option<String>,
    /// Whether a push creates a missing repository.
    pub create_repository: bool,
    /// Whether a push needs a clean tree, the branch, the account and a typed name.
    pub protected: bool,
    /// The branch that a protected environment takes images from.
    pub branch: String,
    /// The EKS cluster.
    pub cluster: Option<String>,
    /// The context of kubectl's configuration, if not the current one.
    pub kube_context: Option<String>,
    /// The Kubernetes namespace.
    pub namespace: String,
    /// Whether a deployment is written to tags of the Lambda function.
    pub function_tags: bool,
    /// The address of a stand-in for AWS.
    pub endpoint: Option<String>,
    /// Where builds keep their steps for the next machine.
    pub cache: Option<Store>,
    /// For every image of this environment.
    pub build_args: BTreeMap<String, String>,
    repository: String,
}

/// A folder of the backend that becomes images.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Service {
    /// Its name.
    pub name: String,
    /// The value of `SERVICE_FOLDER`.
    pub folder: String,
    /// In the file's order.
    pub images: Vec<Image>,
}

/// One service, built from one Dockerfile, for one target.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Image {
    /// From the build context.
    pub dockerfile: PathBuf,
    /// What runs it.
    pub target: Target,
    /// Which rule decided the target.
    pub target_rule: TargetRule,
    /// The environments it goes to.
    pub environments: Vec<String>,
    function: String,
    /// The alias that a deployment moves.
    pub alias: Option<String>,
    /// JSON that the function is invoked with after an update.
    pub smoke_payload: Option<String>,
    apprunner_service: String,
    deployment: String,
    /// The container of the Kubernetes deployment, if it is not the only one.
    pub container: Option<String>,
    /// Whether it is built for both CPUs.
    pub multi_arch: bool,
    /// What stands before every tag.
    pub tag_prefix: String,
    /// Besides the environment's, and before them.
    pub build_args: BTreeMap<String, String>,
    /// Machine code for another CPU that is there on purpose.
    pub foreign: Vec<Foreign>,
}

/// Machine code for another CPU that is in an image on purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Foreign {
    /// The files, from the image's root; `*` stands for any characters.
    pub path: String,
    /// Why they are there.
    pub reason: String,
}

/// Which rule decided what an image is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetRule {
    /// `target = "…"` in deploy.toml.
    Said,
    /// The Dockerfile's suffix.
    Suffix,
}

impl Config {
    /// The architecture that a target runs, from the one table.
    pub fn arch(&self, target: Target) -> Arch {
        self.targets.get(&target).copied().unwrap_or_else(|| target.default_arch())
    }

    /// Machine code for another CPU that the images of a repository may have on purpose.
    pub fn foreign_in(&self, repository: &str) -> Vec<Foreign> {
        let is_there = |service: &Service, image: &Image| {
            self.environments.values().any(|one| one.repository(&self.project, &service.name, image.target) == repository)
        };
        let of = |service: &Service| {
            let there = service.images.iter().filter(|image| is_there(service, image));
            there.flat_map(|image| image.foreign.clone()).collect::<Vec<_>>()
        };
        self.services.values().flat_map(of).collect()
    }

    /// A path as the user would type it: from the folder of deploy.toml where it lies inside.
    pub fn shown<'p>(&self, path: &'p Path) -> &'p Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }
}

impl Environment {
    /// The ECR repository of one image in this environment.
    pub fn repository(&self, project: &str, service: &str, target: Target) -> String {
        resolve::fill(&self.repository, &[("project", project), ("service", service), ("target", target.name())])
    }
}

impl Image {
    /// The name of the Lambda function that the image is for in an environment.
    pub fn function(&self, project: &str, environment: &str, service: &str) -> String {
        fill_names(&self.function, project, environment, service)
    }

    /// The name of the App Runner service that the image is for in an environment.
    pub fn apprunner_service(&self, project: &str, environment: &str, service: &str) -> String {
        fill_names(&self.apprunner_service, project, environment, service)
    }

    /// The name of the Kubernetes deployment that the image is for in an environment.
    pub fn deployment(&self, project: &str, environment: &str, service: &str) -> String {
        fill_names(&self.deployment, project, environment, service)
    }
}

fn fill_names(pattern: &str, project: &str, environment: &str, service: &str) -> String {
    resolve::fill(pattern, &[("project", project), ("env", environment), ("service", service)])
}

/// Finds deploy.toml in `from` or the nearest folder above it.
pub fn find(from: &Path) -> Option<PathBuf> {
    from.ancestors().map(|folder| folder.join(FILE)).find(|file| file.is_file())
}

/// Reads and checks a deploy.toml.
///
/// # Errors
/// A file that cannot be read, or [`Problems`] with everything that is wrong in it.
pub fn load(file: &Path) -> Result<Config> {
    const LONGEST: usize = 1024 * 1024;
    let bytes = std::fs::read(file).with_context(|| format!("failed to read `{}`", file.display()))?;
    let whole = |title: String| {
        let problem = Problem { span: 0..0, title, cure: "write it as TOML, in UTF-8".to_owned() };
        Problems::new(shortened(file), String::new(), vec![problem])
    };
    if bytes.len() > LONGEST {
        return Err(whole(format!("the file has {} bytes, and more than {LONGEST} are not read", bytes.len())).into());
    }
    let source = String::from_utf8(bytes).map_err(|error| {
        let line = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]).matches('\n').count() + 1;
        whole(format!("line {line} is not UTF-8 text"))
    })?;
    let absolute = std::path::absolute(file).with_context(|| format!("failed to resolve `{}`", file.display()))?;
    parse(&source, &absolute).map_err(|problems| Problems::new(shortened(file), source, problems).into())
}

/// Checks the text of a deploy.toml. `file` is where it lies; nothing is read.
fn parse(source: &str, file: &Path) -> Result<Config, Vec<Problem>> {
    let (table, mistakes) = toml::de::DeTable::parse_recoverable(source);
    if !mistakes.is_empty() {
        return Err(mistakes.iter().map(syntax).collect());
    }
    let (mut problems, wrong_types) = check::structure(&table, &schema());
    // Values of the wrong type are in `problems` already; without them the rest can be checked as well.
    let readable = check::without_wrong_types(source, &table, &wrong_types);
    let resolved = match toml::from_str::<raw::Root>(&readable) {
        Ok(root) => Some(resolve::resolve(root, file, &mut problems)),
        Err(error) if problems.is_empty() => {
            problems.push(syntax(&error));
            None
        }
        Err(_) => None,
    };
    match resolved {
        Some(config) if problems.is_empty() => Ok(config),
        _ => Err(problems),
    }
}

fn syntax(error: &toml::de::Error) -> Problem {
    Problem {
        span: error.span().unwrap_or(0..0),
        title: error.message().to_owned(),
        cure: "correct the TOML at this place".to_owned(),
    }
}

/// The path as the user most likely thinks of it.
fn shortened(file: &Path) -> PathBuf {
    let current = std::env::current_dir().ok();
    current.and_then(|here| file.strip_prefix(here).ok().map(Path::to_path_buf)).unwrap_or_else(|| file.to_path_buf())
}

#[cfg(test)]
mod tests;
