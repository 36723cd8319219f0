//! One image of a push: built, or in the registry already.

use super::{One, Planner, function_name};
use crate::{
    Build, Output, PlannedImage, Publication, Source,
    arch::Arch,
    build::{Maker, because},
    model::{
        cache::{self, Cache, Store},
        label,
        published::Published,
        revision::Revision,
    },
    select::Selected,
};

impl One<'_> {
    pub(super) fn image(&self, repository: &str) -> PlannedImage {
        let Planner {
            config,
            environment,
            facts,
            revision,
        } = self.planner;
        let Selected { service, image } = self.build.selected;
        let (arch, in_index) = (self.build.arch, self.build.in_index);
        let set = self.tag_set();
        let reused = reusable(self.published, revision, arch);
        let tags = self.planned_tags(&set, reused, repository);
        let source = match reused {
            Some(digest) => Source::Existing {
                digest: digest.to_owned(),
            },
            None => Source::Build(Box::new(self.fresh(repository))),
        };
        let function = function_name(config, environment, self.build.selected);
        let because = if in_index {
            "it is built for both CPUs, and its plain tags name an image index of the two"
                .to_owned()
        } else {
            because(config, image.target, Some(image.target_rule))
        };
        PlannedImage {
            name: self.build.name(),
            service: service.name.clone(),
            target: Some(image.target),
            arch,
            because,
            function: function.and_then(|name| facts.functions.get(&name).cloned()),
            source,
            foreign: image.foreign.clone(),
            publication: Some(Publication {
                repository: repository.to_owned(),
                tags,
            }),
        }
    }

    /// How the image is built.
    pub(super) fn maker(&self) -> Maker<'_> {
        let Planner {
            config,
            environment,
            facts,
            revision,
        } = self.planner;
        let Selected { service, image } = self.build.selected;
        Maker {
            config,
            service,
            image: Some(image),
            arch: self.build.arch,
            environment: Some(environment),
            revision: Some(revision),
            facts: &facts.build,
        }
    }

    fn fresh(&self, repository: &str) -> Build {
        let directory = self.planner.facts.build.store.clone();
        let file = self.build.selected.image.file.clone();
        let build = self.maker().build(file, Output::ContentStore { directory });
        Build {
            cache: self.cache(repository),
            pushed: true,
            ..build
        }
    }

    /// The build cache. A repository that this push creates after the build has nothing to give yet, and cannot take anything
    /// before.
    fn cache(&self, repository: &str) -> Option<Cache> {
        let Planner {
            config,
            environment,
            facts,
            ..
        } = self.planner;
        let (selected, arch) = (self.build.selected, self.build.arch);
        match selected.image.cache_in(environment)? {
            Store::Registry => facts.repositories.contains_key(repository).then(|| {
                let tag = cache::tag(&selected.image.tag_prefix, &environment.name, arch);
                let reference = format!("{}/{repository}:{tag}", facts.place.registry);
                Cache::Registry { reference }
            }),
            Store::GitHub => {
                let (project, name, environment) =
                    (&config.project, selected.name(), &environment.name);
                Some(Cache::GitHub {
                    scope: format!("{project}-{name}-{environment}-{arch}"),
                })
            }
        }
    }
}

/// The digest of this very revision's image, when the registry has it: the tag alone proves nothing, the label and the
/// config's architecture do.
fn reusable<'p>(published: &'p Published, revision: &Revision, arch: Arch) -> Option<&'p str> {
    let found = published
        .revision_image
        .as_ref()
        .filter(|_| !revision.dirty)?;
    let same_commit = found.labels.get(label::REVISION) == Some(&revision.commit);
    (same_commit && found.arch == Some(arch)).then_some(found.digest.as_str())
}
