//! Manifests and configs, as far as a proof needs them.
//!
//! Source: the OCI image specification, "Image Manifest" and "Image Configuration"; Docker's schema 2 has the same fields.

use std::collections::BTreeMap;

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
    /// What else is said of it, in an index.
    #[serde(default, deserialize_with = "or_default")]
    pub annotations: BTreeMap<String, String>,
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

/// Media types of a manifest that names one image, of either specification.
pub const IMAGE_TYPES: [&str; 2] =
    ["application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"];

/// Media types of a list of manifests.
pub const LIST_TYPES: [&str; 2] =
    ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];

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

impl Descriptor {
    /// Whether engines unpack it as a layer. A descriptor without a type is taken for one. Source: `images.IsLayerType` of
    /// containerd, and the media types of both specifications.
    pub fn is_layer(&self) -> bool {
        let name = self.media_type.as_str();
        let oci = ["application/vnd.oci.image.layer.v1.tar", "application/vnd.oci.image.layer.nondistributable.v1.tar"];
        let docker = ["application/vnd.docker.image.rootfs.diff.tar", "application/vnd.docker.image.rootfs.foreign.diff.tar"];
        let ends = |starts: [&str; 2], allowed: &[&str]| {
            starts.iter().filter_map(|start| name.strip_prefix(start)).any(|end| allowed.contains(&end))
        };
        name.is_empty() || ends(oci, &["", "+gzip", "+zstd"]) || ends(docker, &["", ".gzip", ".zstd"])
    }
}

impl Manifest {
    /// Reads a manifest. One that can be taken for an image and for a list is refused: clients do not agree on what it is.
    /// Source: CVE-2021-41190.
    ///
    /// # Errors
    /// Bytes that are no manifest, or an ambiguous one.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let manifest: Self =
            serde_json::from_slice(bytes).map_err(|error| Error::new(format!("the manifest is not valid: {error}")))?;
        let (is_image, is_list) = (manifest.config.is_some() || !manifest.layers.is_empty(), !manifest.manifests.is_empty());
        let said = |types: [&str; 2]| types.contains(&manifest.media_type.as_str());
        if is_image && (is_list || said(LIST_TYPES)) || is_list && said(IMAGE_TYPES) {
            let said = manifest.media_type.escape_debug();
            return Err(Error::new(format!(
                "the manifest is ambiguous: it is an image and a list at once, of media type `{said}`"
            )));
        }
        Ok(manifest)
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
