//! `[environments.…]`, resolved.

use super::{
    super::{
        finding::Finding,
        raw::{self, Located},
    },
    names::{ECS, KUBERNETES, NameRule, TAG_PART},
};
use crate::model::{
    config::{Environment, fill},
    name,
    registry::{NamedRegistry, ecr_of},
};

impl Finding<'_> {
    pub(super) fn environment(
        &mut self,
        key: &raw::Key,
        said: &raw::Environment,
        project: &str,
    ) -> Environment {
        let path = format!("environments.{}", key.name());
        self.name(&path, &key.0, name::is_tag_part, TAG_PART);
        self.account(&path, &said.account);
        let (region, others) = self.regions(&path, key, said);
        self.texts(&path, said);
        let resolved = Environment {
            name: key.name().to_owned(),
            account: said.account.value.clone(),
            region,
            other_regions: Vec::new(),
            profile: raw::text(said.profile.as_ref()),
            registry: self.registry(&path, said),
            cluster: raw::text(said.cluster.as_ref()),
            kube_context: raw::text(said.kube_context.as_ref()),
            namespace: self.default_name(
                (&path, "namespace"),
                said.namespace.as_ref(),
                (key.name(), project),
                &KUBERNETES,
            ),
            ecs_cluster: self.default_name(
                (&path, "ecs-cluster"),
                said.ecs_cluster.as_ref(),
                (key.name(), project),
                &ECS,
            ),
            function_tags: said.function_tags.unwrap_or(false),
            endpoint: self.endpoint(&path, said.endpoint.as_ref()),
            create_repository: said.create_repository.unwrap_or(false),
            protected: said.protected.unwrap_or(false),
            branch: raw::text(said.branch.as_ref()).unwrap_or_else(|| "main".to_owned()),
            cache: said
                .cache
                .as_ref()
                .and_then(|said| self.store(&path, said, &[])),
            build_args: self.build_args(&path, &said.build_args),
            tags: self.tags(&path, said.tags.as_ref()),
            repository: self.repository(&path, said.repository.as_ref()),
            scan: self.severity(&path, said.scan.as_ref()),
            attest: self.attest(&path, said),
        };
        let other_regions = others
            .iter()
            .map(|region| resolved.in_region(region))
            .collect();
        Environment {
            other_regions,
            ..resolved
        }
    }

    fn account(&mut self, path: &str, account: &Located<String>) {
        if !name::is_account(&account.value) {
            let word = account.value.escape_debug();
            self.problem(
                &account.span,
                format!("`{path}.account` is `{word}`, which is no AWS account"),
                "write the account's twelve digits in quotes: `aws sts get-caller-identity` prints them",
            );
        }
    }

    /// The registry that is not the environment's own ECR.
    fn registry(&mut self, path: &str, said: &raw::Environment) -> Option<NamedRegistry> {
        let (address, profile) = (said.registry.as_ref(), said.registry_profile.as_ref());
        let Some(address) = address else {
            if let Some(profile) = profile {
                self.problem(
                    &profile.span,
                    format!("`{path}.registry-profile` is for a `registry`, and there is none"),
                    "remove it, or say which registry: `registry = \"444455556666.dkr.ecr.{region}.amazonaws.com\"`",
                );
            }
            return None;
        };
        let (host, rest) = address
            .value
            .split_once('/')
            .unwrap_or((&address.value, ""));
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let filled = fill(host, &[("region", "eu-west-1")]);
        let is_path = rest.is_empty() || rest.split('/').all(name::is_repository_part);
        if !is_path || !name::is_registry_host(&filled) {
            let word = address.value.escape_debug();
            self.problem(
                &address.span,
                format!("`{path}.registry` is `{word}`, which is no registry"),
                "write a host and perhaps a path, without `https://`: `ghcr.io/acme`, `registry.example.com:5000`, or \
                 `444455556666.dkr.ecr.{region}.amazonaws.com`",
            );
            return None;
        }
        let is_ecr = ecr_of(&filled).is_some();
        if let Some(profile) = profile.filter(|_| !is_ecr) {
            self.problem(
                &profile.span,
                format!("`{path}.registry-profile` is for ECR, and `{host}` is another registry"),
                format!("remove it: docker's own login is used, from `docker login {host}`"),
            );
        }
        if said.create_repository == Some(true) && !is_ecr {
            self.problem(
                &address.span,
                format!("`{path}` has `create-repository`, which is for ECR, and `{host}` is another registry"),
                "remove `create-repository`: such a registry makes a repository at the first push, or asks for it elsewhere",
            );
        }
        Some(NamedRegistry {
            host: host.to_owned(),
            path: rest.to_owned(),
            profile: profile.map(|profile| profile.value.clone()),
        })
    }

    /// The first region, and the others.
    fn regions(
        &mut self,
        path: &str,
        key: &raw::Key,
        said: &raw::Environment,
    ) -> (String, Vec<String>) {
        let several = said.regions.as_ref().map(|said| said.value.as_slice());
        let all: Vec<_> = said
            .region
            .iter()
            .chain(several.unwrap_or_default())
            .collect();
        for region in all.iter().filter(|region| !name::is_region(&region.value)) {
            let word = region.value.escape_debug();
            self.problem(
                &region.span,
                format!("`{path}.region` is `{word}`, which is no AWS region"),
                "write a region's code, such as `eu-west-1`",
            );
        }
        let (span, problem) = match (&said.region, &said.regions) {
            (None, None) => (Some(&key.0.span), "has neither `region` nor `regions`"),
            (Some(_), Some(regions)) => (Some(&regions.span), "has `region` and `regions`"),
            (None, Some(regions)) if regions.value.is_empty() => {
                (Some(&regions.span), "has no region in `regions`")
            }
            _ => (None, ""),
        };
        if let Some(span) = span {
            let title = format!("`{path}` {problem}");
            self.problem(span, title, "write one: `region = \"eu-west-1\"`, or several: `regions = [\"eu-west-1\", \"us-east-1\"]`");
        }
        let mut names: Vec<String> = Vec::new();
        for region in all {
            if names.contains(&region.value) {
                let title = format!(
                    "`{path}.regions` has `{}` twice",
                    region.value.escape_debug()
                );
                self.problem(&region.span, title, "name each region once");
            } else {
                names.push(region.value.clone());
            }
        }
        let mut names = names.into_iter();
        (names.next().unwrap_or_default(), names.collect())
    }

    fn texts(&mut self, path: &str, said: &raw::Environment) {
        let texts = [
            &said.profile,
            &said.registry_profile,
            &said.branch,
            &said.cluster,
        ];
        for text in texts.into_iter().flatten() {
            if text.value.is_empty() || text.value.chars().any(char::is_control) {
                let title = format!("`{path}` has an empty or unprintable value");
                self.problem(&text.span, title, "write a name, or remove the key");
            }
        }
    }

    fn repository(&mut self, path: &str, said: Option<&Located<String>>) -> String {
        let Some(said) = said else {
            return "{project}".to_owned();
        };
        let values = [
            ("project", "project"),
            ("service", "service"),
            ("target", "lambda"),
        ];
        if !name::is_repository(&fill(&said.value, &values)) {
            let word = said.value.escape_debug();
            self.problem(
                &said.span,
                format!("`{path}.repository` is `{word}`, which is no repository name"),
                "use 2 to 256 lower-case letters, digits, `.`, `_`, `-` and `/`, starting with a letter; \
                 `{project}`, `{service}` and `{target}` are filled in",
            );
        }
        said.value.clone()
    }

    /// A name that is `default` where nobody says it.
    fn default_name(
        &mut self,
        (path, key): (&str, &str),
        said: Option<&Located<String>>,
        (environment, project): (&str, &str),
        rule: &NameRule,
    ) -> String {
        let Some(said) = said else {
            return "default".to_owned();
        };
        let name = fill(&said.value, &[("env", environment), ("project", project)]);
        if !(rule.is_legal)(&name) {
            self.problem(
                &said.span,
                format!(
                    "`{path}.{key}` is `{}`, which is no {}",
                    said.value.escape_debug(),
                    rule.what
                ),
                format!(
                    "use {}; `{{env}}` and `{{project}}` are filled in",
                    rule.form
                ),
            );
        }
        name
    }

    fn endpoint(&mut self, path: &str, said: Option<&Located<String>>) -> Option<String> {
        let said = said?;
        let rest = said
            .value
            .strip_prefix("http://")
            .or_else(|| said.value.strip_prefix("https://"));
        if rest.is_none_or(|rest| rest.is_empty() || rest.contains(char::is_whitespace)) {
            self.problem(
                &said.span,
                format!(
                    "`{path}.endpoint` is `{}`, which is no address",
                    said.value.escape_debug()
                ),
                "write `http://localhost:PORT`, or remove the key to use AWS",
            );
        }
        Some(said.value.clone())
    }
}
