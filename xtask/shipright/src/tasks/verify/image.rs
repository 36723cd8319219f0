//! `verify image`: what an image really is, wherever it lies.

use std::{fs::File, path::Path, process::ExitCode};

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::super::{Context, Refused, reach};
use crate::{
    arch::Arch,
    cli::VerifyImage,
    docker::Docker,
    model::{config::Config, refusal::Refusal, suggestion::suggestion, target::Target},
    proof::{self, Archive, Kept, Layout, Proof, Remote},
    registry::{Reference, Right},
    report::document,
    sandbox,
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
pub fn image(context: &Context, arguments: &VerifyImage) -> Result<ExitCode> {
    // An image can be looked at anywhere; only `--target` and `--sandbox` need to know the project.
    let mut config =
        if arguments.target.is_some() || context.global.sandbox { Some(context.config()?) } else { context.config().ok() };
    let arch = wanted(config.as_ref(), arguments)?;
    let kept = config.as_ref().map_or_else(Kept::nothing, |config| Kept::of_project(&config.root));
    let sandbox = match &mut config {
        Some(config) => sandbox::for_command(context.global.sandbox, context.global.dry_run, config, &context.terminal)?,
        None => None,
    };
    let docker = Docker::new(&sandbox.map(|sandbox| sandbox.docker_env()).unwrap_or_default());
    let (place, proof) = prove(config.as_ref(), &arguments.image, arch, &docker, &kept)?;
    let target = arguments.target.as_deref().and_then(Target::from_name);
    let mismatches: Vec<_> = index_for_lambda(target, &proof).into_iter().collect();
    let is_fine = proof.verdict.holds() && mismatches.is_empty();
    show(context, &Document { image: &arguments.image, place, proof: &proof, mismatches });
    Ok(if is_fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A function takes one image, whatever the index of it says.
fn index_for_lambda(target: Option<Target>, proof: &Proof) -> Option<String> {
    let (list, digest) = (proof.image_index.as_ref()?, proof.digest.as_ref()?);
    (target == Some(Target::Lambda))
        .then(|| format!("this is the image index {list}, which Lambda refuses: its image for {} is {digest}", proof.platform))
}

fn wanted(config: Option<&Config>, arguments: &VerifyImage) -> Result<Option<Arch>, Refused> {
    let Some(name) = &arguments.target else { return Ok(arguments.arch) };
    let target = Target::from_name(name).ok_or_else(|| {
        let problem = format!("`{}` is no target", name.escape_debug());
        Refused::from(Refusal::new(problem, suggestion(name, Target::ALL.map(Target::name))))
    })?;
    Ok(Some(config.map_or_else(|| target.default_arch(), |config| config.arch(target))))
}

/// Looks for the image in the nearest place first.
fn prove(
    config: Option<&Config>,
    image: &str,
    arch: Option<Arch>,
    docker: &Docker,
    kept: &Kept,
) -> Result<(&'static str, Proof)> {
    let path = Path::new(image);
    // A project's folder may well have the image's name.
    let is_said = image.starts_with(['.', '/']);
    if path.is_dir() && (is_said || path.join("index.json").is_file()) {
        return Ok(("an OCI layout", proof::prove(&mut Layout::new(path), arch, &[])?));
    }
    if path.is_file() {
        let file = File::open(path).with_context(|| format!("failed to open `{image}`"))?;
        // Names in an archive from elsewhere may lie: everything is read.
        let archive = Archive::read(file, &Kept::nothing()).with_context(|| format!("failed to read `{image}`"))?;
        return Ok(("an archive", archive.prove(arch, &[]).with_context(|| format!("failed to prove `{image}`"))?));
    }
    if docker.has(image) {
        return Ok(("the local engine", docker.prove(image, arch, &[], kept)?));
    }
    let reference: Reference = image.parse().map_err(|error| {
        Refused::from(Refusal::new(
            format!("`{}` is no file, no image of the local engine, and no reference: {error}", image.escape_debug()),
            "write `NAME:TAG`, `HOST/NAME:TAG` or `HOST/NAME@sha256:…`, or a path",
        ))
    })?;
    let registry = reach::open(config, &reference, &[&reference.repository], Right::Pull, None)?;
    let mut remote =
        Remote { registry: &registry, repository: reference.repository, reference: reference.tag, kept: kept.clone() };
    let proof = proof::prove(&mut remote, arch, &[]).with_context(|| format!("failed to prove `{image}` from its registry"))?;
    Ok(("the registry", proof))
}

fn show(context: &Context, document: &Document<'_>) {
    if context.global.json {
        document::print(document);
    }
    let Document { image, place, proof, mismatches } = document;
    let verdict = &proof.verdict;
    let terminal = &context.terminal;
    terminal.status("Read", &format!("{image} from {place}: config {}, {}", proof.config_digest, proof.platform));
    let groups = verdict.groups();
    for group in groups.iter().take(proof::SHOWN) {
        terminal.error(group);
    }
    if let Some(more) = groups.len().checked_sub(proof::SHOWN).filter(|more| *more > 0) {
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
