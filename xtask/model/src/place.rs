//! An environment as a run reaches it.

use serde::Serialize;

use crate::shell::quoted;

/// An environment as this run reaches it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Place {
    /// The environment's name.
    pub environment: String,
    /// The AWS account.
    pub account: String,
    /// The AWS region.
    pub region: String,
    /// The registry's host, with a port where it has one.
    pub registry: String,
    /// The profile of `~/.aws/config`, if not the usual one.
    pub profile: Option<String>,
    /// The address of a local stand-in for AWS.
    pub endpoint: Option<String>,
}

impl Place {
    /// What the AWS command line needs to reach this place.
    pub fn flags(&self) -> String {
        let profile = self
            .profile
            .iter()
            .map(|profile| quoted(["--profile", profile.as_str()]));
        let endpoint = self
            .endpoint
            .iter()
            .map(|endpoint| quoted(["--endpoint-url", endpoint.as_str()]));
        [format!("--region {}", self.region)]
            .into_iter()
            .chain(profile)
            .chain(endpoint)
            .collect::<Vec<_>>()
            .join(" ")
    }
}
