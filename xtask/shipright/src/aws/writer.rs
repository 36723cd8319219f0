//! Writes: repositories and tags. Each is safe to repeat.

use anyhow::Result;
use aws_sdk_ecr::types::{
    ImageScanningConfiguration, ImageTagMutability, ImageTagMutabilityExclusionFilter,
    ImageTagMutabilityExclusionFilterType,
};

use super::{Aws, error::explain};
use image_oci::Manifest;

/// The half of [`Aws`] that changes.
#[derive(Clone, Copy)]
pub struct Writer<'a>(pub(super) &'a Aws);

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
        match self.0.runtime.block_on(call.send()) {
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
                let current = self.0.reader().tagged(repository, tag)?;
                if current.is_some_and(|current| current.digest == manifest.digest) {
                    return Ok(());
                }
                Err(explain(
                    "ecr:PutImage",
                    &format!("`{repository}:{tag}`"),
                    &error,
                ))
            }
            Err(error) => Err(explain(
                "ecr:PutImage",
                &format!("`{repository}:{tag}`"),
                &error,
            )),
        }
    }
}
