//! The plan for images that go to a registry.

use std::{collections::BTreeMap, path::PathBuf};

use chrono::{DateTime, Utc};

use crate::{
    Build, Plan, PlannedImage, PlannedIndex, PlannedTag, Publication, Source, TagAction,
    build::{because, build_args, finish, labels, missing_paths},
    guards::guards,
    model::{label, place::Place, refusal::Refusal},
    select::Selected,
};
use crate::{
    arch::Arch,
    command::let_tags_move,
    model::{
        cache::{self, Cache, Store},
        config::{Config, Environment},
        function::Function,
        published::{Mutability, Published, Repository},
        revision::Revision,
        tags::{self, Tag, TagKind, TagSet},
        target::IndexUse,
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
    /// What is published of each image, in the order of the builds.
    pub published: Vec<Published>,
    /// Lambda functions by name, as far as they could be read.
    pub functions: BTreeMap<String, Function>,
    /// Certificates that builds may need.
    pub ca_bundle: Option<PathBuf>,
    /// Dockerfiles and directories that are not there.
    pub missing: Vec<PathBuf>,
}

/// An image for one CPU: most are for one, those of an index for both.
#[derive(Debug, Clone, Copy)]
pub struct PlatformBuild<'c> {
    /// Which image.
    pub selected: Selected<'c>,
    /// For which CPU.
    pub arch: Arch,
    /// Whether it goes into an index with the other, which then has the plain tags.
    pub in_index: bool,
}

/// The images of a selection, those of an index twice. `is_list` makes an index of more images than deploy.toml does.
pub fn platform_builds<'c>(
    config: &Config,
    selection: &[Selected<'c>],
    is_list: impl Fn(&Selected<'c>) -> bool,
) -> Vec<PlatformBuild<'c>> {
    let of = |selected: &Selected<'c>| {
        let in_index = selected.image.multi_arch || is_list(selected);
        let archs = if in_index { Arch::ALL.to_vec() } else { vec![config.arch(selected.image.target)] };
        let selected = *selected;
        archs.into_iter().map(move |arch| PlatformBuild { selected, arch, in_index })
    };
    selection.iter().flat_map(of).collect()
}

/// Plans a push.
///
/// # Errors
/// Every reason not to.
pub fn plan_push(
    config: &Config,
    environment: &Environment,
    platform_builds: &[PlatformBuild<'_>],
    facts: PushFacts,
) -> Result<Plan, Vec<Refusal>> {
    let mut refusals = guards(environment, facts.revision.as_ref());
    refusals.extend(platform_builds.iter().filter(|platform_build| platform_build.in_index).filter_map(no_index_for_lambda));
    let mut create_repositories = Vec::new();
    let mut images: Vec<PlannedImage> = Vec::new();
    let mut indexes: Vec<PlannedIndex> = Vec::new();
    let mut notes = Vec::new();
    for (platform_build, published) in platform_builds.iter().zip(&facts.published) {
        let Some(revision) = &facts.revision else { break };
        let selected = platform_build.selected;
        let name = environment.repository(&config.project, &selected.service.name, selected.image.target);
        let repository = facts.repositories.get(&name);
        if repository.is_none() && !create_repositories.contains(&name) {
            if environment.create_repository {
                create_repositories.push(name.clone());
            } else {
                refusals.push(missing_repository(environment, &facts.place, &name));
            }
        }
        let image = pushed_image(config, environment, *platform_build, &facts, revision, &name, published);
        if platform_build.in_index {
            let tags: Vec<_> =
                tag_set(config, environment, *platform_build, revision, &timestamp(&facts.now)).plain().cloned().collect();
            match indexes.iter_mut().find(|index| index.repository == name && index.tags == tags) {
                Some(index) => index.images.push(images.len()),
                None => indexes.push(PlannedIndex {
                    name: selected.name(),
                    service: selected.service.name.clone(),
                    target: selected.image.target,
                    repository: name.clone(),
                    images: vec![images.len()],
                    tags,
                }),
            }
        } else {
            notes.extend(list_of_before(config, environment, *platform_build, revision, published));
        }
        refusals.extend(image.build().into_iter().flat_map(|build| missing_paths(config, build, &facts.missing)));
        refusals.extend(repository.into_iter().flat_map(|repository| immovable(&image, &name, repository)));
        images.push(image);
    }
    for index in &mut indexes {
        refusals.extend(list_of_another(index, &images, &facts));
        keep_time(index, &images);
    }
    refusals.dedup();
    finish(refusals, Plan { place: Some(facts.place), revision: facts.revision, create_repositories, images, indexes, notes })
}

/// Images that are there since an earlier push keep the time of their arrival, and so does their list.
fn keep_time(index: &mut PlannedIndex, images: &[PlannedImage]) {
    let time = |place: &usize| {
        let tags = images.get(*place)?.publication.as_ref()?.tags.iter();
        let tag = tags.clone().find(|tag| tag.kind == TagKind::Timestamp && tag.action == TagAction::Present)?;
        tag.name.strip_suffix(&format!("-{}", images[*place].arch)).map(str::to_owned)
    };
    // Where one was there before the other, the index came with the later.
    let times: Option<Vec<_>> = index.images.iter().map(time).collect();
    if let Some(kept) = times.and_then(|times| times.into_iter().max()) {
        for tag in index.tags.iter_mut().filter(|tag| tag.kind == TagKind::Timestamp) {
            tag.name.clone_from(&kept);
        }
    }
}

/// An index of which an image is still to be built is a new one: it cannot have a tag that names something else and may not move.
fn list_of_another(index: &PlannedIndex, images: &[PlannedImage], facts: &PushFacts) -> Option<Refusal> {
    let is_new = index.images.iter().any(|place| images.get(*place).is_some_and(|image| image.build().is_some()));
    let mutability = &facts.repositories.get(&index.repository)?.mutability;
    let published = facts.published.get(*index.images.first()?)?;
    let is_stuck = |tag: &&Tag| published.tags.contains_key(&tag.name) && !mutability.can_move(&tag.name);
    let stuck = index.tags.iter().filter(|tag| tag.kind == TagKind::Revision).find(is_stuck).filter(|_| is_new)?;
    Some(Refusal::new(
        format!("tag `{}` names another image of this commit, and may not move", stuck.name),
        "commit again, or push without the index",
    ))
}

/// Whether this commit's tag names an image index: then the commit's image is that index, for every environment. A function takes
/// none.
pub fn has_index(
    config: &Config,
    environment: &Environment,
    platform_build: PlatformBuild<'_>,
    revision: &Revision,
    published: &Published,
) -> bool {
    let takes_lists = !revision.dirty && platform_build.selected.image.target.index_use() != IndexUse::Refused;
    takes_lists && names_list(&tag_set(config, environment, platform_build, revision, ""), TagKind::Revision, published).is_some()
}

/// The plain tag of this kind, where it names an image index.
fn names_list<'t>(tags: &'t TagSet, kind: TagKind, published: &Published) -> Option<&'t Tag> {
    tags.plain().find(|tag| tag.kind == kind && published.image_indexes.contains(&tag.name))
}

