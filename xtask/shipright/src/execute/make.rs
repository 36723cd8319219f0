//! Images come to be, and are proven before they leave this machine.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail};
use image_oci::Manifest;
use serde_json::Map;

use super::{Executor, stage::Job};
use crate::{
    docker::{BuildFailed, BuildStep, Built, LoginSession},
    plan::{Build, BuildMode, Export, Output, PlannedImage, Source},
    proof::Proof,
    registry::Damaged,
    report::{size, terminal::Activity},
    store::ContentStore,
};

/// An image that may leave this machine, or is in the registry already.
pub(super) enum Made<'p> {
    /// It was built, and stays in the local engine.
    Local,
    /// It was built, and is in the content store.
    Stored {
        /// Its manifest.
        manifest: Box<Manifest>,
        /// What its bytes say.
        proof: Box<Proof>,
    },
    /// The registry has it.
    Existing {
        /// Its manifest's digest.
        digest: &'p str,
    },
}

impl Executor<'_> {
    /// Builds an image, unless the registry has it, and reads every byte of one that is to leave.
    pub(super) fn make<'p>(
        &self,
        job: &mut Job<'p>,
        session: Option<&LoginSession>,
    ) -> Result<Made<'p>> {
        let image = job.image;
        let build = match &image.source {
            Source::Existing { digest } => {
                self.activity(job).phase("read", "what is in the registry");
                return Ok(Made::Existing { digest });
            }
            Source::Build(build) => build,
        };
        if matches!(build.output, Output::Engine { .. }) {
            self.build(job, build, session)?;
            return Ok(Made::Local);
        }
        let store = self.store.context("the content store is not open")?;
        let mut fetched_again = BTreeSet::new();
        loop {
            let manifest = self.stored(job, build, session, store)?;
            match self.prove(job, store, &manifest) {
                Ok(proof) => {
                    let manifest = Box::new(manifest);
                    return Ok(Made::Stored { manifest, proof });
                }
                Err(error) => {
                    let Some(damaged) = error.downcast_ref::<Damaged>() else {
                        return Err(error);
                    };
                    store.discard(&damaged.digest);
                    if !fetched_again.insert(damaged.digest.clone()) {
                        return Err(error);
                    }
                    let text = format!("{damaged} on this disk: it is fetched again");
                    self.terminal.note(&text);
                }
            }
        }
    }

    /// Builds an image into the content store. An engine that cannot write there hands it out instead.
    fn stored(
        &self,
        job: &mut Job<'_>,
        build: &Build,
        session: Option<&LoginSession>,
        store: &ContentStore,
    ) -> Result<Manifest> {
        if build.export == Some(Export::DockerSave) {
            self.say_saved(job);
            return known(self.saved(job, build, session, store)?, store);
        }
        if let Some(seat) = job.seat.take()
            && let Some(built) = self.build_together(job, &seat, session, store)
        {
            return taken_in(&self.built(job, built)?, store);
        }
        let layout = store.layout()?;
        let into_layout = build.to(Output::ContentStore {
            directory: layout.path().to_owned(),
        });
        let manifest = match self.build(job, &into_layout, session) {
            Ok(built) => return taken_in(&built, store),
            Err(error) if lacks_oci_exporter(&error) => {
                self.say_saved(job);
                self.saved(job, build, session, store)?
            }
            Err(error) => return Err(error),
        };
        known(manifest, store)
    }

    fn say_saved(&self, job: &Job<'_>) {
        let name = &job.image.name;
        let text =
            "the engine has a classic image store: the image is taken from there by `docker save`";
        self.terminal.detail(&format!("{name}: {text}"));
    }

    fn saved(
        &self,
        job: &mut Job<'_>,
        build: &Build,
        session: Option<&LoginSession>,
        store: &ContentStore,
    ) -> Result<Manifest> {
        let name = format!("shipright/{}:{}", job.image.name, std::process::id());
        let names = vec![name.clone()];
        let build = build.to(Output::Engine { names });
        self.build(job, &build, session)?;
        let imported = self.docker.save(&name, |stream| store.import(stream));
        self.docker.untag(&name);
        imported.with_context(|| format!("failed to take `{name}` from the engine"))
    }

    fn build(
        &self,
        job: &mut Job<'_>,
        build: &Build,
        session: Option<&LoginSession>,
    ) -> Result<Built> {
        let activity = self.begin_build(job);
        let log = self.logs.map(|logs| logs.file(&job.image.name));
        let built = self
            .docker
            .build(build, session, log.as_deref(), |step| tell(activity, step));
        self.built(job, built)
    }

    /// Shows that an image is built now, and how.
    pub(super) fn begin_build<'j>(&self, job: &'j Job<'_>) -> &'j Activity {
        let activity = self.activity(job);
        let mode = job.image.build().and_then(|build| build.mode);
        activity.phase("build", mode.map_or("", BuildMode::words));
        activity
    }

    /// Takes down what a build has told, however it has ended.
    fn built(&self, job: &mut Job<'_>, built: Result<Built>) -> Result<Built> {
        let name = &job.image.name;
        if let Some(logs) = self.logs {
            self.activity(job).attach(&logs.file(name));
        }
        let built = built?;
        let (steps, cached) = built.steps;
        (job.report.steps, job.report.cached_steps) = (steps, cached);
        if let Some(error) = &built.cache_error {
            let text = "the build's cache was not written, so the next machine starts without";
            self.terminal.warning(&format!("{name}: {text}: {error}"));
        }
        job.report.built = true;
        job.bases.clone_from(&built.bases);
        Ok(built)
    }

    fn prove(
        &self,
        job: &mut Job<'_>,
        store: &ContentStore,
        manifest: &Manifest,
    ) -> Result<Box<Proof>> {
        let image = job.image;
        self.activity(job).phase("prove", "");
        let (digest, arch) = (&manifest.digest, Some(image.arch));
        let proof = self.prover.in_store(store, digest, arch, &image.foreign)?;
        proof.require()?;
        self.proven(job, &proof);
        Ok(Box::new(proof))
    }

    /// Says what a proof has found.
    pub(super) fn proven(&self, job: &mut Job<'_>, proof: &Proof) {
        let (name, activity) = (&job.image.name, self.activity(job));
        let mut text = proof.verdict.summary();
        if job.report.built {
            let steps = job.report.steps_in_words();
            let time = size::seconds(activity.elapsed());
            let parts = [Some(text), steps, emulation(job.image), Some(time)];
            text = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
        }
        activity.said("Proven", &text, &Map::new());
        activity.phase("proven", "");
        for note in &proof.verdict.notes {
            self.terminal.note(&format!("{name}: {note}"));
        }
        job.report.proof = Some(proof.clone());
    }
}

