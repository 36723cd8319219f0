//! The plan for images that stay on this machine.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use crate::{
    Output, Plan, PlannedImage, Source,
    arch::Arch,
    build::{BuildFacts, Maker, because, finish},
    model::{
        config::{Config, Image, Service},
        refusal::Refusal,
        revision::Revision,
        target::Target,
    },
    needs::needs,
    select::{Selected, Wanted, image, no_default, no_such_image, unknown_services},
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
    /// The stage, where several images are built from one Dockerfile.
    pub stage: Option<String>,
}

impl LocalRequest {
    /// Which image of each service is meant.
    pub fn wanted(&self) -> Wanted<'_> {
        Wanted {
            dockerfile: self.dockerfile.as_deref(),
            stage: self.stage.as_deref(),
        }
    }
}

/// What the local engine calls an image, the most general name first: `PROJECT:ARCH-latest` for the default service,
/// `PROJECT:SERVICE-ARCH-latest`, and where a service has several images one that says which.
pub fn local_names(
    config: &Config,
    service: &Service,
    image: Option<&Image>,
    arch: Arch,
) -> Vec<String> {
    let project = &config.project;
    let general = (config.default_service.as_ref() == Some(&service.name))
        .then(|| format!("{project}:{arch}-latest"));
    let special = image
        .map(|image| Selected { service, image }.name())
        .filter(|name| *name != service.name);
    let named = [Some(service.name.clone()), special]
        .into_iter()
        .flatten()
        .map(|name| format!("{project}:{name}-{arch}-latest"));
    general.into_iter().chain(named).collect()
}

/// What a local build is planned from, besides the configuration.
#[derive(Debug, Default)]
pub struct LocalFacts {
    /// The commit, if there is one.
    pub revision: Option<Revision>,
    /// What is there for builds.
    pub build: BuildFacts,
}

/// Plans local builds.
///
/// # Errors
/// Every reason not to.
pub fn plan_local(
    config: &Config,
    request: &LocalRequest,
    facts: LocalFacts,
) -> Result<Plan, Vec<Refusal>> {
    let mut refusals = unknown_services(config, &request.services);
    let named = match (&config.default_service, request.services.as_slice()) {
        (Some(default), []) => std::slice::from_ref(default),
        (None, []) => return Err(vec![no_default(config)]),
        (_, named) => named,
    };
    let mut seen = BTreeSet::new();
    let names = named.iter().filter(|name| seen.insert(*name));
    let mut images = Vec::new();
    for service in names.filter_map(|name| config.services.get(name)) {
        let archs: Vec<_> = request.archs.iter().copied().map(Some).collect();
        let known = image(config, service, request.wanted());
        if known.is_none() && request.stage.is_some() {
            refusals.push(no_such_image(service, request.wanted()));
            continue;
        }
        for wanted in if archs.is_empty() { vec![None] } else { archs } {
            let one = One {
                config,
                service,
                request,
                facts: &facts,
                known,
                wanted,
            };
            match one.image() {
                Ok((image, found)) => {
                    images.push(image);
                    refusals.extend(found);
                }
                Err(refusal) => refusals.push(refusal),
            }
        }
    }
    refusals.extend(names_twice(&images));
    let (create_repositories, indexes, notes) = (Vec::new(), Vec::new(), Vec::new());
    let revision = facts.revision;
    finish(
        refusals,
        Plan {
            place: None,
            revision,
            create_repositories,
            movable_tags: BTreeMap::new(),
            scan: None,
            attest: None,
            other_places: Vec::new(),
            images,
            indexes,
            notes,
        },
    )
}

/// Local names that two images of a plan would have: the later would take it from the other.
fn names_twice(images: &[PlannedImage]) -> Option<Refusal> {
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    let named = images.iter().flat_map(|image| {
        let build = image.build().into_iter();
        build.flat_map(move |build| build.names().iter().map(move |name| (name, &image.name)))
    });
    for (name, image) in named {
        if let Some(other) = owners.insert(name, image) {
            return Some(Refusal::new(
                format!("{other} and {image} would both be `{name}` in the local engine"),
                "build one after the other, or give one of the services another name",
            ));
        }
    }
    None
}

