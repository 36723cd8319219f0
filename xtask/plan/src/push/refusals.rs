//! What is in the way of a push.

use super::{PlatformBuild, PushFacts};
use crate::{
    PlannedImage, PlannedIndex, PlannedTag, Publication, TagAction,
    command::let_tags_move,
    model::{
        config::Environment,
        place::Place,
        published::{Mutability, Repository},
        refusal::Refusal,
        tags::TagKind,
        target::IndexUse,
    },
};

/// An index for a target that refuses them.
pub(super) fn no_index_for_lambda(build: &PlatformBuild<'_>) -> Option<Refusal> {
    let target = build.selected.image.target;
    if !build.in_index || target.index_use() != IndexUse::Refused {
        return None;
    }
    let (name, title) = (build.selected.name(), target.title());
    Some(Refusal::new(
        format!("{name} is for {title}, which refuses an image index"),
        "leave it out: name the others with `--service` or `--dockerfile`; a function has exactly one architecture",
    ))
}

/// A repository that is missing, and is not to be made.
pub(super) fn missing_repository(environment: &Environment, place: &Place, name: &str) -> Refusal {
    let (environment, flags) = (&environment.name, place.ecr_flags().unwrap_or_default());
    let ecr = place.ecr.as_ref();
    let place = ecr.map_or_else(
        || place.registry.clone(),
        |ecr| format!("account {}, {}", ecr.account, ecr.region),
    );
    Refusal::new(
        format!("repository `{name}` does not exist in {place}"),
        format!(
            "set `create-repository = true` in [environments.{environment}], or: aws ecr create-repository \
             --repository-name {name} {flags}"
        ),
    )
}

/// A repository that cannot take the tags that this push has to write.
pub(super) fn immovable(
    image: &PlannedImage,
    name: &str,
    repository: &Repository,
    movable: &[String],
) -> Vec<Refusal> {
    let Some(publication) = &image.publication else {
        return Vec::new();
    };
    let is_stuck = |tag: &&PlannedTag| {
        tag.action == TagAction::Kept && tag.kind != TagKind::Fixed && !tag.name.ends_with("-dirty")
    };
    let stuck: Vec<_> = publication.tags.iter().filter(is_stuck).collect();
    let is_mutable = repository.mutability == Mutability::Mutable;
    debug_assert!(
        stuck.is_empty() || !is_mutable,
        "a mutable tag is never kept"
    );
    let by_kind = |tag: &&PlannedTag| match tag.kind {
        TagKind::Moving => Refusal::new(
            format!(
                "tag `{}` of repository `{name}` has to move, and the repository is immutable",
                tag.name
            ),
            let_tags_move(name, movable),
        ),
        TagKind::Timestamp | TagKind::Revision | TagKind::Fixed => Refusal::new(
            format!(
                "tag `{}` of repository `{name}` names another image than this commit's, and cannot be moved",
                tag.name
            ),
            "commit again to get another revision, raise `revision-length` in deploy.toml, or delete the tag in ECR",
        ),
    };
    stuck.iter().map(by_kind).collect()
}

/// What is in the way in another region: a repository that is missing and is not to be made, or in which moving tags cannot move.
pub fn in_region(
    environment: &Environment,
    place: &Place,
    publication: &Publication,
    found: Option<&Repository>,
    movable: &[String],
) -> Vec<Refusal> {
    let name = &publication.repository;
    let Some(found) = found else {
        let is_made = environment.create_repository;
        let missing = || missing_repository(environment, place, name);
        return (!is_made).then(missing).into_iter().collect();
    };
    let moving = publication
        .tags
        .iter()
        .filter(|tag| tag.kind == TagKind::Moving);
    let stuck = moving.filter(|tag| !found.mutability.can_move(&tag.name));
    let refusal = |tag: &PlannedTag| {
        let region = &place.region;
        Refusal::new(
            format!(
                "tag `{}` of repository `{name}` in {region} has to move, and the repository is immutable",
                tag.name
            ),
            format!(
                "{} {}",
                let_tags_move(name, movable),
                place.ecr_flags().unwrap_or_default()
            ),
        )
    };
    stuck.map(refusal).collect()
}

/// A release that is there already, as another image.
pub(super) fn released(image: &PlannedImage) -> Vec<Refusal> {
    let tags = image.publication.iter().flat_map(|one| &one.tags);
    let stuck = tags.filter(|tag| tag.action == TagAction::Kept && tag.kind == TagKind::Fixed);
    let refusal = |tag: &PlannedTag| {
        Refusal::new(
            format!(
                "`{}` names another image than this commit's, and a release never moves",
                tag.name
            ),
            "raise the version, or take the pattern from `tags` in deploy.toml",
        )
    };
    stuck.map(refusal).collect()
}

/// An index of which an image is still to be built is a new one: it cannot have a tag that names something else and may not move.
pub(super) fn index_of_another(
    index: &PlannedIndex,
    images: &[PlannedImage],
    facts: &PushFacts,
) -> Option<Refusal> {
    let mut its = index.images.iter().filter_map(|place| images.get(*place));
    if !its.any(|image| image.build().is_some()) {
        return None;
    }
    let mutability = &facts.repositories.get(&index.repository)?.mutability;
    let published = facts.published.get(*index.images.first()?)?;
    let is_there = |name: &String| published.tags.contains_key(name) && !mutability.can_move(name);
    let mut revisions = index
        .tags
        .iter()
        .filter(|tag| tag.kind == TagKind::Revision);
    let stuck = revisions.find(|tag| is_there(&tag.name))?;
    Some(Refusal::new(
        format!(
            "tag `{}` names another image of this commit, and may not move",
            stuck.name
        ),
        "commit again, or push without the index",
    ))
}
