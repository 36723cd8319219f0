//! A login that leaves no trace: docker's configuration for pushing, in a private folder, gone afterwards.
//!
//! Architecture Invariant: the token goes to `docker login` by standard input. It is on no command line, in no output, and
//! never in the user's own `~/.docker/config.json` or keychain.

use std::{
    fs,
    os::unix::fs::{DirBuilderExt, symlink},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::Docker;
use crate::{aws::Reader, facts::host, interrupt::Transient, process};

const PREFIX: &str = "xtask-docker-";

/// A docker configuration that is logged in to one registry.
pub struct Session<'a> {
    folder: Transient,
    registry: String,
    aws: Reader<'a>,
}

impl<'a> Session<'a> {
    /// Logs in to the registry.
    ///
    /// # Errors
    /// ECR that gives no token, or a registry that refuses it.
    pub fn open(docker: &Docker, registry: &str, aws: Reader<'a>) -> Result<Self> {
        let place = memory_folder();
        remove_leftovers(&place);
        let folder =
            place.join(format!("{PREFIX}{}-{}", std::process::id(), registry.replace(|c: char| !c.is_ascii_alphanumeric(), "-")));
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&folder)
            .with_context(|| format!("failed to create the private folder `{}`", folder.display()))?;
        let session = Self { folder: Transient::new(folder), registry: registry.to_owned(), aws };
        session.write_config()?;
        session.login(docker)?;
        Ok(session)
    }

    /// The folder, for `DOCKER_CONFIG`.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Fetches a token and gives it to docker.
    pub fn login(&self, docker: &Docker) -> Result<()> {
        let login = self.aws.login()?;
        let tool = docker.with_config(self.folder());
        let words = ["login", "--username", &login.user, "--password-stdin", &self.registry];
        tool.read_with_input(&words, login.password().as_bytes())
            .with_context(|| format!("failed to log in to `{}`", self.registry))?;
        Ok(())
    }

    /// The user's contexts and proxies go on to work; the user's logins and credential stores are left out. An entry
    /// without a login keeps docker from picking the desktop's keychain, as it does for an empty configuration.
    fn write_config(&self) -> Result<()> {
        let theirs = host::docker_config();
        let text = theirs.as_ref().and_then(|folder| fs::read_to_string(folder.join("config.json")).ok());
        let mut config: Map<String, Value> = text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        config.retain(|key, _| !matches!(key.as_str(), "auths" | "credsStore" | "credHelpers"));
        config.insert("auths".to_owned(), json!({ self.registry.clone(): {} }));
        let file = self.folder().join("config.json");
        fs::write(&file, Value::Object(config).to_string()).with_context(|| format!("failed to write `{}`", file.display()))?;
        if let Some(contexts) = theirs.map(|folder| folder.join("contexts")).filter(|contexts| contexts.is_dir()) {
            symlink(&contexts, self.folder().join("contexts")).context("failed to link docker's contexts")?;
        }
        Ok(())
    }
}

/// A folder that is kept in memory where there is one: what is in it does not survive a power cut.
fn memory_folder() -> PathBuf {
    let run = host::variable("XDG_RUNTIME_DIR").map(PathBuf::from);
    let candidates = [run, Some(PathBuf::from("/dev/shm"))];
    let writable = |folder: &PathBuf| folder.is_dir() && tempfile::tempdir_in(folder).is_ok();
    candidates.into_iter().flatten().find(writable).unwrap_or_else(std::env::temp_dir)
}

/// A run that was killed outright could not clean up; the next one does.
fn remove_leftovers(place: &Path) {
    let Ok(entries) = fs::read_dir(place) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()).and_then(|id| id.parse().ok());
        if process.is_some_and(|process: u32| process == std::process::id() || !process::is_running(process)) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
