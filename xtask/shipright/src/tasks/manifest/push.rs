//! `manifest push`: an index that was made with `create` is stored under its tag, with its images beside it.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use image_oci::{Manifest, digest_of};

use super::{Registries, draft::DraftFile, reference, show};
use crate::{
    context::Context,
    index_check::problems,
    registry::{Actions, InRepository, Reference, Registry},
};

pub(super) fn push(context: &Context, name: &str) -> Result<ExitCode> {
    let index = reference(name)?;
    let file = DraftFile::of(context, &index)?;
    let draft = file.read(name)?;
    let manifest = draft.manifest();
    let children = manifest.children().with_context(|| file.was_changed())?;
    if context.global.dry_run {
        show::show(context, name, &manifest, &show::entries(&manifest)?, &[]);
        return Ok(ExitCode::SUCCESS);
    }
    let sources = draft.sources.values().map(String::as_str);
    let repositories: Vec<&str> = sources.chain([index.repository.as_str()]).collect();
    let registry = Registries::of(context)?.open(&index, &repositories, Actions::Push)?;
    for child in children {
        let source = draft
            .sources
            .get(&child.digest)
            .with_context(|| file.was_changed())?;
        if *source != index.repository {
            bring(context, &registry, source, &index.repository, &child.digest)?;
        }
    }
    store(&registry, name, &index, &manifest)?;
    file.remove()?;
    context
        .terminal
        .status("Pushed", &format!("{name}, {}", manifest.digest));
    show::show(context, name, &manifest, &show::entries(&manifest)?, &[]);
    Ok(ExitCode::SUCCESS)
}

/// Stores an index under its digest and its tag, once it says what its images are, and reads the tag back.
fn store(registry: &Registry, name: &str, index: &Reference, manifest: &Manifest) -> Result<()> {
    let problems = problems(registry, &index.repository, manifest)?;
    if !problems.is_empty() {
        bail!(
            "the index does not say what its images are:\n{}",
            problems.join("\n")
        );
    }
    for reference in [&manifest.digest, &index.tag] {
        registry.put_manifest(
            &index.repository,
            reference,
            &manifest.media_type,
            manifest.bytes.as_bytes(),
        )?;
    }
    let found = digest_of(&registry.manifest(&index.repository, &index.tag)?);
    if found != manifest.digest {
        bail!(
            "`{name}` is {found} after the push, not {}: perhaps somebody else wrote it",
            manifest.digest
        );
    }
    Ok(())
}

/// An index and its images are in one repository: the others are brought there, mounted where the registry can.
fn bring(context: &Context, registry: &Registry, from: &str, to: &str, digest: &str) -> Result<()> {
    let bytes = registry.manifest(from, digest)?;
    if digest_of(&bytes) != digest {
        bail!("`{from}@{digest}` has other bytes: the registry is damaged");
    }
    let manifest = Manifest::new(
        String::from_utf8(bytes)
            .ok()
            .context("a manifest is not text")?,
        "",
    );
    let source = InRepository {
        registry,
        repository: from,
    };
    let sent = registry
        .put_image(to, &manifest, &source, Some(from))?
        .bytes;
    context
        .terminal
        .status("Brought", &format!("{from}@{digest} to {to}: {sent} bytes"));
    Ok(())
}