/// Shows where a build is.
pub(super) fn tell(activity: &Activity, step: BuildStep) {
    let BuildStep { done, total, name } = step;
    let phase = match total {
        0 => "build".to_owned(),
        _ => format!("build {done}/{total}"),
    };
    activity.phase(&phase, &name);
}

/// The manifest of an image that was built into the store.
fn taken_in(built: &Built, store: &ContentStore) -> Result<Manifest> {
    let digest = built.digest.as_ref();
    let digest = digest.context("buildx tells no digest of the image")?;
    known(store.manifest(digest)?, store)
}

fn known(manifest: Manifest, store: &ContentStore) -> Result<Manifest> {
    require_single("the build made", &manifest)?;
    store.remember(&manifest.digest);
    Ok(manifest)
}

/// Lambda refuses anything but a single image.
pub(super) fn require_single(who: &str, manifest: &Manifest) -> Result<()> {
    if manifest.is_image_manifest() {
        return Ok(());
    }
    bail!(
        "{who} a `{}` instead of a single image: Lambda refuses it; \
         check the builder's attestation settings (`docker buildx inspect`)",
        manifest.media_type
    );
}

/// How an image was built, where that takes long.
fn emulation(image: &PlannedImage) -> Option<String> {
    match image.build()?.mode? {
        BuildMode::Emulated => Some("built with emulation".to_owned()),
        BuildMode::Native | BuildMode::Assembled | BuildMode::Pinned | BuildMode::Cross => None,
    }
}

fn lacks_oci_exporter(error: &anyhow::Error) -> bool {
    let failed = error.downcast_ref::<BuildFailed>();
    failed.is_some_and(|failed| failed.lacks_oci_exporter)
}
