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
mod lookup;
mod memory;
mod reference;
mod referrers;
mod upload;
mod write;

use std::{
    collections::BTreeSet,
    io::Read,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, bail};
use image_oci::{Manifest, digest_of, is_digest};
use ureq::{
    Agent, Body, SendBody,
    http::Response,
    middleware::MiddlewareNext,
    tls::{Certificate, RootCerts, TlsConfig},
};

use crate::calls;

pub use access::{Actions, Login};
pub use failure::NoAnswer;
use failure::{Failure, persistently};
pub use memory::Memory;
pub use reference::{Reference, authority, is_local, is_loopback};
pub use referrers::{Attachment, Referrers};
pub use upload::{BlobSource, Damaged, InRepository};
pub use write::Sent;

/// How long is waited before what may pass is tried again.
const DELAYS: &[Duration] = &[Duration::from_secs(1), Duration::from_secs(3)];

/// The most bytes that a manifest or config may have. Real ones have a few thousand; registries take 4 MiB.
pub const CONFIG_LIMIT: u64 = 4 * 1024 * 1024;

/// What tokens are asked for.
struct Scope {
    /// A token is for the repositories that it was asked for, so this grows as they are come to.
    repositories: Mutex<BTreeSet<String>>,
    actions: Actions,
}

/// A registry and how to get in.
pub struct Registry {
    agent: Agent,
    host: String,
    base: String,
    authorization: Mutex<Option<String>>,
    /// What a token is asked for, again where it has run out: some live for a minute. `None` for HTTP's own login.
    scope: Option<Scope>,
    /// How long is waited before what has failed is tried again.
    delays: &'static [Duration],
    /// Held while a token is asked for, so that those who want the same one wait for it.
    renewal: Mutex<()>,
    /// What was read of it before.
    memory: Memory,
}

impl Registry {
    /// Prepares to speak with `host` as somebody, by HTTP's own login: that is how ECR takes its token. Plain HTTP is
    /// spoken with this machine only, as docker does.
    pub fn new(host: &str, login: Option<&Login>) -> Self {
        let authorization = Mutex::new(login.map(Login::basic));
        Self {
            agent: agent(is_loopback(host)).clone(),
            host: host.to_owned(),
            base: base(host),
            authorization,
            scope: None,
            delays: DELAYS,
            renewal: Mutex::default(),
            memory: Memory::default(),
        }
    }

    /// Forgets what was read before.
    pub fn forget(&self) {
        self.memory.forget();
    }

    /// The same with what somebody else has read, and reads.
    #[must_use]
    pub fn remembering(mut self, memory: Memory) -> Self {
        self.memory = memory;
        self
    }

    /// Prepares to speak with any registry: with the login that docker has for it, and without one where docker has none.
    /// A registry that hands out tokens is asked for one for these repositories.
    ///
    /// # Errors
    /// A registry that cannot be reached or gives no token, or a login of docker's that cannot be read.
    pub fn open(host: &str, repositories: &[&str], actions: Actions) -> Result<Self> {
        let registry = Self::with_docker_login(host, actions);
        if let Some(scope) = &registry.scope {
            let names = repositories.iter().map(|name| (*name).to_owned());
            scope.names().extend(names);
        }
        registry.authorize(None)?;
        Ok(registry)
    }

    /// The same, but nothing is sent before there is something to ask, and a token is for the repositories that come up.
    pub fn with_docker_login(host: &str, actions: Actions) -> Self {
        let mut registry = Self::new(host, None);
        let repositories = Mutex::default();
        registry.scope = Some(Scope {
            repositories,
            actions,
        });
        registry
    }

    /// The same, but what fails is not tried again: for what one can do without.
    #[must_use]
    pub fn impatient(mut self) -> Self {
        self.delays = &[];
        self
    }

    /// Sees to it that what is said next of a repository is said with a token for it.
    fn cover(&self, repository: &str) -> Result<()> {
        let Some(scope) = &self.scope else {
            return Ok(());
        };
        let _renewal = self.renewal.lock().unwrap_or_else(PoisonError::into_inner);
        // The guard must be gone before the token is asked for, which wants the names.
        let is_new = scope.names().insert(repository.to_owned());
        if is_new { self.authorize(None) } else { Ok(()) }
    }

    /// Gets a newer login, unless somebody has done so since `before`. `challenge` is what a refusal asked for.
    fn renew(&self, before: Option<&String>, challenge: Option<&str>) -> Result<()> {
        let _renewal = self.renewal.lock().unwrap_or_else(PoisonError::into_inner);
        if self.authorization().as_ref() == before {
            self.authorize(challenge)?;
        }
        Ok(())
    }

    fn authorize(&self, challenge: Option<&str>) -> Result<()> {
        let Some(scope) = &self.scope else {
            return Ok(());
        };
        let repositories: Vec<_> = scope.names().iter().cloned().collect();
        let actions = scope.actions;
        let header = access::authorization(self, &repositories, actions, challenge)?;
        *self
            .authorization
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = header;
        Ok(())
    }

