//! Follows a deployment of an ECS service to its end.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::super::{
    Deployer,
    wait::{self, Heed, LONG},
};
use crate::{
    model::ecs::{Controller, Deployment, Rollout, Service},
    plan::{targets::ecs::EcsPlan, trouble},
};

/// How long a deployment in stages may take: it waits between them, to see whether alarms go off.
const STAGES: Duration = Duration::from_hours(3);

/// How long an answer may be older than an update: ECS' reads are eventually consistent.
const SETTLED: Duration = Duration::from_secs(20);

/// How many tasks may fail one after the other, where the service has no circuit breaker.
/// Source: the smallest threshold of ECS' deployment circuit breaker.
const FAILURES: i32 = 3;

impl Deployer<'_> {
    pub(super) fn ecs_service(&self, plan: &EcsPlan) -> Result<Service> {
        let found = self
            .aws
            .reader()
            .ecs_service(&plan.cluster, &plan.service)?;
        found.with_context(|| format!("ECS service {} is gone", plan.service))
    }

    /// Waits until the service's tasks are of this task definition, or of the image and CPU of the plan where none is named.
    pub(super) fn watch(
        &self,
        plan: &EcsPlan,
        definition: Option<&str>,
        controller: Controller,
        heed: Heed,
    ) -> Result<()> {
        let limit = match controller {
            Controller::Rolling => LONG,
            _ => STAGES,
        };
        let (mut failed, mut is_seen) = (0, false);
        let start = Instant::now();
        let what = format!("the deployment of ECS service {}", plan.service);
        wait::until(&what, limit, heed, || {
            let service = self.ecs_service(plan)?;
            let Some(primary) = service
                .primary()
                .filter(|_| is_meant(plan, definition, &service))
            else {
                // What was written a moment ago may be read a little later.
                if !is_seen && start.elapsed() < SETTLED {
                    return Ok(None);
                }
                return Err(self.superseded(plan, definition, &service));
            };
            is_seen = true;
            if primary.failed > failed {
                failed = primary.failed;
                self.terminal.note(&format!(
                    "{}: tasks of the new revision that have failed: {failed}",
                    plan.service
                ));
            }
            match primary.rollout {
                Rollout::Completed => Ok(Some(())),
                Rollout::Failed => bail!(self.failure(plan, primary)),
                Rollout::InProgress if is_hopeless(&service, primary) => {
                    bail!(self.failure(plan, primary))
                }
                Rollout::InProgress => Ok(None),
            }
        })
    }

    /// Why the service is not on its way to what was asked for any more.
    fn superseded(
        &self,
        plan: &EcsPlan,
        definition: Option<&str>,
        service: &Service,
    ) -> anyhow::Error {
        let mut deployments = service.deployments.iter();
        let ours = deployments.find(|one| definition == Some(one.task_definition.as_str()));
        let is_back = plan.previous.as_deref() == Some(service.task_definition.arn.as_str());
        match ours.filter(|_| is_back) {
            Some(ours) => anyhow::Error::msg(self.failure(plan, ours)),
            None if is_back => anyhow::anyhow!(
                "ECS took the deployment of {} back, and tells no reason",
                plan.service
            ),
            None => anyhow::anyhow!(
                "ECS service {} has got {} meanwhile: somebody else has changed it",
                plan.service,
                service.task_definition.name()
            ),
        }
    }

    /// Why a deployment failed: what ECS says, what its tasks said when they ended, and what that means.
    fn failure(&self, plan: &EcsPlan, deployment: &Deployment) -> String {
        let tasks = self
            .aws
            .reader()
            .ended_tasks(&plan.cluster, &plan.service, &deployment.task_definition)
            .unwrap_or_default();
        let reason = deployment.reason.as_deref().filter(|text| !text.is_empty());
        let reason = reason.map_or_else(
            || format!("{} of its tasks have failed", deployment.failed),
            |reason| reason.trim_end_matches('.').to_owned(),
        );
        let mut lines = vec![format!(
            "the deployment of ECS service {} failed: {reason}",
            plan.service
        )];
        lines.extend(tasks.iter().map(|task| format!("a task ended: {task}")));
        let explained = trouble::explain(&tasks.join("\n"));
        lines.extend(
            explained
                .first()
                .map(|trouble| format!("{}: {}\n{}", trouble.name, trouble.cause, trouble.next)),
        );
        lines.join("\n")
    }
}

/// Whether the service is to run what is waited for.
fn is_meant(plan: &EcsPlan, definition: Option<&str>, service: &Service) -> bool {
    let now = &service.task_definition;
    definition.map_or_else(|| runs(plan, service), |arn| arn == now.arn)
}

/// Whether a service's tasks are of the image and CPU of a plan.
pub(super) fn runs(plan: &EcsPlan, service: &Service) -> bool {
    let mut containers = service.task_definition.containers.iter();
    let image = containers.find(|one| one.name == plan.container);
    image.is_some_and(|one| one.image == plan.to.image) && service.arch() == Some(plan.to.arch)
}

/// Without a circuit breaker ECS starts tasks that fail for ever.
fn is_hopeless(service: &Service, deployment: &Deployment) -> bool {
    let is_alone = !service.has_circuit_breaker && service.controller == Controller::Rolling;
    is_alone && deployment.running == 0 && deployment.failed >= FAILURES
}
