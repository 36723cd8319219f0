//! Docker's command line: what is asked of it and what is made of its answers.
//!
//! The command line and not the engine's API, because users' contexts, builders, plugins and credential helpers live
//! there.

mod build;
mod builders;
mod credentials;
mod failure;
mod images;
mod materials;
mod plugin;
mod probe;
mod progress;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError, atomic::AtomicBool},
};

use anyhow::{Context, Result, bail};
pub use build::{Built, Part, SILENCE};
use builders::Described;
pub use credentials::{ExistingLogins, LoginSession};
pub use failure::BuildFailed;
pub use materials::Base;
pub use progress::BuildStep;

use crate::{
    arch::Arch,
    facts::host,
    model::builder::Builder,
    plan::command,
    process::{Outcome, Tool},
};

/// Docker as this run reaches it.
#[derive(Debug, Clone)]
pub struct Docker {
    tool: Tool,
    /// `docker buildx`.
    buildx: Tool,
    config: Option<PathBuf>,
    /// What the engine says of itself, once it has been asked.
    engine: Arc<OnceLock<Engine>>,
    /// Whether buildx is too old to tell its progress as JSON.
    has_plain_progress_alone: Arc<AtomicBool>,
    /// What buildx says of its builders, once it has been asked, by name; the current one has none.
    builders: Arc<Mutex<BTreeMap<Option<String>, Described>>>,
}

/// An engine.
#[derive(Debug, Clone)]
struct Engine {
    version: String,
    arch: Option<Arch>,
}

impl Docker {
    /// Docker with these environment variables beyond the usual ones.
    pub fn new(env: &[(String, String)]) -> Self {
        // BuildKit adds an attestation by default, which makes an index of every image; Lambda refuses it.
        let tool = Tool::new("docker").env("BUILDX_NO_DEFAULT_ATTESTATIONS", "1");
        let config = env
            .iter()
            .find(|(name, _)| name == "DOCKER_CONFIG")
            .map(|(_, directory)| PathBuf::from(directory));
        let config = config.or_else(host::docker_config);
        let path = env.iter().find(|(name, _)| name == "PATH");
        let path = path.map_or_else(host::path, |(_, path)| path.into());
        let tool = tool.envs(env);
        let plugin = if plugin::needs_docker(env) {
            None
        } else {
            plugin::buildx(&path, config.as_deref())
        };
        // With it buildx believes that docker has started it.
        let alone = tool
            .clone()
            .without_env("DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND");
        Self {
            buildx: alone.command_or_plugin("buildx", plugin.as_deref()),
            tool,
            config,
            engine: Arc::default(),
            has_plain_progress_alone: Arc::default(),
            builders: Arc::default(),
        }
    }

    /// Makes sure that an engine answers and buildx is there. Returns the engine's version.
    ///
    /// # Errors
    /// What is missing, and how to get it.
    pub fn check(&self) -> Result<String> {
        let version = self.engine()?.version.clone();
        let has_told_of_builders = !self.known_builders().is_empty();
        if !has_told_of_builders {
            self.check_buildx()?;
        }
        Ok(version)
    }

    fn engine(&self) -> Result<&Engine> {
        if let Some(known) = self.engine.get() {
            return Ok(known);
        }
        let said = self
            .tool
            .read(&[
                "version",
                "--format",
                "{{.Server.Version}} {{.Server.Arch}}",
            ])
            .context(
                "no Docker Engine answers: start it, or set DOCKER_HOST or a docker context; \
             `--sandbox` starts a private one on Debian",
            )?;
        let (version, arch) = said.trim().split_once(' ').unwrap_or((&said, ""));
        Ok(self.engine.get_or_init(|| Engine {
            version: version.to_owned(),
            arch: arch.parse().ok(),
        }))
    }

    /// Checks that docker has buildx.
    fn check_buildx(&self) -> Result<String> {
        self.buildx
            .read(&["version"])
            .context("docker has no buildx: install it (Debian: docker-buildx; Docker's own packages: docker-buildx-plugin)")
    }

    /// The CPU of the machine that the engine runs on, as it says itself.
    pub fn native_arch(&self) -> Option<Arch> {
        self.engine().ok()?.arch
    }

    /// Gibibytes that are free where the engine keeps its images, if that is on this machine.
    pub fn free_disk(&self) -> Option<u64> {
        let directory = self
            .tool
            .read(&["info", "--format", "{{.DockerRootDir}}"])
            .ok()?;
        let said = Tool::new("df")
            .read(&["--output=avail", "--block-size=1G", &directory])
            .ok()?;
        said.lines().nth(1)?.trim().parse().ok()
    }

    /// Registers QEMU for an architecture with the engine's kernel.
    ///
    /// # Errors
    /// An image that cannot be pulled, or an engine that allows no privileged container.
    pub fn install_emulation(&self, arch: Arch) -> Result<()> {
        self.tool.read(&[
            "run",
            "--privileged",
            "--rm",
            "tonistiigi/binfmt",
            "--install",
            arch.oci(),
        ])?;
        Ok(())
    }

    /// Runs `docker` with these words on this program's own terminal, all of it on standard error where the other stream
    /// is kept for a document.
    ///
    /// # Errors
    /// A docker that cannot be started.
    pub fn run_in_foreground(&self, words: &[&str], is_stdout_ours: bool) -> Result<Outcome> {
        self.tool.inherit(words, is_stdout_ours)
    }

    /// Runs a program of an image for an architecture, and returns what it prints.
    ///
    /// # Errors
    /// A program that ends with an error.
    pub fn run(&self, image: &str, arch: Arch, program: &[&str]) -> Result<String> {
        let (first, rest) = program.split_first().context("no program is named")?;
        let platform = arch.platform();
        let words = [
            &[
                "run",
                "--rm",
                "--platform",
                &platform,
                "--entrypoint",
                first,
                image,
            ],
            rest,
        ]
        .concat();
        Ok(self.tool.read(&words)?.trim().to_owned())
    }

    /// Makes the builder of an address, unless it is there. One at a time: two builds may need the same one.
    fn provide(&self, builder: &Builder) -> Result<()> {
        static TURN: Mutex<()> = Mutex::new(());
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        if self.buildx.read(&["inspect", &builder.name]).is_ok() {
            return Ok(());
        }
        let Some(address) = &builder.address else {
            bail!(
                "there is no builder `{}`: `docker buildx ls` lists them, and [builders] in deploy.toml names one",
                builder.name
            );
        };
        let words = command::create_builder(&builder.name, address);
        let made = self
            .buildx
            .read(&words.iter().map(String::as_str).collect::<Vec<_>>());
        if made.is_err() && self.buildx.read(&["inspect", &builder.name]).is_ok() {
            // Another run has made it meanwhile.
            return Ok(());
        }
        made.with_context(|| format!("failed to make a builder of `{address}`"))
            .map(drop)
    }
}

/// The same with a configuration directory of its own.
fn with_config(tool: &Tool, directory: &Path) -> Tool {
    tool.clone().env("DOCKER_CONFIG", directory)
}
