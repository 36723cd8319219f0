//! ECR: repositories, tags and manifests. What writes is safe to repeat.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use aws_config::SdkConfig;
use aws_sdk_ecr::{
    error::{ProvideErrorMetadata, SdkError},
    operation::{
        batch_get_image::BatchGetImageError, describe_images::DescribeImagesError,
        describe_repositories::DescribeRepositoriesError,
    },
    types::{
        Image, ImageIdentifier, ImageScanningConfiguration, ImageTagMutability,
        ImageTagMutabilityExclusionFilter, ImageTagMutabilityExclusionFilterType,
    },
};
use image_oci::{IMAGE_INDEX_TYPES, IMAGE_MANIFEST_TYPES, Manifest};
use tokio::{runtime::Runtime, task::JoinSet};

use super::{
    Aws, Connection, Reader, Writer,
    error::{explain, if_there},
    once,
};
use crate::{
    model::published::{Mutability, Repository, Stored},
    registry::{Login, Memory},
};

/// How often a tag is written again that ECR does not take for the moment.
const PATIENCE: u32 = 20;

/// A client for the account and region of the registry: they may be others than those of the environment.
pub(super) fn client(
    runtime: &Runtime,
    connection: &Connection,
    shared: &SdkConfig,
) -> aws_sdk_ecr::Client {
    let Some(ecr) = &connection.ecr else {
        return aws_sdk_ecr::Client::new(shared);
    };
    if ecr.profile == connection.profile && ecr.region == connection.region {
        return aws_sdk_ecr::Client::new(shared);
    }
    let loaded = connection.load(&ecr.region, ecr.profile.as_deref());
    aws_sdk_ecr::Client::new(&runtime.block_on(loaded))
}

