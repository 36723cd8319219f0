//! What is attached to an image in its registry, so that others can trust it: an SBOM, a statement of how it was built, and a signature
//! by the user's own tool.
//!
//! The image stays the single manifest that it is, with its digest: what is attached are artifacts that name it as their subject. So
//! Lambda takes it still, which refuses the index that BuildKit's own attestations make.
//!
//! Architecture Invariant: what is there already is attached no second time. An SBOM of one image has the same bytes each time, of this
//! tool's statements there is one, and a tool signs what its own `verify` does not accept and nothing else.

mod builder;
mod json;
pub mod provenance;
mod purl;
mod sbom;
mod signer;

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use image_oci::{Artifact, Manifest};
use serde::Serialize;

pub use builder::BuilderId;
use provenance::{BUILT, BuildRun, FOUND};
pub use signer::{Signer, installed};

use crate::{
    model::attest::Attest,
    plan::attest::{SBOM, STATEMENT},
    proof::{NearImage, Prover},
    registry::{Attachment, CONFIG_LIMIT, InRepository, NoAnswer, Referrers, Registry},
    report::terminal::Terminal,
    scan::Subject,
    store::ContentStore,
};

/// The most statements of an image that are looked at.
const MOST: usize = 50;

/// Attaches documents to images.
#[derive(Clone, Copy)]
pub struct Attacher<'a> {
    /// What is asked.
    pub asked: &'a Attest,
    /// What knows the layers of images.
    pub prover: &'a Prover,
    /// Where layers may be.
    pub store: Option<&'a ContentStore>,
    /// Where people watch.
    pub terminal: &'a Terminal,
}

/// Where an image comes from.
#[derive(Clone, Copy)]
pub enum Origin<'o> {
    /// This run has built it.
    Built(&'o BuildRun<'o>),
    /// It was in the registry.
    Found,
    /// It comes from another repository, which may have a statement of it.
    From {
        /// The registry.
        registry: &'o Registry,
        /// The repository.
        repository: &'o str,
    },
}

/// A document beside an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Attached {
    /// What it is.
    pub document: Document,
    /// The digest of its manifest.
    pub digest: String,
    /// Whether it was there before.
    pub was_there: bool,
}

/// What is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Document {
    /// A list of packages.
    Sbom,
    /// A statement of how it was built.
    Provenance,
}

impl Document {
    fn words(self) -> &'static str {
        match self {
            Self::Sbom => "SBOM",
            Self::Provenance => "provenance",
        }
    }
}

/// A document that is to be beside an image.
enum Planned<'o> {
    /// It is there.
    There(Manifest),
    /// It was made now.
    Made(Artifact),
    /// It is in another repository.
    Elsewhere(Manifest, InRepository<'o>),
}

impl Planned<'_> {
    fn manifest(&self) -> &Manifest {
        match self {
            Self::There(manifest) | Self::Elsewhere(manifest, _) => manifest,
            Self::Made(artifact) => &artifact.manifest,
        }
    }

    /// What is sent, unless it is there.
    fn attachment(&self) -> Option<Attachment<'_>> {
        match self {
            Self::There(_) => None,
            Self::Made(artifact) => Some(artifact.into()),
            Self::Elsewhere(manifest, blobs) => Some(Attachment { manifest, blobs }),
        }
    }
}

impl Attacher<'_> {
    /// Attaches to an image what is asked and is not there. Nothing names an image of which this fails: whoever calls writes moving
    /// tags afterwards.
    ///
    /// # Errors
    /// A registry that cannot be reached or refuses, and an image that cannot be read.
    pub fn attach(&self, image: &Subject<'_>, origin: Origin<'_>) -> Result<Vec<Attached>> {
        if !self.asked.sbom && !self.asked.provenance {
            return Ok(Vec::new());
        }
        let Subject {
            name,
            repository,
            manifest,
            registry,
            ..
        } = *image;
        let before = registry.referrers(repository, &manifest.digest)?;
        let config = registry.config(repository, manifest)?;
        let mut planned = Vec::new();
        if self.asked.sbom {
            planned.push((Document::Sbom, Planned::Made(self.sbom(image, &config)?)));
        }
        if self.asked.provenance {
            let statement = statement(image, &config, origin, &before)?;
            planned.push((Document::Provenance, statement));
        }
        let attachments = planned.iter().filter_map(|(_, one)| one.attachment());
        let attachments: Vec<_> = attachments.collect();
        let may_move = |tag: &str| may_move(image, tag);
        let place = (repository, manifest.digest.as_str());
        let new = registry
            .attach(place, &before, &attachments, may_move)
            .with_context(|| format!("failed to attach to {}", manifest.digest))?;
        let attached = |(document, one): &(Document, Planned<'_>)| Attached {
            document: *document,
            digest: one.manifest().digest.clone(),
            was_there: !new.contains(&one.manifest().digest),
        };
        let attached: Vec<_> = planned.iter().map(attached).collect();
        self.say(name, &attached);
        Ok(attached)
    }

    /// The packages of an image that was proven a moment ago: its layers are known here.
    fn sbom(&self, image: &Subject<'_>, config: &[u8]) -> Result<Artifact> {
        let near = NearImage {
            registry: image.registry,
            repository: image.repository,
            manifest: image.manifest,
            config,
            store: self.store,
            may_read: true,
        };
        let (_, inventory) = self.prover.near(&near, None, &[])?;
        let config = image.manifest.parse_config(config)?;
        let content = sbom::document(image.manifest, &config, &inventory);
        Ok(Artifact::new(
            image.manifest,
            SBOM,
            "sbom.cdx.json",
            &BTreeMap::new(),
            content,
        ))
    }

    fn say(&self, name: &str, attached: &[Attached]) {
        let new = attached.iter().filter(|one| !one.was_there);
        let new: Vec<_> = new
            .map(|one| format!("{} {}", one.document.words(), one.digest))
            .collect();
        if !new.is_empty() {
            self.terminal
                .status("Attached", &format!("{name}: {}", new.join(", ")));
        }
    }
}

