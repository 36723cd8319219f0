//! From what deploy.toml says to a finished [`Config`]: defaults filled in, names checked against the rules of the place
//! where they will be used, and collisions found. Every problem is collected; none stops the search for the next.

mod attest;
mod builds;
mod environment;
mod names;
mod scan;
mod service;
mod tags;

use std::{collections::BTreeMap, path::Path};

use names::{REPOSITORY_PART, RESERVED_BUILD_ARGS};
use service::Surroundings;

use super::{
    builders,
    finding::Finding,
    raw::{self, Located},
    tag_clash,
};
use crate::{
    arch::Arch,
    model::{
        base_image,
        config::{Config, Service},
        name,
        pattern::VersionSource,
        suggestion::suggestion,
        target::Target,
    },
    problem::Problem,
};

/// Finishes the file's content. With problems the result is of use for finding more of them alone.
pub(super) fn resolve(root: raw::Root, file: &Path, problems: &mut Vec<Problem>) -> Config {
    let directory = file.parent().unwrap_or(Path::new("/")).to_path_buf();
    let mut finding = Finding::new(problems);

    finding.name(
        "project.name",
        &root.project.name,
        name::is_repository_part,
        REPOSITORY_PART,
    );
    let context = finding.context(
        "project",
        root.project.context.as_ref(),
        &directory,
        &directory,
    );
    let labels = finding.labels("project", &root.project.labels);
    let tags = finding.tags("project", root.project.tags.as_ref());
    let version = finding.version(
        "project",
        root.project.version.as_ref(),
        &VersionSource::Git,
    );
    let revision_length = finding.revision_length(root.project.revision_length.as_ref());
    let targets = finding.targets(&root.targets);
    let project = root.project.name.value;

    let mut environments = BTreeMap::new();
    for (key, environment) in &root.environments {
        environments.insert(
            key.name().to_owned(),
            finding.environment(key, environment, &project),
        );
    }
    let mut services = BTreeMap::new();
    for (key, service) in &root.services {
        services.insert(
            key.name().to_owned(),
            finding.service(
                key,
                service,
                &Surroundings {
                    root: &directory,
                    context: &context,
                    environments: &environments,
                    version: &version,
                },
            ),
        );
    }
    let default_service = finding.default_service(root.project.default_service.as_ref(), &services);

    let builders = builders::resolve(&mut finding, &root.builders);

    let config = Config {
        order: order(&root.environments),
        stand_ins: finding.stand_ins(&root.sandbox.base_images),
        scan_exceptions: finding.exceptions(&root.scan, &services),
        builders,
        file: file.to_path_buf(),
        context,
        labels,
        root: directory,
        project,
        default_service,
        revision_length,
        source: root.project.source.map(|source| source.value),
        tags,
        targets,
        environments,
        services,
    };
    tag_clash::names_that_are_too_long(&mut finding, &root.environments, &config);
    tag_clash::collisions(&mut finding, &root.services, &config);
    config
}

/// The names of the environments in the file's order.
fn order(environments: &raw::Named<raw::Environment>) -> Vec<String> {
    let mut keys: Vec<_> = environments.keys().collect();
    keys.sort_by_key(|key| key.0.span.start);
    keys.into_iter().map(|key| key.name().to_owned()).collect()
}

impl Finding<'_> {
    fn revision_length(&mut self, length: Option<&Located<i64>>) -> usize {
        const DEFAULT: usize = 7;
        let Some(length) = length else { return DEFAULT };
        match usize::try_from(length.value) {
            Ok(characters @ 7..=40) => characters,
            _ => {
                self.problem(
                    &length.span,
                    format!("`project.revision-length` is `{}`", length.value),
                    "write a number from 7 to 40: a git commit has 40 characters, and fewer than 7 soon name two commits",
                );
                DEFAULT
            }
        }
    }

    fn targets(&mut self, targets: &raw::Targets) -> BTreeMap<Target, Arch> {
        let said = |target: Target| match target {
            Target::Lambda => targets.lambda.as_ref(),
            Target::Eks => targets.eks.as_ref(),
            Target::Ecs => targets.ecs.as_ref(),
            Target::AppRunner => targets.apprunner.as_ref(),
        };
        let mut table = BTreeMap::new();
        for target in Target::ALL {
            let arch =
                said(target).map_or(target.default_arch(), |word| self.target_arch(target, word));
            table.insert(target, arch);
        }
        table
    }

    fn target_arch(&mut self, target: Target, word: &Located<String>) -> Arch {
        match word.value.parse::<Arch>() {
            Ok(arch) if target.can_run(arch) => return arch,
            Ok(arch) => self.problem(
                &word.span,
                format!(
                    "`targets.{target}` is `{}`, but {} cannot run {arch}",
                    word.value,
                    target.title()
                ),
                format!(
                    "write `{target} = \"{}\"`: {}",
                    target.default_arch(),
                    target.why()
                ),
            ),
            Err(_) => self.problem(
                &word.span,
                format!(
                    "`targets.{target}` is `{}`, which is no architecture",
                    word.value.escape_debug()
                ),
                suggestion(
                    &word.value,
                    Arch::ALL
                        .into_iter()
                        .filter(|arch| target.can_run(*arch))
                        .map(Arch::oci),
                ),
            ),
        }
        target.default_arch()
    }

    fn default_service(
        &mut self,
        said: Option<&Located<String>>,
        services: &BTreeMap<String, Service>,
    ) -> Option<String> {
        let Some(said) = said else {
            return services
                .keys()
                .next()
                .cloned()
                .filter(|_| services.len() == 1);
        };
        if !services.contains_key(&said.value) {
            self.problem(
                &said.span,
                format!(
                    "`project.default-service` is `{}`, which no `[services.…]` defines",
                    said.value.escape_debug()
                ),
                suggestion(&said.value, services.keys().map(String::as_str)),
            );
        }
        Some(said.value.clone())
    }

    fn stand_ins(&mut self, images: &raw::Named<Located<String>>) -> BTreeMap<String, String> {
        for (key, image) in images {
            if !name::is_build_arg(key.name()) || RESERVED_BUILD_ARGS.contains(&key.name()) {
                let title = format!(
                    "`sandbox.base-images` has `{}`, which names no build argument of yours",
                    key.name().escape_debug()
                );
                self.problem(
                    &key.0.span,
                    title,
                    "write the name of the Dockerfiles' `ARG` before `FROM`, such as `PYTHON_BASE`",
                );
            }
            if !base_image::ALL.contains(&image.value.as_str()) {
                let title = format!(
                    "`sandbox.base-images.{}` is `{}`, which has no stand-in",
                    key.name(),
                    image.value.escape_debug()
                );
                self.problem(
                    &image.span,
                    title,
                    suggestion(&image.value, base_image::ALL),
                );
            }
        }
        raw::texts(images)
    }
}
