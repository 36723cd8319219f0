//! One image of the content store by itself, for programs that read an OCI image layout: what the store lacks of it is fetched first.

use std::io::Read;

use anyhow::{Context, Result, bail};
use image_oci::{Descriptor, Manifest, Platform};
use serde_json::json;
use tempfile::TempDir;

use super::{ContentStore, layout};
use crate::{hashed::Hashed, registry::BlobSource};

/// How often a blob is fetched that breaks off, or arrives damaged.
const TRIES: usize = 3;

impl ContentStore {
    /// Brings what is lacking of an image into the store. Returns how many bytes were fetched.
    ///
    /// # Errors
    /// A blob that cannot be had, or is not what the manifest says.
    pub fn fetch(&self, manifest: &Manifest, from: &dyn BlobSource) -> Result<u64> {
        let mut fetched = 0;
        for blob in manifest.document()?.blobs() {
            let file = self.file(&blob.digest)?;
            let is_there = file.metadata().is_ok_and(|there| there.len() == blob.size);
            if !is_there {
                self.fetch_blob(blob, from)?;
                fetched += blob.size;
            }
        }
        if !self.file(&manifest.digest)?.exists() {
            self.put(manifest.bytes.as_bytes())?;
        }
        self.remember(&manifest.digest);
        Ok(fetched)
    }

    fn fetch_blob(&self, blob: &Descriptor, from: &dyn BlobSource) -> Result<()> {
        let mut outcome = self.try_blob(blob, from);
        for _ in 1..TRIES {
            if outcome.is_ok() {
                break;
            }
            outcome = self.try_blob(blob, from);
        }
        outcome.with_context(|| format!("failed to fetch the blob {}", blob.digest))
    }

    fn try_blob(&self, blob: &Descriptor, from: &dyn BlobSource) -> Result<()> {
        let file = self.file(&blob.digest)?;
        let part = tempfile::NamedTempFile::new_in(self.directory.join("ingest"))?;
        let mut whole = Hashed::new(part);
        // Not a byte more than the manifest says is kept of what a registry sends.
        let mut stream = from
            .open(&blob.digest, 0)?
            .take(blob.size.saturating_add(1));
        std::io::copy(&mut stream, &mut whole)?;
        let (part, digest, size) = whole.finish();
        if size != blob.size || digest != blob.digest {
            bail!(
                "{size} bytes of digest {digest} came, and {} were expected",
                blob.size
            );
        }
        part.persist(&file).context("failed to keep a blob")?;
        Ok(())
    }

    /// A layout that lists this image alone, whose blobs are those of the store. It is gone when it is dropped.
    ///
    /// # Errors
    /// A directory that cannot be written to.
    pub fn layout_of(&self, manifest: &Manifest, platform: &Platform) -> Result<TempDir> {
        let layout = self.layout()?;
        let (media_type, digest) = (&manifest.media_type, &manifest.digest);
        let entry = json!({
            "mediaType": media_type, "digest": digest, "size": manifest.bytes.len(), "platform": platform,
        });
        layout::write_one(layout.path(), &entry)?;
        Ok(layout)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeMap,
        fs,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use image_oci::digest_of;

    use super::*;

    /// A registry that breaks off a few times.
    struct Far {
        blobs: BTreeMap<String, Vec<u8>>,
        breaks: AtomicUsize,
        asked: AtomicUsize,
    }

    impl BlobSource for Far {
        fn open(&self, digest: &str, _: u64) -> Result<Box<dyn Read + Send>> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let mut bytes = self.blobs.get(digest).context("not there")?.clone();
            let left = self.breaks.load(Ordering::Relaxed);
            if left > 0 {
                self.breaks.store(left - 1, Ordering::Relaxed);
                bytes.pop();
            }
            Ok(Box::new(std::io::Cursor::new(bytes)))
        }
    }

    fn far(breaks: usize) -> (Far, Manifest) {
        let blobs = [b"{}".to_vec(), b"layer".to_vec()];
        let [config, layer] = [digest_of(&blobs[0]), digest_of(&blobs[1])];
        let manifest = json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": { "digest": config, "size": 2 },
            "layers": [{ "digest": layer, "size": 5 }],
        });
        let far = Far {
            blobs: [config, layer].into_iter().zip(blobs).collect(),
            breaks: AtomicUsize::new(breaks),
            asked: AtomicUsize::new(0),
        };
        (far, Manifest::new(manifest.to_string(), ""))
    }

    #[test]
    fn what_is_lacking_is_fetched_once_and_checked() {
        let root = tempfile::tempdir().unwrap();
        let store = ContentStore::open(root.path()).unwrap();
        let (broken, manifest) = far(9);
        let error = format!("{:#}", store.fetch(&manifest, &broken).unwrap_err());
        assert!(
            error.contains("4 bytes") && error.contains("5 were expected"),
            "{error}"
        );
        let (odd, _) = far(2);
        assert_eq!(store.fetch(&manifest, &odd).unwrap(), 7);
        assert_eq!(odd.asked.load(Ordering::Relaxed), 4, "it broke off twice");
        assert_eq!(store.fetch(&manifest, &odd).unwrap(), 0);
        assert_eq!(odd.asked.into_inner(), 4);
    }

    #[test]
    fn the_layout_lists_the_one_image_and_has_its_blobs() {
        let root = tempfile::tempdir().unwrap();
        let store = ContentStore::open(root.path()).unwrap();
        let (source, manifest) = far(0);
        store.fetch(&manifest, &source).unwrap();
        let platform = Platform {
            architecture: "arm64".into(),
            os: "linux".into(),
            variant: None,
        };
        let layout = store.layout_of(&manifest, &platform).unwrap();
        let index = fs::read(layout.path().join("index.json")).unwrap();
        let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
        assert_eq!(index["manifests"].as_array().unwrap().len(), 1);
        assert_eq!(index["manifests"][0]["digest"], manifest.digest.as_str());
        assert_eq!(index["manifests"][0]["platform"]["os"], "linux");
        let blob = layout
            .path()
            .join("blobs/sha256")
            .join(&manifest.digest[7..]);
        assert_eq!(fs::read_to_string(blob).unwrap(), manifest.bytes);
        assert!(layout.path().join("oci-layout").exists());
    }
}
