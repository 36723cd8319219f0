//! What a promotion attaches where images have arrived, before a moving tag names one. An SBOM is made of the image anew, which gives the
//! same bytes; the statement of its build comes along; and the environment that gets the image signs it.

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::transfer::{Image, Transfer};
use crate::{
    attest::{Attached, Attacher, Origin, Signer, installed},
    context::Context,
    model::attest::Attest,
    plan::attest::{AttestFacts, asked},
    proof::Prover,
    refused::Refused,
    report::result::Signature,
    session::Session,
};

/// What an image of a promotion has beside it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Beside {
    /// The digest of the image, or of the index.
    pub digest: String,
    /// Its documents.
    pub attached: Vec<Attached>,
    /// Its signature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
}

/// What the environment that gets the images asks of them.
///
/// # Errors
/// A refusal, where the program that signs is missing.
pub(super) fn of(context: &Context, regions: &[Session<'_>]) -> Result<Option<Attest>> {
    let Some(to) = regions.first() else {
        return Ok(None);
    };
    let facts = AttestFacts {
        sbom: false,
        is_sandbox: to.sandbox.is_some(),
        tools: installed(),
    };
    let (asked, note) = asked(to.environment, &facts).map_err(Refused::from)?;
    if let Some(note) = note {
        context.terminal.note(&note);
    }
    Ok(asked)
}

/// Attaches to every image that is to get a moving tag, and has it signed.
///
/// # Errors
/// A registry or a tool that fails: then no moving tag may be written.
pub(super) fn attach(
    asked: &Attest,
    prover: &Prover,
    transfers: &mut [(Transfer<'_>, &mut Vec<Image<'_>>)],
) -> Result<()> {
    for (transfer, images) in transfers {
        let to = transfer.to;
        let login = |signing| {
            let (docker, host) = (to.docker(), &to.place.registry);
            Signer::open(signing, &docker, host, to.repositories(), transfer.terminal)
        };
        let one = One {
            transfer,
            attacher: Attacher {
                asked,
                prover,
                store: None,
                terminal: transfer.terminal,
            },
            signer: asked.sign.as_ref().map(login).transpose()?,
        };
        for image in images.iter_mut().filter(|image| image.gets_moving_tag()) {
            let beside = one.attach(image);
            let about = || format!("{}: no moving tag was written", image.image);
            image.beside = beside.with_context(about)?;
        }
    }
    Ok(())
}

/// One destination of a promotion.
struct One<'o> {
    transfer: &'o Transfer<'o>,
    attacher: Attacher<'o>,
    signer: Option<Signer<'o>>,
}

impl One<'_> {
    /// Attaches to an image, or to those of an index. The index itself is signed too.
    fn attach(&self, image: &Image<'_>) -> Result<Vec<Beside>> {
        let origin = Origin::From {
            registry: self.transfer.source.registry(),
            repository: &image.from_repository,
        };
        let mut all = Vec::new();
        for manifest in image.images() {
            let subject = self.transfer.subject(image, manifest);
            all.push(Beside {
                digest: manifest.digest.clone(),
                attached: self.attacher.attach(&subject, origin)?,
                signature: self.sign(image, &manifest.digest)?,
            });
        }
        if !image.children.is_empty() && self.signer.is_some() {
            all.push(Beside {
                digest: image.digest.clone(),
                attached: Vec::new(),
                signature: self.sign(image, &image.digest)?,
            });
        }
        Ok(all)
    }

    fn sign(&self, image: &Image<'_>, digest: &str) -> Result<Option<Signature>> {
        let signing = self.attacher.asked.sign.as_ref();
        let Some((signer, signing)) = self.signer.as_ref().zip(signing) else {
            return Ok(None);
        };
        let signed = signer.ensure(&image.image, &image.to_repository, digest)?;
        Ok(Some(Signature {
            tool: signing.tool,
            was_there: !signed,
        }))
    }
}
