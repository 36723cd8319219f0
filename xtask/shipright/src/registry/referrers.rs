//! What belongs to an image in a registry: SBOMs, statements and signatures, found by the image's digest and attached to it.
//!
//! A registry of the specification's version 1.1 keeps the list itself, as ECR does since June 2024. For others the client keeps it, under
//! a tag that is made of the image's digest: a tag that may not move takes one list and no second.
//!
//! Source: the OCI distribution specification 1.1, "Listing Referrers", "Pushing Manifests with Subject" and "Unavailable Referrers
//! API".

use std::io::{Cursor, Read};

use anyhow::{Context, Result, bail};
use image_oci::{
    Artifact, Descriptor, IMAGE_INDEX_TYPES, Manifest, referrer, referrers_tag, with_referrers,
};

use super::{
    BlobSource, CONFIG_LIMIT, Failure, Registry, limited,
    lookup::{following, header},
    write::AT_ONCE,
};
use crate::parallel::side_by_side;

/// The most pages that a list of referrers may have.
const MOST_PAGES: usize = 100;

/// How often a list under a tag is written that another run writes too.
const ATTEMPTS: usize = 3;

/// What belongs to an image.
#[derive(Debug, Clone)]
pub struct Referrers {
    /// What it is, and where.
    pub all: Vec<Descriptor>,
    list: List,
}

/// Who keeps the list.
#[derive(Debug, Clone)]
enum List {
    /// The registry.
    Registry,
    /// The clients, under a tag, which may not be there yet.
    Tag {
        /// Whether it is.
        is_there: bool,
    },
}

/// A part of a registry's list.
struct Page {
    bytes: Vec<u8>,
    /// Where it goes on.
    link: Option<String>,
}

/// An artifact that is to be attached, and where its blobs are.
#[derive(Clone, Copy)]
pub struct Attachment<'a> {
    /// Its manifest, which names its subject.
    pub manifest: &'a Manifest,
    /// Its blobs.
    pub blobs: &'a dyn BlobSource,
}

impl BlobSource for Artifact {
    fn open(&self, digest: &str, from: u64) -> Result<Box<dyn Read + Send>> {
        let blob = self.blob(digest).context("the artifact has no such blob")?;
        let mut bytes = Cursor::new(blob.to_vec());
        bytes.set_position(from);
        Ok(Box::new(bytes))
    }
}

impl<'a> From<&'a Artifact> for Attachment<'a> {
    fn from(artifact: &'a Artifact) -> Self {
        Self {
            manifest: &artifact.manifest,
            blobs: artifact,
        }
    }
}

impl Referrers {
    /// Whether an artifact with this digest is among them.
    pub fn has(&self, digest: &str) -> bool {
        self.all.iter().any(|one| one.digest == digest)
    }

    /// Those of a kind.
    pub fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Descriptor> {
        let is_its = move |one: &&Descriptor| one.artifact_type.as_deref() == Some(kind);
        self.all.iter().filter(is_its)
    }

    /// The tag that the list is under and that has to move to take more. `None` where the registry keeps the list, or there is none yet.
    fn occupied_tag(&self, digest: &str) -> Option<String> {
        match &self.list {
            List::Tag { is_there: true } => Some(referrers_tag(digest)),
            List::Tag { is_there: false } | List::Registry => None,
        }
    }
}

impl Registry {
    /// What belongs to the image or index with a digest.
    ///
    /// # Errors
    /// A registry that cannot be reached or refuses, and a list that is none.
    pub fn referrers(&self, repository: &str, digest: &str) -> Result<Referrers> {
        if let Some(all) = self.listed(repository, digest)? {
            let list = List::Registry;
            return Ok(Referrers { all, list });
        }
        let tag = referrers_tag(digest);
        let found = self.find(repository, &tag)?;
        let about = || format!("`{repository}:{tag}` should list what belongs to {digest}");
        let all = match &found {
            // Whether it is a list at all is asked by who reads it.
            Some(index) if !index.is_image_index() => {
                bail!(
                    "{}, and is of media type `{}`",
                    about(),
                    index.media_type.escape_debug()
                )
            }
            Some(index) => index.children().with_context(about)?.to_vec(),
            None => Vec::new(),
        };
        let list = List::Tag {
            is_there: found.is_some(),
        };
        Ok(Referrers { all, list })
    }

    /// The registry's own list, or `None` where it keeps none.
    fn listed(&self, repository: &str, digest: &str) -> Result<Option<Vec<Descriptor>>> {
        let list = format!("{repository}/referrers/{digest}");
        let about = format!("list what belongs to {digest} in `{repository}`");
        let (mut next, mut all) = (Some(list.clone()), Vec::new());
        for _ in 0..MOST_PAGES {
            let Some(path) = next.take() else {
                return Ok(Some(all));
            };
            let page = self.retried(&about, repository, || self.page(&path))?;
            let Some(Page { bytes, link }) = page else {
                return Ok(None);
            };
            let text = String::from_utf8(bytes).ok();
            let text = text.with_context(|| format!("failed to {about}: it is not text"))?;
            let page = Manifest::new(text, IMAGE_INDEX_TYPES[0]);
            let entries = page
                .children()
                .with_context(|| format!("failed to {about}"))?;
            all.extend(entries.iter().cloned());
            next = link.and_then(|link| following(&link, &list));
        }
        bail!("failed to {about}: the list does not end")
    }

