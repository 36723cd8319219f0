//! What deploy.toml says, resolved: defaults are filled in, every name is legal where it will be used, and every image has its
//! target and architecture.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::{
    arch::Arch,
    attest::Attest,
    builder::Builder,
    cache::Store,
    pattern::{TagPattern, VersionSource},
    registry::{Ecr, NamedRegistry, ecr_of},
    severity::Severity,
    target::Target,
    vulnerability::Exception,
};

/// A deploy.toml without mistakes.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Config {
    /// The file it was read from.
    pub file: PathBuf,
    /// The directory of the file: every path in it starts here.
    pub root: PathBuf,
    /// The name of local images.
    pub project: String,
    /// The build context, an absolute path.
    pub context: PathBuf,
    /// The service that `docker-build` builds when none is named. `None` where there are several and none is the default.
    pub default_service: Option<String>,
    /// Characters of the git commit in a tag.
    pub revision_length: usize,
    /// The `org.opencontainers.image.source` label, where the file says it.
    pub source: Option<String>,
    /// Labels of every image that is pushed, beside those of the commit.
    pub labels: BTreeMap<String, String>,
    /// Tags of every image, besides the six.
    pub tags: Vec<TagPattern>,
    /// Which CPU each target runs.
    pub targets: BTreeMap<Target, Arch>,
    /// Where images of each architecture are built, if not by docker's current builder.
    pub builders: BTreeMap<Arch, Builder>,
    /// By name.
    pub environments: BTreeMap<String, Environment>,
    /// The names of the environments in the file's order.
    #[serde(skip)]
    pub order: Vec<String>,
    /// By name.
    pub services: BTreeMap<String, Service>,
    /// Build arguments that name base images, and the public image that each stands for.
    pub stand_ins: BTreeMap<String, String>,
    /// Vulnerabilities that are accepted for a time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scan_exceptions: Vec<Exception>,
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
    /// The same environment in its other regions, which get the same images under the same tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other_regions: Vec<Environment>,
    /// The profile of `~/.aws/config`, if not the usual one.
    pub profile: Option<String>,
    /// Its registry, if not the ECR of its account and region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registry: Option<NamedRegistry>,
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
    /// The ECS cluster.
    pub ecs_cluster: String,
    /// Whether a deployment is written to tags of the Lambda function.
    pub function_tags: bool,
    /// The address of a stand-in for AWS.
    pub endpoint: Option<String>,
    /// Where builds keep their steps for the next machine.
    pub cache: Option<Store>,
    /// For every image of this environment.
    pub build_args: BTreeMap<String, String>,
    /// Tags of its images, besides the six.
    pub tags: Vec<TagPattern>,
    /// The pattern of its repositories' names, with `{project}`, `{service}` and `{target}`.
    pub repository: String,
    /// What no image may have that a moving tag is to name: a vulnerability of this severity, or a worse one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scan: Option<Severity>,
    /// What is attached to every image.
    #[serde(skip_serializing_if = "Attest::is_nothing")]
    pub attest: Attest,
}

/// A directory of the backend that becomes images.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Service {
    /// Its name.
    pub name: String,
    /// The value of `SERVICE_FOLDER`.
    pub folder: String,
    /// The build context, an absolute path, where an image has none of its own.
    pub context: PathBuf,
    /// In the file's order.
    pub images: Vec<Image>,
}

