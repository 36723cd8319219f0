//! From a tag or digest to an image that may run: found in the environment's registry, and proven from its bytes.

use anyhow::{Context as _, Result, bail};
use image_oci::{Descriptor, Manifest, Platform, is_digest};

use crate::{
    arch::Arch,
    index_check::problems,
    model::{function::Code, refusal::Refusal, suggestion::nearest, target::IndexUse},
    plan::Selected,
    proof::Prover,
    refused::Refused,
    registry::Registry,
    report::terminal::Terminal,
    session::Session,
};

/// Finds and proves images of one environment.
pub struct ImageResolver<'s> {
    terminal: &'s Terminal,
    session: &'s Session<'s>,
    registry: Registry,
    prover: Prover,
}

impl<'s> ImageResolver<'s> {
    /// Logs in to the environment's registry.
    ///
    /// # Errors
    /// ECR that gives no token.
    pub fn open(terminal: &'s Terminal, session: &'s Session<'s>) -> Result<Self> {
        let prover = Prover::of_project(&session.config.root);
        Ok(Self {
            terminal,
            session,
            registry: session.registry()?,
            prover,
        })
    }

    /// The registry, with its login.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The image that a tag (or a digest) names for an architecture: a single manifest, or that child of an index.
    ///
    /// # Errors
    /// A refusal for an image that is not there or is not for the architecture, and a registry that cannot be read.
    pub fn find(&self, selected: Selected<'_>, name: &str, arch: Arch) -> Result<Code> {
        self.find_in(&self.session.repository(selected), selected, name, arch)
    }

    /// The same in a repository of another name.
    ///
    /// # Errors
    /// As for [`ImageResolver::find`].
    pub fn find_in(
        &self,
        repository: &str,
        selected: Selected<'_>,
        name: &str,
        arch: Arch,
    ) -> Result<Code> {
        let found = self
            .manifest(repository, name)?
            .ok_or_else(|| self.missing(repository, name))?;
        let single = if found.is_image_manifest() {
            found
        } else {
            self.child(repository, name, &found, arch)?
        };
        let digest = single.digest;
        let (place, foreign) = ((repository, digest.as_str()), &selected.image.foreign);
        let proof = self
            .prover
            .in_registry(&self.registry, place, Some(arch), foreign);
        let proof = proof.with_context(|| format!("failed to prove `{repository}@{digest}`"))?;
        proof
            .require()
            .with_context(|| format!("`{repository}@{digest}` ({name}) is not deployed"))?;
        self.terminal.status(
            "Proven",
            &format!("{}: {}", selected.name(), proof.verdict.summary()),
        );
        let image = format!("{}/{repository}@{digest}", self.session.place.registry);
        Ok(Code {
            image,
            digest,
            arch,
        })
    }

    /// What a workload is to run of a tag or digest, and the CPUs that it can run on. Kubernetes takes an image index as it
    /// is, and each node its own image of it; the others get one image by its digest.
    ///
    /// # Errors
    /// As for [`ImageResolver::find`], for each image of an index.
    pub fn choose(
        &self,
        selected: Selected<'_>,
        name: &str,
        arch: Arch,
    ) -> Result<(Code, Vec<Arch>)> {
        let repository = self.session.repository(selected);
        let list = match selected.image.target.index_use() {
            IndexUse::Whole => self
                .manifest(&repository, name)?
                .filter(Manifest::is_image_index),
            IndexUse::Refused | IndexUse::OneImage => None,
        };
        let Some(list) = list else {
            return Ok((self.find(selected, name, arch)?, vec![arch]));
        };
        let archs = self.prove_index(selected, &repository, &list)?;
        if !archs.contains(&arch) {
            bail!(
                "`{repository}:{name}` is an image index without one for {}",
                arch.platform()
            );
        }
        let image = format!(
            "{}/{repository}@{}",
            self.session.place.registry, list.digest
        );
        Ok((
            Code {
                image,
                digest: list.digest,
                arch,
            },
            archs,
        ))
    }

