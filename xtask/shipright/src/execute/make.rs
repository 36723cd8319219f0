//! Images come to be, and are proven before they leave this machine.

use anyhow::Result;

use super::{Executor, stage::Job};
use crate::{
    docker::{Built, LoginSession},
    plan::{Build, Source},
    proof::Proof,
};

/// An image that may leave this machine, or is in the registry already.
pub(super) enum Made<'p> {
    /// It was built, and proven if it goes anywhere.
    Built {
        /// Its build.
        build: &'p Build,
        /// What BuildKit says of it.
        built: Built,
        /// What its bytes say. `None` for one that stays here, and may be whatever it likes.
        proof: Option<Box<Proof>>,
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
        session: Option<&LoginSession<'_>>,
    ) -> Result<Made<'p>> {
        let image = job.image;
        match &image.source {
            Source::Existing { digest } => {
                let text = format!("{} is in the registry: not built again", image.name);
                self.terminal.status("Unchanged", &text);
                Ok(Made::Existing { digest })
            }
            Source::Build(build) => {
                let built = self.build(job, build, session)?;
                let proof = if image.publication.is_some() {
                    Some(Box::new(self.prove(job, build)?))
                } else {
                    None
                };
                Ok(Made::Built {
                    build,
                    built,
                    proof,
                })
            }
        }
    }

    fn build(
        &self,
        job: &mut Job<'_>,
        build: &Build,
        session: Option<&LoginSession<'_>>,
    ) -> Result<Built> {
        let (name, platform) = (&job.image.name, job.image.arch.platform());
        let mode = build
            .mode
            .map_or_else(String::new, |mode| format!(", {}", mode.words()));
        self.terminal
            .status("Building", &format!("{name} for {platform}{mode}"));
        let built = self
            .docker
            .build(build, session, |line| self.terminal.output(name, line))?;
        if let Some(error) = &built.cache_error {
            let text = "the build's cache was not written, so the next machine starts without";
            self.terminal.warning(&format!("{name}: {text}: {error}"));
        }
        job.report.built = true;
        Ok(built)
    }

    fn prove(&self, job: &mut Job<'_>, build: &Build) -> Result<Proof> {
        let image = job.image;
        self.terminal.status("Proving", &image.name);
        let name = build.names.first().map(String::as_str).unwrap_or_default();
        let proof = self
            .prover
            .in_engine(self.docker, name, Some(image.arch), &image.foreign)?;
        proof.require()?;
        self.proven(job, &proof);
        Ok(proof)
    }

    /// Says what a proof has found.
    pub(super) fn proven(&self, job: &mut Job<'_>, proof: &Proof) {
        let name = &job.image.name;
        self.terminal
            .status("Proven", &format!("{name}: {}", proof.verdict.summary()));
        for note in &proof.verdict.notes {
            self.terminal.note(&format!("{name}: {note}"));
        }
        job.report.proof = Some(proof.clone());
    }
}
