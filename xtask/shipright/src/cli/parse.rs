//! From what was typed to a command: the command line is made of deploy.toml's environments and a repository's own tasks, too.

use std::path::PathBuf;

use clap::{ArgMatches, Args, Command, CommandFactory, FromArgMatches, builder::StyledStr};

use super::{Cli, Global, Push, PushSelection, Task, groups};
use crate::report::name::as_typed;

/// The command line, started by `name`, with a command for every environment (`push-dev`, and `docker-push-dev`, its old name)
/// and with a repository's own tasks.
pub fn command(name: &str, environments: &[String], theirs: Vec<Command>) -> Command {
    let program = name.rsplit(' ').next().unwrap_or(name).to_owned();
    // Without a command there is an overview.
    let bare = Cli::command()
        .name(program)
        .bin_name(name)
        .subcommand_required(false)
        .arg_required_else_help(false);
    let ours = environments.iter().fold(bare, |command, environment| {
        let push = PushSelection::augment_args(Command::new(format!("push-{environment}")))
            .alias(format!("docker-push-{environment}"))
            .about(format!("Push to {environment}: the same as `push {environment}`"))
            .after_help(format!(
                "Examples:\n  cargo xtask push-{environment}\n  cargo xtask push-{environment} --service api --dry-run"
            ));
        command.subcommand(push)
    });
    let all = theirs.into_iter().fold(ours, |command, one| {
        let name = one.get_name().to_owned();
        if command.find_subcommand(&name).is_some() {
            command.mut_subcommand(name, |_| one)
        } else {
            command.subcommand(one)
        }
    });
    groups::grouped(typed(all))
}

/// Help that says what was typed to start this program.
fn typed(mut command: Command) -> Command {
    let said =
        |text: Option<&StyledStr>| text.map(|text| as_typed(&text.ansi().to_string()).into_owned());
    if let Some(text) = said(command.get_after_help()) {
        command = command.after_help(text);
    }
    if let Some(text) = said(command.get_about()) {
        command = command.about(text);
    }
    let names: Vec<String> = command
        .get_subcommands()
        .map(|inner| inner.get_name().to_owned())
        .collect();
    names
        .into_iter()
        .fold(command, |command, name| command.mut_subcommand(name, typed))
}

/// What was typed, beside the global options.
#[derive(Debug)]
pub enum Typed {
    /// One of our commands.
    Ours(Task),
    /// Completions, which are made of the whole command line.
    Completions(clap_complete::Shell),
    /// Manual pages into a directory, which are made of it as well.
    Man(PathBuf),
    /// A repository's own task: its place among them, and its arguments.
    Theirs(usize, ArgMatches),
}

/// Reads the command line. The error is clap's, with its own exit code and words.
///
/// # Errors
/// A command line that clap refuses, and requests for help and version.
pub fn parse(
    command: &mut Command,
    words: &[String],
    theirs: &[Command],
) -> Result<(Global, Typed), clap::Error> {
    let mut matches = command.try_get_matches_from_mut(words)?;
    let global = Global::from_arg_matches(&matches)?;
    let name = matches.subcommand_name().unwrap_or_default();
    if let Some(place) = theirs.iter().position(|one| one.get_name() == name)
        && let Some((_, inner)) = matches.remove_subcommand()
    {
        return Ok((global, Typed::Theirs(place, inner)));
    }
    Ok((global, ours(&matches)?))
}

fn ours(matches: &ArgMatches) -> Result<Typed, clap::Error> {
    let push = matches
        .subcommand()
        .and_then(|(name, inner)| Some((name.strip_prefix("push-")?, inner)));
    if let Some((environment, inner)) = push {
        let selection = PushSelection::from_arg_matches(inner)?;
        return Ok(Typed::Ours(Task::Push(Push {
            environment: environment.to_owned(),
            selection,
        })));
    }
    if matches.subcommand_name().is_none() {
        return Ok(Typed::Ours(Task::Overview));
    }
    Ok(match Task::from_arg_matches(matches)? {
        Task::Completions(completions) => Typed::Completions(completions.shell),
        Task::Man { directory } => Typed::Man(directory),
        task => Typed::Ours(task),
    })
}

/// Environments that the command line itself names, as in `push-dev`: so that a name that deploy.toml lacks is refused
/// with the names that it has.
pub fn named_environments(words: &[String]) -> Vec<String> {
    let names = words.iter().skip(1).filter_map(|word| {
        word.strip_prefix("docker-push-")
            .or_else(|| word.strip_prefix("push-"))
    });
    names
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The file after `--config`, needed before the command line can be read: the file says which commands there are.
pub fn config_file(words: &[String]) -> Option<PathBuf> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--config" {
            return words.next().map(PathBuf::from);
        }
        if let Some(file) = word.strip_prefix("--config=") {
            return Some(PathBuf::from(file));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<(Global, Typed), clap::Error> {
        let theirs = vec![Command::new("ci"), Command::new("schema")];
        let mut command = command(
            "cargo xtask",
            &["dev".to_owned(), "prod".to_owned()],
            theirs.clone(),
        );
        parse(
            &mut command,
            &line.split(' ').map(str::to_owned).collect::<Vec<_>>(),
            &theirs,
        )
    }

    fn whole() -> Command {
        command("cargo xtask", &["dev".to_owned()], Vec::new())
    }

    #[test]
    fn clap_finds_no_fault_with_the_definitions() {
        whole().debug_assert();
    }

    #[test]
    fn every_environment_has_a_command_under_both_names() {
        for line in [
            "xtask push dev --service api",
            "xtask push-dev --service api",
            "xtask docker-push-dev --service api",
        ] {
            let Ok((_, Typed::Ours(Task::Push(push)))) = parsed(line) else {
                panic!("`{line}` is a push")
            };
            assert_eq!(
                (push.environment.as_str(), push.selection.service.as_slice()),
                ("dev", &["api".to_owned()][..]),
                "{line}"
            );
        }
    }

    #[test]
    fn a_repository_s_own_task_stands_beside_ours_or_takes_the_place_of_one() {
        for (line, place) in [("xtask ci", 0), ("xtask schema --json", 1)] {
            let Ok((_, Typed::Theirs(found, _))) = parsed(line) else {
                panic!("`{line}` is theirs")
            };
            assert_eq!(found, place, "{line}");
        }
        assert!(matches!(
            parsed("xtask builders"),
            Ok((_, Typed::Ours(Task::Builders)))
        ));
    }

    #[test]
    fn a_push_takes_no_architecture_and_says_why() {
        for line in ["xtask push dev --arch amd64", "xtask push-dev --arch=arm64"] {
            let error = parsed(line).expect_err(line);
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains("[targets]"), "{error}");
        }
    }

    #[test]
    fn every_command_has_help_with_an_example() {
        let mut commands: Vec<Command> = whole().get_subcommands().cloned().collect();
        while let Some(mut command) = commands.pop() {
            let inner: Vec<_> = command.get_subcommands().cloned().collect();
            if inner.is_empty() {
                let help = command.render_long_help().to_string();
                assert!(
                    help.contains("Example"),
                    "{} lacks an example",
                    command.get_name()
                );
            }
            commands.extend(inner);
        }
    }
}
