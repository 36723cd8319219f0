//! The half of the protocol that writes manifests, and images with all their blobs. Each is safe to repeat.

use std::collections::BTreeSet;

use anyhow::Result;
use image_oci::{Descriptor, Manifest};
use ureq::{AsSendBody, Body, http::Response};

use super::{Failure, Registry, upload::BlobUpload};
use crate::{parallel::side_by_side, registry::BlobSource};

/// How many blobs are sent at a time.
pub(super) const AT_ONCE: usize = 4;

/// How many questions are asked at a time.
const QUESTIONS: usize = 16;

/// What an image has brought to a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sent {
    /// Bytes that were sent.
    pub bytes: u64,
    /// Layers that the repository did not have.
    pub layers: usize,
}

impl Registry {
    /// Puts an image into a repository: the blobs that it lacks, and then the manifest under its digest. `mount` is a repository of
    /// the same registry that may have them; there they are only named, where the registry does that. Returns what it lacked.
    ///
    /// # Errors
    /// A manifest or a source that cannot be read, and a registry that cannot be reached or refuses.
    pub fn put_image(
        &self,
        repository: &str,
        manifest: &Manifest,
        source: &dyn BlobSource,
        mount: Option<&str>,
    ) -> Result<Sent> {
        let document = manifest.document()?;
        let mut known = BTreeSet::new();
        let blobs = document.blobs();
        let blobs: Vec<_> = blobs.filter(|blob| known.insert(&blob.digest)).collect();
        let missing = self.missing(repository, &blobs)?;
        let sent = side_by_side(AT_ONCE, &missing, |blob| {
            Ok(match self.put_blob(repository, blob, source, mount)? {
                BlobUpload::Sent => blob.size,
                BlobUpload::Mounted => 0,
            })
        })?;
        let bytes = manifest.bytes.as_bytes();
        self.put_manifest(repository, &manifest.digest, &manifest.media_type, bytes)?;
        let lacked = |layer: &&Descriptor| missing.iter().any(|blob| blob.digest == layer.digest);
        Ok(Sent {
            bytes: sent.into_iter().sum(),
            layers: document.layers.iter().filter(lacked).count(),
        })
    }

    /// The blobs that a repository does not have.
    pub(super) fn missing<'b>(
        &self,
        repository: &str,
        blobs: &[&'b Descriptor],
    ) -> Result<Vec<&'b Descriptor>> {
        let has = side_by_side(QUESTIONS, blobs, |blob| {
            self.has_blob(repository, &blob.digest)
        })?;
        let lacks = blobs.iter().zip(has).filter(|(_, has)| !has);
        Ok(lacks.map(|(blob, _)| *blob).collect())
    }

    /// Whether a repository has a blob.
    ///
    /// # Errors
    /// A registry that cannot be reached or refuses.
    pub fn has_blob(&self, repository: &str, digest: &str) -> Result<bool> {
        let about = format!("look for blob {digest} in `{repository}`");
        self.retried(&about, repository, || self.has_blob_now(repository, digest))
    }

    pub(super) fn has_blob_now(&self, repository: &str, digest: &str) -> Result<bool, Failure> {
        let url = self.url(&format!("{repository}/blobs/{digest}"));
        let answer = self.send("HEAD", &url, &[], ())?;
        match answer.status().as_u16() {
            200 => Ok(true),
            404 => Ok(false),
            _ => Err(Failure::refused(&self.host, answer)),
        }
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
        self.put_manifest_of(repository, reference, media_type, bytes)
            .map(drop)
    }

    /// The same. Returns whether the registry has entered the manifest into the list of its subject.
    ///
    /// Source: the OCI distribution specification 1.1, "Pushing Manifests with Subject".
    pub(super) fn put_manifest_of(
        &self,
        repository: &str,
        reference: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<bool> {
        self.retried(
            &format!("write manifest `{reference}` to `{repository}`"),
            repository,
            || {
                let url = self.url(&format!("{repository}/manifests/{reference}"));
                let answer = self.send("PUT", &url, &[("Content-Type", media_type)], bytes)?;
                match answer.status().as_u16() {
                    200..=204 => Ok(answer.headers().contains_key("oci-subject")),
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
