//! The six tags of an image, and those of the user's own.
//!
//! `P` is the image's tag prefix:
//!
//! | tag | says | moves |
//! | --- | --- | --- |
//! | `P ENV-YYYYMMDD-HHMMSS-ARCH`, `P ENV-YYYYMMDD-HHMMSS` | when it went to which environment | never |
//! | `P SHA-ARCH`, `P SHA` | what it was made of | never, unless the tree was dirty |
//! | `P ENV-ARCH-latest`, `P ENV-latest` | what the environment has now | with every push |
//!
//! Architecture Invariant: a [`TagSet`] lists moving tags last, and that is the order in which they are written.

use serde::Serialize;

use crate::{
    arch::Arch,
    config::{Environment, Image},
};

/// How a tag behaves after it was written once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TagKind {
    /// Names this push for ever.
    Timestamp,
    /// Names this revision; from a clean tree it never changes.
    Revision,
    /// Names a release of the user's own, and never moves.
    Fixed,
    /// Names what the environment has now.
    Moving,
}

/// A tag and how it behaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tag {
    /// The tag itself.
    pub name: String,
    /// How it behaves.
    pub kind: TagKind,
    /// Whether it names the architecture: it then stays with the image for that one where an image index has the others.
    #[serde(skip)]
    pub names_arch: bool,
}

/// Reads what stands after `ENV-` in a tag that names a time: `YYYYMMDD-HHMMSS`, perhaps with `-ARCH`.
pub fn moment(text: &str) -> Option<(&str, Option<Arch>)> {
    const LENGTH: usize = "YYYYMMDD-HHMMSS".len();
    let (moment, rest) = text.split_at_checked(LENGTH)?;
    let is_moment = moment.bytes().enumerate().all(|(at, byte)| {
        if at == 8 {
            byte == b'-'
        } else {
            byte.is_ascii_digit()
        }
    });
    if !is_moment {
        return None;
    }
    match rest.strip_prefix('-') {
        None if rest.is_empty() => Some((moment, None)),
        None => None,
        Some(arch) => Some((moment, Some(arch.parse().ok()?))),
    }
}

/// The six tags of one image in one environment, in the order in which they are written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct TagSet(Vec<Tag>);

impl TagSet {
    /// `timestamp` is `YYYYMMDD-HHMMSS` in UTC, `revision` the shortened commit. A `dirty` revision's tags end in `-dirty`.
    pub fn new(
        prefix: &str,
        environment: &str,
        arch: Arch,
        timestamp: &str,
        revision: &str,
        dirty: bool,
    ) -> Self {
        let suffix = if dirty { "-dirty" } else { "" };
        let tag = |kind, name: String, names_arch| Tag {
            name: format!("{prefix}{name}"),
            kind,
            names_arch,
        };
        Self(vec![
            tag(
                TagKind::Timestamp,
                format!("{environment}-{timestamp}-{arch}"),
                true,
            ),
            tag(
                TagKind::Timestamp,
                format!("{environment}-{timestamp}"),
                false,
            ),
            tag(
                TagKind::Revision,
                format!("{revision}-{arch}{suffix}"),
                true,
            ),
            tag(TagKind::Revision, format!("{revision}{suffix}"), false),
            tag(
                TagKind::Moving,
                format!("{environment}-{arch}-latest"),
                true,
            ),
            tag(TagKind::Moving, format!("{environment}-latest"), false),
        ])
    }

    /// The same with tags of the user's own. One that is there already is not there twice.
    #[must_use]
    pub fn with(mut self, more: impl IntoIterator<Item = Tag>) -> Self {
        for tag in more {
            if self.all().any(|name| name == tag.name) {
                continue;
            }
            let moving = self.0.iter().position(|one| one.kind == TagKind::Moving);
            match moving.filter(|_| tag.kind != TagKind::Moving) {
                Some(place) => self.0.insert(place, tag),
                None => self.0.push(tag),
            }
        }
        self
    }

    /// The tags with signs that no tag can have in place of time and commit: for finding collisions ahead of time.
    pub fn symbolic(
        image: &Image,
        environment: &Environment,
        arch: Arch,
        revision_length: usize,
    ) -> Self {
        let revision = "#".repeat(revision_length);
        Self::new(
            &image.tag_prefix,
            &environment.name,
            arch,
            "@@@@@@@@-@@@@@@",
            &revision,
            false,
        )
    }

    /// The tag's names, in the order in which they are written.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|tag| tag.name.as_str())
    }

    /// The tags themselves, in the order in which they are written.
    pub fn iter(&self) -> impl Iterator<Item = &Tag> {
        self.0.iter()
    }

    /// The tags that name no architecture: an image index has them, where there is one.
    pub fn plain(&self) -> impl Iterator<Item = &Tag> {
        self.0.iter().filter(|tag| !tag.names_arch)
    }
}

/// A symbolic tag as people are shown it.
pub fn shown(symbolic: &str) -> String {
    let revision: String = symbolic.chars().filter(|c| *c == '#').collect();
    let named = if revision.is_empty() {
        symbolic.to_owned()
    } else {
        symbolic.replace(&revision, "SHA")
    };
    named.replace("@@@@@@@@-@@@@@@", "TIMESTAMP")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_six_tags_and_the_moving_ones_come_last() {
        let tags = TagSet::new(
            "api-",
            "dev",
            Arch::Arm64,
            "20250116-143000",
            "abc1234",
            false,
        );
        let names: Vec<_> = tags.all().collect();
        assert_eq!(
            names,
            [
                "api-dev-20250116-143000-arm64",
                "api-dev-20250116-143000",
                "api-abc1234-arm64",
                "api-abc1234",
                "api-dev-arm64-latest",
                "api-dev-latest"
            ]
        );
        assert!(
            tags.iter()
                .skip_while(|tag| tag.kind != TagKind::Moving)
                .all(|tag| tag.kind == TagKind::Moving)
        );
    }

    #[test]
    fn a_dirty_tree_marks_the_revision_tags_and_no_others() {
        let tags = TagSet::new("", "dev", Arch::Amd64, "20250116-143000", "abc1234", true);
        let dirty: Vec<_> = tags.all().filter(|tag| tag.ends_with("-dirty")).collect();
        assert_eq!(dirty, ["abc1234-amd64-dirty", "abc1234-dirty"]);
    }
}
