//! `manifest create`: an index of images that are in the registry already, each proven first.

use std::{collections::BTreeMap, process::ExitCode};

use anyhow::{Context as _, Result};
use image_oci::{Manifest, Platform};

use super::{
    Registries,
    draft::{Draft, DraftFile},
    read, reference, show,
};
use crate::{
    arch::Arch,
    context::Context,
    index_check::platform_of,
    model::refusal::Refusal,
    plan::index::{Child, assemble},
    proof::Prover,
    refused::Refused,
    registry::{Actions, Reference, Registry},
};

pub(super) fn create(context: &Context, name: &str, images: &[String]) -> Result<ExitCode> {
    let index = reference(name)?;
    if index.tag.starts_with("sha256:") {
        let problem = format!("`{name}` is a digest: an index is named by a tag");
        return Err(Refused::from(Refusal::new(problem, "write `HOST/NAME:TAG`")).into());
    }
    let registries = Registries::of(context)?;
    let (mut children, mut sources) = (Vec::new(), BTreeMap::new());
    for image in images {
        let child = reference(image)?;
        if child.host != index.host {
            let problem = format!("`{image}` is in another registry than `{name}`");
            return Err(Refused::from(Refusal::new(
                problem,
                "copy it there first: cargo xtask promote",
            ))
            .into());
        }
        let (manifest, platform) = look(&registries, image, &child)?;
        sources.insert(manifest.digest.clone(), child.repository);
        children.push(Child {
            name: image.clone(),
            manifest,
            platform,
        });
    }
    let manifest = assemble(&children).map_err(Refused)?;
    if !context.global.dry_run {
        DraftFile::of(context, &index)?.write(&Draft::new(name, &manifest, sources))?;
        let text = format!(
            "{name}, {}; push it: cargo xtask manifest push {name}",
            manifest.digest
        );
        context.terminal.status("Created", &text);
    }
    show::show(context, name, &manifest, &show::entries(&manifest)?, &[]);
    Ok(ExitCode::SUCCESS)
}

/// An image and its platform. An index is refused when the index is assembled, and has none.
fn look(registries: &Registries, image: &str, child: &Reference) -> Result<(Manifest, Platform)> {
    let registry = registries.open(child, &[&child.repository], Actions::Pull)?;
    let manifest = read(&registry, child)?;
    let platform = if manifest.is_image_index() {
        Platform {
            architecture: String::new(),
            os: String::new(),
            variant: None,
        }
    } else {
        proven(registries, image, &registry, &child.repository, &manifest)?
    };
    Ok((manifest, platform))
}

/// The platform of an image that is what it says: another goes into no index.
fn proven(
    registries: &Registries,
    image: &str,
    registry: &Registry,
    repository: &str,
    manifest: &Manifest,
) -> Result<Platform> {
    let platform = platform_of(registry, repository, manifest)
        .with_context(|| format!("failed to read `{image}`"))?;
    let arch = platform.provable().ok_or_else(|| {
        let problem = format!("`{image}` says that it is for {platform}, which cannot be proven");
        let all: Vec<_> = Arch::ALL.map(Arch::platform).into();
        Refused::from(Refusal::new(
            problem,
            format!("an index is made here of images for {}", all.join(" and ")),
        ))
    })?;
    let foreign = registries
        .config
        .as_ref()
        .map(|config| config.foreign_in(repository))
        .unwrap_or_default();
    let place = (repository, manifest.digest.as_str());
    let proof = Prover::without_memory().in_registry(registry, place, Some(arch), &foreign);
    let proof = proof.with_context(|| format!("failed to prove `{image}`"))?;
    proof
        .require()
        .with_context(|| format!("`{image}` goes into no index"))?;
    Ok(platform)
}
