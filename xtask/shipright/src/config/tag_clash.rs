//! Tags of all images in all environments, before any exists: two that would be the same, and any that would be too long.

use std::{collections::HashMap, ops::Range};

use super::{
    finding::Finding,
    raw::{self, Located},
};
use crate::{
    arch::Arch,
    model::{
        cache::{self, Store},
        config::{Config, Environment, Image, Service},
        name,
        tags::{self, Tag, TagKind, TagSet},
    },
};

/// Where tags are: a registry and a repository of it.
type Place = (String, String);

/// Repositories and tags that would be too long once names are filled in.
pub(super) fn names_that_are_too_long(
    finding: &mut Finding<'_>,
    raw: &raw::Named<raw::Environment>,
    config: &Config,
) {
    for owner in placements(config) {
        let Some(key) = raw.keys().find(|key| key.name() == owner.environment.name) else {
            continue;
        };
        let (service, repository) = (&owner.service.name, owner.repository(config));
        if !name::is_repository(&repository) {
            let title = format!("the repository of service `{service}` would be `{repository}`");
            let cure =
                "ECR takes 2 to 256 characters: shorten the repository, the project or the service";
            finding.problem(&key.0.span, title, cure);
        }
        let (tags, arch) = (owner.tags(config), config.arch(owner.image.target));
        let cache = cache::tag(&owner.image.tag_prefix, &owner.environment.name, arch);
        let mut all = tags.all().chain([cache.as_str()]);
        if let Some(tag) = all.find(|tag| tag.len() > name::TAG_LENGTH) {
            let (length, longest) = (tag.len(), name::TAG_LENGTH);
            finding.problem(
                &key.0.span,
                format!("a tag of service `{service}` would have {length} characters"),
                format!("a tag has at most {longest} characters: shorten the service, environment or `tag-prefix`"),
            );
        }
    }
}

/// Two images that would write the same tag in one repository, or the same tag with different build arguments.
pub(super) fn collisions(
    finding: &mut Finding<'_>,
    raw: &raw::Named<raw::Service>,
    config: &Config,
) {
    let mut owners: HashMap<Place, HashMap<String, Owner<'_>>> = HashMap::new();
    for owner in placements(config) {
        let tags = owner.tags(config);
        let clash = owner.places(config).into_iter().find_map(|place| {
            let there = owners.entry(place).or_default();
            tags.iter().find_map(|tag| {
                let other = there.insert(tag.name.clone(), owner)?;
                owner.clash(other, tag).map(|clash| (other, tag, clash))
            })
        });
        if let Some((other, tag, clash)) = clash {
            let (title, cure) = owner.told(config, other, tag, clash);
            finding.problem(&owner.span(raw), title, cure);
        }
    }
    let is_cached =
        |owner: &Owner<'_>| owner.image.cache_in(owner.environment) == Some(Store::Registry);
    for owner in placements(config).filter(is_cached) {
        for arch in Arch::ALL {
            let name = &owner.environment.name;
            let tag = cache::tag(&owner.image.tag_prefix, name, arch);
            let mut places = owner.places(config).into_iter();
            if let Some(other) = places.find_map(|place| owners.get(&place)?.get(&tag)) {
                let other = &other.environment.name;
                finding.problem(
                    &owner.key_span(raw),
                    format!("the build cache of `{name}` would be the tag `{tag}`, which `{other}` writes"),
                    "give one of the environments another name, or a repository of its own",
                );
            }
        }
    }
}

/// An image in an environment that it goes to.
#[derive(Clone, Copy)]
struct Owner<'c> {
    service: &'c Service,
    /// The image's place among those of the service.
    index: usize,
    image: &'c Image,
    environment: &'c Environment,
}

/// How two images get in each other's way.
#[derive(Clone, Copy)]
enum Clash {
    /// They are one image, built differently for two environments.
    BuiltDifferently,
    /// They are two.
    SameTag,
}

