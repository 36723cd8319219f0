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
        let own = |text: &Option<Located<String>>| text.as_ref().map(|text| text.value.clone());
        let resolved = Environment {
            name: key.name().to_owned(),
            account: said.account.value.clone(),
            region,
            other_regions: Vec::new(),
            profile: own(&said.profile),
            cluster: own(&said.cluster),
            kube_context: own(&said.kube_context),
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
            branch: own(&said.branch).unwrap_or_else(|| "main".to_owned()),
            cache: said
                .cache
                .as_ref()
                .and_then(|said| self.store(&path, said, &[])),
            build_args: self.build_args(&path, &said.build_args),
            tags: self.tags(&path, said.tags.as_ref()),
            repository: self.repository(&path, said.repository.as_ref()),
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
        let texts = [&said.profile, &said.branch, &said.cluster];
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
                format!("`{path}.repository` is `{word}`, which is no ECR repository name"),
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
