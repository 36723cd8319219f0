//! An environment as a run reaches it.

use serde::Serialize;

use crate::{registry::Ecr, shell::quoted};

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
    /// Whose ECR the registry is. Nothing for a registry that is not ECR.
    pub ecr: Option<Ecr>,
    /// The profile of `~/.aws/config`, if not the usual one.
    pub profile: Option<String>,
    /// The address of a local stand-in for AWS.
    pub endpoint: Option<String>,
}

impl Place {
    /// What the AWS command line needs to reach this place.
    pub fn flags(&self) -> String {
        self.flags_of(&self.region, self.profile.as_deref())
    }

    /// What the AWS command line needs to reach the registry of this place, if it is ECR.
    pub fn ecr_flags(&self) -> Option<String> {
        let ecr = self.ecr.as_ref()?;
        let flags = self.flags_of(&ecr.region, ecr.profile.as_deref());
        let is_own = ecr.account == self.account;
        Some(if is_own {
            flags
        } else {
            format!("--registry-id {} {flags}", ecr.account)
        })
    }

    fn flags_of(&self, region: &str, profile: Option<&str>) -> String {
        let profile = profile.iter().map(|profile| quoted(["--profile", profile]));
        let endpoint = self
            .endpoint
            .iter()
            .map(|endpoint| quoted(["--endpoint-url", endpoint.as_str()]));
        [format!("--region {region}")]
            .into_iter()
            .chain(profile)
            .chain(endpoint)
            .collect::<Vec<_>>()
            .join(" ")
    }
}
