//! The images of everything that runs in a cluster, or that it could go back to.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use aws_sdk_ecs::{
    operation::{list_services::ListServicesError, list_tasks::ListTasksError},
    types::{DesiredStatus, Service, SortOrder, Task, TaskDefinitionStatus},
};

use super::super::{
    Reader,
    error::{explain, if_there},
};
use super::starters::MOST as STARTERS;
use crate::{
    model::{
        ecs::name_of,
        inventory::{ImageUse, UsedImage},
    },
    parallel::side_by_side,
};

/// How many of the active revisions of a family are looked at, the newest: what is older than that, nobody goes back to.
pub const REVISIONS: i32 = 100;

/// How many questions are asked at a time. Source: "Amazon ECS service quotas", reads of a cluster's resources, 20 in a second.
const QUESTIONS: usize = 8;

/// What a cluster runs.
#[derive(Debug, Default)]
pub struct ClusterImages {
    /// The images, each once for each task definition or task.
    pub uses: Vec<ImageUse>,
    /// Families that have more active revisions than are looked at.
    pub long_families: Vec<String>,
}

impl Reader<'_> {
    /// The images of a cluster: of its services' deployments and task sets, of running tasks by the digests that were pulled, of what
    /// rules and schedules start, and of the active revisions of all of these families. None where there is no such cluster.
    ///
    /// # Errors
    /// A call that fails.
    pub fn cluster_images(&self, cluster: &str, asks_for_starters: bool) -> Result<ClusterImages> {
        let services = self.described_services(cluster)?;
        let tasks = self.running_tasks(cluster)?;
        let mut named: BTreeSet<String> = services.iter().flat_map(definitions).collect();
        named.extend(
            tasks
                .iter()
                .filter_map(|task| task.task_definition_arn().map(str::to_owned)),
        );
        if let Some(arn) = self.cluster_arn(cluster)?.filter(|_| asks_for_starters) {
            let starters = self.ecs_starters(&arn)?;
            if starters.len() >= STARTERS {
                bail!(
                    "{STARTERS} rules and schedules start tasks in cluster `{cluster}`, and no more are looked at"
                );
            }
            named.extend(starters.into_iter().map(|one| one.task_definition));
        }
        let mut found = ClusterImages::default();
        let families: BTreeSet<String> = named.iter().map(|name| family(name)).collect();
        for family in families {
            let (revisions, is_long) = self.active_revisions(&family)?;
            named.extend(revisions);
            found.long_families.extend(is_long.then_some(family));
        }
        let named: Vec<_> = named.into_iter().collect();
        let uses = side_by_side(QUESTIONS, &named, |name: &String| {
            self.definition_images(name)
        })?;
        found.uses.extend(uses.into_iter().flatten());
        found.uses.extend(tasks.iter().flat_map(pulled));
        Ok(found)
    }

    fn described_services(&self, cluster: &str) -> Result<Vec<Service>> {
        let about = format!("cluster `{cluster}`");
        let mut pages = self
            .0
            .ecs
            .list_services()
            .cluster(cluster)
            .max_results(100)
            .into_paginator()
            .send();
        let mut arns = Vec::new();
        while let Some(page) = self.0.runtime.block_on(pages.next()) {
            let is_missing = ListServicesError::is_cluster_not_found_exception;
            let Some(page) = if_there(page, is_missing, "ecs:ListServices", &about)? else {
                return Ok(Vec::new());
            };
            arns.extend(page.service_arns.unwrap_or_default());
        }
        let mut services = Vec::new();
        // Source: the API reference of `DescribeServices`, `services`.
        for part in arns.chunks(10) {
            let call = self.0.ecs.describe_services().cluster(cluster);
            let answer = self
                .0
                .runtime
                .block_on(call.set_services(Some(part.to_vec())).send())
                .map_err(|e| explain("ecs:DescribeServices", &about, &e))?;
            services.extend(answer.services.unwrap_or_default());
        }
        Ok(services)
    }

    fn running_tasks(&self, cluster: &str) -> Result<Vec<Task>> {
        let about = format!("tasks of cluster `{cluster}`");
        let call = self.0.ecs.list_tasks().cluster(cluster);
        let call = call.desired_status(DesiredStatus::Running);
        let mut pages = call.max_results(100).into_paginator().send();
        let mut tasks = Vec::new();
        while let Some(page) = self.0.runtime.block_on(pages.next()) {
            let is_missing = ListTasksError::is_cluster_not_found_exception;
            let Some(page) = if_there(page, is_missing, "ecs:ListTasks", &about)? else {
                return Ok(Vec::new());
            };
            if page.task_arns().is_empty() {
                continue;
            }
            let call = self.0.ecs.describe_tasks().cluster(cluster);
            let answer = self
                .0
                .runtime
                .block_on(call.set_tasks(page.task_arns).send())
                .map_err(|e| explain("ecs:DescribeTasks", &about, &e))?;
            tasks.extend(answer.tasks.unwrap_or_default());
        }
        Ok(tasks)
    }

    fn cluster_arn(&self, cluster: &str) -> Result<Option<String>> {
        let call = self.0.ecs.describe_clusters().clusters(cluster);
        let answer =
            self.0.runtime.block_on(call.send()).map_err(|e| {
                explain("ecs:DescribeClusters", &format!("cluster `{cluster}`"), &e)
            })?;
        let found = answer.clusters().first();
        Ok(found.and_then(|found| found.cluster_arn().map(str::to_owned)))
    }

    /// The newest active revisions of a family, and whether there are more.
    fn active_revisions(&self, family: &str) -> Result<(Vec<String>, bool)> {
        let call = self.0.ecs.list_task_definitions();
        let call = call
            .family_prefix(family)
            .status(TaskDefinitionStatus::Active)
            .sort(SortOrder::Desc)
            .max_results(REVISIONS);
        let about = format!("family `{family}`");
        let answer = self
            .0
            .runtime
            .block_on(call.send())
            .map_err(|e| explain("ecs:ListTaskDefinitions", &about, &e))?;
        let is_long = answer.next_token().is_some();
        Ok((answer.task_definition_arns.unwrap_or_default(), is_long))
    }

    /// The images of a revision, or of the newest active one of a family.
    fn definition_images(&self, name: &str) -> Result<Vec<ImageUse>> {
        let Some(definition) = self.task_definition(name)? else {
            return Ok(Vec::new());
        };
        let by = format!("task definition {}", name_of(name));
        let containers = definition.told.containers.iter();
        let uses = containers.filter_map(|one| ImageUse::of_reference(by.clone(), &one.image));
        Ok(uses.collect())
    }
}

/// The task definitions that a service runs.
fn definitions(service: &Service) -> BTreeSet<String> {
    let own = service.task_definition();
    let deployed = service.deployments().iter();
    let deployed = deployed.filter_map(|one| one.task_definition());
    let sets = service.task_sets().iter();
    let sets = sets.filter_map(|one| one.task_definition());
    own.into_iter()
        .chain(deployed)
        .chain(sets)
        .map(str::to_owned)
        .collect()
}

fn family(definition: &str) -> String {
    let name = name_of(definition);
    name.split_once(':')
        .map_or(name, |(family, _)| family)
        .to_owned()
}

/// The images of a task as they were pulled: a tag may have moved since.
fn pulled(task: &Task) -> Vec<ImageUse> {
    let arn = task.task_arn().unwrap_or_default();
    let by = format!("task {}", arn.rsplit('/').next().unwrap_or_default());
    let mut digests = BTreeMap::new();
    for container in task.containers() {
        if let Some(digest) = container.image_digest() {
            digests.insert(digest.to_owned(), by.clone());
        }
    }
    let of = |(digest, by)| ImageUse {
        by,
        image: UsedImage::Digest(digest),
    };
    digests.into_iter().map(of).collect()
}
