//! The images of a scan: of an environment, or of a reference; of an index each platform's by its own digest.

use anyhow::{Context as _, Result};
use image_oci::{Manifest, Platform};

use crate::{
    aws::Aws,
    endpoint,
    model::refusal::Refusal,
    model::registry::ecr_of,
    refused::Refused,
    registry::{Actions, Reference, Registry},
    repositories::Repositories,
    scan::Subject,
    session::{self, Session},
    workspace::Workspace,
};

/// A registry, and who tells of it.
pub(super) struct Place<'w> {
    /// Its host.
    pub host: String,
    registry: Registry,
    api: Api<'w>,
}

/// Who tells of a registry besides itself.
enum Api<'w> {
    /// The environment that keeps its images there.
    Environment(Box<Session<'w>>),
    /// ECR of an account that no environment is in.
    Ecr(Box<Aws>),
    /// Nobody.
    None,
}

/// An image for one platform.
pub(super) struct Image {
    /// What people call it.
    pub name: String,
    /// Where it is, by its digest.
    pub reference: String,
    /// Its platform.
    pub platform: Platform,
    /// The service that it is of, where it is known.
    pub service: Option<String>,
    /// Its place, by number.
    pub place: usize,
    repository: String,
    /// Its manifest.
    pub manifest: Manifest,
}

/// Images, and the places where they are.
#[derive(Default)]
pub(super) struct Found<'w> {
    /// The places.
    pub places: Vec<Place<'w>>,
    /// The images; one that several regions have is there once.
    pub images: Vec<Image>,
    /// Images of the environment that nobody has pushed yet.
    pub missing: Vec<String>,
}

impl Place<'_> {
    /// Whether ECR itself can scan what is there.
    pub(super) fn has_scans(&self) -> bool {
        match &self.api {
            Api::Environment(session) => session.place.ecr.is_some() && session.sandbox.is_none(),
            Api::Ecr(_) => true,
            Api::None => false,
        }
    }

    /// An image of it, to be scanned.
    pub(super) fn subject<'s>(&'s self, image: &'s Image) -> Subject<'s> {
        let repositories = match &self.api {
            Api::Environment(session) => Some(session.repositories()),
            Api::Ecr(aws) => Some(Repositories::Ecr(aws)),
            Api::None => None,
        };
        Subject {
            name: &image.name,
            repository: &image.repository,
            manifest: &image.manifest,
            registry: &self.registry,
            repositories,
        }
    }
}

/// What is looked for, before it is looked at by its digest.
struct Named<'n> {
    name: String,
    repository: &'n str,
    service: Option<&'n str>,
}

impl<'w> Found<'w> {
    /// What the moving tags of an environment name, in each of its regions.
    ///
    /// # Errors
    /// A refusal, where none of its images is there; a registry that cannot be read.
    pub(super) fn environment(
        workspace: &'w Workspace<'_>,
        name: &str,
        services: &[String],
    ) -> Result<Self> {
        let mut found = Self::default();
        for session in Session::open_all(workspace, name)? {
            let selection = session.selected(services)?;
            let place = found.add(session.registry()?, Api::Environment(Box::new(session)));
            for selected in selection {
                let Api::Environment(session) = &found.places[place].api else {
                    continue;
                };
                let (repository, tag) = (session.repository(selected), session.tag(selected));
                let Some(manifest) = session.manifest(&repository, &tag)? else {
                    let text = format!("`{repository}` of `{name}` has no image `{tag}`");
                    found.missing.push(text);
                    continue;
                };
                let named = Named {
                    name: selected.name(),
                    repository: &repository,
                    service: Some(&selected.service.name),
                };
                found.take(place, &named, manifest)?;
            }
        }
        if found.images.is_empty() {
            let refusal = |problem: &String| {
                Refusal::new(problem, format!("push it first: cargo xtask push {name}"))
            };
            return Err(Refused(found.missing.iter().map(refusal).collect()).into());
        }
        Ok(found)
    }

