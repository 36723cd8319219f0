//! The words of what is attached to images in deploy.toml.

use schemars::JsonSchema;

/// A program that signs images.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum SigningToolName {
    /// Sigstore's cosign.
    Cosign,
    /// The Notary Project's notation.
    Notation,
}
