//! What an image gets before a moving tag names it: documents as soon as it is in its registries, and a signature once its index is
//! there too.
//!
//! Documents come before the tag of the commit. A run that breaks off in between builds the image again, and can say how.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Mutex, PoisonError},
};

use anyhow::{Context as _, Result};
use dockerfile_rules::Model;
use image_oci::Manifest;

use super::{
    Executor,
    publish::{Destination, Published},
    regions::Replica,
    stage::Job,
};
use crate::{
    attest::{Attacher, BuilderId, Origin, Signer, provenance::BuildRun},
    docker::Base,
    facts::host,
    model::{attest::Signing, place::Place},
    plan::{Plan, PlannedIndex},
    registry::Registry,
    report::result::Signature,
    repositories::Repositories,
};

/// A registry that has the images.
#[derive(Clone, Copy)]
struct Holder<'h> {
    registry: &'h Registry,
    repositories: Repositories<'h>,
    place: &'h Place,
}

/// The registries of all regions, the first first.
fn holders<'h>(destination: &'h Destination<'_>, replicas: &'h [Replica<'_>]) -> Vec<Holder<'h>> {
    let first = destination.plan.place.as_ref().map(|place| Holder {
        registry: destination.registry,
        repositories: destination.repositories,
        place,
    });
    let others = replicas.iter().map(|replica| Holder {
        registry: &replica.registry,
        repositories: replica.region.repositories,
        place: replica.region.place,
    });
    first.into_iter().chain(others).collect()
}

/// Each image, and whether it is the first of its digest in its repository: what two services share gets one of each.
fn once_each<'t, 'p>(there: &'t [Published<'p>]) -> Vec<(&'t Published<'p>, bool)> {
    let mut known = BTreeSet::new();
    let mut is_first = |image: &'t Published<'p>| {
        known.insert((&image.publication.repository, &image.manifest.digest))
    };
    there.iter().map(|image| (image, is_first(image))).collect()
}

impl Executor<'_> {
    /// Attaches documents to every image, in every region, where the plan asks for it.
    ///
    /// # Errors
    /// An image to which something cannot be attached: no tag may be written then, of none.
    pub(super) fn attach(
        &self,
        destination: &Destination<'_>,
        replicas: &[Replica<'_>],
        jobs: &mut [Job<'_>],
        there: &[Published<'_>],
    ) -> Result<()> {
        let plan = destination.plan;
        let Some(asked) = &plan.attest else {
            return Ok(());
        };
        let attacher = Attacher {
            asked,
            prover: self.prover,
            store: self.store,
            terminal: self.terminal,
        };
        let builder = BuilderId::of(host::variable);
        let holders = holders(destination, replicas);
        let inputs = once_each(there);
        self.stage(
            jobs,
            inputs,
            "no tag was moved",
            |job, (image, is_first)| {
                if !is_first {
                    return Ok(());
                }
                self.activity(job).phase("attach", "");
                let bases = std::mem::take(&mut job.bases);
                let run = self.build_run(job, plan, &builder, &bases);
                let name = job.image.name.as_str();
                for (number, holder) in holders.iter().enumerate() {
                    let origin = match &run {
                        Some(run) => Origin::Built(run),
                        None if number == 0 => Origin::Found,
                        None => Origin::From {
                            registry: destination.registry,
                            repository: &image.publication.repository,
                        },
                    };
                    let subject = image.subject(name, holder.registry, holder.repositories);
                    let attached = attacher
                        .attach(&subject, origin)
                        .with_context(|| format!("in {}", holder.place.region))?;
                    if number == 0 {
                        job.report.attached = attached;
                    }
                }
                Ok(())
            },
        )?;
        Ok(())
    }

    /// The build of an image that this run has built.
    fn build_run<'p>(
        &self,
        job: &Job<'p>,
        plan: &'p Plan,
        builder: &'p BuilderId,
        bases: &'p [Base],
    ) -> Option<BuildRun<'p>> {
        let build = job.image.build().filter(|_| job.report.built)?;
        // A buildx that tells what a build has read leaves nothing to look up.
        let named = || {
            let text = std::fs::read_to_string(&build.dockerfile).ok()?;
            let model = Model::parse(&text).ok()?;
            model.base(build.stage.as_deref(), &build.args)
        };
        let shown = |path: &Path| {
            let inner = path.strip_prefix(self.root).unwrap_or(path);
            let inner = inner.display().to_string();
            if inner.is_empty() {
                ".".to_owned()
            } else {
                inner
            }
        };
        Some(BuildRun {
            build,
            revision: plan.revision.as_ref()?,
            environment: &plan.place.as_ref()?.environment,
            dockerfile: shown(&build.dockerfile),
            context: shown(&build.context),
            bases,
            base: if bases.is_empty() { named() } else { None },
            builder,
        })
    }

    /// Signs every image and index, in every region, where the plan asks for it. Returns what came of the indexes.
    ///
    /// # Errors
    /// One that is not signed: no moving tag may be written then, of none.
    pub(super) fn sign(
        &self,
        destination: &Destination<'_>,
        replicas: &[Replica<'_>],
        (jobs, there): (&mut [Job<'_>], &[Published<'_>]),
        indexes: &[(&PlannedIndex, &Manifest)],
    ) -> Result<Vec<Option<Signature>>> {
        let asked = destination.plan.attest.as_ref();
        let Some(signing) = asked.and_then(|asked| asked.sign.as_ref()) else {
            return Ok(vec![None; indexes.len()]);
        };
        let mut of_indexes: Vec<Option<Signature>> = vec![None; indexes.len()];
        for holder in holders(destination, replicas) {
            let Place {
                registry, region, ..
            } = holder.place;
            let signer = Signer::open(
                signing,
                self.docker,
                registry,
                holder.repositories,
                self.terminal,
            );
            let signer = signer.with_context(|| format!("no login for {}", signing.tool))?;
            self.sign_images(&signer, signing, jobs, there)?;
            for ((index, manifest), signature) in indexes.iter().zip(&mut of_indexes) {
                let signed = signer.ensure(&index.name, &index.repository, &manifest.digest);
                let signed = signed.with_context(|| {
                    format!("the index of {} in {region} is not signed", index.name)
                })?;
                enter(signature, signing, signed);
            }
        }
        Ok(of_indexes)
    }

    /// One after the other: a tool may ask for a password.
    fn sign_images(
        &self,
        signer: &Signer<'_>,
        signing: &Signing,
        jobs: &mut [Job<'_>],
        there: &[Published<'_>],
    ) -> Result<()> {
        let turn = Mutex::new(());
        let inputs = once_each(there);
        let stopped = "no moving tag was written";
        self.stage(jobs, inputs, stopped, |job, (image, is_first)| {
            let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
            self.activity(job).phase("sign", signing.tool.name());
            let (repository, digest) = (&image.publication.repository, &image.manifest.digest);
            let signed = is_first && signer.ensure(&job.image.name, repository, digest)?;
            enter(&mut job.report.signature, signing, signed);
            Ok(())
        })?;
        Ok(())
    }
}

/// Notes what came of a signature; that of any region counts.
fn enter(signature: &mut Option<Signature>, signing: &Signing, signed: bool) {
    let before = signature.as_ref().is_none_or(|before| before.was_there);
    *signature = Some(Signature {
        tool: signing.tool,
        was_there: before && !signed,
    });
}
