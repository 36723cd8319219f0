//! The content store: an OCI image layout in the state directory, where builds of images that are pushed end, where they are
//! proven, and from which they are pushed. All images and runs of a checkout share it, and it has each blob once.
//!
//! A build writes to a layout of its own in `ingest/`, whose `blobs/` are those of the store: BuildKit sends the blobs that are
//! lacking, and gives each its name there once it is whole. Two clients of BuildKit must not share more than that: both would keep
//! the parts of a blob under the same name. A run that is killed leaves parts in `ingest/` alone.
//!
//! Source: the OCI image specification, "Image Layout"; `docker buildx build --output type=oci,tar=false`.

mod collect;
mod import;
mod layout;
mod single;

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use image_oci::{Manifest, is_digest};
use tempfile::TempDir;

use crate::{
    facts::state,
    hashed::Hashed,
    registry::{BlobSource, CONFIG_LIMIT, Damaged},
};

pub(crate) use collect::collect;
pub use collect::{Contents, LARGEST, LONGEST};

/// The content store of a project, open: nothing is dropped from it meanwhile.
pub struct ContentStore {
    directory: PathBuf,
    /// Shared by runs that use the store, exclusive for the one that drops what nobody needs.
    _use: File,
}

/// Where the content store of a project is.
///
/// # Errors
/// A state directory that cannot be made.
pub fn directory(root: &Path) -> Result<PathBuf> {
    Ok(state::directory(root)?.join("images"))
}

impl ContentStore {
    /// Opens the store, which is made where it is not there yet.
    ///
    /// # Errors
    /// A directory that cannot be made or locked.
    pub fn open(root: &Path) -> Result<Self> {
        let directory = directory(root)?;
        for part in ["blobs/sha256", "ingest", "recent"] {
            let part = directory.join(part);
            fs::create_dir_all(&part)
                .with_context(|| format!("failed to create `{}`", part.display()))?;
        }
        let lock = lock(&directory)?;
        lock.lock_shared()
            .with_context(|| format!("failed to lock `{}`", directory.display()))?;
        Ok(Self {
            directory,
            _use: lock,
        })
    }

    /// A directory for what is on its way into the store, gone when it is dropped.
    pub(self) fn ingest(&self) -> Result<TempDir> {
        let ingest = self.directory.join("ingest");
        tempfile::tempdir_in(&ingest)
            .with_context(|| format!("failed to make a directory in `{}`", ingest.display()))
    }

    /// A layout for one build to write to. The blobs that end there are in the store.
    ///
    /// # Errors
    /// A directory that cannot be made.
    pub fn layout(&self) -> Result<TempDir> {
        let layout = self.ingest()?;
        symlink("../../blobs", layout.path().join("blobs"))
            .context("failed to link the blobs of the content store")?;
        Ok(layout)
    }

    /// The manifest with a digest.
    ///
    /// # Errors
    /// One that is not there, or is damaged.
    pub fn manifest(&self, digest: &str) -> Result<Manifest> {
        let mut text = String::new();
        let file = self.file(digest)?;
        let opened = File::open(&file)
            .with_context(|| format!("failed to open the manifest `{}`", file.display()))?;
        opened
            .take(CONFIG_LIMIT)
            .read_to_string(&mut text)
            .with_context(|| format!("failed to read the manifest `{}`", file.display()))?;
        let manifest = Manifest::new(text, "");
        if manifest.digest != digest {
            self.discard(digest);
            bail!(
                "the manifest {digest} in `{}` is damaged: run the command again",
                self.directory.display()
            );
        }
        Ok(manifest)
    }

    /// Remembers that an image was used now: what is used is not dropped.
    pub fn remember(&self, digest: &str) {
        if let Some((_, hex)) = digest.split_once(':') {
            // A mark that is not written makes the image be dropped earlier, and fetched again.
            let _ = File::create(self.directory.join("recent").join(hex));
        }
    }

    /// Drops a blob that is damaged: the next build sends it again. One that another image has got again meanwhile stays.
    pub fn discard(&self, digest: &str) {
        let is_whole = |file: &Path| -> std::io::Result<bool> {
            let mut bytes = Hashed::new(File::open(file)?);
            std::io::copy(&mut bytes, &mut std::io::sink())?;
            Ok(bytes.finish().1 == digest)
        };
        if let Ok(file) = self.file(digest)
            && !is_whole(&file).unwrap_or_default()
        {
            let _ = fs::remove_file(file);
        }
    }

    /// The file of a blob.
    ///
    /// # Errors
    /// A digest that is none.
    pub fn file(&self, digest: &str) -> Result<PathBuf> {
        match digest.split_once(':') {
            Some((algorithm, hex)) if is_digest(digest) => {
                Ok(self.directory.join("blobs").join(algorithm).join(hex))
            }
            _ => bail!("`{}` is no digest", digest.escape_debug()),
        }
    }
}

impl BlobSource for ContentStore {
    fn open(&self, digest: &str, from: u64) -> Result<Box<dyn Read + Send>> {
        let file = self.file(digest)?;
        let mut opened = File::open(&file).map_err(|error| {
            let about = format!("failed to open the blob `{}`: {error}", file.display());
            // Another image that has it as well may have found it damaged, and dropped it.
            if error.kind() == std::io::ErrorKind::NotFound {
                let digest = digest.to_owned();
                return anyhow::Error::new(Damaged { digest }).context(about);
            }
            anyhow::Error::msg(about)
        })?;
        opened.seek(SeekFrom::Start(from))?;
        Ok(Box::new(opened))
    }
}

fn lock(directory: &Path) -> Result<File> {
    let file = directory.join("lock");
    let opened = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&file);
    opened.with_context(|| format!("failed to open `{}`", file.display()))
}
