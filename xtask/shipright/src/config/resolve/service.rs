//! `[services.…]` and their images, resolved.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    super::{
        finding::Finding,
        raw::{self, Located},
    },
    names::{ALIAS, APPRUNNER, ECS, FUNCTION, KUBERNETES, TAG_PART},
};
use crate::model::{
    config::{Environment, Foreign, Image, Service, TargetRule},
    name,
    pattern::VersionSource,
    suggestion::suggestion,
    target::{IndexUse, Target},
};

/// An image as deploy.toml has it, and where.
struct Said<'s> {
    service: &'s str,
    path: String,
    image: &'s raw::Image,
    /// Whether the service has others.
    several: bool,
    surroundings: &'s Surroundings<'s>,
    /// Where the service's version is read.
    version: &'s VersionSource,
    /// The service's build context.
    context: &'s Path,
}

/// What a service is resolved in.
pub(super) struct Surroundings<'s> {
    /// deploy.toml's directory.
    pub root: &'s Path,
    /// The project's build context.
    pub context: &'s Path,
    /// All environments.
    pub environments: &'s BTreeMap<String, Environment>,
    /// Where the project's version is read.
    pub version: &'s VersionSource,
}

impl Said<'_> {
    /// What stands before every tag, where deploy.toml does not say it.
    fn tag_prefix(&self, stage: Option<&str>, target: Option<(Target, TargetRule)>) -> String {
        let service = self.service;
        match (stage, target) {
            (Some(stage), _) if self.several => format!("{service}-{stage}-"),
            (None, Some((target, _))) if self.several => format!("{service}-{target}-"),
            _ => format!("{service}-"),
        }
    }
}

/// The names of what runs an image.
struct Names {
    function: String,
    alias: Option<String>,
    apprunner_service: String,
    ecs_service: String,
    deployment: String,
    container: Option<String>,
}

