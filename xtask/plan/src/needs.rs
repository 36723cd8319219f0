//! What builds need and is not there: files and directories, stages, secrets, an ssh agent.

use std::path::Path;

use crate::{
    BuildFacts, Selected,
    model::{
        config::{Config, Image, Secret, SecretSource},
        refusal::Refusal,
        suggestion::suggestion,
    },
};

/// What is in the way of an image's build.
pub fn needs(config: &Config, selected: Selected<'_>, facts: &BuildFacts) -> Vec<Refusal> {
    let (name, image) = (selected.name(), selected.image);
    let mut refusals: Vec<_> = paths(image)
        .filter(|(_, path)| !is_in_another_that_is_gone(image, path, facts))
        .filter_map(|(key, path)| facts.is_gone(config, &key, path, &name))
        .collect();
    let stage = image.stage.clone().map(|stage| (image.file.clone(), stage));
    let has_not = stage.and_then(|key| facts.missing_stages.get_key_value(&key));
    if let Some(((file, stage), names)) = has_not {
        let shown = config.shown(file).display();
        let cure = suggestion(stage, names.iter().map(String::as_str));
        refusals.push(Refusal::new(
            format!("{shown} has no stage `{stage}`"),
            cure,
        ));
    }
    let is_missing =
        |secret: &&Secret| secret.required && facts.missing_secrets.contains(&secret.source);
    let missing = image.secrets.iter().filter(is_missing);
    refusals.extend(missing.map(|secret| missing_secret(&name, secret, facts)));
    if !image.ssh.is_empty() && !facts.has_ssh_agent {
        let problem =
            format!("the build of {name} needs an ssh agent, and `SSH_AUTH_SOCK` is not set");
        refusals.push(Refusal::new(
            problem,
            "start one, and add the key: eval $(ssh-agent); ssh-add",
        ));
    }
    refusals
}

/// The files and directories of an image, with the key of deploy.toml that says each.
fn paths(image: &Image) -> impl Iterator<Item = (String, &Path)> {
    let named = image.directories();
    let named = named.map(|(name, path)| (format!("contexts.{name}"), path));
    let own = [("context", &image.context), ("dockerfile", &image.file)];
    own.into_iter()
        .map(|(key, path)| (key.to_owned(), path.as_path()))
        .chain(named)
}

fn is_in_another_that_is_gone(image: &Image, path: &Path, facts: &BuildFacts) -> bool {
    path != image.context
        && path.starts_with(&image.context)
        && facts.missing.contains(&image.context)
}

fn missing_secret(name: &str, secret: &Secret, facts: &BuildFacts) -> Refusal {
    let id = &secret.id;
    let (found, cure) = match &secret.source {
        SecretSource::File(file) if file.starts_with("~/") && facts.home.is_none() => (
            format!("`HOME` is not set, so that `{file}` is nowhere"),
            "set `HOME`".to_owned(),
        ),
        SecretSource::File(file) => (
            format!("there is no file `{file}` that can be read"),
            format!("create `{file}`"),
        ),
        SecretSource::Env(variable) => (
            format!("`{variable}` is not set, or is empty"),
            format!("set `{variable}` in the environment"),
        ),
    };
    Refusal::new(
        format!("the build of {name} needs the secret `{id}`, and {found}"),
        format!("{cure}, or say `required = false` for the secret in deploy.toml"),
    )
}

impl BuildFacts {
    /// A file or directory that is not there. `key` is deploy.toml's; `name` is the image's, where it is one of deploy.toml.
    pub(crate) fn is_gone(
        &self,
        config: &Config,
        key: &str,
        path: &Path,
        name: &str,
    ) -> Option<Refusal> {
        if !self.missing.iter().any(|missing| missing == path) {
            return None;
        }
        let shown = config.shown(path).display();
        let kind = if key == "dockerfile" {
            "file"
        } else {
            "directory"
        };
        let what = match name {
            "" => format!("`{shown}`"),
            name => format!("`{shown}`, the `{key}` of {name},"),
        };
        Some(Refusal::new(
            format!("{what} is no {kind} inside deploy.toml's directory"),
            format!(
                "correct `{key}` in deploy.toml, or create it; a link must not lead out of that directory"
            ),
        ))
    }
}
