//! The plan: everything that a command will do, as data, decided before anything is done.
//!
//! Architecture Invariant: equal inputs give equal plans. What is wrong is collected, not returned at the first find, and
//! each refusal comes with its cure.

use std::{collections::BTreeMap, path::PathBuf};

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::{
    arch::Arch,
    config::{Config, Environment, Image, Service, TargetRule, suggestion},
    facts::{
        git::Revision,
        published::{Mutability, Published, Repository},
    },
    policy::{
        tags::{TagKind, TagSet},
        target::Target,
    },
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
    /// Whether this is a local stand-in for AWS.
    pub sandbox: bool,
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
}

/// What makes an image.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// A build.
    Build(Build),
    /// Nothing: the registry has the image of this revision.
    Existing {
        /// Its manifest's digest.
        digest: String,
    },
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
    /// Build arguments.
    pub args: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
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

/// What a push is planned from, besides the configuration.
#[derive(Debug)]
pub struct PushFacts {
    /// Where it goes.
    pub place: Place,
    /// The commit, if there is one.
    pub revision: Option<Revision>,
    /// The time of this run.
    pub now: DateTime<Utc>,
    /// Existing repositories, by name.
    pub repositories: BTreeMap<String, Repository>,
    /// What is published of each image, in the order of the selection.
    pub published: Vec<Published>,
    /// Certificates that builds may need.
    pub ca_bundle: Option<PathBuf>,
    /// Dockerfiles and folders that are not there.
    pub missing: Vec<PathBuf>,
}

/// One image of the configuration that a command is about.
#[derive(Debug, Clone, Copy)]
pub struct Selected<'c> {
    /// Its service.
    pub service: &'c Service,
    /// The image.
    pub image: &'c Image,
}

impl Selected<'_> {
    /// What people call it.
    pub fn name(&self) -> String {
        if self.service.images.len() == 1 {
            return self.service.name.clone();
        }
        let suffix =
            self.image.dockerfile.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix("Dockerfile."));
        format!("{}-{}", self.service.name, suffix.unwrap_or(self.image.target.name()))
    }
}

/// The environment with this name.
///
/// # Errors
/// A refusal that names the nearest one.
pub fn environment<'c>(config: &'c Config, name: &str) -> Result<&'c Environment, Refusal> {
    config.environments.get(name).ok_or_else(|| {
        let known = config.environments.keys().map(String::as_str);
        Refusal::new(format!("`{}` is no environment of deploy.toml", name.escape_debug()), suggestion(name, known))
    })
}

/// The images that a push is about: those that go to the environment, of these services and this Dockerfile.
///
/// # Errors
/// Every word that selects nothing.
pub fn select<'c>(
    config: &'c Config,
    environment: &Environment,
    services: &[String],
    dockerfile: Option<&str>,
) -> Result<Vec<Selected<'c>>, Vec<Refusal>> {
    let mut refusals = unknown_services(config, services);
    let wanted = |service: &&Service| services.is_empty() || services.contains(&service.name);
    let of_service = |service: &'c Service| service.images.iter().map(move |image| Selected { service, image });
    let goes_there = |selected: &Selected<'_>| selected.image.environments.contains(&environment.name);
    let all: Vec<_> = config.services.values().filter(wanted).flat_map(of_service).filter(goes_there).collect();
    let chosen: Vec<_> =
        all.iter().copied().filter(|one| dockerfile.is_none_or(|name| names_dockerfile(name, one.image, config))).collect();
    if chosen.is_empty() && refusals.is_empty() {
        refusals.push(match dockerfile {
            Some(name) => {
                let mut known: Vec<_> = all.iter().filter_map(|one| one.image.dockerfile.to_str()).collect();
                known.sort_unstable();
                known.dedup();
                Refusal::new(
                    format!("no image for `{}` is built from `{}`", environment.name, name.escape_debug()),
                    suggestion(name, known.iter().copied()),
                )
            }
            None => Refusal::new(
                format!("none of these services has an image for `{}`", environment.name),
                format!("add \"{}\" to an image's `environments` in deploy.toml", environment.name),
            ),
        });
    }
    if refusals.is_empty() { Ok(chosen) } else { Err(refusals) }
}

/// `Dockerfile.lambda`, `backend/Dockerfile.lambda` and an absolute path all name the same one.
fn names_dockerfile(name: &str, image: &Image, config: &Config) -> bool {
    let name = std::path::Path::new(name);
    image.dockerfile == name || config.context.join(&image.dockerfile) == config.root.join(name)
}