impl Finding<'_> {
    pub(super) fn service(
        &mut self,
        key: &raw::Key,
        service: &raw::Service,
        surroundings: &Surroundings<'_>,
    ) -> Service {
        let path = format!("services.{}", key.name());
        self.name(&path, &key.0, name::is_tag_part, TAG_PART);
        if let Some(folder) = &service.folder {
            self.inner_path(&format!("{path}.folder"), folder);
        }
        if service.images.value.is_empty() {
            let cure = "add an image: `images = [{ dockerfile = \"Dockerfile.lambda\" }]`, or remove the service";
            self.problem(
                &service.images.span,
                format!("`{path}.images` is empty"),
                cure,
            );
        }
        let (root, project) = (surroundings.root, surroundings.context);
        let context = self.context(&path, service.context.as_ref(), root, project);
        let version = self.version(&path, service.version.as_ref(), surroundings.version);
        let several = service.images.value.len() > 1;
        let images = service
            .images
            .value
            .iter()
            .enumerate()
            .filter_map(|(index, image)| {
                let path = format!("{path}.images[{index}]");
                self.image(&Said {
                    service: key.name(),
                    path,
                    image,
                    several,
                    surroundings,
                    version: &version,
                    context: &context,
                })
            });
        let images = images.collect();
        let folder = service.folder.as_ref().map(|folder| folder.value.clone());
        let name = key.name().to_owned();
        Service {
            folder: folder.unwrap_or_else(|| name.clone()),
            name,
            context,
            images,
        }
    }

    fn image(&mut self, said: &Said<'_>) -> Option<Image> {
        let (path, image, root) = (said.path.as_str(), said.image, said.surroundings.root);
        let context = self.context(path, image.context.as_ref(), root, said.context);
        let file = self.dockerfile(path, &image.dockerfile, (root, &context));
        let target = self.target(path, image);
        let environments = self.environments_of(said);
        let names = self.names(path, image, target.map(|(target, _)| target));
        self.smoke_payload(path, image.smoke_payload.as_ref());
        let multi_arch = self.multi_arch(path, image, target.map(|(target, _)| target));
        let stage = self.stage(path, image.stage.as_ref());
        let tag_prefix = self.tag_prefix(path, image.tag_prefix.as_ref());
        let resolved = Image {
            environments,
            multi_arch,
            contexts: self.contexts(path, &image.contexts, root),
            labels: self.labels(path, &image.labels),
            secrets: self.secrets(path, image.secrets.as_deref().unwrap_or_default()),
            ssh: self.ssh(path, image.ssh.as_ref()),
            network: self.network(path, image.network.as_ref()),
            cache: self.image_cache(path, image.cache.as_ref()),
            foreign: self.foreign(path, image.foreign.as_deref().unwrap_or_default()),
            build_args: self.build_args(path, &image.build_args),
            tag_prefix: tag_prefix.unwrap_or_else(|| said.tag_prefix(stage.as_deref(), target)),
            tags: self.tags(path, image.tags.as_ref()),
            version: said.version.clone(),
            stage,
            target: target?.0,
            target_rule: target?.1,
            function: names.function,
            alias: names.alias,
            smoke_payload: image
                .smoke_payload
                .as_ref()
                .map(|payload| payload.value.clone()),
            apprunner_service: names.apprunner_service,
            ecs_service: names.ecs_service,
            deployment: names.deployment,
            container: names.container,
            dockerfile: PathBuf::new(),
            file: file?,
            context,
        };
        let near = resolved.file.strip_prefix(&resolved.context);
        let dockerfile = near.or_else(|_| resolved.file.strip_prefix(root));
        let dockerfile = dockerfile.unwrap_or(&resolved.file).to_path_buf();
        Some(Image {
            dockerfile,
            ..resolved
        })
    }

    fn environments_of(&mut self, said: &Said<'_>) -> Vec<String> {
        let known = || said.surroundings.environments.keys().map(String::as_str);
        let Some(names) = &said.image.environments else {
            return known().map(str::to_owned).collect();
        };
        for name in names
            .iter()
            .filter(|name| !said.surroundings.environments.contains_key(&name.value))
        {
            let (path, word) = (&said.path, name.value.escape_debug());
            self.problem(
                &name.span,
                format!("`{path}.environments` has `{word}`, which no `[environments.…]` defines"),
                suggestion(&name.value, known()),
            );
        }
        names.iter().map(|name| name.value.clone()).collect()
    }

    fn names(&mut self, path: &str, image: &raw::Image, target: Option<Target>) -> Names {
        const DEFAULT: &str = "{project}-{env}-{service}";
        let container = match target {
            Some(Target::Ecs) => &ECS,
            Some(Target::Lambda | Target::Eks | Target::AppRunner) | None => &KUBERNETES,
        };
        let mut optional = |key, said: Option<&Located<String>>, rule| {
            said.map(|said| self.pattern(path, key, Some(said), "", rule))
        };
        Names {
            container: optional("container", image.container.as_ref(), container),
            alias: optional("alias", image.alias.as_ref(), &ALIAS),
            function: self.pattern(
                path,
                "function",
                image.function.as_ref(),
                DEFAULT,
                &FUNCTION,
            ),
            apprunner_service: self.pattern(
                path,
                "apprunner-service",
                image.apprunner_service.as_ref(),
                DEFAULT,
                &APPRUNNER,
            ),
            ecs_service: self.pattern(
                path,
                "ecs-service",
                image.ecs_service.as_ref(),
                DEFAULT,
                &ECS,
            ),
            deployment: self.pattern(
                path,
                "deployment",
                image.deployment.as_ref(),
                "{service}",
                &KUBERNETES,
            ),
        }
    }

    fn multi_arch(&mut self, path: &str, image: &raw::Image, target: Option<Target>) -> bool {
        let Some(said) = image.multi_arch.as_ref().filter(|said| said.value) else {
            return false;
        };
        if target.is_some_and(|target| target.index_use() == IndexUse::Refused) {
            self.problem(
                &said.span,
                format!("`{path}.multi-arch` is `true`, and the image is for AWS Lambda, which refuses an image index"),
                "remove the key: a function has exactly one architecture",
            );
        }
        true
    }

    fn tag_prefix(&mut self, path: &str, said: Option<&Located<String>>) -> Option<String> {
        let said = said?;
        if !name::is_tag_prefix(&said.value) {
            let word = said.value.escape_debug();
            self.problem(
                &said.span,
                format!("`{path}.tag-prefix` is `{word}`, which cannot begin a tag"),
                "use letters, digits, `.`, `_` and `-`, starting with a letter, a digit or `_`, or leave it empty",
            );
        }
        Some(said.value.clone())
    }

    fn target(&mut self, path: &str, image: &raw::Image) -> Option<(Target, TargetRule)> {
        let names = || Target::ALL.into_iter().map(Target::name);
        let Some(said) = &image.target else {
            let inferred = Target::from_dockerfile(Path::new(&image.dockerfile.value));
            if inferred.is_none() {
                let all: Vec<_> = names()
                    .map(|name| format!("`target = \"{name}\"`"))
                    .collect();
                self.problem(
                    &image.dockerfile.span,
                    format!(
                        "`{path}.dockerfile` is `{}`, whose suffix names no target",
                        image.dockerfile.value.escape_debug()
                    ),
                    format!("add {} beside it", all.join(" or ")),
                );
            }
            return inferred.map(|target| (target, TargetRule::Suffix));
        };
        let target = Target::from_name(&said.value);
        if target.is_none() {
            let cure = suggestion(&said.value, Target::ALL.map(Target::name));
            self.problem(
                &said.span,
                format!(
                    "`{path}.target` is `{}`, which is no target",
                    said.value.escape_debug()
                ),
                cure,
            );
        }
        target.map(|target| (target, TargetRule::Said))
    }

    fn smoke_payload(&mut self, path: &str, payload: Option<&Located<String>>) {
        let Some(payload) = payload else { return };
        if let Err(error) = serde_json::from_str::<serde_json::Value>(&payload.value) {
            self.problem(
                &payload.span,
                format!("`{path}.smoke-payload` is no JSON: {error}"),
                "write one JSON value in single quotes: '{ \"rawPath\": \"/healthz\" }'",
            );
        }
    }

    fn foreign(&mut self, path: &str, foreign: &[raw::Foreign]) -> Vec<Foreign> {
        for one in foreign {
            if one.path.value.trim_matches(['/', '*']).is_empty() {
                let title = format!(
                    "`{path}.foreign` has the path `{}`, which is every file",
                    one.path.value.escape_debug()
                );
                self.problem(&one.path.span, title, "name the files: `opt/tool/*`");
            }
            if one.reason.value.trim().is_empty() {
                self.problem(
                    &one.reason.span,
                    format!("`{path}.foreign` gives no reason"),
                    "say why such a file has to be there",
                );
            }
        }
        foreign
            .iter()
            .map(|one| Foreign {
                path: one.path.value.clone(),
                reason: one.reason.value.clone(),
            })
            .collect()
    }
}
