//! Which of the files that a build needs are there, inside the project.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::model::config::Config;

/// The text of every Dockerfile of the build context: those that images are built from, and others beside them. One that
/// cannot be read is left out; a build says so.
pub fn dockerfiles(config: &Config) -> BTreeMap<PathBuf, String> {
    let images = config.services.values().flat_map(|service| &service.images);
    let named = images.map(|image| config.context.join(&image.dockerfile));
    let beside = std::fs::read_dir(&config.context)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let is_dockerfile = |path: &PathBuf| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("Dockerfile"))
    };
    let all = named.chain(beside.filter(is_dockerfile));
    all.filter_map(|path| Some((path.clone(), std::fs::read_to_string(&path).ok()?)))
        .collect()
}

/// The build context and every Dockerfile, also `extra`, that is missing or lies outside the build context once symbolic
/// links are followed.
pub fn missing(config: &Config, extra: Option<&str>) -> Vec<PathBuf> {
    let inside = config.root.canonicalize().ok();
    let images = config.services.values().flat_map(|service| &service.images);
    let named = images.map(|image| config.context.join(&image.dockerfile));
    let extra = extra
        .into_iter()
        .flat_map(|name| [config.root.join(name), config.context.join(name)]);
    let is_fine = |path: &Path| {
        let real = path.canonicalize().ok();
        real.is_some_and(|real| {
            inside
                .as_ref()
                .is_some_and(|inside| real.starts_with(inside))
        })
    };
    // BuildKit is sent the context alone: a link that leads out of it leads nowhere there.
    let context = config.context.canonicalize().ok();
    let in_context = |path: &Path| {
        let real = path.canonicalize().ok();
        real.is_some_and(|real| {
            context
                .as_ref()
                .is_some_and(|context| real.starts_with(context))
        })
    };
    let mut gone: Vec<_> = named
        .chain(extra)
        .filter(|path| !in_context(path) || !path.is_file())
        .collect();
    if !is_fine(&config.context) || !config.context.is_dir() {
        gone.push(config.context.clone());
    }
    gone
}
