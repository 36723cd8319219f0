//! Reads: identity, repositories, manifests. Nothing here changes anything.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use aws_sdk_ecr::{
    operation::{
        describe_images::DescribeImagesError, describe_repositories::DescribeRepositoriesError,
    },
    types::{ImageIdentifier, ImageTagMutability},
};
use image_oci::{IMAGE_INDEX_TYPES, IMAGE_MANIFEST_TYPES, Manifest};
use tokio::task::JoinSet;

use super::{
    Aws,
    error::{explain, if_there},
};
use crate::{
    model::nodes::Nodes,
    model::published::{Mutability, Repository, Stored},
    plan::nodes,
    registry::Login,
};

/// The half of [`Aws`] that looks.
#[derive(Clone, Copy)]
pub struct Reader<'a>(pub(super) &'a Aws);

/// Who the credentials belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The account.
    pub account: String,
    /// The user or role.
    pub arn: String,
}

impl Reader<'_> {
    /// Who we are.
    ///
    /// # Errors
    /// A call that fails, most often for want of credentials.
    pub fn identity(&self) -> Result<Identity> {
        let call = self.0.sts.get_caller_identity().send();
        let answer = self
            .0
            .runtime
            .block_on(call)
            .map_err(|e| explain("sts:GetCallerIdentity", "your credentials", &e))?;
        let account = answer
            .account()
            .context("AWS named no account for these credentials")?
            .to_owned();
        Ok(Identity {
            account,
            arn: answer.arn().unwrap_or("no ARN").to_owned(),
        })
    }

    /// A user name and password for the registry, good for twelve hours.
    ///
    /// # Errors
    /// A call that fails, or a token of an unknown form.
    pub fn login(&self) -> Result<Login> {
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
    /// One call a tag: a stand-in answers several tags of one image with one image and any of its tags.
    ///
    /// # Errors
    /// A call that fails.
    pub fn manifests(
        &self,
        repository: &str,
        tags: &[String],
    ) -> Result<BTreeMap<String, Manifest>> {
        self.0.runtime.block_on(async {
            let mut calls = JoinSet::new();
            for tag in tags {
                let id = ImageIdentifier::builder().image_tag(tag).build();
                calls.spawn(manifest(
                    self.0.ecr.clone(),
                    self.0.account.clone(),
                    repository.to_owned(),
                    id,
                    tag.clone(),
                ));
            }
            let mut found = BTreeMap::new();
            while let Some(call) = calls.join_next().await {
                let (tag, manifest) = call.context("a call to AWS was lost")??;
                if let Some(manifest) = manifest {
                    found.insert(tag, manifest);
                }
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
        let id = ImageIdentifier::builder().image_digest(digest).build();
        let call = manifest(
            self.0.ecr.clone(),
            self.0.account.clone(),
            repository.to_owned(),
            id,
            digest.to_owned(),
        );
        let (_, found) = self.0.runtime.block_on(call)?;
        if let Some(other) = found.as_ref().filter(|manifest| manifest.digest != digest) {
            anyhow::bail!(
                "repository `{repository}` answers for {digest} with bytes of digest {}",
                other.digest
            );
        }
        Ok(found)
    }

    /// The node groups of an EKS cluster.
    ///
    /// # Errors
    /// A cluster that does not exist, or a call that fails.
    pub fn node_groups(&self, cluster: &str) -> Result<Vec<Nodes>> {
        let about = format!("cluster `{cluster}`");
        self.0.runtime.block_on(async {
            let mut pages = self
                .0
                .eks
                .list_nodegroups()
                .cluster_name(cluster)
                .into_paginator()
                .items()
                .send();
            let mut groups = Vec::new();
            while let Some(name) = pages.next().await {
                let name = name.map_err(|e| explain("eks:ListNodegroups", &about, &e))?;
                let call = self
                    .0
                    .eks
                    .describe_nodegroup()
                    .cluster_name(cluster)
                    .nodegroup_name(&name)
                    .send();
                let answer = call.await.map_err(|e| {
                    explain("eks:DescribeNodegroup", &format!("`{name}` of {about}"), &e)
                })?;
                let Some(group) = answer.nodegroup() else {
                    continue;
                };
                let ami_type = group.ami_type().map_or("CUSTOM", |kind| kind.as_str());
                groups.push(nodes::of_group(&name, ami_type, group.instance_types()));
            }
            Ok(groups)
        })
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

/// A missing image is HTTP 200 with an entry in `failures`, not an error; a missing repository is an error.
async fn manifest(
    ecr: aws_sdk_ecr::Client,
    account: String,
    repository: String,
    id: ImageIdentifier,
    name: String,
) -> Result<(String, Option<Manifest>)> {
    let accepted = IMAGE_MANIFEST_TYPES
        .into_iter()
        .chain(IMAGE_INDEX_TYPES)
        .map(str::to_owned)
        .collect();
    let call = ecr
        .batch_get_image()
        .registry_id(account)
        .repository_name(&repository)
        .image_ids(id)
        .set_accepted_media_types(Some(accepted));
    let answer = call
        .send()
        .await
        .map_err(|e| explain("ecr:BatchGetImage", &format!("`{repository}:{name}`"), &e))?;
    let failure = answer.failures().iter().find(|failure| {
        !matches!(
            failure.failure_code().map(|code| code.as_str()),
            Some("ImageNotFound" | "ImageTagDoesNotMatchDigest") | None
        )
    });
    if let Some(failure) = failure {
        let code = failure
            .failure_code()
            .map_or("no code", |code| code.as_str());
        anyhow::bail!(
            "failed to read `{repository}:{name}`: {code}: {}",
            failure.failure_reason().unwrap_or("ECR gave no reason")
        );
    }
    let image = answer.images().first();
    let manifest = image.and_then(|image| {
        let bytes = image.image_manifest()?.to_owned();
        Some(Manifest::new(
            bytes,
            image.image_manifest_media_type().unwrap_or_default(),
        ))
    });
    Ok((name, manifest))
}