/// One service, built from one Dockerfile, for one target.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Image {
    /// As deploy.toml has it: from the build context.
    pub dockerfile: PathBuf,
    /// The Dockerfile, an absolute path.
    pub file: PathBuf,
    /// The build context, an absolute path.
    pub context: PathBuf,
    /// Named contexts, as `docker buildx build --build-context` takes them.
    pub contexts: BTreeMap<String, NamedContext>,
    /// The stage that is built, if not the last.
    pub stage: Option<String>,
    /// Labels besides the project's.
    pub labels: BTreeMap<String, String>,
    /// What the build may read and no layer keeps.
    pub secrets: Vec<Secret>,
    /// Keys of the ssh agent that the build may use: `default`, or names.
    pub ssh: Vec<String>,
    /// The network of the build's steps, if not BuildKit's usual one.
    pub network: Option<Network>,
    /// Where the build cache is kept, if not where the environment keeps it.
    pub cache: Option<ImageCache>,
    /// What runs it.
    pub target: Target,
    /// Which rule decided the target.
    pub target_rule: TargetRule,
    /// The environments it goes to.
    pub environments: Vec<String>,
    /// The pattern of the Lambda functions' names, with `{project}`, `{env}` and `{service}`.
    pub function: String,
    /// The alias that a deployment moves.
    pub alias: Option<String>,
    /// JSON that the function is invoked with after an update.
    pub smoke_payload: Option<String>,
    /// The pattern of the App Runner services' names, likewise.
    pub apprunner_service: String,
    /// The pattern of the ECS services' names, likewise.
    pub ecs_service: String,
    /// The pattern of the Kubernetes deployments' names, likewise.
    pub deployment: String,
    /// The container of the Kubernetes deployment or the ECS task definition, if it is not the only one.
    pub container: Option<String>,
    /// Whether it is built for both CPUs.
    pub multi_arch: bool,
    /// What stands before every tag.
    pub tag_prefix: String,
    /// Tags besides the six.
    pub tags: Vec<TagPattern>,
    /// Where `{version}` of a tag is read.
    pub version: VersionSource,
    /// Besides the environment's, and before them.
    pub build_args: BTreeMap<String, String>,
    /// Machine code for another CPU that is there on purpose.
    pub foreign: Vec<Foreign>,
}

/// A build context besides the main one. Source: "Additional build contexts" in docker's reference of `buildx build`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NamedContext {
    /// A directory of this repository, an absolute path.
    Directory(PathBuf),
    /// Something that BuildKit fetches: `docker-image://…`, or the address of a git repository or an archive.
    Address(String),
}

/// Something that a build may read, and that ends up in no layer, cache or history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Secret {
    /// Its name in the Dockerfile: `RUN --mount=type=secret,id=…`.
    pub id: String,
    /// Where its value is.
    pub source: SecretSource,
    /// Whether there is no build without it.
    pub required: bool,
}

/// Where the value of a secret is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretSource {
    /// In a file: absolute, from deploy.toml's directory, or from `~`, the user's home.
    File(String),
    /// In an environment variable.
    Env(String),
}

/// The network of a build's steps. Source: `--network` in docker's reference of `buildx build`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// None.
    None,
    /// The build machine's own.
    Host,
}

impl fmt::Display for NamedContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => write!(f, "{}", path.display()),
            Self::Address(address) => f.write_str(address),
        }
    }
}

impl Network {
    /// As docker has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Host => "host",
        }
    }
}

/// Where the build cache of one image is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageCache {
    /// In the builder alone.
    None,
    /// There.
    In(Store),
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
        self.targets
            .get(&target)
            .copied()
            .unwrap_or_else(|| target.default_arch())
    }

    /// Machine code for another CPU that the images of a repository may have on purpose.
    pub fn foreign_in(&self, repository: &str) -> Vec<Foreign> {
        let is_there = |service: &Service, image: &Image| {
            self.environments
                .values()
                .any(|one| one.repository(&self.project, &service.name, image.target) == repository)
        };
        let of = |service: &Service| {
            let there = service
                .images
                .iter()
                .filter(|image| is_there(service, image));
            there
                .flat_map(|image| image.foreign.clone())
                .collect::<Vec<_>>()
        };
        self.services.values().flat_map(of).collect()
    }

    /// Patterns of tags that an image has in an environment, besides the six.
    pub fn patterns<'c>(
        &'c self,
        environment: &'c Environment,
        image: &'c Image,
    ) -> impl Iterator<Item = &'c TagPattern> {
        self.tags.iter().chain(&environment.tags).chain(&image.tags)
    }

    /// The files that a `{version}` is read from.
    pub fn version_files(&self) -> BTreeSet<&str> {
        let images = self.services.values().flat_map(|service| &service.images);
        let is_asked = |image: &&Image| {
            let environments = image.environments.iter();
            let mut environments = environments.filter_map(|name| self.environments.get(name));
            environments.any(|one| self.patterns(one, image).any(TagPattern::names_version))
        };
        let files = images
            .filter(is_asked)
            .filter_map(|image| match &image.version {
                VersionSource::File(file) => Some(file.as_str()),
                VersionSource::Git => None,
            });
        files.collect()
    }

    /// A path as the user would type it: from the directory of deploy.toml where it lies inside; that directory
    /// is `.`.
    pub fn shown<'p>(&self, path: &'p Path) -> &'p Path {
        match path.strip_prefix(&self.root) {
            Ok(inner) if inner.as_os_str().is_empty() => Path::new("."),
            Ok(inner) => inner,
            Err(_) => path,
        }
    }

    /// The architectures that an image is built for: both where it goes into an image index.
    pub fn archs(&self, image: &Image) -> Vec<Arch> {
        if image.multi_arch {
            Arch::ALL.to_vec()
        } else {
            vec![self.arch(image.target)]
        }
    }
}

