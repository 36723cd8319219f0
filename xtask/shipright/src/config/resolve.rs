//! From what deploy.toml says to a finished [`Config`]: defaults filled in, names checked against the rules of the place
//! where they will be used, and collisions found. Every problem is collected; none stops the search for the next.

use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
};

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
        cache::Store,
        config::{Config, Environment, Foreign, Image, Service, TargetRule, fill},
        name,
        suggestion::suggestion,
        target::Target,
    },
    problem::Problem,
};

/// Finishes the file's content. With problems the result is of use for finding more of them alone.
pub fn resolve(root: raw::Root, file: &Path, problems: &mut Vec<Problem>) -> Config {
    let directory = file.parent().unwrap_or(Path::new("/")).to_path_buf();
    let mut finding = Finding::new(problems);

    finding.name("project.name", &root.project.name, name::is_repository_part, REPOSITORY_PART);
    let context = finding.inner_path("project.context", &root.project.context);
    let revision_length = finding.revision_length(root.project.revision_length.as_ref());
    let targets = finding.targets(&root.targets);
    let project = root.project.name.value;

    let mut environments = BTreeMap::new();
    for (key, environment) in &root.environments {
        environments.insert(key.name().to_owned(), finding.environment(key, environment, &project));
    }
    let mut services = BTreeMap::new();
    for (key, service) in &root.services {
        services.insert(key.name().to_owned(), finding.service(key, service, &environments));
    }
    let default_service = finding.default_service(root.project.default_service.as_ref(), &services);

    let builders = builders::resolve(&mut finding, &root.builders);
    let stand_ins = finding.stand_ins(&root.sandbox.base_images);

    let config = Config {
        stand_ins,
        builders,
        file: file.to_path_buf(),
        context: directory.join(context.unwrap_or_default()),
        root: directory,
        project,
        default_service: default_service.unwrap_or_default(),
        revision_length,
        source: root.project.source.map(|source| source.value),
        targets,
        environments,
        services,
    };
    tag_clash::names_that_are_too_long(&mut finding, &root.environments, &config);
    tag_clash::collisions(&mut finding, &root.services, &config);
    config
}

const REPOSITORY_PART: &str = "lower-case letters, digits and single `.`, `_` or `-` between them";
const TAG_PART: &str = "lower-case letters, digits, `.`, `_` and `-`, starting and ending with a letter or digit";

/// Build arguments that are not the user's to set.
/// Source: BuildKit's predefined platform arguments; `SERVICE_FOLDER` and `REVISION` are this tool's.
const RESERVED_BUILD_ARGS: [&str; 12] = [
    "SERVICE_FOLDER",
    "REVISION",
    "SOURCE_DATE_EPOCH",
    "TARGETPLATFORM",
    "TARGETOS",
    "TARGETARCH",
    "TARGETVARIANT",
    "BUILDPLATFORM",
    "BUILDOS",
    "BUILDARCH",
    "BUILDVARIANT",
    "BUILDKIT_SYNTAX",
];

/// A rule for names of one kind.
struct NameRule {
    what: &'static str,
    form: &'static str,
    is_legal: fn(&str) -> bool,
}

const FUNCTION: NameRule =
    NameRule { what: "Lambda function name", form: "1 to 64 letters, digits, `-` and `_`", is_legal: name::is_function };
const ALIAS: NameRule =
    NameRule { what: "Lambda alias", form: "1 to 128 letters, digits, `-` and `_`, not digits alone", is_legal: name::is_alias };
const APPRUNNER: NameRule = NameRule {
    what: "App Runner service name",
    form: "4 to 40 letters, digits, `-` and `_`, starting with a letter or digit",
    is_legal: name::is_apprunner_service,
};
const KUBERNETES: NameRule = NameRule {
    what: "Kubernetes name",
    form: "1 to 63 lower-case letters, digits and `-`, starting and ending with a letter or digit",
    is_legal: name::is_kubernetes,
};

