//! Amazon ECS: services, and how they get another image.

mod express;
mod images;
mod starters;
mod task_definition;
mod tasks;
mod update;

use anyhow::{Context, Result, bail};
use aws_sdk_ecs::{
    operation::{describe_services::DescribeServicesError, list_services::ListServicesError},
    types::{
        Deployment as Told, DeploymentControllerType, DeploymentRolloutState, DeploymentStrategy,
        LaunchType, ResourceManagementType, Service as Described, ServiceDeploymentStatus,
    },
};

pub use images::{ClusterImages, REVISIONS};

use super::{
    Reader,
    error::{explain, if_there},
};
use crate::model::ecs::{Capacity, Controller, Deployment, Rollout, Service, TaskDefinition};

impl Reader<'_> {
    /// A service of ECS with its task definition, if it exists.
    ///
    /// # Errors
    /// A call that fails.
    pub fn ecs_service(&self, cluster: &str, name: &str) -> Result<Option<Service>> {
        let about = format!("ECS service `{name}` of cluster `{cluster}`");
        let call = self.0.ecs.describe_services().cluster(cluster);
        let answer = if_there(
            self.0.runtime.block_on(call.services(name).send()),
            DescribeServicesError::is_cluster_not_found_exception,
            "ecs:DescribeServices",
            &about,
        )?;
        let services = answer.and_then(|answer| answer.services);
        // A deleted service is `DRAINING`, and `INACTIVE` for a while.
        let is_there = |one: &Described| one.status() == Some("ACTIVE");
        let Some(found) = services.into_iter().flatten().find(is_there) else {
            return Ok(None);
        };
        let controller = controller(&found);
        let task_definition = match (found.task_definition(), controller) {
            (Some(arn), _) => {
                let definition = self.task_definition(arn)?;
                let gone = || format!("the task definition {arn} is gone");
                definition.with_context(gone)?.told
            }
            // Its task sets have them.
            (None, Controller::External) => TaskDefinition::default(),
            (None, _) => bail!("AWS names no task definition of {about}"),
        };
        let mut deployments: Vec<_> = found.deployments().iter().map(deployment).collect();
        if matches!(controller, Controller::Staged | Controller::Express)
            && let Some(id) = found.current_service_deployment()
            && let Some((rollout, reason)) = self.service_deployment(id)?
            && let Some(primary) = deployments.iter_mut().find(|one| one.is_primary)
        {
            (primary.rollout, primary.reason) = (rollout, reason);
        }
        let configuration = found.deployment_configuration();
        let breaker = configuration.and_then(|one| one.deployment_circuit_breaker());
        Ok(Some(Service {
            arn: found.service_arn().unwrap_or_default().to_owned(),
            controller,
            capacity: capacity(&found),
            platform_version: found.platform_version().map(str::to_owned),
            has_circuit_breaker: breaker.is_some_and(|breaker| breaker.enable()),
            task_definition,
            deployments,
        }))
    }

    /// The names of the services of a cluster, at most a hundred. None where there is no such cluster.
    ///
    /// # Errors
    /// A call that fails.
    pub fn ecs_services(&self, cluster: &str) -> Result<Vec<String>> {
        let call = self.0.ecs.list_services().cluster(cluster).max_results(100);
        let answer = if_there(
            self.0.runtime.block_on(call.send()),
            ListServicesError::is_cluster_not_found_exception,
            "ecs:ListServices",
            &format!("cluster `{cluster}`"),
        )?;
        let arns = answer.and_then(|answer| answer.service_arns);
        let name = |arn: String| arn.rsplit('/').next().unwrap_or_default().to_owned();
        Ok(arns.into_iter().flatten().map(name).collect())
    }

    /// How far a deployment in stages is. A rolling one says so itself.
    fn service_deployment(&self, arn: &str) -> Result<Option<(Rollout, Option<String>)>> {
        let call = self.0.ecs.describe_service_deployments();
        let answer = self
            .0
            .runtime
            .block_on(call.service_deployment_arns(arn).send())
            .map_err(|e| explain("ecs:DescribeServiceDeployments", arn, &e))?;
        let found = answer.service_deployments().first();
        Ok(found.and_then(|found| {
            let rollout = match found.status()? {
                ServiceDeploymentStatus::Successful => Rollout::Completed,
                ServiceDeploymentStatus::Stopped
                | ServiceDeploymentStatus::RollbackSuccessful
                | ServiceDeploymentStatus::RollbackFailed => Rollout::Failed,
                _ => Rollout::InProgress,
            };
            Some((rollout, found.status_reason().map(str::to_owned)))
        }))
    }
}

fn controller(service: &Described) -> Controller {
    if service.resource_management_type() == Some(&ResourceManagementType::Ecs) {
        return Controller::Express;
    }
    match service.deployment_controller().map(|one| one.r#type()) {
        Some(DeploymentControllerType::CodeDeploy) => return Controller::CodeDeploy,
        Some(DeploymentControllerType::External) => return Controller::External,
        _ => {}
    }
    let configuration = service.deployment_configuration();
    match configuration.and_then(|one| one.strategy()) {
        None | Some(DeploymentStrategy::Rolling) => Controller::Rolling,
        Some(_) => Controller::Staged,
    }
}

/// Source: `FARGATE` and `FARGATE_SPOT` are AWS's own capacity providers; every other name is somebody's.
fn capacity(service: &Described) -> Capacity {
    let strategy = service.capacity_provider_strategy().iter();
    let providers: Vec<_> = strategy
        .map(|item| item.capacity_provider().to_owned())
        .collect();
    let is_fargate = |name: &String| matches!(name.as_str(), "FARGATE" | "FARGATE_SPOT");
    let all_fargate = !providers.is_empty() && providers.iter().all(is_fargate);
    match service.launch_type() {
        Some(LaunchType::Fargate) => Capacity::Fargate,
        Some(LaunchType::ManagedInstances) => Capacity::Managed,
        _ if all_fargate => Capacity::Fargate,
        _ => Capacity::Instances { providers },
    }
}

/// Source: a service behind a Classic Load Balancer has no `rolloutState`: it is done when all of its tasks run.
fn deployment(told: &Told) -> Deployment {
    let rollout = match told.rollout_state() {
        Some(DeploymentRolloutState::Completed) => Rollout::Completed,
        Some(DeploymentRolloutState::Failed) => Rollout::Failed,
        None if told.running_count() >= told.desired_count() => Rollout::Completed,
        _ => Rollout::InProgress,
    };
    Deployment {
        id: told.id().unwrap_or_default().to_owned(),
        is_primary: told.status() == Some("PRIMARY"),
        task_definition: told.task_definition().unwrap_or_default().to_owned(),
        rollout,
        reason: told.rollout_state_reason().map(str::to_owned),
        failed: told.failed_tasks(),
        running: told.running_count(),
    }
}
