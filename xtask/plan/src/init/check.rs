//! A deploy.toml that is there, compared with what is found in its repository.

use std::path::Path;

use super::{FoundBuild, Survey};
use crate::{
    Selected, all,
    model::{config::Config, path},
};

/// What files say and deploy.toml does not, or says differently. `is_there` tells of a Dockerfile whether it is.
pub fn check(config: &Config, survey: &Survey, is_there: impl Fn(&Path) -> bool) -> Vec<String> {
    let inner = |file: &Path| file.strip_prefix(&config.root).ok().map(path::slashed);
    let images: Vec<_> = all(config)
        .filter_map(|one| Some((inner(&one.image.file)?, one)))
        .collect();
    let mut found = Vec::new();
    for dockerfile in &survey.dockerfiles {
        if !images.iter().any(|(file, _)| *file == dockerfile.path) {
            found.push(format!(
                "`{}` is of no service: no image is made of it",
                dockerfile.path
            ));
        }
    }
    for (file, selected) in &images {
        if !is_there(&selected.image.file) {
            found.push(format!("`{file}`, of {}, is not there", selected.name()));
        }
        found.extend(differing(config, survey, file, *selected));
    }
    for repository in &survey.repositories {
        let is_there = config.environments.values().any(|one| {
            one.account == repository.account
                && one.regions().any(|region| region == repository.region)
        });
        if !is_there {
            let (account, region, file) =
                (&repository.account, &repository.region, &repository.file);
            let text =
                format!("{file} names account {account} in {region}, and no environment has it");
            if !found.contains(&text) {
                found.push(text);
            }
        }
    }
    found
}

/// What every file that builds a Dockerfile says otherwise.
fn differing(config: &Config, survey: &Survey, file: &str, selected: Selected<'_>) -> Vec<String> {
    let builds: Vec<(&str, &FoundBuild)> = survey
        .builds
        .iter()
        .filter_map(|build| {
            let (context, found) = survey.place(build)?;
            (found.path == file).then_some((context, build))
        })
        .collect();
    let Some((context, build)) = builds.first() else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let image = selected.image;
    let own = path::slashed(config.shown(&image.context));
    if !builds.iter().any(|(context, _)| *context == own) {
        found.push(format!(
            "{} builds `{file}` in `{context}`, and deploy.toml builds {} in `{own}`",
            build.shown(),
            selected.name()
        ));
    }
    if !builds
        .iter()
        .any(|(_, build)| build.shipped_stage() == image.stage.as_ref())
    {
        let stage = |stage: Option<&String>| {
            stage.map_or("its last stage".to_owned(), |name| {
                format!("the stage `{name}`")
            })
        };
        found.push(format!(
            "{} builds {} of `{file}`, and deploy.toml builds {}",
            build.shown(),
            stage(build.shipped_stage()),
            stage(image.stage.as_ref())
        ));
    }
    let differs = |(_, build): &&(&str, &FoundBuild)| {
        let mut args = build.args.iter();
        args.any(|(name, value)| image.build_args.get(name) != Some(value))
    };
    if builds.iter().all(|build| differs(&build)) {
        let other = build.args.iter();
        let mut other = other.filter(|(name, value)| image.build_args.get(*name) != Some(*value));
        if let Some((name, value)) = other.next() {
            let own = image.build_args.get(name).map_or("nothing", String::as_str);
            let shown = build.shown();
            found.push(format!(
                "{shown} builds `{file}` with {name} `{value}`, and deploy.toml with `{own}`"
            ));
        }
    }
    found
}
