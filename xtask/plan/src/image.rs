//! What a push or a build will do, as data: images, their builds and their tags.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Serialize;

use crate::{
    arch::Arch,
    model::{
        attest::Attest,
        builder::Builder,
        cache::Cache,
        config::{Foreign, NamedContext, Network, SecretSource},
        function::Function,
        place::Place,
        revision::Revision,
        tags::{Tag, TagKind},
        target::Target,
    },
    scan::Gate,
};

/// What a repository that this tool creates lets move: revisions of a dirty tree name no fixed content.
pub const MOVABLE_TAGS: [&str; 2] = ["*latest", "*-dirty"];

/// Everything that will be done.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Plan {
    /// Where it will be done. `None` when nothing leaves this machine.
    pub place: Option<Place>,
    /// The other regions that get the same images.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other_places: Vec<Place>,
    /// The commit.
    pub revision: Option<Revision>,
    /// Repositories that will be created first.
    pub create_repositories: Vec<String>,
    /// What each of them lets move, as wildcards.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub movable_tags: BTreeMap<String, Vec<String>>,
    /// What is asked of each image between its lasting tags and its moving ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scan: Option<Gate>,
    /// What is attached to each image before its moving tags.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attest: Option<Attest>,
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
    /// The repositories that images go to.
    pub fn repositories(&self) -> impl Iterator<Item = &str> {
        let publications = self
            .images
            .iter()
            .filter_map(|image| image.publication.as_ref());
        publications.map(|publication| publication.repository.as_str())
    }

    /// Whether anything is built.
    pub fn builds_anything(&self) -> bool {
        self.images.iter().any(|image| image.build().is_some())
    }

    /// Whether anything is built or written.
    pub fn changes_anything(&self) -> bool {
        let writes = |publication: &Publication| {
            let mut tags = publication.tags.iter();
            tags.any(|tag| tag.action == TagAction::Write)
        };
        let mut publications = self
            .images
            .iter()
            .filter_map(|image| image.publication.as_ref());
        !self.indexes.is_empty() || self.builds_anything() || publications.any(writes)
    }

    /// Whether a build reads or writes the registry.
    pub fn needs_login_to_build(&self) -> bool {
        let builds = self.images.iter().filter_map(PlannedImage::build);
        builds
            .into_iter()
            .any(|build| matches!(build.cache, Some(Cache::Registry { .. })))
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

/// How an image of a CPU comes to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BuildMode {
    /// On a machine of that CPU.
    Native,
    /// On a machine of another, which emulates it where programs are executed.
    Emulated,
    /// On a machine of another, which has nothing to execute for it: the Dockerfile runs no program of that CPU.
    Assembled,
    /// On a node that somebody has set aside for that CPU, and that does not say what it is itself.
    Pinned,
    /// On a machine of another that cannot execute its programs.
    Cross,
}

impl BuildMode {
    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Native => "natively",
            Self::Emulated => "with emulation, slow where programs are executed",
            Self::Assembled => "with nothing to emulate: no program of this CPU is executed",
            Self::Pinned => "on the node that is set aside for this CPU",
            Self::Cross => "without executing anything: only cross-compiling Dockerfiles build",
        }
    }
}

/// How an image that is pushed leaves the engine that builds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Export {
    /// BuildKit writes what is lacking into the content store, by its OCI exporter.
    OciLayout,
    /// From the engine's image store, which is the classic one and has no such exporter.
    DockerSave,
}

impl Export {
    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Self::OciLayout => "as an OCI image layout",
            Self::DockerSave => "by `docker save`: the engine has a classic image store",
        }
    }
}

/// How an image is built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
    pub mode: Option<BuildMode>,
    /// How the image leaves the engine for the registry, where that could be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub export: Option<Export>,
    /// The stage that is built, if not the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// Named contexts.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub contexts: BTreeMap<String, NamedContext>,
    /// Secrets that are there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<BuildSecret>,
    /// Keys of the ssh agent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ssh: Vec<String>,
    /// The network of its steps, if not BuildKit's usual one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// Build arguments.
    pub args: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Where its steps are kept, besides the builder's own cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<Cache>,
    /// Where it ends.
    pub output: Output,
    /// Certificates that the build may need, given as a secret so that they end up in no layer.
    pub ca_bundle: Option<PathBuf>,
    /// Whether an image leaves this machine. A local build may carry no labels.
    pub pushed: bool,
}

/// Where a build ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Output {
    /// In the local engine, under these names.
    Engine {
        /// The names.
        names: Vec<String>,
    },
    /// In the content store, an OCI image layout in this directory.
    ContentStore {
        /// The directory, an absolute path.
        directory: PathBuf,
    },
}

impl Build {
    /// Names that the local engine gives the image.
    pub fn names(&self) -> &[String] {
        match &self.output {
            Output::Engine { names } => names,
            Output::ContentStore { .. } => &[],
        }
    }

    /// The same build, ending elsewhere.
    #[must_use]
    pub fn to(&self, output: Output) -> Self {
        Self {
            output,
            ..self.clone()
        }
    }
}

/// A secret of a build, and where docker reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct BuildSecret {
    /// Its name in the Dockerfile.
    pub id: String,
    /// Where its value is; a file by its absolute path.
    pub source: SecretSource,
}

/// Where an image goes, and under which tags.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Publication {
    /// The repository.
    pub repository: String,
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
    /// It is written: it is missing, or names another image.
    Write,
    /// It names the image already.
    Present,
    /// It names another image and the repository does not let it move.
    Kept,
}
