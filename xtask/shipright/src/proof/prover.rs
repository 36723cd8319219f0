//! The one way from an image, wherever it lies, to its proof.

use std::{fs::File, path::Path};

use anyhow::{Context, Result};

use super::{Archive, LayerCache, Layout, Proof, Remote, Stored, allowed, prove};
use crate::{
    arch::Arch, docker::Docker, model::config::Foreign, registry::Registry, store::ContentStore,
};

/// Proves images.
#[derive(Debug, Clone)]
pub struct Prover {
    pub(super) cache: LayerCache,
}

impl Prover {
    /// Proves with what is known of layers that this project has proven before.
    pub fn of_project(root: &Path) -> Self {
        Self {
            cache: LayerCache::of_project(root),
        }
    }

    /// Proves from the bytes alone.
    pub fn without_memory() -> Self {
        Self {
            cache: LayerCache::nothing(),
        }
    }

    /// Proves an image of the content store.
    ///
    /// # Errors
    /// An image that cannot be read, or a damaged one, with [`Damaged`](crate::registry::Damaged) where a blob is not what its
    /// digest says.
    pub fn in_store(
        &self,
        store: &ContentStore,
        digest: &str,
        arch: Option<Arch>,
        foreign: &[Foreign],
    ) -> Result<Proof> {
        let digest = digest.to_owned();
        let cache = self.cache.clone();
        let mut stored = Stored {
            store,
            digest,
            cache,
        };
        prove(&mut stored, arch, &allowed(foreign))
    }

    /// Proves an image of the local engine, as `docker save` hands it out.
    ///
    /// # Errors
    /// An image that the engine does not have, or a damaged one.
    pub fn in_engine(
        &self,
        docker: &Docker,
        name: &str,
        arch: Option<Arch>,
        foreign: &[Foreign],
    ) -> Result<Proof> {
        let archive = docker.save(name, |stream| Archive::read(stream, &self.cache))?;
        archive
            .prove(arch, &allowed(foreign))
            .with_context(|| format!("failed to prove `{name}`"))
    }

    /// Proves what a tag or digest of a repository names.
    ///
    /// # Errors
    /// An image that is not there or cannot be read, or a damaged one.
    pub fn in_registry(
        &self,
        registry: &Registry,
        (repository, reference): (&str, &str),
        arch: Option<Arch>,
        foreign: &[Foreign],
    ) -> Result<Proof> {
        let (repository, reference) = (repository.to_owned(), reference.to_owned());
        let mut remote = Remote {
            registry,
            repository,
            reference,
            cache: self.cache.clone(),
        };
        prove(&mut remote, arch, &allowed(foreign))
    }

    /// Proves an OCI image layout.
    ///
    /// # Errors
    /// A layout that cannot be read, or a damaged one.
    pub fn in_layout(directory: &Path, arch: Option<Arch>) -> Result<Proof> {
        prove(&mut Layout::new(directory), arch, &[])
    }

    /// Proves an archive, as `docker save` makes them. Names in an archive from elsewhere may lie: everything is read.
    ///
    /// # Errors
    /// An archive that cannot be read, or a damaged one.
    pub fn in_archive(file: &Path, arch: Option<Arch>) -> Result<Proof> {
        let shown = file.display();
        let opened = File::open(file).with_context(|| format!("failed to open `{shown}`"))?;
        let archive = Archive::read(opened, &LayerCache::nothing())
            .with_context(|| format!("failed to read `{shown}`"))?;
        archive
            .prove(arch, &[])
            .with_context(|| format!("failed to prove `{shown}`"))
    }
}