    /// What a reference names.
    ///
    /// # Errors
    /// A refusal for what is no reference, or names nothing; a registry that cannot be read.
    pub(super) fn reference(workspace: Option<&'w Workspace<'_>>, text: &str) -> Result<Self> {
        let reference: Reference = text.parse().map_err(|error| {
            let problem = format!("`{}` is no image: {error}", text.escape_debug());
            let cure = "write `NAME:TAG`, `HOST/NAME:TAG` or `HOST/NAME@sha256:…`, or the name of an environment";
            Refused::from(Refusal::new(problem, cure))
        })?;
        let mut found = Self::default();
        let (registry, api) = open(workspace, &reference)?;
        let place = found.add(registry, api);
        let Reference {
            repository, tag, ..
        } = &reference;
        let manifest = found.places[place].registry.find(repository, tag)?;
        let manifest = manifest.ok_or_else(|| {
            let problem = format!("there is no image `{}`", text.escape_debug());
            Refused::from(Refusal::new(problem, "correct the name, tag or digest"))
        })?;
        let named = Named {
            name: text.to_owned(),
            repository,
            service: None,
        };
        found.take(place, &named, manifest)?;
        Ok(found)
    }

    fn add(&mut self, registry: Registry, api: Api<'w>) -> usize {
        let host = registry.host().to_owned();
        self.places.push(Place {
            host,
            registry,
            api,
        });
        self.places.len() - 1
    }

    /// Takes an image, or those that an index lists.
    fn take(&mut self, place: usize, named: &Named<'_>, manifest: Manifest) -> Result<()> {
        if !manifest.is_image_index() {
            return self.take_one(place, named, manifest, "");
        }
        for child in manifest.children()? {
            if child.is_attestation() {
                continue;
            }
            let digest = &child.digest;
            let repository = named.repository;
            let one = self.places[place].registry.find(repository, digest)?;
            let one = one.with_context(|| {
                format!(
                    "the index of {} lists {digest}, which is not in `{repository}`",
                    named.name
                )
            })?;
            let platform = child.platform.as_ref();
            let platform = platform.map_or_else(String::new, |one| format!(" for {one}"));
            self.take_one(place, named, one, &platform)?;
        }
        Ok(())
    }

    fn take_one(
        &mut self,
        place: usize,
        named: &Named<'_>,
        manifest: Manifest,
        platform: &str,
    ) -> Result<()> {
        let name = format!("{}{platform}", named.name);
        // Another region has the very same.
        let is_it = |one: &Image| one.name == name && one.manifest.digest == manifest.digest;
        if self.images.iter().any(is_it) {
            return Ok(());
        }
        let Place { host, registry, .. } = &self.places[place];
        let repository = named.repository;
        let config = registry.config(repository, &manifest)?;
        self.images.push(Image {
            name,
            reference: format!("{host}/{repository}@{}", manifest.digest),
            platform: Platform::of_config(&config)?,
            service: named.service.map(str::to_owned),
            place,
            repository: repository.to_owned(),
            manifest,
        });
        Ok(())
    }
}

/// The registry of a reference: an environment's where one keeps its images there.
fn open<'w>(
    workspace: Option<&'w Workspace<'_>>,
    reference: &Reference,
) -> Result<(Registry, Api<'w>)> {
    let host = &reference.host;
    if let Some(workspace) = workspace {
        for environment in workspace.config.environments.values() {
            // Nobody is asked for one that this is not about.
            if !endpoint::is_trusted(environment) && environment.registry_host() != *host {
                continue;
            }
            let session = Session::open_or_empty(workspace, environment)?;
            if session.place.registry == *host && session.is_readable() {
                let registry = session.registry()?;
                return Ok((registry, Api::Environment(Box::new(session))));
            }
        }
    }
    let config = workspace.map(|workspace| &workspace.config);
    let repository = [reference.repository.as_str()];
    let registry = session::registry_of(config, reference, &repository, Actions::Pull, None)?;
    let ecr =
        ecr_of(host).map(|(account, region)| session::ecr_connection(config, account, region));
    let api = match ecr {
        Some(connection) => Api::Ecr(Box::new(Aws::connect(&connection)?)),
        None => Api::None,
    };
    Ok((registry, api))
}
