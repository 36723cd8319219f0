//! `manifest create`, `inspect` and `push`: image indexes by hand, in any registry, as `docker manifest` has them. What an index
//! says of its images is compared with the images.

mod create;
mod draft;
mod push;
mod show;

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use image_oci::{Document, IMAGE_INDEX_TYPES, IMAGE_MANIFEST_TYPES, Manifest, digest_of};

use crate::{
    cli::ManifestCommand,
    context::Context,
    index_check::{platform_of, problems},
    model::{config::Config, refusal::Refusal},
    refused::Refused,
    registry::{Actions, Reference, Registry},
    sandbox::Sandbox,
    session,
    tasks::exit_code,
    workspace::Workspace,
};

/// Does what was typed.
pub(super) fn run(context: &Context, command: &ManifestCommand) -> Result<ExitCode> {
    match command {
        ManifestCommand::Create { name, images } => create::create(context, name, images),
        ManifestCommand::Inspect { image } => inspect(context, image),
        ManifestCommand::Push { name } => push::push(context, name),
    }
}

/// The registries that a command may speak to. An image can be looked at anywhere; only `--sandbox` needs a project.
struct Registries {
    config: Option<Config>,
    sandbox: Option<Sandbox>,
}

impl Registries {
    fn of(context: &Context) -> Result<Self> {
        let workspace = Workspace::if_any(context, context.global.sandbox)?;
        let sandbox = workspace
            .as_ref()
            .map(Workspace::sandbox)
            .transpose()?
            .flatten();
        Ok(Self {
            config: workspace.map(|workspace| workspace.config),
            sandbox,
        })
    }

    fn open(
        &self,
        reference: &Reference,
        repositories: &[&str],
        actions: Actions,
    ) -> Result<Registry> {
        session::registry_of(
            self.config.as_ref(),
            reference,
            repositories,
            actions,
            self.sandbox.as_ref(),
        )
    }
}

fn reference(text: &str) -> Result<Reference, Refused> {
    text.parse().map_err(|error| {
        let problem = format!("`{}` is no reference: {error}", text.escape_debug());
        Refused::from(Refusal::new(
            problem,
            "write `HOST/NAME:TAG` or `HOST/NAME@sha256:…`",
        ))
    })
}

fn read(registry: &Registry, place: &Reference) -> Result<Manifest> {
    let bytes = registry.manifest(&place.repository, &place.tag)?;
    if place.tag.starts_with("sha256:") && digest_of(&bytes) != place.tag {
        bail!(
            "the registry answers for {} with bytes of digest {}",
            place.tag,
            digest_of(&bytes)
        );
    }
    let text = String::from_utf8(bytes)
        .ok()
        .context("the manifest is not text")?;
    let is_image = Document::parse(text.as_bytes())?.config.is_some();
    Ok(Manifest::new(
        text,
        if is_image {
            IMAGE_MANIFEST_TYPES[0]
        } else {
            IMAGE_INDEX_TYPES[0]
        },
    ))
}

fn inspect(context: &Context, image: &str) -> Result<ExitCode> {
    let place = reference(image)?;
    let registry = Registries::of(context)?.open(&place, &[&place.repository], Actions::Pull)?;
    let manifest = read(&registry, &place)?;
    if manifest.is_image_manifest() {
        let platform = platform_of(&registry, &place.repository, &manifest);
        let platform = platform.with_context(|| format!("failed to read `{image}`"))?;
        show::show(
            context,
            image,
            &manifest,
            &[show::Entry::of(&manifest, platform)],
            &[],
        );
        return Ok(ExitCode::SUCCESS);
    }
    let problems = problems(&registry, &place.repository, &manifest)?;
    show::show(
        context,
        image,
        &manifest,
        &show::entries(&manifest)?,
        &problems,
    );
    for problem in &problems {
        context.terminal.error(problem);
    }
    Ok(exit_code(problems.is_empty()))
}