impl Finding<'_> {
    fn name(&mut self, key: &str, name: &Located<String>, is_legal: fn(&str) -> bool, rule: &str) {
        if !is_legal(&name.value) {
            let cure = match name::legal_form(&name.value).filter(|form| is_legal(form)) {
                Some(form) => format!("use {rule}, for example `{form}`"),
                None => format!("use {rule}"),
            };
            self.problem(&name.span, format!("`{key}` is `{}`, which cannot stand in an image reference", name.value), cure);
        }
    }

    /// A path that stays inside deploy.toml's directory.
    fn inner_path(&mut self, key: &str, path: &Located<String>) -> Option<PathBuf> {
        let given = Path::new(&path.value);
        let stays = given.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        let plain = !path.value.is_empty() && !path.value.starts_with('-') && !path.value.chars().any(char::is_control);
        if stays && plain {
            return Some(given.components().filter(|part| matches!(part, Component::Normal(_))).collect());
        }
        self.problem(
            &path.span,
            format!("`{key}` is `{}`, which is no path inside the repository", path.value.escape_debug()),
            "write a relative path without `..`, such as `backend`",
        );
        None
    }

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
            Target::AppRunner => targets.apprunner.as_ref(),
        };
        let mut table = BTreeMap::new();
        for target in Target::ALL {
            let arch = said(target).map_or(target.default_arch(), |word| self.target_arch(target, word));
            table.insert(target, arch);
        }
        table
    }

    fn target_arch(&mut self, target: Target, word: &Located<String>) -> Arch {
        match word.value.parse::<Arch>() {
            Ok(arch) if target.can_run(arch) => return arch,
            Ok(arch) => self.problem(
                &word.span,
                format!("`targets.{target}` is `{}`, but {} cannot run {arch}", word.value, target.title()),
                format!("write `{target} = \"{}\"`: {}", target.default_arch(), target.why()),
            ),
            Err(_) => self.problem(
                &word.span,
                format!("`targets.{target}` is `{}`, which is no architecture", word.value.escape_debug()),
                suggestion(&word.value, Arch::ALL.into_iter().filter(|arch| target.can_run(*arch)).map(Arch::oci)),
            ),
        }
        target.default_arch()
    }

    fn environment(&mut self, key: &raw::Key, environment: &raw::Environment, project: &str) -> Environment {
        let path = format!("environments.{}", key.name());
        self.name(&path, &key.0, name::is_tag_part, TAG_PART);
        if !name::is_account(&environment.account.value) {
            self.problem(
                &environment.account.span,
                format!("`{path}.account` is `{}`, which is no AWS account", environment.account.value.escape_debug()),
                "write the account's twelve digits in quotes: `aws sts get-caller-identity` prints them",
            );
        }
        if !name::is_region(&environment.region.value) {
            self.problem(
                &environment.region.span,
                format!("`{path}.region` is `{}`, which is no AWS region", environment.region.value.escape_debug()),
                "write a region's code, such as `eu-west-1`",
            );
        }
        for text in [&environment.profile, &environment.branch, &environment.cluster].into_iter().flatten() {
            if text.value.is_empty() || text.value.chars().any(char::is_control) {
                self.problem(
                    &text.span,
                    format!("`{path}` has an empty or unprintable value"),
                    "write a name, or remove the key",
                );
            }
        }
        let repository = environment.repository.as_ref().map_or("{project}", |pattern| pattern.value.as_str());
        let sample = fill(repository, &[("project", "project"), ("service", "service"), ("target", "lambda")]);
        if let (Some(pattern), false) = (&environment.repository, name::is_repository(&sample)) {
            self.problem(
                &pattern.span,
                format!("`{path}.repository` is `{}`, which is no ECR repository name", pattern.value.escape_debug()),
                "use 2 to 256 lower-case letters, digits, `.`, `_`, `-` and `/`, starting with a letter; \
                 `{project}`, `{service}` and `{target}` are filled in",
            );
        }
        Environment {
            name: key.name().to_owned(),
            account: environment.account.value.clone(),
            region: environment.region.value.clone(),
            profile: environment.profile.as_ref().map(|profile| profile.value.clone()),
            cluster: environment.cluster.as_ref().map(|cluster| cluster.value.clone()),
            kube_context: environment.kube_context.as_ref().map(|context| context.value.clone()),
            namespace: self.namespace(&path, key.name(), environment.namespace.as_ref(), project),
            function_tags: environment.function_tags.unwrap_or(false),
            endpoint: self.endpoint(&path, environment.endpoint.as_ref()),
            create_repository: environment.create_repository.unwrap_or(false),
            protected: environment.protected.unwrap_or(false),
            branch: environment.branch.as_ref().map_or_else(|| "main".to_owned(), |branch| branch.value.clone()),
            cache: environment.cache.as_ref().and_then(|said| self.cache(&path, said)),
            build_args: self.build_args(&path, &environment.build_args),
            repository: repository.to_owned(),
        }
    }

    fn cache(&mut self, path: &str, said: &Located<String>) -> Option<Store> {
        let store = Store::ALL.into_iter().find(|store| store.name() == said.value);
        if store.is_none() {
            let title = format!("`{path}.cache` is `{}`, which is no place for a cache", said.value.escape_debug());
            self.problem(&said.span, title, suggestion(&said.value, Store::ALL.map(Store::name)));
        }
        store
    }

    fn build_args(&mut self, path: &str, args: &raw::Named<Located<String>>) -> BTreeMap<String, String> {
        for (key, value) in args {
            let name = key.name();
            if !name::is_build_arg(name) {
                let cure = "use letters, digits and `_`, not starting with a digit";
                self.problem(
                    &key.0.span,
                    format!("`{path}.build-args` has `{}`, which is no argument name", name.escape_debug()),
                    cure,
                );
            } else if RESERVED_BUILD_ARGS.contains(&name) {
                let cure = "remove it: the tool and BuildKit set it from the service and the target's architecture";
                self.problem(&key.0.span, format!("`{path}.build-args.{name}` is not yours to set"), cure);
            }
            if value.value.chars().any(char::is_control) {
                let cure = "write one line of printable text";
                self.problem(&value.span, format!("`{path}.build-args.{name}` has a control character"), cure);
            }
        }
        args.iter().map(|(key, value)| (key.name().to_owned(), value.value.clone())).collect()
    }

    fn service(&mut self, key: &raw::Key, service: &raw::Service, environments: &BTreeMap<String, Environment>) -> Service {
        let path = format!("services.{}", key.name());
        self.name(&path, &key.0, name::is_tag_part, TAG_PART);
        if let Some(folder) = &service.folder {
            self.inner_path(&format!("{path}.folder"), folder);
        }
        if service.images.value.is_empty() {
            let cure = "add an image: `images = [{ dockerfile = \"Dockerfile.lambda\" }]`, or remove the service";
            self.problem(&service.images.span, format!("`{path}.images` is empty"), cure);
        }
        let several = service.images.value.len() > 1;
        let images = service.images.value.iter().enumerate().filter_map(|(index, image)| {
            self.image(key.name(), &format!("{path}.images[{index}]"), image, several, environments)
        });
        Service {
            name: key.name().to_owned(),
            images: images.collect(),
            folder: service.folder.as_ref().map_or_else(|| key.name().to_owned(), |folder| folder.value.clone()),
        }
    }

    fn image(
        &mut self,
        service: &str,
        path: &str,
        image: &raw::Image,
        several: bool,
        environments: &BTreeMap<String, Environment>,
    ) -> Option<Image> {
        let dockerfile = self.inner_path(&format!("{path}.dockerfile"), &image.dockerfile);
        let target = self.target(path, image);
        for name in image.environments.iter().flatten().filter(|name| !environments.contains_key(&name.value)) {
            self.problem(
                &name.span,
                format!("`{path}.environments` has `{}`, which no `[environments.…]` defines", name.value.escape_debug()),
                suggestion(&name.value, environments.keys().map(String::as_str)),
            );
        }
        let function = self.pattern(path, "function", image.function.as_ref(), "{project}-{env}-{service}", &FUNCTION);
        let apprunner_service =
            self.pattern(path, "apprunner-service", image.apprunner_service.as_ref(), "{project}-{env}-{service}", &APPRUNNER);
        let deployment = self.pattern(path, "deployment", image.deployment.as_ref(), "{service}", &KUBERNETES);
        let container = image.container.as_ref().map(|name| self.pattern(path, "container", Some(name), "", &KUBERNETES));
        let alias = image.alias.as_ref().map(|name| self.pattern(path, "alias", Some(name), "", &ALIAS));
        self.smoke_payload(path, image.smoke_payload.as_ref());
        if let Some(prefix) = image.tag_prefix.as_ref().filter(|prefix| !name::is_tag_prefix(&prefix.value)) {
            self.problem(
                &prefix.span,
                format!("`{path}.tag-prefix` is `{}`, which cannot begin a tag", prefix.value.escape_debug()),
                "use letters, digits, `.`, `_` and `-`, starting with a letter, a digit or `_`, or leave it empty",
            );
        }
        let multi_arch = image.multi_arch.as_ref().is_some_and(|scope| scope.value);
        if let (Some(scope), true, Some((Target::Lambda, _))) = (&image.multi_arch, multi_arch, &target) {
            self.problem(
                &scope.span,
                format!("`{path}.multi-arch` is `true`, and the image is for AWS Lambda, which refuses an image index"),
                "remove the key: a function has exactly one architecture",
            );
        }
        let (target, target_rule) = target?;
        let default_prefix = || if several { format!("{service}-{target}-") } else { format!("{service}-") };
        let everywhere = || environments.keys().cloned().collect();
        Some(Image {
            foreign: self.foreign(path, image.foreign.as_deref().unwrap_or_default()),
            build_args: self.build_args(path, &image.build_args),
            dockerfile: dockerfile?,
            target,
            target_rule,
            multi_arch,
            environments: image
                .environments
                .as_ref()
                .map_or_else(everywhere, |names| names.iter().map(|name| name.value.clone()).collect()),
            function,
            alias,
            smoke_payload: image.smoke_payload.as_ref().map(|payload| payload.value.clone()),
            apprunner_service,
            deployment,
            container,
            tag_prefix: image.tag_prefix.as_ref().map_or_else(default_prefix, |prefix| prefix.value.clone()),
        })
    }

    /// A name with `{project}`, `{env}` and `{service}` in it, checked with samples in their place.
    fn pattern(&mut self, path: &str, key: &str, said: Option<&Located<String>>, default: &str, rule: &NameRule) -> String {
        let Some(said) = said else { return default.to_owned() };
        let sample = fill(&said.value, &[("project", "project"), ("env", "env"), ("service", "service")]);
        if !(rule.is_legal)(&sample) {
            self.problem(
                &said.span,
                format!("`{path}.{key}` is `{}`, which is no {}", said.value.escape_debug(), rule.what),
                format!("use {}; `{{project}}`, `{{env}}` and `{{service}}` are filled in", rule.form),
            );
        }
        said.value.clone()
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

    fn namespace(&mut self, path: &str, environment: &str, said: Option<&Located<String>>, project: &str) -> String {
        let Some(said) = said else { return "default".to_owned() };
        let name = fill(&said.value, &[("env", environment), ("project", project)]);
        if !name::is_kubernetes(&name) {
            self.problem(
                &said.span,
                format!("`{path}.namespace` is `{}`, which is no {}", said.value.escape_debug(), KUBERNETES.what),
                format!("use {}; `{{env}}` and `{{project}}` are filled in", KUBERNETES.form),
            );
        }
        name
    }

    fn endpoint(&mut self, path: &str, said: Option<&Located<String>>) -> Option<String> {
        let said = said?;
        let rest = said.value.strip_prefix("http://").or_else(|| said.value.strip_prefix("https://"));
        if rest.is_none_or(|rest| rest.is_empty() || rest.contains(char::is_whitespace)) {
            self.problem(
                &said.span,
                format!("`{path}.endpoint` is `{}`, which is no address", said.value.escape_debug()),
                "write `http://localhost:PORT`, or remove the key to use AWS",
            );
        }
        Some(said.value.clone())
    }

    fn foreign(&mut self, path: &str, foreign: &[raw::Foreign]) -> Vec<Foreign> {
        for one in foreign {
            if one.path.value.trim_matches(['/', '*']).is_empty() {
                let title = format!("`{path}.foreign` has the path `{}`, which is every file", one.path.value.escape_debug());
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
        foreign.iter().map(|one| Foreign { path: one.path.value.clone(), reason: one.reason.value.clone() }).collect()
    }

    fn target(&mut self, path: &str, image: &raw::Image) -> Option<(Target, TargetRule)> {
        let names = || Target::ALL.into_iter().map(Target::name);
        let Some(said) = &image.target else {
            let inferred = Target::from_dockerfile(Path::new(&image.dockerfile.value));
            if inferred.is_none() {
                let all: Vec<_> = names().map(|name| format!("`target = \"{name}\"`")).collect();
                self.problem(
                    &image.dockerfile.span,
                    format!("`{path}.dockerfile` is `{}`, whose suffix names no target", image.dockerfile.value.escape_debug()),
                    format!("add {} beside it", all.join(" or ")),
                );
            }
            return inferred.map(|target| (target, TargetRule::Suffix));
        };
        let target = Target::from_name(&said.value);
        if target.is_none() {
            let cure = suggestion(&said.value, Target::ALL.map(Target::name));
            self.problem(&said.span, format!("`{path}.target` is `{}`, which is no target", said.value.escape_debug()), cure);
        }
        target.map(|target| (target, TargetRule::Said))
    }

    fn default_service(&mut self, said: Option<&Located<String>>, services: &BTreeMap<String, Service>) -> Option<String> {
        let Some(said) = said else {
            if services.len() > 1 {
                // The span of `[project]` is not at hand; the file's start is where the key belongs.
                self.problem(
                    &(0..0),
                    "`[project]` lacks the key `default-service`, and there are several services",
                    format!("add it: {}", suggestion("", services.keys().map(String::as_str))),
                );
            }
            return services.keys().next().cloned();
        };
        if !services.contains_key(&said.value) {
            self.problem(
                &said.span,
                format!("`project.default-service` is `{}`, which no `[services.…]` defines", said.value.escape_debug()),
                suggestion(&said.value, services.keys().map(String::as_str)),
            );
        }
        Some(said.value.clone())
    }

    fn stand_ins(&mut self, images: &raw::Named<Located<String>>) -> BTreeMap<String, String> {
        for (key, image) in images {
            if !name::is_build_arg(key.name()) || RESERVED_BUILD_ARGS.contains(&key.name()) {
                let title =
                    format!("`sandbox.base-images` has `{}`, which names no build argument of yours", key.name().escape_debug());
                self.problem(&key.0.span, title, "write the name of the Dockerfiles' `ARG` before `FROM`, such as `PYTHON_BASE`");
            }
            if !base_image::ALL.contains(&image.value.as_str()) {
                let title =
                    format!("`sandbox.base-images.{}` is `{}`, which has no stand-in", key.name(), image.value.escape_debug());
                self.problem(&image.span, title, suggestion(&image.value, base_image::ALL));
            }
        }
        images.iter().map(|(key, image)| (key.name().to_owned(), image.value.clone())).collect()
    }
}
