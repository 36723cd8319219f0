//! Which images differ from a commit: those of which something that the build reads does.

use std::path::{Path, PathBuf};

use crate::{
    Selected,
    model::config::{Config, Image, SecretSource},
    secret_file,
};

/// Whether an image is built, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What people call the image.
    pub image: String,
    /// Whether it differs.
    pub differs: bool,
    /// Why.
    pub because: String,
}

/// Decides about one image. `changed` are files that differ from the commit, absolute paths, also those that are gone, and
/// submodules. `places` are where a path leads: itself, and what it is behind links.
pub fn decide(
    config: &Config,
    selected: Selected<'_>,
    changed: &[PathBuf],
    places: impl Fn(&Path) -> Vec<PathBuf>,
) -> Decision {
    let image = selected.name();
    let inputs = inputs(config, selected.image);
    let found = inputs.iter().find_map(|input| {
        let places = places(input);
        // A submodule is one path, and what is read may lie in it.
        let is_read = |path: &&PathBuf| {
            places
                .iter()
                .any(|place| path.starts_with(place) || place.starts_with(path))
        };
        let path = changed.iter().find(is_read)?;
        let inner = places
            .iter()
            .find_map(|place| path.strip_prefix(place).ok());
        Some(match inner {
            Some(inner) if inner.as_os_str().is_empty() => input.clone(),
            Some(inner) => input.join(inner),
            None => input.clone(),
        })
    });
    let shown = |path: &Path| format!("`{}`", config.shown(path).display());
    let because = match &found {
        Some(path) => format!("{} differs", shown(path)),
        None => {
            let is_inner = |path: &Path| {
                inputs
                    .iter()
                    .any(|other| path != other && path.starts_with(other))
            };
            let worth_a_word = inputs
                .iter()
                .filter(|path| !is_implied(path) && !is_inner(path));
            let all: Vec<_> = worth_a_word.map(|path| shown(path)).collect();
            format!("nothing of {} differs", all.join(", "))
        }
    };
    Decision {
        image,
        differs: found.is_some(),
        because,
    }
}

/// What a build reads: deploy.toml, the Dockerfile, its `.dockerignore`, the context, named contexts and secrets' files. What
/// is in the context counts once.
fn inputs(config: &Config, image: &Image) -> Vec<PathBuf> {
    let named = image.directories().map(|(_, path)| path.to_path_buf());
    let mut ignore = image.file.clone().into_os_string();
    ignore.push(IGNORE);
    let secrets = image
        .secrets
        .iter()
        .filter_map(|secret| match &secret.source {
            SecretSource::File(file) => Some(secret_file(&config.root, None, file)),
            SecretSource::Env(_) => None,
        });
    let all = [
        image.context.clone(),
        image.file.clone(),
        ignore.into(),
        config.file.clone(),
    ];
    all.into_iter().chain(named).chain(secrets).collect()
}

/// The end of the name of a Dockerfile's own ignore file. Source: "Filename and location" in docker's "Build context".
const IGNORE: &str = ".dockerignore";

/// Whether a file is one that most Dockerfiles do without, and that is not worth a word where it does not differ.
fn is_implied(path: &Path) -> bool {
    path.as_os_str()
        .as_encoded_bytes()
        .ends_with(IGNORE.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixtures::{config, image, service},
        model::{config::NamedContext, target::Target},
    };

    #[test]
    fn what_a_build_reads_is_its_context_its_dockerfile_named_contexts_and_deploy_toml() {
        let proto = NamedContext::Directory(PathBuf::from("/project/protos"));
        let mut one = image(Target::Lambda);
        one.file = PathBuf::from("/project/docker/api.Dockerfile");
        one.contexts.insert("proto".into(), proto);
        one.contexts.insert(
            "base".into(),
            NamedContext::Address("docker-image://alpine".into()),
        );
        let config = config(service(one));
        let service = &config.services["api"];
        let selected = Selected {
            service,
            image: &service.images[0],
        };
        let places = |path: &Path| vec![path.to_path_buf()];
        let differs =
            |path: &str| decide(&config, selected, &[PathBuf::from(path)], places).differs;
        for read in [
            "src/main",
            "src/a/b",
            "docker/api.Dockerfile",
            "docker/api.Dockerfile.dockerignore",
            "protos/x",
            "deploy.toml",
        ] {
            assert!(differs(&format!("/project/{read}")), "{read}");
        }
        for other in [
            "srcs/main",
            "docker/other.Dockerfile",
            "README.md",
            "other/src/main",
        ] {
            assert!(!differs(&format!("/project/{other}")), "{other}");
        }
        assert_eq!(
            decide(&config, selected, &[], places).because,
            "nothing of `src`, `docker/api.Dockerfile`, `deploy.toml`, `protos` differs"
        );
    }
}
