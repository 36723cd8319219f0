//! Which images of the configuration a command is about.

use std::path::Path;

use crate::{
    arch::Arch,
    model::{
        config::{Config, Environment, Image, Service},
        path,
        refusal::Refusal,
        suggestion::suggestion,
    },
};

/// One image of the configuration that a command is about.
#[derive(Debug, Clone, Copy)]
pub struct Selected<'c> {
    /// Its service.
    pub service: &'c Service,
    /// The image.
    pub image: &'c Image,
}

impl Selected<'_> {
    /// Whether both are the same image of deploy.toml: two may have one name.
    pub fn is(&self, other: &Self) -> bool {
        std::ptr::eq(self.image, other.image)
    }

    /// What people call it.
    pub fn name(&self) -> String {
        if self.service.images.len() == 1 {
            return self.service.name.clone();
        }
        let file = self
            .image
            .dockerfile
            .file_name()
            .and_then(|name| name.to_str());
        let suffix = file.and_then(|name| name.strip_prefix("Dockerfile."));
        let suffix = self.image.stage.as_deref().or(suffix);
        format!(
            "{}-{}",
            self.service.name,
            suffix.unwrap_or(self.image.target.name())
        )
    }
}

/// All images of the configuration.
pub fn all(config: &Config) -> impl Iterator<Item = Selected<'_>> {
    let services = config.services.values();
    services.flat_map(|service| {
        let images = service.images.iter();
        images.map(move |image| Selected { service, image })
    })
}

/// The images that go to an environment.
pub fn going_to<'c>(
    config: &'c Config,
    environment: &Environment,
) -> impl Iterator<Item = Selected<'c>> {
    all(config).filter(|one| one.image.environments.contains(&environment.name))
}

/// Those of them that lie in a repository.
pub fn in_repository<'c>(
    config: &'c Config,
    environment: &Environment,
    repository: &str,
) -> impl Iterator<Item = Selected<'c>> {
    going_to(config, environment).filter(move |one| {
        let (service, target) = (&one.service.name, one.image.target);
        environment.repository(&config.project, service, target) == repository
    })
}

/// The environment with this name.
///
/// # Errors
/// A refusal that names the nearest one.
pub fn environment<'c>(config: &'c Config, name: &str) -> Result<&'c Environment, Refusal> {
    config.environments.get(name).ok_or_else(|| {
        let known = config.environments.keys().map(String::as_str);
        Refusal::new(
            format!("`{}` is no environment of deploy.toml", name.escape_debug()),
            suggestion(name, known),
        )
    })
}

/// Of a selection the images that are built for a platform, where one is wanted.
///
/// # Errors
/// A platform for which none is built.
pub fn for_platform<'c>(
    config: &Config,
    selection: Vec<Selected<'c>>,
    platform: Option<Arch>,
) -> Result<Vec<Selected<'c>>, Refusal> {
    let Some(arch) = platform else {
        return Ok(selection);
    };
    let is_for = |one: &Selected<'_>| config.archs(one.image).contains(&arch);
    let names: Vec<_> = selection.iter().map(Selected::name).collect();
    let chosen: Vec<_> = selection.into_iter().filter(is_for).collect();
    if chosen.is_empty() {
        return Err(Refusal::new(
            format!("none of {} is for {}", names.join(", "), arch.platform()),
            "leave `--platform` out, or see `[targets]` in deploy.toml",
        ));
    }
    Ok(chosen)
}

/// The images that a push is about: those that go to the environment, of these services and this Dockerfile.
///
/// # Errors
/// Every word that selects nothing.
pub fn select<'c>(
    config: &'c Config,
    environment: &Environment,
    services: &[String],
    dockerfile: Option<&str>,
) -> Result<Vec<Selected<'c>>, Vec<Refusal>> {
    let mut refusals = unknown_services(config, services);
    let wanted = |one: &Selected<'_>| services.is_empty() || services.contains(&one.service.name);
    let goes_there = |one: &Selected<'_>| one.image.environments.contains(&environment.name);
    let all: Vec<_> = all(config).filter(wanted).filter(goes_there).collect();
    let chosen: Vec<_> = all
        .iter()
        .copied()
        .filter(|one| dockerfile.is_none_or(|name| names_dockerfile(name, one.image, config)))
        .collect();
    if chosen.is_empty() && refusals.is_empty() {
        refusals.push(match dockerfile {
            Some(name) => {
                let mut known: Vec<_> = all
                    .iter()
                    .filter_map(|one| one.image.dockerfile.to_str())
                    .collect();
                known.sort_unstable();
                known.dedup();
                Refusal::new(
                    format!(
                        "no image for `{}` is built from `{}`",
                        environment.name,
                        name.escape_debug()
                    ),
                    suggestion(name, known.iter().copied()),
                )
            }
            None => Refusal::new(
                format!(
                    "none of these services has an image for `{}`",
                    environment.name
                ),
                format!(
                    "add \"{}\" to an image's `environments` in deploy.toml",
                    environment.name
                ),
            ),
        });
    }
    if refusals.is_empty() {
        Ok(chosen)
    } else {
        Err(refusals)
    }
}

