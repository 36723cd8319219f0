//! The tags of an image in another environment, and which of them are written.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Child;
use crate::{
    PlatformBuild, Selected,
    arch::Arch,
    model::{
        config::{Config, Environment},
        published::Repository,
        refusal::Refusal,
        revision::Revision,
        tags::{Tag, TagKind, TagSet},
    },
    own_tags, tag_set,
};

/// A tag, and the manifest that it is to name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PromotedTag {
    /// The tag.
    pub name: String,
    /// Whether it moves.
    #[serde(skip)]
    pub kind: TagKind,
    /// The digest.
    pub digest: String,
}

/// The tags of an image in another environment, and what each is to name: those with an architecture name that image of an index.
pub struct Tags<'t> {
    /// The project.
    pub config: &'t Config,
    /// The environment that it goes to.
    pub environment: &'t Environment,
    /// Which image.
    pub selected: Selected<'t>,
    /// The time, as tags have it.
    pub timestamp: &'t str,
    /// The commit.
    pub revision: &'t Revision,
}

impl Tags<'_> {
    fn of(&self, arch: Arch) -> TagSet {
        let build = PlatformBuild {
            selected: self.selected,
            arch,
            in_index: false,
        };
        let (config, environment) = (self.config, self.environment);
        tag_set(config, environment, build, self.revision, self.timestamp)
    }

    /// What to say of tags of the user's own that are left out.
    pub fn notes(&self, arch: Arch) -> Vec<String> {
        let place = (self.config, self.environment);
        own_tags(place, self.selected, arch, self.revision, self.timestamp).1
    }

    /// All of them. `digest` is that of the image, or of the index whose images are `children`.
    pub fn all(&self, arch: Arch, digest: &str, children: &[Child]) -> Vec<PromotedTag> {
        let named = |tag: &Tag, digest: &str| PromotedTag {
            name: tag.name.clone(),
            kind: tag.kind,
            digest: digest.to_owned(),
        };
        let own = self.of(arch);
        if children.is_empty() {
            return own.iter().map(|tag| named(tag, digest)).collect();
        }
        let plain = own.plain().map(|tag| named(tag, digest));
        let of_child = |child: &Child| {
            let tags = child.arch.map(|arch| self.of(arch));
            let named = |tag: &Tag| named(tag, &child.digest);
            tags.iter()
                .flat_map(TagSet::iter)
                .filter(|tag| tag.names_arch)
                .map(named)
                .collect::<Vec<_>>()
        };
        plain.chain(children.iter().flat_map(of_child)).collect()
    }
}

/// Of all tags those that have to be written. `existing` is what those that are there name. An arrival is dated once: where only
/// its time would be new, nothing is written.
///
/// # Errors
/// A tag that has to move and may not.
pub fn tags_to_write(
    all: Vec<PromotedTag>,
    existing: &BTreeMap<String, String>,
    repository: &Repository,
    name: &str,
) -> Result<Vec<PromotedTag>, Refusal> {
    let is_there = |tag: &PromotedTag| existing.get(&tag.name) == Some(&tag.digest);
    let is_new = all
        .iter()
        .filter(|tag| tag.kind != TagKind::Timestamp)
        .any(|tag| !is_there(tag));
    let tags: Vec<_> = all
        .into_iter()
        .filter(|tag| is_new && !is_there(tag))
        .collect();
    let is_stuck = |tag: &&PromotedTag| {
        let may_move = tag.kind != TagKind::Fixed && repository.mutability.can_move(&tag.name);
        existing.contains_key(&tag.name) && !may_move
    };
    match tags.iter().find(is_stuck) {
        None => Ok(tags),
        Some(stuck) => Err(Refusal::new(
            format!(
                "tag `{}` of `{name}` names another image, and may not move",
                stuck.name
            ),
            "it was built from the same revision there: deploy that one",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixtures::{config, environment, image, service},
        model::{published::Mutability, target::Target},
    };

    fn all(digest: &str, children: &[Child]) -> Vec<PromotedTag> {
        let config = config(service(image(Target::Eks)));
        let shop = &config.services["api"];
        let revision = Revision::of_label("abc1234", false);
        let tags = Tags {
            config: &config,
            environment: &environment("prod"),
            selected: Selected {
                service: shop,
                image: &shop.images[0],
            },
            timestamp: "20260101-000000",
            revision: &revision,
        };
        tags.all(Arch::Arm64, digest, children)
    }

    fn children() -> [Child; 2] {
        [
            Child {
                digest: "amd".into(),
                arch: Some(Arch::Amd64),
            },
            Child {
                digest: "arm".into(),
                arch: Some(Arch::Arm64),
            },
        ]
    }

    #[test]
    fn an_image_has_six_tags_and_an_index_three_with_three_for_each_of_its_images() {
        let single = all("arm", &[]);
        assert_eq!(single.len(), 6);
        assert!(single.iter().all(|tag| tag.digest == "arm"));
        let index = all("i", &children());
        let of = |digest: &str| {
            let names = index
                .iter()
                .filter(|tag| tag.digest == digest)
                .map(|tag| tag.name.as_str());
            names.collect::<Vec<_>>()
        };
        assert_eq!(
            of("i"),
            ["api-prod-20260101-000000", "api-abc1234", "api-prod-latest"]
        );
        assert_eq!(
            of("amd"),
            [
                "api-prod-20260101-000000-amd64",
                "api-abc1234-amd64",
                "api-prod-amd64-latest"
            ]
        );
        assert_eq!(index.len(), 9);
    }

    #[test]
    fn a_second_promotion_writes_nothing_and_a_tag_of_another_image_is_not_moved_where_it_may_not()
    {
        let all = || all("arm", &[]);
        let mutable = Repository {
            mutability: Mutability::Mutable,
        };
        let immutable = Mutability::Immutable {
            except: vec!["*latest".into()],
            exclusions_known: true,
        };
        let immutable = Repository {
            mutability: immutable,
        };
        assert_eq!(
            tags_to_write(all(), &BTreeMap::new(), &immutable, "r").unwrap(),
            all()
        );
        let lasting = all()
            .into_iter()
            .filter(|tag| tag.kind != TagKind::Timestamp);
        let mut there: BTreeMap<_, _> = lasting.map(|tag| (tag.name, tag.digest)).collect();
        assert_eq!(tags_to_write(all(), &there, &immutable, "r").unwrap(), []);
        there.insert("api-prod-latest".into(), "old".into());
        let moved = tags_to_write(all(), &there, &immutable, "r").unwrap();
        let names: Vec<_> = moved.iter().map(|tag| tag.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "api-prod-20260101-000000-arm64",
                "api-prod-20260101-000000",
                "api-prod-latest"
            ]
        );
        there.insert("api-abc1234".into(), "other".into());
        assert!(
            tags_to_write(all(), &there, &immutable, "r")
                .unwrap_err()
                .problem
                .contains("`api-abc1234`")
        );
        assert!(tags_to_write(all(), &there, &mutable, "r").is_ok());
    }
}