/// The environment's tag goes from both CPUs to one with this push.
fn list_of_before(
    config: &Config,
    environment: &Environment,
    platform_build: PlatformBuild<'_>,
    revision: &Revision,
    published: &Published,
) -> Option<String> {
    let tags = tag_set(config, environment, platform_build, revision, "");
    let tag = names_list(&tags, TagKind::Moving, published)?;
    let PlatformBuild { selected, arch, .. } = platform_build;
    let name = selected.name();
    Some(format!(
        "`{}` names an image index for both CPUs now, and will name {name}'s image for {arch} alone; what the other CPU has \
         stays under its own tags (`--multi-arch` keeps both)",
        tag.name
    ))
}

fn no_index_for_lambda(platform_build: &PlatformBuild<'_>) -> Option<Refusal> {
    (platform_build.selected.image.target.index_use() == IndexUse::Refused).then(|| {
        Refusal::new(
            format!(
                "{} is for {}, which refuses an image index",
                platform_build.selected.name(),
                platform_build.selected.image.target.title()
            ),
            "leave it out: name the others with `--service` or `--dockerfile`; a function has exactly one architecture",
        )
    })
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
    platform_build: PlatformBuild<'_>,
    facts: &PushFacts,
    revision: &Revision,
    repository: &str,
    published: &Published,
) -> PlannedImage {
    let PlatformBuild { selected, arch, in_index } = platform_build;
    let Selected { service, image } = selected;
    let tags = tag_set(config, environment, platform_build, revision, &timestamp(&facts.now));
    let reused = reusable(published, revision, arch);
    let mutability = facts.repositories.get(repository).map(|repository| &repository.mutability);
    let planned_tags = match reused {
        Some(digest) => reused_tags(published, digest, &tags, environment, platform_build, mutability),
        None => built_tags(published, &tags, in_index, mutability),
    };
    let pushed_tag = tags.pushed().to_owned();
    let source = match reused {
        Some(digest) => Source::Existing { digest: digest.to_owned() },
        None => Source::Build(Box::new(Build {
            dockerfile: config.context.join(&image.dockerfile),
            context: config.context.clone(),
            arch,
            builder: config.builders.get(&arch).cloned(),
            mode: None,
            args: build_args(service, Some(image), arch, Some(environment), Some(revision)),
            labels: labels(config, Some(revision)),
            cache: cache(config, environment, platform_build, facts, repository),
            names: vec![format!("{}/{repository}:{pushed_tag}", facts.place.registry)],
            ca_bundle: facts.ca_bundle.clone(),
            pushed: true,
        })),
    };
    PlannedImage {
        name: if in_index { format!("{}-{arch}", selected.name()) } else { selected.name() },
        service: service.name.clone(),
        target: Some(image.target),
        arch,
        because: if in_index {
            "it is built for both CPUs, and its plain tags name an image index of the two".to_owned()
        } else {
            because(config, image.target, Some(image.target_rule))
        },
        function: function_name(config, environment, selected).and_then(|name| facts.functions.get(&name).cloned()),
        source,
        foreign: image.foreign.clone(),
        publication: Some(Publication { repository: repository.to_owned(), pushed_tag, tags: planned_tags }),
    }
}

