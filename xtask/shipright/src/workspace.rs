//! The project that a command is about: its deploy.toml, and the sandbox where `--sandbox` asks for one.
//!
//! With `--sandbox` every environment has the sandbox's account and region from the start, so that what is decided from the
//! configuration is decided once, before anything is started.

use anyhow::Result;

use crate::{
    context::Context,
    docker::Docker,
    endpoint,
    model::config::{Config, Environment},
    plan,
    refused::Refused,
    sandbox::{self, Sandbox},
};

/// A project, read.
pub struct Workspace<'c> {
    context: &'c Context,
    /// Its deploy.toml, as the sandbox has it where there is one.
    pub config: Config,
}

impl<'c> Workspace<'c> {
    /// Reads deploy.toml. Nothing is started yet.
    ///
    /// # Errors
    /// Every problem in it.
    pub fn of(context: &'c Context) -> Result<Self> {
        Ok(Self::with(context, context.config()?))
    }

    /// The same where there is one: images can be looked at anywhere.
    ///
    /// # Errors
    /// Every problem in deploy.toml, where it `is_needed`.
    pub fn if_any(context: &'c Context, is_needed: bool) -> Result<Option<Self>> {
        match Self::of(context) {
            Err(error) if is_needed => Err(error),
            other => Ok(other.ok()),
        }
    }

    /// The same of a deploy.toml that was read.
    pub fn with(context: &'c Context, mut config: Config) -> Self {
        if context.global.sandbox {
            sandbox::move_in(&mut config);
        }
        Self { context, config }
    }

    /// The environment with this name.
    ///
    /// # Errors
    /// A refusal that names the nearest one.
    pub fn environment(&self, name: &str) -> Result<&Environment, Refused> {
        plan::environment(&self.config, name).map_err(Refused::from)
    }

    /// Whether the sandbox stands in for every environment.
    pub fn is_in_sandbox(&self) -> bool {
        self.context.global.sandbox
    }

    /// Asks whether an environment's `endpoint` may be sent credentials, where that is a question.
    ///
    /// # Errors
    /// A refusal.
    pub fn require_trust(&self, environment: &Environment) -> Result<(), Refused> {
        endpoint::require_trust(self.context, environment)
    }

    /// The sandbox, started, where `--sandbox` asks for one. A dry run starts nothing.
    ///
    /// # Errors
    /// A sandbox that does not start.
    pub fn sandbox(&self) -> Result<Option<Sandbox>> {
        let global = &self.context.global;
        if !global.sandbox {
            return Ok(None);
        }
        let (root, terminal) = (&self.config.root, &self.context.terminal);
        let sandbox = if global.dry_run {
            Sandbox::look(root)?
        } else {
            Sandbox::up(root, terminal)?
        };
        if !sandbox.is_up() {
            terminal.note("no sandbox runs: this is the plan for an empty one");
        }
        Ok(Some(sandbox))
    }

    /// The sandbox's docker, or the user's own.
    pub fn docker(sandbox: Option<&Sandbox>) -> Docker {
        Docker::new(&sandbox.map(Sandbox::docker_env).unwrap_or_default())
    }
}
