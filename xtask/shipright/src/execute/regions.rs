//! The other regions of an environment: the same images under the same tags.
//!
//! Architecture Invariant: no tag is written in any region before every region has every image.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use image_oci::Manifest;

use super::{
    Executor,
    publish::{Destination, Published},
    stage::Job,
    tags::Which,
};
use crate::{
    model::{
        place::Place,
        tags::{Tag, TagKind},
    },
    plan::{PlannedIndex, TagAction},
    registry::{InRepository, Registry},
    repositories::Repositories,
};

/// Another region of the environment that a plan is for.
#[derive(Clone, Copy)]
pub struct OtherRegion<'r> {
    /// Where it is.
    pub place: &'r Place,
    /// The repositories there.
    pub repositories: Repositories<'r>,
}

/// A region that has every image of a plan.
pub(super) struct Replica<'r> {
    pub(super) region: OtherRegion<'r>,
    pub(super) registry: Registry,
}

impl Executor<'_> {
    /// Brings every image to every other region, and proves what arrived. Nothing is tagged.
    ///
    /// # Errors
    /// A region that refuses, with its name: then no tag may be written anywhere.
    pub(super) fn replicate(
        &self,
        destination: &Destination<'_>,
        jobs: &mut [Job<'_>],
        there: &[Published<'_>],
    ) -> Result<Vec<Replica<'_>>> {
        let mut replicas = Vec::new();
        for region in self.others {
            let region = *region;
            let name = &region.place.region;
            let about =
                || format!("{name} does not have every image: no tag was moved in any region");
            let registry = self
                .bring(region, destination, jobs, there)
                .with_context(about)?;
            replicas.push(Replica { region, registry });
        }
        Ok(replicas)
    }

    fn bring(
        &self,
        region: OtherRegion<'_>,
        destination: &Destination<'_>,
        jobs: &mut [Job<'_>],
        there: &[Published<'_>],
    ) -> Result<Registry> {
        let registry = region.repositories.registry(&region.place.registry)?;
        for (job, image) in jobs.iter_mut().zip(there) {
            let repository = &image.publication.repository;
            self.make_repository(region, destination, repository)?;
            require_free(region, image)?;
            let (manifest, name) = (&image.manifest, &region.place.region);
            let source = InRepository {
                registry: destination.registry,
                repository,
            };
            let sent = registry
                .put_image(repository, manifest, &source, None)?
                .bytes;
            if sent > 0 {
                let text = format!("{} to {name}: {sent} bytes", job.image.name);
                self.terminal.status("Sent", &text);
                job.report.changed = true;
            }
            let arrived = region.repositories.manifest(repository, &manifest.digest)?;
            if arrived.is_none() {
                bail!(
                    "{} is not in `{repository}` after it was sent",
                    manifest.digest
                );
            }
            let place = (repository.as_str(), manifest.digest.as_str());
            let (arch, foreign) = (Some(job.image.arch), &job.image.foreign);
            let proof = self.prover.in_registry(&registry, place, arch, foreign)?;
            proof.require()?;
        }
        Ok(registry)
    }

    fn make_repository(
        &self,
        region: OtherRegion<'_>,
        destination: &Destination<'_>,
        name: &str,
    ) -> Result<()> {
        if region.repositories.repository(name)?.is_some() {
            return Ok(());
        }
        let text = format!("repository {name} in {}", region.place.region);
        self.terminal.status("Creating", &text);
        let movable = destination.plan.movable_tags.get(name);
        region
            .repositories
            .writer()
            .create(name, movable.map_or(&[][..], Vec::as_slice))
    }

    /// Writes the tags of images in every other region.
    pub(super) fn tag_replicas(
        &self,
        replicas: &[Replica<'_>],
        jobs: &mut [Job<'_>],
        there: &[Published<'_>],
        which: Which,
    ) -> Result<()> {
        for replica in replicas {
            // What has failed in the first region moves nowhere.
            let sound = jobs
                .iter_mut()
                .zip(there)
                .filter(|(job, _)| job.report.error.is_none());
            for (job, image) in sound {
                let publication = image.publication;
                let tags = publication
                    .tags
                    .iter()
                    .filter(|tag| tag.action != TagAction::Kept);
                let tags = tags.filter(|tag| which.includes(tag.kind));
                let tags: Vec<_> = tags.map(|tag| (tag.name.as_str(), tag.kind)).collect();
                let repository = &publication.repository;
                job.report.changed |= self.write(replica, repository, &image.manifest, &tags)?;
            }
        }
        Ok(())
    }

    /// Writes the tags of an index in every other region. Returns whether there was one to write.
    pub(super) fn tag_index_replicas(
        &self,
        replicas: &[Replica<'_>],
        index: &PlannedIndex,
        manifest: &Manifest,
        which: Which,
    ) -> Result<bool> {
        let tags = index.tags.iter().filter(|tag| which.includes(tag.kind));
        let tags: Vec<_> = tags
            .map(|tag: &Tag| (tag.name.as_str(), tag.kind))
            .collect();
        let mut changed = false;
        for replica in replicas {
            changed |= self.write(replica, &index.repository, manifest, &tags)?;
        }
        Ok(changed)
    }

    fn write(
        &self,
        replica: &Replica<'_>,
        repository: &str,
        manifest: &Manifest,
        tags: &[(&str, TagKind)],
    ) -> Result<bool> {
        let current = current(
            replica.region.repositories,
            repository,
            tags.iter().map(|(name, _)| *name),
        )?;
        let place = &replica.region.place.region;
        let mut changed = false;
        for (name, kind) in tags {
            match current.get(*name) {
                Some(digest) if *digest == manifest.digest => continue,
                Some(_) if *kind == TagKind::Fixed => {
                    let text =
                        format!("`{name}` of {place} stays on an earlier image: it never moves");
                    self.terminal.note(&text);
                    continue;
                }
                Some(_) | None => {}
            }
            let text = format!("{repository}:{name} in {place}");
            self.terminal.detail(&format!("tag {text}"));
            let writer = replica.region.repositories.writer();
            writer
                .tag(repository, manifest, name)
                .with_context(|| format!("failed to tag in {place}"))?;
            changed = true;
        }
        Ok(changed)
    }

    /// Reads every tag in every other region once more.
    pub(super) fn confirm_replicas(
        &self,
        replicas: &[Replica<'_>],
        job: &mut Job<'_>,
        image: &Published<'_>,
    ) -> Result<()> {
        let publication = image.publication;
        let fixed = |kind: TagKind| kind == TagKind::Fixed;
        let tags = publication.tags.iter();
        let tags = tags.filter(|tag| tag.action != TagAction::Kept && !fixed(tag.kind));
        let names: Vec<&str> = tags.map(|tag| tag.name.as_str()).collect();
        let digest = &image.manifest.digest;
        for replica in replicas {
            let place = &replica.region.place.region;
            let current = current(
                replica.region.repositories,
                &publication.repository,
                names.iter().copied(),
            )?;
            let wrong = names
                .iter()
                .find(|name| current.get(**name) != Some(digest));
            if let Some(wrong) = wrong {
                let now = current.get(*wrong).map_or("missing", String::as_str);
                bail!(
                    "`{wrong}` in {place} is {now}, not {digest}: perhaps another push ran at the same time"
                );
            }
            let text = format!(
                "{}: {} tags name {digest} in {place}",
                job.image.name,
                names.len()
            );
            self.terminal.status("Checked", &text);
            job.report.regions.insert(place.clone(), digest.clone());
        }
        Ok(())
    }
}

/// Brings an index, whose images are there, to every other region.
pub(super) fn index_replicas(
    replicas: &[Replica<'_>],
    index: &PlannedIndex,
    manifest: &Manifest,
) -> Result<()> {
    for replica in replicas {
        let (repository, bytes) = (&index.repository, manifest.bytes.as_bytes());
        let (digest, kind) = (&manifest.digest, &manifest.media_type);
        replica
            .registry
            .put_manifest(repository, digest, kind, bytes)?;
    }
    Ok(())
}

/// A region where a tag of a commit names another image that may not be moved.
fn require_free(region: OtherRegion<'_>, image: &Published<'_>) -> Result<()> {
    let repository = &image.publication.repository;
    let found = region.repositories.repository(repository)?;
    let tags = image
        .publication
        .tags
        .iter()
        .filter(|tag| tag.action != TagAction::Kept);
    let tags: Vec<_> = tags.filter(|tag| tag.kind != TagKind::Fixed).collect();
    let current = current(
        region.repositories,
        repository,
        tags.iter().map(|tag| tag.name.as_str()),
    )?;
    let is_stuck = |name: &String| {
        let other = current
            .get(name)
            .is_some_and(|digest| *digest != image.manifest.digest);
        other
            && found
                .as_ref()
                .is_some_and(|found| !found.mutability.can_move(name))
    };
    match tags.iter().find(|tag| is_stuck(&tag.name)) {
        Some(stuck) => bail!(
            "tag `{}` of `{repository}` in {} names another image, and may not move",
            stuck.name,
            region.place.region
        ),
        None => Ok(()),
    }
}

fn current<'t>(
    repositories: Repositories<'_>,
    repository: &str,
    names: impl Iterator<Item = &'t str>,
) -> Result<BTreeMap<String, String>> {
    let names: Vec<String> = names.map(str::to_owned).collect();
    let found = repositories.manifests(repository, &names)?.into_iter();
    Ok(found
        .map(|(name, manifest)| (name, manifest.digest))
        .collect())
}
