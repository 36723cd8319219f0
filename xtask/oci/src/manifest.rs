//! Image manifests and image indexes, and the descriptors that they are made of.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Config, Error, Platform, digest_of, or_default};

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

impl Descriptor {
    /// Whether an entry of an index is what BuildKit says about an image: it is entered for a platform of no name, and nothing runs it.
    /// Source: "Image attestation storage" in BuildKit's documentation.
    pub fn is_attestation(&self) -> bool {
        self.platform.as_ref().is_some_and(Platform::is_unknown)
    }
}

/// Media types of an image manifest, of either specification.
pub const IMAGE_MANIFEST_TYPES: [&str; 2] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

/// Media types of an image index (OCI) and of a manifest list (Docker).
pub const IMAGE_INDEX_TYPES: [&str; 2] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

/// What an image manifest or an image index says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    /// What it says of itself.
    #[serde(default)]
    pub media_type: String,
    /// What it is, where it is no image. Source: `artifactType` in the OCI image specification 1.1.
    #[serde(default)]
    pub artifact_type: Option<String>,
    /// The config, of an image manifest.
    pub config: Option<Descriptor>,
    /// The layers, of an image manifest.
    #[serde(default, deserialize_with = "or_default")]
    pub layers: Vec<Descriptor>,
    /// The children, of an image index.
    #[serde(default, deserialize_with = "or_default")]
    pub manifests: Vec<Descriptor>,
    /// What it is a signature, an attestation or another artifact of. Source: `subject` in the OCI image specification 1.1.
    #[serde(default)]
    pub subject: Option<Descriptor>,
    /// What else is said of it.
    #[serde(default, deserialize_with = "or_default")]
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// Whether engines unpack it as a layer. A descriptor without a type is taken for one. Source: `images.IsLayerType` of
    /// containerd, and the media types of both specifications.
    pub fn is_layer(&self) -> bool {
        let name = self.media_type.as_str();
        let oci = [
            "application/vnd.oci.image.layer.v1.tar",
            "application/vnd.oci.image.layer.nondistributable.v1.tar",
        ];
        let docker = [
            "application/vnd.docker.image.rootfs.diff.tar",
            "application/vnd.docker.image.rootfs.foreign.diff.tar",
        ];
        let ends = |starts: [&str; 2], allowed: &[&str]| {
            starts
                .iter()
                .filter_map(|start| name.strip_prefix(start))
                .any(|end| allowed.contains(&end))
        };
        name.is_empty()
            || ends(oci, &["", "+gzip", "+zstd"])
            || ends(docker, &["", ".gzip", ".zstd"])
    }
}

impl Document {
    /// Everything that an image manifest names: its layers, and its config after them.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        self.layers.iter().chain(&self.config)
    }

    /// Reads a document. One that can be taken for an image manifest and for an image index is refused: clients do not agree on what it is.
    /// Source: CVE-2021-41190.
    ///
    /// # Errors
    /// Bytes that are no manifest, or an ambiguous one.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let document: Self = serde_json::from_slice(bytes)
            .map_err(|error| Error(format!("the manifest is not valid: {error}")))?;
        let (is_image, is_index) = (
            document.config.is_some() || !document.layers.is_empty(),
            !document.manifests.is_empty(),
        );
        let said = |types: [&str; 2]| types.contains(&document.media_type.as_str());
        if is_image && (is_index || said(IMAGE_INDEX_TYPES))
            || is_index && said(IMAGE_MANIFEST_TYPES)
        {
            let said = document.media_type.escape_debug();
            return Err(Error(format!(
                "the manifest is ambiguous: it is an image and a list at once, of media type `{said}`"
            )));
        }
        Ok(document)
    }
}

/// An image manifest or an image index: the bytes that it is stored as, their digest, and what they say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The exact bytes: one newline more, and the digest is another.
    pub bytes: String,
    /// Its media type.
    pub media_type: String,
    /// Its digest, computed from the bytes.
    pub digest: String,
    document: Result<Document, Error>,
}

impl Manifest {
    /// Takes the bytes of a manifest. The media type inside wins over `media_type`, as ECR translates neither.
    pub fn new(bytes: String, media_type: &str) -> Self {
        let document = Document::parse(bytes.as_bytes());
        let inside = document
            .as_ref()
            .ok()
            .map(|document| document.media_type.clone())
            .filter(|inside| !inside.is_empty());
        // An ambiguous document still says what it wants to be taken for.
        let inside = inside.or_else(|| said(&bytes));
        let media_type = inside.unwrap_or_else(|| media_type.to_owned());
        Self {
            digest: digest_of(bytes.as_bytes()),
            media_type,
            document,
            bytes,
        }
    }

