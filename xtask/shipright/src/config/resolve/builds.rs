//! How an image is built, resolved: contexts, stage, labels, secrets, ssh, network and cache.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use super::super::{
    finding::Finding,
    raw::{self, Located},
};
use crate::model::{
    cache::Store,
    config::{ImageCache, NamedContext, Network, Secret, SecretSource},
    label, name,
    suggestion::suggestion,
};

/// Labels that are not the user's to set.
const RESERVED_LABELS: [&str; 4] = [
    label::REVISION,
    label::CREATED,
    label::SOURCE,
    label::VERSION,
];

impl Finding<'_> {
    /// The Dockerfile, an absolute path: from the build context, and perhaps above it, but inside the repository.
    pub(super) fn dockerfile(
        &mut self,
        path: &str,
        said: &Located<String>,
        (root, context): (&Path, &Path),
    ) -> Option<PathBuf> {
        let word = &said.value;
        let is_plain = !word.is_empty()
            && !word.starts_with(['-', '/'])
            && !word.chars().any(char::is_control);
        let file = crate::model::path::normal(&context.join(word));
        if is_plain && file.starts_with(root) && file != root {
            return Some(file);
        }
        self.problem(
            &said.span,
            format!(
                "`{path}.dockerfile` is `{}`, which is no path inside the repository",
                word.escape_debug()
            ),
            "write a path from the build context, such as `Dockerfile` or `../docker/Dockerfile`",
        );
        None
    }

    /// A build context, an absolute path.
    pub(super) fn context(
        &mut self,
        path: &str,
        said: Option<&Located<String>>,
        root: &Path,
        default: &Path,
    ) -> PathBuf {
        let inner = said.and_then(|said| self.inner_path(&format!("{path}.context"), said));
        inner.map_or_else(|| default.to_path_buf(), |inner| root.join(inner))
    }

    pub(super) fn contexts(
        &mut self,
        path: &str,
        said: &raw::Named<Located<String>>,
        root: &Path,
    ) -> BTreeMap<String, NamedContext> {
        let mut contexts = BTreeMap::new();
        for (key, place) in said {
            let (name, path) = (key.name(), format!("{path}.contexts.{}", key.name()));
            if !name::is_context(name) {
                let cure = "use letters, digits, `.`, `_`, `-`, `/` and `:`, starting with a letter or a digit";
                let word = name.escape_debug();
                self.problem(
                    &key.0.span,
                    format!("`{word}` is no name of a context"),
                    cure,
                );
            }
            let is_address = place.value.contains("://") && !place.value.starts_with('-');
            let is_plain = !place
                .value
                .contains(|c: char| c.is_whitespace() || c.is_control());
            let found = if is_address && is_plain {
                Some(NamedContext::Address(place.value.clone()))
            } else {
                self.inner_path(&path, place)
                    .map(|inner| NamedContext::Directory(root.join(inner)))
            };
            contexts.extend(found.map(|found| (name.to_owned(), found)));
        }
        contexts
    }

    pub(super) fn stage(&mut self, path: &str, said: Option<&Located<String>>) -> Option<String> {
        let said = said?;
        if !name::is_stage(&said.value) {
            let word = said.value.escape_debug();
            self.problem(
                &said.span,
                format!("`{path}.stage` is `{word}`, which is no name of a stage"),
                "write what stands after `AS` in the Dockerfile: letters, digits, `.`, `_` and `-`",
            );
        }
        Some(said.value.clone())
    }

    pub(super) fn labels(
        &mut self,
        path: &str,
        said: &raw::Named<Located<String>>,
    ) -> BTreeMap<String, String> {
        for (key, value) in said {
            let name = key.name();
            if RESERVED_LABELS.contains(&name) {
                self.problem(
                    &key.0.span,
                    format!("`{path}.labels.{name}` is not yours to set"),
                    "remove it: the tool sets it from the commit; `project.source` says where the code lives",
                );
            } else if name.is_empty()
                || name.contains(['=', ' '])
                || name.chars().any(char::is_control)
            {
                let word = name.escape_debug();
                self.problem(
                    &key.0.span,
                    format!("`{path}.labels` has `{word}`, which is no name of a label"),
                    "use a name such as `com.example.team`, in quotes",
                );
            }
            self.one_line(&format!("{path}.labels.{name}"), value);
        }
        raw::texts(said)
    }

    pub(super) fn secrets(&mut self, path: &str, said: &[raw::Secret]) -> Vec<Secret> {
        let mut secrets: Vec<Secret> = Vec::new();
        for secret in said {
            let id = &secret.id;
            let path = format!("{path}.secrets.{}", id.value.escape_debug());
            if !name::is_stage(&id.value) {
                let word = id.value.escape_debug();
                self.problem(
                    &id.span,
                    format!("`{word}` is no id of a secret"),
                    "use letters, digits, `.`, `_` and `-`, as in `RUN --mount=type=secret,id=npmrc`",
                );
            } else if id.value == "ca" {
                let cure = "give it another id: `ca` is the host's certificates, where `SSL_CERT_FILE` names them";
                self.problem(&id.span, format!("`{path}` has an id that is taken"), cure);
            } else if secrets.iter().any(|other| other.id == id.value) {
                self.problem(
                    &id.span,
                    format!("`{path}` is there twice"),
                    "give it another id",
                );
            }
            let source = self.secret_source(&path, secret);
            let required = secret.required.unwrap_or(true);
            secrets.extend(source.map(|source| Secret {
                id: id.value.clone(),
                source,
                required,
            }));
        }
        secrets
    }

    fn secret_source(&mut self, path: &str, secret: &raw::Secret) -> Option<SecretSource> {
        const CURE: &str = "write where its value is: `file = \"~/.npmrc\"`, or `env = \"NPM_TOKEN\"`; never the value itself";
        match (&secret.file, &secret.env) {
            (Some(file), None) => {
                let word = &file.value;
                // A comma would end the field of `--secret`.
                let is_plain =
                    !word.is_empty() && !word.contains(|c: char| c == ',' || c.is_control());
                if !is_plain {
                    let title = format!(
                        "`{path}.file` is `{}`, which is no file",
                        word.escape_debug()
                    );
                    self.problem(&file.span, title, CURE);
                }
                Some(SecretSource::File(word.clone()))
            }
            (None, Some(variable)) => {
                if !name::is_build_arg(&variable.value) {
                    let word = variable.value.escape_debug();
                    let title =
                        format!("`{path}.env` is `{word}`, which is no environment variable");
                    self.problem(&variable.span, title, CURE);
                }
                Some(SecretSource::Env(variable.value.clone()))
            }
            (Some(_), Some(variable)) => {
                let title = format!("`{path}` has both `file` and `env`");
                self.problem(&variable.span, title, "remove one of them");
                None
            }
            (None, None) => {
                self.problem(
                    &secret.id.span,
                    format!("`{path}` has neither `file` nor `env`"),
                    CURE,
                );
                None
            }
        }
    }

    pub(super) fn ssh(&mut self, path: &str, said: Option<&raw::Ssh>) -> Vec<String> {
        let names = said.map(|said| said.0.as_slice()).unwrap_or_default();
        for name in names.iter().filter(|name| !name::is_stage(&name.value)) {
            let word = name.value.escape_debug();
            self.problem(
                &name.span,
                format!("`{path}.ssh` has `{word}`, which is no name of a key"),
                "write `ssh = true`, or names as in `RUN --mount=type=ssh,id=github`",
            );
        }
        let mut known = BTreeSet::new();
        let once = names.iter().filter(|name| known.insert(&name.value));
        once.map(|name| name.value.clone()).collect()
    }

    pub(super) fn network(
        &mut self,
        path: &str,
        said: Option<&Located<String>>,
    ) -> Option<Network> {
        let said = said?;
        let all = [Network::None, Network::Host];
        let found = all.into_iter().find(|network| network.name() == said.value);
        if found.is_none() {
            let word = said.value.escape_debug();
            let title = format!("`{path}.network` is `{word}`, which is no network of a build");
            self.problem(
                &said.span,
                title,
                suggestion(&said.value, all.map(Network::name)),
            );
        }
        found
    }

    pub(super) fn image_cache(
        &mut self,
        path: &str,
        said: Option<&Located<String>>,
    ) -> Option<ImageCache> {
        let said = said?;
        if said.value == "none" {
            return Some(ImageCache::None);
        }
        let store = self.store(path, said, &["none"]);
        store.map(ImageCache::In)
    }

    /// A place for the build cache; `others` are words that may stand there as well.
    pub(super) fn store(
        &mut self,
        path: &str,
        said: &Located<String>,
        others: &[&'static str],
    ) -> Option<Store> {
        let mut all = Store::ALL.into_iter();
        let store = all.find(|store| store.name() == said.value);
        if store.is_none() {
            let word = said.value.escape_debug();
            let title = format!("`{path}.cache` is `{word}`, which is no place for a cache");
            let names = Store::ALL.map(Store::name).into_iter();
            let names = names.chain(others.iter().copied());
            self.problem(&said.span, title, suggestion(&said.value, names));
        }
        store
    }
}
