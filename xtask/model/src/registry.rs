//! Where images are kept, if not in the ECR of the environment's own account and region.

use serde::Serialize;

use crate::{config::fill, name};

/// A registry that deploy.toml names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct NamedRegistry {
    /// The host, with a port where it has one; `{region}` is filled in.
    pub host: String,
    /// What stands before each repository's name, without slashes at its ends; empty for nothing.
    pub path: String,
    /// The profile of `~/.aws/config` for ECR there, if not the environment's.
    pub profile: Option<String>,
}

/// A private registry of ECR.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Ecr {
    /// Twelve digits.
    pub account: String,
    /// Such as `eu-west-1`.
    pub region: String,
    /// The profile of `~/.aws/config`, if not the usual one.
    pub profile: Option<String>,
}

impl NamedRegistry {
    /// The host in a region.
    pub fn host_in(&self, region: &str) -> String {
        fill(&self.host, &[("region", region)])
    }

    /// A repository's whole name.
    pub fn repository(&self, name: String) -> String {
        if self.path.is_empty() {
            name
        } else {
            format!("{}/{name}", self.path)
        }
    }
}

/// The account and region of a private registry of ECR, by its host.
///
/// Source: AWS's "Amazon ECR endpoints and quotas": `ACCOUNT.dkr.ecr.REGION.amazonaws.com` (`.cn` in China, `ecr-fips` for
/// FIPS), and `ACCOUNT.dkr-ecr.REGION.on.aws` for both address families.
pub fn ecr_of(host: &str) -> Option<(&str, &str)> {
    let parts: Vec<_> = host.split('.').collect();
    let (account, region) = match parts.as_slice() {
        [
            account,
            "dkr",
            "ecr" | "ecr-fips",
            region,
            "amazonaws",
            "com",
        ]
        | [
            account,
            "dkr",
            "ecr" | "ecr-fips",
            region,
            "amazonaws",
            "com",
            "cn",
        ]
        | [account, "dkr-ecr" | "dkr-ecr-fips", region, "on", "aws"] => (*account, *region),
        _ => return None,
    };
    name::is_account(account).then_some((account, region))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ecr_is_known_by_its_host() {
        let known = Some(("111122223333", "eu-west-1"));
        for host in [
            "111122223333.dkr.ecr.eu-west-1.amazonaws.com",
            "111122223333.dkr.ecr.eu-west-1.amazonaws.com.cn",
            "111122223333.dkr.ecr-fips.eu-west-1.amazonaws.com",
            "111122223333.dkr-ecr.eu-west-1.on.aws",
        ] {
            assert_eq!(ecr_of(host), known, "{host}");
        }
        for host in [
            "ghcr.io",
            "public.ecr.aws",
            "1111.dkr.ecr.eu-west-1.amazonaws.com",
            "111122223333.dkr.ecr.eu-west-1.amazonaws.com.example.com",
        ] {
            assert_eq!(ecr_of(host), None, "{host}");
        }
    }
}