impl Reader<'_> {
    /// A user name and password for the registry, good for twelve hours.
    ///
    /// # Errors
    /// A call that fails, or a token of an unknown form.
    pub fn login(&self) -> Result<Login> {
        once(&self.0.login, || self.ask_for_login())
    }

    fn ask_for_login(&self) -> Result<Login> {
        let call = self.0.ecr.get_authorization_token().send();
        let answer = self
            .0
            .runtime
            .block_on(call)
            .map_err(|e| explain("ecr:GetAuthorizationToken", "the registry", &e))?;
        let token = answer
            .authorization_data()
            .first()
            .and_then(|data| data.authorization_token());
        Login::from_ecr_token(token.context("ECR gave no authorization token")?)
    }

    /// A repository, if it exists.
    ///
    /// # Errors
    /// A call that fails.
    pub fn repository(&self, name: &str) -> Result<Option<Repository>> {
        let call = self
            .0
            .ecr
            .describe_repositories()
            .registry_id(&self.0.account)
            .repository_names(name)
            .send();
        let Some(answer) = if_there(
            self.0.runtime.block_on(call),
            DescribeRepositoriesError::is_repository_not_found_exception,
            "ecr:DescribeRepositories",
            &format!("repository `{name}`"),
        )?
        else {
            return Ok(None);
        };
        let Some(found) = answer.repositories().first() else {
            return Ok(None);
        };
        let filters = found.image_tag_mutability_exclusion_filters();
        let patterns: Vec<_> = filters
            .iter()
            .map(|filter| filter.filter().to_owned())
            .collect();
        let mutability = match found.image_tag_mutability() {
            Some(ImageTagMutability::Immutable) => Mutability::Immutable {
                except: Vec::new(),
                exclusions_known: true,
            },
            Some(ImageTagMutability::ImmutableWithExclusion) => Mutability::Immutable {
                exclusions_known: !patterns.is_empty(),
                except: patterns,
            },
            Some(ImageTagMutability::MutableWithExclusion) => Mutability::MutableExcept(patterns),
            _ => Mutability::Mutable,
        };
        Ok(Some(Repository { mutability }))
    }

    /// Asks for a layer that nobody has, as the beginning of every push does: who may not ask may not push either.
    ///
    /// # Errors
    /// A call that fails, most often for want of permission.
    pub fn can_look_for_layers(&self, repository: &str) -> Result<()> {
        let nobody_s = format!("sha256:{}", "0".repeat(64));
        let call = self
            .0
            .ecr
            .batch_check_layer_availability()
            .registry_id(&self.0.account)
            .repository_name(repository);
        let sent = self.0.runtime.block_on(call.layer_digests(nobody_s).send());
        sent.map_err(|e| {
            explain(
                "ecr:BatchCheckLayerAvailability",
                &format!("repository `{repository}`"),
                &e,
            )
        })?;
        Ok(())
    }

    /// The manifest that a tag names, if it exists.
    ///
    /// # Errors
    /// A call that fails.
    pub fn tagged(&self, repository: &str, tag: &str) -> Result<Option<Manifest>> {
        Ok(self.manifests(repository, &[tag.to_owned()])?.remove(tag))
    }

    /// The manifest that each of these tags names. Tags that do not exist are left out.
    ///
    /// All are asked for in one call. Of a tag that is neither in the answer nor in its failures nothing is known yet: stand-ins
    /// answer several tags of one image with one image and any of its tags. Such a tag gets a call of its own.
    ///
    /// # Errors
    /// A call that fails.
    pub fn manifests(
        &self,
        repository: &str,
        tags: &[String],
    ) -> Result<BTreeMap<String, Manifest>> {
        /// Source: the API reference of `BatchGetImage`, `imageIds`.
        const MOST: usize = 100;
        let ask = |tags: &[String]| {
            let id = |tag: &String| ImageIdentifier::builder().image_tag(tag).build();
            let ids = tags.iter().map(id).collect();
            batch(self.0.asked(), repository.to_owned(), ids)
        };
        self.0.runtime.block_on(async {
            let (mut found, mut unknown) = (BTreeMap::new(), Vec::new());
            for part in tags.chunks(MOST) {
                if part.len() == 1 {
                    unknown.extend_from_slice(part);
                    continue;
                }
                let answer = ask(part).await?;
                let images = answer.images.into_iter();
                found.extend(images.filter(|(tag, _)| part.contains(tag)));
                let is_known =
                    |tag: &&String| found.contains_key(*tag) || answer.missing.contains(tag);
                unknown.extend(part.iter().filter(|tag| !is_known(tag)).cloned());
            }
            let mut calls = JoinSet::new();
            for tag in unknown {
                let call = ask(std::slice::from_ref(&tag));
                calls.spawn(async move { anyhow::Ok((tag, call.await?)) });
            }
            while let Some(call) = calls.join_next().await {
                let (tag, answer) = call.context("a call to AWS was lost")??;
                let manifest = answer.images.into_iter().next();
                found.extend(manifest.map(|(_, manifest)| (tag, manifest)));
            }
            Ok(found)
        })
    }

    /// The manifest with this digest, byte for byte as it was stored: media types are translated when asking by tag, not
    /// by digest.
    ///
    /// # Errors
    /// A call that fails, or bytes that do not have the digest.
    pub fn manifest(&self, repository: &str, digest: &str) -> Result<Option<Manifest>> {
        if let Some(known) = self.0.memory.manifest(repository, digest) {
            return Ok(Some(known));
        }
        let id = ImageIdentifier::builder().image_digest(digest).build();
        let call = batch(self.0.asked(), repository.to_owned(), vec![id]);
        let images = self.0.runtime.block_on(call)?.images;
        let found = images.into_iter().next().map(|(_, manifest)| manifest);
        if let Some(other) = found.as_ref().filter(|manifest| manifest.digest != digest) {
            anyhow::bail!(
                "repository `{repository}` answers for {digest} with bytes of digest {}",
                other.digest
            );
        }
        Ok(found)
    }

    /// Every tagged image of a repository, newest first.
    ///
    /// # Errors
    /// A call that fails.
    pub fn images(&self, repository: &str) -> Result<Vec<Stored>> {
        use aws_sdk_ecr::types::{DescribeImagesFilter, TagStatus};
        let filter = DescribeImagesFilter::builder()
            .tag_status(TagStatus::Tagged)
            .build();
        let call = self
            .0
            .ecr
            .describe_images()
            .registry_id(&self.0.account)
            .repository_name(repository)
            .filter(filter);
        let mut pages = call.into_paginator().items().send();
        let mut stored = Vec::new();
        while let Some(detail) = self.0.runtime.block_on(pages.next()) {
            let detail = detail.map_err(|e| {
                explain(
                    "ecr:DescribeImages",
                    &format!("repository `{repository}`"),
                    &e,
                )
            })?;
            let Some(digest) = detail.image_digest() else {
                continue;
            };
            let pushed = detail.image_pushed_at().map_or(0, |time| time.secs());
            stored.push(Stored {
                digest: digest.to_owned(),
                tags: detail.image_tags().to_vec(),
                pushed,
            });
        }
        stored.sort_by_key(|image| std::cmp::Reverse(image.pushed));
        Ok(stored)
    }

    /// Every tag of an image.
    ///
    /// # Errors
    /// A call that fails.
    pub fn tags(&self, repository: &str, digest: &str) -> Result<BTreeSet<String>> {
        let id = ImageIdentifier::builder().image_digest(digest).build();
        let call = self
            .0
            .ecr
            .describe_images()
            .registry_id(&self.0.account)
            .repository_name(repository)
            .image_ids(id)
            .send();
        let Some(answer) = if_there(
            self.0.runtime.block_on(call),
            DescribeImagesError::is_image_not_found_exception,
            "ecr:DescribeImages",
            &format!("{digest} in `{repository}`"),
        )?
        else {
            return Ok(BTreeSet::new());
        };
        let tags = answer
            .image_details()
            .iter()
            .flat_map(|detail| detail.image_tags());
        Ok(tags.cloned().collect())
    }
}

