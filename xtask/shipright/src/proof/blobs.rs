//! Where blobs lie: in a directory in the OCI layout, or in a registry.

use std::{
    fs::File,
    io::{ErrorKind, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context, Error, Result, bail};
use image_oci::digest_of;
use image_proof::Layer;

use super::{LayerCache, read_small};
use crate::{
    hashed::Hashed,
    registry::{BlobSource as _, CONFIG_LIMIT, Damaged, NoAnswer, Registry},
    store::ContentStore,
};

/// An image's blobs, wherever they lie.
pub(super) trait Blobs {
    /// The manifest or index that everything starts from.
    ///
    /// # Errors
    /// A place that has none.
    fn root(&mut self) -> Result<Vec<u8>>;

    /// Whether the root is what a reference names. A directory's or archive's table of contents is not.
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

/// A directory in the OCI image layout.
#[derive(Debug)]
pub(super) struct Layout {
    directory: PathBuf,
}

impl Layout {
    /// A layout in this directory.
    pub(super) fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_path_buf(),
        }
    }

    fn open(&self, digest: &str) -> Result<File> {
        let (algorithm, hex) = digest.split_once(':').unwrap_or_default();
        if algorithm.is_empty()
            || ![algorithm, hex]
                .iter()
                .all(|part| part.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        {
            bail!("`{}` is no digest", digest.escape_debug());
        }
        let file = self.directory.join("blobs").join(algorithm).join(hex);
        File::open(&file).with_context(|| format!("failed to open `{}`", file.display()))
    }
}

impl Blobs for Layout {
    fn root(&mut self) -> Result<Vec<u8>> {
        let file = self.directory.join("index.json");
        let mut open = File::open(&file).with_context(|| {
            format!("failed to open `{}`: this is no OCI layout", file.display())
        })?;
        read_small(&mut open)
    }

    fn small(&mut self, digest: &str) -> Result<Vec<u8>> {
        read_small(&mut self.open(digest)?)
    }

    /// Read anew each time: anybody can write into a directory.
    fn layer(&mut self, digest: &str) -> Result<Layer> {
        Ok(image_proof::read_layer(self.open(digest)?)?)
    }
}

/// An image in the content store.
pub(super) struct Stored<'s> {
    /// The store.
    pub store: &'s ContentStore,
    /// The digest of its manifest.
    pub digest: String,
    /// Summaries of layers that were read before: the digest was checked then.
    pub cache: LayerCache,
}

impl Stored<'_> {
    /// Reads a layer. One whose bytes are not what its digest says is told apart from one that is no archive.
    fn read(&self, digest: &str) -> Result<Layer> {
        let read = image_proof::read_layer(self.store.open(digest, 0)?);
        if read.as_ref().is_ok_and(|layer| layer.digest == digest) {
            return Ok(read?);
        }
        let mut whole = Hashed::new(self.store.open(digest, 0)?);
        std::io::copy(&mut whole, &mut std::io::sink())?;
        let (_, found, _) = whole.finish();
        if found == digest {
            return Ok(read?);
        }
        let digest = digest.to_owned();
        let about = format!("its bytes have the digest {found}");
        Err(Error::new(Damaged { digest }).context(about))
    }
}

impl Blobs for Stored<'_> {
    fn root(&mut self) -> Result<Vec<u8>> {
        Ok(self.store.manifest(&self.digest)?.bytes.into_bytes())
    }

    fn root_has_name(&self) -> bool {
        true
    }

    fn small(&mut self, digest: &str) -> Result<Vec<u8>> {
        let bytes = read_small(&mut self.store.open(digest, 0)?)?;
        let found = digest_of(&bytes);
        if found != digest {
            let digest = digest.to_owned();
            let about = format!("its bytes have the digest {found}");
            return Err(Error::new(Damaged { digest }).context(about));
        }
        Ok(bytes)
    }

    fn layer(&mut self, digest: &str) -> Result<Layer> {
        if let Some(layer) = self.cache.get(digest) {
            // It was read when it arrived. That it is still there is all that is asked.
            let there = self.store.file(digest)?.metadata();
            return if there.is_ok_and(|there| there.len() == layer.size) {
                Ok(layer)
            } else {
                let digest = digest.to_owned();
                Err(Error::new(Damaged { digest }).context("it has another size"))
            };
        }
        let layer = self.read(digest)?;
        self.cache.put(&layer);
        Ok(layer)
    }
}

/// An image in a registry.
pub(super) struct Remote<'r> {
    /// The registry.
    pub registry: &'r Registry,
    /// The repository.
    pub repository: String,
    /// The tag or digest.
    pub reference: String,
    /// Summaries of layers that were read before: the digest was checked then.
    pub cache: LayerCache,
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
        blob.or_else(|error| {
            self.registry
                .manifest(&self.repository, digest)
                .map_err(|_| error)
        })
    }

    fn layer(&mut self, digest: &str) -> Result<Layer> {
        if let Some(layer) = self.cache.get(digest) {
            return Ok(layer);
        }
        let mut attempt = 1;
        loop {
            let mut stream = Watched {
                inner: self.registry.stream(&self.repository, digest)?,
                broken: None,
            };
            let read = image_proof::read_layer(&mut stream);
            match (read, stream.broken) {
                (Ok(layer), _) => {
                    self.cache.put(&layer);
                    return Ok(layer);
                }
                (Err(_), Some(_)) if attempt < ATTEMPTS => attempt += 1,
                (Err(_), Some(broken)) => {
                    let about = format!("the connection broke off {ATTEMPTS} times");
                    return Err(Error::new(broken).context(NoAnswer).context(about));
                }
                (Err(error), None) => return Err(error.into()),
            }
        }
    }
}

/// How often a layer is asked for whose connection breaks off.
const ATTEMPTS: usize = 3;

/// A stream that remembers how it broke off: what is read of it then says nothing about the layer.
struct Watched<R> {
    inner: R,
    broken: Option<std::io::Error>,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.inner.read(buffer).map_err(|error| {
            let kind = error.kind();
            if kind != ErrorKind::Interrupted {
                self.broken = Some(error);
            }
            kind.into()
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader, Write},
        net::TcpListener,
    };

    use super::*;

    /// A registry with one layer, that breaks off so many times.
    fn registry(layer: Vec<u8>, mut breaks: usize) -> Registry {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let lines = BufReader::new(stream.try_clone().unwrap())
                    .lines()
                    .map_while(Result::ok);
                lines.take_while(|line| !line.is_empty()).for_each(drop);
                let sent = if breaks > 0 {
                    layer.len() / 2
                } else {
                    layer.len()
                };
                breaks = breaks.saturating_sub(1);
                let _ = write!(
                    stream,
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    layer.len()
                );
                let _ = stream.write_all(&layer[..sent]);
            }
        });
        Registry::new(&host, None)
    }

    #[test]
    fn a_layer_whose_connection_breaks_off_is_asked_for_again() {
        let layer = vec![0; 1024];
        let digest = digest_of(&layer);
        let read = |breaks: usize| {
            let registry = registry(layer.clone(), breaks);
            let (repository, reference) = ("a".to_owned(), "b".to_owned());
            Remote {
                registry: &registry,
                repository,
                reference,
                cache: LayerCache::nothing(),
            }
            .layer(&digest)
        };
        assert_eq!(read(ATTEMPTS - 1).unwrap().digest, digest);
        let error = read(ATTEMPTS).unwrap_err();
        assert!(error.is::<NoAnswer>(), "{error:#}");
    }
}
