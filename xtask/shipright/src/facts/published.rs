//! What a registry has of the images of a push: repositories, tags, and the images that the tags name.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::OnceLock,
};

use anyhow::{Result, bail};
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
    parallel::{both, side_by_side},
    plan::{self, PlatformBuild},
    registry::{CONFIG_LIMIT, Registry},
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
        let reading = Reading {
            session,
            registry: OnceLock::new(),
        };
        let of_aws = || {
            both(
                || reading.functions(platform_builds),
                || reading.repositories(platform_builds),
            )
        };
        let of_registry = || {
            // Whoever pushes needs a login; who only looks may do without.
            both(
                || reading.registry().is_ok(),
                || reading.looks(platform_builds, revision),
            )
        };
        let ((functions, repositories), (_, looks)) = both(of_aws, of_registry);
        let (repositories, (looks, now)) = (repositories?, looks?);
        let published = side_by_side(QUESTIONS, &looks, |look| {
            look.as_ref()
                .map_or_else(|| Ok(Published::default()), |look| reading.published(look))
        })?;
        Ok(Self {
            now,
            repositories,
            published,
            functions,
        })
    }
}

/// How many questions are asked at a time.
const QUESTIONS: usize = 8;

struct Reading<'s> {
    session: &'s Session<'s>,
    registry: OnceLock<Registry>,
}

/// What the tags of an image name.
struct Look {
    repository: String,
    tags: TagSet,
    in_index: bool,
    manifests: BTreeMap<String, Manifest>,
}

impl Look {
    /// Whether another push has the timestamp.
    fn is_dated(&self) -> bool {
        let mut dated = self
            .tags
            .iter()
            .filter(|tag| tag.kind == TagKind::Timestamp);
        dated.any(|tag| self.manifests.contains_key(&tag.name))
    }
}

impl Reading<'_> {
    fn repositories(
        &self,
        platform_builds: &[PlatformBuild<'_>],
    ) -> Result<BTreeMap<String, Repository>> {
        let builds = platform_builds.iter();
        let names: BTreeSet<_> = builds
            .map(|one| self.session.repository(one.selected))
            .collect();
        let names: Vec<_> = names.into_iter().collect();
        let found = side_by_side(QUESTIONS, &names, |name| {
            self.session.repositories().repository(name)
        })?;
        let there = names.into_iter().zip(found);
        Ok(there
            .filter_map(|(name, found)| Some((name, found?)))
            .collect())
    }

    /// What the tags of each image name, where there is a commit, and a time that names no other push.
    fn looks(
        &self,
        platform_builds: &[PlatformBuild<'_>],
        revision: Option<&Revision>,
    ) -> Result<(Vec<Option<Look>>, DateTime<Utc>)> {
        /// Nobody pushes more often than once a second for so long.
        const MOST: usize = 30;
        let mut now = host::now();
        for _ in 0..MOST {
            let looks = side_by_side(QUESTIONS, platform_builds, |one| {
                revision
                    .map(|revision| self.look(*one, revision, &now))
                    .transpose()
            })?;
            // Somebody may have pushed within this second, perhaps for another CPU; a timestamp names one push for ever.
            if !looks.iter().flatten().any(Look::is_dated) {
                return Ok((looks, now));
            }
            now += TimeDelta::seconds(1);
        }
        bail!(
            "`{}` says that it has every tag that it is asked for",
            self.session.place.registry
        )
    }

    /// Someone who may push need not be allowed to read functions.
    fn functions(&self, platform_builds: &[PlatformBuild<'_>]) -> BTreeMap<String, Function> {
        let session = self.session;
        let name = |platform_build: &PlatformBuild<'_>| {
            plan::function_name(session.config, session.environment, platform_build.selected)
        };
        let names: BTreeSet<_> = platform_builds.iter().filter_map(name).collect();
        let names: Vec<_> = names.into_iter().collect();
        let found = side_by_side(QUESTIONS, &names, |name| {
            Ok(session.aws.reader().function(name).ok())
        });
        let named = names.into_iter().zip(found.unwrap_or_default());
        named
            .filter_map(|(name, function)| Some((name, function?)))
            .collect()
    }

    fn look(
        &self,
        platform_build: PlatformBuild<'_>,
        revision: &Revision,
        now: &DateTime<Utc>,
    ) -> Result<Look> {
        let repository = self.session.repository(platform_build.selected);
        let Session {
            config,
            environment,
            ..
        } = self.session;
        let time = plan::timestamp(now);
        let tags = plan::tag_set(config, environment, platform_build, revision, &time);
        let names: Vec<_> = tags.iter().map(|tag| tag.name.clone()).collect();
        Ok(Look {
            manifests: self.session.repositories().manifests(&repository, &names)?,
            repository,
            tags,
            in_index: platform_build.in_index,
        })
    }

    fn published(&self, look: &Look) -> Result<Published> {
        let Look {
            repository,
            tags,
            in_index,
            manifests,
        } = look;
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
        // Tags are written side by side: a push that was killed may have left any of them.
        let mut named = tags
            .iter()
            .filter(|tag| is_revision(tag.kind, tag.names_arch))
            .filter_map(|tag| manifests.get(&tag.name));
        match named.find(|manifest| manifest.is_image_manifest()) {
            Some(manifest) => self.revision_image(repository, manifest, published),
            None => Ok(published),
        }
    }

    /// Reads what the image of this revision is: its tag alone proves nothing.
    fn revision_image(
        &self,
        name: &str,
        manifest: &Manifest,
        published: Published,
    ) -> Result<Published> {
        let config = manifest.config()?;
        if config.size > CONFIG_LIMIT {
            return Ok(published);
        }
        let (tags, config) = both(
            || self.session.repositories().tags(name, &manifest.digest),
            || {
                self.registry()
                    .and_then(|registry| registry.config(name, manifest))
            },
        );
        Ok(Published {
            revision_image: Some(Found::of(manifest, &config?)?),
            revision_image_tags: tags?,
            ..published
        })
    }

    fn registry(&self) -> Result<&Registry> {
        if let Some(registry) = self.registry.get() {
            return Ok(registry);
        }
        let registry = self.session.registry()?;
        Ok(self.registry.get_or_init(|| registry))
    }
}
