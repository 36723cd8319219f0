//! What is in ECR before a push: repositories, tags, and the images that the tags name.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use image_proof::digest_of;
pub use image_proof::{IMAGE_TYPES as SINGLE_MANIFESTS, LIST_TYPES as INDEXES};
use serde::{Deserialize, Serialize};

use crate::arch::Arch;

/// A repository as ECR describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Repository {
    /// Whether tags can be moved.
    pub mutability: Mutability,
}

/// Whether tags of a repository can be moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mutability {
    /// All can.
    Mutable,
    /// None can, but those that fit one of these wildcard patterns. An empty list under `exclusions_known: false` means
    /// that the registry does not tell.
    Immutable {
        /// Patterns with `*` for any characters.
        except: Vec<String>,
        /// Whether the patterns are what the repository has.
        exclusions_known: bool,
    },
    /// All can, but those that fit one of these.
    MutableExcept(Vec<String>),
}

impl Mutability {
    /// Whether a tag that exists may be written again.
    pub fn can_move(&self, tag: &str) -> bool {
        let fits = |patterns: &[String]| patterns.iter().any(|pattern| wildcard(pattern, tag));
        match self {
            Self::Mutable => true,
            Self::Immutable { except, exclusions_known } => !exclusions_known || fits(except),
            Self::MutableExcept(fixed) => !fits(fixed),
        }
    }
}

fn wildcard(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text
            .strip_prefix(start)
            .is_some_and(|tail| (0..=tail.len()).filter(|at| tail.is_char_boundary(*at)).any(|at| wildcard(rest, &tail[at..]))),
    }
}

/// What a repository holds of one image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Published {
    /// The digest that each existing tag of interest names.
    pub tags: BTreeMap<String, String>,
    /// Those of them that name a list of images.
    pub lists: BTreeSet<String>,
    /// The image that the revision's tag names, when there is one.
    pub revision_image: Option<Found>,
    /// Every tag of that image.
    pub revision_image_tags: BTreeSet<String>,
}

/// An image of a repository, as a list has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stored {
    /// The manifest's digest.
    pub digest: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// When it was pushed, in seconds since 1970.
    pub pushed: i64,
}

/// An image in a registry, read from its manifest and config, never from somebody's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Found {
    /// The manifest's digest.
    pub digest: String,
    /// The manifest's media type.
    pub media_type: String,
    /// The config blob's digest. Empty for an index.
    pub config_digest: String,
    /// The architecture in the config blob.
    pub arch: Option<Arch>,
    /// The architecture's spelling there, whatever it is.
    pub platform: String,
    /// The image's labels.
    pub labels: BTreeMap<String, String>,
}

/// A manifest with the bytes that it was stored as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The exact bytes: one newline more, and the digest is another.
    pub bytes: String,
    /// Its media type.
    pub media_type: String,
    /// Its digest, computed from the bytes.
    pub digest: String,
}

impl Manifest {
    /// Takes the bytes of a manifest. The media type inside wins over `media_type`, as ECR translates neither.
    pub fn new(bytes: String, media_type: &str) -> Self {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Head {
            media_type: Option<String>,
        }
        let inside = serde_json::from_str::<Head>(&bytes).ok().and_then(|head| head.media_type);
        Self { digest: digest_of(bytes.as_bytes()), media_type: inside.unwrap_or_else(|| media_type.to_owned()), bytes }
    }

    /// Whether this names one image. A list of images is refused by Lambda.
    pub fn is_single(&self) -> bool {
        SINGLE_MANIFESTS.contains(&self.media_type.as_str())
    }

    /// Whether this is a list of images.
    pub fn is_index(&self) -> bool {
        INDEXES.contains(&self.media_type.as_str())
    }

    /// The digest and size of the config blob.
    ///
    /// # Errors
    /// A manifest that is no JSON, or has no config, as an index has none.
    pub fn config(&self) -> Result<(String, u64)> {
        #[derive(Deserialize)]
        struct Body {
            config: Option<Descriptor>,
        }
        #[derive(Deserialize)]
        struct Descriptor {
            digest: String,
            size: u64,
        }
        let body: Body =
            serde_json::from_str(&self.bytes).with_context(|| format!("manifest {} is no valid JSON", self.digest))?;
        let Some(config) = body.config else {
            bail!("manifest {} has no config: it is of type `{}`", self.digest, self.media_type);
        };
        Ok((config.digest, config.size))
    }

    /// What the image is, from its manifest and the bytes of its config blob.
    ///
    /// # Errors
    /// A config that does not have the digest that the manifest names, or is no JSON.
    pub fn describe(&self, config: &[u8]) -> Result<Found> {
        #[derive(Deserialize)]
        struct Config {
            #[serde(default)]
            architecture: String,
            #[serde(default)]
            os: String,
            config: Option<Inner>,
        }
        #[derive(Deserialize)]
        struct Inner {
            #[serde(rename = "Labels")]
            labels: Option<BTreeMap<String, String>>,
        }
        let (config_digest, _) = self.config()?;
        let digest = digest_of(config);
        if digest != config_digest {
            bail!("the config blob of {} has digest {digest}, but the manifest names {config_digest}", self.digest);
        }
        let config: Config =
            serde_json::from_slice(config).with_context(|| format!("config blob {config_digest} is no valid JSON"))?;
        let arch = config.architecture.parse().ok().filter(|_| config.os == "linux");
        Ok(Found {
            digest: self.digest.clone(),
            media_type: self.media_type.clone(),
            config_digest,
            arch,
            platform: format!("{}/{}", config.os, config.architecture),
            labels: config.config.and_then(|inner| inner.labels).unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exclusion_filters_are_wildcards_over_the_whole_tag() {
        let immutable = Mutability::Immutable { except: vec!["*latest".into(), "*-dirty".into()], exclusions_known: true };
        let cases = [("api-dev-latest", true), ("api-abc1234-dirty", true), ("api-abc1234", false), ("latest-api", false)];
        for (tag, expected) in cases {
            assert_eq!(immutable.can_move(tag), expected, "{tag}");
        }
        assert!(Mutability::Mutable.can_move("x"));
        assert!(!Mutability::MutableExcept(vec!["v*".into()]).can_move("v1"));
        assert!(Mutability::Immutable { except: vec![], exclusions_known: false }.can_move("x"), "the registry does not tell");
    }

    #[test]
    fn an_index_is_not_a_single_manifest_whatever_the_registry_calls_it() {
        let index = Manifest::new(format!(r#"{{"mediaType":"{}","manifests":[]}}"#, INDEXES[0]), SINGLE_MANIFESTS[0]);
        assert!(!index.is_single());
        assert!(index.config().is_err());
        let nameless = Manifest::new(r#"{"schemaVersion":2}"#.to_owned(), SINGLE_MANIFESTS[0]);
        assert!(nameless.is_single());
    }

    #[test]
    fn a_config_blob_with_another_digest_is_refused() {
        let config = br#"{"architecture":"arm64","os":"linux","config":{"Labels":{"a":"b"}}}"#;
        let manifest = |digest: &str| {
            Manifest::new(format!(r#"{{"config":{{"digest":"{digest}","size":{}}}}}"#, config.len()), SINGLE_MANIFESTS[0])
        };
        let found = manifest(&digest_of(config)).describe(config).unwrap();
        assert_eq!((found.arch, found.platform.as_str(), found.labels["a"].as_str()), (Some(Arch::Arm64), "linux/arm64", "b"));
        assert!(manifest(&digest_of(b"other")).describe(config).is_err());
    }
}
