//! From the words that were typed to the exit code: what a `main` calls.

use std::{process::ExitCode, sync::atomic::Ordering};

use anyhow::Result;
use clap::{ArgMatches, Args, ColorChoice, Command};
use serde_json::json;

use crate::{
    cli::{self, Typed},
    completing,
    context::{self, Context},
    facts::host,
    interrupt,
    model::config::Config,
    problem::Problems,
    refused::Refused,
    report::{
        document,
        name::{self, as_typed},
        terminal::{self, Terminal, Verbosity},
    },
    tasks,
};

/// The exit code of a command that was refused before anything was done.
const REFUSED: u8 = 2;

/// A task without arguments of its own.
#[derive(Debug, Clone, Copy, Args)]
pub struct NoArguments {}

type Run = Box<dyn FnOnce(&Context, &ArgMatches) -> Result<ExitCode>>;

/// A program with all commands, and with tasks of a repository beside them.
pub struct Program {
    name: String,
    tasks: Vec<(Command, Run)>,
}

impl Program {
    /// A program that is started by these words: `cargo xtask`. Help and hints say them.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            tasks: Vec::new(),
        }
    }

    /// A program that is started by its own name.
    pub fn installed() -> Self {
        let typed = std::env::args_os().next().map(std::path::PathBuf::from);
        let stem = typed
            .as_ref()
            .and_then(|path| path.file_stem())
            .map(|stem| stem.to_string_lossy().into_owned());
        Self::new(&stem.unwrap_or_else(|| env!("CARGO_PKG_NAME").to_owned()))
    }

    /// Adds a task. It has the global options of all commands, and takes the place of a command of ours with its name.
    ///
    /// `run` is given a [`Context`]: the terminal, and the options that everyone may type. With `--dry-run` it should say what
    /// it would do, and with `--json` print one document, by [`Context::print`]. An error ends the program with exit code 1, a
    /// [`Refused`] with 2.
    #[must_use]
    pub fn task<A: Args + 'static>(
        mut self,
        command: Command,
        run: fn(&Context, &A) -> Result<ExitCode>,
    ) -> Self {
        let about = command.get_about().cloned();
        // The arguments' own documentation would take the place of the command's.
        let command = match about {
            Some(about) => A::augment_args(command).about(about).long_about(None),
            None => A::augment_args(command),
        };
        let run = move |context: &Context, matches: &ArgMatches| {
            run(context, &A::from_arg_matches(matches)?)
        };
        self.tasks.push((command, Box::new(run)));
        self
    }

    /// Does what was typed, and says how it ended.
    pub fn run(self) -> ExitCode {
        host::leave_relative_places_out_of_path();
        interrupt::listen();
        name::say(&self.name);
        let words: Vec<String> = std::env::args_os()
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        let (commands, runs): (Vec<_>, Vec<_>) = self.tasks.into_iter().unzip();
        let file = cli::config_file(&words);
        let config = context::load_config(file.as_deref()).ok();
        let environments = environments(config.as_ref(), &words);
        if completing::is_asked() {
            let name = self.name.replace(' ', "_");
            let command = || cli::command(&name, &environments, commands.clone());
            let answered = completing::answer(&words, command, config);
            return answered.map_or_else(|error| tell(&error, &words), |()| ExitCode::SUCCESS);
        }
        let mut command = cli::command(&self.name, &environments, commands.clone());
        // Who types nothing where nothing is yet is told what can be typed.
        if words.len() == 1 && config.is_none() && !context::has_config() {
            let _ = command.print_help();
            return ExitCode::from(REFUSED);
        }
        let (global, typed) = match cli::parse(&mut command, &words, &commands) {
            Ok(parsed) => parsed,
            Err(error) => return tell(&error, &words),
        };
        match global.color {
            ColorChoice::Auto => {}
            ColorChoice::Always => anstream::ColorChoice::Always.write_global(),
            ColorChoice::Never => anstream::ColorChoice::Never.write_global(),
        }
        let json = global.json;
        interrupt::JSON.store(json, Ordering::Relaxed);
        let config = config.filter(|_| global.config == file);
        let context = Context::new(global).having_read(config);
        let outcome = match typed {
            Typed::Ours(task) => tasks::run(&context, task),
            Typed::Completions(shell) => tasks::completions(&self.name, shell),
            Typed::Man(directory) => {
                let name = self.name.replace(' ', "-");
                let command = cli::command(&name, &environments, commands.clone());
                tasks::man(&context, command, &directory)
            }
            Typed::Theirs(place, matches) => match runs.into_iter().nth(place) {
                Some(run) => run(&context, &matches),
                None => Ok(ExitCode::from(REFUSED)),
            },
        };
        let mut code = outcome.unwrap_or_else(|error| explain(&error, json));
        if interrupt::requested() {
            code = ExitCode::from(interrupt::INTERRUPTED);
        }
        if document::was_lost() {
            ExitCode::FAILURE
        } else {
            code
        }
    }
}

/// Says what clap has to say: what was typed wrongly, or the help and version that were asked for.
fn tell(error: &clap::Error, words: &[String]) -> ExitCode {
    terminal::clap_message(
        &as_typed(&error.render().ansi().to_string()),
        error.use_stderr(),
    );
    if error.use_stderr() && words.iter().any(|word| word == "--json") {
        let problem = terminal::printable(&error.to_string());
        document::print(
            &json!({ "refused": [{ "problem": problem.trim(), "cure": "cargo xtask help" }] }),
        );
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(REFUSED))
}

/// The environments that have commands of their own. A deploy.toml with mistakes has none; the command that is then run
/// tells of them.
fn environments(config: Option<&Config>, words: &[String]) -> Vec<String> {
    let known = config
        .into_iter()
        .flat_map(|config| config.environments.keys().cloned());
    let mut all: Vec<_> = known.chain(cli::named_environments(words)).collect();
    all.sort();
    all.dedup();
    all
}

/// Says what went wrong, and chooses the exit code.
fn explain(error: &anyhow::Error, json: bool) -> ExitCode {
    let terminal = Terminal::new(Verbosity::Normal);
    if let Some(problems) = error.downcast_ref::<Problems>() {
        terminal.problems(problems);
        terminal.error(problems);
        if json {
            document::print(&json!({ "refused": problems.report() }));
        }
        return ExitCode::from(REFUSED);
    }
    if let Some(Refused(refusals)) = error.downcast_ref::<Refused>() {
        for refusal in refusals {
            terminal.error(refusal);
            terminal.help(&refusal.cure);
        }
        if json {
            document::print(&json!({ "refused": refusals }));
        }
        return ExitCode::from(REFUSED);
    }
    terminal.error(format!("{error:#}"));
    if json {
        document::print(&json!({ "failed": format!("{error:#}") }));
    }
    ExitCode::FAILURE
}
