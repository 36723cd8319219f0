//! From an image, wherever it lies, to the verdict of `image-proof`: which blobs it has, and whether they are what their
//! descriptors say.
//!
//! Architecture Invariant: what is judged is what was read. A blob whose digest or size differs from its descriptor is an
//! error, never a note; and the config that a verdict is about is named by its digest, so that a push can be held to it.

mod archive;
mod blobs;
mod choice;
mod layer_cache;
pub mod machine;
mod near;
mod prover;

use std::io::Read;

use anyhow::{Context, Result, bail};
use image_oci::{Config, Document, digest_of};
use image_proof::{Allowed, Layer, Machine, Verdict};
use serde::Serialize;

use archive::Archive;
use blobs::{Blobs, Layout, Remote, Stored};
pub use image_proof::{Installed, Inventory, Manager, System};
pub use layer_cache::LayerCache;
pub use near::NearImage;
pub use prover::Prover;

use crate::{arch::Arch, model::config::Foreign, registry::CONFIG_LIMIT};

/// A verdict, and the image that it is about.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Proof {
    /// The manifest's digest. `None` for archives in docker's own old form, which have none.
    pub digest: Option<String>,
    /// The digest of the image index that it was chosen from, where a reference names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_index: Option<String>,
    /// The config's digest.
    pub config_digest: String,
    /// The platform that the image claims.
    pub platform: String,
    /// What its bytes say.
    pub verdict: Verdict,
}

impl Proof {
    /// An error that lists every finding, unless there is none.
    ///
    /// # Errors
    /// The findings.
    pub fn require(&self) -> Result<()> {
        if self.verdict.holds() {
            return Ok(());
        }
        let groups = self.verdict.groups();
        let mut lines: Vec<_> = groups
            .iter()
            .take(SHOWN)
            .map(|group| format!("  {group}"))
            .collect();
        if groups.len() > SHOWN {
            lines.push(format!(
                "  … and {} more; `verify image --json` has them all",
                groups.len() - SHOWN
            ));
        }
        bail!(
            "the image is {}\n{}",
            self.verdict.summary(),
            lines.join("\n")
        )
    }
}

/// The most layers of an image. Docker takes 127; some builders make a few more.
const MOST_LAYERS: usize = 500;

/// How many groups of findings people are shown: an image for the other CPU has one for each of its packages.
pub const SHOWN: usize = 10;

/// Foreign machine code of deploy.toml, as the proof takes it.
fn allowed(foreign: &[Foreign]) -> Vec<Allowed> {
    foreign
        .iter()
        .map(|one| Allowed {
            path: one.path.clone(),
            reason: one.reason.clone(),
        })
        .collect()
}

/// Judges the one image that `blobs` has for this architecture. Without an architecture, the image's own config says what
/// its bytes must be.
///
/// # Errors
/// An image that cannot be read, or is damaged.
fn prove(blobs: &mut dyn Blobs, arch: Option<Arch>, allowed: &[Allowed]) -> Result<Proof> {
    Ok(prove_layers(blobs, arch, allowed)?.0)
}

/// The same, with the layers.
fn prove_layers(
    blobs: &mut dyn Blobs,
    arch: Option<Arch>,
    allowed: &[Allowed],
) -> Result<(Proof, Vec<Layer>)> {
    let root = blobs.root()?;
    let mut list = None;
    let (bytes, digest) = choice::choose(blobs, root, arch, 0, &mut list)?;
    let manifest = Document::parse(&bytes)?;
    let described = manifest
        .config
        .clone()
        .context("the manifest has no config")?;
    let config_bytes = json(blobs, &described.digest, Some(described.size))?;
    let config = Config::parse(&config_bytes)?;
    if manifest.layers.len() > MOST_LAYERS {
        bail!(
            "the image has {} layers, and Docker takes 127",
            manifest.layers.len()
        );
    }
    let mut layers: Vec<Layer> = Vec::new();
    for descriptor in &manifest.layers {
        if !descriptor.is_layer() {
            let name = descriptor.media_type.escape_debug();
            bail!(
                "layer {} is of media type `{name}`: no engine unpacks that",
                descriptor.digest
            );
        }
        let known = layers
            .iter()
            .find(|layer| layer.digest == descriptor.digest)
            .cloned();
        let layer = if let Some(layer) = known {
            Ok(layer)
        } else {
            blobs.layer(&descriptor.digest)
        };
        let layer = layer.with_context(|| format!("failed to read layer {}", descriptor.digest))?;
        if layer.digest != descriptor.digest || layer.size != descriptor.size {
            bail!(
                "layer {} of {} bytes is {} of {} bytes: the image is damaged",
                descriptor.digest,
                descriptor.size,
                layer.digest,
                layer.size
            );
        }
        layers.push(layer);
    }
    let proof = Proof {
        digest: Some(digest),
        image_index: list,
        ..judge(&config, &config_bytes, &layers, arch, allowed)?
    };
    Ok((proof, layers))
}

/// Judges a config and its layers.
fn judge(
    config: &Config,
    bytes: &[u8],
    layers: &[Layer],
    arch: Option<Arch>,
    allowed: &[Allowed],
) -> Result<Proof> {
    let claimed = Machine::from_oci(&config.architecture);
    let platform = format!(
        "{}/{}",
        config.os.escape_debug(),
        config.architecture.escape_debug()
    );
    let expected = arch.map(machine::of).or(claimed);
    let expected = expected.with_context(|| {
        format!("the image says that it is for `{platform}`, which is none of ours: say `--arch arm64` or `--arch amd64`")
    })?;
    let verdict = image_proof::prove(config, layers, expected, allowed);
    Ok(Proof {
        digest: None,
        image_index: None,
        config_digest: digest_of(bytes),
        platform,
        verdict,
    })
}

/// A small blob, checked.
fn json(blobs: &mut dyn Blobs, digest: &str, size: Option<u64>) -> Result<Vec<u8>> {
    let bytes = blobs
        .small(digest)
        .with_context(|| format!("failed to read {digest}"))?;
    let found = digest_of(&bytes);
    if found != digest {
        bail!("a blob is named {digest}, but has the digest {found}: the image is damaged");
    }
    if let Some(size) = size.filter(|size| *size != bytes.len() as u64) {
        bail!(
            "blob {digest} has {} bytes, but its descriptor says {size}: the image is damaged",
            bytes.len()
        );
    }
    Ok(bytes)
}

/// Reads a small text to its end.
fn read_small(reader: &mut dyn Read) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(CONFIG_LIMIT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > CONFIG_LIMIT {
        bail!("it has more than {CONFIG_LIMIT} bytes, and no real manifest or config does");
    }
    Ok(bytes)
}
