//! Images go to the registry, and are read back from there and compared with the plan: what was asked for is not evidence.

use std::io::Read;

use anyhow::{Context, Result, bail};
use image_oci::Manifest;

use super::{
    Executor,
    make::{Made, require_single},
    stage::Job,
};
use crate::{
    model::{label, published::Found},
    parallel::both,
    plan::{Plan, Publication},
    proof::Proof,
    registry::{BlobSource, Damaged, Registry},
    report::terminal::Meter,
    repositories::Repositories,
    scan::Subject,
    store::ContentStore,
};

/// An image that is in the registry, and proven there.
pub(super) struct Published<'p> {
    /// Where it goes, and under which tags.
    pub publication: &'p Publication,
    /// Its manifest.
    pub manifest: Manifest,
}

impl Published<'_> {
    /// The same as something to look into, in a registry that has it.
    pub(super) fn subject<'s>(
        &'s self,
        name: &'s str,
        registry: &'s Registry,
        repositories: Repositories<'s>,
    ) -> Subject<'s> {
        Subject {
            name,
            repository: &self.publication.repository,
            manifest: &self.manifest,
            registry,
            repositories: Some(repositories),
        }
    }
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
    /// Puts an image that was built into the registry, under its digest.
    pub(super) fn push(
        &self,
        job: &mut Job<'_>,
        destination: &Destination<'_>,
        made: &Made<'_>,
    ) -> Result<()> {
        let Made::Stored { manifest, .. } = made else {
            return Ok(());
        };
        let publication = publication(job)?;
        let repository = &publication.repository;
        let (plan, store) = (destination.plan, self.store);
        let store = store.context("the content store is not open")?;
        let activity = self.activity(job);
        activity.phase("push", "");
        let metered = Metered {
            source: store,
            meter: activity.meter("push"),
        };
        let mount = plan.repositories().find(|other| *other != repository);
        let sent = destination
            .registry
            .put_image(repository, manifest, &metered, mount)
            .inspect_err(|error| {
                if let Some(damaged) = error.downcast_ref::<Damaged>() {
                    store.discard(&damaged.digest);
                }
            })?;
        job.report.changed = true;
        job.report.sent = sent.bytes;
        job.report.new_layers = Some(sent.layers);
        Ok(())
    }

    /// Reads an image back, compares it with the plan, and holds it to its proof.
    pub(super) fn read_back<'p>(
        &self,
        job: &mut Job<'p>,
        destination: &Destination<'_>,
        made: &Made<'_>,
    ) -> Result<Published<'p>> {
        let publication = publication(job)?;
        self.activity(job).phase("verify", "what has arrived");
        // What was in the registry before this run is proven from there.
        let existing = match made {
            Made::Existing { digest } => Some(*digest),
            Made::Local | Made::Stored { .. } => None,
        };
        let (image, registry) = (job.image, destination.registry);
        let prove = |digest| {
            let place = (publication.repository.as_str(), digest);
            let (arch, foreign) = (Some(image.arch), &image.foreign);
            self.prover.in_registry(registry, place, arch, foreign)
        };
        let (proven, read) = both(
            || existing.map(prove),
            || destination.read(publication, made),
        );
        let (manifest, config) = read?;
        let found = destination.compare(job, &manifest, &config)?;
        let proof = match (made, proven) {
            (Made::Stored { proof, .. }, _) => Proof::clone(proof),
            (_, Some(proven)) => {
                let proof = proven?;
                proof.require()?;
                self.proven(job, &proof);
                proof
            }
            (_, None) => bail!("an image of the local engine goes nowhere"),
        };
        let config = &manifest.config()?.digest;
        if proof.config_digest != *config {
            bail!(
                "the registry has an image with config {config}, but the proof is of {}",
                proof.config_digest
            );
        }
        let document = manifest.document()?;
        job.report.size = Some(document.blobs().map(|blob| blob.size).sum());
        job.report.layers = Some(document.layers.len());
        job.report.digest = Some(manifest.digest.clone());
        job.report.media_type = Some(found.media_type);
        job.report.platform = Some(found.platform);
        Ok(Published {
            publication,
            manifest,
        })
    }
}

/// A source of blobs that tells how much was read of it.
struct Metered<'s> {
    source: &'s ContentStore,
    meter: Meter,
}

impl BlobSource for Metered<'_> {
    fn open(&self, digest: &str, from: u64) -> Result<Box<dyn Read + Send>> {
        let reader = BlobSource::open(self.source, digest, from)?;
        Ok(Box::new(self.meter.reading(reader)))
    }
}

fn publication<'p>(job: &Job<'p>) -> Result<&'p Publication> {
    let publication = job.image.publication.as_ref();
    publication.context("the plan does not say where this image goes")
}

impl Destination<'_> {
    /// The manifest and the config of the one image that is there. Of an image that was sent, both are asked for at once.
    fn read(&self, publication: &Publication, made: &Made<'_>) -> Result<(Manifest, Vec<u8>)> {
        let repository = &publication.repository;
        let sent = match made {
            Made::Stored { manifest, .. } => Some(manifest),
            Made::Local | Made::Existing { .. } => None,
        };
        let read = |manifest| self.registry.config(repository, manifest);
        let Some(sent) = sent else {
            let manifest = self.manifest(publication, made)?;
            let config = read(&manifest)?;
            return Ok((manifest, config));
        };
        let (config, manifest) = both(|| read(sent), || self.manifest(publication, made));
        Ok((manifest?, config?))
    }

    /// The manifest of the one image that is there.
    fn manifest(&self, publication: &Publication, made: &Made<'_>) -> Result<Manifest> {
        let repository = &publication.repository;
        let digest = match made {
            Made::Existing { digest } => digest,
            Made::Stored { manifest, .. } => manifest.digest.as_str(),
            Made::Local => bail!("an image of the local engine goes nowhere"),
        };
        let manifest = self.repositories.manifest(repository, digest)?;
        let manifest = manifest
            .with_context(|| format!("the image is not in `{repository}` after the push"))?;
        require_single("the registry has", &manifest)?;
        Ok(manifest)
    }

    /// What the registry says of an image, compared with the plan.
    fn compare(&self, job: &Job<'_>, manifest: &Manifest, config: &[u8]) -> Result<Found> {
        let image = job.image;
        let found = Found::of(manifest, config)?;
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
