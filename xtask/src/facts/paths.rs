//! Which of the files that a build needs are there, inside the project.

use std::path::{Path, PathBuf};

use crate::config::Config;

/// The build context and every Dockerfile, also `extra`, that is missing or lies outside the build context once symbolic
/// links are followed.
pub fn missing(config: &Config, extra: Option<&str>) -> Vec<PathBuf> {
    let inside = config.root.canonicalize().ok();
    let images = config.services.values().flat_map(|service| &service.images);
    let named = images.map(|image| config.context.join(&image.dockerfile));
    let extra = extra.into_iter().flat_map(|name| [config.root.join(name), config.context.join(name)]);
    let is_fine = |path: &Path| {
        let real = path.canonicalize().ok();
        real.is_some_and(|real| inside.as_ref().is_some_and(|inside| real.starts_with(inside)))
    };
    // BuildKit is sent the context alone: a link that leads out of it leads nowhere there.
    let context = config.context.canonicalize().ok();
    let in_context = |path: &Path| {
        let real = path.canonicalize().ok();
        real.is_some_and(|real| context.as_ref().is_some_and(|context| real.starts_with(context)))
    };
    let mut gone: Vec<_> = named.chain(extra).filter(|path| !in_context(path) || !path.is_file()).collect();
    if !is_fine(&config.context) || !config.context.is_dir() {
        gone.push(config.context.clone());
    }
    gone
}
