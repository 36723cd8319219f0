//! What ECS tells of tasks that have ended, and of the instances that tasks run on.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use aws_sdk_ecs::types::{ContainerInstance, DesiredStatus, Task};

use super::super::{Reader, error::explain};
use crate::model::nodes::Nodes;

impl Reader<'_> {
    /// Why tasks of a revision have ended, each reason once. ECS keeps ended tasks for an hour.
    ///
    /// # Errors
    /// A call that fails.
    pub fn ended_tasks(
        &self,
        cluster: &str,
        service: &str,
        definition: &str,
    ) -> Result<Vec<String>> {
        let about = format!("tasks of ECS service `{service}`");
        let call = self
            .0
            .ecs
            .list_tasks()
            .cluster(cluster)
            .service_name(service)
            .desired_status(DesiredStatus::Stopped)
            .max_results(100);
        let listed = self
            .0
            .runtime
            .block_on(call.send())
            .map_err(|e| explain("ecs:ListTasks", &about, &e))?;
        if listed.task_arns().is_empty() {
            return Ok(Vec::new());
        }
        let call = self.0.ecs.describe_tasks().cluster(cluster);
        let answer = self
            .0
            .runtime
            .block_on(call.set_tasks(listed.task_arns).send())
            .map_err(|e| explain("ecs:DescribeTasks", &about, &e))?;
        let mut reasons = Vec::new();
        let tasks = answer.tasks().iter();
        for task in tasks.filter(|task| task.task_definition_arn() == Some(definition)) {
            reasons.extend(reason(task).filter(|reason| !reasons.contains(reason)));
        }
        Ok(reasons)
    }

    /// The digests that a container of a service's running tasks was pulled as: what a tag named then.
    ///
    /// # Errors
    /// A call that fails.
    pub fn pulled(
        &self,
        cluster: &str,
        service: &str,
        container: &str,
    ) -> Result<BTreeSet<String>> {
        let about = format!("tasks of ECS service `{service}`");
        let call = self.0.ecs.list_tasks().cluster(cluster);
        let call = call.service_name(service).max_results(100);
        let listed = self
            .0
            .runtime
            .block_on(call.desired_status(DesiredStatus::Running).send())
            .map_err(|e| explain("ecs:ListTasks", &about, &e))?;
        if listed.task_arns().is_empty() {
            return Ok(BTreeSet::new());
        }
        let call = self.0.ecs.describe_tasks().cluster(cluster);
        let answer = self
            .0
            .runtime
            .block_on(call.set_tasks(listed.task_arns).send())
            .map_err(|e| explain("ecs:DescribeTasks", &about, &e))?;
        let containers = answer.tasks().iter().flat_map(Task::containers);
        let ours = containers.filter(|one| one.name() == Some(container));
        let digests = ours.filter_map(|one| one.image_digest().map(str::to_owned));
        Ok(digests.collect())
    }

    /// The instances of a cluster that tasks may be placed on: those of these capacity providers, or all.
    ///
    /// # Errors
    /// A call that fails.
    pub fn ecs_instances(&self, cluster: &str, providers: &[String]) -> Result<Vec<Nodes>> {
        let about = format!("instances of ECS cluster `{cluster}`");
        let call = self.0.ecs.list_container_instances().cluster(cluster);
        let mut pages = call.into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = self.0.runtime.block_on(pages.next()) {
            let page = page.map_err(|e| explain("ecs:ListContainerInstances", &about, &e))?;
            let arns = page.container_instance_arns();
            if arns.is_empty() {
                continue;
            }
            let call = self.0.ecs.describe_container_instances().cluster(cluster);
            let answer = self
                .0
                .runtime
                .block_on(call.set_container_instances(Some(arns.to_vec())).send())
                .map_err(|e| explain("ecs:DescribeContainerInstances", &about, &e))?;
            if let Some(failure) = answer.failures().first() {
                let reason = failure.reason().unwrap_or("no reason");
                bail!("failed to read the {about}: {reason}");
            }
            let usable = |one: &&ContainerInstance| {
                let provider = one.capacity_provider_name().unwrap_or_default();
                providers.is_empty() || providers.iter().any(|name| name == provider)
            };
            found.extend(answer.container_instances().iter().filter(usable).map(node));
        }
        Ok(found)
    }
}

/// What a task and its containers say about their end: `Essential container in task exited: web: exit code 1`.
fn reason(task: &Task) -> Option<String> {
    let containers = task.containers().iter().filter_map(|container| {
        let code = container.exit_code().filter(|code| *code != 0);
        let code = code.map(|code| format!("exit code {code}"));
        let reason = container.reason().filter(|reason| !reason.is_empty());
        let parts: Vec<_> = code.as_deref().into_iter().chain(reason).collect();
        let name = container.name().unwrap_or("a container");
        (!parts.is_empty()).then(|| format!("{name}: {}", parts.join(", ")))
    });
    let whole = task.stopped_reason().filter(|reason| !reason.is_empty());
    let parts: Vec<_> = whole
        .map(str::to_owned)
        .into_iter()
        .chain(containers)
        .collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// Source: the attributes that the ECS agent registers by itself.
fn node(instance: &ContainerInstance) -> Nodes {
    let attribute = |name: &str| {
        let mut all = instance.attributes().iter();
        all.find(|one| one.name() == name)
            .and_then(|one| one.value())
    };
    let (cpu, kind) = (
        attribute("ecs.cpu-architecture"),
        attribute("ecs.instance-type"),
    );
    let arn = instance.container_instance_arn().unwrap_or_default();
    Nodes {
        source: "ECS instance".to_owned(),
        name: arn.rsplit('/').next().unwrap_or_default().to_owned(),
        arch: cpu.and_then(|cpu| cpu.parse().ok()),
        evidence: kind.unwrap_or("an unknown instance type").to_owned(),
    }
}
