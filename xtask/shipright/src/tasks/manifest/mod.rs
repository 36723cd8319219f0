//! `manifest create`, `inspect` and `push`: image indexes by hand, in any registry, as `docker manifest` has them. What an index
//! says of its images is compared with the images.

mod examine;

use std::{collections::BTreeMap, fs, io::ErrorKind, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result, bail};
use image_oci::{Descriptor, Document, IMAGE_INDEX_TYPES, IMAGE_MANIFEST_TYPES, Manifest, Platform, digest_of};
use serde::{Deserialize, Serialize};

use examine::platform_of;
pub use examine::problems;

use super::{Context, Refused, reach};
use crate::{
    arch::Arch,
    cli::ManifestCommand,
    facts::host,
    model::{config::Config, refusal::Refusal},
    plan::index::{Child, assemble},
    proof::{self, Kept, Remote},
    registry::{Arrival, Reference, Registry, Right},
    report::{document, terminal::one_line},
    sandbox,
};

/// An index that was made and not pushed yet.
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
        let problem = format!("`{name}` is a digest: an index is named by a tag");
        return Err(Refused::from(Refusal::new(problem, "write `HOST/NAME:TAG`")).into());
    }
    let mut children = Vec::new();
    let mut sources = BTreeMap::new();
    let sandbox = sandbox_of(context)?;
    let config = context.config().ok();
    for image in images {
        let child = reference(image)?;
        if child.host != list.host {
            let problem = format!("`{image}` is in another registry than `{name}`");
            return Err(Refused::from(Refusal::new(problem, "copy it there first: cargo xtask promote")).into());
        }
        let registry = reach::open(config.as_ref(), &child, &[&child.repository], Right::Pull, sandbox.as_ref())?;
        let manifest = read(&registry, &child)?;
        let platform = if manifest.is_image_index() {
            Platform { architecture: String::new(), os: String::new(), variant: None }
        } else {
            proven(config.as_ref(), image, &registry, &child.repository, &manifest)?
        };
        sources.insert(manifest.digest.clone(), child.repository.clone());
        children.push(Child { name: image.clone(), manifest, platform });
    }
    let manifest = assemble(&children).map_err(Refused)?;
    let draft = Draft { name: name.to_owned(), media_type: manifest.media_type.clone(), bytes: manifest.bytes.clone(), sources };
    if !context.global.dry_run {
        let file = file_of(context, &list)?;
        let text = serde_json::to_string_pretty(&draft).context("the index has no JSON form")?;
        fs::write(&file, text).with_context(|| format!("failed to write `{}`", file.display()))?;
        context.terminal.status("Created", &format!("{name}, {}; push it: cargo xtask manifest push {name}", manifest.digest));
    }
    show(context, name, &manifest, &entries(&manifest)?, &[]);
    Ok(ExitCode::SUCCESS)
}

/// The platform of an image that is what it says: another goes into no index.
fn proven(config: Option<&Config>, image: &str, registry: &Registry, repository: &str, manifest: &Manifest) -> Result<Platform> {
    let platform = platform_of(registry, repository, manifest).with_context(|| format!("failed to read `{image}`"))?;
    let arch = platform.provable().ok_or_else(|| {
        let problem = format!("`{image}` says that it is for {platform}, which cannot be proven");
        let all: Vec<_> = Arch::ALL.map(Arch::platform).into();
        Refused::from(Refusal::new(problem, format!("an index is made here of images for {}", all.join(" and "))))
    })?;
    let foreign: Vec<_> = config.map(|config| config.foreign_in(repository)).unwrap_or_default();
    let mut remote =
        Remote { registry, repository: repository.to_owned(), reference: manifest.digest.clone(), kept: Kept::nothing() };
    let proof =
        proof::prove(&mut remote, Some(arch), &proof::allowed(&foreign)).with_context(|| format!("failed to prove `{image}`"))?;
    proof.require().with_context(|| format!("`{image}` goes into no index"))?;
    Ok(platform)
}

