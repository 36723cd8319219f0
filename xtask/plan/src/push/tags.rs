//! What happens to each tag of an image.

use super::One;
use crate::{
    PlannedTag, TagAction,
    model::{
        published::Mutability,
        tags::{self, Tag, TagKind, TagSet},
    },
};

impl One<'_> {
    /// The tags of an image that is built, or that is in the registry under this digest.
    pub(super) fn planned_tags(
        &self,
        set: &TagSet,
        reused: Option<&str>,
        repository: &str,
    ) -> Vec<PlannedTag> {
        let known = self.planner.facts.repositories.get(repository);
        let mutability = known.map(|repository| &repository.mutability);
        match reused {
            Some(digest) => self.reused(set, digest, mutability),
            None => self.built(set, mutability),
        }
    }

    /// The tags that name this image, and not an index that it is in.
    fn own<'t>(&self, set: &'t TagSet) -> impl Iterator<Item = &'t Tag> {
        let in_index = self.build.in_index;
        set.iter().filter(move |tag| tag.names_arch || !in_index)
    }

    /// A fresh image is pushed by its digest, and gets its tags afterwards.
    fn built(&self, set: &TagSet, mutability: Option<&Mutability>) -> Vec<PlannedTag> {
        let planned = |tag: &Tag| self.planned(tag, None, mutability);
        self.own(set).map(planned).collect()
    }

    /// An image that the environment has already keeps the time at which it got there: a second run changes nothing.
    fn reused(
        &self,
        set: &TagSet,
        digest: &str,
        mutability: Option<&Mutability>,
    ) -> Vec<PlannedTag> {
        let mut moving = self.own(set).filter(|tag| tag.kind == TagKind::Moving);
        let is_current = moving.all(|tag| self.names(&tag.name, digest));
        let kept = self.arrival().filter(|_| is_current);
        let mut timestamps = kept.into_iter().flatten();
        let planned = |tag: &Tag| {
            let kept = if tag.kind == TagKind::Timestamp {
                timestamps.next()
            } else {
                None
            };
            let (kind, action) = (tag.kind, TagAction::Present);
            let keep = |name| PlannedTag { name, kind, action };
            kept.map_or_else(|| self.planned(tag, Some(digest), mutability), keep)
        };
        self.own(set).map(planned).collect()
    }

    /// The tags of the time at which the image came to the environment last.
    fn arrival(&self) -> Option<[String; 2]> {
        let (environment, arch) = (self.planner.environment, self.build.arch);
        let start = format!(
            "{}{}-",
            self.build.selected.image.tag_prefix, environment.name
        );
        let end = format!("-{arch}");
        let tags = &self.published.revision_image_tags;
        let written = tags.iter().filter_map(|tag| {
            let time = tag.strip_prefix(&start)?.strip_suffix(&end)?;
            let plain = format!("{start}{time}");
            // A time at which the image came alone is none at which its index came.
            let is_whole = self.build.in_index != tags.contains(&plain);
            let is_time = tags::moment(time) == Some((time, None));
            (is_time && is_whole).then(|| [tag.clone(), plain])
        });
        written.max()
    }

    fn names(&self, tag: &str, digest: &str) -> bool {
        self.published
            .tags
            .get(tag)
            .is_some_and(|named| named == digest)
    }

    fn planned(
        &self,
        tag: &Tag,
        digest: Option<&str>,
        mutability: Option<&Mutability>,
    ) -> PlannedTag {
        // A release never moves, whatever the repository lets move.
        let may_not_move = tag.kind == TagKind::Fixed
            || mutability.is_some_and(|mutability| !mutability.can_move(&tag.name));
        let action = match (self.published.tags.get(&tag.name), digest) {
            (Some(named), Some(digest)) if named == digest => TagAction::Present,
            (Some(_), _) if may_not_move => TagAction::Kept,
            _ => TagAction::Write,
        };
        PlannedTag {
            name: tag.name.clone(),
            kind: tag.kind,
            action,
        }
    }
}
