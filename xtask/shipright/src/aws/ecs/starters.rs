//! Rules and schedules of Amazon EventBridge that start tasks in a cluster.

use anyhow::Result;

use super::super::{Reader, error::explain};
use crate::model::schedule::{Starter, StarterKind};

/// The most rules, and the most schedules, that are looked at: each is a call.
pub(super) const MOST: usize = 100;

impl Reader<'_> {
    /// The rules and schedules that start tasks in a cluster, by its ARN.
    ///
    /// Source: EventBridge's and EventBridge Scheduler's API references: the target's ARN is the cluster's, and `EcsParameters`
    /// name the task definition.
    ///
    /// # Errors
    /// A call that fails: who deploys need not be allowed to look at rules.
    pub fn ecs_starters(&self, cluster: &str) -> Result<Vec<Starter>> {
        self.0.runtime.block_on(async {
            let mut all = self.rules(cluster).await?;
            all.extend(self.schedules(cluster).await?);
            Ok(all)
        })
    }

    async fn rules(&self, cluster: &str) -> Result<Vec<Starter>> {
        let events = &self.0.eventbridge;
        let about = format!("cluster `{cluster}`");
        let call = events.list_rule_names_by_target().target_arn(cluster);
        let names = call.limit(100).send().await;
        let names = names.map_err(|e| explain("events:ListRuleNamesByTarget", &about, &e))?;
        let mut found = Vec::new();
        for name in names.rule_names().iter().take(MOST) {
            let call = events.list_targets_by_rule().rule(name).limit(100);
            let targets = call.send().await;
            let targets = targets
                .map_err(|e| explain("events:ListTargetsByRule", &format!("rule `{name}`"), &e))?;
            let its = targets.targets().iter().filter(|one| one.arn() == cluster);
            let started = its.filter_map(|one| one.ecs_parameters());
            found.extend(started.map(|one| Starter {
                kind: StarterKind::Rule,
                name: name.clone(),
                task_definition: one.task_definition_arn().to_owned(),
            }));
        }
        Ok(found)
    }

    async fn schedules(&self, cluster: &str) -> Result<Vec<Starter>> {
        let scheduler = &self.0.scheduler;
        let mut pages = scheduler.list_schedules().into_paginator().items().send();
        let mut found = Vec::new();
        while let Some(summary) = pages.next().await {
            let summary =
                summary.map_err(|e| explain("scheduler:ListSchedules", "schedules", &e))?;
            let is_its = summary
                .target()
                .is_some_and(|target| target.arn() == cluster);
            let Some(name) = summary.name().filter(|_| is_its) else {
                continue;
            };
            if found.len() == MOST {
                break;
            }
            let call = scheduler.get_schedule().name(name);
            let schedule = call.set_group_name(summary.group_name().map(str::to_owned));
            let about = format!("schedule `{name}`");
            let schedule = schedule.send().await;
            let schedule = schedule.map_err(|e| explain("scheduler:GetSchedule", &about, &e))?;
            let started = schedule.target().and_then(|target| target.ecs_parameters());
            found.extend(started.map(|one| Starter {
                kind: StarterKind::Schedule,
                name: name.to_owned(),
                task_definition: one.task_definition_arn().to_owned(),
            }));
        }
        Ok(found)
    }
}
