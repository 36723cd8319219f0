//! What came of a plan.

use std::{collections::BTreeMap, time::Duration};

use serde::{Serialize, Serializer};

use crate::{
    arch::Arch,
    attest::Attached,
    model::{attest::SigningTool, place::Place, target::Target},
    plan::{PlannedImage, scan::Verdict},
    proof::Proof,
    report::terminal::rounded,
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
    /// Its signature, where the environment asks for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
}

/// A signature that the environment's `verify-args` accept.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Signature {
    /// What has made it.
    pub tool: SigningTool,
    /// Whether it was there before.
    pub was_there: bool,
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
    /// How many bytes a registry keeps of it: its layers, compressed, and its config.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// How many layers it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<usize>,
    /// How many of them its repository did not have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_layers: Option<usize>,
    /// Bytes of blobs that were sent.
    #[serde(rename = "bytes-sent")]
    pub sent: u64,
    /// How many steps its Dockerfile has; 0 where that is not known.
    pub steps: usize,
    /// How many of them were in the builder's cache.
    pub cached_steps: usize,
    /// How long it took, from its first step to its last, in seconds.
    #[serde(serialize_with = "as_seconds")]
    pub seconds: Duration,
    /// What a scan has found, where the environment asks for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scan: Option<Verdict>,
    /// Documents beside it, where the environment asks for them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attached: Vec<Attached>,
    /// Its signature, where the environment asks for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
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
            size: None,
            layers: None,
            new_layers: None,
            sent: 0,
            steps: 0,
            cached_steps: 0,
            seconds: Duration::ZERO,
            scan: None,
            attached: Vec::new(),
            signature: None,
            local_names: build
                .map(|build| build.names().to_vec())
                .unwrap_or_default(),
            error: None,
        }
    }
}

impl ImageReport {
    /// How much of the build was in the builder's cache, where it is known.
    pub fn steps_in_words(&self) -> Option<String> {
        match (self.cached_steps, self.steps) {
            (_, 0) => None,
            (cached, all) if cached >= all => Some("every step cached".to_owned()),
            (cached, all) => Some(format!("{cached} of {all} steps cached")),
        }
    }
}

fn as_seconds<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(rounded(*time))
}

impl Report {
    /// Whether everything worked.
    pub fn succeeded(&self) -> bool {
        self.images.iter().all(|image| image.error.is_none())
    }
}
