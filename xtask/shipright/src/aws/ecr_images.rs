//! ECR: everything that a repository has, and its deletion.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use aws_sdk_ecr::{
    error::SdkError,
    operation::describe_images::DescribeImagesError,
    types::{ImageDetail, ImageIdentifier},
};
use image_oci::{IMAGE_INDEX_TYPES, IMAGE_MANIFEST_TYPES, Manifest};

use super::{Reader, Writer, ecr::batch, error::explain};
use crate::{model::inventory::StoredImage, parallel::side_by_side};

/// How many images are described on a page. Source: the API reference of `DescribeImages`, `maxResults`.
const PAGE: i32 = 1000;

/// How many images are named in one call. Source: the API reference of `BatchGetImage`, `DescribeImages` and `BatchDeleteImage`.
const MOST: usize = 100;

/// How many questions are asked at a time.
const QUESTIONS: usize = 4;

/// An image that ECR did not delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotDeleted {
    /// Its digest.
    pub digest: String,
    /// ECR's code: `ImageReferencedByManifestList`, …
    pub code: String,
    /// ECR's words.
    pub reason: String,
}

impl Reader<'_> {
    /// Everything in a repository, newest first: what has tags and what has none, with what each image index has and what each
    /// artifact belongs to. Nothing where there is no such repository. Images in ECR's archive are not among them.
    ///
    /// # Errors
    /// A call that fails. A manifest that cannot be read is no error, but told of its image.
    pub fn inventory(&self, repository: &str) -> Result<Option<Vec<StoredImage>>> {
        let Some(details) = self.details(repository)? else {
            return Ok(None);
        };
        let to_read: Vec<_> = details.iter().filter(|one| asks_for_bytes(one)).collect();
        let digests: Vec<_> = to_read
            .iter()
            .filter_map(|one| one.image_digest().map(str::to_owned))
            .collect();
        let parts: Vec<_> = digests.chunks(MOST).collect();
        let read = side_by_side(QUESTIONS, &parts, |part| Ok(self.bytes(repository, part)))?;
        let mut manifests: BTreeMap<_, _> = read.into_iter().flatten().collect();
        let stored = details.iter().filter_map(|detail| {
            let manifest = manifests.remove(detail.image_digest()?);
            stored(detail, manifest)
        });
        let mut stored: Vec<_> = stored.collect();
        stored.sort_by(|one, other| {
            other
                .pushed
                .cmp(&one.pushed)
                .then(one.digest.cmp(&other.digest))
        });
        Ok(Some(stored))
    }

    fn details(&self, repository: &str) -> Result<Option<Vec<ImageDetail>>> {
        let call = self.0.ecr.describe_images();
        let call = call
            .registry_id(&self.0.account)
            .repository_name(repository)
            .max_results(PAGE);
        let mut pages = call.into_paginator().items().send();
        let mut details = BTreeMap::new();
        while let Some(detail) = self.0.runtime.block_on(pages.next()) {
            match detail {
                // Pages of what changes meanwhile may have an image twice.
                Ok(detail) => add(&mut details, detail),
                Err(error) if is_no_repository(&error) => return Ok(None),
                Err(error) => {
                    let about = format!("repository `{repository}`");
                    return Err(explain("ecr:DescribeImages", &about, &error));
                }
            }
        }
        Ok(Some(details.into_values().collect()))
    }

    /// The manifests of these digests, or why one cannot be read.
    fn bytes(
        &self,
        repository: &str,
        digests: &[String],
    ) -> Vec<(String, Result<Manifest, String>)> {
        let ask = |digests: &[String]| {
            let id = |digest: &String| ImageIdentifier::builder().image_digest(digest).build();
            let ids = digests.iter().map(id).collect();
            let call = batch(self.0.asked(), repository.to_owned(), ids);
            self.0.runtime.block_on(call)
        };
        match ask(digests) {
            Ok(answer) => {
                let manifests = answer.images.into_iter();
                let mut found: BTreeMap<_, _> = manifests
                    .map(|(_, manifest)| (manifest.digest.clone(), manifest))
                    .collect();
                let of = |digest: &String| {
                    let none = || "ECR does not give its manifest".to_owned();
                    (digest.clone(), found.remove(digest).ok_or_else(none))
                };
                digests.iter().map(of).collect()
            }
            // One that cannot be read spoils the call for the others.
            Err(error) => match digests {
                [digest] => vec![(digest.clone(), Err(format!("{error:#}")))],
                _ => {
                    let (one, other) = digests.split_at(digests.len() / 2);
                    let mut all = self.bytes(repository, one);
                    all.extend(self.bytes(repository, other));
                    all
                }
            },
        }
    }

    /// The tags of those of these images that are still there.
    ///
    /// # Errors
    /// A call that fails.
    pub fn tags_of(
        &self,
        repository: &str,
        digests: &[String],
    ) -> Result<BTreeMap<String, BTreeSet<String>>> {
        let mut found = BTreeMap::new();
        for part in digests.chunks(MOST) {
            let id = |digest: &String| ImageIdentifier::builder().image_digest(digest).build();
            let call = self.0.ecr.describe_images();
            let call = call
                .registry_id(&self.0.account)
                .repository_name(repository)
                .set_image_ids(Some(part.iter().map(id).collect()));
            match self.0.runtime.block_on(call.send()) {
                Ok(answer) => {
                    let of = |detail: &ImageDetail| {
                        let tags = detail.image_tags().iter().cloned().collect();
                        Some((detail.image_digest()?.to_owned(), tags))
                    };
                    found.extend(answer.image_details().iter().filter_map(of));
                }
                // One image that is gone fails the call for all.
                Err(error) if is_no_image(&error) => {
                    if part.len() > 1 {
                        let (one, other) = part.split_at(part.len() / 2);
                        found.extend(self.tags_of(repository, one)?);
                        found.extend(self.tags_of(repository, other)?);
                    }
                }
                Err(error) => {
                    let about = format!("images of `{repository}`");
                    return Err(explain("ecr:DescribeImages", &about, &error));
                }
            }
        }
        Ok(found)
    }
}