fn unknown_services(config: &Config, services: &[String]) -> Vec<Refusal> {
    let known = || config.services.keys().map(String::as_str);
    let unknown = services.iter().filter(|name| !config.services.contains_key(*name));
    unknown
        .map(|name| Refusal::new(format!("`{}` is no service of deploy.toml", name.escape_debug()), suggestion(name, known())))
        .collect()
}

/// What a local build is asked for.
#[derive(Debug, Clone, Default)]
pub struct LocalRequest {
    /// Services; none means the default one.
    pub services: Vec<String>,
    /// An architecture other than the target's.
    pub arch: Option<Arch>,
    /// A Dockerfile other than `Dockerfile.lambda`.
    pub dockerfile: Option<String>,
}

/// The Dockerfile that `docker-build` takes when none is named, as `make docker-build` did.
const DEFAULT_DOCKERFILE: &str = "Dockerfile.lambda";

/// Plans images that stay on this machine.
///
/// # Errors
/// Every reason not to.
pub fn plan_local(
    config: &Config,
    request: &LocalRequest,
    revision: Option<Revision>,
    ca_bundle: Option<PathBuf>,
    missing: &[PathBuf],
) -> Result<Plan, Vec<Refusal>> {
    let mut refusals = unknown_services(config, &request.services);
    let names = if request.services.is_empty() { vec![config.default_service.clone()] } else { request.services.clone() };
    let mut images = Vec::new();
    for service in names.iter().filter_map(|name| config.services.get(name)) {
        match local_image(config, service, request, revision.as_ref(), ca_bundle.clone()) {
            Ok(image) => images.push(image),
            Err(refusal) => refusals.push(refusal),
        }
    }
    refusals.extend(images.iter().filter_map(build_of).flat_map(|build| missing_paths(config, build, missing)));
    finish(refusals, Plan { place: None, revision, create_repositories: Vec::new(), images })
}

fn local_image(
    config: &Config,
    service: &Service,
    request: &LocalRequest,
    revision: Option<&Revision>,
    ca_bundle: Option<PathBuf>,
) -> Result<PlannedImage, Refusal> {
    let said = request.dockerfile.as_deref();
    let named = |name: &str| service.images.iter().find(|image| names_dockerfile(name, image, config));
    let known = match said {
        Some(name) => named(name),
        None => named(DEFAULT_DOCKERFILE).or(service.images.first()),
    };
    let dockerfile = match (known, said) {
        (Some(image), _) => config.context.join(&image.dockerfile),
        (None, Some(name)) => local_dockerfile(config, name)?,
        (None, None) => {
            return Err(Refusal::new(format!("service `{}` has no image", service.name), "add one to deploy.toml"));
        }
    };
    let target = known.map(|image| image.target).or_else(|| Target::from_dockerfile(&dockerfile));
    let (arch, because) = match (request.arch, target) {
        (Some(arch), _) => (arch, format!("--arch asks for {arch}; local images are never pushed")),
        (None, Some(target)) => (config.arch(target), because(config, target, known.map(|image| image.target_rule))),
        (None, None) => {
            return Err(Refusal::new(
                format!("nothing says what `{}` is for", config.shown(&dockerfile).display()),
                "add `--arch arm64` or `--arch amd64`, or name the Dockerfile in deploy.toml with its `target`",
            ));
        }
    };
    let mut names = vec![format!("{}:{}-{arch}-latest", config.project, service.name)];
    if service.name == config.default_service {
        names.insert(0, format!("{}:{arch}-latest", config.project));
    }
    let build = Build {
        dockerfile,
        context: config.context.clone(),
        arch,
        args: build_args(service, arch, None, revision),
        labels: labels(config, revision),
        names,
        ca_bundle,
        pushed: false,
    };
    let name = service.name.clone();
    Ok(PlannedImage { name: name.clone(), service: name, target, arch, because, source: Source::Build(build), publication: None })
}

fn local_dockerfile(config: &Config, name: &str) -> Result<PathBuf, Refusal> {
    let path = std::path::Path::new(name);
    let escapes = path.components().any(|part| matches!(part, std::path::Component::ParentDir));
    if name.is_empty() || escapes || name.starts_with('-') {
        return Err(Refusal::new(
            format!("`{}` is no Dockerfile of this project", name.escape_debug()),
            "write its path from the build context, such as `Dockerfile.lambda`",
        ));
    }
    let in_root = config.root.join(path);
    Ok(if in_root.starts_with(&config.context) { in_root } else { config.context.join(path) })
}

