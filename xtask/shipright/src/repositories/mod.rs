//! The repositories of an environment's registry: ECR's by its own API, those of any other registry by the registry protocol
//! alone.
//!
//! What ECR alone can do is left out elsewhere: another registry makes a repository by itself, or not at all, and does not say
//! which tags may move.
//!
//! Architecture Invariant: [`Repositories`] looks, [`RepositoryWriter`] changes; a plan is made with the first alone.

mod dated;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use image_oci::Manifest;

use crate::{
    aws::Aws,
    model::published::{Mutability, Repository, Stored},
    registry::{Actions, Login, Registry},
};

/// The repositories of a registry, to look at.
#[derive(Clone, Copy)]
pub enum Repositories<'a> {
    /// ECR's.
    Ecr(&'a Aws),
    /// Those of another registry.
    Protocol(&'a Registry),
}

/// The repositories of a registry, to change.
#[derive(Clone, Copy)]
pub struct RepositoryWriter<'a>(Repositories<'a>);

impl<'a> Repositories<'a> {
    /// A user name and password for docker: ECR's token, or the login that docker keeps for the registry, if any.
    ///
    /// # Errors
    /// ECR that gives no token, or a login of docker's that cannot be read.
    pub fn login(self) -> Result<Option<Login>> {
        match self {
            Self::Ecr(aws) => aws.reader().login().map(Some),
            Self::Protocol(registry) => Login::from_docker(registry.host()),
        }
    }

    /// The registry protocol at this host, with the login that it wants.
    ///
    /// # Errors
    /// ECR that gives no token.
    pub fn registry(self, host: &str) -> Result<Registry> {
        match self {
            Self::Ecr(aws) => {
                let registry = Registry::new(host, Some(&aws.reader().login()?));
                Ok(registry.remembering(aws.memory()))
            }
            Self::Protocol(registry) => {
                Ok(Registry::with_docker_login(registry.host(), Actions::Push))
            }
        }
    }

    /// Forgets what was read before: from here on it is read again.
    pub fn forget(self) {
        match self {
            Self::Ecr(aws) => aws.memory().forget(),
            Self::Protocol(registry) => registry.forget(),
        }
    }

    /// A repository, if it exists. That of a registry other than ECR is taken to be there: a push makes it.
    ///
    /// # Errors
    /// A call that fails.
    pub fn repository(self, name: &str) -> Result<Option<Repository>> {
        match self {
            Self::Ecr(aws) => aws.reader().repository(name),
            Self::Protocol(_) => Ok(Some(Repository {
                mutability: Mutability::Mutable,
            })),
        }
    }

    /// The manifest that a tag names, if it exists.
    ///
    /// # Errors
    /// A call that fails.
    pub fn tagged(self, repository: &str, tag: &str) -> Result<Option<Manifest>> {
        match self {
            Self::Ecr(aws) => aws.reader().tagged(repository, tag),
            Self::Protocol(registry) => registry.find(repository, tag),
        }
    }

    /// The manifest that each of these tags names. Tags that do not exist are left out.
    ///
    /// # Errors
    /// A call that fails.
    pub fn manifests(
        self,
        repository: &str,
        tags: &[String],
    ) -> Result<BTreeMap<String, Manifest>> {
        match self {
            Self::Ecr(aws) => aws.reader().manifests(repository, tags),
            Self::Protocol(registry) => registry.find_all(repository, tags),
        }
    }

    /// The manifest with this digest, byte for byte as it was stored.
    ///
    /// # Errors
    /// A call that fails, or bytes that do not have the digest.
    pub fn manifest(self, repository: &str, digest: &str) -> Result<Option<Manifest>> {
        match self {
            Self::Ecr(aws) => aws.reader().manifest(repository, digest),
            Self::Protocol(registry) => registry.find(repository, digest),
        }
    }

    /// The images of a repository that have tags which name a time, newest first. ECR tells of all images; another registry is
    /// asked for the newest [`dated::MOST`] of those tags.
    ///
    /// # Errors
    /// A call that fails.
    pub fn images(self, repository: &str) -> Result<Vec<Stored>> {
        match self {
            Self::Ecr(aws) => aws.reader().images(repository),
            Self::Protocol(registry) => dated::images(registry, repository),
        }
    }

    /// The tags of an image that name a time, and perhaps others. For registries other than ECR see [`Repositories::images`].
    ///
    /// # Errors
    /// A call that fails.
    pub fn tags(self, repository: &str, digest: &str) -> Result<BTreeSet<String>> {
        match self {
            Self::Ecr(aws) => aws.reader().tags(repository, digest),
            Self::Protocol(registry) => {
                let images = dated::images(registry, repository)?.into_iter();
                let its = images.filter(|image| image.digest == digest);
                Ok(its.flat_map(|image| image.tags).collect())
            }
        }
    }

    /// The half that changes.
    pub fn writer(self) -> RepositoryWriter<'a> {
        RepositoryWriter(self)
    }
}

impl RepositoryWriter<'_> {
    /// Makes a repository that lets only tags of these patterns move. One that exists already is fine, and other registries make
    /// their repositories themselves.
    ///
    /// # Errors
    /// A call that fails.
    pub fn create(self, name: &str, movable_tags: &[String]) -> Result<()> {
        match self.0 {
            Repositories::Ecr(aws) => aws.writer().create_repository(name, movable_tags),
            Repositories::Protocol(_) => Ok(()),
        }
    }

    /// Makes a tag name an image that the repository has.
    ///
    /// # Errors
    /// A call that fails, or a tag that names another image and must not move.
    pub fn tag(self, repository: &str, manifest: &Manifest, tag: &str) -> Result<()> {
        match self.0 {
            Repositories::Ecr(aws) => aws.writer().tag(repository, manifest, tag),
            Repositories::Protocol(registry) => {
                let bytes = manifest.bytes.as_bytes();
                registry.put_manifest(repository, tag, &manifest.media_type, bytes)
            }
        }
    }
}
