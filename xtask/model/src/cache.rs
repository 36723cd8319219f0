//! Where builds keep their steps for the next machine: one that has no build cache of its own, as CI's have none.

use serde::Serialize;

use crate::arch::Arch;

/// Where an environment's builds keep their steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Store {
    /// The environment's registry, in the image's repository.
    Registry,
    /// The cache of GitHub Actions.
    GitHub,
}

impl Store {
    /// All stores.
    pub const ALL: [Self; 2] = [Self::Registry, Self::GitHub];

    /// As deploy.toml has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Registry => "registry",
            Self::GitHub => "github",
        }
    }
}

/// The cache of one image's build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cache {
    /// A tag in a registry. It names no image.
    Registry {
        /// Registry, repository and tag.
        reference: String,
    },
    /// A part of the cache of GitHub Actions.
    GitHub {
        /// The part's name.
        scope: String,
    },
}

impl Cache {
    /// What buildx is told: from where to take steps, and where to put the steps of every stage afterwards (`--cache-from` and
    /// `--cache-to`).
    ///
    /// ECR takes a cache only as an image manifest, not as the index that BuildKit makes of it by default. Source: "Announcing
    /// remote cache support in Amazon ECR for BuildKit clients", AWS Containers Blog. A cache that cannot be written fails no
    /// build. Source: `ignore-error` in BuildKit's README.
    pub fn ends(&self) -> (String, String) {
        let (from, how) = match self {
            Self::Registry { reference } => (
                format!("type=registry,ref={reference}"),
                "mode=max,image-manifest=true,oci-mediatypes=true,ignore-error=true",
            ),
            Self::GitHub { scope } => (
                format!("type=gha,scope={scope}"),
                "mode=max,ignore-error=true",
            ),
        };
        let to = format!("{from},{how}");
        (from, to)
    }
}

/// The tag of a cache. It moves with every build, so its end is one that repositories of this tool let move.
pub fn tag(prefix: &str, environment: &str, arch: Arch) -> String {
    format!("{prefix}{environment}-cache-{arch}-latest")
}