/// One service of a request.
struct One<'l> {
    config: &'l Config,
    service: &'l Service,
    request: &'l LocalRequest,
    facts: &'l LocalFacts,
    /// The image of deploy.toml, where the Dockerfile is one of its.
    known: Option<&'l Image>,
    /// The architecture that was asked for.
    wanted: Option<Arch>,
}

impl One<'_> {
    /// The image, and what is in the way of its build.
    fn image(&self) -> Result<(PlannedImage, Vec<Refusal>), Refusal> {
        let Self {
            config,
            service,
            known,
            facts,
            ..
        } = *self;
        let dockerfile = self.dockerfile()?;
        if known.is_none()
            && let Some(gone) = facts.build.is_gone(config, "dockerfile", &dockerfile, "")
        {
            return Err(gone);
        }
        let target = known.map(|image| image.target);
        let target = target.or_else(|| Target::from_dockerfile(&dockerfile));
        let (arch, because) = self.arch(target, &dockerfile)?;
        let (revision, environment) = (facts.revision.as_ref(), None);
        let facts = &facts.build;
        let maker = Maker {
            config,
            service,
            image: known,
            arch,
            environment,
            revision,
            facts,
        };
        let names = local_names(config, service, known, arch);
        let build = maker.build(dockerfile, Output::Engine { names });
        let several = self.request.archs.len() > 1;
        let suffix = if several {
            format!("-{arch}")
        } else {
            String::new()
        };
        let name = format!("{}{suffix}", service.name);
        let refusals = match known {
            Some(image) => needs(config, Selected { service, image }, facts),
            None => Vec::from_iter(facts.is_gone(config, "context", &build.context, "")),
        };
        let image = PlannedImage {
            name,
            service: service.name.clone(),
            target,
            arch,
            because,
            source: Source::Build(Box::new(build)),
            publication: None,
            foreign: known.map(|image| image.foreign.clone()).unwrap_or_default(),
            function: None,
        };
        Ok((image, refusals))
    }

    fn dockerfile(&self) -> Result<PathBuf, Refusal> {
        match (self.known, self.request.dockerfile.as_deref()) {
            (Some(image), _) => Ok(image.file.clone()),
            (None, Some(name)) => local_dockerfile(self.config, self.service, name),
            (None, None) => {
                let problem = format!("service `{}` has no image", self.service.name);
                Err(Refusal::new(problem, "add one to deploy.toml"))
            }
        }
    }

    /// The architecture, and why.
    fn arch(&self, target: Option<Target>, dockerfile: &Path) -> Result<(Arch, String), Refusal> {
        if let Some(arch) = self.wanted {
            let from = self.request.arch_from;
            return Ok((
                arch,
                format!("{from} asks for {arch}; local images are never pushed"),
            ));
        }
        if let Some(target) = target {
            let rule = self.known.map(|image| image.target_rule);
            return Ok((self.config.arch(target), because(self.config, target, rule)));
        }
        let shown = self.config.shown(dockerfile).display();
        Err(Refusal::new(
            format!("nothing says what `{shown}` is for"),
            "add `--arch arm64` or `--arch amd64`, or name the Dockerfile in deploy.toml with its `target`",
        ))
    }
}

fn local_dockerfile(config: &Config, service: &Service, name: &str) -> Result<PathBuf, Refusal> {
    let path = Path::new(name);
    let escapes = path
        .components()
        .any(|part| matches!(part, std::path::Component::ParentDir));
    if name.is_empty() || escapes || name.starts_with('-') {
        return Err(Refusal::new(
            format!("`{}` is no Dockerfile of this project", name.escape_debug()),
            "write its path from the build context, such as `Dockerfile.lambda`",
        ));
    }
    let in_root = config.root.join(path);
    Ok(if in_root.starts_with(&service.context) {
        in_root
    } else {
        service.context.join(path)
    })
}
