//! What came of a workload that was to get another image.

use serde::Serialize;

use crate::model::{function::Code, target::Target};

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
    Restored,
    /// It failed, and what it ran was not restored, or not by this run.
    Failed,
}

impl Outcome {
    /// As records have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Moved => "moved",
            Self::Restored => "restored",
            Self::Failed => "failed",
        }
    }
}

impl Move {
    /// A workload that has not been touched.
    pub fn new(
        image: &str,
        target: Target,
        workload: &str,
        from: Option<String>,
        to: &Code,
    ) -> Self {
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

    /// The same with what it failed of.
    #[must_use]
    pub fn failed(self, outcome: Outcome, error: &anyhow::Error) -> Self {
        Self {
            outcome,
            error: Some(format!("{error:#}")),
            ..self
        }
    }

    /// Whether it runs what was wanted.
    pub fn succeeded(&self) -> bool {
        matches!(self.outcome, Outcome::Unchanged | Outcome::Moved)
    }
}