fn inspect(context: &Context, image: &str) -> Result<ExitCode> {
    let place = reference(image)?;
    let sandbox = sandbox_of(context)?;
    let registry = reach::open(context.config().ok().as_ref(), &place, &[&place.repository], Right::Pull, sandbox.as_ref())?;
    let manifest = read(&registry, &place)?;
    if manifest.is_image_manifest() {
        let platform =
            platform_of(&registry, &place.repository, &manifest).with_context(|| format!("failed to read `{image}`"))?;
        let shown = Shown {
            media_type: manifest.media_type.clone(),
            size: manifest.bytes.len() as u64,
            digest: manifest.digest.clone(),
            architecture: platform.architecture,
            os: platform.os,
            variant: platform.variant,
        };
        show(context, image, &manifest, &[shown], &[]);
        return Ok(ExitCode::SUCCESS);
    }
    let problems = problems(&registry, &place.repository, &manifest)?;
    show(context, image, &manifest, &entries(&manifest)?, &problems);
    for problem in &problems {
        context.terminal.error(problem);
    }
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn push(context: &Context, name: &str) -> Result<ExitCode> {
    let list = reference(name)?;
    let file = file_of(context, &list)?;
    let text = fs::read_to_string(&file).map_err(|_| {
        let problem = format!("no index `{name}` was made here");
        Refused::from(Refusal::new(problem, format!("make it first: cargo xtask manifest create {name} IMAGE…")))
    })?;
    let about = || format!("`{}` was changed by somebody: make the index again", file.display());
    let draft: Draft = serde_json::from_str(&text).with_context(about)?;
    let manifest = Manifest::new(draft.bytes, &draft.media_type);
    let children = manifest.children().with_context(about)?;
    if context.global.dry_run {
        show(context, name, &manifest, &entries(&manifest)?, &[]);
        return Ok(ExitCode::SUCCESS);
    }
    let repositories: Vec<&str> = draft.sources.values().map(String::as_str).chain([list.repository.as_str()]).collect();
    let sandbox = sandbox_of(context)?;
    let registry = reach::open(context.config().ok().as_ref(), &list, &repositories, Right::Push, sandbox.as_ref())?;
    for child in children {
        let source = draft.sources.get(&child.digest).with_context(about)?;
        if *source != list.repository {
            bring(context, &registry, source, &list.repository, &child.digest)?;
        }
    }
    let problems = problems(&registry, &list.repository, &manifest)?;
    if !problems.is_empty() {
        bail!("the index does not say what its images are:\n{}", problems.join("\n"));
    }
    registry.put_manifest(&list.repository, &manifest.digest, &manifest.media_type, manifest.bytes.as_bytes())?;
    registry.put_manifest(&list.repository, &list.tag, &manifest.media_type, manifest.bytes.as_bytes())?;
    let found = digest_of(&registry.manifest(&list.repository, &list.tag)?);
    if found != manifest.digest {
        bail!("`{name}` is {found} after the push, not {}: perhaps somebody else wrote it", manifest.digest);
    }
    match fs::remove_file(&file) {
        // Another run has pushed the same list meanwhile.
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        removed => removed.with_context(|| format!("failed to remove `{}`", file.display()))?,
    }
    context.terminal.status("Pushed", &format!("{name}, {}", manifest.digest));
    show(context, name, &manifest, &entries(&manifest)?, &[]);
    Ok(ExitCode::SUCCESS)
}

/// An index and its images lie in one repository: the others are brought there, mounted where the registry can.
fn bring(context: &Context, registry: &Registry, from: &str, to: &str, digest: &str) -> Result<()> {
    let bytes = registry.manifest(from, digest)?;
    if digest_of(&bytes) != digest {
        bail!("`{from}@{digest}` has other bytes: the registry is damaged");
    }
    let manifest = Manifest::new(String::from_utf8(bytes).ok().context("a manifest is not text")?, "");
    let mut sent = 0;
    for blob in manifest.document()?.blobs() {
        if registry.put_blob(to, (&blob.digest, blob.size), Some(from), || registry.stream(from, &blob.digest))? == Arrival::Sent
        {
            sent += blob.size;
        }
    }
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
    let is_image = Document::parse(text.as_bytes())?.config.is_some();
    Ok(Manifest::new(text, if is_image { IMAGE_MANIFEST_TYPES[0] } else { IMAGE_INDEX_TYPES[0] }))
}

fn entries(list: &Manifest) -> Result<Vec<Shown>> {
    let shown = |child: &Descriptor| {
        let platform = child.platform.as_ref();
        Shown {
            architecture: platform.map(|platform| platform.architecture.clone()).unwrap_or_default(),
            os: platform.map(|platform| platform.os.clone()).unwrap_or_default(),
            variant: platform.and_then(|platform| platform.variant.clone()),
            media_type: child.media_type.clone(),
            size: child.size,
            digest: child.digest.clone(),
        }
    };
    Ok(list.children()?.iter().map(shown).collect())
}

fn show(context: &Context, name: &str, manifest: &Manifest, entries: &[Shown], problems: &[String]) {
    if context.global.json {
        document::print(&serde_json::json!({
            "name": name, "mediaType": manifest.media_type, "digest": manifest.digest, "size": manifest.bytes.len(),
            "manifests": entries, "problems": problems,
        }));
    }
    let mut lines = vec![format!("{name}\n    {} {}", one_line(&manifest.media_type), manifest.digest)];
    lines.extend(entries.iter().map(|entry| {
        let variant = entry.variant.as_ref().map_or_else(String::new, |variant| format!("/{variant}"));
        let platform = one_line(&format!("{}/{}{variant}", entry.os, entry.architecture));
        let (media_type, digest) = (one_line(&entry.media_type), one_line(&entry.digest));
        format!("    {platform}\n        mediaType  {media_type}\n        size       {}\n        digest     {digest}", entry.size)
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

/// Where an index lies until it is pushed.
fn file_of(context: &Context, list: &Reference) -> Result<PathBuf> {
    let root = context.config().map(|config| config.root).or_else(|_| std::env::current_dir().context("there is no folder"))?;
    let folder = host::state_folder(&root)?.join("manifests");
    fs::create_dir_all(&folder).with_context(|| format!("failed to create `{}`", folder.display()))?;
    let name = digest_of(format!("{}/{}:{}", list.host, list.repository, list.tag).as_bytes());
    Ok(folder.join(format!("{}.json", name.trim_start_matches("sha256:"))))
}
