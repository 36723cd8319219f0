//! What has to be done so that an ECS service runs an image.
//!
//! The image and the CPU that tasks run on go into one revision of the task definition: there is no moment at which a task could be
//! started with one of them changed.

mod decide;
mod starters;

use std::collections::BTreeSet;

use serde::Serialize;

pub use decide::decide;
pub use starters::starter_notes;

use super::pulled::{before, way_back};
use crate::{
    arch::Arch,
    model::{
        ecs::{Service, name_of},
        function::Code,
        nodes::Nodes,
        schedule::Starter,
    },
};

/// What was read.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The service, where it exists.
    pub service: Option<Service>,
    /// Where it does not: the services that the cluster has.
    pub others: Vec<String>,
    /// The instances that its tasks may run on, where they do not run on Fargate.
    pub instances: Vec<Nodes>,
    /// The newest revision of the family, where it is what a deployment would register.
    pub prepared: Option<String>,
}

/// Which service is meant.
#[derive(Debug, Clone, Copy)]
pub struct Named<'n> {
    /// The service.
    pub service: &'n str,
    /// Its cluster.
    pub cluster: &'n str,
    /// The region of both.
    pub region: &'n str,
    /// The repository of the image.
    pub repository: &'n str,
    /// Whether a service that is missing may be made: in a sandbox alone. A real one needs roles, subnets and a size.
    pub may_create: bool,
}

/// What is wanted of one service.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct EcsPlan {
    /// What people call the image.
    pub image: String,
    /// The cluster.
    pub cluster: String,
    /// The service.
    pub service: String,
    /// The container.
    pub container: String,
    /// The image that the container runs.
    pub from: Option<String>,
    /// The image that it runs, as it was pulled, where `from` is a tag: what a failed deployment goes back to.
    pub pinned: Option<String>,
    /// Why what runs could not be restored, where that is so: somebody has to want it all the same.
    pub no_way_back: Option<String>,
    /// The CPU that its tasks run on, where that can be told.
    pub from_arch: Option<Arch>,
    /// The task definition that the service has, by its ARN.
    pub task_definition: Option<String>,
    /// The task definition that a failed deployment goes back to, by its ARN.
    pub previous: Option<String>,
    /// What it is to run.
    pub to: Code,
    /// What is left to do, in this order.
    pub steps: Vec<Step>,
    /// What people should know before.
    pub notes: Vec<String>,
}

/// A step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Make the cluster, a task definition and the service.
    Create,
    /// Register a revision of the task definition with the image and its CPU.
    Register,
    /// Give the service a revision: the registered one, or this one, which is there.
    Update {
        /// The ARN of the one that is there.
        prepared: Option<String>,
    },
    /// Give an Express Mode service the image and its CPU.
    UpdateExpress,
    /// Wait for the end of the deployment.
    Wait,
}

impl EcsPlan {
    /// Takes in which digests its containers have pulled, or why that is not known.
    pub fn note_pulled(&mut self, pulled: Result<&BTreeSet<String>, &str>) {
        let from = self.from.clone().unwrap_or_default();
        let workload = format!("ECS service {}", self.service);
        let told = before(&workload, &from, pulled);
        (self.pinned, self.no_way_back) = (told.pinned, told.no_way_back);
    }

    /// Adds what people should know of rules and schedules that start tasks of the family.
    pub fn note_starters(&mut self, starters: &[Starter]) {
        let name = self.task_definition.as_deref().map(name_of);
        let family = name
            .and_then(|name| name.split(':').next())
            .map(str::to_owned);
        if let Some(family) = family {
            self.notes.extend(starter_notes(&family, starters));
        }
    }

    /// Whether it runs what is wanted.
    pub fn is_done(&self) -> bool {
        self.steps.is_empty()
    }

    /// The plan for people.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.now()];
        lines.extend(self.steps.iter().map(|step| self.line(step)));
        if self.is_done() {
            lines.push("nothing to do".to_owned());
        }
        lines.extend(self.notes.iter().cloned());
        lines.extend(way_back(
            self.pinned.as_deref(),
            self.no_way_back.as_deref(),
        ));
        lines
    }

    fn now(&self) -> String {
        let name = &self.service;
        let (Some(from), Some(definition)) = (&self.from, &self.task_definition) else {
            return format!("ECS service {name} does not exist");
        };
        let arch = self
            .from_arch
            .map_or_else(String::new, |arch| format!(" on {arch}"));
        format!(
            "ECS service {name} runs {from}{arch} ({})",
            name_of(definition)
        )
    }

    fn line(&self, step: &Step) -> String {
        let (to, container, arch) = (&self.to.image, &self.container, self.to.arch.ecs());
        match step {
            Step::Create => format!("make the service, with {to} on {arch}"),
            Step::Register => format!(
                "register a revision with {container} on {to} and `cpuArchitecture` {arch}, all else as it is"
            ),
            Step::Update { prepared: None } => "give the service that revision".to_owned(),
            Step::Update {
                prepared: Some(arn),
            } => format!("give the service {}, which is that", name_of(arn)),
            Step::UpdateExpress => format!("give the Express Mode service {to} on {arch}"),
            Step::Wait => "wait for the end of the deployment".to_owned(),
        }
    }
}
