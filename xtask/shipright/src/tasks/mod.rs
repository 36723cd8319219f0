//! One file a command: it gathers facts, asks for a plan, and shows or executes it.

mod build;
mod builders;
mod candidate;
mod context;
mod deploy;
mod doctor;
mod explain;
mod manifest;
mod migrate;
mod promote;
mod push;
mod reach;
mod rollback;
mod run;
mod running;
mod sandbox;
mod schema;
mod status;
mod verify;
mod workload;

use std::process::ExitCode;

use anyhow::Result;

pub use context::{Context, Refused, load_config};
pub use reach::Reached;
pub(crate) use schema::completions;
pub use schema::text as schema_text;

use crate::cli::{Archs, Task, VerifyAll};

/// Does what was typed.
///
/// # Errors
/// [`Refused`], when nothing was done; anything else, when something failed.
pub(crate) fn run(context: &Context, task: Task) -> Result<ExitCode> {
    match task {
        Task::DockerBuild(arguments) => build::run(context, arguments.selection, arguments.arch),
        Task::DockerBuildAmd64(selection) => build::run(context, selection, Some(Archs(vec![crate::arch::Arch::Amd64]))),
        Task::Manifest(command) => manifest::run(context, &command),
        Task::Run(arguments) => run::run(context, &arguments),
        Task::Builders => builders::run(context),
        Task::Push(push) => push::run(context, &push),
        Task::Deploy(arguments) => deploy::run(context, &arguments),
        Task::MigrateLambda(arguments) => migrate::lambda(context, &arguments),
        Task::MigrateApprunner(arguments) => migrate::apprunner(context, &arguments),
        Task::MigrateEks(arguments) => migrate::eks(context, &arguments),
        Task::Rollback(arguments) => rollback::run(context, &arguments),
        Task::Promote(arguments) => promote::run(context, &arguments),
        Task::Status(arguments) => status::run(context, &arguments),
        Task::Verify(VerifyAll { what: Some(what) }) => verify::run(context, &what),
        Task::Verify(VerifyAll { what: None }) => verify::everything(context),
        Task::Doctor(arguments) => doctor::run(context, arguments.fix),
        Task::Explain(arguments) => explain::service(context, &arguments.service),
        Task::ExplainError(arguments) => explain::error(context, arguments.file.as_deref()),
        Task::Sandbox(command) => sandbox::run(context, command),
        Task::Schema => Ok(schema::print()),
        // The command line that they complete is known where it was read.
        Task::Completions(_) => Ok(ExitCode::SUCCESS),
    }
}
