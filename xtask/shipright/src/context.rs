//! What every command works with: the global options, the terminal and the configuration.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::{
    calls,
    cli::Global,
    config,
    model::{config::Config, refusal::Refusal},
    record::{self, Record},
    refused::Refused,
    report::{
        document,
        terminal::{self, Terminal, Verbosity},
    },
};

/// What every command works with.
pub struct Context {
    /// The global options.
    pub global: Global,
    /// Where people watch.
    pub terminal: Terminal,
    /// deploy.toml, where it was read already.
    config: Option<Config>,
}

impl Context {
    /// Makes the terminal that the options ask for.
    pub fn new(global: Global) -> Self {
        let verbosity = match (global.quiet, global.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, false) => Verbosity::Normal,
            (false, true) => Verbosity::Verbose,
        };
        terminal::prepare(global.log_format, global.quiet);
        if verbosity == Verbosity::Verbose {
            calls::show();
        }
        Self {
            terminal: Terminal::new(verbosity),
            global,
            config: None,
        }
    }

    /// The same, with the deploy.toml that the options name: it was read to know the commands.
    #[must_use]
    pub(crate) fn having_read(self, config: Option<Config>) -> Self {
        Self { config, ..self }
    }

    /// Prints the one JSON document of a command, where `--json` asks for it.
    pub fn print(&self, value: &impl Serialize) {
        if self.global.json {
            document::print(value);
        }
    }

    /// Says which of our commands comes next, in the same sandbox where this one was.
    pub(crate) fn say_next(&self, command: &str) {
        let sandbox = self.sandbox_flag();
        self.terminal
            .next(&format!("cargo xtask {command}{sandbox}"));
    }

    /// What a command of ours has to end with to be about the same world as this one.
    pub(crate) fn sandbox_flag(&self) -> &'static str {
        if self.global.sandbox {
            " --sandbox"
        } else {
            ""
        }
    }

    /// Reads deploy.toml.
    ///
    /// # Errors
    /// Every problem in it.
    pub fn config(&self) -> Result<Config> {
        if let Some(config) = &self.config {
            return Ok(config.clone());
        }
        load_config(self.global.config.as_deref())
    }

    /// Writes down what was done. That it cannot be written undoes nothing.
    pub fn record(&self, config: &Config, records: &[Record]) {
        if let Err(error) = record::append(&config.root, records) {
            self.terminal.warning(&format!("{error:#}"));
        }
    }
}

/// Whether there is a deploy.toml here or above.
pub(crate) fn has_config() -> bool {
    let here = std::env::current_dir().ok();
    here.is_some_and(|here| config::find(&here).is_some())
}

/// Reads the named deploy.toml, or the nearest one.
///
/// # Errors
/// A file that is missing or refused.
pub(crate) fn load_config(file: Option<&Path>) -> Result<Config> {
    let here = std::env::current_dir().context("failed to read the current directory")?;
    let found = file.map(PathBuf::from).or_else(|| config::find(&here));
    let found = found.ok_or_else(|| {
        Refused::from(Refusal::new(
            format!(
                "there is no {} in `{}` or above it",
                config::FILE,
                here.display()
            ),
            "go to the project's directory, or name the file with `--config`",
        ))
    })?;
    if !found.is_file() {
        let problem = format!("`{}` is not there", found.display());
        return Err(Refused::from(Refusal::new(problem, "correct `--config`")).into());
    }
    config::load(&found)
}
