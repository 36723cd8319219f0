//! The repositories that a `prune` is about, and every environment that has something in them.

use anyhow::{Context as _, Result};

use crate::{
    cli::Prune,
    model::{
        config::{Config, Environment},
        place::Place as Reached,
        refusal::Refusal,
    },
    plan,
    refused::Refused,
    session::{self, Session},
    workspace::Workspace,
};

/// A repository in a registry, and who shares it.
pub(super) struct Place<'w> {
    /// The place of a session of the environment that reaches it.
    session: usize,
    /// The repository's name.
    pub repository: String,
    /// The environments that have images in it, of each region that does.
    pub sharing: Vec<&'w Environment>,
}

/// Repositories, and the environments around them.
pub(super) struct Ground<'w> {
    /// deploy.toml.
    pub config: &'w Config,
    /// The environment in its regions.
    own: Vec<Session<'w>>,
    /// The other environments that share a repository, in their regions.
    others: Vec<Session<'w>>,
    /// Each repository once.
    pub places: Vec<Place<'w>>,
}

/// An account, a region, and the stand-in that answers for them: two environments with the same have the same repositories.
type Registry = (String, String, Option<String>);

fn registry(place: &Reached) -> Option<Registry> {
    let ecr = place.ecr.as_ref()?;
    Some((
        ecr.account.clone(),
        ecr.region.clone(),
        place.endpoint.clone(),
    ))
}

impl<'w> Ground<'w> {
    /// Opens the environment and all that share its repositories. Nothing is read yet.
    ///
    /// # Errors
    /// A refusal for an unknown name, or a registry that is not ECR; a sandbox that does not start.
    pub(super) fn open(workspace: &'w Workspace<'_>, arguments: &Prune) -> Result<Self> {
        let own = Session::open_all(workspace, &arguments.environment)?;
        let mut places: Vec<(Registry, Place<'w>)> = Vec::new();
        for (at, session) in own.iter().enumerate() {
            let registry = registry(&session.place).ok_or_else(|| not_ecr(session))?;
            for selected in session.selected(&arguments.service)? {
                let repository = session.repository(selected);
                let is_it = |(known, place): &(Registry, Place<'_>)| {
                    *known == registry && place.repository == repository
                };
                if !places.iter().any(is_it) {
                    let place = Place {
                        session: at,
                        sharing: Vec::new(),
                        repository,
                    };
                    places.push((registry.clone(), place));
                }
            }
        }
        let mut others = Vec::new();
        let sandbox = own.first().and_then(|session| session.sandbox.as_ref());
        for environment in environments(&workspace.config) {
            let reached = session::place(environment, sandbox)?;
            let mut shares = false;
            for (registry_of_it, place) in &mut places {
                let is_there = registry(&reached).as_ref() == Some(registry_of_it)
                    && has_images(&workspace.config, environment, &place.repository);
                if is_there {
                    place.sharing.push(environment);
                    shares = true;
                }
            }
            if shares && environment.name != arguments.environment {
                others.push(Session::open_or_empty(workspace, environment)?);
            }
        }
        Ok(Self {
            config: &workspace.config,
            own,
            others,
            places: places.into_iter().map(|(_, place)| place).collect(),
        })
    }

    /// Every environment whose workloads may run what is in the repositories.
    pub(super) fn sessions(&self) -> impl Iterator<Item = &Session<'w>> {
        self.own.iter().chain(&self.others)
    }

    /// The session that reaches a repository.
    pub(super) fn session(&self, place: &Place<'_>) -> &Session<'w> {
        &self.own[place.session]
    }

    /// Who deletes.
    ///
    /// # Errors
    /// As for [`Session::guard_registry`].
    pub(super) fn who(&self) -> Result<String> {
        let first = self.own.first().context("an environment has a region")?;
        first.guard_registry()
    }
}

/// Every environment in each of its regions.
fn environments(config: &Config) -> impl Iterator<Item = &Environment> {
    let all = config.environments.values();
    all.flat_map(Environment::in_each_region)
}

fn has_images(config: &Config, environment: &Environment, repository: &str) -> bool {
    let mut images = plan::in_repository(config, environment, repository);
    images.next().is_some()
}

fn not_ecr(session: &Session<'_>) -> Refused {
    let (name, registry) = (&session.environment.name, &session.place.registry);
    Refused::from(Refusal::new(
        format!("`{name}` keeps its images at {registry}, and `prune` knows ECR alone"),
        "use the registry's own rules: retention policies of GitHub, GitLab, Harbor or Artifactory, or `skopeo delete`; \
         cargo xtask status says what must stay",
    ))
}