    /// A part of the list. Registries without one answer in many ways, some with a page for people.
    fn page(&self, path: &str) -> Result<Option<Page>, Failure> {
        let answer = self.call(path, IMAGE_INDEX_TYPES[0])?;
        let kind = header(&answer, "content-type").unwrap_or_default();
        let is_list = kind.split(';').next().unwrap_or_default().trim() == IMAGE_INDEX_TYPES[0];
        match answer.status().as_u16() {
            200 if is_list => {
                let link = header(&answer, "link");
                let bytes = limited(answer.into_body(), CONFIG_LIMIT)?;
                Ok(Some(Page { bytes, link }))
            }
            200 | 400 | 404..=406 | 501 => Ok(None),
            _ => Err(Failure::refused(&self.host, answer)),
        }
    }

    /// Attaches artifacts to the image that they name as their subject. What is there already is left alone; returns the digests of
    /// what was not. `may_move` tells of a tag whether the repository lets it move.
    ///
    /// # Errors
    /// A registry that cannot be reached or refuses. Where the list is under a tag that may not move, nothing is sent.
    pub fn attach(
        &self,
        (repository, subject): (&str, &str),
        before: &Referrers,
        attachments: &[Attachment<'_>],
        may_move: impl Fn(&str) -> Result<bool>,
    ) -> Result<Vec<String>> {
        let new: Vec<_> = attachments
            .iter()
            .filter(|one| !before.has(&one.manifest.digest))
            .collect();
        if new.is_empty() {
            return Ok(Vec::new());
        }
        if let Some(tag) = before.occupied_tag(subject)
            && !may_move(&tag)?
        {
            bail!(
                "the registry keeps no list of what belongs to an image, and the tag `{tag}` of `{repository}`, which is that list, \
                 may not move: nothing was attached. Let tags `sha256-*` move in this repository"
            );
        }
        let mut is_listed = true;
        for one in &new {
            is_listed &= self.put_attachment(repository, one)?;
        }
        let digests: Vec<_> = new.iter().map(|one| one.manifest.digest.clone()).collect();
        if is_listed || self.lists(repository, subject, &digests)? {
            return Ok(digests);
        }
        let entries = new.iter().map(|one| referrer(one.manifest));
        let entries = entries.collect::<Result<Vec<_>, _>>()?;
        self.enter(repository, subject, &entries)?;
        Ok(digests)
    }

    /// Whether the registry's own list has all of these, though it did not say so.
    fn lists(&self, repository: &str, subject: &str, digests: &[String]) -> Result<bool> {
        let listed = self.listed(repository, subject)?.unwrap_or_default();
        let has = |digest: &String| listed.iter().any(|one| one.digest == *digest);
        Ok(digests.iter().all(has))
    }

    /// Sends an artifact, and its blobs before it. Returns whether the registry has entered it into the list of its subject.
    fn put_attachment(&self, repository: &str, one: &Attachment<'_>) -> Result<bool> {
        let blobs: Vec<_> = one.manifest.document()?.blobs().collect();
        let missing = self.missing(repository, &blobs)?;
        side_by_side(AT_ONCE, &missing, |blob| {
            self.put_blob(repository, blob, one.blobs, None)
        })?;
        let Manifest {
            digest,
            media_type,
            bytes,
            ..
        } = one.manifest;
        self.put_manifest_of(repository, digest, media_type, bytes.as_bytes())
    }

    /// Enters artifacts into the list under the tag of their subject. Another run may write it at the same time: it is read again.
    fn enter(&self, repository: &str, subject: &str, entries: &[Descriptor]) -> Result<()> {
        let tag = referrers_tag(subject);
        for _ in 0..ATTEMPTS {
            let before = self.find(repository, &tag)?;
            let Some(next) = with_referrers(before.as_ref(), entries)? else {
                return Ok(());
            };
            self.put_manifest(repository, &tag, &next.media_type, next.bytes.as_bytes())
                .with_context(|| {
                    format!(
                        "the registry keeps no list of what belongs to an image, and the tag `{tag}`, which would be that list, \
                         cannot be written: what was attached is not found by others"
                    )
                })?;
            let now = self.find(repository, &tag)?;
            if with_referrers(now.as_ref(), entries)?.is_none() {
                return Ok(());
            }
        }
        bail!("`{repository}:{tag}` does not stay as it is written: other runs write it too")
    }
}
