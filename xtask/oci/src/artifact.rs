//! Artifacts: what is no image and belongs to one, as an SBOM does.
//!
//! Source: the OCI image specification 1.1, "Guidelines for Artifact Usage" and "Example of an empty descriptor".

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{IMAGE_MANIFEST_TYPES, Manifest, digest_of};

/// The media type of the config that an artifact without one has.
pub const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";

/// What stands in the place of a config that an artifact has not.
const EMPTY: &[u8] = b"{}";

/// The annotation that names the file that a layer is written to. Source: "Pre-Defined Annotation Keys" there.
const TITLE: &str = "org.opencontainers.image.title";

/// A document that belongs to an image: its manifest, and the bytes of its blobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Its manifest.
    pub manifest: Manifest,
    content: Vec<u8>,
}

impl Artifact {
    /// Makes the artifact. Equal documents of equal subjects give equal bytes.
    ///
    /// `kind` is the media type of the document, and what the artifact is said to be. `file` is the name that tools write it to.
    pub fn new(
        subject: &Manifest,
        kind: &str,
        file: &str,
        annotations: &BTreeMap<String, String>,
        content: Vec<u8>,
    ) -> Self {
        let title = BTreeMap::from([(TITLE.to_owned(), file.to_owned())]);
        let layer = Entry {
            annotations: Some(&title),
            ..Entry::of(kind, &content)
        };
        let document = Written {
            schema_version: 2,
            media_type: IMAGE_MANIFEST_TYPES[0],
            artifact_type: kind,
            config: Entry::of(EMPTY_TYPE, EMPTY),
            layers: [layer],
            subject: Entry::of(&subject.media_type, subject.bytes.as_bytes()),
            annotations,
        };
        // Texts and numbers can be written.
        let bytes = serde_json::to_string(&document).unwrap_or_default();
        Self {
            manifest: Manifest::new(bytes, IMAGE_MANIFEST_TYPES[0]),
            content,
        }
    }

    /// The bytes of one of its blobs.
    pub fn blob(&self, digest: &str) -> Option<&[u8]> {
        let blobs = [EMPTY, self.content.as_slice()];
        blobs.into_iter().find(|blob| digest_of(blob) == digest)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'w> {
    schema_version: u8,
    media_type: &'w str,
    artifact_type: &'w str,
    config: Entry<'w>,
    layers: [Entry<'w>; 1],
    subject: Entry<'w>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'w BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'e> {
    media_type: &'e str,
    digest: String,
    size: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<&'e BTreeMap<String, String>>,
}

impl<'e> Entry<'e> {
    fn of(media_type: &'e str, bytes: &[u8]) -> Self {
        Self {
            media_type,
            digest: digest_of(bytes),
            size: bytes.len(),
            annotations: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artifact_has_an_empty_config_one_layer_and_its_subject() {
        let subject = Manifest::new("{\"x\":1}".into(), IMAGE_MANIFEST_TYPES[1]);
        let kind = "application/vnd.cyclonedx+json";
        let make = || {
            Artifact::new(
                &subject,
                kind,
                "sbom.cdx.json",
                &BTreeMap::new(),
                b"{}\n".into(),
            )
        };
        let artifact = make();
        assert_eq!(artifact, make());
        let document = artifact.manifest.document().unwrap();
        let config = document.config.as_ref().unwrap();
        assert_eq!((config.media_type.as_str(), config.size), (EMPTY_TYPE, 2));
        assert_eq!(artifact.blob(&config.digest), Some(EMPTY));
        assert_eq!(document.artifact_type.as_deref(), Some(kind));
        let [layer] = &document.layers[..] else {
            panic!("{document:?}")
        };
        assert_eq!(artifact.blob(&layer.digest), Some(&b"{}\n"[..]));
        assert_eq!(layer.annotations[TITLE], "sbom.cdx.json");
        let named = document.subject.as_ref().unwrap();
        assert_eq!((&named.digest, named.size), (&subject.digest, 7));
        assert_eq!(named.media_type, IMAGE_MANIFEST_TYPES[1]);
    }
}
