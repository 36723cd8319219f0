//! What a shell offers at the press of a key: the words of the command line, and what the deploy.toml at hand has for them.
//!
//! A shell's script starts this very program with [`VARIABLE`] set, and nothing else: no other program is started for it.

use std::{ffi::OsStr, path::Path, sync::Arc};

use clap::{Arg, Command};
use clap_complete::{CompleteEnv, CompletionCandidate, engine::ArgValueCompleter, env::Shells};

use crate::{
    facts::{git, host},
    model::config::Config,
    plan,
};

/// The environment variable that says which shell asks.
const VARIABLE: &str = "XTASK_COMPLETE";

/// How many commits are offered as tags.
const COMMITS: usize = 20;

/// Whether a shell asks.
pub(crate) fn is_asked() -> bool {
    host::variable(VARIABLE).is_some()
}

/// Answers a shell. `command` is the command line with everything that can be typed.
///
/// # Errors
/// A shell that is not known.
pub(crate) fn answer(
    words: &[String],
    command: impl Fn() -> Command,
    config: Option<Config>,
) -> Result<(), clap::Error> {
    let config = Arc::new(config);
    let here = std::env::current_dir().ok();
    let factory = || with_values(command(), &config);
    CompleteEnv::with_factory(factory)
        .var(VARIABLE)
        .try_complete(words, here.as_deref())
        .map(drop)
}

/// The script with which a shell asks this program for what can come after `name`.
pub(crate) fn script(shell: &str, name: &str) -> Option<String> {
    let shells = Shells::builtins();
    let shell = shells.completer(shell)?;
    // This very file: another one of the same name, in a directory that a key is pressed in, is not started.
    let program = std::env::current_exe().ok()?;
    let mut text = Vec::new();
    shell
        .write_registration(VARIABLE, name, name, program.to_str()?, &mut text)
        .ok()?;
    String::from_utf8(text).ok()
}

/// The command line with values that are taken from a deploy.toml.
fn with_values(command: Command, config: &Arc<Option<Config>>) -> Command {
    let names: Vec<String> = command
        .get_subcommands()
        .map(|inner| inner.get_name().to_owned())
        .collect();
    let command = command.mut_args(|arg| match values_of(&arg) {
        Some(values) => {
            let config = Arc::clone(config);
            let complete = move |typed: &OsStr| {
                let typed = typed.to_string_lossy();
                let all = config.as_ref().as_ref().map(values).unwrap_or_default();
                let fitting = all.into_iter().filter(|value| value.starts_with(&*typed));
                fitting.map(CompletionCandidate::new).collect()
            };
            arg.add(ArgValueCompleter::new(complete))
        }
        None => arg,
    });
    names.into_iter().fold(command, |command, name| {
        command.mut_subcommand(name, |inner| with_values(inner, config))
    })
}

type Values = fn(&Config) -> Vec<String>;

/// What an argument can be, by the name that help has for its value.
fn values_of(arg: &Arg) -> Option<Values> {
    let name = arg.get_value_names()?.first()?.as_str();
    let values: Values = match (name, arg.get_id().as_str()) {
        ("ENV" | "FROM" | "TO", _) => environments,
        ("VERSION|TAG|DIGEST", _) => tags,
        ("SERVICE", _) => services,
        ("FILE", "dockerfile") => dockerfiles,
        ("STAGE", _) => stages,
        _ => return None,
    };
    Some(values)
}

fn environments(config: &Config) -> Vec<String> {
    config.environments.keys().cloned().collect()
}

fn services(config: &Config) -> Vec<String> {
    config.services.keys().cloned().collect()
}

fn dockerfiles(config: &Config) -> Vec<String> {
    let all = plan::all(config).map(|one| {
        let dockerfile: &Path = &one.image.dockerfile;
        dockerfile.display().to_string()
    });
    once_each(all)
}

fn stages(config: &Config) -> Vec<String> {
    once_each(plan::all(config).filter_map(|one| one.image.stage.clone()))
}

/// The tags that the last commits have, and those of the environments.
fn tags(config: &Config) -> Vec<String> {
    let commits = git::recent(&config.root, COMMITS);
    let all = plan::all(config).flat_map(|one| {
        let prefix = &one.image.tag_prefix;
        let latest = config.environments.keys();
        let latest = latest.map(move |environment| format!("{prefix}{environment}-latest"));
        let commits = commits.iter().map(move |commit| {
            let short: String = commit.chars().take(config.revision_length).collect();
            format!("{prefix}{short}")
        });
        latest.chain(commits)
    });
    once_each(all)
}

fn once_each(all: impl Iterator<Item = String>) -> Vec<String> {
    let mut known = std::collections::BTreeSet::new();
    all.filter(|one| known.insert(one.clone())).collect()
}
