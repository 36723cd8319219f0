//! The plan for images that go to a registry.

use std::{collections::BTreeMap, path::PathBuf};

use chrono::{DateTime, Utc};

use super::{
    Build, Place, Plan, PlannedImage, PlannedTag, Publication, Refusal, Source, TagAction,
    build::{because, build_args, finish, labels, missing_paths},
    guards::guards,
    label,
    select::Selected,
};
use crate::{
    arch::Arch,
    config::{Config, Environment, Image},
    facts::{
        function::Function,
        git::Revision,
        published::{Mutability, Published, Repository},
    },
    policy::{
        command::let_tags_move,
        tags::{Tag, TagKind, TagSet},
        target::Target,
    },
};

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
    /// Lambda functions by name, as far as they could be read.
    pub functions: BTreeMap<String, Function>,
    /// Certificates that builds may need.
    pub ca_bundle: Option<PathBuf>,
    /// Dockerfiles and folders that are not there.
    pub missing: Vec<PathBuf>,
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
        refusals.extend(image.build().into_iter().flat_map(|build| missing_paths(config, build, &facts.missing)));
        refusals.extend(repository.into_iter().flat_map(|repository| immovable(&image, &name, repository)));
        images.push(image);
    }
    refusals.dedup();
    finish(refusals, Plan { place: Some(facts.place), revision: facts.revision, create_repositories, images })
}

fn missing_repository(environment: &Environment, place: &Place, name: &str) -> Refusal {
    Refusal::new(
        format!("repository `{name}` does not exist in account {}, {}", place.account, place.region),
        format!(
            "set `create-repository = true` in [environments.{}], or: aws ecr create-repository --repository-name {name} {}",
            environment.name,
            place.flags()
        ),
    )
}

/// A repository that cannot take the tags that this push has to write.
fn immovable(image: &PlannedImage, name: &str, repository: &Repository) -> Vec<Refusal> {
    let Some(publication) = &image.publication else { return Vec::new() };
    let stuck: Vec<_> =
        publication.tags.iter().filter(|tag| tag.action == TagAction::Kept && !tag.name.ends_with("-dirty")).collect();
    let by_kind = |tag: &&PlannedTag| match tag.kind {
        TagKind::Moving => Refusal::new(
            format!("tag `{}` of repository `{name}` has to move, and the repository is immutable", tag.name),
            let_tags_move(name),
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
    let tags = tag_set(config, environment, image, revision, &timestamp(&facts.now));
    let reused = reusable(published, revision, arch);
    let mutability = facts.repositories.get(repository).map(|repository| &repository.mutability);
    let planned_tags = match reused {
        Some(digest) => reused_tags(published, digest, &tags, image, environment, arch, mutability),
        None => built_tags(published, &tags, mutability),
    };
    let pushed_tag = tags.pushed().to_owned();
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
        function: function_name(config, environment, selected).and_then(|name| facts.functions.get(&name).cloned()),
        source,
        foreign: image.foreign.clone(),
        publication: Some(Publication { repository: repository.to_owned(), pushed_tag, tags: planned_tags }),
    }
}

/// The Lambda function that an image is for.
pub fn function_name(config: &Config, environment: &Environment, selected: Selected<'_>) -> Option<String> {
    let is_lambda = selected.image.target == Target::Lambda;
    is_lambda.then(|| selected.image.function(&config.project, &environment.name, &selected.service.name))
}

/// A time as it stands in a tag: `YYYYMMDD-HHMMSS`, in UTC.
pub fn timestamp(time: &DateTime<Utc>) -> String {
    time.format("%Y%m%d-%H%M%S").to_string()
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

/// A fresh image is pushed under one tag and gets the others afterwards.
fn built_tags(published: &Published, tags: &TagSet, mutability: Option<&Mutability>) -> Vec<PlannedTag> {
    let others = |tag: &Tag| {
        if tag.name == tags.pushed() {
            return PlannedTag { name: tag.name.clone(), kind: tag.kind, action: TagAction::Push };
        }
        planned(tag.name.clone(), tag.kind, published, None, mutability)
    };
    tags.iter().map(others).collect()
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