/// Plans a push.
///
/// # Errors
/// Every reason not to.
pub fn plan_push(
    config: &Config,
    environment: &Environment,
    selection: &[Selected<'_>],
    facts: PushFacts,
) -> Result<Plan, Vec<Refusal>> {
    let mut refusals = guards(environment, facts.revision.as_ref());
    let mut create_repositories = Vec::new();
    let mut images = Vec::new();
    for (selected, published) in selection.iter().zip(&facts.published) {
        let Some(revision) = &facts.revision else { break };
        let name = environment.repository(&config.project, &selected.service.name, selected.image.target);
        let repository = facts.repositories.get(&name);
        if repository.is_none() && !create_repositories.contains(&name) {
            if environment.create_repository {
                create_repositories.push(name.clone());
            } else {
                refusals.push(missing_repository(environment, &facts.place, &name));
            }
        }
        let image = pushed_image(config, environment, *selected, &facts, revision, &name, published);
        refusals.extend(build_of(&image).into_iter().flat_map(|build| missing_paths(config, build, &facts.missing)));
        refusals.extend(repository.into_iter().flat_map(|repository| immovable(&image, &name, repository)));
        images.push(image);
    }
    refusals.dedup();
    finish(refusals, Plan { place: Some(facts.place), revision: facts.revision, create_repositories, images })
}

fn finish(refusals: Vec<Refusal>, plan: Plan) -> Result<Plan, Vec<Refusal>> {
    if refusals.is_empty() { Ok(plan) } else { Err(refusals) }
}

/// What a protected environment asks of the tree. Needs no network, so that it can be asked before anything else.
pub fn guards(environment: &Environment, revision: Option<&Revision>) -> Vec<Refusal> {
    let Some(revision) = revision else {
        return vec![Refusal::new(
            "there is no git commit to name the image after",
            "commit your work: git add --all && git commit",
        )];
    };
    let mut refusals = Vec::new();
    if environment.protected && revision.dirty {
        refusals.push(Refusal::new(
            format!("the tree is dirty, and `{}` is protected", environment.name),
            "commit or stash what `git status` lists: only what is committed can be found again",
        ));
    }
    if environment.protected && revision.branch.as_deref() != Some(environment.branch.as_str()) {
        let current =
            revision.branch.as_ref().map_or_else(|| "a detached HEAD".to_owned(), |branch| format!("branch `{branch}`"));
        refusals.push(Refusal::new(
            format!("this is {current}, and `{}` takes images from `{}` alone", environment.name, environment.branch),
            format!("git switch {}", environment.branch),
        ));
    }
    refusals
}

/// Compares the account that AWS says we are in with deploy.toml's.
///
/// # Errors
/// A refusal, when they differ.
pub fn account_guard(environment: &Environment, account: &str, identity: &str) -> Result<(), Refusal> {
    if account == environment.account {
        return Ok(());
    }
    let profile = environment.profile.as_ref().map_or_else(
        || format!("set `profile` in [environments.{}], or AWS_PROFILE, to one of that account", environment.name),
        |profile| format!("correct the profile `{profile}` in ~/.aws/config"),
    );
    Err(Refusal::new(
        format!(
            "these AWS credentials are of account {account} ({identity}), and `{}` is account {}",
            environment.name, environment.account
        ),
        profile,
    ))
}

fn missing_repository(environment: &Environment, place: &Place, name: &str) -> Refusal {
    Refusal::new(
        format!("repository `{name}` does not exist in account {}, {}", place.account, place.region),
        format!(
            "set `create-repository = true` in [environments.{}], or: aws ecr create-repository --repository-name {name} --region {}",
            environment.name, place.region
        ),
    )
}

fn missing_paths(config: &Config, build: &Build, missing: &[PathBuf]) -> Vec<Refusal> {
    let wanted = [&build.context, &build.dockerfile];
    let gone = wanted.into_iter().find(|path| missing.contains(path));
    gone.map(|path| {
        Refusal::new(
            format!("`{}` does not exist, or lies outside the project", config.shown(path).display()),
            "correct `context` or `dockerfile` in deploy.toml, or create the file",
        )
    })
    .into_iter()
    .collect()
}

fn build_of(image: &PlannedImage) -> Option<&Build> {
    match &image.source {
        Source::Build(build) => Some(build),
        Source::Existing { .. } => None,
    }
}

/// A repository that cannot take the tags that this push has to write.
fn immovable(image: &PlannedImage, name: &str, repository: &Repository) -> Vec<Refusal> {
    let Some(publication) = &image.publication else { return Vec::new() };
    let stuck: Vec<_> =
        publication.tags.iter().filter(|tag| tag.action == TagAction::Kept && !tag.name.ends_with("-dirty")).collect();
    let filters: Vec<_> = MOVABLE_TAGS.iter().map(|filter| format!("filterType=WILDCARD,filter='{filter}'")).collect();
    let by_kind = |tag: &&PlannedTag| match tag.kind {
        TagKind::Moving => Refusal::new(
            format!("tag `{}` of repository `{name}` has to move, and the repository is immutable", tag.name),
            format!(
                "aws ecr put-image-tag-mutability --repository-name {name} --image-tag-mutability IMMUTABLE_WITH_EXCLUSION \
                 --image-tag-mutability-exclusion-filters {}",
                filters.join(" ")
            ),
        ),
        TagKind::Timestamp | TagKind::Revision => Refusal::new(
            format!("tag `{}` of repository `{name}` names another image than this commit's, and cannot be moved", tag.name),
            "commit again to get another revision, raise `revision-length` in deploy.toml, or delete the tag in ECR",
        ),
    };
    debug_assert!(stuck.is_empty() || repository.mutability != Mutability::Mutable, "a mutable tag is never kept");
    stuck.iter().map(by_kind).collect()
}

fn pushed_image(
    config: &Config,
    environment: &Environment,
    selected: Selected<'_>,
    facts: &PushFacts,
    revision: &Revision,
    repository: &str,
    published: &Published,
) -> PlannedImage {
    let Selected { service, image } = selected;
    let arch = config.arch(image.target);
    let timestamp = facts.now.format("%Y%m%d-%H%M%S").to_string();
    let tags = tag_set(config, environment, image, revision, &timestamp);
    let reused = reusable(published, revision, arch);
    let mutability = facts.repositories.get(repository).map(|repository| &repository.mutability);
    let tags = match reused {
        Some(digest) => reused_tags(published, digest, &tags, image, environment, arch, mutability),
        None => tags.iter().map(|tag| planned(tag.name.clone(), tag.kind, published, None, mutability)).collect(),
    };
    let pushed_tag = tags[0].name.clone();
    let source = match reused {
        Some(digest) => Source::Existing { digest: digest.to_owned() },
        None => Source::Build(Build {
            dockerfile: config.context.join(&image.dockerfile),
            context: config.context.clone(),
            arch,
            args: build_args(service, arch, Some(environment), Some(revision)),
            labels: labels(config, Some(revision)),
            names: vec![format!("{}/{repository}:{pushed_tag}", facts.place.registry)],
            ca_bundle: facts.ca_bundle.clone(),
            pushed: true,
        }),
    };
    PlannedImage {
        name: selected.name(),
        service: service.name.clone(),
        target: Some(image.target),
        arch,
        because: because(config, image.target, Some(image.target_rule)),
        source,
        publication: Some(Publication { repository: repository.to_owned(), pushed_tag, tags }),
    }
}

/// The tags of one image at one time.
pub fn tag_set(config: &Config, environment: &Environment, image: &Image, revision: &Revision, timestamp: &str) -> TagSet {
    let short = revision.short(config.revision_length);
    TagSet::new(&image.tag_prefix, &environment.name, config.arch(image.target), timestamp, short, revision.dirty)
}

/// The digest of this very revision's image, when the registry has it: the tag alone proves nothing, the label and the
/// config's architecture do.
fn reusable<'p>(published: &'p Published, revision: &Revision, arch: Arch) -> Option<&'p str> {
    let found = published.revision_image.as_ref().filter(|_| !revision.dirty)?;
    let same_commit = found.labels.get(label::REVISION) == Some(&revision.commit);
    (same_commit && found.arch == Some(arch)).then_some(found.digest.as_str())
}

