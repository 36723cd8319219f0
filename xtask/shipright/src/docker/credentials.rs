//! A login that leaves no trace: docker's configuration for pulling and for a cache in a registry, in a private directory, gone
//! afterwards.
//!
//! Architecture Invariant: the token is on no command line, in no output, and never in the user's own `~/.docker/config.json` or
//! keychain.

use std::{
    fs,
    os::unix::fs::{DirBuilderExt, symlink},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::Docker;
use crate::{
    facts::host, interrupt::Transient, process, registry::Login, repositories::Repositories,
};

const PREFIX: &str = "xtask-docker-";

/// What a session does with the user's logins to other registries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExistingLogins {
    /// A pull of an image of ours has no use for them.
    LeftOut,
    /// A build may need them for its base images.
    Kept,
}

/// A docker configuration with the login of one registry.
pub struct LoginSession {
    directory: Transient,
}

impl LoginSession {
    /// Gives docker the token of a registry, or the login that docker keeps for it. A registry that docker has no login for may
    /// want none.
    ///
    /// # Errors
    /// ECR that gives no token, and a directory that cannot be made.
    pub fn open(
        docker: &Docker,
        registry: &str,
        repositories: Repositories<'_>,
        others: ExistingLogins,
    ) -> Result<Self> {
        let login = repositories.login()?;
        let place = memory_directory();
        remove_leftovers(&place);
        let directory = place.join(format!(
            "{PREFIX}{}-{}",
            std::process::id(),
            registry.replace(|c: char| !c.is_ascii_alphanumeric(), "-")
        ));
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&directory)
            .with_context(|| {
                format!(
                    "failed to create the private directory `{}`",
                    directory.display()
                )
            })?;
        let session = Self {
            directory: Transient::new(directory),
        };
        session.write_config(docker.config.as_deref(), registry, login.as_ref(), others)?;
        Ok(session)
    }

    /// The directory, for `DOCKER_CONFIG`.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The user's contexts, builders, plugins and proxies go on to work.
    fn write_config(
        &self,
        theirs: Option<&Path>,
        registry: &str,
        login: Option<&Login>,
        others: ExistingLogins,
    ) -> Result<()> {
        let text =
            theirs.and_then(|directory| fs::read_to_string(directory.join("config.json")).ok());
        let config = text
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default();
        let config = with_login(config, registry, login, others);
        let file = self.directory().join("config.json");
        fs::write(&file, Value::Object(config).to_string())
            .with_context(|| format!("failed to write `{}`", file.display()))?;
        for part in ["contexts", "buildx", "cli-plugins"] {
            if let Some(directory) = theirs
                .map(|directory| directory.join(part))
                .filter(|directory| directory.is_dir())
            {
                symlink(&directory, self.directory().join(part))
                    .with_context(|| format!("failed to link docker's {part}"))?;
            }
        }
        Ok(())
    }
}

/// The user's configuration with one more login, as `docker login` writes it where there is no keychain.
///
/// A keychain that is there already is asked for the registries that it has logins of, and for no others.
fn with_login(
    mut config: Map<String, Value>,
    registry: &str,
    login: Option<&Login>,
    others: ExistingLogins,
) -> Map<String, Value> {
    let part = |config: &mut Map<String, Value>, key: &str| match config.remove(key) {
        Some(Value::Object(part)) if others == ExistingLogins::Kept => part,
        _ => Map::new(),
    };
    let mut auths = part(&mut config, "auths");
    let mut helpers = part(&mut config, "credHelpers");
    if let Some(keychain) = config
        .remove("credsStore")
        .filter(|_| others == ExistingLogins::Kept)
    {
        for name in auths
            .keys()
            .filter(|name| !helpers.contains_key(*name))
            .cloned()
            .collect::<Vec<_>>()
        {
            helpers.insert(name, keychain.clone());
        }
    }
    let server = Login::server(registry);
    helpers.remove(server);
    let auth = login.map_or_else(|| json!({}), |login| json!({ "auth": login.encoded() }));
    auths.insert(server.to_owned(), auth);
    config.insert("auths".to_owned(), Value::Object(auths));
    if !helpers.is_empty() {
        config.insert("credHelpers".to_owned(), Value::Object(helpers));
    }
    config
}

/// A directory that is kept in memory where there is one: what is in it does not survive a power cut.
fn memory_directory() -> PathBuf {
    let run = host::variable("XDG_RUNTIME_DIR").map(PathBuf::from);
    let candidates = [run, Some(PathBuf::from("/dev/shm"))];
    let writable =
        |directory: &PathBuf| directory.is_dir() && tempfile::tempdir_in(directory).is_ok();
    candidates
        .into_iter()
        .flatten()
        .find(writable)
        .unwrap_or_else(std::env::temp_dir)
}

/// A run that was killed outright could not clean up; the next one does.
fn remove_leftovers(place: &Path) {
    let Ok(entries) = fs::read_dir(place) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split('-').next())
            .and_then(|id| id.parse().ok());
        if process.is_some_and(|process: u32| {
            process == std::process::id() || !process::is_running(process)
        }) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_keeps_the_other_logins_and_a_pull_has_none_of_them() {
        let theirs = json!({
            "auths": { "https://index.docker.io/v1/": {}, "ghcr.io": { "auth": "eA==" }, "ours": { "auth": "b2xk" } },
            "credsStore": "desktop",
            "credHelpers": { "ours": "ecr-login", "gcr.io": "gcloud" },
            "currentContext": "remote",
        });
        let Value::Object(theirs) = theirs else {
            unreachable!("it is an object")
        };
        let login = Login::from_ecr_token("QVdTOmh1bnRlcjI=").unwrap();
        let kept = Value::Object(with_login(
            theirs.clone(),
            "ours",
            Some(&login),
            ExistingLogins::Kept,
        ));
        assert_eq!(
            kept,
            json!({
                "auths": { "https://index.docker.io/v1/": {}, "ghcr.io": { "auth": "eA==" }, "ours": { "auth": "QVdTOmh1bnRlcjI=" } },
                "credHelpers": { "https://index.docker.io/v1/": "desktop", "ghcr.io": "desktop", "gcr.io": "gcloud" },
                "currentContext": "remote",
            })
        );
        let left_out = Value::Object(with_login(theirs, "ours", None, ExistingLogins::LeftOut));
        assert_eq!(
            left_out,
            json!({ "auths": { "ours": {} }, "currentContext": "remote" })
        );
        let odd = json!({ "auths": 3, "credsStore": "x" });
        let Value::Object(odd) = odd else {
            unreachable!("it is an object")
        };
        assert_eq!(
            Value::Object(with_login(odd, "ours", None, ExistingLogins::Kept)),
            json!({ "auths": { "ours": {} } })
        );
    }
}
