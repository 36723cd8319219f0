//! Reads blobs by the registry protocol. The architecture of an image stands in its config blob: no call of ECR's own API
//! tells it.
//!
//! Source: the OCI distribution specification, "Pulling blobs".

use std::{io::Read, str::FromStr, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use image_proof::digest_of;
use serde::Deserialize;
use ureq::{
    Agent,
    tls::{Certificate, RootCerts, TlsConfig},
};

use crate::{
    aws::Login,
    facts::published::{INDEXES, SINGLE_MANIFESTS},
    policy::name,
};

/// The most bytes that a manifest or config may have. Real ones have a few thousand; registries take 4 MiB.
pub const CONFIG_LIMIT: u64 = 4 * 1024 * 1024;

/// A registry and how to get in.
pub struct Registry {
    agent: Agent,
    base: String,
    authorization: Option<String>,
}

impl Registry {
    /// Prepares to read from `host`. Plain HTTP is spoken with this machine only, as docker does.
    pub fn new(host: &str, login: Option<&Login>) -> Self {
        let found = rustls_native_certs::load_native_certs();
        let roots: Vec<_> = found.certs.iter().map(|der| Certificate::from_der(der.as_ref()).to_owned()).collect();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&roots))
            .unversioned_rustls_crypto_provider(provider)
            .build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .timeout_connect(Some(Duration::from_secs(5)))
            .timeout_recv_response(Some(Duration::from_secs(20)))
            // A layer may take long to come, but each part of it may not.
            .timeout_recv_body(Some(Duration::from_mins(30)))
            .http_status_as_error(false)
            .build()
            .new_agent();
        let scheme = if is_loopback(host) { "http" } else { "https" };
        let credentials = login.map(|login| BASE64_STANDARD.encode(format!("{}:{}", login.user, login.password())));
        Self { agent, base: format!("{scheme}://{host}/v2"), authorization: credentials.map(|text| format!("Basic {text}")) }
    }

    /// Prepares to read a public repository. Many registries want a token even for these, and give it to anyone.
    ///
    /// # Errors
    /// A registry that cannot be reached, or gives no token.
    pub fn anonymous(host: &str, repository: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Token {
            #[serde(alias = "access_token")]
            token: String,
        }
        let mut registry = Self::new(host, None);
        let url = format!("{}/", registry.base);
        let answer = registry.agent.get(&url).call().with_context(|| format!("failed to reach the registry `{host}`"))?;
        let challenge = answer.headers().get("www-authenticate").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let Some(challenge) = challenge.strip_prefix("Bearer ").filter(|_| answer.status() == 401) else { return Ok(registry) };
        let field = |name: &str| {
            let fields = challenge.split(',').filter_map(|field| field.trim().split_once('='));
            fields.filter(|(key, _)| *key == name).map(|(_, value)| value.trim_matches('"').to_owned()).next()
        };
        let realm = field("realm").filter(|realm| realm.starts_with("https://"));
        let realm = realm.with_context(|| format!("the registry `{host}` names no place to get a token"))?;
        let mut request = registry.agent.get(&realm).query("scope", format!("repository:{repository}:pull"));
        if let Some(service) = field("service") {
            request = request.query("service", service);
        }
        let text = request.call().and_then(|mut answer| answer.body_mut().read_to_string());
        let text = text.with_context(|| format!("failed to get a token for `{host}/{repository}`"))?;
        let token: Token = serde_json::from_str(&text).with_context(|| format!("`{realm}` gave no token"))?;
        registry.authorization = Some(format!("Bearer {}", token.token));
        Ok(registry)
    }

    /// The bytes of a blob, checked against its digest. ECR answers with a redirect to signed storage, which must not be
    /// sent our password: the client drops the header there.
    ///
    /// # Errors
    /// A registry that cannot be reached or refuses, more bytes than `limit`, or bytes of another digest.
    pub fn blob(&self, repository: &str, digest: &str, limit: u64) -> Result<Vec<u8>> {
        let about = format!("blob {digest} of `{repository}`");
        let bytes = self.small(&format!("{repository}/blobs/{digest}"), "*/*", limit, &about)?;
        if digest_of(&bytes) != digest {
            bail!("{about} has the digest {}", digest_of(&bytes));
        }
        Ok(bytes)
    }

    /// A manifest or index, by tag or digest. The caller checks a digest.
    ///
    /// # Errors
    /// A registry that cannot be reached or refuses, or more bytes than a manifest may have.
    pub fn manifest(&self, repository: &str, reference: &str) -> Result<Vec<u8>> {
        let accepted = SINGLE_MANIFESTS.into_iter().chain(INDEXES).collect::<Vec<_>>().join(", ");
        let about = format!("manifest `{reference}` of `{repository}`");
        self.small(&format!("{repository}/manifests/{reference}"), &accepted, CONFIG_LIMIT, &about)
    }

    /// A blob as a stream. The caller checks its digest.
    ///
    /// # Errors
    /// A registry that cannot be reached or refuses.
    pub fn stream(&self, repository: &str, digest: &str) -> Result<impl Read + Send + use<>> {
        let about = format!("blob {digest} of `{repository}`");
        let body = self.retried(&about, || self.get(&format!("{repository}/blobs/{digest}"), "*/*"))?;
        Ok(body.into_reader())
    }

    fn small(&self, path: &str, accept: &str, limit: u64, about: &str) -> Result<Vec<u8>> {
        self.retried(about, || {
            let mut bytes = Vec::new();
            let read =
                self.get(path, accept)?.into_reader().take(limit + 1).read_to_end(&mut bytes).context("the answer broke off");
            read.map_err(|error| Failure { transient: true, error })?;
            if bytes.len() as u64 > limit {
                return Err(Failure { transient: false, error: anyhow::anyhow!("it has more than {limit} bytes") });
            }
            Ok(bytes)
        })
    }

    fn retried<T>(&self, about: &str, attempt: impl Fn() -> Result<T, Failure>) -> Result<T> {
        let mut delays = [Duration::from_secs(1), Duration::from_secs(3)].into_iter();
        loop {
            match (attempt(), delays.next()) {
                (Ok(done), _) => return Ok(done),
                (Err(failure), Some(delay)) if failure.transient => std::thread::sleep(delay),
                (Err(failure), _) => {
                    return Err(failure.error.context(format!("failed to read {about} from {}", self.base)));
                }
            }
        }
    }

    fn get(&self, path: &str, accept: &str) -> Result<ureq::Body, Failure> {
        let url = format!("{}/{path}", self.base);
        let mut request = self.agent.get(&url).header("Accept", accept);
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        let answer = request.call().map_err(|error| Failure { transient: true, error: error.into() })?;
        let status = answer.status().as_u16();
        if status != 200 {
            let transient = status == 429 || status >= 500;
            return Err(Failure { transient, error: anyhow::anyhow!("the registry answered HTTP {status}") });
        }
        Ok(answer.into_body())
    }
}