impl Writer<'_> {
    /// Deletes images by their digests, at most a hundred, with all of their tags. Returns what ECR did not delete. One that is gone
    /// already is none of it.
    ///
    /// # Errors
    /// A call that fails, or more images than a call takes.
    pub fn delete_images(&self, repository: &str, digests: &[String]) -> Result<Vec<NotDeleted>> {
        if digests.len() > MOST {
            bail!("{} images are more than one call takes", digests.len());
        }
        let id = |digest: &String| ImageIdentifier::builder().image_digest(digest).build();
        let call = self.0.ecr.batch_delete_image();
        let call = call
            .registry_id(&self.0.account)
            .repository_name(repository)
            .set_image_ids(Some(digests.iter().map(id).collect()));
        let about = format!("images of `{repository}`");
        let answer = self
            .0
            .runtime
            .block_on(call.send())
            .map_err(|e| explain("ecr:BatchDeleteImage", &about, &e))?;
        let failures = answer.failures().iter().filter_map(|failure| {
            let code = failure
                .failure_code()
                .map_or("no code", |code| code.as_str());
            let digest = failure.image_id()?.image_digest()?;
            (code != "ImageNotFound").then(|| NotDeleted {
                digest: digest.to_owned(),
                code: code.to_owned(),
                reason: failure.failure_reason().unwrap_or_default().to_owned(),
            })
        });
        Ok(failures.collect())
    }
}

fn add(details: &mut BTreeMap<String, ImageDetail>, mut detail: ImageDetail) {
    let Some(digest) = detail.image_digest().map(str::to_owned) else {
        return;
    };
    if let Some(known) = details.get(&digest) {
        let mut tags: BTreeSet<_> = known.image_tags().iter().cloned().collect();
        tags.extend(detail.image_tags.unwrap_or_default());
        detail.image_tags = Some(tags.into_iter().collect());
    }
    details.insert(digest, detail);
}

fn is_no_repository<R>(error: &SdkError<DescribeImagesError, R>) -> bool {
    let service = error.as_service_error();
    service.is_some_and(DescribeImagesError::is_repository_not_found_exception)
}

fn is_no_image<R>(error: &SdkError<DescribeImagesError, R>) -> bool {
    let service = error.as_service_error();
    service.is_some_and(DescribeImagesError::is_image_not_found_exception)
}

fn media_type(detail: &ImageDetail) -> &str {
    detail.image_manifest_media_type().unwrap_or_default()
}

/// Whether the bytes tell what ECR's description does not: what an index has, and what something without a tag belongs to.
fn asks_for_bytes(detail: &ImageDetail) -> bool {
    let kind = media_type(detail);
    kind.is_empty()
        || IMAGE_INDEX_TYPES.contains(&kind)
        || detail.image_tags().is_empty() && IMAGE_MANIFEST_TYPES.contains(&kind)
}

