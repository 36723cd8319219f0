//! Image indexes of images that were proven and read back, stored beside them.

use anyhow::{Context, Result, anyhow, bail};
use image_oci::{Manifest, Platform};

use super::{
    Executor,
    publish::{Destination, Published},
    stage::Job,
    tags::Which,
};
use crate::{
    model::tags::{Tag, TagKind},
    plan::{
        PlannedIndex,
        index::{Child, assemble, stuck},
    },
    registry::Registry,
    report::result::IndexReport,
    repositories::Repositories,
};

impl Executor<'_> {
    /// Makes an index, and stores it. No tag names it yet.
    pub(super) fn index(
        &self,
        index: &PlannedIndex,
        destination: &Destination<'_>,
        published: &[Published<'_>],
    ) -> Result<Manifest> {
        let (registry, repositories, repository) = (
            destination.registry,
            destination.repositories,
            &index.repository,
        );
        let children = children(index, registry, destination.plan, published)?;
        let manifest = assemble(&children).map_err(|refusals| {
            let problems: Vec<_> = refusals
                .iter()
                .map(|refusal| refusal.problem.as_str())
                .collect();
            anyhow!("{}", problems.join("; "))
        })?;
        // Before anything of the index is written: what this commit's plain tags name may be a single image, that stays.
        let lasting = index
            .tags
            .iter()
            .filter(|tag| matches!(tag.kind, TagKind::Timestamp | TagKind::Revision));
        let lasting: Vec<_> = lasting.map(|tag| tag.name.clone()).collect();
        let current = repositories.manifests(repository, &lasting)?;
        let current = current
            .into_iter()
            .map(|(tag, manifest)| (tag, manifest.digest))
            .collect();
        let mutability = repositories
            .repository(repository)?
            .map(|found| found.mutability);
        if let Some(tag) = stuck(&lasting, &current, &manifest.digest, mutability.as_ref()) {
            bail!(
                "tag `{tag}` names another image of this commit, and may not move: commit again, or push without the index"
            );
        }
        if repositories
            .manifest(repository, &manifest.digest)?
            .is_none()
        {
            let text = format!(
                "{}: {} images, {}",
                index.name,
                children.len(),
                manifest.digest
            );
            self.terminal.status("Indexing", &text);
            let bytes = manifest.bytes.as_bytes();
            registry.put_manifest(repository, &manifest.digest, &manifest.media_type, bytes)?;
        }
        Ok(manifest)
    }

    /// Writes tags that name an index. Returns whether there was one to write.
    pub(super) fn tag_index(
        &self,
        index: &PlannedIndex,
        manifest: &Manifest,
        repositories: Repositories<'_>,
        which: Which,
    ) -> Result<bool> {
        let tags = index.tags.iter().filter(|tag| which.includes(tag.kind));
        let tags: Vec<_> = tags.collect();
        let names: Vec<_> = tags.iter().map(|tag| tag.name.clone()).collect();
        let current = repositories.manifests(&index.repository, &names)?;
        let mut changed = false;
        for tag in tags {
            let name = &tag.name;
            match current.get(name) {
                Some(known) if known.digest == manifest.digest => continue,
                Some(_) if tag.kind == TagKind::Fixed => {
                    let text = format!("`{name}` stays on an earlier image: it never moves");
                    self.terminal.note(&text);
                    continue;
                }
                Some(_) | None => {}
            }
            changed = true;
            self.terminal
                .detail(&format!("tag {}:{name}", index.repository));
            repositories
                .writer()
                .tag(&index.repository, manifest, name)?;
        }
        Ok(changed)
    }

    /// Reads the tags of an index once more.
    pub(super) fn confirm_index(
        &self,
        index: &PlannedIndex,
        manifest: &Manifest,
        repositories: Repositories<'_>,
        jobs: &mut [Job<'_>],
    ) -> Result<IndexReport> {
        let names: Vec<_> = index.tags.iter().map(|tag| tag.name.clone()).collect();
        let current = repositories.manifests(&index.repository, &names)?;
        let digest = &manifest.digest;
        let is_earlier = |tag: &&Tag| {
            let named = current.get(&tag.name);
            tag.kind == TagKind::Fixed && named.is_some_and(|known| known.digest != *digest)
        };
        let ours = index.tags.iter().filter(|tag| !is_earlier(tag));
        let names: Vec<_> = ours.map(|tag| tag.name.clone()).collect();
        let is_wrong = |name: &&String| {
            current
                .get(*name)
                .is_none_or(|known| known.digest != *digest)
        };
        let wrong: Vec<_> = names.iter().filter(is_wrong).map(String::as_str).collect();
        if !wrong.is_empty() {
            let wrong = wrong.join(", ");
            bail!(
                "tags do not name the index {digest}, perhaps because another push ran at the same time: {wrong}"
            );
        }
        for place in &index.images {
            if let Some(job) = jobs.get_mut(*place) {
                job.report.image_index = Some(digest.clone());
            }
        }
        self.terminal.status(
            "Checked",
            &format!(
                "{}: {} tags name the index {digest}",
                index.name,
                names.len()
            ),
        );
        let (name, repository, digest) =
            (index.name.clone(), index.repository.clone(), digest.clone());
        Ok(IndexReport {
            name,
            repository,
            digest,
            tags: names,
            changed: false,
            signature: None,
        })
    }
}

/// The images of an index, as they are in the registry.
fn children(
    index: &PlannedIndex,
    registry: &Registry,
    plan: &crate::plan::Plan,
    published: &[Published<'_>],
) -> Result<Vec<Child>> {
    let child = |place: &usize| {
        let found = plan.images.get(*place).zip(published.get(*place));
        let (image, published) = found.context("the plan lists an image that it does not have")?;
        let manifest = published.manifest.clone();
        let platform = Platform::of_config(&registry.config(&index.repository, &manifest)?)?;
        Ok(Child {
            name: image.name.clone(),
            manifest,
            platform,
        })
    };
    index.images.iter().map(child).collect()
}
