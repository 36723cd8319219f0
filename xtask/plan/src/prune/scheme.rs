//! What a tag in a repository says, by the names that deploy.toml gives: those of every environment and every image which are in
//! it.

use image_oci::is_digest;

use crate::{
    Selected,
    arch::Arch,
    in_repository,
    model::{
        cache,
        config::{Config, Environment},
        inventory::StoredImage,
        tags,
    },
};

/// The names that deploy.toml gives in one repository.
pub struct Scheme<'c> {
    /// Its configuration.
    pub(super) config: &'c Config,
    /// Every image in every environment that is in the repository, those of protected environments first.
    pub(super) names: Vec<Name<'c>>,
}

/// An image in an environment.
#[derive(Clone, Copy)]
pub(super) struct Name<'c> {
    pub environment: &'c Environment,
    pub selected: Selected<'c>,
}

/// What a tag says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    /// What an environment has now; also where a build keeps its steps.
    Moving,
    /// A release of the user's own.
    Release,
    /// When the image went to an environment.
    Time {
        /// The tag's beginning: the prefix of the image and the environment.
        group: String,
        /// `YYYYMMDD-HHMMSS`.
        moment: String,
    },
    /// The commit, or another tag of the user's own that is made with every push.
    Ordinary,
    /// Nothing of its own: it is a signature, an attestation or a list of them for the image of this digest.
    Of(String),
    /// Nothing that deploy.toml knows.
    Unknown,
}

impl<'c> Scheme<'c> {
    /// The names of these environments in a repository.
    pub fn of(config: &'c Config, environments: &[&'c Environment], repository: &str) -> Self {
        let mut environments = environments.to_vec();
        environments.sort_by_key(|environment| !environment.protected);
        let names = environments.into_iter().flat_map(|environment| {
            in_repository(config, environment, repository).map(move |selected| Name {
                environment,
                selected,
            })
        });
        Self {
            config,
            names: names.collect(),
        }
    }

    /// What a tag says. Where two of the names fit, what keeps the image counts.
    pub(super) fn meaning(&self, tag: &str) -> Meaning {
        if let Some(subject) = subject(tag) {
            return Meaning::Of(subject);
        }
        let said = self.names.iter().map(|name| self.said(*name, tag));
        let rank = |meaning: &Meaning| match meaning {
            Meaning::Moving => 0,
            Meaning::Time { .. } => 1,
            Meaning::Release => 2,
            Meaning::Ordinary => 3,
            Meaning::Of(_) | Meaning::Unknown => 4,
        };
        said.min_by_key(rank).unwrap_or(Meaning::Unknown)
    }

    /// Whether a tag is one of an image of these services. With no services, of any.
    pub(super) fn is_of(&self, services: &[String], tag: &str) -> bool {
        let mut names = self.names.iter();
        services.is_empty()
            || names.any(|name| {
                services.contains(&name.selected.service.name)
                    && self.said(*name, tag) != Meaning::Unknown
            })
    }

    /// Whether everything in the repository is of these services.
    pub(super) fn has_only(&self, services: &[String]) -> bool {
        let mut names = self.names.iter();
        services.is_empty() || names.all(|name| services.contains(&name.selected.service.name))
    }

    fn said(&self, name: Name<'_>, tag: &str) -> Meaning {
        let Selected { service, image } = name.selected;
        let environment = name.environment.name.as_str();
        let Some(rest) = tag.strip_prefix(image.tag_prefix.as_str()) else {
            return Meaning::Unknown;
        };
        let of_environment = rest
            .strip_prefix(environment)
            .and_then(|rest| rest.strip_prefix('-'));
        if let Some(rest) = of_environment {
            if is_latest(rest) || is_cache(&image.tag_prefix, environment, tag) {
                return Meaning::Moving;
            }
            if let Some((moment, _)) = tags::moment(rest) {
                return Meaning::Time {
                    group: format!("{}{environment}", image.tag_prefix),
                    moment: moment.to_owned(),
                };
            }
        }
        if commit(rest).is_some_and(|sha| sha.len() == self.config.revision_length) {
            return Meaning::Ordinary;
        }
        let patterns = self.config.patterns(name.environment, image);
        let clean = rest.strip_suffix("-dirty").unwrap_or(rest);
        let fitting = patterns.filter(|pattern| {
            let text = if pattern.moves() { rest } else { clean };
            pattern.fits(text, environment, &service.name)
        });
        let meaning = fitting.map(|pattern| {
            if pattern.moves() {
                Meaning::Moving
            } else if pattern.names_release() {
                Meaning::Release
            } else {
                Meaning::Ordinary
            }
        });
        let keeps = |meaning: &Meaning| *meaning == Meaning::Ordinary;
        // `revision-length` may have been another when the image was pushed.
        let older = || commit(rest).map(|_| Meaning::Ordinary);
        let own = meaning.min_by_key(keeps).or_else(older);
        own.unwrap_or(Meaning::Unknown)
    }
}

