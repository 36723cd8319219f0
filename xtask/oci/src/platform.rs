//! Platforms: operating system, architecture, variant.

use image_arch::Arch;
use serde::{Deserialize, Serialize};

use crate::{Config, Error};

/// A platform, as an entry of an image index or a config says it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Platform {
    /// As OCI spells it.
    pub architecture: String,
    /// `linux`.
    pub os: String,
    /// `v8`, of some arm64 images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// Reads it from the bytes of an image's config.
    ///
    /// # Errors
    /// Bytes that are no config, or one that says no platform.
    pub fn of_config(config: &[u8]) -> Result<Self, Error> {
        let config = Config::parse(config)?;
        let missing = [("architecture", &config.architecture), ("os", &config.os)];
        if let Some((name, _)) = missing.iter().find(|(_, value)| value.is_empty()) {
            return Err(Error(format!(
                "the config says no platform: `{name}` is missing"
            )));
        }
        let variant = config.variant.filter(|variant| !variant.is_empty());
        Ok(Self {
            architecture: config.architecture,
            os: config.os,
            variant,
        })
    }

    /// One form for all spellings of a platform: clients take `v8` for what every arm64 is, and `v1` for every amd64.
    /// Source: `Normalize` of containerd's package `platforms`.
    #[must_use]
    pub fn normalised(&self) -> Self {
        let arch = self.architecture.parse::<Arch>().ok();
        let usual = match arch {
            Some(Arch::Arm64) => ["v8", "8"],
            Some(Arch::Amd64) => ["v1", "1"],
            None => ["", ""],
        };
        Self {
            architecture: arch
                .map_or_else(|| self.architecture.clone(), |arch| arch.oci().to_owned()),
            os: self.os.clone(),
            variant: self
                .variant
                .clone()
                .filter(|variant| !variant.is_empty() && !usual.contains(&variant.as_str())),
        }
    }

    /// Whether this is the platform that BuildKit gives to an attestation, which nothing runs.
    pub fn is_unknown(&self) -> bool {
        (self.os.as_str(), self.architecture.as_str()) == ("unknown", "unknown")
    }

    /// The architecture, where it is one that images can be proven for and is spelled as OCI spells it.
    pub fn provable(&self) -> Option<Arch> {
        self.architecture
            .parse::<Arch>()
            .ok()
            .filter(|arch| self.os == "linux" && arch.oci() == self.architecture)
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What a registry says is no line of its own.
        write!(
            f,
            "{}/{}",
            self.os.escape_debug(),
            self.architecture.escape_debug()
        )?;
        self.variant
            .iter()
            .try_for_each(|variant| write!(f, "/{}", variant.escape_debug()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_has_one_normal_form() {
        let platform = |architecture: &str, variant: Option<&str>| Platform {
            architecture: architecture.to_owned(),
            os: "linux".to_owned(),
            variant: variant.map(str::to_owned),
        };
        for (architecture, variant, expected) in [
            ("arm64", Some("v8"), "linux/arm64"),
            ("aarch64", None, "linux/arm64"),
            ("amd64", Some("v1"), "linux/amd64"),
            ("amd64", Some("v2"), "linux/amd64/v2"),
            ("arm", Some("v7"), "linux/arm/v7"),
        ] {
            assert_eq!(
                platform(architecture, variant).normalised().to_string(),
                expected
            );
        }
        assert_eq!(
            platform("aarch64", None).provable(),
            None,
            "OCI spells it otherwise"
        );
    }

    #[test]
    fn a_config_without_a_platform_is_an_error() {
        assert!(Platform::of_config(br#"{"architecture":"arm64"}"#).is_err());
        let found =
            Platform::of_config(br#"{"architecture":"arm64","os":"linux","variant":""}"#).unwrap();
        assert_eq!(found.to_string(), "linux/arm64");
    }
}
