//! What has to be done so that something that AWS runs gets another image: one module a target.
//!
//! Architecture Invariant: a decision looks at the state alone, and not at what an earlier run has done. So a run that was killed
//! anywhere is resumed by the same command, and one that finds everything as wanted does nothing.

pub mod apprunner;
pub mod ecs;
pub mod eks;
pub mod lambda;
pub mod pulled;

use serde::Serialize;

use crate::{
    Selected,
    arch::Arch,
    model::{function::Code, target::Target},
};

/// An image that something is to run: what a deployment or a rollback has chosen.
#[derive(Debug, Clone)]
pub struct Choice<'c> {
    /// Which image.
    pub selected: Selected<'c>,
    /// What is to run.
    pub code: Code,
    /// The architectures that it can run on: several, for an image index.
    pub archs: Vec<Arch>,
    /// The published version of a Lambda function that has it.
    pub version: Option<String>,
}

/// One function, service or deployment, and what has to be done.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case", tag = "target")]
pub enum Workload {
    /// A Lambda function.
    Lambda(Box<lambda::LambdaPlan>),
    /// An App Runner service.
    #[serde(rename = "apprunner")]
    AppRunner(Box<apprunner::AppRunnerPlan>),
    /// A Kubernetes deployment.
    Eks(Box<eks::EksPlan>),
    /// An ECS service.
    Ecs(Box<ecs::EcsPlan>),
}

impl Workload {
    /// What runs it.
    pub fn target(&self) -> Target {
        match self {
            Self::Lambda(_) => Target::Lambda,
            Self::AppRunner(_) => Target::AppRunner,
            Self::Eks(_) => Target::Eks,
            Self::Ecs(_) => Target::Ecs,
        }
    }

    /// Whether it runs what is wanted.
    pub fn is_done(&self) -> bool {
        match self {
            Self::Lambda(plan) => plan.steps.is_empty(),
            Self::AppRunner(plan) => plan.is_done,
            Self::Eks(plan) => plan.is_done,
            Self::Ecs(plan) => plan.is_done(),
        }
    }

    /// The plan for people: what runs, and then what will be done.
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::Lambda(plan) => plan.lines(),
            Self::AppRunner(plan) => plan.lines(),
            Self::Eks(plan) => plan.lines(),
            Self::Ecs(plan) => plan.lines(),
        }
    }

    /// Why what runs now could not be restored, where that is so.
    pub fn no_way_back(&self) -> Option<&str> {
        match self {
            Self::Lambda(plan) => plan.no_way_back.as_deref(),
            Self::Eks(plan) => plan.no_way_back.as_deref(),
            Self::Ecs(plan) => plan.no_way_back.as_deref(),
            // AWS keeps what ran, and goes back to it by itself.
            Self::AppRunner(_) => None,
        }
    }

    /// What people should know once it is done.
    pub fn note(&self) -> Option<String> {
        match self {
            Self::AppRunner(plan) => Some(plan.note()),
            Self::Lambda(_) | Self::Eks(_) | Self::Ecs(_) => None,
        }
    }
}
