//! Manifests and configs, as far as a proof needs them.
//!
//! Source: the OCI image specification, "Image Manifest" and "Image Configuration"; Docker's schema 2 has the same fields.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::Error;

/// A blob as something else refers to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    #[serde(default)]
    pub media_type: String,
    /// The digest of its bytes.
    pub digest: String,
    /// How many bytes it has.
    pub size: u64,
    /// The platform, in an index.
    pub platform: Option<Platform>,
    /// What it is, where it is no image.
    #[serde(default)]
    pub artifact_type: Option<String>,
}

/// A platform, in an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// As OCI spells it.
    pub architecture: String,
    /// `linux`.
    pub os: String,
    /// `v8`, of arm64.
    #[serde(default)]
    pub variant: Option<String>,
}

/// A manifest: an image, or a list of manifests.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// What it says of itself.
    #[serde(default)]
    pub media_type: String,
    /// The config, of an image.
    pub config: Option<Descriptor>,
    /// The layers, of an image.
    #[serde(default, deserialize_with = "or_default")]
    pub layers: Vec<Descriptor>,
    /// The children, of a list.
    #[serde(default, deserialize_with = "or_default")]
    pub manifests: Vec<Descriptor>,
}

/// Go's programs write a list that was never filled as `null`.
fn or_default<'de, D: serde::Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// Bytes that are no manifest.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(bytes).map_err(|error| Error::new(format!("the manifest is not valid: {error}")))
    }
}

/// What an image says of itself, and how it was made.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Config {
    /// As OCI spells it. What somebody asked for.
    #[serde(default)]
    pub architecture: String,
    /// `linux`.
    #[serde(default)]
    pub os: String,
    /// How it is run.
    #[serde(default, deserialize_with = "or_default")]
    pub config: Execution,
    /// The layers' archives.
    #[serde(default, deserialize_with = "or_default")]
    pub rootfs: RootFs,
    /// The instructions that made it.
    #[serde(default, deserialize_with = "or_default")]
    pub history: Vec<Step>,
}

/// How an image is run.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Execution {
    /// Variables, `NAME=VALUE`.
    pub env: Option<Vec<String>>,
    /// The program, with arguments.
    pub entrypoint: Option<Vec<String>>,
    /// More arguments, or the program where there is no entry point.
    pub cmd: Option<Vec<String>>,
    /// The folder that it starts in.
    pub working_dir: Option<String>,
}

/// The layers' archives.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct RootFs {
    /// Their digests, bottom first.
    #[serde(default, deserialize_with = "or_default")]
    pub diff_ids: Vec<String>,
}

/// An instruction that made an image.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Step {
    /// The instruction, as BuildKit writes it down.
    #[serde(default)]
    pub created_by: String,
    /// Whether it made no layer.
    #[serde(default)]
    pub empty_layer: bool,
}

impl Config {
    /// Reads a config.
    ///
    /// # Errors
    /// Bytes that are no config.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(bytes).map_err(|error| Error::new(format!("the image's config is not valid: {error}")))
    }

    /// The instruction that made a layer, by the layer's place from the bottom.
    pub fn instruction(&self, layer: usize) -> Option<String> {
        let step = self.history.iter().filter(|step| !step.empty_layer).nth(layer)?;
        let text = step.created_by.trim_start_matches("/bin/sh -c #(nop) ").trim_end_matches(" # buildkit").trim();
        Some(text.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

/// `sha256:…` of some bytes.
pub fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", hexadecimal(&Sha256::digest(bytes)))
}

/// Lower-case hexadecimal digits.
pub fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}
