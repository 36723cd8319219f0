//! What ECR does with repositories, images and tags.

use aws_sdk_ecr::{
    Client,
    operation::{
        batch_get_image::builders::BatchGetImageFluentBuilder,
        put_image::builders::PutImageFluentBuilder,
    },
    types::{
        ImageIdentifier, ImageTagMutability, ImageTagMutabilityExclusionFilter,
        ImageTagMutabilityExclusionFilterType as FilterType,
    },
};
use serde_json::{Value, json};
use shipright::{
    anyhow::{Context as _, Result},
    arch::Arch,
};
use tokio::runtime::Runtime;

use super::findings::{DONE, Findings, outcome};

/// A repository that this run has made, and an image in it.
pub(super) struct Repository<'r> {
    pub runtime: &'r Runtime,
    pub client: Client,
    /// The repository's name.
    pub name: &'r str,
}

/// An image.
struct Image {
    manifest: String,
    media_type: String,
    digest: String,
}

impl Image {
    /// Another image of the same blobs.
    fn another(&self, number: u8) -> Result<String> {
        let mut manifest: Value =
            serde_json::from_str(&self.manifest).context("the manifest is not JSON")?;
        manifest["annotations"] = json!({ "com.example.conformance": number.to_string() });
        Ok(manifest.to_string())
    }

    /// The same with a layer that nobody has.
    fn without_its_layer(&self) -> Result<String> {
        let mut manifest: Value =
            serde_json::from_str(&self.manifest).context("the manifest is not JSON")?;
        let kind = "application/vnd.oci.image.layer.v1.tar+gzip";
        manifest["layers"] = json!([{ "mediaType": kind, "digest": NOBODY_S, "size": 1 }]);
        Ok(manifest.to_string())
    }
}

/// A digest that no blob and no image has.
const NOBODY_S: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn index_of(image: &Image, digest: &str) -> String {
    let child = json!({ "mediaType": image.media_type, "digest": digest, "size": image.manifest.len(),
                        "platform": { "architecture": Arch::Arm64.oci(), "os": "linux" } });
    json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [child] }).to_string()
}

