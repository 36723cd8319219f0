//! `verify image`: what an image really is, wherever it lies.

use std::{path::Path, process::ExitCode};

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::{
    arch::Arch,
    cli::VerifyImage,
    context::Context,
    docker::Docker,
    model::{config::Config, refusal::Refusal, suggestion::suggestion, target::Target},
    proof::{self, Proof, Prover},
    refused::Refused,
    registry::{Actions, Reference},
    session,
    tasks::exit_code,
    workspace::Workspace,
};

/// What `--json` prints.
#[derive(Serialize)]
struct Document<'p> {
    image: &'p str,
    /// Where it was found.
    place: &'static str,
    #[serde(flatten)]
    proof: &'p Proof,
    /// What else is wrong with it for the target.
    mismatches: Vec<String>,
}

/// Proves one image.
pub(super) fn image(context: &Context, arguments: &VerifyImage) -> Result<ExitCode> {
    // An image can be looked at anywhere; only `--target` and `--sandbox` need to know the project.
    let needs_project = arguments.target.is_some() || context.global.sandbox;
    let workspace = Workspace::if_any(context, needs_project)?;
    let config = workspace.as_ref().map(|workspace| &workspace.config);
    let arch = wanted(config, arguments)?;
    let prover = config.map_or_else(Prover::without_memory, |config| {
        Prover::of_project(&config.root)
    });
    let sandbox = workspace
        .as_ref()
        .map(Workspace::sandbox)
        .transpose()?
        .flatten();
    let docker = Workspace::docker(sandbox.as_ref());
    let (place, proof) = prove(config, &arguments.image, arch, &docker, &prover)?;
    let target = arguments.target.as_deref().and_then(Target::from_name);
    let mismatches: Vec<_> = index_for_lambda(target, &proof).into_iter().collect();
    let is_fine = proof.verdict.holds() && mismatches.is_empty();
    show(
        context,
        &Document {
            image: &arguments.image,
            place,
            proof: &proof,
            mismatches,
        },
    );
    Ok(exit_code(is_fine))
}

/// A function takes one image, whatever the index of it says.
fn index_for_lambda(target: Option<Target>, proof: &Proof) -> Option<String> {
    let (list, digest) = (proof.image_index.as_ref()?, proof.digest.as_ref()?);
    (target == Some(Target::Lambda)).then(|| {
        format!(
            "this is the image index {list}, which Lambda refuses: its image for {} is {digest}",
            proof.platform
        )
    })
}

fn wanted(config: Option<&Config>, arguments: &VerifyImage) -> Result<Option<Arch>, Refused> {
    let Some(name) = &arguments.target else {
        return Ok(arguments.arch);
    };
    let target = Target::from_name(name).ok_or_else(|| {
        let problem = format!("`{}` is no target", name.escape_debug());
        Refused::from(Refusal::new(
            problem,
            suggestion(name, Target::ALL.map(Target::name)),
        ))
    })?;
    Ok(Some(config.map_or_else(
        || target.default_arch(),
        |config| config.arch(target),
    )))
}

/// Looks for the image in the nearest place first.
fn prove(
    config: Option<&Config>,
    image: &str,
    arch: Option<Arch>,
    docker: &Docker,
    prover: &Prover,
) -> Result<(&'static str, Proof)> {
    let path = Path::new(image);
    // A project's directory may well have the image's name.
    let is_said = image.starts_with(['.', '/']);
    if path.is_dir() && (is_said || path.join("index.json").is_file()) {
        return Ok(("an OCI layout", Prover::in_layout(path, arch)?));
    }
    if path.is_file() {
        return Ok(("an archive", Prover::in_archive(path, arch)?));
    }
    if docker.has(image) {
        return Ok((
            "the local engine",
            prover.in_engine(docker, image, arch, &[])?,
        ));
    }
    let reference: Reference = image.parse().map_err(|error| {
        Refused::from(Refusal::new(
            format!(
                "`{}` is no file, no image of the local engine, and no reference: {error}",
                image.escape_debug()
            ),
            "write `NAME:TAG`, `HOST/NAME:TAG` or `HOST/NAME@sha256:…`, or a path",
        ))
    })?;
    let registry = session::registry_of(
        config,
        &reference,
        &[&reference.repository],
        Actions::Pull,
        None,
    )?;
    let place = (reference.repository.as_str(), reference.tag.as_str());
    let proof = prover.in_registry(&registry, place, arch, &[]);
    let proof = proof.with_context(|| format!("failed to prove `{image}` from its registry"))?;
    Ok(("the registry", proof))
}

fn show(context: &Context, document: &Document<'_>) {
    context.print(document);
    let Document {
        image,
        place,
        proof,
        mismatches,
    } = document;
    let verdict = &proof.verdict;
    let terminal = &context.terminal;
    terminal.status(
        "Read",
        &format!(
            "{image} from {place}: config {}, {}",
            proof.config_digest, proof.platform
        ),
    );
    let groups = verdict.groups();
    for group in groups.iter().take(proof::SHOWN) {
        terminal.error(group);
    }
    if let Some(more) = groups
        .len()
        .checked_sub(proof::SHOWN)
        .filter(|more| *more > 0)
    {
        terminal.error(format!("… and {more} more; `--json` has them all"));
    }
    for note in &verdict.notes {
        terminal.note(note);
    }
    if verdict.holds() {
        terminal.status("Proven", &verdict.summary());
    } else {
        terminal.error(format!("{image}: {}", verdict.summary()));
    }
    for mismatch in mismatches {
        terminal.error(format!("{image}: {mismatch}"));
    }
}