/// An image that the environment has already keeps the time at which it got there: a second run changes nothing.
fn reused_tags(
    published: &Published,
    digest: &str,
    tags: &TagSet,
    image: &Image,
    environment: &Environment,
    arch: Arch,
    mutability: Option<&Mutability>,
) -> Vec<PlannedTag> {
    let is_current = tags.iter().filter(|tag| tag.kind == TagKind::Moving).all(|tag| names(published, &tag.name, digest));
    let start = format!("{}{}-", image.tag_prefix, environment.name);
    let end = format!("-{arch}");
    let written = published.revision_image_tags.iter().filter_map(|tag| {
        let time = tag.strip_prefix(&start)?.strip_suffix(&end)?;
        let digits = time.bytes().enumerate().all(|(at, byte)| if at == 8 { byte == b'-' } else { byte.is_ascii_digit() });
        let plain = format!("{start}{time}");
        (time.len() == 15 && digits && published.revision_image_tags.contains(&plain)).then(|| [tag.clone(), plain])
    });
    let kept_time = written.max().filter(|_| is_current);
    let mut timestamps = kept_time.into_iter().flatten();
    tags.iter()
        .map(|tag| match tag.kind {
            TagKind::Timestamp => match timestamps.next() {
                Some(name) => PlannedTag { name, kind: tag.kind, action: TagAction::Present },
                None => planned(tag.name.clone(), tag.kind, published, Some(digest), mutability),
            },
            TagKind::Revision | TagKind::Moving => planned(tag.name.clone(), tag.kind, published, Some(digest), mutability),
        })
        .collect()
}

