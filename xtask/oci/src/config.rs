//! The config of an image: its platform, how it is run, and how it was made.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{Error, or_default};

/// What an image says of itself, and how it was made.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Config {
    /// As OCI spells it. What somebody asked for.
    #[serde(default)]
    pub architecture: String,
    /// `linux`.
    #[serde(default)]
    pub os: String,
    /// `v8`, of some arm64 images.
    #[serde(default)]
    pub variant: Option<String>,
    /// When it was made, as RFC 3339 has it, if somebody says so.
    #[serde(default)]
    pub created: Option<String>,
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
    /// The directory that it starts in.
    pub working_dir: Option<String>,
    /// How an engine finds out whether it is well.
    #[serde(deserialize_with = "or_default")]
    pub healthcheck: Healthcheck,
    /// What is said of it.
    pub labels: Option<BTreeMap<String, String>>,
}

/// How an engine finds out whether an image is well. Not in the specification; Docker's own.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Healthcheck {
    /// `CMD` or `CMD-SHELL`, and the program with its arguments.
    pub test: Option<Vec<String>>,
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
        serde_json::from_slice(bytes)
            .map_err(|error| Error(format!("the image's config is not valid: {error}")))
    }

    /// The instruction that made a layer, by the layer's place from the bottom.
    pub fn instruction(&self, layer: usize) -> Option<String> {
        let step = self
            .history
            .iter()
            .filter(|step| !step.empty_layer)
            .nth(layer)?;
        let text = step
            .created_by
            .trim_start_matches("/bin/sh -c #(nop) ")
            .trim_end_matches(" # buildkit")
            .trim();
        Some(text.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}
