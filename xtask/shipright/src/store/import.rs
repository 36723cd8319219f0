//! Images of an engine that cannot write to the store: its classic image store has no OCI exporter. What `docker save` hands out is
//! compressed and put here, and all that follows is the same.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use flate2::{Compression, GzBuilder, write::GzEncoder};
use image_oci::{IMAGE_MANIFEST_TYPES, Manifest, digest_of};
use image_proof::{Kind, TarReader};
use serde::Deserialize;
use serde_json::json;

use super::ContentStore;
use crate::{hashed::Hashed, registry::CONFIG_LIMIT};

/// An entry of docker's `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    layers: Vec<String>,
}

impl ContentStore {
    /// Takes the one image of an archive as `docker save` writes it. Returns its manifest.
    ///
    /// # Errors
    /// An archive that cannot be read, or has not one image.
    pub fn import(&self, stream: impl Read + Send) -> Result<Manifest> {
        let parts = self.ingest()?;
        let files = unpack(stream, parts.path())?;
        let saved = files
            .get("manifest.json")
            .context("it has no manifest.json: docker did not save an image")?;
        let saved: Vec<Saved> =
            serde_json::from_slice(&small(saved)?).context("manifest.json is not valid")?;
        let [image] = saved.as_slice() else {
            bail!("the archive has {} images", saved.len())
        };
        let file = |name: &String| {
            let found = files.get(name);
            found.with_context(|| format!("`{}` is missing in the archive", name.escape_debug()))
        };
        let config = small(file(&image.config)?)?;
        let mut layers = Vec::new();
        for name in &image.layers {
            let (digest, size) = self.compressed(file(name)?, parts.path())?;
            layers.push(json!({ "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest, "size": size }));
        }
        let config_digest = self.put(&config)?;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": IMAGE_MANIFEST_TYPES[0],
            "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config_digest, "size": config.len() },
            "layers": layers,
        });
        let manifest = Manifest::new(manifest.to_string(), IMAGE_MANIFEST_TYPES[0]);
        self.put(manifest.bytes.as_bytes())?;
        Ok(manifest)
    }

    /// Compresses a layer, always to the same bytes. One that is compressed already stays as it is.
    fn compressed(&self, file: &Path, parts: &Path) -> Result<(String, u64)> {
        let mut plain = BufReader::new(File::open(file)?);
        let mut start = Vec::new();
        (&mut plain).take(2).read_to_end(&mut start)?;
        let mut whole = start.as_slice().chain(plain);
        let part = tempfile::NamedTempFile::new_in(parts)?;
        let hashed = Hashed::new(BufWriter::new(part));
        let hashed = if start == [0x1f, 0x8b] {
            let mut hashed = hashed;
            std::io::copy(&mut whole, &mut hashed)?;
            hashed
        } else {
            let mut encoder: GzEncoder<_> = GzBuilder::new().write(hashed, Compression::fast());
            std::io::copy(&mut whole, &mut encoder)?;
            encoder.finish()?
        };
        let (part, digest, size) = hashed.finish();
        let part = part
            .into_inner()
            .map_err(std::io::IntoInnerError::into_error)?;
        part.persist(self.file(&digest)?)
            .context("failed to keep a layer")?;
        Ok((digest, size))
    }

    pub(super) fn put(&self, bytes: &[u8]) -> Result<String> {
        let digest = digest_of(bytes);
        let mut part = tempfile::NamedTempFile::new_in(self.directory.join("ingest"))?;
        part.write_all(bytes)?;
        part.persist(self.file(&digest)?)
            .context("failed to keep a blob")?;
        Ok(digest)
    }
}

/// Writes the files of an archive into a directory, under names of ours. Layers that several images share are links in docker's old
/// form.
fn unpack(stream: impl Read + Send, directory: &Path) -> Result<BTreeMap<String, PathBuf>> {
    const MOST: usize = 10_000;
    let (mut files, mut links) = (BTreeMap::new(), Vec::new());
    let mut reader = TarReader::new(stream);
    while let Some(entry) = reader.next_entry()? {
        let name = String::from_utf8_lossy(&entry.name)
            .trim_start_matches("./")
            .to_owned();
        match entry.kind {
            Kind::File => {
                let path = directory.join(files.len().to_string());
                let mut file = File::create(&path)?;
                std::io::copy(&mut reader, &mut file)?;
                files.insert(name, path);
            }
            Kind::SymbolicLink => {
                let target = String::from_utf8_lossy(&entry.target).into_owned();
                links.push((name, target.trim_start_matches("../").to_owned()));
            }
            _ => {}
        }
        if files.len() > MOST {
            bail!("the archive has more than {MOST} files");
        }
    }
    for (name, target) in links {
        if let Some(path) = files.get(&target).cloned() {
            files.insert(name, path);
        }
    }
    Ok(files)
}

fn small(file: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file)?
        .take(CONFIG_LIMIT)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}