/// Where the build keeps its steps. A repository that this push creates after the build has nothing to give yet, and cannot take
/// anything before.
fn cache(
    config: &Config,
    environment: &Environment,
    platform_build: PlatformBuild<'_>,
    facts: &PushFacts,
    repository: &str,
) -> Option<Cache> {
    let PlatformBuild { selected, arch, .. } = platform_build;
    match environment.cache? {
        Store::Registry => facts.repositories.contains_key(repository).then(|| {
            let tag = cache::tag(&selected.image.tag_prefix, &environment.name, arch);
            Cache::Registry { reference: format!("{}/{repository}:{tag}", facts.place.registry) }
        }),
        Store::GitHub => {
            Some(Cache::GitHub { scope: format!("{}-{}-{}-{arch}", config.project, selected.name(), environment.name) })
        }
    }
}

/// The Lambda function that an image is for.
pub fn function_name(config: &Config, environment: &Environment, selected: Selected<'_>) -> Option<String> {
    selected
        .image
        .target
        .runs_functions()
        .then(|| selected.image.function(&config.project, &environment.name, &selected.service.name))
}

/// A time as it stands in a tag: `YYYYMMDD-HHMMSS`, in UTC.
pub fn timestamp(time: &DateTime<Utc>) -> String {
    time.format("%Y%m%d-%H%M%S").to_string()
}

/// The tags of one image at one time.
pub fn tag_set(
    config: &Config,
    environment: &Environment,
    platform_build: PlatformBuild<'_>,
    revision: &Revision,
    timestamp: &str,
) -> TagSet {
    let short = revision.short(config.revision_length);
    let prefix = &platform_build.selected.image.tag_prefix;
    TagSet::new(prefix, &environment.name, platform_build.arch, timestamp, short, revision.dirty)
}

/// The digest of this very revision's image, when the registry has it: the tag alone proves nothing, the label and the
/// config's architecture do.
fn reusable<'p>(published: &'p Published, revision: &Revision, arch: Arch) -> Option<&'p str> {
    let found = published.revision_image.as_ref().filter(|_| !revision.dirty)?;
    let same_commit = found.labels.get(label::REVISION) == Some(&revision.commit);
    (same_commit && found.arch == Some(arch)).then_some(found.digest.as_str())
}

/// A fresh image is pushed under one tag and gets the others afterwards.
fn built_tags(published: &Published, tags: &TagSet, in_index: bool, mutability: Option<&Mutability>) -> Vec<PlannedTag> {
    let others = |tag: &Tag| {
        if tag.name == tags.pushed() {
            return PlannedTag { name: tag.name.clone(), kind: tag.kind, action: TagAction::Push };
        }
        planned(tag.name.clone(), tag.kind, published, None, mutability)
    };
    tags.iter().filter(|tag| tag.names_arch || !in_index).map(others).collect()
}

/// An image that the environment has already keeps the time at which it got there: a second run changes nothing.
fn reused_tags(
    published: &Published,
    digest: &str,
    tags: &TagSet,
    environment: &Environment,
    platform_build: PlatformBuild<'_>,
    mutability: Option<&Mutability>,
) -> Vec<PlannedTag> {
    let PlatformBuild { selected, arch, in_index } = platform_build;
    let own = || tags.iter().filter(|tag| tag.names_arch || !in_index);
    let is_current = own().filter(|tag| tag.kind == TagKind::Moving).all(|tag| names(published, &tag.name, digest));
    let start = format!("{}{}-", selected.image.tag_prefix, environment.name);
    let end = format!("-{arch}");
    let written = published.revision_image_tags.iter().filter_map(|tag| {
        let time = tag.strip_prefix(&start)?.strip_suffix(&end)?;
        let plain = format!("{start}{time}");
        // A time at which the image came alone is none at which its list came.
        let is_whole = in_index != published.revision_image_tags.contains(&plain);
        (tags::moment(time) == Some((time, None)) && is_whole).then(|| [tag.clone(), plain])
    });
    let kept_time = written.max().filter(|_| is_current);
    let mut timestamps = kept_time.into_iter().flatten();
    own()
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
