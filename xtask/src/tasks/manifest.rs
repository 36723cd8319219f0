//! `manifest create`, `inspect` and `push`: lists of images by hand, in any registry, as `docker manifest` has them. What a list
//! says of its images is compared with the images.

use std::{collections::BTreeMap, fs, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result, bail};
use image_proof::{Manifest as Parsed, digest_of};
use serde::{Deserialize, Serialize};

use super::{Context, Refused, reach};
use crate::{
    cli::ManifestCommand,
    facts::{host, published::Manifest},
    policy::{
        index::{Child, Platform, assemble},
        plan::Refusal,
    },
    proof::{self, Kept, Remote},
    registry::{Arrival, CONFIG_LIMIT, Reference, Registry, Right},
    report::document,
    sandbox,
};

/// A list that was made and not pushed yet.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Draft {
    name: String,
    media_type: String,
    bytes: String,
    /// The digest of each image, and the repository that it is in.
    sources: BTreeMap<String, String>,
}

/// One image, as people and programs are shown it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    media_type: String,
    size: u64,
    digest: String,
    architecture: String,
    os: String,
    variant: Option<String>,
}

/// Does what was typed.
pub fn run(context: &Context, command: &ManifestCommand) -> Result<ExitCode> {
    match command {
        ManifestCommand::Create { name, images } => create(context, name, images),
        ManifestCommand::Inspect { image } => inspect(context, image),
        ManifestCommand::Push { name } => push(context, name),
    }
}

fn create(context: &Context, name: &str, images: &[String]) -> Result<ExitCode> {
    let list = reference(name)?;
    if list.tag.starts_with("sha256:") {
        let problem = format!("`{name}` is a digest: a list is named by a tag");
        return Err(Refused::from(Refusal::new(problem, "write `HOST/NAME:TAG`")).into());
    }
    let mut children = Vec::new();
    let mut sources = BTreeMap::new();
    let sandbox = sandbox_of(context)?;
    for image in images {
        let child = reference(image)?;
        if child.host != list.host {
            let problem = format!("`{image}` is in another registry than `{name}`");
            return Err(Refused::from(Refusal::new(problem, "copy it there first: cargo xtask promote")).into());
        }
        let registry = reach::open(&child, &[&child.repository], Right::Pull, sandbox.as_ref())?;
        let manifest = read(&registry, &child)?;
        let platform = if manifest.is_single() {
            // What is not what it says goes into no list.
            let reference = manifest.digest.clone();
            let mut remote =
                Remote { registry: &registry, repository: child.repository.clone(), reference, kept: Kept::nothing() };
            let proof = proof::prove(&mut remote, None, &[]).with_context(|| format!("failed to prove `{image}`"))?;
            proof.require().with_context(|| format!("`{image}` goes into no list"))?;
            platform_of(&registry, &child.repository, &manifest)?
        } else {
            Platform { architecture: String::new(), os: String::new(), variant: None }
        };
        sources.insert(manifest.digest.clone(), child.repository.clone());
        children.push(Child { name: image.clone(), manifest, platform });
    }
    let manifest = assemble(&children).map_err(Refused)?;
    let draft = Draft { name: name.to_owned(), media_type: manifest.media_type.clone(), bytes: manifest.bytes.clone(), sources };
    let file = file_of(context, &list)?;
    if !context.global.dry_run {
        let text = serde_json::to_string_pretty(&draft).context("the list has no JSON form")?;
        fs::write(&file, text).with_context(|| format!("failed to write `{}`", file.display()))?;
        context.terminal.status("Created", &format!("{name}, {}; push it: cargo xtask manifest push {name}", manifest.digest));
    }
    show(context, name, &manifest, &entries(&manifest)?);
    Ok(ExitCode::SUCCESS)
}

