//! The half of the protocol that writes: blobs and manifests, each safe to repeat.

use std::{io::Read, time::Duration};

use anyhow::{Result, anyhow};
use image_oci::Manifest;
use ureq::{AsSendBody, Body, SendBody, http::Response};

use super::{Failure, Registry};

/// How a blob came to be where it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BlobUpload {
    /// It was there.
    Present,
    /// The registry had it in another repository.
    Mounted,
    /// It was sent.
    Sent,
}

impl Registry {
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

    /// Takes an image over from a repository of a registry: its blobs, and then its manifest under its digest. Within one
    /// registry (`mounts`) the blobs are named where it can. Returns how many bytes were sent.
    ///
    /// # Errors
    /// A manifest or a source that cannot be read, and a registry that cannot be reached or refuses.
    pub fn take(
        &self,
        repository: &str,
        manifest: &Manifest,
        (source, from): (&Self, &str),
        mounts: bool,
    ) -> Result<u64> {
        let mut sent = 0;
        for blob in manifest.document()?.blobs() {
            let read = || source.stream(from, &blob.digest);
            let (digest, mount) = ((blob.digest.as_str(), blob.size), mounts.then_some(from));
            match self.put_blob(repository, digest, mount, read)? {
                BlobUpload::Sent => sent += blob.size,
                BlobUpload::Present | BlobUpload::Mounted => {}
            }
        }
        let bytes = manifest.bytes.as_bytes();
        self.put_manifest(repository, &manifest.digest, &manifest.media_type, bytes)?;
        Ok(sent)
    }

    /// Puts a blob into a repository: not at all where it is there already, by name where the registry has it in the
    /// repository `from`, and byte by byte otherwise. The registry compares the digest.
    ///
    /// # Errors
    /// A source that cannot be read, or a registry that cannot be reached or refuses.
    fn put_blob<R: Read>(
        &self,
        repository: &str,
        (digest, size): (&str, u64),
        from: Option<&str>,
        open: impl Fn() -> Result<R>,
    ) -> Result<BlobUpload> {
        let about = format!("write blob {digest} to `{repository}`");
        if let Some(from) = from {
            self.cover(from)?;
        }
        self.retried(&about, repository, || {
            // An earlier attempt may have arrived though its answer did not.
            if self
                .has_blob(repository, digest)
                .map_err(Failure::lasting)?
            {
                return Ok(BlobUpload::Present);
            }
            let scope = from
                .map(|from| format!("?mount={digest}&from={from}"))
                .unwrap_or_default();
            let url = self.url(&format!("{repository}/blobs/uploads/{scope}"));
            let begun = self.send("POST", &url, &[], &[][..])?;
            match begun.status().as_u16() {
                201 => return Ok(BlobUpload::Mounted),
                202 => {}
                _ => return Err(Failure::refused(&self.host, begun)),
            }
            let place = self.location(&begun)?;
            let mut source = open().map_err(Failure::lasting)?;
            // With its length said, the body is not sent in chunks: docker does so too.
            let length = size.to_string();
            let headers = [
                ("Content-Type", "application/octet-stream"),
                ("Content-Length", length.as_str()),
            ];
            let sent = self.send(
                "PATCH",
                &place,
                &headers,
                SendBody::from_reader(&mut source),
            )?;
            // ECR answers 201 where the specification has 202.
            if !matches!(sent.status().as_u16(), 201 | 202 | 204) {
                return Err(Failure::refused(&self.host, sent));
            }
            let place = self.location(&sent)?;
            let end = format!(
                "{place}{}digest={digest}",
                if place.contains('?') { '&' } else { '?' }
            );
            let done = self.send("PUT", &end, &[], &[][..])?;
            match done.status().as_u16() {
                201 | 204 => Ok(BlobUpload::Sent),
                _ => Err(Failure::refused(&self.host, done)),
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

    fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.base)
    }

    /// Where an upload goes on. Only this registry is followed there: an answer must not send our login elsewhere.
    fn location(&self, answer: &Response<Body>) -> Result<String, Failure> {
        let refused = |what: String| Failure::lasting(anyhow!(what));
        let found = answer
            .headers()
            .get("location")
            .and_then(|value| value.to_str().ok());
        let location = found
            .ok_or_else(|| refused("the registry named no place for the upload".to_owned()))?;
        let root = self.base.trim_end_matches("/v2");
        let whole = if location.starts_with('/') {
            format!("{root}{location}")
        } else {
            location.to_owned()
        };
        if whole
            .strip_prefix(root)
            .is_some_and(|rest| rest.starts_with('/'))
        {
            Ok(whole)
        } else {
            Err(refused(format!(
                "the registry sends uploads elsewhere: `{}`",
                whole.escape_debug()
            )))
        }
    }

    fn send(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: impl AsSendBody,
    ) -> Result<Response<Body>, Failure> {
        // A registry that has got gigabytes looks at them before it answers.
        const DIGESTION: Duration = Duration::from_mins(5);
        let mut request = ureq::http::Request::builder().method(method).uri(url);
        if let Some(authorization) = self.authorization() {
            request = request.header("Authorization", authorization);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).map_err(Failure::lasting)?;
        let request = self
            .agent
            .configure_request(request)
            .timeout_recv_response(Some(DIGESTION))
            .build();
        self.agent.run(request).map_err(Failure::passing)
    }
}