fn names(published: &Published, tag: &str, digest: &str) -> bool {
    published.tags.get(tag).is_some_and(|named| named == digest)
}

fn planned(
    name: String,
    kind: TagKind,
    published: &Published,
    digest: Option<&str>,
    mutability: Option<&Mutability>,
) -> PlannedTag {
    let action = match (published.tags.get(&name), digest) {
        (Some(named), Some(digest)) if named == digest => TagAction::Present,
        (Some(_), _) if mutability.is_some_and(|mutability| !mutability.can_move(&name)) => TagAction::Kept,
        _ => TagAction::Write,
    };
    PlannedTag { name, kind, action }
}

fn because(config: &Config, target: Target, rule: Option<TargetRule>) -> String {
    let arch = config.arch(target);
    let decided = match rule {
        Some(TargetRule::Said) => format!("deploy.toml says `target = \"{target}\"`"),
        Some(TargetRule::Suffix) | None => format!("the Dockerfile's suffix is `.{target}`"),
    };
    format!("{decided}, and {} runs {arch} ({}): {}", target.title(), arch.hardware(), target.why())
}

/// The target's platform is among them: an `ARG TARGETPLATFORM` before the first `FROM` hides BuildKit's own value from that
/// `FROM` in the versions that Debian 13 and Docker 26 have, and the build fails with an empty platform.
fn build_args(
    service: &Service,
    arch: Arch,
    environment: Option<&Environment>,
    revision: Option<&Revision>,
) -> BTreeMap<String, String> {
    let mut args = environment.map(|environment| environment.build_args.clone()).unwrap_or_default();
    let platform = [("TARGETPLATFORM", arch.platform()), ("TARGETARCH", arch.oci().to_owned())];
    args.extend(platform.map(|(key, value)| (key.to_owned(), value)));
    args.insert("SERVICE_FOLDER".to_owned(), service.folder.clone());
    if let Some(revision) = revision {
        args.insert("SOURCE_DATE_EPOCH".to_owned(), revision.time.to_string());
        args.insert("REVISION".to_owned(), revision_name(revision));
    }
    args
}

/// The commit, and whether the image has more than it.
fn revision_name(revision: &Revision) -> String {
    format!("{}{}", revision.commit, if revision.dirty { "-dirty" } else { "" })
}

fn labels(config: &Config, revision: Option<&Revision>) -> BTreeMap<String, String> {
    let Some(revision) = revision else { return BTreeMap::new() };
    let source = config.source.clone().or_else(|| revision.origin.clone());
    let created = DateTime::from_timestamp(revision.time, 0).map(|time| time.format("%Y-%m-%dT%H:%M:%SZ").to_string());
    let version = revision.description.chars().filter(|c| !c.is_control()).collect();
    let all = [
        (label::REVISION, Some(revision_name(revision))),
        (label::CREATED, created),
        (label::SOURCE, source),
        (label::VERSION, Some(version)),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

#[cfg(test)]
mod tests;
