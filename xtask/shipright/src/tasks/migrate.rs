//! `migrate-lambda`, `migrate-apprunner`, `migrate-eks`, `migrate-ecs`: what runs is moved to the image that the environment's tag names.

use std::process::ExitCode;

use anyhow::Result;

use super::migration::{Migration, carry_out};
use crate::{
    cli::{Migrate, MigrateLambda},
    context::Context,
    model::{refusal::Refusal, target::Target},
    plan::targets::lambda::{Canary, Options},
    refused::Refused,
    session::Session,
    workspace::Workspace,
};

/// Migrates the Lambda functions of an environment.
pub(super) fn lambda(context: &Context, arguments: &MigrateLambda) -> Result<ExitCode> {
    let canary = arguments.canary.map(|part| Canary {
        part,
        time: arguments.time,
    });
    let options = Options {
        canary,
        ..Options::default()
    };
    let is_policy = |session: &Session<'_>| {
        let policy = session.config.arch(Target::Lambda);
        match arguments.to {
            Some(to) if to != policy => Err(Refusal::new(
                format!("`[targets]` says that Lambda runs {policy} here, not {to}"),
                format!(
                    "set `lambda = \"{to}\"` under [targets] in deploy.toml, push, and migrate then"
                ),
            )),
            _ => Ok(()),
        }
    };
    migrate(
        context,
        &arguments.migrate,
        Target::Lambda,
        options,
        is_policy,
    )
}

/// Migrates the workloads of an environment on another target.
pub(super) fn run(context: &Context, arguments: &Migrate, target: Target) -> Result<ExitCode> {
    migrate(context, arguments, target, Options::default(), |_| Ok(()))
}

fn migrate(
    context: &Context,
    arguments: &Migrate,
    target: Target,
    options: Options,
    guard: impl Fn(&Session<'_>) -> Result<(), Refusal>,
) -> Result<ExitCode> {
    let workspace = Workspace::of(context)?;
    let sessions = Session::open_all(&workspace, &arguments.environment)?;
    let choose = |session| {
        let migration = Migration::open(context, session, "migrate")?;
        guard(session).map_err(Refused::from)?;
        let choices = migration.newest(&arguments.service, &[target])?;
        Ok((migration, choices))
    };
    let regions = Refused::all(sessions.iter().map(choose))?;
    carry_out(context, &regions, options)
}
