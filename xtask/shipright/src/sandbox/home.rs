//! Where a sandbox lives, and what is known of the one that runs: a directory under `target/`, a lock and a state file.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use image_oci::digest_of;
use serde::{Deserialize, Serialize};

use crate::facts::state;

/// The directory of a sandbox.
#[derive(Debug, Clone)]
pub(super) struct Home(PathBuf);

/// What `up` has started. Written as soon as something runs, so that `down` finds it whatever happens next.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(super) struct State {
    /// The local AWS.
    pub emulator: Option<Emulator>,
    /// Whether the engine is our own.
    pub private_engine: bool,
    /// Whether base images had to be made, once that is known.
    pub bases: Option<Bases>,
}

/// A running emulator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Emulator {
    /// Its process.
    pub process: u32,
    /// Its port on 127.0.0.1.
    pub port: u16,
}

/// Where base images come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Bases {
    /// From their public registries.
    Pulled,
    /// From the sandbox's own registry, made of Debian packages.
    Made,
}

/// The right to change a sandbox. Held by one process at a time.
pub(super) struct Lock(#[expect(dead_code, reason = "the lock ends with the file")] File);

impl Home {
    /// The sandbox of a project.
    ///
    /// # Errors
    /// A directory that cannot be made.
    pub(super) fn of(root: &Path) -> Result<Self> {
        let directory = state::directory(root)?.join("sandbox");
        fs::create_dir_all(&directory)
            .with_context(|| format!("failed to create `{}`", directory.display()))?;
        let directory = directory
            .canonicalize()
            .with_context(|| format!("failed to resolve `{}`", directory.display()))?;
        Ok(Self(directory))
    }

    /// A path inside.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A few characters that tell this sandbox from others on the machine.
    pub(super) fn id(&self) -> String {
        let digest = digest_of(self.0.as_os_str().as_encoded_bytes());
        digest
            .trim_start_matches("sha256:")
            .chars()
            .take(8)
            .collect()
    }

    /// Waits until no other process changes this sandbox.
    ///
    /// # Errors
    /// A file that cannot be made or locked.
    pub(super) fn lock(&self) -> Result<Lock> {
        let file = self.path("lock");
        let open = || -> std::io::Result<File> {
            let lock = File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&file)?;
            lock.lock()?;
            Ok(lock)
        };
        open()
            .map(Lock)
            .with_context(|| format!("failed to lock `{}`", file.display()))
    }

    /// What is known to run. A file that cannot be read is as good as none.
    pub(super) fn state(&self) -> State {
        let text = fs::read(self.path("state.json")).ok();
        text.and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default()
    }

    /// Writes down what runs.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub(super) fn remember(&self, state: &State) -> Result<()> {
        let file = self.path("state.json");
        let next = self.path("state.json.next");
        let text = serde_json::to_string_pretty(state).context("failed to describe the sandbox")?;
        fs::write(&next, text)
            .and_then(|()| fs::rename(&next, &file))
            .with_context(|| format!("failed to write `{}`", file.display()))
    }
}

/// Removes a directory and everything in it, if it is there.
///
/// # Errors
/// A directory that stays.
pub(super) fn remove(directory: &Path) -> Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("failed to remove `{}`", directory.display()))
        }
        _ => Ok(()),
    }
}
