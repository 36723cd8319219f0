//! An image index, one for each CPU, made of images that are in the registry already.
//!
//! Architecture Invariant: what a child's entry says is read from the child itself: its size and digest from its bytes, its
//! platform from its config. An index whose words and bytes disagree cannot be made here.

use std::collections::BTreeMap;

use image_oci::{IMAGE_INDEX_TYPES, IMAGE_MANIFEST_TYPES, Manifest, Platform};
use serde::Serialize;

use crate::model::{published::Mutability, refusal::Refusal};

/// An image that goes into an index.
#[derive(Debug, Clone)]
pub struct Child {
    /// What people call it.
    pub name: String,
    /// Its manifest.
    pub manifest: Manifest,
    /// The platform that its config says.
    pub platform: Platform,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index<'c> {
    schema_version: u8,
    media_type: &'c str,
    manifests: Vec<Entry<'c>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'c> {
    media_type: &'c str,
    size: usize,
    digest: &'c str,
    platform: &'c Platform,
}

/// Makes the index. Equal children give equal bytes, whatever their order.
///
/// # Errors
/// No child, a child that is an index itself, and two for one platform.
pub fn assemble(children: &[Child]) -> Result<Manifest, Vec<Refusal>> {
    let mut refusals = Vec::new();
    let mut by_platform: BTreeMap<Platform, &Child> = BTreeMap::new();
    for child in children {
        if !child.manifest.is_image_manifest() {
            let problem = format!(
                "{} is an image index itself (`{}`)",
                child.name, child.manifest.media_type
            );
            refusals.push(Refusal::new(
                problem,
                "name the single images that it lists, by their digests",
            ));
        }
        if let Some(other) = by_platform.insert(child.platform.normalised(), child) {
            let problem = if other.manifest.digest == child.manifest.digest {
                format!(
                    "{} and {} are the same image, {}",
                    other.name, child.name, child.manifest.digest
                )
            } else {
                format!(
                    "{} and {} are both for {}",
                    other.name, child.name, child.platform
                )
            };
            refusals.push(Refusal::new(problem, "name one image for each platform"));
        }
    }
    if children.is_empty() {
        refusals.push(Refusal::new(
            "an index needs at least one image",
            "name them after the index",
        ));
    }
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let all_docker = by_platform
        .values()
        .all(|child| child.manifest.media_type == IMAGE_MANIFEST_TYPES[1]);
    let media_type = IMAGE_INDEX_TYPES[usize::from(all_docker)];
    let manifests = by_platform
        .values()
        .map(|child| Entry {
            media_type: &child.manifest.media_type,
            size: child.manifest.bytes.len(),
            digest: &child.manifest.digest,
            platform: &child.platform,
        })
        .collect();
    let index = Index {
        schema_version: 2,
        media_type,
        manifests,
    };
    let bytes = serde_json::to_string_pretty(&index).unwrap_or_default();
    Ok(Manifest::new(bytes, media_type))
}

/// The first of an index's lasting tags that names something else and may not move. `current` is what the tags name.
pub fn stuck<'t>(
    lasting: &'t [String],
    current: &BTreeMap<String, String>,
    digest: &str,
    mutability: Option<&Mutability>,
) -> Option<&'t String> {
    let may_move = |tag: &String| mutability.is_none_or(|mutability| mutability.can_move(tag));
    lasting
        .iter()
        .find(|tag| current.get(*tag).is_some_and(|known| known != digest) && !may_move(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn child(name: &str, architecture: &str, bytes: &str) -> Child {
        let platform = Platform {
            architecture: architecture.into(),
            os: "linux".into(),
            variant: None,
        };
        Child {
            name: name.into(),
            manifest: Manifest::new(bytes.into(), IMAGE_MANIFEST_TYPES[0]),
            platform,
        }
    }

    #[test]
    fn the_bytes_do_not_depend_on_the_order_and_say_what_the_children_are() {
        let (a, b) = (
            child("a", "arm64", "{\"a\":1}"),
            child("b", "amd64", "{\"b\":22}"),
        );
        let index = assemble(&[a.clone(), b.clone()]).unwrap();
        assert_eq!(
            index.digest,
            assemble(&[b.clone(), a.clone()]).unwrap().digest
        );
        let sizes: Vec<_> = index
            .children()
            .unwrap()
            .iter()
            .map(|child| (child.digest.as_str(), child.size))
            .collect();
        assert_eq!(
            sizes,
            [
                (b.manifest.digest.as_str(), 8),
                (a.manifest.digest.as_str(), 7)
            ]
        );
        assert_eq!(index.media_type, IMAGE_INDEX_TYPES[0]);
    }

    #[test]
    fn twins_and_lists_are_refused_by_name() {
        let problem = |children: &[Child]| assemble(children).unwrap_err()[0].problem.clone();
        assert!(problem(&[]).contains("at least one"));
        assert!(
            problem(&[child("a", "arm64", "{}"), child("b", "arm64", "{ }")])
                .contains("a and b are both for linux/arm64")
        );
        assert!(
            problem(&[child("a", "arm64", "{}"), child("b", "arm64", "{}")])
                .contains("a and b are the same image")
        );
        let mut v8 = child("b", "arm64", "{ }");
        v8.platform.variant = Some("v8".into());
        assert!(
            problem(&[child("a", "arm64", "{}"), v8])
                .contains("a and b are both for linux/arm64/v8")
        );
        let list = Child {
            manifest: Manifest::new("{}".into(), IMAGE_INDEX_TYPES[0]),
            ..child("l", "arm64", "{}")
        };
        assert!(problem(&[list]).contains("l is an image index"));
    }

    #[test]
    fn a_tag_of_another_image_is_stuck_where_it_may_not_move() {
        let tags = [
            "api-abc1234".to_owned(),
            "api-dev-20260101-000000".to_owned(),
        ];
        let current =
            |digest: &str| BTreeMap::from([("api-abc1234".to_owned(), digest.to_owned())]);
        let immutable = Mutability::Immutable {
            except: vec!["*latest".into()],
            exclusions_known: true,
        };
        assert_eq!(
            stuck(&tags, &current("old"), "new", Some(&immutable)),
            Some(&tags[0])
        );
        assert_eq!(stuck(&tags, &current("new"), "new", Some(&immutable)), None);
        assert_eq!(
            stuck(&tags, &current("old"), "new", Some(&Mutability::Mutable)),
            None
        );
    }
}
