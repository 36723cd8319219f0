//! What came of a plan.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use crate::{
    arch::Arch,
    model::{place::Place, target::Target},
    plan::PlannedImage,
    proof::Proof,
};

/// What came of a plan, for every image of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// Where it was done.
    pub place: Option<Place>,
    /// In the plan's order.
    pub images: Vec<ImageReport>,
    /// Lists of these images, whose tags were read back.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub image_indexes: Vec<IndexReport>,
}

/// What came of one index.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct IndexReport {
    /// What people call the image that is in it for each CPU.
    pub name: String,
    /// The repository.
    pub repository: String,
    /// Its digest.
    pub digest: String,
    /// Tags that were read back: each names the index.
    pub tags: Vec<String>,
    /// Whether this run wrote one of them.
    pub changed: bool,
}

/// What came of one image.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ImageReport {
    /// What people call it.
    pub name: String,
    /// Its service.
    pub service: String,
    /// What will run it.
    pub target: Option<Target>,
    /// What it was checked against.
    pub arch: Arch,
    /// Whether it was built in this run.
    pub built: bool,
    /// Whether this run wrote one of its tags.
    pub changed: bool,
    /// The manifest's digest in the registry.
    pub digest: Option<String>,
    /// The manifest's media type in the registry.
    pub media_type: Option<String>,
    /// What the config blob in the registry says.
    pub platform: Option<String>,
    /// The repository.
    pub repository: Option<String>,
    /// Tags that were read back, and the digest that each names.
    pub tags: BTreeMap<String, String>,
    /// Other regions, and the digest that the tags name there.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub regions: BTreeMap<String, String>,
    /// The digest of the index that the image is in, for both CPUs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_index: Option<String>,
    /// What the image's bytes say.
    pub proof: Option<Proof>,
    /// Names in the local engine.
    pub local_names: Vec<String>,
    /// Why it failed.
    pub error: Option<String>,
}

impl ImageReport {
    /// An image to which nothing was done yet.
    pub fn planned(image: &PlannedImage) -> Self {
        let publication = image.publication.as_ref();
        let build = image.build().filter(|_| publication.is_none());
        Self {
            name: image.name.clone(),
            service: image.service.clone(),
            target: image.target,
            arch: image.arch,
            built: false,
            changed: false,
            digest: None,
            media_type: None,
            platform: None,
            repository: publication.map(|publication| publication.repository.clone()),
            tags: BTreeMap::new(),
            regions: BTreeMap::new(),
            image_index: None,
            proof: None,
            local_names: build
                .map(|build| build.names().to_vec())
                .unwrap_or_default(),
            error: None,
        }
    }
}

impl Report {
    /// Whether everything worked.
    pub fn succeeded(&self) -> bool {
        self.images.iter().all(|image| image.error.is_none())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for image in &self.images {
            if image.error.is_some() {
                writeln!(f, "{}: failed, as said above", image.name)?;
                continue;
            }
            let how = if image.built { "built" } else { "unchanged" };
            match (&self.place, &image.repository, &image.digest) {
                (Some(place), Some(repository), Some(digest)) => {
                    writeln!(
                        f,
                        "{}: {how}, {}, {}/{repository}@{digest}",
                        image.name,
                        image.arch.platform(),
                        place.registry
                    )?;
                    for tag in image.tags.keys() {
                        writeln!(f, "    {tag}")?;
                    }
                }
                _ => writeln!(
                    f,
                    "{}: {how}, {}, {}",
                    image.name,
                    image.arch.platform(),
                    image.local_names.join(", ")
                )?,
            }
        }
        for list in &self.image_indexes {
            let registry = self
                .place
                .as_ref()
                .map(|place| place.registry.as_str())
                .unwrap_or_default();
            writeln!(
                f,
                "{}: image index for both CPUs, {registry}/{}@{}",
                list.name, list.repository, list.digest
            )?;
            for tag in &list.tags {
                writeln!(f, "    {tag}")?;
            }
        }
        Ok(())
    }
}