impl Writer<'_> {
    /// Creates a repository that scans what is pushed and lets only tags of these patterns move. One that exists already,
    /// perhaps since a moment ago, is fine.
    ///
    /// # Errors
    /// A call that fails.
    pub fn create_repository(&self, name: &str, movable_tags: &[String]) -> Result<()> {
        let mut call = self
            .0
            .ecr
            .create_repository()
            .registry_id(&self.0.account)
            .repository_name(name)
            .image_scanning_configuration(
                ImageScanningConfiguration::builder()
                    .scan_on_push(true)
                    .build(),
            )
            .image_tag_mutability(ImageTagMutability::ImmutableWithExclusion);
        for pattern in movable_tags {
            let filter = ImageTagMutabilityExclusionFilter::builder()
                .filter_type(ImageTagMutabilityExclusionFilterType::Wildcard)
                .filter(pattern)
                .build()?;
            call = call.image_tag_mutability_exclusion_filters(filter);
        }
        match self.0.runtime.block_on(call.send()) {
            Ok(_) => Ok(()),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|e| e.is_repository_already_exists_exception()) =>
            {
                Ok(())
            }
            Err(error) => Err(explain(
                "ecr:CreateRepository",
                &format!("repository `{name}`"),
                &error,
            )),
        }
    }

    /// Makes a tag name an image that the repository has, by storing its manifest once more under the tag. No layer is
    /// sent. The digest goes along, so that ECR compares the bytes.
    ///
    /// # Errors
    /// A call that fails, or a tag that names another image and must not move.
    pub fn tag(&self, repository: &str, manifest: &Manifest, tag: &str) -> Result<()> {
        let call = self
            .0
            .ecr
            .put_image()
            .registry_id(&self.0.account)
            .repository_name(repository)
            .image_manifest(&manifest.bytes)
            .image_manifest_media_type(&manifest.media_type)
            .image_digest(&manifest.digest)
            .image_tag(tag);
        let about = format!("`{repository}:{tag}`");
        let mut patience = 0..PATIENCE;
        let outcome = loop {
            self.0.tagging.wait();
            let outcome = self.0.runtime.block_on(call.clone().send());
            let code = outcome.as_ref().err().and_then(SdkError::code);
            if code != Some("ThrottlingException") || patience.next().is_none() {
                break outcome;
            }
            self.0.tagging.slow_down();
        };
        match outcome {
            Ok(_) => Ok(()),
            // Same tag, same digest: what we wanted.
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|e| e.is_image_already_exists_exception()) =>
            {
                Ok(())
            }
            // The same for an immutable repository, where this may be the same digest or another: read it.
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|e| e.is_image_tag_already_exists_exception()) =>
            {
                let told = explain("ecr:PutImage", &about, &error);
                match self.0.reader().tagged(repository, tag)? {
                    Some(current) if current.digest == manifest.digest => Ok(()),
                    // What was there when the plan was made is no surprise.
                    Some(other) => Err(told.context(format!(
                        "`{tag}` names {}, perhaps because another push ran at the same time: run the same command again",
                        other.digest
                    ))),
                    None => Err(told),
                }
            }
            Err(error) => Err(explain("ecr:PutImage", &about, &error)),
        }
    }
}