/// The Dockerfile that is taken when none is named, as `make docker-build` did.
const DEFAULT_DOCKERFILE: &str = "Dockerfile.lambda";

/// Which of a service's images is meant.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted<'w> {
    /// By its Dockerfile.
    pub dockerfile: Option<&'w str>,
    /// By its stage.
    pub stage: Option<&'w str>,
}

/// The image of a service that a Dockerfile's name and a stage mean; without either that of `Dockerfile.lambda`, or the first.
pub(super) fn image<'c>(
    config: &Config,
    service: &'c Service,
    wanted: Wanted<'_>,
) -> Option<&'c Image> {
    let of_stage =
        |image: &&Image| wanted.stage.is_none() || image.stage.as_deref() == wanted.stage;
    let mut all = service.images.iter().filter(of_stage);
    let named = |name: &str| {
        all.clone()
            .find(|image| names_dockerfile(name, image, config))
    };
    match wanted.dockerfile {
        Some(name) => named(name),
        None => named(DEFAULT_DOCKERFILE).or_else(|| all.next()),
    }
}

/// One image: of a service, or the default one, and of its images the one that is meant.
///
/// # Errors
/// A word that selects nothing.
pub fn one<'c>(
    config: &'c Config,
    service: Option<&str>,
    wanted: Wanted<'_>,
) -> Result<Selected<'c>, Refusal> {
    let default = || {
        config
            .default_service
            .as_deref()
            .ok_or_else(|| no_default(config))
    };
    let name = service.map_or_else(default, Ok)?;
    let service = config
        .services
        .get(name)
        .ok_or_else(|| unknown_service(config, name))?;
    let image = image(config, service, wanted).ok_or_else(|| no_such_image(service, wanted))?;
    Ok(Selected { service, image })
}

/// Nothing of a service is what was meant.
pub(super) fn no_such_image(service: &Service, wanted: Wanted<'_>) -> Refusal {
    let name = &service.name;
    let images = || service.images.iter();
    let has_stage = images().any(|image| image.stage.as_deref() == wanted.stage);
    if let Some(stage) = wanted.stage.filter(|_| !has_stage) {
        let stages = images().filter_map(|image| image.stage.as_deref());
        let problem = format!(
            "no image of `{name}` is the stage `{}`",
            stage.escape_debug()
        );
        return Refusal::new(problem, suggestion(stage, stages));
    }
    let dockerfile = wanted.dockerfile.unwrap_or(DEFAULT_DOCKERFILE);
    let known = images().filter_map(|image| image.dockerfile.to_str());
    let problem = format!(
        "no image of `{name}` is built from `{}`",
        dockerfile.escape_debug()
    );
    Refusal::new(problem, suggestion(dockerfile, known))
}

/// `Dockerfile.lambda`, `backend/Dockerfile.lambda`, an absolute path and a path as deploy.toml has it, from the context, all
/// name the same one.
fn names_dockerfile(name: &str, image: &Image, config: &Config) -> bool {
    let name = Path::new(name);
    image.dockerfile == name
        || image.file == config.root.join(name)
        || image.file == path::normal(&image.context.join(name))
}

/// Services that deploy.toml lacks.
pub(super) fn unknown_services(config: &Config, services: &[String]) -> Vec<Refusal> {
    let unknown = services
        .iter()
        .filter(|name| !config.services.contains_key(*name));
    unknown.map(|name| unknown_service(config, name)).collect()
}

/// Several services, of which none is the default.
pub(super) fn no_default(config: &Config) -> Refusal {
    let names: Vec<_> = config.services.keys().map(String::as_str).collect();
    let all = names.join(", ");
    let first = names.first().unwrap_or(&"NAME");
    Refusal::new(
        format!("deploy.toml has several services, and none is the default: {all}"),
        format!("name one (`--service {first}`), or set `default-service` under [project]"),
    )
}

fn unknown_service(config: &Config, name: &str) -> Refusal {
    let known = config.services.keys().map(String::as_str);
    Refusal::new(
        format!("`{}` is no service of deploy.toml", name.escape_debug()),
        suggestion(name, known),
    )
}
