//! Where blobs lie: in a folder in the OCI layout, or in a registry.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use image_proof::Layer;

use super::{Kept, read_small};
use crate::registry::{CONFIG_LIMIT, Registry};

/// An image's blobs, wherever they lie.
pub trait Blobs {
    /// The manifest or index that everything starts from.
    ///
    /// # Errors
    /// A place that has none.
    fn root(&mut self) -> Result<Vec<u8>>;

    /// Whether the root is what a reference names. A folder's or archive's table of contents is not.
    fn root_has_name(&self) -> bool {
        false
    }

    /// A manifest or config. The caller checks its digest.
    ///
    /// # Errors
    /// A blob that is missing, or too large.
    fn small(&mut self, digest: &str) -> Result<Vec<u8>>;

    /// A layer's summary. The caller compares it with the descriptor.
    ///
    /// # Errors
    /// A blob that is missing, or no layer.
    fn layer(&mut self, digest: &str) -> Result<Layer>;
}

/// A folder in the OCI image layout.
#[derive(Debug)]
pub struct Layout {
    folder: PathBuf,
}

impl Layout {
    /// A layout in this folder.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_path_buf() }
    }

    fn open(&self, digest: &str) -> Result<File> {
        let (algorithm, hex) = digest.split_once(':').unwrap_or_default();
        if algorithm.is_empty() || ![algorithm, hex].iter().all(|part| part.bytes().all(|byte| byte.is_ascii_alphanumeric())) {
            bail!("`{}` is no digest", digest.escape_debug());
        }
        let file = self.folder.join("blobs").join(algorithm).join(hex);
        File::open(&file).with_context(|| format!("failed to open `{}`", file.display()))
    }
}

impl Blobs for Layout {
    fn root(&mut self) -> Result<Vec<u8>> {
        let file = self.folder.join("index.json");
        let mut open =
            File::open(&file).with_context(|| format!("failed to open `{}`: this is no OCI layout", file.display()))?;
        read_small(&mut open)
    }

    fn small(&mut self, digest: &str) -> Result<Vec<u8>> {
        read_small(&mut self.open(digest)?)
    }

    /// Read anew each time: anybody can write into a folder.
    fn layer(&mut self, digest: &str) -> Result<Layer> {
        Ok(image_proof::read_layer(self.open(digest)?)?)
    }
}

/// An image in a registry.
pub struct Remote<'r> {
    /// The registry.
    pub registry: &'r Registry,
    /// The repository.
    pub repository: String,
    /// The tag or digest.
    pub reference: String,
    /// Summaries of layers that were read before: the digest was checked then.
    pub kept: Kept,
}

impl Blobs for Remote<'_> {
    fn root(&mut self) -> Result<Vec<u8>> {
        self.registry.manifest(&self.repository, &self.reference)
    }

    fn root_has_name(&self) -> bool {
        true
    }

    fn small(&mut self, digest: &str) -> Result<Vec<u8>> {
        // Children of an index lie with the manifests, configs with the blobs.
        let blob = self.registry.blob(&self.repository, digest, CONFIG_LIMIT);
        blob.or_else(|error| self.registry.manifest(&self.repository, digest).map_err(|_| error))
    }

    fn layer(&mut self, digest: &str) -> Result<Layer> {
        if let Some(layer) = self.kept.get(digest) {
            return Ok(layer);
        }
        let layer = image_proof::read_layer(self.registry.stream(&self.repository, digest)?)?;
        self.kept.put(&layer);
        Ok(layer)
    }
}
