//! An image that is to run somewhere: found by its tag or digest, read from the registry, and proven from its bytes.

use anyhow::{Context as _, Result, bail};
use image_proof::Manifest as Parsed;

use super::{Context, Refused, reach::Reached};
use crate::{
    arch::Arch,
    facts::{function::Code, host, published::Manifest},
    policy::plan::{Refusal, Selected},
    proof::{self, Kept, Remote},
    registry::Registry,
};

/// Finds and proves images of one environment.
pub struct Finder<'c> {
    context: &'c Context,
    reached: &'c Reached,
    registry: Registry,
    kept: Kept,
}

impl<'c> Finder<'c> {
    /// Logs in to the environment's registry.
    ///
    /// # Errors
    /// ECR that gives no token.
    pub fn open(context: &'c Context, reached: &'c Reached) -> Result<Self> {
        let kept = Kept::below(&host::target_folder(&reached.config.root));
        Ok(Self { context, reached, registry: reached.registry()?, kept })
    }

    /// The image that a tag (or a digest) names for an architecture: a single manifest, or that child of an index.
    ///
    /// # Errors
    /// A refusal for an image that is not there or is not for the architecture, and a registry that cannot be read.
    pub fn find(&self, selected: Selected<'_>, name: &str, arch: Arch) -> Result<Code> {
        self.find_in(&self.reached.repository(selected), selected, name, arch)
    }

    /// The same in a repository of another name.
    ///
    /// # Errors
    /// As for [`Finder::find`].
    pub fn find_in(&self, repository: &str, selected: Selected<'_>, name: &str, arch: Arch) -> Result<Code> {
        let repository = repository.to_owned();
        let manifest = self.manifest(&repository, name)?.ok_or_else(|| self.missing(&repository, name))?;
        let single = if manifest.is_single() { manifest } else { self.child(&repository, name, &manifest, arch)? };
        let digest = single.digest.clone();
        let reference = digest.clone();
        let mut remote = Remote { registry: &self.registry, repository: repository.clone(), reference, kept: self.kept.clone() };
        let proof = proof::prove(&mut remote, Some(arch), &proof::allowed(&selected.image.foreign))
            .with_context(|| format!("failed to prove `{repository}@{digest}`"))?;
        proof.require().with_context(|| format!("`{repository}@{digest}` ({name}) is not deployed"))?;
        self.context.terminal.status("Proven", &format!("{}: {}", selected.name(), proof.verdict.summary()));
        let image = format!("{}/{repository}@{digest}", self.reached.place.registry);
        Ok(Code { image, digest, arch })
    }

    /// The manifest that a tag or digest names.
    ///
    /// # Errors
    /// A registry that cannot be read.
    pub fn manifest(&self, repository: &str, name: &str) -> Result<Option<Manifest>> {
        let reader = self.reached.aws.reader();
        if reader.repository(repository)?.is_none() {
            return Ok(None);
        }
        if name.starts_with("sha256:") {
            return reader.manifest(repository, name);
        }
        Ok(reader.manifests(repository, &[name.to_owned()])?.remove(name))
    }

    fn missing(&self, repository: &str, name: &str) -> Refused {
        let environment = &self.reached.environment.name;
        let problem = format!("`{repository}` of `{environment}` has no image `{}`", name.escape_debug());
        Refusal::new(problem, format!("push it first: cargo xtask push {environment}, or cargo xtask deploy {environment}"))
            .into()
    }

    fn child(&self, repository: &str, name: &str, index: &Manifest, arch: Arch) -> Result<Manifest> {
        let parsed = Parsed::parse(index.bytes.as_bytes())?;
        let is_wanted = |platform: &image_proof::Platform| platform.os == "linux" && platform.architecture == arch.oci();
        let children = parsed.manifests.iter().filter(|child| child.platform.as_ref().is_some_and(is_wanted));
        let [child] = children.collect::<Vec<_>>()[..] else {
            bail!("`{repository}:{name}` is a list of images without exactly one for {}", arch.platform());
        };
        let text = format!("`{name}` is a list of images: its image for {} is deployed, {}", arch.platform(), child.digest);
        self.context.terminal.note(&text);
        let found = self.reached.aws.reader().manifest(repository, &child.digest)?;
        found.with_context(|| format!("`{repository}:{name}` lists {}, which is not there", child.digest))
    }
}
