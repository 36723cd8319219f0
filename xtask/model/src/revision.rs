//! The commit that images are labelled and tagged with.

use std::collections::BTreeMap;

use serde::Serialize;

/// A commit and the state of the tree above it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Revision {
    /// The whole commit, 40 or 64 hexadecimal digits.
    pub commit: String,
    /// Whether tracked files differ from the commit, or untracked ones are there.
    pub dirty: bool,
    /// When it was committed, in seconds since 1970.
    pub time: i64,
    /// The branch, unless `HEAD` is detached.
    pub branch: Option<String>,
    /// The git tags of this very commit, the highest version first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// What files of packages say as the version, by the paths that deploy.toml names.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub versions: BTreeMap<String, String>,
    /// The nearest tag with the distance from it, or the short commit.
    pub description: String,
    /// The URL of `origin` without user and password.
    pub origin: Option<String>,
}

impl Revision {
    /// The revision that an image's label tells: its commit, and nothing else.
    pub fn of_label(commit: &str, dirty: bool) -> Self {
        Self {
            commit: commit.to_owned(),
            dirty,
            time: 0,
            branch: None,
            tags: Vec::new(),
            versions: BTreeMap::new(),
            description: String::new(),
            origin: None,
        }
    }

    /// The first characters of the commit.
    pub fn short(&self, length: usize) -> &str {
        &self.commit[..length.min(self.commit.len())]
    }
}
