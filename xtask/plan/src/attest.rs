//! What is attached to each image of a push, and the commands that would do the same by hand.

use crate::{
    Plan, PlannedImage, PlannedIndex, Publication, Source,
    model::{
        attest::{Attest, Signing, SigningTool},
        config::Environment,
        place::Place,
        refusal::Refusal,
        shell::quoted,
    },
};

/// The media type of an SBOM, and what its artifact is said to be.
///
/// Source: IANA's registration of `application/vnd.cyclonedx+json`.
pub const SBOM: &str = "application/vnd.cyclonedx+json";

/// The media type of a statement, and what its artifact is said to be.
///
/// Source: in-toto's "Envelope" and "Bundle" of its attestation framework.
pub const STATEMENT: &str = "application/vnd.in-toto+json";

/// What a run asks for besides deploy.toml, and what there is for it.
#[derive(Debug, Clone, Default)]
pub struct AttestFacts {
    /// Whether `--sbom` was typed.
    pub sbom: bool,
    /// Whether this is the sandbox, whose images are signed by nobody.
    pub is_sandbox: bool,
    /// The programs on this machine that sign.
    pub tools: Vec<SigningTool>,
}

/// What is attached to each image, and what to say of what is not.
///
/// # Errors
/// A refusal, where the program that signs is missing.
pub fn asked(
    environment: &Environment,
    facts: &AttestFacts,
) -> Result<(Option<Attest>, Option<String>), Refusal> {
    let mut asked = environment.attest.clone();
    asked.sbom |= facts.sbom;
    let mut note = None;
    let name = &environment.name;
    if let Some(signing) = asked.sign.take_if(|_| facts.is_sandbox) {
        let tool = signing.tool;
        note = Some(format!(
            "the sandbox's images are for trying, and are not signed: `{name}` has `sign = \"{tool}\"`"
        ));
    }
    if let Some(signing) = &asked.sign {
        require_tool(name, signing, &facts.tools)?;
    }
    Ok((Some(asked).filter(|asked| !asked.is_nothing()), note))
}

/// The program that signs has to be there before anything is done.
///
/// # Errors
/// A refusal, where it is not.
pub fn require_tool(
    environment: &str,
    signing: &Signing,
    tools: &[SigningTool],
) -> Result<(), Refusal> {
    let tool = signing.tool;
    if tools.contains(&tool) {
        return Ok(());
    }
    Err(Refusal::new(
        format!(
            "`{environment}` has `sign = \"{tool}\"`, and `{tool}` is not installed, or not on PATH"
        ),
        format!("install it: {}", tool.page()),
    ))
}

/// What is done, for people.
pub fn words(asked: &Attest) -> String {
    let documents = [
        asked.sbom.then_some("an SBOM (CycloneDX)"),
        asked.provenance.then_some("its provenance (SLSA)"),
    ];
    let documents: Vec<_> = documents.into_iter().flatten().collect();
    let attached = (!documents.is_empty()).then(|| documents.join(" and "));
    let signed = asked.sign.as_ref().map(|signing| {
        format!(
            "a signature by {}, where it has none that `verify` accepts",
            signing.tool
        )
    });
    let all: Vec<_> = attached.into_iter().chain(signed).collect();
    format!(
        "attach: each image gets {}, before its moving tags",
        all.join(", and ")
    )
}

/// The commands, for a plan's images and indexes.
pub(crate) fn lines(place: &Place, plan: &Plan) -> Vec<String> {
    let Some(asked) = &plan.attest else {
        return Vec::new();
    };
    let images = plan.images.iter();
    let mut lines: Vec<_> = images
        .flat_map(|image| of_image(place, image, asked))
        .collect();
    if let Some(signing) = &asked.sign {
        let indexes = plan.indexes.iter();
        lines.extend(indexes.filter_map(|index| of_index(place, index, signing)));
    }
    lines
}

