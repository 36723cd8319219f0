//! The project that is measured: services with a large layer of what they depend on and a small one of their own.

use std::{fmt::Write as _, path::Path};

use shipright::anyhow::Result;

use crate::scratch::Scratch;

/// What happens between two pushes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, shipright::clap::ValueEnum)]
pub(super) enum Change {
    /// Nothing: the same commit again.
    Nothing,
    /// A new commit, with nothing in it that a build reads.
    Commit,
    /// One small layer of each service.
    Layer,
    /// Every layer of each service.
    Everything,
}

impl Change {
    /// For people and documents.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Commit => "a commit",
            Self::Layer => "a layer",
            Self::Everything => "everything",
        }
    }
}

/// The project's name, and its repository's.
pub(super) const NAME: &str = "bench";

/// The repository of the documented flow: each flow has one of its own, since both write the same tags.
pub(super) const DOCUMENTED: &str = "bench-documented";

/// A project in a directory of its own.
pub(super) struct Project {
    scratch: Scratch,
    services: usize,
    /// The size of the large layer.
    megabytes: usize,
    /// How often it was changed: random bytes are made of it.
    changes: u64,
}

impl Project {
    /// Makes a project of so many services.
    pub(super) fn new(root: &Path, services: usize, megabytes: usize) -> Result<Self> {
        let mut project = Self {
            scratch: Scratch::new(root)?,
            services,
            megabytes,
            changes: 1,
        };
        let mut deploy = format!(
            "[project]\nname = \"{NAME}\"\n\n[environments.dev]\naccount = \"000000000000\"\nregion = \"us-east-1\"\n\
             create-repository = true\n"
        );
        for service in project.services() {
            let _ = write!(
                deploy,
                "\n[services.{service}]\ncontext = \"services/{service}\"\nimages = [{{ dockerfile = \"Dockerfile\", target = \
                 \"lambda\" }}]\n"
            );
            let dockerfile = "FROM scratch\nCOPY dependencies /dependencies\nCOPY app /app\n";
            project.write(&service, "Dockerfile", dockerfile.as_bytes())?;
        }
        let scratch = &project.scratch;
        scratch.write("deploy.toml", deploy.as_bytes())?;
        scratch.write(".gitignore", b"/target\n/services/*/dependencies\n")?;
        project.change(Change::Everything)?;
        Ok(project)
    }

    /// The names of the services.
    pub(super) fn services(&self) -> Vec<String> {
        (0..self.services)
            .map(|number| format!("s{number}"))
            .collect()
    }

    /// Changes something in every service, and commits it.
    pub(super) fn change(&mut self, change: Change) -> Result<()> {
        self.changes += 1;
        for (number, service) in self.services().into_iter().enumerate() {
            let seed = self.changes * 1000 + number as u64;
            if change == Change::Everything {
                self.write(
                    &service,
                    "dependencies",
                    &random(seed, self.megabytes << 20),
                )?;
            }
            if matches!(change, Change::Everything | Change::Layer) {
                self.write(&service, "app", &random(seed + 500, 1 << 20))?;
            }
        }
        if change == Change::Nothing {
            return Ok(());
        }
        self.scratch.commit()
    }

    fn write(&self, service: &str, name: &str, bytes: &[u8]) -> Result<()> {
        let file = format!("services/{service}/{name}");
        self.scratch.write(&file, bytes)
    }
}

/// Bytes that nothing makes smaller. Source: Marsaglia, "Xorshift RNGs".
fn random(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
