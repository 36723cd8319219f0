//! One file a command: it gathers facts, asks for a plan, and shows or executes it.

mod build;
mod builders;
mod candidate;
mod ci;
mod context;
mod demo;
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

use crate::cli::{Archs, Global, Task, VerifyAll};

/// Does what was typed.
///
/// # Errors
/// [`Refused`], when nothing was done; anything else, when something failed.
pub fn run(global: Global, task: Task) -> Result<ExitCode> {
    let context = Context::new(global);
    match task {
        Task::DockerBuild(arguments) => build::run(&context, arguments.selection, arguments.arch),
        Task::DockerBuildAmd64(selection) => build::run(&context, selection, Some(Archs(vec![crate::arch::Arch::Amd64]))),
        Task::Manifest(command) => manifest::run(&context, &command),
        Task::Run(arguments) => run::run(&context, &arguments),
        Task::Demo => demo::run(&context),
        Task::Builders => builders::run(&context),
        Task::Push(push) => push::run(&context, &push),
        Task::Deploy(arguments) => deploy::run(&context, &arguments),
        Task::MigrateLambda(arguments) => migrate::lambda(&context, &arguments),
        Task::MigrateApprunner(arguments) => migrate::apprunner(&context, &arguments),
        Task::MigrateEks(arguments) => migrate::eks(&context, &arguments),
        Task::Rollback(arguments) => rollback::run(&context, &arguments),
        Task::Promote(arguments) => promote::run(&context, &arguments),
        Task::Status(arguments) => status::run(&context, &arguments),
        Task::Verify(VerifyAll { what: Some(what) }) => verify::run(&context, &what),
        Task::Verify(VerifyAll { what: None }) => verify::everything(&context),
        Task::Doctor(arguments) => doctor::run(&context, arguments.fix),
        Task::Explain(arguments) => explain::service(&context, &arguments.service),
        Task::ExplainError(arguments) => explain::error(&context, arguments.file.as_deref()),
        Task::Sandbox(command) => sandbox::run(&context, command),
        Task::Ci => ci::run(&context),
        Task::Schema(arguments) => schema::print(&context, arguments.write),
        Task::Completions(arguments) => Ok(schema::completions(&context, arguments.shell)),
    }
}
