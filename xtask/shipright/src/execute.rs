//! Walks a plan: build all, prove all, push all, tag all, confirm all.
//!
//! Architecture Invariant: no decision is taken here. The stages are batches: a build or proof that fails leaves AWS
//! untouched, a push or check that fails leaves every tag untouched, and moving tags are written after all others.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use anyhow::{Context, Result, anyhow, bail};
use image_oci::{Manifest, Platform};

use crate::{
    aws::Aws,
    docker::{Built, Docker, Others, Session},
    model::{label, place::Place, published::Found, tags::TagKind},
    plan::{
        Build, MOVABLE_TAGS, Plan, PlannedImage, PlannedIndex, PlannedTag, Publication, Source, TagAction,
        index::{Child, assemble},
    },
    proof::{self, Kept, Proof, Remote},
    registry::Registry,
    report::{
        result::{ImageReport, IndexReport, Report},
        terminal::Terminal,
    },
};

/// What a plan is carried out with.
pub struct Hands<'a> {
    /// Docker.
    pub docker: &'a Docker,
    /// AWS, for plans that have a place there.
    pub aws: Option<&'a Aws>,
    /// Where people watch.
    pub terminal: &'a Terminal,
    /// Summaries of layers that were read before.
    pub kept: &'a Kept,
    /// How many images are worked on at a time.
    pub jobs: usize,
}

/// One image on its way.
struct Work<'p> {
    image: &'p PlannedImage,
    built: Option<Built>,
    proof: Option<Proof>,
    manifest: Option<Manifest>,
    found: Option<Found>,
    tagged: BTreeMap<String, String>,
    list: Option<String>,
    changed: bool,
    error: Option<anyhow::Error>,
}

/// Carries out a plan. What failed is in the report.
pub fn execute(plan: &Plan, hands: &Hands<'_>) -> Report {
    let mut work: Vec<Work<'_>> = plan.images.iter().map(Work::new).collect();
    let mut lists = Vec::new();
    if let Err(error) = hands.carry_out(plan, &mut work, &mut lists) {
        let message = format!("{error:#}");
        if work.iter().any(|work| work.error.is_none()) {
            hands.terminal.error(&message);
        }
        work.iter_mut().filter(|work| work.error.is_none()).for_each(|work| work.error = Some(anyhow!("{message}")));
    }
    // What was pushed, or was to be, needs no name here any more.
    let pushed =
        work.iter().filter(|work| work.image.publication.is_some()).filter_map(Work::build).flat_map(|build| &build.names);
    pushed.for_each(|name| hands.docker.forget(name));
    Report { place: plan.place.clone(), images: work.into_iter().map(Work::report).collect(), image_indexes: lists }
}

impl<'p> Work<'p> {
    fn new(image: &'p PlannedImage) -> Self {
        Self {
            image,
            built: None,
            proof: None,
            manifest: None,
            found: None,
            tagged: BTreeMap::new(),
            list: None,
            changed: false,
            error: None,
        }
    }

    fn build(&self) -> Option<&'p Build> {
        self.image.build()
    }

    fn publication(&self) -> Result<&'p Publication> {
        self.image.publication.as_ref().context("the plan does not say where this image goes")
    }

    fn manifest(&self) -> Result<&Manifest> {
        self.manifest.as_ref().context("the image has not been read back")
    }

    /// Reads the image back from the registry and compares it with the plan: what was asked for is not evidence.
    fn read_back(&mut self, plan: &Plan, registry: &Registry, aws: &Aws) -> Result<()> {
        let image = self.image;
        let publication = self.publication()?;
        let repository = &publication.repository;
        let manifest = match &image.source {
            Source::Existing { digest } => aws.reader().manifest(repository, digest)?,
            Source::Build(_) => {
                let tag = publication.pushed_tag.clone();
                let digest = aws.reader().manifests(repository, std::slice::from_ref(&tag))?.remove(&tag).map(|m| m.digest);
                digest.map(|digest| aws.reader().manifest(repository, &digest)).transpose()?.flatten()
            }
        };
        let manifest = manifest.with_context(|| format!("the image is not in `{repository}` after the push"))?;
        if !manifest.is_image_manifest() {
            bail!(
                "the registry has a `{}` instead of a single image: Lambda refuses it; \
                 check the builder's attestation settings (`docker buildx inspect`)",
                manifest.media_type
            );
        }
        let config_digest = &manifest.config()?.digest;
        if let Some(built) =
            self.built.as_ref().filter(|built| built.digest.is_some() && !built.is(&manifest.digest, config_digest))
        {
            bail!("the registry has {}, but the build made {}", manifest.digest, built.digest.as_deref().unwrap_or("no digest"));
        }
        let found = Found::of(&manifest, &registry.config(repository, &manifest)?)?;
        if found.arch != Some(image.arch) {
            bail!(
                "the image says that it is for `{}`, and {} was asked for: check `FROM --platform` in the Dockerfile's last stage",
                found.platform,
                image.arch.platform()
            );
        }
        let commit = plan.revision.as_ref().map(|revision| revision.commit.as_str()).unwrap_or_default();
        let labelled = found.labels.get(label::REVISION).map(String::as_str).unwrap_or_default();
        if labelled.trim_end_matches("-dirty") != commit {
            bail!("the image's label `{}` is `{labelled}`, not `{commit}`", label::REVISION);
        }
        self.manifest = Some(manifest);
        self.found = Some(found);
        Ok(())
    }

    fn report(self) -> ImageReport {
        let local = self.build().map(|build| build.names.clone()).unwrap_or_default();
        let published = self.image.publication.is_some();
        ImageReport {
            name: self.image.name.clone(),
            service: self.image.service.clone(),
            target: self.image.target,
            arch: self.image.arch,
            built: self.built.is_some(),
            changed: self.changed,
            digest: self.manifest.as_ref().map(|manifest| manifest.digest.clone()),
            media_type: self.found.as_ref().map(|found| found.media_type.clone()),
            platform: self.found.as_ref().map(|found| found.platform.clone()),
            repository: self.image.publication.as_ref().map(|publication| publication.repository.clone()),
            tags: self.tagged,
            image_index: self.list,
            proof: self.proof,
            local_names: if published { Vec::new() } else { local },
            error: self.error.map(|error| format!("{error:#}")),
        }
    }
}