/// What one call of `BatchGetImage` tells. A missing image is an entry in `failures` and no error.
pub(super) struct Batch {
    /// The manifests, each by a tag that names it, where it was asked for by one.
    pub(super) images: Vec<(String, Manifest)>,
    /// Tags that do not exist.
    missing: Vec<String>,
}

/// ECR, to be asked by several at once.
pub(super) struct Asked {
    ecr: aws_sdk_ecr::Client,
    account: String,
    memory: Memory,
}

impl Aws {
    /// Its ECR.
    pub(super) fn asked(&self) -> Asked {
        Asked {
            ecr: self.ecr.clone(),
            account: self.account.clone(),
            memory: self.memory(),
        }
    }
}

pub(super) async fn batch(
    asked: Asked,
    repository: String,
    ids: Vec<ImageIdentifier>,
) -> Result<Batch> {
    let name = |id: Option<&ImageIdentifier>| {
        let name = id.and_then(|id| id.image_tag().or_else(|| id.image_digest()));
        name.unwrap_or_default().to_owned()
    };
    let named: Vec<_> = ids.iter().map(|id| name(Some(id))).collect();
    let about = match ids.as_slice() {
        [id] => format!("`{repository}:{}`", name(Some(id))),
        _ => format!("tags of `{repository}`"),
    };
    let accepted = IMAGE_MANIFEST_TYPES
        .into_iter()
        .chain(IMAGE_INDEX_TYPES)
        .map(str::to_owned)
        .collect();
    let call = asked
        .ecr
        .batch_get_image()
        .registry_id(asked.account)
        .repository_name(&repository)
        .set_image_ids(Some(ids))
        .set_accepted_media_types(Some(accepted));
    let answer = if_there(
        call.send().await,
        BatchGetImageError::is_repository_not_found_exception,
        "ecr:BatchGetImage",
        &about,
    )?;
    // Where there is no repository, no tag is there.
    let Some(answer) = answer else {
        return Ok(Batch {
            images: Vec::new(),
            missing: named,
        });
    };
    let mut missing = Vec::new();
    for failure in answer.failures() {
        let name = name(failure.image_id());
        match failure.failure_code().map(|code| code.as_str()) {
            Some("ImageNotFound" | "ImageTagDoesNotMatchDigest") | None => missing.push(name),
            Some(code) => anyhow::bail!(
                "failed to read `{repository}:{name}`: {code}: {}",
                failure.failure_reason().unwrap_or("ECR gave no reason")
            ),
        }
    }
    let manifest = |image: &Image| {
        let bytes = image.image_manifest()?.to_owned();
        let media_type = image.image_manifest_media_type().unwrap_or_default();
        let manifest = Manifest::new(bytes, media_type);
        let digest = image.image_id().and_then(|id| id.image_digest());
        if digest == Some(&manifest.digest) {
            asked.memory.keep_manifest(&repository, &manifest);
        }
        Some((name(image.image_id()), manifest))
    };
    let images = answer.images().iter().filter_map(manifest).collect();
    Ok(Batch { images, missing })
}