    /// What it says.
    ///
    /// # Errors
    /// Bytes that are neither, or both.
    pub fn document(&self) -> Result<&Document, Error> {
        self.document.as_ref().map_err(Clone::clone)
    }

    /// The entries of an image index; an image manifest has none.
    ///
    /// # Errors
    /// As for [`Manifest::document`].
    pub fn children(&self) -> Result<&[Descriptor], Error> {
        Ok(&self.document()?.manifests)
    }

    /// Whether this is an image manifest. Lambda takes nothing else.
    pub fn is_image_manifest(&self) -> bool {
        IMAGE_MANIFEST_TYPES.contains(&self.media_type.as_str())
    }

    /// Whether this is an image index, or Docker's manifest list.
    pub fn is_image_index(&self) -> bool {
        IMAGE_INDEX_TYPES.contains(&self.media_type.as_str())
    }

    /// The descriptor of the config.
    ///
    /// # Errors
    /// A manifest that is no JSON, or has no config, as an image index has none.
    pub fn config(&self) -> Result<&Descriptor, Error> {
        let document = self
            .document
            .as_ref()
            .map_err(|error| Error(format!("manifest {}: {error}", self.digest)))?;
        let missing = || {
            Error(format!(
                "manifest {} has no config: it is of type `{}`",
                self.digest, self.media_type
            ))
        };
        document.config.as_ref().ok_or_else(missing)
    }

    /// Reads the bytes of the config that the manifest names.
    ///
    /// # Errors
    /// Bytes of another digest, or that are no config.
    pub fn parse_config(&self, bytes: &[u8]) -> Result<Config, Error> {
        let named = &self.config()?.digest;
        let digest = digest_of(bytes);
        if digest != *named {
            return Err(Error(format!(
                "the config blob of {} has digest {digest}, but the manifest names {named}",
                self.digest
            )));
        }
        Config::parse(bytes)
    }
}

/// The media type that a JSON document says of itself.
fn said(bytes: &str) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Head {
        media_type: Option<String>,
    }
    serde_json::from_str::<Head>(bytes).ok()?.media_type
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_no_image_manifest_whatever_the_registry_calls_it() {
        let text = format!(
            r#"{{"mediaType":"{}","manifests":[]}}"#,
            IMAGE_INDEX_TYPES[0]
        );
        let index = Manifest::new(text, IMAGE_MANIFEST_TYPES[0]);
        assert!(!index.is_image_manifest() && index.is_image_index());
        assert!(index.config().is_err());
        let nameless = Manifest::new(r#"{"schemaVersion":2}"#.to_owned(), IMAGE_MANIFEST_TYPES[0]);
        assert!(nameless.is_image_manifest());
    }

    #[test]
    fn a_document_that_is_both_is_refused_and_keeps_its_media_type() {
        let descriptor = format!(r#"{{"digest":"{}","size":1}}"#, digest_of(b"x"));
        let text = format!(
            r#"{{"mediaType":"{}","config":{descriptor},"manifests":[{descriptor}]}}"#,
            IMAGE_INDEX_TYPES[1]
        );
        let both = Manifest::new(text, IMAGE_MANIFEST_TYPES[0]);
        assert!(
            both.is_image_index()
                && both
                    .document()
                    .unwrap_err()
                    .to_string()
                    .contains("ambiguous")
        );
    }

    #[test]
    fn a_config_with_another_digest_is_refused() {
        let config = br#"{"architecture":"arm64","os":"linux","config":{"Labels":{"a":"b"}}}"#;
        let manifest = |digest: &str| {
            let text = format!(
                r#"{{"config":{{"digest":"{digest}","size":{}}}}}"#,
                config.len()
            );
            Manifest::new(text, IMAGE_MANIFEST_TYPES[0])
        };
        let read = manifest(&digest_of(config)).parse_config(config).unwrap();
        assert_eq!(
            (
                read.architecture.as_str(),
                read.config.labels.unwrap()["a"].as_str()
            ),
            ("arm64", "b")
        );
        assert!(manifest(&digest_of(b"other")).parse_config(config).is_err());
    }
}
