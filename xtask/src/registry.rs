//! Reads blobs by the registry protocol. The architecture of an image stands in its config blob: no call of ECR's own API
//! tells it.
//!
//! Source: the OCI distribution specification, "Pulling blobs".

use std::{io::Read, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use ureq::{
    Agent,
    tls::{Certificate, RootCerts, TlsConfig},
};

use crate::{aws::Login, facts::published::sha256};

/// The most bytes that a config blob may have. Real ones have a few thousand.
pub const CONFIG_LIMIT: u64 = 4 * 1024 * 1024;

/// A registry and how to get in.
pub struct Registry {
    agent: Agent,
    base: String,
    authorization: String,
}

impl Registry {
    /// Prepares to read from `host`. Plain HTTP is spoken with this machine only, as docker does.
    pub fn new(host: &str, login: &Login) -> Self {
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
            .timeout_global(Some(Duration::from_mins(1)))
            .http_status_as_error(false)
            .build()
            .new_agent();
        let scheme = if is_loopback(host) { "http" } else { "https" };
        let credentials = BASE64_STANDARD.encode(format!("{}:{}", login.user, login.password()));
        Self { agent, base: format!("{scheme}://{host}/v2"), authorization: format!("Basic {credentials}") }
    }

    /// The bytes of a blob, checked against its digest. ECR answers with a redirect to signed storage, which must not be
    /// sent our password: the client drops the header there.
    ///
    /// # Errors
    /// A registry that cannot be reached or refuses, more bytes than `limit`, or bytes of another digest.
    pub fn blob(&self, repository: &str, digest: &str, limit: u64) -> Result<Vec<u8>> {
        let url = format!("{}/{repository}/blobs/{digest}", self.base);
        let attempts = [Duration::from_secs(1), Duration::from_secs(3)];
        let mut delays = attempts.into_iter();
        loop {
            let outcome = self.get(&url, limit);
            match (outcome, delays.next()) {
                (Ok(bytes), _) if sha256(&bytes) == digest => return Ok(bytes),
                (Ok(bytes), _) => bail!("blob {digest} of `{repository}` has the digest {}", sha256(&bytes)),
                (Err(failure), Some(delay)) if failure.transient => std::thread::sleep(delay),
                (Err(failure), _) => {
                    return Err(failure.error.context(format!("failed to read blob {digest} of `{repository}`")));
                }
            }
        }
    }

    fn get(&self, url: &str, limit: u64) -> Result<Vec<u8>, Failure> {
        let answer = self.agent.get(url).header("Authorization", &self.authorization).call();
        let mut answer = answer.map_err(|error| Failure { transient: true, error: error.into() })?;
        let status = answer.status().as_u16();
        if status != 200 {
            let transient = status == 429 || status >= 500;
            return Err(Failure { transient, error: anyhow::anyhow!("the registry answered HTTP {status}") });
        }
        let mut bytes = Vec::new();
        let read = answer.body_mut().as_reader().take(limit + 1).read_to_end(&mut bytes).context("the answer broke off");
        read.map_err(|error| Failure { transient: true, error })?;
        if bytes.len() as u64 > limit {
            return Err(Failure { transient: false, error: anyhow::anyhow!("it has more than {limit} bytes") });
        }
        Ok(bytes)
    }
}

struct Failure {
    transient: bool,
    error: anyhow::Error,
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
    fn only_this_machine_is_spoken_to_without_encryption() {
        for host in ["localhost", "localhost:4566", "127.0.0.1:1", "127.1.2.3", "[::1]:5000"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["111122223333.dkr.ecr.eu-west-1.amazonaws.com", "localhost.example.com", "10.0.0.1:80", "128.0.0.1"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
