//! Images go to the registry, and are read back from there and compared with the plan: what was asked for is not evidence.

use anyhow::{Context, Result, bail};
use image_oci::Manifest;

use super::{Executor, make::Made, stage::Job};
use crate::{
    docker::{Built, LoginSession},
    model::{label, published::Found},
    plan::{Plan, Publication},
    proof::Proof,
    registry::Registry,
    repositories::Repositories,
};

/// An image that is in the registry, and proven there.
pub(super) struct Published<'p> {
    /// Where it goes, and under which tags.
    pub publication: &'p Publication,
    /// Its manifest.
    pub manifest: Manifest,
}

/// The registry of a plan, to read from.
pub(super) struct Destination<'d> {
    /// The plan.
    pub plan: &'d Plan,
    /// The registry protocol.
    pub registry: &'d Registry,
    /// Its repositories.
    pub repositories: Repositories<'d>,
}

impl Executor<'_> {
    /// Pushes an image that was built.
    pub(super) fn push(
        &self,
        job: &mut Job<'_>,
        session: &LoginSession<'_>,
        made: &Made<'_>,
    ) -> Result<()> {
        let Made::Built { build, .. } = made else {
            return Ok(());
        };
        for name in &build.names {
            self.terminal.status("Pushing", name);
            self.docker.push(session, name, |line| {
                self.terminal.output(&job.image.name, line);
            })?;
        }
        job.report.changed = true;
        Ok(())
    }

    /// Reads an image back, compares it with the plan, and holds it to its proof.
    pub(super) fn read_back<'p>(
        &self,
        job: &mut Job<'p>,
        destination: &Destination<'_>,
        made: &Made<'_>,
    ) -> Result<Published<'p>> {
        let publication = job
            .image
            .publication
            .as_ref()
            .context("the plan does not say where this image goes")?;
        let manifest = destination.manifest(publication, made)?;
        if let Made::Built { built, .. } = made {
            require_built(built, &manifest)?;
        }
        let found = destination.compare(job, publication, &manifest)?;
        let proof = match made {
            Made::Built {
                proof: Some(proof), ..
            } => Proof::clone(proof),
            // It was in the registry before this run, and is proven from there.
            Made::Built { proof: None, .. } | Made::Existing { .. } => {
                self.prove_there(job, destination.registry, publication, &manifest)?
            }
        };
        let config = &manifest.config()?.digest;
        if proof.config_digest != *config {
            bail!(
                "the registry has an image with config {config}, but the proof is of {}",
                proof.config_digest
            );
        }
        job.report.digest = Some(manifest.digest.clone());
        job.report.media_type = Some(found.media_type);
        job.report.platform = Some(found.platform);
        Ok(Published {
            publication,
            manifest,
        })
    }

    fn prove_there(
        &self,
        job: &mut Job<'_>,
        registry: &Registry,
        publication: &Publication,
        manifest: &Manifest,
    ) -> Result<Proof> {
        let place = (publication.repository.as_str(), manifest.digest.as_str());
        let proof =
            self.prover
                .in_registry(registry, place, Some(job.image.arch), &job.image.foreign)?;
        proof.require()?;
        self.proven(job, &proof);
        Ok(proof)
    }
}

/// An image in the registry is the one that was built.
fn require_built(built: &Built, manifest: &Manifest) -> Result<()> {
    if built.digest.is_none() || built.is(&manifest.digest, &manifest.config()?.digest) {
        return Ok(());
    }
    let made = built.digest.as_deref().unwrap_or("no digest");
    bail!(
        "the registry has {}, but the build made {made}",
        manifest.digest
    )
}

impl Destination<'_> {
    /// The one image that is there.
    fn manifest(&self, publication: &Publication, made: &Made<'_>) -> Result<Manifest> {
        let (reader, repository) = (self.repositories, &publication.repository);
        let digest = match made {
            Made::Existing { digest } => Some((*digest).to_owned()),
            Made::Built { .. } => {
                let pushed = reader.tagged(repository, &publication.pushed_tag)?;
                pushed.map(|manifest| manifest.digest)
            }
        };
        let manifest = digest
            .map(|digest| reader.manifest(repository, &digest))
            .transpose()?
            .flatten();
        let manifest = manifest
            .with_context(|| format!("the image is not in `{repository}` after the push"))?;
        if !manifest.is_image_manifest() {
            bail!(
                "the registry has a `{}` instead of a single image: Lambda refuses it; \
                 check the builder's attestation settings (`docker buildx inspect`)",
                manifest.media_type
            );
        }
        Ok(manifest)
    }

    /// What the registry says of an image, compared with the plan.
    fn compare(
        &self,
        job: &Job<'_>,
        publication: &Publication,
        manifest: &Manifest,
    ) -> Result<Found> {
        let image = job.image;
        let found = Found::of(
            manifest,
            &self.registry.config(&publication.repository, manifest)?,
        )?;
        if found.arch != Some(image.arch) {
            bail!(
                "the image says that it is for `{}`, and {} was asked for: check `FROM --platform` in the Dockerfile's \
                 last stage",
                found.platform,
                image.arch.platform()
            );
        }
        let commit = self
            .plan
            .revision
            .as_ref()
            .map(|revision| revision.commit.as_str())
            .unwrap_or_default();
        let labelled = found
            .labels
            .get(label::REVISION)
            .map(String::as_str)
            .unwrap_or_default();
        if labelled.trim_end_matches("-dirty") != commit {
            bail!(
                "the image's label `{}` is `{labelled}`, not `{commit}`",
                label::REVISION
            );
        }
        Ok(found)
    }
}
