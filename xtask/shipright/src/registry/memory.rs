//! What a run has read of a registry under its digest. It is the same whenever it is read, so nothing is asked for twice.
//!
//! Architecture Invariant: only what was read is remembered, and nothing that was sent; a run that writes forgets what it has read for
//! its plan. That something is there or has arrived is read from the registry.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use image_oci::{Manifest, is_digest};

/// The most bytes that are remembered: the manifests and blobs of some thousand images.
const MOST: usize = 32 * 1024 * 1024;

/// Manifests and blobs of one registry. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Memory(Arc<Mutex<Read>>);

/// By repository and digest.
#[derive(Debug, Default)]
struct Read {
    manifests: BTreeMap<(String, String), Manifest>,
    blobs: BTreeMap<(String, String), Vec<u8>>,
    bytes: usize,
}

impl Read {
    /// Whether there is room for so many bytes more.
    fn takes(&mut self, bytes: usize) -> bool {
        let takes = self.bytes + bytes <= MOST;
        self.bytes += if takes { bytes } else { 0 };
        takes
    }
}

impl Memory {
    fn read(&self) -> MutexGuard<'_, Read> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A manifest or index that was read before.
    pub(crate) fn manifest(&self, repository: &str, digest: &str) -> Option<Manifest> {
        if !is_digest(digest) {
            return None;
        }
        let place = (repository.to_owned(), digest.to_owned());
        self.read().manifests.get(&place).cloned()
    }

    /// Remembers a manifest or index under the digest of its bytes.
    pub(crate) fn keep_manifest(&self, repository: &str, manifest: &Manifest) {
        let mut read = self.read();
        let place = (repository.to_owned(), manifest.digest.clone());
        if !read.manifests.contains_key(&place) && read.takes(manifest.bytes.len()) {
            read.manifests.insert(place, manifest.clone());
        }
    }

    /// Forgets everything: something is to be written, or time has passed, and what is there is read again.
    pub(crate) fn forget(&self) {
        *self.read() = Read::default();
    }

    /// A small blob that was read before.
    pub(super) fn blob(&self, repository: &str, digest: &str) -> Option<Vec<u8>> {
        let place = (repository.to_owned(), digest.to_owned());
        self.read().blobs.get(&place).cloned()
    }

    /// Remembers a small blob whose bytes have this digest.
    pub(super) fn keep_blob(&self, repository: &str, digest: &str, bytes: &[u8]) {
        let mut read = self.read();
        let place = (repository.to_owned(), digest.to_owned());
        if !read.blobs.contains_key(&place) && read.takes(bytes.len()) {
            read.blobs.insert(place, bytes.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_known_by_repository_and_digest_and_there_is_an_end_to_it() {
        let memory = Memory::default();
        let manifest = Manifest::new("{\"schemaVersion\":2}".to_owned(), "x");
        memory.keep_manifest("a", &manifest);
        let digest = &manifest.digest;
        assert_eq!(memory.manifest("a", digest), Some(manifest.clone()));
        assert_eq!(memory.manifest("b", digest), None);
        assert_eq!(memory.manifest("a", "latest"), None);
        memory.keep_blob("a", digest, &vec![0; MOST]);
        assert_eq!(memory.blob("a", digest), None, "there is no room for it");
        memory.keep_blob("a", digest, b"{}");
        assert_eq!(memory.blob("a", digest).as_deref(), Some(&b"{}"[..]));
        memory.forget();
        assert_eq!(memory.manifest("a", digest), None);
        assert_eq!(memory.blob("a", digest), None);
    }
}
