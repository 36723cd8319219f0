//! Speaks the registry protocol. The architecture of an image stands in its config blob: no call of ECR's own API tells it.
//!
//! Source: the OCI distribution specification, "Pull" and "Push".
//!
//! Compared with `oci-client` 0.18: it is async, over `reqwest` with a TLS configuration of its own beside the SDK's, and brings
//! 40 crates that nothing else here needs. It reads manifests and tokens without a bound, asks any realm that the registry
//! names for a token, also over plain HTTP, for one repository at a time (a mount needs two), and tries nothing again. All of
//! that is what this client exists for.

mod access;
mod failure;
mod reference;
mod write;

use std::{
    io::Read,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use image_oci::{IMAGE_INDEX_TYPES, IMAGE_MANIFEST_TYPES, Manifest, digest_of, is_digest};
use ureq::{
    Agent,
    tls::{Certificate, RootCerts, TlsConfig},
};

pub use access::{Actions, Login};
use failure::Failure;
pub use failure::NoAnswer;
pub use reference::{Reference, is_loopback};

/// The most bytes that a manifest or config may have. Real ones have a few thousand; registries take 4 MiB.
pub const CONFIG_LIMIT: u64 = 4 * 1024 * 1024;

/// A registry and how to get in.
pub struct Registry {
    agent: Agent,
    host: String,
    base: String,
    authorization: Mutex<Option<String>>,
    /// What a token is asked for, again where it has run out: some live for a minute.
    scope: Option<(Vec<String>, Actions)>,
}

impl Registry {
    /// Prepares to speak with `host` as somebody, by HTTP's own login: that is how ECR takes its token. Plain HTTP is
    /// spoken with this machine only, as docker does.
    pub fn new(host: &str, login: Option<&Login>) -> Self {
        let authorization = Mutex::new(login.map(Login::basic));
        Self {
            agent: agent(),
            host: host.to_owned(),
            base: base(host),
            authorization,
            scope: None,
        }
    }

    /// Prepares to speak with any registry: with the login that docker has for it, and without one where docker has none.
    /// A registry that hands out tokens is asked for one for these repositories.
    ///
    /// # Errors
    /// A registry that cannot be reached or gives no token, or a login of docker's that cannot be read.
    pub fn open(host: &str, repositories: &[&str], actions: Actions) -> Result<Self> {
        let mut registry = Self::new(host, None);
        registry.scope = Some((
            repositories.iter().map(|name| (*name).to_owned()).collect(),
            actions,
        ));
        registry.authorize()?;
        Ok(registry)
    }

    fn authorize(&self) -> Result<()> {
        let Some((repositories, right)) = &self.scope else {
            return Ok(());
        };
        let header =
            access::authorization(&self.agent, &self.host, &self.base, repositories, *right)?;
        *self
            .authorization
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = header;
        Ok(())
    }

    fn authorization(&self) -> Option<String> {
        self.authorization
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The bytes of a blob, checked against its digest. ECR answers with a redirect to signed storage, which must not be
    /// sent our password: the client drops the header there.
    ///
    /// # Errors
    /// A registry that cannot be reached or refuses, more bytes than `limit`, or bytes of another digest.
    pub fn blob(&self, repository: &str, digest: &str, limit: u64) -> Result<Vec<u8>> {
        if !is_digest(digest) {
            bail!(
                "`{}` is no digest: write `sha256:` and 64 hexadecimal digits",
                digest.escape_debug()
            );
        }
        let about = format!("blob {digest} of `{repository}`");
        let bytes = self.small(
            &format!("{repository}/blobs/{digest}"),
            "*/*",
            limit,
            &format!("read {about}"),
        )?;
        if digest_of(&bytes) != digest {
            bail!("{about} has the digest {}", digest_of(&bytes));
        }
        Ok(bytes)
    }

    /// The config of an image.
    ///
    /// # Errors
    /// As for [`Registry::blob`], and a manifest without a config, or one that claims more bytes than any real one has.
    pub fn config(&self, repository: &str, manifest: &Manifest) -> Result<Vec<u8>> {
        let config = manifest.config()?;
        if config.size > CONFIG_LIMIT {
            let size = config.size;
            bail!(
                "the image's config claims {size} bytes: no real one has more than {CONFIG_LIMIT}"
            );
        }
        self.blob(repository, &config.digest, CONFIG_LIMIT)
    }

    /// A manifest or index, by tag or digest. The caller checks a digest.
    ///
    /// # Errors
    /// A registry that cannot be reached or refuses, or more bytes than a manifest may have.
    pub fn manifest(&self, repository: &str, reference: &str) -> Result<Vec<u8>> {
        let accepted = IMAGE_MANIFEST_TYPES
            .into_iter()
            .chain(IMAGE_INDEX_TYPES)
            .collect::<Vec<_>>()
            .join(", ");
        let about = format!("read manifest `{reference}` of `{repository}`");
        self.small(
            &format!("{repository}/manifests/{reference}"),
            &accepted,
            CONFIG_LIMIT,
            &about,
        )
    }

    /// A blob as a stream. The caller checks its digest.
    ///
    /// # Errors
    /// A registry that cannot be reached or refuses.
    pub fn stream(&self, repository: &str, digest: &str) -> Result<impl Read + Send + use<>> {
        let about = format!("read blob {digest} of `{repository}`");
        let body = self.retried(&about, || {
            self.get(&format!("{repository}/blobs/{digest}"), "*/*")
        })?;
        Ok(body.into_reader())
    }

    fn small(&self, path: &str, accept: &str, limit: u64, about: &str) -> Result<Vec<u8>> {
        self.retried(about, || {
            let mut bytes = Vec::new();
            let read = self
                .get(path, accept)?
                .into_reader()
                .take(limit + 1)
                .read_to_end(&mut bytes)
                .context("the answer broke off");
            read.map_err(Failure::passing)?;
            if bytes.len() as u64 > limit {
                return Err(Failure::lasting(anyhow!("it has more than {limit} bytes")));
            }
            Ok(bytes)
        })
    }

    fn retried<T>(&self, about: &str, attempt: impl Fn() -> Result<T, Failure>) -> Result<T> {
        let mut delays = [Duration::from_secs(1), Duration::from_secs(3)].into_iter();
        let mut renewed = self.scope.is_none();
        loop {
            let failure = match attempt() {
                Ok(done) => return Ok(done),
                Err(failure) => failure,
            };
            if failure.unauthorized && !renewed {
                renewed = true;
                self.authorize()?;
                continue;
            }
            match delays.next() {
                Some(delay) if failure.transient => std::thread::sleep(delay),
                _ => return Err(failure.told(format!("failed to {about}, at {}", self.base))),
            }
        }
    }

    fn get(&self, path: &str, accept: &str) -> Result<ureq::Body, Failure> {
        let url = format!("{}/{path}", self.base);
        let mut request = self.agent.get(&url).header("Accept", accept);
        if let Some(authorization) = self.authorization() {
            request = request.header("Authorization", authorization);
        }
        let answer = request.call().map_err(Failure::passing)?;
        if answer.status() == 200 {
            Ok(answer.into_body())
        } else {
            Err(Failure::refused(&self.host, answer))
        }
    }
}

fn base(host: &str) -> String {
    let scheme = if is_loopback(host) { "http" } else { "https" };
    format!("{scheme}://{host}/v2")
}

fn agent() -> Agent {
    let found = rustls_native_certs::load_native_certs();
    let roots: Vec<_> = found
        .certs
        .iter()
        .map(|der| Certificate::from_der(der.as_ref()).to_owned())
        .collect();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&roots))
        .unversioned_rustls_crypto_provider(provider)
        .build();
    Agent::config_builder()
        .tls_config(tls)
        .timeout_connect(Some(Duration::from_secs(5)))
        .timeout_recv_response(Some(Duration::from_secs(20)))
        // A layer may take long to come or go, but each part of it may not.
        .timeout_recv_body(Some(Duration::from_mins(30)))
        .timeout_send_body(Some(Duration::from_mins(30)))
        .http_status_as_error(false)
        .build()
        .new_agent()
}

#[cfg(test)]
mod tests;