impl Environment {
    /// The same in another region.
    #[must_use]
    pub fn in_region(&self, region: &str) -> Self {
        Self {
            region: region.to_owned(),
            other_regions: Vec::new(),
            ..self.clone()
        }
    }

    /// The environment in each of its regions, the first first.
    pub fn in_each_region(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.other_regions)
    }

    /// All of its regions, the first first.
    pub fn regions(&self) -> impl Iterator<Item = &str> {
        self.in_each_region().map(|one| one.region.as_str())
    }

    /// The repository of one image in this environment.
    pub fn repository(&self, project: &str, service: &str, target: Target) -> String {
        let name = fill(
            &self.repository,
            &[
                ("project", project),
                ("service", service),
                ("target", target.name()),
            ],
        );
        match &self.registry {
            Some(registry) => registry.repository(name),
            None => name,
        }
    }

    /// The host of its registry, with a port where it has one.
    ///
    /// Source: AWS's "Amazon ECR endpoints and quotas".
    pub fn registry_host(&self) -> String {
        let region = &self.region;
        if let Some(registry) = &self.registry {
            return registry.host_in(region);
        }
        let suffix = if region.starts_with("cn-") {
            "amazonaws.com.cn"
        } else {
            "amazonaws.com"
        };
        format!("{}.dkr.ecr.{region}.{suffix}", self.account)
    }

    /// Whose ECR its registry is. Nothing for a registry that is not ECR.
    pub fn ecr(&self) -> Option<Ecr> {
        let own = self.registry.as_ref().and_then(|one| one.profile.clone());
        let profile = own.or_else(|| self.profile.clone());
        if self.registry.is_none() {
            let (account, region) = (self.account.clone(), self.region.clone());
            return Some(Ecr {
                account,
                region,
                profile,
            });
        }
        let host = self.registry_host();
        let (account, region) = ecr_of(&host)?;
        Some(Ecr {
            account: account.to_owned(),
            region: region.to_owned(),
            profile,
        })
    }
}

impl Image {
    /// Where the build cache is kept in an environment.
    pub fn cache_in(&self, environment: &Environment) -> Option<Store> {
        match self.cache {
            Some(ImageCache::None) => None,
            Some(ImageCache::In(store)) => Some(store),
            None => environment.cache,
        }
    }

    /// The named contexts that are directories.
    pub fn directories(&self) -> impl Iterator<Item = (&str, &Path)> {
        let contexts = self.contexts.iter();
        contexts.filter_map(|(name, context)| match context {
            NamedContext::Directory(path) => Some((name.as_str(), path.as_path())),
            NamedContext::Address(_) => None,
        })
    }

    /// The name of the Lambda function that the image is for in an environment.
    pub fn function(&self, project: &str, environment: &str, service: &str) -> String {
        fill_names(&self.function, project, environment, service)
    }

    /// The name of the App Runner service that the image is for in an environment.
    pub fn apprunner_service(&self, project: &str, environment: &str, service: &str) -> String {
        fill_names(&self.apprunner_service, project, environment, service)
    }

    /// The name of the ECS service that the image is for in an environment.
    pub fn ecs_service(&self, project: &str, environment: &str, service: &str) -> String {
        fill_names(&self.ecs_service, project, environment, service)
    }

    /// The name of the Kubernetes deployment that the image is for in an environment.
    pub fn deployment(&self, project: &str, environment: &str, service: &str) -> String {
        fill_names(&self.deployment, project, environment, service)
    }
}

fn fill_names(pattern: &str, project: &str, environment: &str, service: &str) -> String {
    fill(
        pattern,
        &[
            ("project", project),
            ("env", environment),
            ("service", service),
        ],
    )
}

/// Fills `{name}` in a pattern.
pub fn fill(pattern: &str, values: &[(&str, &str)]) -> String {
    values
        .iter()
        .fold(pattern.to_owned(), |text, (name, value)| {
            text.replace(&format!("{{{name}}}"), value)
        })
}
