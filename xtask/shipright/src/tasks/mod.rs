//! One file a command: it gathers facts, asks for a plan, and shows or executes it.

mod attest;
mod build;
mod builders;
mod ci_workflow;
mod completions;
mod deploy;
mod doctor;
mod explain;
mod export;
mod gate;
mod images;
mod init;
mod man;
mod manifest;
mod migrate;
mod migration;
mod moves;
mod overview;
mod promote;
mod prune;
mod push;
mod rollback;
mod run;
mod sandbox;
mod scan;
mod schema;
mod since;
mod status;
mod transfer;
mod verify;

use std::process::ExitCode;

use anyhow::{Result, bail};

pub(crate) use completions::print as completions;
pub(crate) use man::write as man;
pub use schema::text as schema_text;

use crate::{
    cli::{self, Archs, Task, Typed, VerifyAll},
    context::Context,
    model::target::Target,
};

/// The exit code of a command that has looked at something, or done something.
fn exit_code(is_fine: bool) -> ExitCode {
    if is_fine {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Does what was typed.
///
/// # Errors
/// [`Refused`], when nothing was done; anything else, when something failed.
pub(crate) fn run(context: &Context, task: Task) -> Result<ExitCode> {
    match task {
        Task::DockerBuild(arguments) => build::run(context, arguments.selection, arguments.arch),
        Task::DockerBuildAmd64(selection) => build::run(
            context,
            selection,
            Some(Archs(vec![crate::arch::Arch::Amd64])),
        ),
        Task::Manifest(command) => manifest::run(context, &command),
        Task::Run(arguments) => run::run(context, &arguments),
        Task::Builders => builders::run(context),
        Task::Push(push) => push::run(context, &push),
        Task::Deploy(arguments) => deploy::run(context, &arguments),
        Task::MigrateLambda(arguments) => migrate::lambda(context, &arguments),
        Task::MigrateApprunner(arguments) => migrate::run(context, &arguments, Target::AppRunner),
        Task::MigrateEcs(arguments) => migrate::run(context, &arguments, Target::Ecs),
        Task::MigrateEks(arguments) => migrate::run(context, &arguments, Target::Eks),
        Task::Rollback(arguments) => rollback::run(context, &arguments),
        Task::Promote(arguments) => promote::run(context, &arguments),
        Task::Scan(arguments) => scan::run(context, &arguments),
        Task::Prune(arguments) => prune::run(context, &arguments),
        Task::Status(arguments) => status::run(context, &arguments),
        Task::Verify(VerifyAll { what: Some(what) }) => verify::run(context, &what),
        Task::Verify(VerifyAll { what: None }) => verify::everything(context),
        Task::Doctor(arguments) => doctor::run(context, arguments.fix),
        Task::Explain(arguments) => explain::service(context, &arguments.service),
        Task::ExplainError(arguments) => explain::error(context, arguments.file.as_deref()),
        Task::Sandbox(command) => sandbox::run(context, command),
        Task::CiWorkflow(arguments) => ci_workflow::run(context, &arguments),
        Task::Export(what) => export::run(context, &what),
        Task::Init { check: false } => init::run(context),
        Task::Init { check: true } => init::check(context),
        Task::Schema => Ok(schema::print()),
        Task::Overview => overview::run(context),
        // The command line that they are about is known where it was read.
        Task::Completions(_) | Task::Man { .. } => Ok(ExitCode::SUCCESS),
    }
}

impl Context {
    /// Runs one of our commands as if it had been typed, with the global options of this one: `call(&["push", "dev"])`.
    ///
    /// # Errors
    /// What the command ends with; words that are no command.
    pub fn call(&self, words: &[&str]) -> Result<ExitCode> {
        let words: Vec<String> = std::iter::once("cargo xtask")
            .chain(words.iter().copied())
            .map(str::to_owned)
            .collect();
        let mut command = cli::command("cargo xtask", &cli::named_environments(&words), Vec::new());
        match cli::parse(&mut command, &words, &[])?.1 {
            Typed::Ours(task) => run(self, task),
            Typed::Completions(_) | Typed::Man(_) | Typed::Theirs(..) => {
                bail!("`{}` cannot be called", words[1..].join(" "))
            }
        }
    }
}
