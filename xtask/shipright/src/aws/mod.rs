//! The only room that talks to AWS's APIs: [`Reader`] looks, [`Writer`] changes.
//!
//! Architecture Invariant: a plan is made with a `Reader` alone, so planning cannot change anything.
//!
//! The SDK has no read timeout of its own: a server that accepts and never answers would hold it for ever. Every client
//! here has an attempt and an operation timeout.

mod apprunner;
mod calls;
mod ecr;
mod ecr_images;
mod ecr_lifecycle;
mod ecs;
mod eks;
mod error;
mod lambda;
mod lambda_images;
mod pace;
mod scan;
mod sts;

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_ecr::config::Credentials;
use aws_smithy_http_client::{Builder as HttpClient, tls};
use calls::Told;
use pace::Pace;
use tokio::runtime::Runtime;

use crate::{
    model::registry::Ecr,
    registry::{Login, Memory},
};

pub use apprunner::Service;
pub use ecr_images::NotDeleted;
pub use ecs::{ClusterImages, REVISIONS};
pub use lambda::Refusal;
pub use lambda_images::KnownVersions;
pub use scan::{Order, Scan};
pub use sts::Identity;

/// How AWS is reached.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The account that is meant: the caller's own may be another.
    pub account: String,
    /// The region.
    pub region: String,
    /// The profile, if not the usual one.
    pub profile: Option<String>,
    /// Whose ECR is meant, if not that of the account and region.
    pub ecr: Option<Ecr>,
    /// A local stand-in's address. The SDK reads `AWS_ENDPOINT_URL` by itself.
    pub endpoint: Option<String>,
    /// Whether to sign with dummy keys, which a stand-in takes.
    pub dummy_credentials: bool,
}

impl Connection {
    /// The SDK's configuration, and what its calls run on.
    ///
    /// # Errors
    /// A runtime that cannot start.
    pub fn sdk(&self) -> Result<(Runtime, SdkConfig)> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("failed to start tokio")?;
        let shared = runtime.block_on(self.load(&self.region, self.profile.as_deref()));
        Ok((runtime, shared))
    }

    /// The SDK's configuration for a region and a profile.
    async fn load(&self, region: &str, profile: Option<&str>) -> SdkConfig {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(5))
            .operation_attempt_timeout(Duration::from_secs(15))
            .operation_timeout(Duration::from_mins(1))
            .build();
        let https = HttpClient::new()
            .tls_provider(tls::Provider::Rustls(
                tls::rustls_provider::CryptoMode::Ring,
            ))
            .build_https();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(Told(https))
            .region(Region::new(region.to_owned()))
            .retry_config(RetryConfig::standard().with_max_attempts(4))
            .timeout_config(timeouts);
        if let Some(profile) = profile {
            loader = loader.profile_name(profile);
        }
        if let Some(endpoint) = &self.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        if self.dummy_credentials {
            loader = loader.credentials_provider(Credentials::new(
                DUMMY_KEY, DUMMY_KEY, None, None, "sandbox",
            ));
        }
        loader.load().await
    }
}

/// Clients for one account and region.
pub struct Aws {
    runtime: Runtime,
    /// Who is calling, once AWS has said so.
    identity: Mutex<Option<Identity>>,
    /// The registry's login, once there is one: it is good for longer than any run.
    login: Mutex<Option<Login>>,
    /// When the next tag may be written.
    tagging: Pace,
    /// What was read of its repositories.
    memory: Memory,
    /// The account whose repositories are meant.
    account: String,
    apprunner: aws_sdk_apprunner::Client,
    cloudwatch: aws_sdk_cloudwatch::Client,
    ecr: aws_sdk_ecr::Client,
    ecs: aws_sdk_ecs::Client,
    eks: aws_sdk_eks::Client,
    eventbridge: aws_sdk_eventbridge::Client,
    lambda: aws_sdk_lambda::Client,
    scheduler: aws_sdk_scheduler::Client,
    sts: aws_sdk_sts::Client,
}

/// The half of [`Aws`] that looks.
#[derive(Clone, Copy)]
pub struct Reader<'a>(&'a Aws);

/// The half of [`Aws`] that changes.
#[derive(Clone, Copy)]
pub struct Writer<'a>(&'a Aws);

/// How long a function may take to answer. Source: Lambda's longest timeout is 15 minutes.
fn patient() -> TimeoutConfig {
    const LONGEST: Duration = Duration::from_mins(15);
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(5))
        .read_timeout(LONGEST)
        .operation_attempt_timeout(LONGEST)
        .operation_timeout(LONGEST)
        .build()
}

/// The keys that a local stand-in is called with. Not twelve digits: ministack takes such a key for an account.
pub const DUMMY_KEY: &str = "sandbox";

/// What is there, or what is found now. Who asks meanwhile waits for the answer.
fn once<T: Clone>(place: &Mutex<Option<T>>, find: impl FnOnce() -> Result<T>) -> Result<T> {
    let mut known = place.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = &*known {
        return Ok(known.clone());
    }
    Ok(known.insert(find()?).clone())
}

impl Aws {
    /// Prepares clients. Nothing is sent yet.
    ///
    /// # Errors
    /// A runtime that cannot start.
    pub fn connect(connection: &Connection) -> Result<Self> {
        let (runtime, shared) = connection.sdk()?;
        let apprunner = aws_sdk_apprunner::Client::new(&shared);
        let cloudwatch = aws_sdk_cloudwatch::Client::new(&shared);
        let ecr = ecr::client(&runtime, connection, &shared);
        let ecs = aws_sdk_ecs::Client::new(&shared);
        let eks = aws_sdk_eks::Client::new(&shared);
        let eventbridge = aws_sdk_eventbridge::Client::new(&shared);
        let lambda = aws_sdk_lambda::Client::new(&shared);
        let scheduler = aws_sdk_scheduler::Client::new(&shared);
        let sts = aws_sdk_sts::Client::new(&shared);
        Ok(Self {
            runtime,
            identity: Mutex::default(),
            login: Mutex::default(),
            tagging: Pace::default(),
            memory: Memory::default(),
            account: connection
                .ecr
                .as_ref()
                .map_or(&connection.account, |ecr| &ecr.account)
                .clone(),
            apprunner,
            cloudwatch,
            ecr,
            ecs,
            eks,
            eventbridge,
            lambda,
            scheduler,
            sts,
        })
    }

    /// What was read of its repositories, for those who read them by the registry protocol.
    pub fn memory(&self) -> Memory {
        self.memory.clone()
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
