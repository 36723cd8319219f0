//! The half of the protocol that writes manifests, and images with all their blobs. Each is safe to repeat.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use anyhow::Result;
use image_oci::{Descriptor, Manifest};
use ureq::{AsSendBody, Body, http::Response};

use super::{Failure, Registry, upload::BlobUpload};
use crate::registry::BlobSource;

/// How many blobs are sent at a time.
const AT_ONCE: usize = 4;

/// How many questions are asked at a time.
const QUESTIONS: usize = 16;

impl Registry {
    /// Puts an image into a repository: the blobs that it lacks, and then the manifest under its digest. `mount` is a repository of
    /// the same registry that may have them; there they are only named, where the registry does that. Returns how many bytes were
    /// sent.
    ///
    /// # Errors
    /// A manifest or a source that cannot be read, and a registry that cannot be reached or refuses.
    pub fn put_image(
        &self,
        repository: &str,
        manifest: &Manifest,
        source: &dyn BlobSource,
        mount: Option<&str>,
    ) -> Result<u64> {
        let mut known = BTreeSet::new();
        let blobs = manifest.document()?.blobs();
        let blobs: Vec<_> = blobs.filter(|blob| known.insert(&blob.digest)).collect();
        let missing = self.missing(repository, &blobs)?;
        let sent = AtomicU64::new(0);
        side_by_side(AT_ONCE, &missing, |blob| {
            match self.put_blob(repository, blob, source, mount)? {
                BlobUpload::Sent => sent.fetch_add(blob.size, Ordering::Relaxed),
                BlobUpload::Mounted => 0,
            };
            Ok(())
        })?;
        let bytes = manifest.bytes.as_bytes();
        self.put_manifest(repository, &manifest.digest, &manifest.media_type, bytes)?;
        Ok(sent.into_inner())
    }

    /// The blobs that a repository does not have.
    fn missing<'b>(
        &self,
        repository: &str,
        blobs: &[&'b Descriptor],
    ) -> Result<Vec<&'b Descriptor>> {
        let missing = Mutex::new(BTreeSet::new());
        side_by_side(QUESTIONS, blobs, |blob| {
            if !self.has_blob(repository, &blob.digest)? {
                let mut missing = missing.lock().unwrap_or_else(PoisonError::into_inner);
                missing.insert(blob.digest.clone());
            }
            Ok(())
        })?;
        let missing = missing.into_inner().unwrap_or_else(PoisonError::into_inner);
        let lacks = |blob: &&&Descriptor| missing.contains(&blob.digest);
        Ok(blobs.iter().filter(lacks).copied().collect())
    }

    /// Whether a repository has a blob.
    ///
    /// # Errors
    /// A registry that cannot be reached or refuses.
    pub fn has_blob(&self, repository: &str, digest: &str) -> Result<bool> {
        let about = format!("look for blob {digest} in `{repository}`");
        self.retried(&about, repository, || {
            let answer = self.send(
                "HEAD",
                &self.url(&format!("{repository}/blobs/{digest}")),
                &[],
                (),
            )?;
            match answer.status().as_u16() {
                200 => Ok(true),
                404 => Ok(false),
                _ => Err(Failure::refused(&self.host, answer)),
            }
        })
    }

    /// Stores a manifest or index under a tag or its digest.
    ///
    /// # Errors
    /// A registry that cannot be reached, or refuses: most often for a blob or child that it does not have.
    pub fn put_manifest(
        &self,
        repository: &str,
        reference: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<()> {
        self.retried(
            &format!("write manifest `{reference}` to `{repository}`"),
            repository,
            || {
                let url = self.url(&format!("{repository}/manifests/{reference}"));
                let answer = self.send("PUT", &url, &[("Content-Type", media_type)], bytes)?;
                match answer.status().as_u16() {
                    200..=204 => Ok(()),
                    _ => Err(Failure::refused(&self.host, answer)),
                }
            },
        )
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.base)
    }

    pub(super) fn send(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: impl AsSendBody,
    ) -> Result<Response<Body>, Failure> {
        let mut request = ureq::http::Request::builder().method(method).uri(url);
        if let Some(authorization) = self.authorization() {
            request = request.header("Authorization", authorization);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).map_err(Failure::lasting)?;
        self.agent.run(request).map_err(Failure::of_connection)
    }
}

/// Does a step for each of some things, so many at a time. After one that fails no other is begun.
fn side_by_side<T: Sync>(
    at_once: usize,
    all: &[T],
    step: impl Fn(&T) -> Result<()> + Sync,
) -> Result<()> {
    let (next, failure) = (AtomicUsize::new(0), Mutex::new(None));
    let has_failed = || {
        let failure = failure.lock().unwrap_or_else(PoisonError::into_inner);
        Option::is_some(&*failure)
    };
    std::thread::scope(|scope| {
        for _ in 0..at_once.min(all.len()) {
            scope.spawn(|| {
                while let Some(one) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if has_failed() {
                        return;
                    }
                    if let Err(error) = step(one) {
                        let mut failure = failure.lock().unwrap_or_else(PoisonError::into_inner);
                        failure.get_or_insert(error);
                    }
                }
            });
        }
    });
    let failure = failure.into_inner().unwrap_or_else(PoisonError::into_inner);
    failure.map_or(Ok(()), Err)
}