    /// Proves an image for a CPU, or every image of an index. Returns the CPUs that there are images for.
    ///
    /// # Errors
    /// As for [`ImageResolver::find`], and a refusal for each thing that an index says and is not so.
    pub fn prove(
        &self,
        selected: Selected<'_>,
        repository: &str,
        manifest: &Manifest,
        arch: Arch,
    ) -> Result<Vec<Arch>> {
        if manifest.is_image_index() {
            return self.prove_index(selected, repository, manifest);
        }
        self.find_in(repository, selected, &manifest.digest, arch)?;
        Ok(vec![arch])
    }

    fn prove_index(
        &self,
        selected: Selected<'_>,
        repository: &str,
        list: &Manifest,
    ) -> Result<Vec<Arch>> {
        let refused = |problem: String| {
            let place = format!(
                "{}/{repository}@{}",
                self.session.place.registry, list.digest
            );
            Refusal::new(
                problem,
                format!("push it again, or see all of it: cargo xtask manifest inspect {place}"),
            )
        };
        let problems = problems(&self.registry, repository, list)?;
        if !problems.is_empty() {
            let named =
                |problem: String| refused(format!("the index of {}: {problem}", selected.name()));
            return Err(Refused(problems.into_iter().map(named).collect()).into());
        }
        let mut archs = Vec::new();
        for child in list.children()? {
            let platform = child
                .platform
                .as_ref()
                .context("an entry of the index has no platform")?;
            if platform.is_unknown() {
                continue;
            }
            let arch = platform.provable().ok_or_else(|| {
                Refused::from(refused(format!(
                    "the index of {} has an image for {platform}, which cannot be proven",
                    selected.name()
                )))
            })?;
            self.find_in(repository, selected, &child.digest, arch)?;
            archs.push(arch);
        }
        Ok(archs)
    }

    /// The manifest that a tag or digest names.
    ///
    /// # Errors
    /// A registry that cannot be read.
    pub fn manifest(&self, repository: &str, name: &str) -> Result<Option<Manifest>> {
        self.session.manifest(repository, name)
    }

    fn missing(&self, repository: &str, name: &str) -> Refused {
        let environment = &self.session.environment.name;
        let problem = format!(
            "`{repository}` of `{environment}` has no image `{}`",
            name.escape_debug()
        );
        let cure = self.near(repository, name).map_or_else(
            || format!("push it first: cargo xtask push {environment}, or cargo xtask deploy {environment}"),
            |tag| format!("did you mean `{tag}`?"),
        );
        Refusal::new(problem, cure).into()
    }

    /// The tag that was most likely meant by one that is not there. One of the environment's own is no mistake: it was not pushed yet.
    fn near(&self, repository: &str, name: &str) -> Option<String> {
        if name.ends_with("-latest") || is_digest(name) {
            return None;
        }
        let images = self.session.repositories().images(repository).ok()?;
        let tags = images.iter().flat_map(|image| &image.tags);
        nearest(name, tags.map(String::as_str)).map(str::to_owned)
    }

    fn child(
        &self,
        repository: &str,
        name: &str,
        index: &Manifest,
        arch: Arch,
    ) -> Result<Manifest> {
        let arch_of = |child: &Descriptor| child.platform.as_ref().and_then(Platform::provable);
        let children = index
            .children()?
            .iter()
            .filter(|child| arch_of(child) == Some(arch));
        let [child] = children.collect::<Vec<_>>()[..] else {
            bail!(
                "`{repository}:{name}` is an image index without exactly one for {}",
                arch.platform()
            );
        };
        let text = format!(
            "`{name}` is an image index: its image for {} is taken, {}",
            arch.platform(),
            child.digest
        );
        self.terminal.note(&text);
        let found = self
            .session
            .repositories()
            .manifest(repository, &child.digest)?;
        found.with_context(|| {
            format!(
                "`{repository}:{name}` lists {}, which is not there",
                child.digest
            )
        })
    }
}
