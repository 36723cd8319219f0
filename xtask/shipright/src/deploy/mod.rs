//! Moves what runs to another image: one workload at a time, read first, waited for, tried, and put back when it fails.
//!
//! Architecture Invariant: an image that comes here is proven, and named by its digest together with its CPU ([`Code`]).

mod apprunner;
mod eks;
mod lambda;
mod wait;

use serde::Serialize;

pub use apprunner::{AppRunnerPlan, express_mode};
pub use eks::{EksPlan, Kubectl};
pub use lambda::record as record_in_tags;

use crate::{
    aws::Aws,
    model::{function::Code, target::Target},
    report::terminal::Terminal,
};

/// What a deployment is carried out with.
#[derive(Clone, Copy)]
pub struct Hands<'a> {
    /// AWS.
    pub aws: &'a Aws,
    /// Where people watch.
    pub terminal: &'a Terminal,
}

/// What came of one workload.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Move {
    /// What people call the image.
    pub image: String,
    /// What runs it.
    pub target: Target,
    /// The function, service or deployment.
    pub workload: String,
    /// What it ran before, where that could be told.
    pub from: Option<String>,
    /// What it was to run.
    pub to: Code,
    /// The version of a Lambda function.
    pub version: Option<String>,
    /// What came of it.
    pub outcome: Outcome,
    /// Why it failed.
    pub error: Option<String>,
}

/// What came of a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It ran what was wanted before.
    Unchanged,
    /// It runs what was wanted now.
    Moved,
    /// It failed, and runs what it ran before.
    PutBack,
    /// It failed, and what it runs was not put back, or not by this run.
    Failed,
}

impl Move {
    /// A workload that has not been touched.
    pub fn new(image: &str, target: Target, workload: &str, from: Option<String>, to: &Code) -> Self {
        Self {
            image: image.to_owned(),
            target,
            workload: workload.to_owned(),
            from,
            to: to.clone(),
            version: None,
            outcome: Outcome::Unchanged,
            error: None,
        }
    }

    /// Whether it runs what was wanted.
    pub fn succeeded(&self) -> bool {
        matches!(self.outcome, Outcome::Unchanged | Outcome::Moved)
    }
}