/// Whether the repository lets a tag move, as far as it tells.
fn may_move(image: &Subject<'_>, tag: &str) -> Result<bool> {
    let Some(repositories) = image.repositories else {
        return Ok(true);
    };
    let found = repositories.repository(image.repository)?;
    Ok(found.is_none_or(|found| found.mutability.can_move(tag)))
}

/// The statement that is to be beside an image: the one that is there, that of the repository it comes from, or a new one.
fn statement<'o>(
    image: &Subject<'_>,
    config: &[u8],
    origin: Origin<'o>,
    before: &Referrers,
) -> Result<Planned<'o>> {
    let here = (image.registry, image.repository);
    let kinds: &[&str] = match origin {
        // What was said of it before anybody had seen its build does not count now.
        Origin::Built(_) => &[BUILT],
        Origin::Found | Origin::From { .. } => &[BUILT, FOUND],
    };
    if let Some(there) = ours(here, image.manifest, before, kinds)? {
        return Ok(Planned::There(there));
    }
    let content = match origin {
        Origin::Built(run) => provenance::built(image.manifest, run),
        Origin::Found => provenance::found(image.manifest, &image.manifest.parse_config(config)?),
        Origin::From {
            registry,
            repository,
        } => {
            let there = registry.referrers(repository, &image.manifest.digest)?;
            if let Some(manifest) = ours((registry, repository), image.manifest, &there, kinds)? {
                let far = InRepository {
                    registry,
                    repository,
                };
                return Ok(Planned::Elsewhere(manifest, far));
            }
            provenance::found(image.manifest, &image.manifest.parse_config(config)?)
        }
    };
    let said = BTreeMap::from([(
        "in-toto.io/predicate-type".to_owned(),
        provenance::PREDICATE.to_owned(),
    )]);
    let artifact = Artifact::new(image.manifest, STATEMENT, "provenance.json", &said, content);
    Ok(Planned::Made(artifact))
}

/// A statement of this tool about an image, of the first of these kinds that is there. What somebody else has attached is theirs, also
/// where it cannot be read.
fn ours(
    (registry, repository): (&Registry, &str),
    subject: &Manifest,
    referrers: &Referrers,
    kinds: &[&str],
) -> Result<Option<Manifest>> {
    let mut found = None;
    for one in referrers.of_kind(STATEMENT).take(MOST) {
        let read = read_statement((registry, repository), subject, &one.digest);
        let (manifest, kind) = match read {
            Ok(Some(read)) => read,
            Err(error) if error.is::<NoAnswer>() => return Err(error),
            Ok(None) | Err(_) => continue,
        };
        if kinds.first() == Some(&kind) {
            return Ok(Some(manifest));
        }
        if kinds.contains(&kind) {
            found = Some(manifest);
        }
    }
    Ok(found)
}

fn read_statement(
    (registry, repository): (&Registry, &str),
    subject: &Manifest,
    digest: &str,
) -> Result<Option<(Manifest, &'static str)>> {
    let Some(manifest) = registry.find(repository, digest)? else {
        return Ok(None);
    };
    let Some(layer) = manifest.document()?.layers.first() else {
        return Ok(None);
    };
    let bytes = registry.blob(repository, &layer.digest, CONFIG_LIMIT)?;
    let kind = provenance::kind(&bytes, subject);
    Ok(kind.map(|kind| (manifest, kind)))
}
