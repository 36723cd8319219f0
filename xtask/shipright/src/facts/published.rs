//! What a registry has of the images of a push: repositories, tags, and the images that the tags name.

use std::collections::BTreeMap;

use anyhow::Result;
use chrono::{DateTime, TimeDelta, Utc};
use image_oci::Manifest;

use crate::{
    facts::host,
    model::{
        function::Function,
        published::{Found, Published, Repository},
        revision::Revision,
        tags::{TagKind, TagSet},
    },
    plan::{self, PlatformBuild},
    registry::{CONFIG_LIMIT, Registry},
    repositories::Repositories,
    session::Session,
};

/// What the registry has of some images.
pub struct Read {
    /// The time of the push: no other push of these images has it.
    pub now: DateTime<Utc>,
    /// The repositories that exist, by name.
    pub repositories: BTreeMap<String, Repository>,
    /// What there is of each image.
    pub published: Vec<Published>,
    /// The functions that the images are for, where they could be read.
    pub functions: BTreeMap<String, Function>,
}

impl Read {
    /// An empty registry, for this many images.
    pub fn nothing(images: usize) -> Self {
        Self {
            now: host::now(),
            repositories: BTreeMap::new(),
            published: vec![Published::default(); images],
            functions: BTreeMap::new(),
        }
    }

    /// Reads what the registry has of these images.
    ///
    /// # Errors
    /// AWS or a registry that cannot be read.
    pub fn of(
        session: &Session<'_>,
        platform_builds: &[PlatformBuild<'_>],
        revision: Option<&Revision>,
    ) -> Result<Self> {
        let mut reading = Reading {
            session,
            registry: None,
            repositories: BTreeMap::new(),
            now: host::now(),
        };
        let mut published = Vec::new();
        for platform_build in platform_builds {
            published.push(reading.image(*platform_build, revision)?);
        }
        let name = |platform_build: &PlatformBuild<'_>| {
            plan::function_name(session.config, session.environment, platform_build.selected)
        };
        // Someone who may push need not be allowed to read functions.
        let read = |name: String| Some((name.clone(), session.aws.reader().function(&name).ok()?));
        let functions = platform_builds
            .iter()
            .filter_map(name)
            .filter_map(read)
            .collect();
        let found = reading
            .repositories
            .into_iter()
            .filter_map(|(name, found)| Some((name, found?)));
        Ok(Self {
            now: reading.now,
            repositories: found.collect(),
            published,
            functions,
        })
    }
}

struct Reading<'s> {
    session: &'s Session<'s>,
    registry: Option<Registry>,
    repositories: BTreeMap<String, Option<Repository>>,
    now: DateTime<Utc>,
}

impl Reading<'_> {
    fn image(
        &mut self,
        platform_build: PlatformBuild<'_>,
        revision: Option<&Revision>,
    ) -> Result<Published> {
        let session = self.session;
        let (repositories, name) = (
            session.repositories(),
            session.repository(platform_build.selected),
        );
        if !self.repositories.contains_key(&name) {
            self.repositories
                .insert(name.clone(), repositories.repository(&name)?);
        }
        let exists = self.repositories.get(&name).is_some_and(Option::is_some);
        let (true, Some(revision)) = (exists, revision) else {
            return Ok(Published::default());
        };
        let tags = |now: &DateTime<Utc>| {
            plan::tag_set(
                session.config,
                session.environment,
                platform_build,
                revision,
                &plan::timestamp(now),
            )
        };
        // Somebody may have pushed within this second, perhaps for another CPU; a timestamp names one push for ever.
        let is_taken = |now: &DateTime<Utc>| {
            let tags = tags(now);
            let dated = tags.iter().filter(|tag| tag.kind == TagKind::Timestamp);
            let names: Vec<_> = dated.map(|tag| tag.name.clone()).collect();
            anyhow::Ok(!repositories.manifests(&name, &names)?.is_empty())
        };
        while is_taken(&self.now)? {
            self.now += TimeDelta::seconds(1);
        }
        self.tags(
            &name,
            &tags(&self.now),
            platform_build.in_index,
            repositories,
        )
    }

    fn tags(
        &mut self,
        name: &str,
        tags: &TagSet,
        in_index: bool,
        repositories: Repositories<'_>,
    ) -> Result<Published> {
        let lasting = tags.iter().filter(|tag| tag.kind != TagKind::Timestamp);
        let lasting: Vec<_> = lasting.map(|tag| tag.name.clone()).collect();
        let manifests = repositories.manifests(name, &lasting)?;
        let indexes = manifests
            .iter()
            .filter(|(_, manifest)| manifest.is_image_index());
        let published = Published {
            image_indexes: indexes.map(|(tag, _)| tag.clone()).collect(),
            tags: manifests
                .iter()
                .map(|(tag, manifest)| (tag.clone(), manifest.digest.clone()))
                .collect(),
            ..Published::default()
        };
        let is_revision = |kind: TagKind, names_arch: bool| {
            kind == TagKind::Revision && (names_arch || !in_index)
        };
        let tag = tags
            .iter()
            .find(|tag| is_revision(tag.kind, tag.names_arch));
        match tag
            .and_then(|tag| manifests.get(&tag.name))
            .filter(|manifest| manifest.is_image_manifest())
        {
            Some(manifest) => self.revision_image(name, manifest, published, repositories),
            None => Ok(published),
        }
    }

    /// Reads what the image of this revision is: its tag alone proves nothing.
    fn revision_image(
        &mut self,
        name: &str,
        manifest: &Manifest,
        published: Published,
        repositories: Repositories<'_>,
    ) -> Result<Published> {
        let config = manifest.config()?;
        if config.size > CONFIG_LIMIT {
            return Ok(published);
        }
        let registry = match &mut self.registry {
            Some(registry) => registry,
            none => none.insert(self.session.registry()?),
        };
        let found = Found::of(
            manifest,
            &registry.blob(name, &config.digest, CONFIG_LIMIT)?,
        )?;
        let revision_image_tags = repositories.tags(name, &manifest.digest)?;
        Ok(Published {
            revision_image: Some(found),
            revision_image_tags,
            ..published
        })
    }
}
