//! Image indexes of a push, and what becomes of those of before.

use super::{One, PlatformBuild, tag_set};
use crate::{
    PlannedImage, PlannedIndex, TagAction,
    model::{
        config::{Config, Environment},
        published::Published,
        revision::Revision,
        tags::{Tag, TagKind, TagSet},
        target::IndexUse,
    },
};

/// Puts an image into its index. `place` is the image's in the plan.
pub(super) fn add_to(
    indexes: &mut Vec<PlannedIndex>,
    one: &One<'_>,
    repository: &str,
    place: usize,
) {
    let selected = one.build.selected;
    let tags: Vec<_> = one.tag_set().plain().cloned().collect();
    let is_its = |index: &&mut PlannedIndex| index.repository == repository && index.tags == tags;
    if let Some(index) = indexes.iter_mut().find(is_its) {
        index.images.push(place);
        return;
    }
    indexes.push(PlannedIndex {
        name: selected.name(),
        service: selected.service.name.clone(),
        target: selected.image.target,
        repository: repository.to_owned(),
        images: vec![place],
        tags,
    });
}

/// Images that are there since an earlier push keep the time of their arrival, and so does their index.
pub(super) fn keep_time(index: &mut PlannedIndex, images: &[PlannedImage]) {
    let time = |place: &usize| {
        let image = images.get(*place)?;
        let is_kept = |kind, action| kind == TagKind::Timestamp && action == TagAction::Present;
        let mut tags = image.publication.as_ref()?.tags.iter();
        let tag = tags.find(|tag| is_kept(tag.kind, tag.action))?;
        tag.name
            .strip_suffix(&format!("-{}", image.arch))
            .map(str::to_owned)
    };
    // Where one was there before the other, the index came with the later.
    let times: Option<Vec<_>> = index.images.iter().map(time).collect();
    if let Some(kept) = times.and_then(|times| times.into_iter().max()) {
        for tag in index
            .tags
            .iter_mut()
            .filter(|tag| tag.kind == TagKind::Timestamp)
        {
            tag.name.clone_from(&kept);
        }
    }
}

/// Whether this commit's tag names an image index: then the commit's image is that index, for every environment. A function takes
/// none.
pub fn has_index(
    config: &Config,
    environment: &Environment,
    build: PlatformBuild<'_>,
    revision: &Revision,
    published: &Published,
) -> bool {
    let takes_one = build.selected.image.target.index_use() != IndexUse::Refused;
    let tags = tag_set(config, environment, build, revision, "");
    let named = names_index(&tags, TagKind::Revision, published);
    takes_one && !revision.dirty && named.is_some()
}

/// The plain tag of this kind, where it names an image index.
fn names_index<'t>(tags: &'t TagSet, kind: TagKind, published: &Published) -> Option<&'t Tag> {
    tags.plain()
        .find(|tag| tag.kind == kind && published.image_indexes.contains(&tag.name))
}

/// The environment's tag goes from both CPUs to one with this push.
pub(super) fn index_of_before(one: &One<'_>) -> Option<String> {
    let tags = one.tag_set();
    let tag = &names_index(&tags, TagKind::Moving, one.published)?.name;
    let (name, arch) = (one.build.selected.name(), one.build.arch);
    Some(format!(
        "`{tag}` names an image index for both CPUs now, and will name {name}'s image for {arch} alone; what the other CPU \
         has stays under its own tags (`--multi-arch` keeps both)"
    ))
}
