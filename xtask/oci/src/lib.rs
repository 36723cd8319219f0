//! The documents of container images: image manifests, image indexes, configs, platforms. Each is parsed once, and kept with
//! the bytes that its digest is of.
//!
//! Source: the OCI image specification; Docker's image manifest, schema 2, and its manifest list have the same fields.
//!
//! Compared with `oci-spec` 0.10: its types hold what is right by the specification. A list that Go wrote as `null`, a config
//! without an architecture, or an entry without a platform is an error there, and here it is something to be told by its name;
//! it keeps neither bytes nor digest; and it brings `derive_builder`, `getset`, `strum` and `regex` along. So these are ours:
//! as much of each document as is needed, read leniently, and judged by whoever reads it.
//!
//! Architecture Invariant: no I/O. What is here is made of bytes that somebody has read.

mod artifact;
mod config;
mod digest;
mod manifest;
mod platform;
mod referrers;

pub use artifact::{Artifact, EMPTY_TYPE};
pub use config::{Config, Execution, Healthcheck, RootFs, Step};
pub use digest::{digest_of, hexadecimal, is_digest};
pub use manifest::{Descriptor, Document, IMAGE_INDEX_TYPES, IMAGE_MANIFEST_TYPES, Manifest};
pub use platform::Platform;
pub use referrers::{referrer, referrers_tag, with_referrers};

/// Bytes that are not the document that they are taken for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(String);

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// Go's programs write a list that was never filled as `null`.
fn or_default<'de, D: serde::Deserializer<'de>, T: Default + serde::Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(<Option<T> as serde::Deserialize>::deserialize(deserializer)?.unwrap_or_default())
}
