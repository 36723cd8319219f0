//! Tags of all images in all environments, before any exists: two that would be the same, and any that would be too long.

use std::collections::BTreeMap;

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
        tags::{self, TagKind, TagSet},
    },
};

/// A tag's place in the world: account, region, repository and tag.
type Place = (String, String, String, String);

/// Repositories and tags that would be too long once names are filled in.
pub fn names_that_are_too_long(finding: &mut Finding<'_>, raw: &raw::Named<raw::Environment>, config: &Config) {
    for (key, (service, image, environment)) in placements(config).filter_map(|placement| {
        let key = raw.keys().find(|key| key.name() == placement.2.name)?;
        Some((key, placement))
    }) {
        let repository = environment.repository(&config.project, &service.name, image.target);
        if !name::is_repository(&repository) {
            let cure = "ECR takes 2 to 256 characters: shorten the repository, the project or the service";
            finding.problem(&key.0.span, format!("the repository of service `{}` would be `{repository}`", service.name), cure);
        }
        let tags = TagSet::symbolic(image, environment, config.arch(image.target), config.revision_length);
        let cache = cache::tag(&image.tag_prefix, &environment.name, config.arch(image.target));
        if let Some(tag) = tags.all().chain([cache.as_str()]).find(|tag| tag.len() > name::TAG_LENGTH) {
            let cure =
                format!("a tag has at most {} characters: shorten the service, environment or `tag-prefix`", name::TAG_LENGTH);
            finding.problem(
                &key.0.span,
                format!("a tag of service `{}` would have {} characters", service.name, tag.len()),
                cure,
            );
        }
    }
}

/// Two images that would write the same tag in one repository, or the same tag with different build arguments.
pub fn collisions(finding: &mut Finding<'_>, raw: &raw::Named<raw::Service>, config: &Config) {
    let mut owners: BTreeMap<Place, (&Service, usize, &Image, &Environment)> = BTreeMap::new();
    for (service, image, environment) in placements(config) {
        let index = service.images.iter().position(|other| std::ptr::eq(other, image)).unwrap_or_default();
        let repository = environment.repository(&config.project, &service.name, image.target);
        let tags = TagSet::symbolic(image, environment, config.arch(image.target), config.revision_length);
        for tag in tags.iter() {
            let place = (environment.account.clone(), environment.region.clone(), repository.clone(), tag.name.clone());
            let Some((other, other_index, other_image, other_environment)) =
                owners.insert(place, (service, index, image, environment))
            else {
                continue;
            };
            let same_image = other.name == service.name && std::ptr::eq(other_image, image);
            // The tag of a revision names the same image for every environment, if it is built alike for all.
            let is_shared = tag.kind == TagKind::Revision && same_image;
            if is_shared && other_environment.build_args == environment.build_args {
                continue;
            }
            let span = raw.get_key_value(&raw_key(&service.name)).map_or(0..0, |(key, value)| {
                value.images.value.get(index).map_or(key.0.span.clone(), |image| image.dockerfile.span.clone())
            });
            let shown = tags::shown(&tag.name);
            if is_shared {
                finding.problem(
                    &span,
                    format!(
                        "`{}` and `{}` build service `{}` with different build arguments, but would both write the tag \
                         `{shown}` in repository `{repository}`",
                        other_environment.name, environment.name, service.name
                    ),
                    "give one of the environments a repository of its own, or make their `build-args` equal",
                );
            } else {
                finding.problem(
                    &span,
                    format!(
                        "services.{}.images[{index}] for `{}` would write the tag `{shown}` in repository `{repository}`, and so \
                         would services.{}.images[{other_index}] for `{}`",
                        service.name, environment.name, other.name, other_environment.name
                    ),
                    "give one of them another `tag-prefix` or environment another `repository`, which may contain `{service}` and `{target}`",
                );
            }
            break;
        }
    }
    let cached = placements(config).filter(|(.., environment)| environment.cache == Some(Store::Registry));
    for (service, image, environment) in cached {
        for arch in Arch::ALL {
            let tag = cache::tag(&image.tag_prefix, &environment.name, arch);
            let repository = environment.repository(&config.project, &service.name, image.target);
            let place = (environment.account.clone(), environment.region.clone(), repository, tag);
            if let Some((.., other)) = owners.get(&place) {
                let span = raw.get_key_value(&raw_key(&service.name)).map_or(0..0, |(key, _)| key.0.span.clone());
                finding.problem(
                    &span,
                    format!(
                        "the build cache of `{}` would be the tag `{}`, which `{}` writes",
                        environment.name, place.3, other.name
                    ),
                    "give one of the environments another name, or a repository of its own",
                );
            }
        }
    }
}

/// Every image in every environment that it goes to.
fn placements(config: &Config) -> impl Iterator<Item = (&Service, &Image, &Environment)> {
    config.services.values().flat_map(move |service| {
        service.images.iter().flat_map(move |image| {
            let known = image.environments.iter().filter_map(|name| config.environments.get(name));
            known.map(move |environment| (service, image, environment))
        })
    })
}

fn raw_key(name: &str) -> raw::Key {
    raw::Key(Located { value: name.to_owned(), span: 0..0 })
}
