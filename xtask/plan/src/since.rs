//! Which images differ from a commit: those of which something that the build reads does.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::{
    Selected,
    model::config::{Config, Image, NamedContext},
};

/// Whether an image is built, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Decision {
    /// What people call the image.
    pub image: String,
    /// Whether it differs.
    pub differs: bool,
    /// Why.
    pub because: String,
}

/// Decides about one image. `changed` are files that differ from the commit, absolute paths, also those that are gone.
pub fn decide(config: &Config, selected: Selected<'_>, changed: &[PathBuf]) -> Decision {
    let image = selected.name();
    let inputs = inputs(config, selected.image);
    let is_read = |path: &PathBuf| inputs.iter().any(|input| path.starts_with(input));
    if let Some(path) = changed.iter().find(|path| is_read(path)) {
        let because = format!("`{}` differs", config.shown(path).display());
        return Decision {
            image,
            differs: true,
            because,
        };
    }
    let shown = inputs
        .iter()
        .map(|input| format!("`{}`", config.shown(input).display()));
    let because = format!(
        "nothing of {} differs",
        shown.collect::<Vec<_>>().join(", ")
    );
    Decision {
        image,
        differs: false,
        because,
    }
}

/// What a build reads: deploy.toml, the Dockerfile, its `.dockerignore`, the context and named contexts.
fn inputs<'c>(config: &'c Config, image: &'c Image) -> Vec<&'c Path> {
    let named = image.contexts.values().filter_map(|context| match context {
        NamedContext::Directory(path) => Some(path.as_path()),
        NamedContext::Address(_) => None,
    });
    let mut inputs: Vec<&Path> = vec![&image.context];
    let others = [image.file.as_path(), &config.file]
        .into_iter()
        .chain(named);
    for input in others {
        if !inputs.iter().any(|known| input.starts_with(known)) {
            inputs.push(input);
        }
    }
    inputs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixtures::{config, image, service},
        model::target::Target,
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
        let differs = |path: &str| decide(&config, selected, &[PathBuf::from(path)]).differs;
        for read in [
            "src/main",
            "src/a/b",
            "docker/api.Dockerfile",
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
            decide(&config, selected, &[]).because,
            "nothing of `src`, `docker/api.Dockerfile`, `deploy.toml`, `protos` differs"
        );
    }
}
