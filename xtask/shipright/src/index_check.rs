//! What an index says of its images, compared with the images.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail};
use image_oci::{Descriptor, Manifest, Platform, digest_of, is_digest};

use crate::{
    registry::{NoAnswer, Registry},
    report::terminal::one_line,
};

/// The most entries of an index that are looked at. Real ones have a dozen.
const ENTRIES: usize = 256;

/// Everything in an index that is not so: entries for nothing, for another platform, of another size or kind, and twins.
///
/// # Errors
/// An index that is no JSON, and a registry that does not tell what it has.
pub fn problems(registry: &Registry, repository: &str, list: &Manifest) -> Result<Vec<String>> {
    let children = list.children()?;
    let mut problems = Vec::new();
    if !list.is_image_index() {
        problems.push(format!(
            "this is neither an image nor an image index: its media type is `{}`",
            list.media_type
        ));
    } else if children.iter().all(Descriptor::is_attestation) {
        problems.push("the index names no image".to_owned());
    }
    if children.len() > ENTRIES {
        problems.push(format!(
            "the index has {} entries: only the first {ENTRIES} are looked at",
            children.len()
        ));
    }
    let (mut digests, mut platforms) = (BTreeSet::new(), BTreeMap::new());
    for child in children.iter().take(ENTRIES) {
        if !digests.insert(&child.digest) {
            problems.push(format!("{} is listed twice", named(child)));
            continue;
        }
        problems.extend(platform_problem(child, &mut platforms));
        problems.extend(entry_problems(registry, repository, child, children)?);
    }
    Ok(problems.iter().map(|problem| one_line(problem)).collect())
}

fn named(child: &Descriptor) -> String {
    match &child.platform {
        Some(said) => format!("{} ({said})", child.digest),
        None => child.digest.clone(),
    }
}

/// An entry without a platform, or with another's. `platforms` are those of the entries before it.
fn platform_problem<'c>(
    child: &'c Descriptor,
    platforms: &mut BTreeMap<Platform, &'c String>,
) -> Option<String> {
    let Some(said) = &child.platform else {
        return Some(format!("{} is listed without a platform", named(child)));
    };
    if child.is_attestation() {
        return None;
    }
    let other = platforms.insert(said.normalised(), &child.digest)?;
    Some(format!(
        "{} and {other} are listed for the same platform",
        named(child)
    ))
}

/// What an entry says and its image does not.
fn entry_problems(
    registry: &Registry,
    repository: &str,
    child: &Descriptor,
    children: &[Descriptor],
) -> Result<Vec<String>> {
    let told = |error: anyhow::Error| {
        if error.is::<NoAnswer>() {
            Err(error.context(named(child)))
        } else {
            Ok(vec![format!("{}: {error:#}", named(child))])
        }
    };
    let manifest = match image(registry, repository, child) {
        Ok(manifest) => manifest,
        Err(error) => return told(error),
    };
    if child.is_attestation() {
        return Ok(attestation_problems(
            registry, repository, &manifest, child, children,
        ));
    }
    match (
        platform_of(registry, repository, &manifest),
        &child.platform,
    ) {
        (Ok(real), Some(said)) if real.normalised() != said.normalised() => Ok(vec![format!(
            "{} is listed for {said}, and its config says {real}",
            child.digest
        )]),
        (Ok(_), _) => Ok(Vec::new()),
        (Err(error), _) => told(error),
    }
}

/// What is wrong with an entry that no engine runs. Source: "Image attestation storage" in BuildKit's documentation.
fn attestation_problems(
    registry: &Registry,
    repository: &str,
    manifest: &Manifest,
    child: &Descriptor,
    all: &[Descriptor],
) -> Vec<String> {
    let name = &child.digest;
    let mut problems = Vec::new();
    if !manifest.is_image_manifest() {
        problems.push(format!("{name} is no manifest"));
    }
    // Its config says nothing, or that it is for nothing.
    if let Some(real) = platform_of(registry, repository, manifest)
        .ok()
        .filter(|real| real.provable().is_some())
    {
        problems.push(format!(
            "{name} is listed for no platform, and its config says {real}: no engine finds it"
        ));
    }
    let about = child.annotations.get("vnd.docker.reference.digest");
    if let Some(about) = about.filter(|about| !all.iter().any(|other| other.digest == **about)) {
        problems.push(format!(
            "{name} is about {about}, which is not in the index"
        ));
    }
    problems
}

/// An entry's image, of the digest, size and kind that the entry says.
fn image(registry: &Registry, repository: &str, child: &Descriptor) -> Result<Manifest> {
    if !is_digest(&child.digest) {
        bail!("it is named by no digest");
    }
    let bytes = registry
        .manifest(repository, &child.digest)
        .context("it cannot be read")?;
    let (digest, size) = (digest_of(&bytes), bytes.len() as u64);
    if digest != child.digest || size != child.size {
        bail!(
            "the entry says {} bytes, and the registry has {size} bytes of digest {digest}",
            child.size
        );
    }
    let manifest = Manifest::new(
        String::from_utf8(bytes)
            .ok()
            .context("the manifest is not text")?,
        &child.media_type,
    );
    if manifest.media_type != child.media_type {
        bail!(
            "it is listed as `{}`, and says of itself that it is `{}`",
            child.media_type,
            manifest.media_type
        );
    }
    if manifest.is_image_index() {
        bail!("it is an image index itself");
    }
    manifest.document()?;
    Ok(manifest)
}

/// The platform that an image's config says.
///
/// # Errors
/// A registry that does not have it, and a config without one.
pub fn platform_of(registry: &Registry, repository: &str, manifest: &Manifest) -> Result<Platform> {
    let size = manifest.config()?.size;
    let bytes = registry.config(repository, manifest)?;
    if bytes.len() as u64 != size {
        bail!(
            "the image's config has {} bytes, and its manifest says {size}: engines refuse it",
            bytes.len()
        );
    }
    Ok(Platform::of_config(&bytes)?)
}
