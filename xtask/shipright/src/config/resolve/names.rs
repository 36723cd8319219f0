//! Names, paths and build arguments of deploy.toml, each against the rules of the place where it will be used.

use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
};

use super::super::{
    finding::Finding,
    raw::{self, Located},
};
use crate::model::{config::fill, name};

pub(super) const REPOSITORY_PART: &str =
    "lower-case letters, digits and single `.`, `_` or `-` between them";
pub(super) const TAG_PART: &str =
    "lower-case letters, digits, `.`, `_` and `-`, starting and ending with a letter or digit";

/// Build arguments that are not the user's to set.
/// Source: BuildKit's predefined platform arguments; `SERVICE_FOLDER` and `REVISION` are this tool's.
pub(super) const RESERVED_BUILD_ARGS: [&str; 12] = [
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
pub(super) struct NameRule {
    pub what: &'static str,
    pub form: &'static str,
    pub is_legal: fn(&str) -> bool,
}

pub(super) const FUNCTION: NameRule = NameRule {
    what: "Lambda function name",
    form: "1 to 64 letters, digits, `-` and `_`",
    is_legal: name::is_function,
};
pub(super) const ALIAS: NameRule = NameRule {
    what: "Lambda alias",
    form: "1 to 128 letters, digits, `-` and `_`, not digits alone",
    is_legal: name::is_alias,
};
pub(super) const APPRUNNER: NameRule = NameRule {
    what: "App Runner service name",
    form: "4 to 40 letters, digits, `-` and `_`, starting with a letter or digit",
    is_legal: name::is_apprunner_service,
};
pub(super) const ECS: NameRule = NameRule {
    what: "ECS name",
    form: "1 to 255 letters, digits, `-` and `_`",
    is_legal: name::is_ecs,
};
pub(super) const KUBERNETES: NameRule = NameRule {
    what: "Kubernetes name",
    form: "1 to 63 lower-case letters, digits and `-`, starting and ending with a letter or digit",
    is_legal: name::is_kubernetes,
};

impl Finding<'_> {
    pub(super) fn name(
        &mut self,
        key: &str,
        name: &Located<String>,
        is_legal: fn(&str) -> bool,
        rule: &str,
    ) {
        if !is_legal(&name.value) {
            let cure = match name::legal_form(&name.value).filter(|form| is_legal(form)) {
                Some(form) => format!("use {rule}, for example `{form}`"),
                None => format!("use {rule}"),
            };
            self.problem(
                &name.span,
                format!(
                    "`{key}` is `{}`, which cannot stand in an image reference",
                    name.value
                ),
                cure,
            );
        }
    }

    /// A path that stays inside deploy.toml's directory.
    pub(super) fn inner_path(&mut self, key: &str, path: &Located<String>) -> Option<PathBuf> {
        let given = Path::new(&path.value);
        let stays = given
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        let plain = !path.value.is_empty()
            && !path.value.starts_with('-')
            && !path.value.chars().any(char::is_control);
        if stays && plain {
            return Some(
                given
                    .components()
                    .filter(|part| matches!(part, Component::Normal(_)))
                    .collect(),
            );
        }
        self.problem(
            &path.span,
            format!(
                "`{key}` is `{}`, which is no path inside the repository",
                path.value.escape_debug()
            ),
            "write a relative path without `..`, such as `backend`",
        );
        None
    }

    /// A name with `{project}`, `{env}` and `{service}` in it, checked with samples in their place.
    pub(super) fn pattern(
        &mut self,
        path: &str,
        key: &str,
        said: Option<&Located<String>>,
        default: &str,
        rule: &NameRule,
    ) -> String {
        let Some(said) = said else {
            return default.to_owned();
        };
        let sample = fill(
            &said.value,
            &[
                ("project", "project"),
                ("env", "env"),
                ("service", "service"),
            ],
        );
        if !(rule.is_legal)(&sample) {
            self.problem(
                &said.span,
                format!(
                    "`{path}.{key}` is `{}`, which is no {}",
                    said.value.escape_debug(),
                    rule.what
                ),
                format!(
                    "use {}; `{{project}}`, `{{env}}` and `{{service}}` are filled in",
                    rule.form
                ),
            );
        }
        said.value.clone()
    }

    pub(super) fn build_args(
        &mut self,
        path: &str,
        args: &raw::Named<Located<String>>,
    ) -> BTreeMap<String, String> {
        for (key, value) in args {
            let name = key.name();
            if !name::is_build_arg(name) {
                let cure = "use letters, digits and `_`, not starting with a digit";
                self.problem(
                    &key.0.span,
                    format!(
                        "`{path}.build-args` has `{}`, which is no argument name",
                        name.escape_debug()
                    ),
                    cure,
                );
            } else if RESERVED_BUILD_ARGS.contains(&name) {
                let cure = "remove it: the tool and BuildKit set it from the service and the target's architecture";
                self.problem(
                    &key.0.span,
                    format!("`{path}.build-args.{name}` is not yours to set"),
                    cure,
                );
            }
            self.one_line(&format!("{path}.build-args.{name}"), value);
        }
        raw::texts(args)
    }

    /// A text that ends up on a command line.
    pub(super) fn one_line(&mut self, path: &str, text: &Located<String>) {
        if text.value.chars().any(char::is_control) {
            let title = format!("`{path}` has a control character");
            self.problem(&text.span, title, "write one line of printable text");
        }
    }
}
