//! An image of a registry whose manifest and config were read already, proven with what of its layers is on this machine: summaries of
//! those that were read before, and blobs of the content store. The registry is asked for the others only where that is wanted: an image
//! may have gigabytes.

use anyhow::{Context, Result, bail};
use image_oci::{Manifest, digest_of};
use image_proof::{Inventory, Layer, inventory};

use super::{
    Proof, Prover, allowed,
    blobs::{Blobs, Remote, Stored},
    prove_layers,
};
use crate::{arch::Arch, model::config::Foreign, registry::Registry, store::ContentStore};

/// An image whose manifest and config were read.
#[derive(Clone, Copy)]
pub struct NearImage<'i> {
    /// Where it is.
    pub registry: &'i Registry,
    /// Its repository.
    pub repository: &'i str,
    /// Its manifest.
    pub manifest: &'i Manifest,
    /// Its config.
    pub config: &'i [u8],
    /// The content store, where this project has one.
    pub store: Option<&'i ContentStore>,
    /// Whether layers that this machine does not know are read from the registry.
    pub may_read: bool,
}

impl Prover {
    /// How many bytes of layers would have to be read from the registry to prove an image, as its manifest claims.
    ///
    /// # Errors
    /// A manifest that is none.
    pub fn unknown_bytes(&self, image: &NearImage<'_>) -> Result<u64> {
        let layers = &image.manifest.document()?.layers;
        let unknown = layers
            .iter()
            .filter(|layer| !self.cache.has(&layer.digest) && !image.is_stored(&layer.digest));
        Ok(unknown.fold(0, |sum: u64, layer| sum.saturating_add(layer.size)))
    }

    /// Proves an image, and says what is installed in it.
    ///
    /// # Errors
    /// An image that cannot be read, or a damaged one; a layer that is not on this machine, unless it may be read from the registry.
    pub fn near(
        &self,
        image: &NearImage<'_>,
        arch: Option<Arch>,
        foreign: &[Foreign],
    ) -> Result<(Proof, Inventory)> {
        let mut near = Near {
            image,
            remote: Remote {
                registry: image.registry,
                repository: image.repository.to_owned(),
                reference: image.manifest.digest.clone(),
                cache: self.cache.clone(),
            },
        };
        let (proof, layers) = prove_layers(&mut near, arch, &allowed(foreign))?;
        Ok((proof, inventory(&layers)))
    }
}

impl NearImage<'_> {
    fn is_stored(&self, digest: &str) -> bool {
        let file = self.store.and_then(|store| store.file(digest).ok());
        file.is_some_and(|file| file.is_file())
    }
}

struct Near<'i> {
    image: &'i NearImage<'i>,
    remote: Remote<'i>,
}

impl Blobs for Near<'_> {
    fn root(&mut self) -> Result<Vec<u8>> {
        Ok(self.image.manifest.bytes.clone().into_bytes())
    }

    fn root_has_name(&self) -> bool {
        true
    }

    fn small(&mut self, digest: &str) -> Result<Vec<u8>> {
        if digest_of(self.image.config) == digest {
            return Ok(self.image.config.to_vec());
        }
        self.remote.small(digest)
    }

    fn layer(&mut self, digest: &str) -> Result<Layer> {
        if let Some(layer) = self.remote.cache.get(digest) {
            return Ok(layer);
        }
        let stored = self.stored(digest);
        match stored {
            Some(Ok(layer)) => Ok(layer),
            _ if self.image.may_read => self.remote.layer(digest),
            Some(Err(error)) => {
                Err(error).context("the content store has it, and it cannot be read")
            }
            None => bail!("it is not on this machine"),
        }
    }
}

impl Near<'_> {
    /// A layer of the content store, where it has it.
    fn stored(&self, digest: &str) -> Option<Result<Layer>> {
        let store = self.image.store.filter(|_| self.image.is_stored(digest))?;
        let mut stored = Stored {
            store,
            digest: String::new(),
            cache: self.remote.cache.clone(),
        };
        Some(stored.layer(digest))
    }
}