    /// The registry's host, with a port where it has one.
    pub fn host(&self) -> &str {
        &self.host
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
        let known = self.memory.blob(repository, digest);
        if let Some(known) = known.filter(|known| known.len() as u64 <= limit) {
            return Ok(known);
        }
        let about = format!("blob {digest} of `{repository}`");
        let (rest, what) = (format!("blobs/{digest}"), format!("read {about}"));
        let bytes = self.small((repository, &rest), "*/*", limit, &what)?;
        if digest_of(&bytes) != digest {
            bail!("{about} has the digest {}", digest_of(&bytes));
        }
        self.memory.keep_blob(repository, digest, &bytes);
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
        if let Some(known) = self.memory.manifest(repository, reference) {
            return Ok(known.bytes.into_bytes());
        }
        let about = format!("read manifest `{reference}` of `{repository}`");
        let accepted = lookup::manifest_types();
        let rest = format!("manifests/{reference}");
        self.small((repository, &rest), &accepted, CONFIG_LIMIT, &about)
    }

    /// A blob as a stream. The caller checks its digest.
    ///
    /// # Errors
    /// A registry that cannot be reached or refuses.
    pub fn stream(&self, repository: &str, digest: &str) -> Result<impl Read + Send + use<>> {
        let about = format!("read blob {digest} of `{repository}`");
        let body = self.retried(&about, repository, || {
            self.get(&format!("{repository}/blobs/{digest}"), "*/*")
        })?;
        Ok(body.into_reader())
    }

    fn small(
        &self,
        (repository, rest): (&str, &str),
        accept: &str,
        limit: u64,
        about: &str,
    ) -> Result<Vec<u8>> {
        self.retried(about, repository, || {
            limited(self.get(&format!("{repository}/{rest}"), accept)?, limit)
        })
    }

    fn retried<T>(
        &self,
        about: &str,
        repository: &str,
        attempt: impl Fn() -> Result<T, Failure>,
    ) -> Result<T> {
        self.cover(repository)?;
        let before = self.authorization();
        let mut outcome = persistently(self.delays, &attempt);
        if let Err(failure) = &outcome
            && failure.unauthorized
            && self.scope.is_some()
        {
            self.renew(before.as_ref(), failure.challenge.as_deref())?;
            outcome = persistently(self.delays, &attempt);
        }
        outcome.map_err(|failure| failure.told(format!("failed to {about}, at {}", self.base)))
    }

    fn get(&self, path: &str, accept: &str) -> Result<ureq::Body, Failure> {
        let answer = self.call(path, accept)?;
        if answer.status() == 200 {
            Ok(answer.into_body())
        } else {
            Err(Failure::refused(&self.host, answer))
        }
    }

    fn call(&self, path: &str, accept: &str) -> Result<Response<ureq::Body>, Failure> {
        let url = format!("{}/{path}", self.base);
        let mut request = self.agent.get(&url).header("Accept", accept);
        if let Some(authorization) = self.authorization() {
            request = request.header("Authorization", authorization);
        }
        request.call().map_err(Failure::of_connection)
    }
}

impl Scope {
    fn names(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.repositories
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The whole of an answer, if it is no longer than this many bytes.
fn limited(body: ureq::Body, limit: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = body.into_reader().take(limit + 1).read_to_end(&mut bytes);
    read.map_err(Failure::of_connection)?;
    if bytes.len() as u64 > limit {
        return Err(Failure::lasting(anyhow!("it has more than {limit} bytes")));
    }
    Ok(bytes)
}

fn base(host: &str) -> String {
    let host = if host == reference::HUB_NAME {
        reference::HUB
    } else {
        host
    };
    let scheme = if is_loopback(host) { "http" } else { "https" };
    format!("{scheme}://{host}/v2")
}

/// One client for the whole run: connections are kept, and certificates are read once. This machine has one of its own, which goes
/// through no proxy: plain HTTP must not leave it.
fn agent(is_local: bool) -> &'static Agent {
    static LOCAL: OnceLock<Agent> = OnceLock::new();
    static REMOTE: OnceLock<Agent> = OnceLock::new();
    let place = if is_local { &LOCAL } else { &REMOTE };
    place.get_or_init(|| new_agent(SILENCE, is_local))
}

/// A connection on which not a byte moves for so long is given up, in whichever direction. How long the whole takes has no bound:
/// a layer may be large and a line slow.
const SILENCE: Duration = Duration::from_mins(1);

fn new_agent(silence: Duration, is_local: bool) -> Agent {
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
    let config = Agent::config_builder()
        .tls_config(tls)
        .timeout_connect(Some(Duration::from_secs(5)))
        .timeout_per_read(Some(silence))
        .timeout_per_write(Some(silence))
        .http_status_as_error(false);
    let config = if is_local { config.proxy(None) } else { config };
    config.middleware(tell).build().new_agent()
}

/// Tells of a request. Where an upload goes on may have anything in its query.
fn tell(
    request: ureq::http::Request<SendBody<'_>>,
    next: MiddlewareNext<'_>,
) -> Result<Response<Body>, ureq::Error> {
    let uri = request.uri();
    let name = format!(
        "{} {}{}",
        request.method(),
        uri.authority().map_or("", |authority| authority.as_str()),
        uri.path()
    );
    let began = Instant::now();
    let answer = next.handle(request);
    match &answer {
        Ok(answer) => calls::ended(
            name,
            began,
            format_args!("HTTP {}", answer.status().as_u16()),
        ),
        Err(error) => calls::ended(name, began, error),
    }
    answer
}

#[cfg(test)]
mod odd_registries;
#[cfg(test)]
mod tests;