/// What an image is a signature or the like of: by its manifest, or by its tag.
pub(super) fn subject_of(image: &StoredImage) -> Option<String> {
    let by_tag = || image.tags.iter().find_map(|tag| subject(tag));
    let subject = image.subject.clone().or_else(by_tag);
    subject.filter(|subject| *subject != image.digest)
}

/// `latest` or `ARCH-latest`.
fn is_latest(rest: &str) -> bool {
    let arch = rest.strip_suffix("-latest");
    rest == "latest" || arch.is_some_and(|arch| arch.parse::<Arch>().is_ok())
}

fn is_cache(prefix: &str, environment: &str, tag: &str) -> bool {
    let mut archs = Arch::ALL.into_iter();
    archs.any(|arch| cache::tag(prefix, environment, arch) == tag)
}

/// The commit of `SHA` and `SHA-ARCH`, and of the same with `-dirty`.
fn commit(rest: &str) -> Option<&str> {
    const LENGTHS: std::ops::RangeInclusive<usize> = 4..=64;
    let clean = rest.strip_suffix("-dirty").unwrap_or(rest);
    let sha = match clean.rsplit_once('-') {
        Some((sha, arch)) if arch.parse::<Arch>().is_ok() => sha,
        _ => clean,
    };
    let is_hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (LENGTHS.contains(&sha.len()) && sha.bytes().all(is_hexadecimal)).then_some(sha)
}

/// The digest that a tag is about.
///
/// Source: cosign's "Signature Specification", tag-based discovery (`sha256-<hex>.sig`, `.att`, `.sbom`); "Referrers Tag Schema" in
/// the OCI distribution specification (`sha256-<hex>`).
fn subject(tag: &str) -> Option<String> {
    let (name, end) = tag
        .split_once('.')
        .map_or((tag, None), |(name, end)| (name, Some(end)));
    let digest = format!("sha256:{}", name.strip_prefix("sha256-")?);
    let is_known = end.is_none_or(|end| ["sig", "att", "sbom"].contains(&end));
    (is_known && is_digest(&digest)).then_some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixtures::{config, image, service},
        model::{pattern::TagPattern, target::Target},
    };

    #[test]
    fn a_tag_is_known_by_the_names_of_deploy_toml() {
        let mut project = config(service(image(Target::Lambda)));
        let shop = project.services.get_mut("api").unwrap();
        shop.images[0].environments.push("prod".into());
        let patterns = ["{env}-{branch}", "v{version}", "build-{sha}"];
        project.tags = patterns.map(|text| TagPattern::parse(text).unwrap()).into();
        let environments: Vec<_> = project.environments.values().collect();
        let scheme = Scheme::of(&project, &environments, "shop");
        let time = |group: &str| Meaning::Time {
            group: group.into(),
            moment: "20260101-000000".into(),
        };
        let hex = "0".repeat(64);
        let of = Meaning::Of(format!("sha256:{hex}"));
        for (tag, meaning) in [
            ("api-dev-latest".to_owned(), Meaning::Moving),
            ("api-prod-arm64-latest".to_owned(), Meaning::Moving),
            ("api-dev-cache-amd64-latest".to_owned(), Meaning::Moving),
            ("api-dev-main".to_owned(), Meaning::Moving),
            ("api-v1.4.0".to_owned(), Meaning::Release),
            (format!("api-build-{}", "a".repeat(40)), Meaning::Ordinary),
            ("api-dev-20260101-000000".to_owned(), time("api-dev")),
            (
                "api-prod-20260101-000000-arm64".to_owned(),
                time("api-prod"),
            ),
            ("api-abc1234".to_owned(), Meaning::Ordinary),
            ("api-abc1234abc1234".to_owned(), Meaning::Ordinary),
            ("api-vcafe".to_owned(), Meaning::Release),
            ("api-abc1234-arm64-dirty".to_owned(), Meaning::Ordinary),
            (format!("sha256-{hex}"), of.clone()),
            (format!("sha256-{hex}.sig"), of.clone()),
            (format!("sha256-{hex}.zip"), Meaning::Unknown),
            ("sha256-abc.sig".to_owned(), Meaning::Unknown),
            ("api-stage-latest".to_owned(), Meaning::Unknown),
            ("keep-me".to_owned(), Meaning::Unknown),
            ("abc1234".to_owned(), Meaning::Unknown),
            ("api-ABC1234".to_owned(), Meaning::Unknown),
            ("dev-latest".to_owned(), Meaning::Unknown),
        ] {
            assert_eq!(scheme.meaning(&tag), meaning, "{tag}");
        }
        let elsewhere = Scheme::of(&project, &environments, "another");
        assert_eq!(elsewhere.meaning("api-dev-latest"), Meaning::Unknown);
    }
}
