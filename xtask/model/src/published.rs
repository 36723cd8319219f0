//! What is in ECR before a push: repositories, tags, and the images that the tags name.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use image_oci::Manifest;
use serde::Serialize;

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
            Self::Immutable {
                except,
                exclusions_known,
            } => !exclusions_known || fits(except),
            Self::MutableExcept(fixed) => !fits(fixed),
        }
    }
}

fn wildcard(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|tail| {
            (0..=tail.len())
                .filter(|at| tail.is_char_boundary(*at))
                .any(|at| wildcard(rest, &tail[at..]))
        }),
    }
}

/// What a repository holds of one image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Published {
    /// The digest that each existing tag of interest names.
    pub tags: BTreeMap<String, String>,
    /// Those of them that name an image index.
    pub image_indexes: BTreeSet<String>,
    /// The image that the revision's tag names, when there is one.
    pub revision_image: Option<Found>,
    /// Every tag of that image.
    pub revision_image_tags: BTreeSet<String>,
}

/// An image of a repository, as the registry lists it.
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

impl Found {
    /// What an image is, from its manifest and the bytes of its config.
    ///
    /// # Errors
    /// A config that does not have the digest that the manifest names, or is no JSON.
    pub fn of(manifest: &Manifest, config: &[u8]) -> Result<Self> {
        let config_digest = manifest.config()?.digest.clone();
        let config = manifest.parse_config(config)?;
        let arch = config
            .architecture
            .parse()
            .ok()
            .filter(|_| config.os == "linux");
        Ok(Self {
            digest: manifest.digest.clone(),
            media_type: manifest.media_type.clone(),
            config_digest,
            arch,
            platform: format!("{}/{}", config.os, config.architecture),
            labels: config.config.labels.unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exclusion_filters_are_wildcards_over_the_whole_tag() {
        let immutable = Mutability::Immutable {
            except: vec!["*latest".into(), "*-dirty".into()],
            exclusions_known: true,
        };
        let cases = [
            ("api-dev-latest", true),
            ("api-abc1234-dirty", true),
            ("api-abc1234", false),
            ("latest-api", false),
        ];
        for (tag, expected) in cases {
            assert_eq!(immutable.can_move(tag), expected, "{tag}");
        }
        assert!(Mutability::Mutable.can_move("x"));
        assert!(!Mutability::MutableExcept(vec!["v*".into()]).can_move("v1"));
        assert!(
            Mutability::Immutable {
                except: vec![],
                exclusions_known: false
            }
            .can_move("x"),
            "the registry does not tell"
        );
    }
}
