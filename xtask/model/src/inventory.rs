//! All that a repository of ECR has, and what names an image of it elsewhere: what a decision about deletion is made from.

use serde::Serialize;

/// An image, an image index or an artifact of a repository.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct StoredImage {
    /// The manifest's digest.
    pub digest: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// When it was pushed, in seconds since 1970.
    pub pushed: Option<i64>,
    /// Bytes of its layers, compressed, also of those that other images have. Nothing of an image index: its images have them.
    pub size: u64,
    /// Whether it is an image index.
    pub is_index: bool,
    /// The digests that an image index names.
    pub children: Vec<String>,
    /// The digest of the image that this is a signature, an attestation or another artifact of.
    pub subject: Option<String>,
    /// Why its manifest could not be read.
    pub unread: Option<String>,
}

/// Something outside the repository that names an image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ImageUse {
    /// What it is: `Lambda function api, version 3`.
    pub by: String,
    /// The image.
    pub image: UsedImage,
}

/// How something names the image that it runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum UsedImage {
    /// By its digest.
    Digest(String),
    /// By a tag, and whatever it names is meant.
    Tag {
        /// The repository, without the registry's host.
        repository: String,
        /// The tag.
        tag: String,
    },
    /// By something that does not tell which image of the repository it is; with no repository, of any.
    Untold {
        /// The repository, without the registry's host.
        repository: Option<String>,
    },
}

impl ImageUse {
    /// The use of an image by its reference. Nothing for one without a registry's host: such an image is on Docker Hub.
    pub fn of_reference(by: impl Into<String>, reference: &str) -> Option<Self> {
        let by = by.into();
        if let Some((_, digest)) = reference.split_once('@') {
            let image = UsedImage::Digest(digest.to_owned());
            return Some(Self { by, image });
        }
        let (_, rest) = reference.split_once('/')?;
        let (repository, tag) = match rest.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, tag),
            _ => (rest, "latest"),
        };
        let image = UsedImage::Tag {
            repository: repository.to_owned(),
            tag: tag.to_owned(),
        };
        Some(Self { by, image })
    }

    /// The same of something that does not follow its tag: the tag may have moved since it was started.
    #[must_use]
    pub fn not_following(self) -> Self {
        match self.image {
            UsedImage::Tag { repository, .. } => Self {
                by: self.by,
                image: UsedImage::Untold {
                    repository: Some(repository),
                },
            },
            UsedImage::Digest(_) | UsedImage::Untold { .. } => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_names_a_digest_or_what_a_tag_names() {
        let of = |text: &str| ImageUse::of_reference("x", text).map(|found| found.image);
        let tag = |repository: &str, tag: &str| {
            Some(UsedImage::Tag {
                repository: repository.into(),
                tag: tag.into(),
            })
        };
        let digest = Some(UsedImage::Digest("sha256:a".into()));
        assert_eq!(of("host:5000/team/api@sha256:a"), digest);
        assert_eq!(of("docker-pullable://host/api:1@sha256:a"), digest);
        assert_eq!(of("host:5000/team/api:1.2"), tag("team/api", "1.2"));
        assert_eq!(of("host:5000/api"), tag("api", "latest"));
        assert_eq!(of("nginx:1"), None);
    }
}
