//! The only room that talks to AWS's APIs: [`Reader`] looks, [`Writer`] changes.
//!
//! Architecture Invariant: a plan is made with a `Reader` alone, so planning cannot change anything.
//!
//! The SDK has no read timeout of its own: a server that accepts and never answers would hold it for ever. Every client
//! here has an attempt and an operation timeout.

mod error;
mod reader;
mod writer;

use std::time::Duration;

use anyhow::{Context, Result};
use aws_config::{BehaviorVersion, Region, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_ecr::config::Credentials;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use tokio::runtime::Runtime;

pub use reader::Reader;
pub use writer::Writer;

/// How AWS is reached.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The account whose registry is meant: the caller's own may be another.
    pub account: String,
    /// The region.
    pub region: String,
    /// The profile, if not the usual one.
    pub profile: Option<String>,
    /// A local stand-in's address. The SDK reads `AWS_ENDPOINT_URL` by itself.
    pub endpoint: Option<String>,
    /// Whether to sign with dummy keys, which a stand-in takes.
    pub dummy_credentials: bool,
}

/// Clients for one account and region.
pub struct Aws {
    runtime: Runtime,
    account: String,
    ecr: aws_sdk_ecr::Client,
    eks: aws_sdk_eks::Client,
    lambda: aws_sdk_lambda::Client,
    sts: aws_sdk_sts::Client,
}

/// The keys that a local stand-in is called with. Not twelve digits: ministack takes such a key for an account.
pub const DUMMY_KEY: &str = "sandbox";

/// The user name and password of a registry.
pub struct Login {
    /// `AWS`, for ECR.
    pub user: String,
    password: String,
}

impl Login {
    /// The password itself. It goes to a program's standard input or into a header, and nowhere else.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// Takes ECR's token apart: base64 of `AWS:password`.
    ///
    /// # Errors
    /// A token of another form; the token is not in the message.
    fn from_token(token: &str) -> Result<Self> {
        let bytes = BASE64_STANDARD.decode(token).ok().context("ECR's authorization token is not base64")?;
        let text = String::from_utf8(bytes).ok().context("ECR's authorization token is not text")?;
        let (user, password) = text.split_once(':').context("ECR's authorization token lacks a colon")?;
        Ok(Self { user: user.to_owned(), password: password.to_owned() })
    }
}

/// A password shows in no debug output.
impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

impl Aws {
    /// Prepares clients. Nothing is sent yet.
    ///
    /// # Errors
    /// A runtime that cannot start.
    pub fn connect(connection: &Connection) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("failed to start tokio")?;
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(5))
            .operation_attempt_timeout(Duration::from_secs(15))
            .operation_timeout(Duration::from_mins(1))
            .build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(connection.region.clone()))
            .retry_config(RetryConfig::standard().with_max_attempts(4))
            .timeout_config(timeouts);
        if let Some(profile) = &connection.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(endpoint) = &connection.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        if connection.dummy_credentials {
            loader = loader.credentials_provider(Credentials::new(DUMMY_KEY, DUMMY_KEY, None, None, "sandbox"));
        }
        let shared = runtime.block_on(loader.load());
        let ecr = aws_sdk_ecr::Client::new(&shared);
        let eks = aws_sdk_eks::Client::new(&shared);
        let lambda = aws_sdk_lambda::Client::new(&shared);
        let sts = aws_sdk_sts::Client::new(&shared);
        Ok(Self { runtime, account: connection.account.clone(), ecr, eks, lambda, sts })
    }

    /// The half that looks.
    pub fn reader(&self) -> Reader<'_> {
        Reader(self)
    }

    /// The half that changes.
    pub fn writer(&self) -> Writer<'_> {
        Writer(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_in_no_debug_output() {
        let login = Login::from_token(&BASE64_STANDARD.encode("AWS:hunter2")).unwrap();
        assert_eq!((login.user.as_str(), login.password()), ("AWS", "hunter2"));
        assert!(!format!("{login:?}").contains("hunter2"));
        assert!(!format!("{:#}", Login::from_token("AWS:hunter2").unwrap_err()).contains("hunter2"));
    }
}
