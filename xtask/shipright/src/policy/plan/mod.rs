//! The plan: everything that a command will do, as data, decided before anything is done.
//!
//! Architecture Invariant: equal inputs give equal plans. What is wrong is collected, not returned at the first find, and
//! each refusal comes with its cure.

mod build;
mod guards;
mod local;
mod push;
mod select;

use std::{collections::BTreeMap, path::PathBuf};

use serde::Serialize;

pub use build::because as reason;
pub use guards::{account_guard, guards};
pub use local::{LocalRequest, local_names, plan_local};
pub use push::{PushFacts, Variant, function_name, has_list, plan_push, tag_set, timestamp, variants};
pub use select::{Selected, environment, one, select};

use crate::{
    arch::Arch,
    config::Foreign,
    facts::{function::Function, git::Revision},
    policy::{
        cache::Cache,
        tags::{Tag, TagKind},
        target::Target,
    },
    process::quoted,
};

/// Labels that every pushed image carries. Source: the OCI image specification's pre-defined annotation keys.
pub mod label {
    /// The whole commit.
    pub const REVISION: &str = "org.opencontainers.image.revision";
    /// The commit's time: a rebuild of the same commit is the same image.
    pub const CREATED: &str = "org.opencontainers.image.created";
    /// Where the source code lives.
    pub const SOURCE: &str = "org.opencontainers.image.source";
    /// The nearest git tag, or the short commit.
    pub const VERSION: &str = "org.opencontainers.image.version";
}

/// What a repository that this tool creates lets move: revisions of a dirty tree name no fixed content.
pub const MOVABLE_TAGS: [&str; 2] = ["*latest", "*-dirty"];

/// Everything that will be done.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Plan {
    /// Where it will be done. `None` when nothing leaves this machine.
    pub place: Option<Place>,
    /// The commit.
    pub revision: Option<Revision>,
    /// Repositories that will be created first.
    pub create_repositories: Vec<String>,
    /// The images.
    pub images: Vec<PlannedImage>,
    /// Image indexes for both CPUs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub indexes: Vec<PlannedIndex>,
    /// What somebody may not expect of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl Plan {
    /// Whether a build reads or writes the registry.
    pub fn needs_login_to_build(&self) -> bool {
        let builds = self.images.iter().filter_map(PlannedImage::build);
        builds.into_iter().any(|build| matches!(build.cache, Some(Cache::Registry { .. })))
    }
}

/// An index of two images, and the tags that name it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PlannedIndex {
    /// What people call the image that is in it for each CPU.
    pub name: String,
    /// Its service.
    pub service: String,
    /// What will run it.
    pub target: Target,
    /// The repository.
    pub repository: String,
    /// The places of its images in the plan.
    pub images: Vec<usize>,
    /// Its tags, moving ones last.
    pub tags: Vec<Tag>,
}

/// An environment as this run reaches it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Place {
    /// The environment's name.
    pub environment: String,
    /// The AWS account.
    pub account: String,
    /// The AWS region.
    pub region: String,
    /// The registry's host, with a port where it has one.
    pub registry: String,
    /// The profile of `~/.aws/config`, if not the usual one.
    pub profile: Option<String>,
    /// The address of a local stand-in for AWS.
    pub endpoint: Option<String>,
}

impl Place {
    /// What the AWS command line needs to reach this place.
    pub fn flags(&self) -> String {
        let profile = self.profile.iter().map(|profile| quoted(["--profile", profile.as_str()]));
        let endpoint = self.endpoint.iter().map(|endpoint| quoted(["--endpoint-url", endpoint.as_str()]));
        [format!("--region {}", self.region)].into_iter().chain(profile).chain(endpoint).collect::<Vec<_>>().join(" ")
    }
}

/// One image and what happens to it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PlannedImage {
    /// What people call it: the service, and the Dockerfile's suffix where the service has several images.
    pub name: String,
    /// The service.
    pub service: String,
    /// What will run it. `None` for a local build from a Dockerfile that deploy.toml does not name.
    pub target: Option<Target>,
    /// The architecture that it is built for, and checked against.
    pub arch: Arch,
    /// Why that architecture.
    pub because: String,
    /// What makes it.
    pub source: Source,
    /// Where it goes. `None` for a local image.
    pub publication: Option<Publication>,
    /// Machine code for another CPU that is there on purpose.
    pub foreign: Vec<Foreign>,
    /// The Lambda function that the image is for, as it is now. A push does not change it.
    pub function: Option<Function>,
}

impl PlannedImage {
    /// The build, unless the registry has the image already.
    pub fn build(&self) -> Option<&Build> {
        match &self.source {
            Source::Build(build) => Some(build),
            Source::Existing { .. } => None,
        }
    }
}

/// What makes an image.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// A build.
    Build(Box<Build>),
    /// Nothing: the registry has the image of this revision.
    Existing {
        /// Its manifest's digest.
        digest: String,
    },
}

/// Where images of one architecture are built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Builder {
    /// Its name, as `docker buildx ls` has it.
    pub name: String,
    /// Where it is, for one that is made when it is first needed.
    pub address: Option<String>,
}

impl Builder {
    /// What people call it.
    pub fn shown(builder: Option<&Self>) -> String {
        builder.map_or_else(
            || "docker's current builder".to_owned(),
            |builder| builder.address.clone().unwrap_or_else(|| builder.name.clone()),
        )
    }
}

/// How an image of a CPU comes to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// On a machine of that CPU.
    Native,
    /// On a machine of another, which emulates it where programs are executed.
    Emulated,
    /// On a node that somebody has set aside for that CPU, and that does not say what it is itself.
    Pinned,
    /// On a machine of another that cannot execute its programs.
    Cross,
}

impl How {
    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Native => "natively",
            Self::Emulated => "with emulation, slow where programs are executed",
            Self::Pinned => "on the node that is set aside for this CPU",
            Self::Cross => "without executing anything: only cross-compiling Dockerfiles build",
        }
    }
}

/// One call of `docker buildx build`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Build {
    /// The Dockerfile, an absolute path.
    pub dockerfile: PathBuf,
    /// The build context, an absolute path.
    pub context: PathBuf,
    /// The architecture.
    pub arch: Arch,
    /// Where it is built, if not by docker's current builder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub builder: Option<Builder>,
    /// How it is built, where that could be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub how: Option<How>,
    /// Build arguments.
    pub args: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Where its steps are kept, besides the builder's own cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<Cache>,
    /// Names that the local engine gives the image.
    pub names: Vec<String>,
    /// Certificates that the build may need, given as a secret so that they end up in no layer.
    pub ca_bundle: Option<PathBuf>,
    /// Whether an image leaves this machine. A local build may carry no labels.
    pub pushed: bool,
}

/// Where an image goes, and under which tags.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Publication {
    /// The repository.
    pub repository: String,
    /// The tag that a fresh build is pushed under, once.
    pub pushed_tag: String,
    /// The six tags in the order in which they are written, moving ones last.
    pub tags: Vec<PlannedTag>,
}

/// One tag and what happens to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PlannedTag {
    /// The tag.
    pub name: String,
    /// Whether it moves.
    pub kind: TagKind,
    /// What happens to it.
    pub action: TagAction,
}

/// What happens to a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TagAction {
    /// The push itself writes it.
    Push,
    /// It is written: it is missing, or names another image.
    Write,
    /// It names the image already.
    Present,
    /// It names another image and the repository does not let it move.
    Kept,
}

/// One reason why nothing is done, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub cure: String,
}

impl Refusal {
    /// A reason and its cure.
    pub fn new(problem: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { problem: problem.into(), cure: cure.into() }
    }
}
