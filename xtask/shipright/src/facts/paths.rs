//! What builds need and is there, or not: Dockerfiles, contexts, secrets, an ssh agent.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use dockerfile_rules::Model;

use crate::{
    facts::host,
    model::config::{Config, Image, SecretSource},
    plan::{Build, BuildFacts, secret_file},
};

/// The text of every Dockerfile: those that images are built from, and others in their build contexts. One that cannot be read
/// is left out; a build says so.
pub fn dockerfiles(config: &Config) -> BTreeMap<PathBuf, String> {
    let contexts: BTreeSet<&Path> = images(config)
        .map(|image| image.context.as_path())
        .collect();
    let beside = contexts
        .into_iter()
        .filter_map(|context| std::fs::read_dir(context).ok());
    let beside = beside.flatten().flatten().map(|entry| entry.path());
    let is_dockerfile = |path: &PathBuf| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("Dockerfile"))
    };
    let named = images(config).map(|image| image.file.clone());
    let all = named.chain(beside.filter(is_dockerfile));
    let text = |path: PathBuf| Some((path.clone(), std::fs::read_to_string(&path).ok()?));
    all.filter_map(text).collect()
}

fn images(config: &Config) -> impl Iterator<Item = &Image> {
    config.services.values().flat_map(|service| &service.images)
}

/// What is there for builds. `extra` is a Dockerfile that deploy.toml may not have.
pub fn build_facts(config: &Config, extra: Option<&str>) -> BuildFacts {
    let home = host::variable("HOME").map(PathBuf::from);
    BuildFacts {
        ca_bundle: host::ca_bundle(),
        missing: missing(config, extra),
        missing_stages: missing_stages(config),
        missing_secrets: missing_secrets(config, home.as_deref()),
        home,
        has_ssh_agent: host::variable("SSH_AUTH_SOCK").is_some(),
        store: host::target_directory(&config.root).join("images"),
    }
}

/// Contexts and Dockerfiles that are missing, or lie outside the repository once symbolic links are followed.
fn missing(config: &Config, extra: Option<&str>) -> Vec<PathBuf> {
    let root = config.root.canonicalize().ok();
    let is_inside = |path: &Path| {
        let real = path.canonicalize().ok().zip(root.as_ref());
        real.is_some_and(|(real, root)| real.starts_with(root))
    };
    let services = config.services.values();
    let named = images(config).flat_map(|image| image.directories().map(|(_, path)| path));
    let own = services.map(|service| service.context.as_path());
    let directories = own
        .chain(images(config).map(|image| image.context.as_path()))
        .chain(named);
    let extra = extra.into_iter().flat_map(|name| {
        let contexts = config.services.values().map(|service| &service.context);
        contexts
            .chain([&config.root])
            .map(move |context| context.join(name))
    });
    let files = images(config).map(|image| image.file.clone()).chain(extra);
    let gone = directories
        .filter(|path| !is_inside(path) || !path.is_dir())
        .map(Path::to_path_buf);
    gone.chain(files.filter(|path| !is_inside(path) || !path.is_file()))
        .collect()
}

/// Stages that the Dockerfiles lack. One that cannot be read, as a file or as a Dockerfile, lacks none: a build says so.
fn missing_stages(config: &Config) -> BTreeMap<(PathBuf, String), Vec<String>> {
    let named = images(config).filter_map(|image| Some((&image.file, image.stage.as_ref()?)));
    let lacking = named.filter_map(|(file, stage)| {
        let text = std::fs::read_to_string(file).ok()?;
        let model = Model::parse(&text).ok()?;
        let names = model.stage_names().map(str::to_owned).collect();
        (!model.has_stage(stage)).then(|| ((file.clone(), stage.clone()), names))
    });
    lacking.collect()
}

/// Whether a build executes programs of the CPU that the image is for. One whose Dockerfile cannot be read may.
pub fn executes_on_target(build: &Build) -> bool {
    let model = std::fs::read_to_string(&build.dockerfile)
        .ok()
        .and_then(|text| Model::parse(&text).ok());
    let (stage, target) = (build.stage.as_deref(), build.arch.platform());
    model.is_none_or(|model| model.executes_on_target(stage, &build.args, &target))
}

/// Secrets whose file cannot be opened or whose variable is not set. Their values are not read.
fn missing_secrets(config: &Config, home: Option<&Path>) -> Vec<SecretSource> {
    let sources = images(config)
        .flat_map(|image| &image.secrets)
        .map(|secret| &secret.source);
    let is_missing = |source: &&SecretSource| match source {
        SecretSource::File(file) => {
            let path = secret_file(&config.root, home, file);
            !path.is_file() || std::fs::File::open(path).is_err()
        }
        SecretSource::Env(name) => host::variable(name).is_none(),
    };
    sources.filter(is_missing).cloned().collect()
}
