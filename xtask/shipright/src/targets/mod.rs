//! What AWS runs images on, one module a target: reading what runs, and giving it another image. What has to be done is decided in
//! [`crate::plan::targets`].
//!
//! Architecture Invariants: an image that comes here is proven, and named by its digest together with its architecture
//! ([`crate::model::function::Code`]). A new target is a new module, and the compiler names every `match` below that has to know it.

mod apprunner;
mod ecs;
mod eks;
mod in_use;
mod lambda;
mod outcome;
pub(crate) mod wait;

use anyhow::Result;

pub use ecs::starters as ecs_starters;
pub use eks::look_at_nodes;
pub use in_use::Users;
pub use lambda::{facts as function_facts, read_version};
pub use outcome::{Move, Outcome};

use crate::{
    aws::{Aws, Identity},
    model::{running::Running, target::Target},
    plan::{
        Selected, registry_refusal,
        targets::{Choice, Workload, lambda::Options},
    },
    refused::Refused,
    report::terminal::Terminal,
    session::Session,
};

/// What a deployment is carried out with.
#[derive(Clone, Copy)]
pub struct Deployer<'a> {
    /// AWS.
    pub aws: &'a Aws,
    /// Where people watch.
    pub terminal: &'a Terminal,
}

/// What runs an image in an environment.
///
/// # Errors
/// A workload that cannot be read.
pub fn running(session: &Session<'_>, selected: Selected<'_>) -> Result<Running> {
    match selected.image.target {
        Target::Lambda => lambda::running(session, selected),
        Target::AppRunner => apprunner::running(session, selected),
        Target::Eks => eks::running(session, selected),
        Target::Ecs => ecs::running(session, selected),
    }
}

/// Reads a workload, and decides what has to be done. `dry_run` waits for nothing.
///
/// # Errors
/// A refusal, or a workload that cannot be read.
pub fn plan(
    session: &Session<'_>,
    terminal: &Terminal,
    choice: &Choice<'_>,
    options: Options,
    dry_run: bool,
) -> Result<Workload> {
    if let Some(refusal) = registry_refusal(choice.selected, &session.place) {
        return Err(Refused::from(refusal).into());
    }
    match choice.selected.image.target {
        Target::Lambda => lambda::plan(session, terminal, choice, options, dry_run),
        Target::AppRunner => apprunner::plan(session, choice),
        Target::Eks => eks::plan(session, choice),
        Target::Ecs => ecs::plan(session, terminal, choice),
    }
}

/// Does what a plan says. What failed is in the outcome.
pub fn apply(
    session: &Session<'_>,
    terminal: &Terminal,
    identity: &Identity,
    workload: &Workload,
) -> Move {
    let deployer = Deployer {
        aws: &session.aws,
        terminal,
    };
    match workload {
        Workload::Lambda(plan) => {
            let done = deployer.migrate_lambda(plan);
            if session.environment.function_tags && done.outcome == Outcome::Moved {
                deployer.record_in_tags(&plan.function, &done, &identity.arn);
            }
            done
        }
        Workload::AppRunner(plan) => deployer.migrate_apprunner(plan),
        Workload::Ecs(plan) => deployer.migrate_ecs(plan),
        Workload::Eks(plan) => deployer.migrate_eks(&eks::kubectl(session.environment), plan),
    }
}
