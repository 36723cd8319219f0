//! One blob on its way into a repository: named where the registry has it elsewhere, in one piece where it is small, and resumed
//! where a connection breaks off.
//!
//! Source: the OCI distribution specification, "Pushing blobs".

use std::{
    cell::RefCell,
    io::{Cursor, Read},
};

use anyhow::{Result, anyhow};
use image_oci::Descriptor;
use ureq::{Body, SendBody, http::Response};

use super::{Failure, Registry};
use crate::hashed::Hashed;

/// Where blobs come from.
pub trait BlobSource: Sync {
    /// A blob's bytes, from this one on.
    ///
    /// # Errors
    /// A blob that is not there.
    fn open(&self, digest: &str, from: u64) -> Result<Box<dyn Read + Send>>;
}

/// A repository of a registry, as a source of blobs.
pub struct InRepository<'r> {
    /// The registry.
    pub registry: &'r Registry,
    /// The repository.
    pub repository: &'r str,
}

impl BlobSource for InRepository<'_> {
    fn open(&self, digest: &str, from: u64) -> Result<Box<dyn Read + Send>> {
        let mut stream = self.registry.stream(self.repository, digest)?;
        std::io::copy(&mut (&mut stream).take(from), &mut std::io::sink())?;
        Ok(Box::new(stream))
    }
}

/// How a blob came to be where it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BlobUpload {
    /// The registry had it in another repository.
    Mounted,
    /// It was sent.
    Sent,
}

/// A blob of so many bytes is sent in one request: there is nothing to resume.
const SMALL: u64 = 1024 * 1024;

/// An upload that has been begun, and may go on.
#[derive(Default)]
struct Begun {
    /// Where it goes on.
    location: Option<String>,
}

impl Registry {
    /// Puts a blob that a repository lacks into it. The registry compares the digest, and so do we with what we have read.
    pub(super) fn put_blob(
        &self,
        repository: &str,
        blob: &Descriptor,
        source: &dyn BlobSource,
        mount: Option<&str>,
    ) -> Result<BlobUpload> {
        if let Some(from) = mount {
            self.cover(from)?;
        }
        let digest = &blob.digest;
        let begun = RefCell::new(Begun::default());
        let about = format!("write blob {digest} to `{repository}`");
        self.retried(&about, repository, || {
            let mut begun = begun.borrow_mut();
            if let Some(location) = begun.location.take() {
                // An earlier attempt may have arrived though its answer did not.
                if self
                    .has_blob(repository, digest)
                    .map_err(Failure::lasting)?
                {
                    return Ok(BlobUpload::Sent);
                }
                if let Some((location, from)) = self.progress(&location, blob.size) {
                    begun.location = Some(location.clone());
                    return self.send_rest(blob, source, &location, from);
                }
            }
            let scope = mount
                .map(|from| format!("?mount={digest}&from={from}"))
                .unwrap_or_default();
            let url = self.url(&format!("{repository}/blobs/uploads/{scope}"));
            let answer = self.send("POST", &url, &[], &[][..])?;
            match answer.status().as_u16() {
                201 => return Ok(BlobUpload::Mounted),
                202 => {}
                _ => return Err(Failure::refused(&self.host, answer)),
            }
            let location = self.location(&answer)?;
            begun.location = Some(location.clone());
            if blob.size <= SMALL {
                self.send_whole(blob, source, &location)
            } else {
                self.send_rest(blob, source, &location, 0)
            }
        })
    }

    /// How much of an upload has arrived, and where it goes on. `None` where the registry does not tell.
    fn progress(&self, location: &str, size: u64) -> Option<(String, u64)> {
        let answer = self.send("GET", location, &[], ()).ok()?;
        if answer.status() != 204 {
            return None;
        }
        let range = answer.headers().get("range")?.to_str().ok()?;
        let (_, last) = range.trim_start_matches("bytes=").split_once('-')?;
        // An upload of which nothing has arrived is `0-0` too: it begins anew.
        let last: u64 = last.parse().ok().filter(|last| *last > 0 && *last < size)?;
        Some((self.location(&answer).ok()?, last + 1))
    }

    fn send_whole(
        &self,
        blob: &Descriptor,
        source: &dyn BlobSource,
        location: &str,
    ) -> Result<BlobUpload, Failure> {
        let mut bytes = Vec::new();
        let opened = source.open(&blob.digest, 0).map_err(Failure::lasting)?;
        let read = opened.take(SMALL + 1).read_to_end(&mut bytes);
        read.map_err(Failure::lasting)?;
        let found = image_oci::digest_of(&bytes);
        if found != blob.digest {
            return Err(Failure::lasting(damaged(blob, &found)));
        }
        self.end(location, blob, &bytes)
    }

    pub(super) fn send_rest(
        &self,
        blob: &Descriptor,
        source: &dyn BlobSource,
        location: &str,
        from: u64,
    ) -> Result<BlobUpload, Failure> {
        let opened = source.open(&blob.digest, from).map_err(Failure::lasting)?;
        let mut rest = Hashed::new(opened.take(blob.size - from));
        // With its length said, the body is not sent in chunks: docker does so too.
        let length = (blob.size - from).to_string();
        let range = format!("{from}-{}", blob.size - 1);
        let mut headers = vec![
            ("Content-Type", "application/octet-stream"),
            ("Content-Length", length.as_str()),
        ];
        if from > 0 {
            headers.push(("Content-Range", range.as_str()));
        }
        let answer = self.send(
            "PATCH",
            location,
            &headers,
            SendBody::from_reader(&mut rest),
        )?;
        // ECR answers 201 where the specification has 202.
        if !matches!(answer.status().as_u16(), 201 | 202 | 204) {
            return Err(Failure::refused(&self.host, answer));
        }
        let (_, found, _) = rest.finish();
        if from == 0 && found != blob.digest {
            return Err(Failure::lasting(damaged(blob, &found)));
        }
        let location = self.location(&answer)?;
        self.end(&location, blob, &[])
    }

    /// Ends an upload, with its last bytes.
    fn end(&self, location: &str, blob: &Descriptor, bytes: &[u8]) -> Result<BlobUpload, Failure> {
        let sign = if location.contains('?') { '&' } else { '?' };
        let end = format!("{location}{sign}digest={}", blob.digest);
        let length = bytes.len().to_string();
        let headers = [
            ("Content-Type", "application/octet-stream"),
            ("Content-Length", length.as_str()),
        ];
        let mut reader = Cursor::new(bytes);
        let done = self.send("PUT", &end, &headers, SendBody::from_reader(&mut reader))?;
        match done.status().as_u16() {
            201 | 204 => Ok(BlobUpload::Sent),
            _ => Err(Failure::refused(&self.host, done)),
        }
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
}

/// In the chain of an error: a blob is not what its digest says.
#[derive(Debug)]
pub struct Damaged {
    /// The digest that it should have.
    pub digest: String,
}

impl std::fmt::Display for Damaged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "blob {} is damaged", self.digest)
    }
}

impl std::error::Error for Damaged {}

fn damaged(blob: &Descriptor, found: &str) -> anyhow::Error {
    let digest = blob.digest.clone();
    anyhow::Error::new(Damaged { digest }).context(format!("its bytes have the digest {found}"))
}