fn of_image(place: &Place, image: &PlannedImage, asked: &Attest) -> Vec<String> {
    let Some(reference) = reference(place, image) else {
        return Vec::new();
    };
    let name = &image.name;
    let attach = |kind: &str, file: &str| {
        let file = quoted([file]);
        format!("oras attach --artifact-type {kind} {reference} {file}:{kind}")
    };
    let mut lines = Vec::new();
    if asked.sbom {
        let file = format!("{name}.cdx.json");
        let output = quoted([format!("cyclonedx-json={file}").as_str()]);
        lines.push(format!("syft registry:{reference} --output {output}"));
        lines.push(attach(SBOM, &file));
    }
    if asked.provenance {
        lines.push(attach(STATEMENT, &format!("{name}.provenance.json")));
    }
    lines.extend(asked.sign.as_ref().map(|signing| sign(signing, &reference)));
    lines
}

/// The image by its digest, as a shell can write it: that of an image that is built is in the file which its build leaves.
fn reference(place: &Place, image: &PlannedImage) -> Option<String> {
    let Publication { repository, .. } = image.publication.as_ref()?;
    let name = format!("{}/{repository}", place.registry);
    Some(match &image.source {
        Source::Existing { digest } => format!("{name}@{digest}"),
        Source::Build(_) => {
            let file = format!("{}.json", image.name);
            let file = quoted([file.as_str()]);
            format!("{name}@\"$(jq -r '.\"containerimage.digest\"' {file})\"")
        }
    })
}

fn of_index(place: &Place, index: &PlannedIndex, signing: &Signing) -> Option<String> {
    let name = format!("{}/{}", place.registry, index.repository);
    let tag = &index.tags.first()?.name;
    let digest = format!(
        "docker buildx imagetools inspect {name}:{tag} --format '{{{{.Manifest.Digest}}}}'"
    );
    Some(sign(signing, &format!("{name}@\"$({digest})\"")))
}

/// The reference is written for a shell already.
fn sign(signing: &Signing, reference: &str) -> String {
    let mut words = signing.sign_line("");
    words.pop();
    let words = words.iter().map(String::as_str);
    let program = std::iter::once(signing.tool.name());
    format!("{} {reference}", quoted(program.chain(words)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    fn signing(tool: SigningTool) -> Signing {
        Signing {
            tool,
            sign_args: vec!["--key".into(), "a b".into()],
            verify_args: vec!["--key".into(), "a".into()],
        }
    }

    #[test]
    fn a_flag_adds_an_sbom_and_the_sandbox_signs_nothing() {
        let mut environment = fixtures::environment("prod");
        let facts = AttestFacts::default();
        assert_eq!(asked(&environment, &facts).unwrap(), (None, None));
        let with_flag = AttestFacts {
            sbom: true,
            ..facts.clone()
        };
        let (found, _) = asked(&environment, &with_flag).unwrap();
        assert!(found.is_some_and(|asked| asked.sbom && !asked.provenance));
        environment.attest.sign = Some(signing(SigningTool::Notation));
        let refusal = asked(&environment, &facts).unwrap_err();
        assert!(
            refusal.problem.contains("`notation` is not installed"),
            "{refusal}"
        );
        let there = AttestFacts {
            tools: vec![SigningTool::Notation],
            ..facts.clone()
        };
        assert!(asked(&environment, &there).unwrap().0.is_some());
        let sandbox = AttestFacts {
            is_sandbox: true,
            ..facts
        };
        let (found, note) = asked(&environment, &sandbox).unwrap();
        assert_eq!(found, None);
        assert!(note.is_some_and(|note| note.contains("`sign = \"notation\"`")));
    }

    #[test]
    fn what_is_attached_is_said_in_one_sentence() {
        let all = Attest {
            sbom: true,
            provenance: true,
            sign: Some(signing(SigningTool::Cosign)),
        };
        assert_eq!(
            words(&all),
            "attach: each image gets an SBOM (CycloneDX) and its provenance (SLSA), and a signature by cosign, where it has none \
             that `verify` accepts, before its moving tags"
        );
        assert_eq!(
            sign(&signing(SigningTool::Cosign), "r@d"),
            "cosign sign --yes --key 'a b' r@d"
        );
    }
}