impl Hands<'_> {
    /// Does one step for every image that has not failed yet, some at a time.
    fn stage<'p>(&self, work: &mut [Work<'p>], step: impl Fn(&Self, &mut Work<'p>) -> Result<()> + Sync) {
        let slots: Vec<_> = work.iter_mut().filter(|work| work.error.is_none()).map(std::sync::Mutex::new).collect();
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..self.jobs.clamp(1, slots.len().max(1)) {
                scope.spawn(|| {
                    while let Some(slot) = slots.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let Ok(mut work) = slot.lock() else { continue };
                        if let Err(error) = step(self, &mut work) {
                            self.terminal.failed(&work.image.name, &error);
                            work.error = Some(error);
                        }
                    }
                });
            }
        });
    }

    fn carry_out(&self, plan: &Plan, work: &mut [Work<'_>], lists: &mut Vec<IndexReport>) -> Result<()> {
        let published = plan.place.as_ref().zip(self.aws);
        let early = published.filter(|_| plan.needs_login_to_build());
        let session =
            early.map(|(place, aws)| Session::open(self.docker, &place.registry, aws.reader(), Others::Kept)).transpose()?;
        self.stage(work, |hands, work| hands.build(session.as_ref(), work));
        drop(session);
        self.stage(work, |hands, work| hands.prove(work));
        published.map_or(Ok(()), |(place, aws)| self.publish(plan, place, aws, work, lists))
    }

    fn build(&self, session: Option<&Session<'_>>, work: &mut Work<'_>) -> Result<()> {
        let image = work.image;
        let Some(build) = work.build() else {
            self.terminal.status("Unchanged", &format!("{} is in the registry: not built again", image.name));
            return Ok(());
        };
        let how = build.how.map_or_else(String::new, |how| format!(", {}", how.words()));
        self.terminal.status("Building", &format!("{} for {}{how}", image.name, image.arch.platform()));
        let built = self.docker.build(build, session, |line| self.terminal.output(&image.name, line))?;
        if let Some(error) = &built.cache_error {
            self.terminal.warning(&format!(
                "{}: the build's cache was not written, so the next machine starts without: {error}",
                image.name
            ));
        }
        work.built = Some(built);
        Ok(())
    }

    /// Reads every byte of a fresh image before it leaves this machine. One that stays here may be whatever it likes.
    fn prove(&self, work: &mut Work<'_>) -> Result<()> {
        if work.image.publication.is_none() {
            return Ok(());
        }
        let Some(name) = work.build().and_then(|build| build.names.first()) else { return Ok(()) };
        self.terminal.status("Proving", &work.image.name);
        let proof = self.docker.prove(name, Some(work.image.arch), &proof::allowed(&work.image.foreign), self.kept)?;
        proof.require()?;
        self.proven(work, proof);
        Ok(())
    }

    fn proven(&self, work: &mut Work<'_>, proof: Proof) {
        self.terminal.status("Proven", &format!("{}: {}", work.image.name, proof.verdict.summary()));
        for note in &proof.verdict.notes {
            self.terminal.note(&format!("{}: {note}", work.image.name));
        }
        work.proof = Some(proof);
    }

    /// An image that was in the registry before this run is proven from there; what was read before is not read again.
    fn prove_in_registry(&self, registry: &Registry, work: &mut Work<'_>) -> Result<()> {
        let repository = work.publication()?.repository.clone();
        if work.proof.is_none() {
            let reference = work.manifest()?.digest.clone();
            let mut remote = Remote { registry, repository, reference, kept: self.kept.clone() };
            let proof = proof::prove(&mut remote, Some(work.image.arch), &proof::allowed(&work.image.foreign))?;
            proof.require()?;
            self.proven(work, proof);
        }
        let (proof, manifest) = (work.proof.as_ref().context("the image was not proven")?, work.manifest()?);
        let config = &manifest.config()?.digest;
        if proof.config_digest != *config {
            bail!("the registry has an image with config {config}, but the proof is of {}", proof.config_digest);
        }
        Ok(())
    }

    fn publish(&self, plan: &Plan, place: &Place, aws: &Aws, work: &mut [Work<'_>], lists: &mut Vec<IndexReport>) -> Result<()> {
        let failed = |work: &[Work<'_>]| work.iter().filter(|work| work.error.is_some()).count();
        if failed(work) > 0 {
            bail!("nothing was pushed, because another image failed");
        }
        for name in &plan.create_repositories {
            self.terminal.status("Creating", &format!("repository {name}"));
            aws.writer().create_repository(name, &MOVABLE_TAGS)?;
        }
        if work.iter().any(|work| work.build().is_some()) {
            let session = Session::open(self.docker, &place.registry, aws.reader(), Others::LeftOut)?;
            self.stage(work, |hands, work| hands.push(&session, work));
        }
        let login = aws.reader().login()?;
        let registry = Registry::new(&place.registry, Some(&login));
        self.stage(work, |_, work| work.read_back(plan, &registry, aws));
        self.stage(work, |hands, work| hands.prove_in_registry(&registry, work));
        if failed(work) > 0 {
            bail!("no tag was moved, because another image failed");
        }
        self.stage(work, |hands, work| hands.tag(aws, work, |kind| kind != TagKind::Moving));
        if failed(work) > 0 {
            bail!("no moving tag was written, because another image failed");
        }
        let made = plan
            .indexes
            .iter()
            .map(|index| {
                self.list(index, &registry, aws, work).with_context(|| format!("the index of {} was not made", index.name))
            })
            .collect::<Result<Vec<_>>>()?;
        let both = || plan.indexes.iter().zip(&made);
        let mut changed = Vec::new();
        for (index, manifest) in both() {
            changed.push(self.tag_index(index, manifest, aws, |kind| kind != TagKind::Moving)?);
        }
        self.stage(work, |hands, work| hands.tag(aws, work, |kind| kind == TagKind::Moving));
        for ((index, manifest), changed) in both().zip(&mut changed) {
            *changed |= self.tag_index(index, manifest, aws, |kind| kind == TagKind::Moving)?;
        }
        self.stage(work, |hands, work| hands.confirm(aws, work));
        for ((index, manifest), changed) in both().zip(changed) {
            lists.push(IndexReport { changed, ..self.confirm_index(index, manifest, aws, work)? });
        }
        Ok(())
    }

    /// Makes an image index of images that were proven and read back, and stores it beside them.
    fn list(&self, index: &PlannedIndex, registry: &Registry, aws: &Aws, work: &[Work<'_>]) -> Result<Manifest> {
        let mut children = Vec::new();
        for place in &index.images {
            let work = work.get(*place).context("the plan lists an image that it does not have")?;
            let manifest = work.manifest()?.clone();
            let platform = Platform::of_config(&registry.config(&index.repository, &manifest)?)?;
            children.push(Child { name: work.image.name.clone(), manifest, platform });
        }
        let manifest = assemble(&children).map_err(|refusals| {
            anyhow!("{}", refusals.iter().map(|refusal| refusal.problem.as_str()).collect::<Vec<_>>().join("; "))
        })?;
        // Before anything of the index is written: what this commit's plain tags name may be a single image, that stays.
        let lasting: Vec<_> = index.tags.iter().filter(|tag| tag.kind != TagKind::Moving).map(|tag| tag.name.clone()).collect();
        let current = aws.reader().manifests(&index.repository, &lasting)?;
        let repository = aws.reader().repository(&index.repository)?;
        let is_stuck = |name: &&String| {
            current.get(*name).is_some_and(|known| known.digest != manifest.digest)
                && repository.as_ref().is_some_and(|repository| !repository.mutability.can_move(name))
        };
        if let Some(stuck) = lasting.iter().find(is_stuck) {
            bail!("tag `{stuck}` names another image of this commit, and may not move: commit again, or push without the index");
        }
        if aws.reader().manifest(&index.repository, &manifest.digest)?.is_none() {
            self.terminal.status("Listing", &format!("{}: {} images, {}", index.name, children.len(), manifest.digest));
            registry.put_manifest(&index.repository, &manifest.digest, &manifest.media_type, manifest.bytes.as_bytes())?;
        }
        Ok(manifest)
    }

    /// Whether there was a tag to write.
    fn tag_index(&self, index: &PlannedIndex, manifest: &Manifest, aws: &Aws, stage: impl Fn(TagKind) -> bool) -> Result<bool> {
        let names: Vec<_> = index.tags.iter().filter(|tag| stage(tag.kind)).map(|tag| tag.name.clone()).collect();
        let current = aws.reader().manifests(&index.repository, &names)?;
        let mut changed = false;
        for name in names {
            if current.get(&name).is_some_and(|known| known.digest == manifest.digest) {
                continue;
            }
            changed = true;
            self.terminal.status("Tagging", &format!("{}:{name}", index.repository));
            aws.writer().tag(&index.repository, manifest, &name)?;
        }
        Ok(changed)
    }

    fn confirm_index(&self, index: &PlannedIndex, manifest: &Manifest, aws: &Aws, work: &mut [Work<'_>]) -> Result<IndexReport> {
        let names: Vec<_> = index.tags.iter().map(|tag| tag.name.clone()).collect();
        let current = aws.reader().manifests(&index.repository, &names)?;
        let wrong: Vec<_> =
            names.iter().filter(|name| current.get(*name).is_none_or(|known| known.digest != manifest.digest)).cloned().collect();
        if !wrong.is_empty() {
            bail!(
                "tags do not name the index {}, perhaps because another push ran at the same time: {}",
                manifest.digest,
                wrong.join(", ")
            );
        }
        for place in &index.images {
            if let Some(work) = work.get_mut(*place) {
                work.list = Some(manifest.digest.clone());
            }
        }
        self.terminal.status("Checked", &format!("{}: {} tags name the index {}", index.name, names.len(), manifest.digest));
        let (name, repository, digest) = (index.name.clone(), index.repository.clone(), manifest.digest.clone());
        Ok(IndexReport { name, repository, digest, tags: names, changed: false })
    }

    fn push(&self, session: &Session<'_>, work: &mut Work<'_>) -> Result<()> {
        let Some(build) = work.build() else { return Ok(()) };
        for name in &build.names {
            self.terminal.status("Pushing", name);
            self.docker.push(session, name, |line| self.terminal.output(&work.image.name, line))?;
        }
        work.changed = true;
        Ok(())
    }

    fn tag(&self, aws: &Aws, work: &mut Work<'_>, stage: impl Fn(TagKind) -> bool) -> Result<()> {
        let publication = work.publication()?;
        for tag in publication.tags.iter().filter(|tag| stage(tag.kind)) {
            match tag.action {
                TagAction::Write => {
                    self.terminal.status("Tagging", &format!("{}:{}", publication.repository, tag.name));
                    aws.writer().tag(&publication.repository, work.manifest()?, &tag.name)?;
                    work.changed = true;
                }
                TagAction::Push | TagAction::Present => {}
                TagAction::Kept => self
                    .terminal
                    .note(&format!("`{}` stays on an earlier image: the repository lets only other tags move", tag.name)),
            }
        }
        Ok(())
    }

    /// Reads every tag once more. Another run may have written a moving tag since, and then this one must not say that
    /// the environment has its image.
    fn confirm(&self, aws: &Aws, work: &mut Work<'_>) -> Result<()> {
        let publication = work.publication()?;
        let expected = |tag: &&PlannedTag| tag.action != TagAction::Kept;
        let names: Vec<_> = publication.tags.iter().filter(expected).map(|tag| tag.name.clone()).collect();
        let current = aws.reader().manifests(&publication.repository, &names)?;
        let digest = work.manifest()?.digest.clone();
        let mut wrong = Vec::new();
        for name in names {
            match current.get(&name) {
                Some(manifest) if manifest.digest == digest => {
                    work.tagged.insert(name, digest.clone());
                }
                Some(manifest) => wrong.push(format!("`{name}` is {}", manifest.digest)),
                None => wrong.push(format!("`{name}` is missing")),
            }
        }
        if !wrong.is_empty() {
            bail!("tags do not name {digest}, perhaps because another push ran at the same time: {}", wrong.join(", "));
        }
        self.terminal.status(
            "Checked",
            &format!("{}: {} tags name {digest}, {}", work.image.name, work.tagged.len(), work.image.arch.platform()),
        );
        Ok(())
    }
}