fn stored(detail: &ImageDetail, manifest: Option<Result<Manifest, String>>) -> Option<StoredImage> {
    let digest = detail.image_digest()?.to_owned();
    let kind = media_type(detail);
    let mut image = StoredImage {
        digest,
        tags: detail.image_tags().to_vec(),
        pushed: detail.image_pushed_at().map(|time| time.secs()),
        size: detail
            .image_size_in_bytes()
            .and_then(|size| u64::try_from(size).ok())
            .unwrap_or(0),
        is_index: IMAGE_INDEX_TYPES.contains(&kind),
        children: Vec::new(),
        subject: detail.subject_manifest_digest().map(str::to_owned),
        unread: None,
    };
    let document = match manifest {
        Some(Ok(manifest)) => {
            image.is_index |= manifest.is_image_index();
            match manifest.document() {
                Ok(document) => Some(document.clone()),
                Err(error) => {
                    image.unread = Some(error.to_string());
                    None
                }
            }
        }
        Some(Err(why)) => {
            image.unread = Some(why);
            None
        }
        None => None,
    };
    if let Some(document) = document {
        let children = document.manifests.into_iter();
        image.children = children.map(|child| child.digest).collect();
        let subject = document.subject.map(|subject| subject.digest);
        image.subject = image.subject.or(subject);
    }
    if image.is_index {
        image.size = 0;
    } else if !kind.is_empty() && !IMAGE_MANIFEST_TYPES.contains(&kind) && image.subject.is_none() {
        image.unread = Some(format!("it is of media type `{kind}`, which is no image"));
    }
    Some(image)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detail(media_type: &str, tags: &[&str]) -> ImageDetail {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        ImageDetail::builder()
            .image_digest("sha256:a")
            .image_manifest_media_type(media_type)
            .set_image_tags(Some(tags))
            .image_size_in_bytes(7)
            .build()
    }

    fn manifest(text: &str) -> Manifest {
        Manifest::new(text.to_owned(), "")
    }

    #[test]
    fn what_the_bytes_say_is_taken_where_they_tell_more() {
        let [image, index] = [IMAGE_MANIFEST_TYPES[0], IMAGE_INDEX_TYPES[0]];
        assert!(asks_for_bytes(&detail(index, &["a"])));
        assert!(asks_for_bytes(&detail(image, &[])));
        assert!(asks_for_bytes(&detail("", &["a"])));
        assert!(!asks_for_bytes(&detail(image, &["a"])));
        let text = r#"{"subject":{"digest":"sha256:s","size":1}}"#;
        let found = stored(&detail(image, &[]), Some(Ok(manifest(text)))).unwrap();
        assert_eq!(found.subject.as_deref(), Some("sha256:s"));
        assert_eq!((found.size, found.is_index), (7, false));
        let text = r#"{"manifests":[{"digest":"sha256:c","size":1}]}"#;
        let found = stored(&detail(index, &[]), Some(Ok(manifest(text)))).unwrap();
        assert_eq!(found.children, ["sha256:c"]);
        assert_eq!((found.size, found.is_index), (0, true));
    }

    #[test]
    fn an_image_that_is_listed_twice_is_one_with_all_of_its_tags() {
        let mut details = BTreeMap::new();
        for tags in [&["a", "b"][..], &["b", "c"], &[]] {
            add(&mut details, detail("x", tags));
        }
        let all: Vec<_> = details.into_values().collect();
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].image_tags(), ["a", "b", "c"]);
    }

    #[test]
    fn what_cannot_be_read_or_is_of_no_known_kind_is_said() {
        let [image, index] = [IMAGE_MANIFEST_TYPES[0], IMAGE_INDEX_TYPES[0]];
        let unread = |detail: &ImageDetail, manifest| stored(detail, manifest).unwrap().unread;
        let lost = || Some(Err("lost".to_owned()));
        assert_eq!(unread(&detail(index, &[]), lost()).as_deref(), Some("lost"));
        assert!(unread(&detail(index, &[]), Some(Ok(manifest("no JSON")))).is_some());
        assert_eq!(unread(&detail(image, &["a"]), None), None);
        let why = unread(&detail("application/x", &[]), None).unwrap();
        assert!(why.contains("application/x"), "{why}");
    }
}
