//! A list of images, one for each CPU, made of images that are in the registry already.
//!
//! Architecture Invariant: what a child's entry says is read from the child itself: its size and digest from its bytes, its
//! platform from its config. A list whose words and bytes disagree cannot be made here.

use std::collections::BTreeMap;

use serde::Serialize;

use super::plan::Refusal;
use crate::{
    arch::Arch,
    facts::published::{INDEXES, Manifest, SINGLE_MANIFESTS},
};

/// An image that goes into a list.
#[derive(Debug, Clone)]
pub struct Child {
    /// What people call it.
    pub name: String,
    /// Its manifest.
    pub manifest: Manifest,
    /// The platform that its config says.
    pub platform: Platform,
}

/// A platform, as an entry of a list has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Platform {
    /// As OCI spells it.
    pub architecture: String,
    /// `linux`.
    pub os: String,
    /// `v8`, of some arm64 images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
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

impl Platform {
    /// Reads it from an image's config.
    ///
    /// # Errors
    /// Bytes that are no config, or say no platform.
    pub fn of_config(config: &[u8]) -> anyhow::Result<Self> {
        #[derive(serde::Deserialize)]
        struct Said {
            architecture: String,
            os: String,
            variant: Option<String>,
        }
        let said: Said =
            serde_json::from_slice(config).map_err(|error| anyhow::anyhow!("the config says no platform: {error}"))?;
        Ok(Self { architecture: said.architecture, os: said.os, variant: said.variant.filter(|variant| !variant.is_empty()) })
    }

    /// One form for all spellings of a platform: clients take `v8` for what every arm64 is, and `v1` for every amd64.
    /// Source: `Normalize` of containerd's package `platforms`.
    #[must_use]
    pub fn normalised(&self) -> Self {
        let arch = self.architecture.parse::<Arch>().ok();
        let usual = match arch {
            Some(Arch::Arm64) => ["v8", "8"],
            Some(Arch::Amd64) => ["v1", "1"],
            None => ["", ""],
        };
        Self {
            architecture: arch.map_or_else(|| self.architecture.clone(), |arch| arch.oci().to_owned()),
            os: self.os.clone(),
            variant: self.variant.clone().filter(|variant| !variant.is_empty() && !usual.contains(&variant.as_str())),
        }
    }

    /// Whether this is the platform that BuildKit gives to what it says about an image, which nothing runs.
    pub fn is_unknown(&self) -> bool {
        (self.os.as_str(), self.architecture.as_str()) == ("unknown", "unknown")
    }

    /// The CPU, where it is one that images can be proven for and is spelled as OCI spells it.
    pub fn provable(&self) -> Option<Arch> {
        self.architecture.parse::<Arch>().ok().filter(|arch| self.os == "linux" && arch.oci() == self.architecture)
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What a registry says is no line of its own.
        write!(f, "{}/{}", self.os.escape_debug(), self.architecture.escape_debug())?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{}", variant.escape_debug()))
    }
}

/// Makes the list. Equal children give equal bytes, whatever their order.
///
/// # Errors
/// No child, a child that is a list itself, and two for one platform.
pub fn assemble(children: &[Child]) -> Result<Manifest, Vec<Refusal>> {
    let mut refusals = Vec::new();
    let mut by_platform: BTreeMap<Platform, &Child> = BTreeMap::new();
    for child in children {
        if !child.manifest.is_single() {
            let problem = format!("{} is a list of images itself (`{}`)", child.name, child.manifest.media_type);
            refusals.push(Refusal::new(problem, "name the single images that it lists, by their digests"));
        }
        if let Some(other) = by_platform.insert(child.platform.normalised(), child) {
            let problem = if other.manifest.digest == child.manifest.digest {
                format!("{} and {} are the same image, {}", other.name, child.name, child.manifest.digest)
            } else {
                format!("{} and {} are both for {}", other.name, child.name, child.platform)
            };
            refusals.push(Refusal::new(problem, "name one image for each platform"));
        }
    }
    if children.is_empty() {
        refusals.push(Refusal::new("a list needs at least one image", "name them after the list"));
    }
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let all_docker = by_platform.values().all(|child| child.manifest.media_type == SINGLE_MANIFESTS[1]);
    let media_type = INDEXES[usize::from(all_docker)];
    let manifests = by_platform
        .values()
        .map(|child| Entry {
            media_type: &child.manifest.media_type,
            size: child.manifest.bytes.len(),
            digest: &child.manifest.digest,
            platform: &child.platform,
        })
        .collect();
    let index = Index { schema_version: 2, media_type, manifests };
    let bytes = serde_json::to_string_pretty(&index).unwrap_or_default();
    Ok(Manifest::new(bytes, media_type))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn child(name: &str, architecture: &str, bytes: &str) -> Child {
        let platform = Platform { architecture: architecture.into(), os: "linux".into(), variant: None };
        Child { name: name.into(), manifest: Manifest::new(bytes.into(), SINGLE_MANIFESTS[0]), platform }
    }

    #[test]
    fn the_bytes_do_not_depend_on_the_order_and_say_what_the_children_are() {
        let (a, b) = (child("a", "arm64", "{\"a\":1}"), child("b", "amd64", "{\"b\":22}"));
        let index = assemble(&[a.clone(), b.clone()]).unwrap();
        assert_eq!(index.digest, assemble(&[b.clone(), a.clone()]).unwrap().digest);
        let parsed = image_proof::Manifest::parse(index.bytes.as_bytes()).unwrap();
        let sizes: Vec<_> = parsed.manifests.iter().map(|child| (child.digest.as_str(), child.size)).collect();
        assert_eq!(sizes, [(b.manifest.digest.as_str(), 8), (a.manifest.digest.as_str(), 7)]);
        assert_eq!(index.media_type, INDEXES[0]);
    }

    #[test]
    fn twins_and_lists_are_refused_by_name() {
        let problem = |children: &[Child]| assemble(children).unwrap_err()[0].problem.clone();
        assert!(problem(&[]).contains("at least one"));
        assert!(problem(&[child("a", "arm64", "{}"), child("b", "arm64", "{ }")]).contains("a and b are both for linux/arm64"));
        assert!(problem(&[child("a", "arm64", "{}"), child("b", "arm64", "{}")]).contains("a and b are the same image"));
        let mut v8 = child("b", "arm64", "{ }");
        v8.platform.variant = Some("v8".into());
        assert!(problem(&[child("a", "arm64", "{}"), v8]).contains("a and b are both for linux/arm64/v8"));
        let list = Child { manifest: Manifest::new("{}".into(), INDEXES[0]), ..child("l", "arm64", "{}") };
        assert!(problem(&[list]).contains("l is a list"));
    }
}
