//! An image as one stream: what `docker save` writes, and OCI archives.
//!
//! The stream is read once, from front to back. Which blob is a layer is only known at its end, so everything that is not
//! JSON is read as a layer, and what was no layer is an error only where it is used as one.

use std::{
    collections::HashMap,
    io::{Cursor, Read},
};

use anyhow::{Context, Result, anyhow, bail};
use image_oci::Config;
use image_proof::{Allowed, Layer, TarReader};
use serde::Deserialize;

use super::{Blobs, LayerCache, Proof, judge, prove, read_small};
use crate::{arch::Arch, registry::CONFIG_LIMIT};

/// Everything of an archive that matters.
pub(super) struct Archive {
    texts: HashMap<String, Vec<u8>>,
    layers: HashMap<String, Result<Layer, String>>,
    /// Links of docker's old form: a layer that several images share is stored once.
    links: HashMap<String, String>,
    cache: LayerCache,
}

/// An entry of docker's `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    layers: Vec<String>,
}

impl Archive {
    /// Reads a stream to its end. `cache` has summaries of layers by their digest; they are used in place of the stream's
    /// bytes, so it must be [`LayerCache::nothing`] for a stream whose names may lie.
    ///
    /// # Errors
    /// Bytes that are no archive.
    pub(super) fn read(stream: impl Read + Send, cache: &LayerCache) -> Result<Self> {
        // `docker save | gzip` is what people pass around; `docker load` takes it too.
        Ok(image_proof::unpacked(stream, |archive| {
            Self::read_archive(archive, cache)
                .map_err(|error| image_proof::Error::new(format!("{error:#}")))
        })?)
    }

    fn read_archive(stream: impl Read + Send, cache: &LayerCache) -> Result<Self> {
        let mut archive = Self {
            texts: HashMap::new(),
            layers: HashMap::new(),
            links: HashMap::new(),
            cache: cache.clone(),
        };
        let mut reader = TarReader::new(stream);
        while let Some(entry) = reader.next_entry()? {
            let name = String::from_utf8_lossy(&entry.name)
                .trim_start_matches("./")
                .to_owned();
            match entry.kind {
                image_proof::Kind::File => {}
                image_proof::Kind::SymbolicLink => {
                    archive.links.insert(
                        name,
                        String::from_utf8_lossy(&entry.target)
                            .trim_start_matches("../")
                            .to_owned(),
                    );
                    continue;
                }
                _ => continue,
            }
            if name
                .strip_prefix("blobs/sha256/")
                .and_then(|hex| cache.get(&format!("sha256:{hex}")))
                .is_some()
            {
                continue;
            }
            let head = reader.head(&entry, 512)?;
            // A tar archive has its sign in its first header; compressed ones are no text either.
            let is_archive = head.get(257..262) == Some(b"ustar".as_slice());
            let first = head.iter().find(|byte| !byte.is_ascii_whitespace());
            let is_text =
                entry.size <= CONFIG_LIMIT && !is_archive && matches!(first, Some(b'{' | b'['));
            let mut content = Cursor::new(head).chain(&mut reader);
            if is_text {
                archive.texts.insert(name, read_small(&mut content)?);
            } else {
                let layer =
                    image_proof::read_layer(&mut content).map_err(|error| error.to_string());
                archive.layers.insert(name, layer);
            }
            if archive.texts.len() + archive.layers.len() > 10_000 {
                bail!("the archive has more than 10000 blobs");
            }
        }
        Ok(archive)
    }

    /// Judges the image for this architecture, or the only one.
    ///
    /// # Errors
    /// An archive without an image, or a damaged one.
    pub(super) fn prove(mut self, arch: Option<Arch>, allowed: &[Allowed]) -> Result<Proof> {
        if self.texts.contains_key("index.json") {
            return prove(&mut self, arch, allowed);
        }
        let saved = self
            .texts
            .get("manifest.json")
            .context("it has neither index.json nor manifest.json: this is no image")?;
        let saved: Vec<Saved> =
            serde_json::from_slice(saved).context("manifest.json is not valid")?;
        let [image] = saved.as_slice() else {
            bail!("the archive has {} images: save one at a time", saved.len())
        };
        let bytes = self
            .texts
            .get(&image.config)
            .with_context(|| format!("the config `{}` is missing", image.config))?;
        let config = Config::parse(bytes)?;
        let layers: Vec<Layer> = image
            .layers
            .iter()
            .map(|name| self.named(name))
            .collect::<Result<_>>()?;
        judge(&config, bytes, &layers, arch, allowed)
    }

    fn named(&self, name: &str) -> Result<Layer> {
        let digest = name
            .strip_prefix("blobs/sha256/")
            .map(|hex| format!("sha256:{hex}"));
        if let Some(layer) = digest.and_then(|digest| self.cache.get(&digest)) {
            return Ok(layer);
        }
        let real = self.links.get(name).map_or(name, String::as_str);
        let found = self
            .layers
            .get(real)
            .with_context(|| format!("the layer `{name}` is missing"))?;
        let layer = found
            .clone()
            .map_err(|reason| anyhow!("the layer `{name}` cannot be read: {reason}"))?;
        self.cache.put(&layer);
        Ok(layer)
    }
}

impl Blobs for Archive {
    fn root(&mut self) -> Result<Vec<u8>> {
        self.texts
            .get("index.json")
            .cloned()
            .context("index.json is missing")
    }

    fn small(&mut self, digest: &str) -> Result<Vec<u8>> {
        self.texts
            .get(&path(digest))
            .cloned()
            .context("it is missing in the archive")
    }

    fn layer(&mut self, digest: &str) -> Result<Layer> {
        self.named(&path(digest))
    }
}

fn path(digest: &str) -> String {
    format!("blobs/{}", digest.replacen(':', "/", 1))
}
