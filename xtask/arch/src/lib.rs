//! The one file that knows how a CPU architecture is spelled.
//!
//! Docker and OCI say `amd64`/`arm64`, Lambda says `x86_64`/`arm64`, ECS says `X86_64`/`ARM64`, the kernel says
//! `x86_64`/`aarch64`. Everywhere else in this program an architecture is an [`Arch`].

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How file names and addresses spell the two architectures.
pub const SPELLINGS: [&str; 6] = ["x86_64", "x86-64", "amd64", "aarch64", "arm64", "armv8"];

/// A CPU architecture that images are built for.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    /// x86-64, as Docker and OCI spell it.
    Amd64,
    /// 64-bit Arm (AWS Graviton), as Docker and OCI spell it.
    Arm64,
}

impl Arch {
    /// Every architecture, in a fixed order.
    pub const ALL: [Self; 2] = [Self::Amd64, Self::Arm64];

    /// The OCI and Docker spelling: `amd64` or `arm64`.
    pub fn oci(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// The kernel's spelling, as `uname -m` prints it on Linux: `x86_64` or `aarch64`.
    pub fn uname(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }

    /// Lambda's spelling, also on `aws lambda`'s command line: `x86_64` or `arm64`.
    pub fn lambda(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64",
            Self::Arm64 => "arm64",
        }
    }

    /// ECS' spelling, of `cpuArchitecture`: `X86_64` or `ARM64`.
    pub fn ecs(self) -> &'static str {
        match self {
            Self::Amd64 => "X86_64",
            Self::Arm64 => "ARM64",
        }
    }

    /// The value of docker's `--platform`: `linux/amd64` or `linux/arm64`.
    pub fn platform(self) -> String {
        format!("linux/{}", self.oci())
    }

    /// A few words for people: which processors these are.
    pub fn hardware(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64",
            Self::Arm64 => "AWS Graviton",
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.oci())
    }
}

/// The error for a word that names no architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownArch(String);

impl fmt::Display for UnknownArch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "unknown architecture `{}`: write `arm64` or `amd64`",
            self.0
        )
    }
}

impl std::error::Error for UnknownArch {}

impl FromStr for Arch {
    type Err = UnknownArch;

    /// Takes every common spelling, whatever its case.
    ///
    /// # Errors
    /// [`UnknownArch`] for any other word.
    fn from_str(word: &str) -> Result<Self, UnknownArch> {
        match word.to_ascii_lowercase().as_str() {
            "amd64" | "x86_64" | "x86-64" | "x64" => Ok(Self::Amd64),
            "arm64" | "aarch64" | "arm64/v8" => Ok(Self::Arm64),
            _ => Err(UnknownArch(word.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_in_use_names_its_architecture() {
        for arch in Arch::ALL {
            for spelling in [
                arch.oci(),
                arch.uname(),
                arch.lambda(),
                arch.ecs(),
                &arch.oci().to_uppercase(),
            ] {
                assert_eq!(spelling.parse(), Ok(arch), "{spelling}");
            }
        }
        assert!(
            "arm".parse::<Arch>().is_err(),
            "32-bit Arm is another architecture"
        );
        assert!("".parse::<Arch>().is_err());
    }
}
