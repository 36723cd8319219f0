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
use ureq::{
    Body, SendBody,
    http::{Response, Uri},
};

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

/// How far an upload has come.
#[derive(Debug, Clone, Default)]
pub(super) enum Upload {
    /// Nothing has been sent.
    #[default]
    New,
    /// It goes on there.
    Begun(String),
    /// All of it has arrived, and it is ended there.
    Sent(String),
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
        let upload = RefCell::new(Upload::New);
        let about = format!("write blob {} to `{repository}`", blob.digest);
        self.retried(&about, repository, || {
            let mut upload = upload.borrow_mut();
            let outcome = self.put_attempt(repository, blob, source, mount, &mut upload);
            outcome.map_err(Failure::looked_after)
        })
    }

    fn put_attempt(
        &self,
        repository: &str,
        blob: &Descriptor,
        source: &dyn BlobSource,
        mount: Option<&str>,
        upload: &mut Upload,
    ) -> Result<BlobUpload, Failure> {
        let before = upload.clone();
        if !matches!(before, Upload::New) && self.has_blob_now(repository, &blob.digest)? {
            // An earlier attempt has arrived though its answer has not.
            return Ok(BlobUpload::Sent);
        }
        match before {
            Upload::Sent(location) => {
                *upload = Upload::New;
                return self.end_sent(blob, &location, upload);
            }
            Upload::Begun(location) => {
                *upload = Upload::New;
                if let Some((location, from)) = self.progress(&location, blob.size) {
                    return self.send_rest(blob, source, &location, from, upload);
                }
            }
            Upload::New => {}
        }
        let Some(location) = self.begin(repository, &blob.digest, mount)? else {
            return Ok(BlobUpload::Mounted);
        };
        *upload = Upload::Begun(location.clone());
        if blob.size <= SMALL {
            self.send_whole(blob, source, &location)
        } else {
            self.send_rest(blob, source, &location, 0, upload)
        }
    }

    /// Begins an upload, and returns where it goes on. `None` where the registry has the blob in the other repository, and names it
    /// in this one as well. A registry that does not let us do that gets the blob.
    fn begin(
        &self,
        repository: &str,
        digest: &str,
        mount: Option<&str>,
    ) -> Result<Option<String>, Failure> {
        let url = self.url(&format!("{repository}/blobs/uploads/"));
        let mounting = mount.map(|from| format!("{url}?mount={digest}&from={from}"));
        for url in mounting.iter().chain([&url]) {
            let answer = self.send("POST", url, &[], &[][..])?;
            match answer.status().as_u16() {
                201 => return Ok(None),
                202 => return self.location(&answer, url).map(Some),
                400..500 if Some(url) == mounting.as_ref() => {}
                _ => return Err(Failure::refused(&self.host, answer)),
            }
        }
        Err(Failure::lasting(anyhow!("the registry begins no upload")))
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
        Some((self.location(&answer, location).ok()?, last + 1))
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
        upload: &mut Upload,
    ) -> Result<BlobUpload, Failure> {
        if from == blob.size {
            return self.end_sent(blob, location, upload);
        }
        *upload = Upload::Begun(location.to_owned());
        let opened = source.open(&blob.digest, from).map_err(Failure::lasting)?;
        let mut rest = Hashed::new(Whole {
            left: blob.size - from,
            inner: opened,
            is_short: false,
        });
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
        let body = SendBody::from_reader(&mut rest);
        let answer = self.send("PATCH", location, &headers, body);
        let (whole, found, _) = rest.finish();
        if whole.is_short {
            let digest = blob.digest.clone();
            let error = anyhow::Error::new(Damaged { digest }).context("it ends before its end");
            return Err(Failure::lasting(error).begun_anew());
        }
        let answer = answer?;
        match answer.status().as_u16() {
            // ECR answers 201 where the specification has 202.
            201 | 202 | 204 => {}
            // It has another idea of what has arrived.
            416 if from > 0 => {
                *upload = Upload::New;
                return Err(Failure::refused(&self.host, answer).begun_anew());
            }
            _ => return Err(Failure::refused(&self.host, answer)),
        }
        if from == 0 && found != blob.digest {
            return Err(Failure::lasting(damaged(blob, &found)));
        }
        let location = self.location(&answer, location)?;
        self.end_sent(blob, &location, upload)
    }

    /// Ends an upload of which all has arrived. Where that fails for the moment, as for want of a newer token, the next attempt goes
    /// on here.
    fn end_sent(
        &self,
        blob: &Descriptor,
        location: &str,
        upload: &mut Upload,
    ) -> Result<BlobUpload, Failure> {
        *upload = Upload::Sent(location.to_owned());
        self.end(location, blob, &[]).map_err(|failure| {
            if failure.status != Some(404) {
                return failure;
            }
            // It knows nothing of the upload any more.
            *upload = Upload::New;
            failure.begun_anew()
        })
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

    /// Where an upload goes on, by the answer to a request for `url`. Only this registry is followed there: an answer must not send
    /// our login elsewhere.
    fn location(&self, answer: &Response<Body>, url: &str) -> Result<String, Failure> {
        let refused = |what: String| Failure::lasting(anyhow!(what));
        let found = answer
            .headers()
            .get("location")
            .and_then(|value| value.to_str().ok());
        let location = found
            .ok_or_else(|| refused("the registry named no place for the upload".to_owned()))?;
        let root = self.base.trim_end_matches("/v2");
        let whole = if location.contains("://") || location.starts_with("//") {
            location.to_owned()
        } else if location.starts_with('/') {
            format!("{root}{location}")
        } else {
            let path = url.split('?').next().unwrap_or(url);
            let directory = path
                .rsplit_once('/')
                .map_or(path, |(directory, _)| directory);
            format!("{directory}/{location}")
        };
        let is_there = origin(&whole).is_some_and(|place| Some(place) == origin(root));
        if is_there {
            Ok(whole)
        } else {
            Err(refused(format!(
                "the registry sends uploads elsewhere: `{}`",
                whole.escape_debug()
            )))
        }
    }
}

/// Whom an address leads to: scheme, host and port.
fn origin(url: &str) -> Option<(String, String, u16)> {
    let uri: Uri = url.parse().ok()?;
    let scheme = uri.scheme_str()?.to_ascii_lowercase();
    // A name before the host would be a login of somebody else's.
    let has_login = uri.authority()?.as_str().contains('@');
    let usual = if scheme == "https" { 443 } else { 80 };
    let host = uri.host().filter(|_| !has_login)?.to_ascii_lowercase();
    Some((scheme, host, uri.port_u16().unwrap_or(usual)))
}

/// A stream that has to have so many bytes: one that ends before is an error, and not an end.
struct Whole<R> {
    inner: R,
    left: u64,
    is_short: bool,
}

impl<R: Read> Read for Whole<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 || buffer.is_empty() {
            return Ok(0);
        }
        let most = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let read = self.inner.read(&mut buffer[..most])?;
        if read == 0 {
            self.is_short = true;
            let text = format!("the blob ends {} bytes before its end", self.left);
            return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, text));
        }
        self.left -= read as u64;
        Ok(read)
    }
}

/// In the chain of an error: a blob is not what its digest says, or is not there any more.
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
