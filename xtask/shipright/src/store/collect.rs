//! What is dropped from the content store: images that were not used for a while, and the oldest where there are too many.

use std::{
    collections::BTreeSet,
    fs::{self, DirEntry, File},
    path::Path,
    time::{Duration, SystemTime},
};

use anyhow::Result;
use image_oci::{Descriptor, Document};

use super::{directory, layout, lock};

/// How long an image stays that no run uses.
pub const LONGEST: Duration = Duration::from_hours(14 * 24);

/// The most bytes that stay, where one image alone does not have more.
pub const LARGEST: u64 = 10 * 1024 * 1024 * 1024;

/// How often is looked for what nobody needs: every manifest is read for it.
const OFTEN: Duration = Duration::from_hours(1);

/// What a content store has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contents {
    /// How many images.
    pub images: usize,
    /// How many bytes.
    pub bytes: u64,
}

impl Contents {
    /// Counts what the store of a project has.
    pub fn of(root: &Path) -> Self {
        let all =
            |part: &str| directory(root).map_or_else(|_| Vec::new(), |at| files(&at.join(part)));
        let blobs = all("blobs/sha256").into_iter();
        let bytes = blobs.filter_map(|one| one.metadata().ok());
        Self {
            images: all("recent").len(),
            bytes: bytes.map(|one| one.len()).sum(),
        }
    }
}

/// Drops what nobody needs, and lists what is left. Nothing is dropped while a run uses the store.
///
/// # Errors
/// A store that cannot be read.
pub(crate) fn collect(root: &Path, now: SystemTime) -> Result<()> {
    let directory = directory(root)?;
    if !directory.join("recent").is_dir() {
        return Ok(());
    }
    let lock = lock(&directory)?;
    if lock.try_lock().is_err() {
        return Ok(());
    }
    let stamp = directory.join("collected");
    let collected = stamp.metadata().and_then(|stamp| stamp.modified()).ok();
    let is_due = collected.is_none_or(|at| now.duration_since(at).unwrap_or_default() > OFTEN);
    if is_due {
        drop_unneeded(&directory, now)?;
        File::create(stamp)?;
    }
    layout::write(&directory)
}

fn drop_unneeded(directory: &Path, now: SystemTime) -> Result<()> {
    let blobs = directory.join("blobs/sha256");
    let mut needed = BTreeSet::new();
    let mut bytes = 0;
    for (image, is_recent) in newest_first(&directory.join("recent"), now) {
        let hex = image.file_name().to_string_lossy().into_owned();
        let own = closure(&blobs, &hex);
        let more: u64 = own
            .iter()
            .filter(|one| !needed.contains(*one))
            .filter_map(|one| blobs.join(one).metadata().ok())
            .map(|one| one.len())
            .sum();
        let fits = needed.is_empty() || bytes + more <= LARGEST;
        if is_recent && fits && !own.is_empty() {
            bytes += more;
            needed.extend(own);
        } else {
            fs::remove_file(image.path())?;
        }
    }
    for blob in files(&blobs) {
        if !needed.contains(&*blob.file_name().to_string_lossy()) {
            fs::remove_file(blob.path())?;
        }
    }
    // What runs that were killed had begun.
    for part in files(&directory.join("ingest")) {
        let _ = fs::remove_dir_all(part.path()).or_else(|_| fs::remove_file(part.path()));
    }
    Ok(())
}

/// The marks of images, and whether each is younger than [`LONGEST`].
fn newest_first(recent: &Path, now: SystemTime) -> Vec<(DirEntry, bool)> {
    let time = |one: &DirEntry| one.metadata().and_then(|one| one.modified()).ok();
    let mut all: Vec<_> = files(recent)
        .into_iter()
        .map(|one| (time(&one), one))
        .collect();
    all.sort_by_key(|(time, _)| std::cmp::Reverse(*time));
    let is_recent = |time: SystemTime| now.duration_since(time).unwrap_or_default() <= LONGEST;
    all.into_iter()
        .map(|(time, one)| (one, time.is_some_and(is_recent)))
        .collect()
}

/// The manifest and everything that it names. Nothing, where it cannot be read.
fn closure(blobs: &Path, hex: &str) -> Vec<String> {
    let parsed = fs::read(blobs.join(hex))
        .ok()
        .and_then(|bytes| Document::parse(&bytes).ok());
    let name = |blob: &Descriptor| blob.digest.split_once(':').map(|(_, hex)| hex.to_owned());
    parsed.map_or_else(Vec::new, |document| {
        let mut all: Vec<_> = document.blobs().filter_map(name).collect();
        all.push(hex.to_owned());
        all
    })
}

fn files(directory: &Path) -> Vec<DirEntry> {
    fs::read_dir(directory).map_or_else(|_| Vec::new(), |entries| entries.flatten().collect())
}

#[cfg(test)]
mod tests {
    use image_oci::digest_of;

    use super::{super::ContentStore, *};

    /// Puts an image with one layer into the store; `age` is how long ago it was used.
    fn image(root: &Path, layer: &str, age: Duration, now: SystemTime) -> [String; 2] {
        let store = ContentStore::open(root).unwrap();
        let put = |text: &str| {
            let digest = digest_of(text.as_bytes());
            fs::write(store.file(&digest).unwrap(), text).unwrap();
            digest
        };
        let (config, layer) = (put("{}"), put(layer));
        let manifest = put(&format!(
            r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"digest":"{config}","size":2}},"layers":[{{"digest":"{layer}","size":1}}]}}"#
        ));
        store.remember(&manifest);
        let mark = directory(root).unwrap().join("recent").join(&manifest[7..]);
        let mark = File::options().write(true).open(mark).unwrap();
        mark.set_modified(now - age).unwrap();
        [manifest, layer]
    }

    #[test]
    fn old_images_are_dropped_and_what_others_share_stays() {
        let root = tempfile::tempdir().unwrap();
        let (root, now) = (root.path(), SystemTime::now());
        let hour = Duration::from_hours(1);
        let [old, old_layer] = image(root, "a", LONGEST + hour, now);
        let [new, new_layer] = image(root, "b", hour, now);
        let has = |digest: &str| {
            let blobs = directory(root).unwrap().join("blobs/sha256");
            blobs.join(&digest[7..]).exists()
        };
        let store = ContentStore::open(root).unwrap();
        collect(root, now).unwrap();
        assert!(has(&old), "a run uses the store");
        drop(store);
        // A program that another test starts at this moment has the lock as well, until it is executed.
        let mut patience = 0..1000;
        while has(&old) && patience.next().is_some() {
            collect(root, now).unwrap();
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(!has(&old) && !has(&old_layer));
        assert!(has(&new) && has(&new_layer) && has(&digest_of(b"{}")));
        assert_eq!(Contents::of(root).images, 1);
        let index = directory(root).unwrap().join("index.json");
        let index = Document::parse(&fs::read(index).unwrap()).unwrap();
        let listed: Vec<_> = index.manifests.iter().map(|one| &one.digest).collect();
        assert_eq!(listed, [&new]);
    }
}
