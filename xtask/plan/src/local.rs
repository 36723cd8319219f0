//! The plan for images that stay on this machine.

use std::path::{Path, PathBuf};

use crate::{
    Build, Plan, PlannedImage, Source,
    build::{because, build_args, finish, labels, missing_path, missing_paths},
    model::refusal::Refusal,
    select::{Selected, image, unknown_services},
};
use crate::{
    arch::Arch,
    model::{
        config::{Config, Image, Service},
        revision::Revision,
        target::Target,
    },
};

/// What a local build is asked for.
#[derive(Debug, Clone, Default)]
pub struct LocalRequest {
    /// Services; none means the default one.
    pub services: Vec<String>,
    /// Architectures other than the target's.
    pub archs: Vec<Arch>,
    /// What asked for it.
    pub arch_from: &'static str,
    /// A Dockerfile other than `Dockerfile.lambda`.
    pub dockerfile: Option<String>,
}

/// What the local engine calls an image, the most general name first: `PROJECT:ARCH-latest` for the default service,
/// `PROJECT:SERVICE-ARCH-latest`, and where a service has several images one that says which.
pub fn local_names(config: &Config, service: &Service, image: Option<&Image>, arch: Arch) -> Vec<String> {
    let project = &config.project;
    let general = (service.name == config.default_service).then(|| format!("{project}:{arch}-latest"));
    let special = image.map(|image| Selected { service, image }.name()).filter(|name| *name != service.name);
    let named = [Some(service.name.clone()), special].into_iter().flatten().map(|name| format!("{project}:{name}-{arch}-latest"));
    general.into_iter().chain(named).collect()
}

/// Plans images that stay on this machine.
///
/// # Errors
/// Every reason not to.
pub fn plan_local(
    config: &Config,
    request: &LocalRequest,
    revision: Option<Revision>,
    ca_bundle: Option<&Path>,
    missing: &[PathBuf],
) -> Result<Plan, Vec<Refusal>> {
    let mut refusals = unknown_services(config, &request.services);
    let names = if request.services.is_empty() { vec![config.default_service.clone()] } else { request.services.clone() };
    let mut images = Vec::new();
    let mut names = names;
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    for service in names.iter().filter_map(|name| config.services.get(name)) {
        let archs = if request.archs.is_empty() { vec![None] } else { request.archs.iter().copied().map(Some).collect() };
        for arch in archs {
            match local_image(config, service, request, arch, revision.as_ref(), ca_bundle, missing) {
                Ok(image) => images.push(image),
                Err(refusal) => refusals.push(refusal),
            }
        }
    }
    refusals.extend(images.iter().filter_map(PlannedImage::build).flat_map(|build| missing_paths(config, build, missing)));
    finish(
        refusals,
        Plan { place: None, revision, create_repositories: Vec::new(), images, indexes: Vec::new(), notes: Vec::new() },
    )
}

fn local_image(
    config: &Config,
    service: &Service,
    request: &LocalRequest,
    wanted: Option<Arch>,
    revision: Option<&Revision>,
    ca_bundle: Option<&Path>,
    missing: &[PathBuf],
) -> Result<PlannedImage, Refusal> {
    let said = request.dockerfile.as_deref();
    let known = image(config, service, said);
    let dockerfile = match (known, said) {
        (Some(image), _) => config.context.join(&image.dockerfile),
        (None, Some(name)) => local_dockerfile(config, name)?,
        (None, None) => {
            return Err(Refusal::new(format!("service `{}` has no image", service.name), "add one to deploy.toml"));
        }
    };
    if let Some(gone) = missing_path(config, &dockerfile, missing) {
        return Err(gone);
    }
    let target = known.map(|image| image.target).or_else(|| Target::from_dockerfile(&dockerfile));
    let (arch, because) = match (wanted, target) {
        (Some(arch), _) => (arch, format!("{} asks for {arch}; local images are never pushed", request.arch_from)),
        (None, Some(target)) => (config.arch(target), because(config, target, known.map(|image| image.target_rule))),
        (None, None) => {
            return Err(Refusal::new(
                format!("nothing says what `{}` is for", config.shown(&dockerfile).display()),
                "add `--arch arm64` or `--arch amd64`, or name the Dockerfile in deploy.toml with its `target`",
            ));
        }
    };
    let build = Build {
        dockerfile,
        context: config.context.clone(),
        arch,
        builder: config.builders.get(&arch).cloned(),
        mode: None,
        args: build_args(service, known, arch, None, revision),
        labels: labels(config, revision),
        cache: None,
        names: local_names(config, service, known, arch),
        ca_bundle: ca_bundle.map(Path::to_path_buf),
        pushed: false,
    };
    let suffix = if request.archs.len() > 1 { format!("-{arch}") } else { String::new() };
    Ok(PlannedImage {
        name: format!("{}{suffix}", service.name),
        service: service.name.clone(),
        target,
        arch,
        because,
        source: Source::Build(Box::new(build)),
        publication: None,
        foreign: known.map(|image| image.foreign.clone()).unwrap_or_default(),
        function: None,
    })
}

fn local_dockerfile(config: &Config, name: &str) -> Result<PathBuf, Refusal> {
    let path = Path::new(name);
    let escapes = path.components().any(|part| matches!(part, std::path::Component::ParentDir));
    if name.is_empty() || escapes || name.starts_with('-') {
        return Err(Refusal::new(
            format!("`{}` is no Dockerfile of this project", name.escape_debug()),
            "write its path from the build context, such as `Dockerfile.lambda`",
        ));
    }
    let in_root = config.root.join(path);
    Ok(if in_root.starts_with(&config.context) { in_root } else { config.context.join(path) })
}