impl Owner<'_> {
    fn repository(&self, config: &Config) -> String {
        self.environment
            .repository(&config.project, &self.service.name, self.image.target)
    }

    fn tags(&self, config: &Config) -> TagSet {
        let arch = config.arch(self.image.target);
        let (environment, service) = (&self.environment.name, &self.service.name);
        let own = config
            .patterns(self.environment, self.image)
            .map(|pattern| {
                let text = pattern.symbolic(environment, service, arch);
                Tag {
                    name: format!("{}{text}", self.image.tag_prefix),
                    kind: if pattern.moves() {
                        TagKind::Moving
                    } else {
                        TagKind::Fixed
                    },
                    names_arch: pattern.names_arch(),
                }
            });
        TagSet::symbolic(self.image, self.environment, arch, config.revision_length).with(own)
    }

    /// The repository in the registry of each region of the environment.
    fn places(&self, config: &Config) -> Vec<Place> {
        let repository = self.repository(config);
        let all = self.environment.in_each_region();
        let place = |one: &Environment| (one.registry_host(), repository.clone());
        all.map(place).collect()
    }

    fn clash(&self, other: Owner<'_>, tag: &Tag) -> Option<Clash> {
        let is_same = other.service.name == self.service.name && other.index == self.index;
        // The tag of a revision, or a release, names the same image for every environment, if it is built alike for all.
        if !matches!(tag.kind, TagKind::Revision | TagKind::Fixed) || !is_same {
            return Some(Clash::SameTag);
        }
        let is_alike = other.environment.build_args == self.environment.build_args;
        (!is_alike).then_some(Clash::BuiltDifferently)
    }

    fn told(
        &self,
        config: &Config,
        other: Owner<'_>,
        tag: &Tag,
        clash: Clash,
    ) -> (String, &'static str) {
        let (shown, repository) = (tags::shown(&tag.name), self.repository(config));
        let (service, environment) = (&self.service.name, &self.environment.name);
        let (other_service, other_environment) = (&other.service.name, &other.environment.name);
        let (index, other_index) = (self.index, other.index);
        match clash {
            Clash::BuiltDifferently => (
                format!(
                    "`{other_environment}` and `{environment}` build service `{service}` with different build arguments, but \
                     would both write the tag `{shown}` in repository `{repository}`"
                ),
                "give one of the environments a repository of its own, or make their `build-args` equal",
            ),
            Clash::SameTag => (
                format!(
                    "services.{service}.images[{index}] for `{environment}` would write the tag `{shown}` in repository \
                     `{repository}`, and so would services.{other_service}.images[{other_index}] for `{other_environment}`"
                ),
                "give one of them another `tag-prefix` or environment another `repository`, which may contain `{service}` and \
                 `{target}`; where it is a tag of `tags`, put `{env}` or `{service}` into it",
            ),
        }
    }

    fn key_span(&self, raw: &raw::Named<raw::Service>) -> Range<usize> {
        let found = raw.get_key_value(&raw_key(&self.service.name));
        found.map_or(0..0, |(key, _)| key.0.span.clone())
    }

    fn span(&self, raw: &raw::Named<raw::Service>) -> Range<usize> {
        let found = raw.get_key_value(&raw_key(&self.service.name));
        let image = found.and_then(|(_, service)| service.images.value.get(self.index));
        image.map_or_else(|| self.key_span(raw), |image| image.dockerfile.span.clone())
    }
}

/// Every image in every environment that it goes to.
fn placements(config: &Config) -> impl Iterator<Item = Owner<'_>> {
    config.services.values().flat_map(move |service| {
        service
            .images
            .iter()
            .enumerate()
            .flat_map(move |(index, image)| {
                let known = image
                    .environments
                    .iter()
                    .filter_map(|name| config.environments.get(name));
                known.map(move |environment| Owner {
                    service,
                    index,
                    image,
                    environment,
                })
            })
    })
}

fn raw_key(name: &str) -> raw::Key {
    raw::Key(Located {
        value: name.to_owned(),
        span: 0..0,
    })
}