fn inspect(context: &Context, image: &str) -> Result<ExitCode> {
    let place = reference(image)?;
    let sandbox = sandbox_of(context)?;
    let registry = reach::open(&place, &[&place.repository], Right::Pull, sandbox.as_ref())?;
    let manifest = read(&registry, &place)?;
    if manifest.is_single() {
        let platform = platform_of(&registry, &place.repository, &manifest)?;
        let shown = Shown {
            media_type: manifest.media_type.clone(),
            size: manifest.bytes.len() as u64,
            digest: manifest.digest.clone(),
            architecture: platform.architecture,
            os: platform.os,
            variant: platform.variant,
        };
        show(context, image, &manifest, &[shown]);
        return Ok(ExitCode::SUCCESS);
    }
    show(context, image, &manifest, &entries(&manifest)?);
    let lies = lies(&registry, &place.repository, &manifest)?;
    for lie in &lies {
        context.terminal.error(lie);
    }
    Ok(if lies.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn push(context: &Context, name: &str) -> Result<ExitCode> {
    let list = reference(name)?;
    let file = file_of(context, &list)?;
    let text = fs::read_to_string(&file).map_err(|_| {
        let problem = format!("no list `{name}` was made here");
        Refused::from(Refusal::new(problem, format!("make it first: cargo xtask manifest create {name} IMAGE…")))
    })?;
    let about = || format!("`{}` was changed by somebody: make the list again", file.display());
    let draft: Draft = serde_json::from_str(&text).with_context(about)?;
    let manifest = Manifest::new(draft.bytes, &draft.media_type);
    let parsed = Parsed::parse(manifest.bytes.as_bytes()).with_context(about)?;
    if context.global.dry_run {
        show(context, name, &manifest, &entries(&manifest)?);
        return Ok(ExitCode::SUCCESS);
    }
    let repositories: Vec<&str> = draft.sources.values().map(String::as_str).chain([list.repository.as_str()]).collect();
    let sandbox = sandbox_of(context)?;
    let registry = reach::open(&list, &repositories, Right::Push, sandbox.as_ref())?;
    for child in &parsed.manifests {
        let source = draft.sources.get(&child.digest).with_context(about)?;
        if *source != list.repository {
            bring(context, &registry, source, &list.repository, &child.digest)?;
        }
    }
    let lies = lies(&registry, &list.repository, &manifest)?;
    if !lies.is_empty() {
        bail!("the list does not say what its images are:\n{}", lies.join("\n"));
    }
    registry.put_manifest(&list.repository, &manifest.digest, &manifest.media_type, manifest.bytes.as_bytes())?;
    registry.put_manifest(&list.repository, &list.tag, &manifest.media_type, manifest.bytes.as_bytes())?;
    let found = digest_of(&registry.manifest(&list.repository, &list.tag)?);
    if found != manifest.digest {
        bail!("`{name}` is {found} after the push, not {}: perhaps somebody else wrote it", manifest.digest);
    }
    fs::remove_file(&file).with_context(|| format!("failed to remove `{}`", file.display()))?;
    context.terminal.status("Pushed", &format!("{name}, {}", manifest.digest));
    show(context, name, &manifest, &entries(&manifest)?);
    Ok(ExitCode::SUCCESS)
}

/// A list and its images lie in one repository: the others are brought there, mounted where the registry can.
fn bring(context: &Context, registry: &Registry, from: &str, to: &str, digest: &str) -> Result<()> {
    let bytes = registry.manifest(from, digest)?;
    if digest_of(&bytes) != digest {
        bail!("`{from}@{digest}` has other bytes: the registry is damaged");
    }
    let parsed = Parsed::parse(&bytes)?;
    let mut sent = 0;
    for blob in parsed.layers.iter().chain(&parsed.config) {
        if registry.put_blob(to, (&blob.digest, blob.size), Some(from), || registry.stream(from, &blob.digest))? == Arrival::Sent
        {
            sent += blob.size;
        }
    }
    let text = String::from_utf8(bytes).ok().context("a manifest is not text")?;
    let manifest = Manifest::new(text, &parsed.media_type);
    registry.put_manifest(to, digest, &manifest.media_type, manifest.bytes.as_bytes())?;
    context.terminal.status("Brought", &format!("{from}@{digest} to {to}: {sent} bytes"));
    Ok(())
}

fn reference(text: &str) -> Result<Reference, Refused> {
    text.parse().map_err(|error| {
        let problem = format!("`{}` is no reference: {error}", text.escape_debug());
        Refused::from(Refusal::new(problem, "write `HOST/NAME:TAG` or `HOST/NAME@sha256:…`"))
    })
}

fn read(registry: &Registry, place: &Reference) -> Result<Manifest> {
    let bytes = registry.manifest(&place.repository, &place.tag)?;
    if place.tag.starts_with("sha256:") && digest_of(&bytes) != place.tag {
        bail!("the registry answers for {} with bytes of digest {}", place.tag, digest_of(&bytes));
    }
    let text = String::from_utf8(bytes).ok().context("the manifest is not text")?;
    let parsed = Parsed::parse(text.as_bytes())?;
    let guessed =
        if parsed.config.is_some() { crate::facts::published::SINGLE_MANIFESTS[0] } else { crate::facts::published::INDEXES[0] };
    Ok(Manifest::new(text, guessed))
}

fn platform_of(registry: &Registry, repository: &str, manifest: &Manifest) -> Result<Platform> {
    let (config, size) = manifest.config()?;
    if size > CONFIG_LIMIT {
        bail!("the image's config claims {size} bytes: no real one has more than {CONFIG_LIMIT}");
    }
    Platform::of_config(&registry.blob(repository, &config, CONFIG_LIMIT)?)
}

/// Entries of a list that are not what they say: missing, of another size, or for another platform.
fn lies(registry: &Registry, repository: &str, list: &Manifest) -> Result<Vec<String>> {
    let parsed = Parsed::parse(list.bytes.as_bytes())?;
    let mut found = Vec::new();
    let mut seen = BTreeMap::new();
    for child in &parsed.manifests {
        let Some(said) = child.platform.as_ref().filter(|platform| platform.os != "unknown") else { continue };
        let said = Platform { architecture: said.architecture.clone(), os: said.os.clone(), variant: said.variant.clone() };
        if seen.insert(child.digest.clone(), said.clone()).is_some() {
            found.push(format!("{} is listed twice", child.digest));
        }
        let bytes = match registry.manifest(repository, &child.digest) {
            Ok(bytes) => bytes,
            Err(error) => {
                found.push(format!("the image for {said}, {}, cannot be read: {error:#}", child.digest));
                continue;
            }
        };
        if digest_of(&bytes) != child.digest || bytes.len() as u64 != child.size {
            let text = format!("{} of {} bytes is {} of {} bytes", child.digest, child.size, digest_of(&bytes), bytes.len());
            found.push(format!("the image for {said}: {text}"));
            continue;
        }
        let text = String::from_utf8(bytes).ok().context("a manifest is not text")?;
        let real = platform_of(registry, repository, &Manifest::new(text, &child.media_type))?;
        let same_variant = said.variant.is_none() || real.variant.is_none() || said.variant == real.variant;
        if (&said.os, &said.architecture) != (&real.os, &real.architecture) || !same_variant {
            found.push(format!("{} is listed for {said}, and its config says {real}", child.digest));
        }
    }
    Ok(found)
}

fn entries(list: &Manifest) -> Result<Vec<Shown>> {
    let parsed = Parsed::parse(list.bytes.as_bytes())?;
    let shown = |child: image_proof::Descriptor| {
        let platform = child.platform;
        let of = |read: fn(&image_proof::Platform) -> String| platform.as_ref().map(read).unwrap_or_default();
        Shown {
            architecture: of(|platform| platform.architecture.clone()),
            os: of(|platform| platform.os.clone()),
            variant: platform.as_ref().and_then(|platform| platform.variant.clone()),
            media_type: child.media_type,
            size: child.size,
            digest: child.digest,
        }
    };
    Ok(parsed.manifests.into_iter().map(shown).collect())
}

fn show(context: &Context, name: &str, manifest: &Manifest, entries: &[Shown]) {
    if context.global.json {
        document::print(&serde_json::json!({
            "name": name, "mediaType": manifest.media_type, "digest": manifest.digest, "size": manifest.bytes.len(),
            "manifests": entries,
        }));
    }
    let mut lines = vec![format!("{name}\n    {} {}", manifest.media_type, manifest.digest)];
    lines.extend(entries.iter().map(|entry| {
        let variant = entry.variant.as_ref().map_or_else(String::new, |variant| format!("/{variant}"));
        format!(
            "    {}/{}{variant}\n        mediaType  {}\n        size       {}\n        digest     {}",
            entry.os, entry.architecture, entry.media_type, entry.size, entry.digest
        )
    }));
    context.terminal.block(&lines.join("\n"));
}

fn sandbox_of(context: &Context) -> Result<Option<sandbox::Session>> {
    if !context.global.sandbox {
        return Ok(None);
    }
    let mut config = context.config()?;
    sandbox::for_command(true, context.global.dry_run, &mut config, &context.terminal)
}

/// Where a list lies until it is pushed.
fn file_of(context: &Context, list: &Reference) -> Result<PathBuf> {
    let root = context.config().map(|config| config.root).or_else(|_| std::env::current_dir().context("there is no folder"))?;
    let folder = host::target_folder(&root).join("manifests");
    fs::create_dir_all(&folder).with_context(|| format!("failed to create `{}`", folder.display()))?;
    let name = digest_of(format!("{}/{}:{}", list.host, list.repository, list.tag).as_bytes());
    Ok(folder.join(format!("{}.json", name.trim_start_matches("sha256:"))))
}