struct Failure {
    transient: bool,
    error: anyhow::Error,
}

/// An image's place in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The registry's host, with a port where it has one.
    pub host: String,
    /// The repository.
    pub repository: String,
    /// The tag or digest.
    pub tag: String,
}

impl Reference {
    /// The region, for a private registry of ECR.
    pub fn ecr_region(&self) -> Option<String> {
        let parts: Vec<_> = self.host.split('.').collect();
        match parts.as_slice() {
            [account, "dkr", "ecr", region, "amazonaws", "com", ..] if name::is_account(account) => Some((*region).to_owned()),
            _ => None,
        }
    }
}

impl FromStr for Reference {
    type Err = String;

    /// Reads a reference as docker does: without a host it is Docker Hub's, without a tag it is `latest`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, digest) = text.split_once('@').map_or((text, None), |(name, digest)| (name, Some(digest)));
        let is_host = |first: &str| first.contains(['.', ':']) || first == "localhost";
        let (host, path) = match name.split_once('/') {
            Some((first, rest)) if is_host(first) => (first, rest),
            _ => ("registry-1.docker.io", name),
        };
        let (path, tag) = path.rsplit_once(':').unwrap_or((path, "latest"));
        let hub = host == "registry-1.docker.io" || host == "docker.io";
        let repository = if hub && !path.contains('/') { format!("library/{path}") } else { path.to_owned() };
        if !repository.split('/').all(name::is_repository_part) {
            return Err(format!("`{}` is no repository", repository.escape_debug()));
        }
        let is_digest = |digest: &str| {
            digest.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
        };
        if digest.is_some_and(|digest| !is_digest(digest)) {
            return Err("the digest is not `sha256:` and 64 hexadecimal digits".to_owned());
        }
        if tag.is_empty()
            || !name::is_tag_prefix(tag)
            || !host.bytes().all(|b| b.is_ascii_alphanumeric() || b".:-[]".contains(&b))
        {
            return Err("the host or tag is not legal".to_owned());
        }
        let host = if hub { "registry-1.docker.io" } else { host };
        Ok(Self { host: host.to_owned(), repository, tag: digest.unwrap_or(tag).to_owned() })
    }
}

/// Whether a host, with or without a port, is this machine.
pub fn is_loopback(host: &str) -> bool {
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit())).map_or(host, |(name, _)| name);
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_as_docker_reads_them() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let cases = [
            ("python", "registry-1.docker.io", "library/python", "latest"),
            ("python:3.13-slim", "registry-1.docker.io", "library/python", "3.13-slim"),
            ("docker.io/team/app", "registry-1.docker.io", "team/app", "latest"),
            ("public.ecr.aws/lambda/python:3.13", "public.ecr.aws", "lambda/python", "3.13"),
            ("localhost:5000/a/b:c", "localhost:5000", "a/b", "c"),
            (&format!("localhost/a:c@{digest}"), "localhost", "a", &digest),
        ];
        for (text, host, repository, tag) in cases {
            let expected = Reference { host: host.into(), repository: repository.into(), tag: tag.into() };
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for text in ["", "A", "a b", "-x", "a@sha256:12", "a:", "ex ample.com/a", "host.io//a"] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
        let ecr: Reference = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/a".parse().unwrap();
        assert_eq!(ecr.ecr_region().as_deref(), Some("eu-west-1"));
    }

    #[test]
    fn only_this_machine_is_spoken_to_without_encryption() {
        for host in ["localhost", "localhost:4566", "127.0.0.1:1", "127.1.2.3", "[::1]:5000"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["111122223333.dkr.ecr.eu-west-1.amazonaws.com", "localhost.example.com", "10.0.0.1:80", "128.0.0.1"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