impl Repository<'_> {
    /// Asks everything. `tag` names an image that was pushed.
    ///
    /// # Errors
    /// An image that is not there.
    pub(super) fn ask(&self, tag: &str, findings: &mut Findings) -> Result<()> {
        let image = self.image(tag)?;
        self.ask_for_what_is_missing(findings);
        self.put_images(&image, tag, findings)?;
        self.move_tags(&image, findings)?;
        self.delete_an_index(&image, findings)?;
        self.put_lifecycle_policies(findings);
        Ok(())
    }

    /// Makes an index of the image that a tag names, and returns its digest.
    ///
    /// # Errors
    /// ECR that does not take it.
    pub(super) fn make_index(&self, tag: &str) -> Result<String> {
        let image = self.image(tag)?;
        let (found, digest) = self.put_under(&index_of(&image, &image.digest), INDEX, "as-index");
        digest.with_context(|| format!("ECR does not take an index of an image: {found}"))
    }

    fn ask_for_what_is_missing(&self, findings: &mut Findings) {
        let call = self.client.describe_repositories();
        let call = call.repository_names(format!("{}-missing", self.name));
        let answer = self.runtime.block_on(call.send());
        findings.hold(
            "DescribeRepositories of one that does not exist",
            "RepositoryNotFoundException",
            outcome(&answer),
        );
        let call = self.client.create_repository().repository_name(self.name);
        let answer = self.runtime.block_on(call.send());
        findings.hold(
            "CreateRepository of one that exists",
            "RepositoryAlreadyExistsException",
            outcome(&answer),
        );
        findings.hold(
            "BatchGetImage of a tag that does not exist",
            "ImageNotFound",
            self.failure_of("missing"),
        );
        findings.hold(
            "DescribeImages of an image that does not exist",
            "ImageNotFoundException",
            self.described(NOBODY_S),
        );
    }

    fn put_images(&self, image: &Image, tag: &str, findings: &mut Findings) -> Result<()> {
        let mut put = |what: &str, expected: &str, manifest: &str, media_type: &str| {
            let (found, _) = self.put_under(manifest, media_type, tag);
            findings.hold(what, expected, found)
        };
        put(
            "PutImage of the same image under the same tag",
            "ImageAlreadyExistsException",
            &image.manifest,
            &image.media_type,
        );
        put(
            "PutImage of an image whose layer is not there",
            "LayersNotFoundException",
            &image.without_its_layer()?,
            &image.media_type,
        );
        put(
            "PutImage of an index whose image is not there",
            "ReferencedImagesNotFoundException",
            &index_of(image, NOBODY_S),
            INDEX,
        );
        let call = self.put(&image.manifest, &image.media_type);
        let call = call.image_tag("other").image_digest(NOBODY_S);
        let answer = self.runtime.block_on(call.send());
        findings.hold(
            "PutImage with another digest than the manifest's",
            "ImageDigestDoesNotMatchException",
            outcome(&answer),
        );
        Ok(())
    }

    fn move_tags(&self, image: &Image, findings: &mut Findings) -> Result<()> {
        let mut number = 0;
        let mut write = |findings: &mut Findings, what: &str, expected: &str, tag: &str| {
            number += 1;
            let manifest = image.another(number)?;
            let (found, digest) = self.put_under(&manifest, &image.media_type, tag);
            findings.hold(what, expected, found);
            Result::<_>::Ok(digest)
        };
        write(findings, "PutImage under a new tag", DONE, "some-latest")?;
        let moved = write(
            findings,
            "a tag moves in the repository that a push makes, whose filters name it",
            DONE,
            "some-latest",
        )?;
        let seen = self.image("some-latest").map(|image| image.digest).ok();
        let is_seen = moved.is_some() && moved == seen;
        findings.hold(
            "what was put is seen at once",
            "seen",
            if is_seen { "seen" } else { "not seen" },
        );
        write(findings, "PutImage under another new tag", DONE, "other")?;
        let filter = ImageTagMutabilityExclusionFilter::builder()
            .filter_type(FilterType::Wildcard)
            .filter("*-latest")
            .build()
            .context("no filter")?;
        let refused = "ImageTagAlreadyExistsException";
        let settings = [
            (ImageTagMutability::ImmutableWithExclusion, DONE, refused),
            (ImageTagMutability::MutableWithExclusion, refused, DONE),
            (ImageTagMutability::Immutable, refused, refused),
            (ImageTagMutability::Mutable, DONE, DONE),
        ];
        for (setting, of_fitting, of_other) in settings {
            let call = self.client.put_image_tag_mutability();
            let call = call
                .repository_name(self.name)
                .image_tag_mutability(setting.clone());
            let has_filter = setting.as_str().ends_with("_EXCLUSION");
            let call = if has_filter {
                call.image_tag_mutability_exclusion_filters(filter.clone())
            } else {
                call
            };
            let answer = self.runtime.block_on(call.send());
            let setting = setting.as_str();
            findings.hold(
                &format!("PutImageTagMutability {setting}"),
                DONE,
                outcome(&answer),
            );
            let what =
                format!("a tag that the filter names moves in a repository that is {setting}");
            write(findings, &what, of_fitting, "some-latest")?;
            let what =
                format!("a tag that it does not name moves in a repository that is {setting}");
            write(findings, &what, of_other, "other")?;
        }
        Ok(())
    }

    fn delete_an_index(&self, image: &Image, findings: &mut Findings) -> Result<()> {
        let child = image.another(0)?;
        let (_, child) = self.put_under(&child, &image.media_type, "child");
        let child = child.context("the image of an index was not put")?;
        let (found, index) = self.put_under(&index_of(image, &child), INDEX, "index");
        findings.hold("PutImage of an index whose image is there", DONE, found);
        let index = index.context("the index was not put")?;
        let (found, _) = self.put_under(&index_of(image, &child), INDEX, "index-again");
        findings.hold("PutImage of the same under another tag", DONE, found);
        findings.hold(
            "BatchDeleteImage of an image that an index has",
            "ImageReferencedByManifestList",
            self.deleted(&child)?,
        );
        findings.hold(
            "BatchDeleteImage of the index by its digest",
            DONE,
            self.deleted(&index)?,
        );
        for tag in ["index", "index-again"] {
            findings.hold(
                &format!("after that its tag `{tag}`"),
                "ImageNotFound",
                self.failure_of(tag),
            );
        }
        findings.hold(
            "BatchDeleteImage of the image then",
            DONE,
            self.deleted(&child)?,
        );
        findings.hold(
            "DescribeImages of what was deleted",
            "ImageNotFoundException",
            self.described(&child),
        );
        Ok(())
    }

    fn put_lifecycle_policies(&self, findings: &mut Findings) {
        let rule = |priority: u32, pattern: &str| {
            json!({ "rulePriority": priority, "selection": { "tagStatus": "tagged", "tagPatternList": [pattern],
                    "countType": "imageCountMoreThan", "countNumber": 5 }, "action": { "type": "expire" } })
        };
        let mut put = |what: &str, expected: &str, rules: Value| {
            let call = self.client.put_lifecycle_policy();
            let policy = json!({ "rules": rules }).to_string();
            let call = call
                .repository_name(self.name)
                .lifecycle_policy_text(policy);
            let answer = self.runtime.block_on(call.send());
            findings.hold(what, expected, outcome(&answer));
        };
        let invalid = "InvalidParameterException";
        put(
            "PutLifecyclePolicy",
            DONE,
            json!([rule(1, "x-a*"), rule(2, "x-b*")]),
        );
        put(
            "PutLifecyclePolicy with two rules of one priority",
            invalid,
            json!([rule(1, "x-a*"), rule(1, "x-b*")]),
        );
        put(
            "PutLifecyclePolicy with five wildcards in a pattern",
            invalid,
            json!([rule(1, "x*a*b*c*d*")]),
        );
    }

    fn put(&self, manifest: &str, media_type: &str) -> PutImageFluentBuilder {
        let call = self.client.put_image().repository_name(self.name);
        call.image_manifest(manifest)
            .image_manifest_media_type(media_type)
    }

    /// What comes of putting an image under a tag, and its digest.
    fn put_under(&self, manifest: &str, media_type: &str, tag: &str) -> (String, Option<String>) {
        let call = self.put(manifest, media_type).image_tag(tag);
        let answer = self.runtime.block_on(call.send());
        let digest = answer.as_ref().ok().and_then(|answer| {
            let digest = answer.image()?.image_id()?.image_digest()?;
            Some(digest.to_owned())
        });
        (outcome(&answer), digest)
    }

    /// An image that a tag names.
    fn image(&self, tag: &str) -> Result<Image> {
        let answer = self
            .runtime
            .block_on(self.get(tag).send())
            .with_context(|| format!("`{tag}` cannot be read"))?;
        let image = answer.images().first();
        let image = image.with_context(|| format!("there is no image `{tag}`"))?;
        let text = |text: Option<&str>| text.map(str::to_owned).context("ECR left something out");
        Ok(Image {
            manifest: text(image.image_manifest())?,
            media_type: text(image.image_manifest_media_type())?,
            digest: text(image.image_id().and_then(|id| id.image_digest()))?,
        })
    }

    fn get(&self, tag: &str) -> BatchGetImageFluentBuilder {
        const TYPES: [&str; 3] = [
            "application/vnd.oci.image.manifest.v1+json",
            "application/vnd.docker.distribution.manifest.v2+json",
            INDEX,
        ];
        let id = ImageIdentifier::builder().image_tag(tag).build();
        let call = self.client.batch_get_image().repository_name(self.name);
        call.image_ids(id)
            .set_accepted_media_types(Some(TYPES.map(str::to_owned).to_vec()))
    }

    /// Why `BatchGetImage` does not tell an image.
    fn failure_of(&self, tag: &str) -> String {
        let answer = self.runtime.block_on(self.get(tag).send());
        match &answer {
            Ok(found) => match found.failures().first().and_then(|one| one.failure_code()) {
                Some(code) => code.as_str().to_owned(),
                None => DONE.to_owned(),
            },
            Err(_) => outcome(&answer),
        }
    }

    fn described(&self, digest: &str) -> String {
        let id = ImageIdentifier::builder().image_digest(digest).build();
        let call = self.client.describe_images().repository_name(self.name);
        outcome(&self.runtime.block_on(call.image_ids(id).send()))
    }

    /// What comes of deleting an image.
    fn deleted(&self, digest: &str) -> Result<String> {
        let id = ImageIdentifier::builder().image_digest(digest).build();
        let call = self.client.batch_delete_image().repository_name(self.name);
        let answer = self.runtime.block_on(call.image_ids(id).send());
        let answer = answer.with_context(|| format!("{digest} cannot be deleted"))?;
        Ok(
            match answer.failures().first().and_then(|one| one.failure_code()) {
                Some(code) => code.as_str().to_owned(),
                None => DONE.to_owned(),
            },
        )
    }
}
