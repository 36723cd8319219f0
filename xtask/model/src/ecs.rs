//! An Amazon ECS service and the task definition that its tasks are made from, as ECS describes them.

use serde::Serialize;

use crate::{arch::Arch, refusal::Refusal};

/// A service, with the task definition that it is to run.
#[derive(Debug, Clone)]
pub struct Service {
    /// Its ARN.
    pub arn: String,
    /// What replaces its tasks.
    pub controller: Controller,
    /// Where its tasks run.
    pub capacity: Capacity,
    /// The version of Fargate that it asks for, if not the latest.
    pub platform_version: Option<String>,
    /// Whether ECS ends a deployment whose tasks fail.
    pub has_circuit_breaker: bool,
    /// What it is to run.
    pub task_definition: TaskDefinition,
    /// Deployments, as ECS lists them.
    pub deployments: Vec<Deployment>,
}

/// What replaces the tasks of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Controller {
    /// ECS, task by task.
    Rolling,
    /// ECS, in stages: blue/green, linear or canary.
    Staged,
    /// ECS Express Mode, which keeps the task definition itself.
    Express,
    /// AWS `CodeDeploy`.
    CodeDeploy,
    /// Something outside of AWS.
    External,
}

/// Where the tasks of a service run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Capacity {
    /// On AWS Fargate, which has both CPUs.
    Fargate,
    /// On EC2 instances of the cluster: of these capacity providers, or any.
    Instances {
        /// The capacity providers' names.
        providers: Vec<String>,
    },
    /// On instances that ECS chooses for the tasks.
    Managed,
}

/// One deployment of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// Its id.
    pub id: String,
    /// Whether it is the newest: ECS calls it `PRIMARY`.
    pub is_primary: bool,
    /// The ARN of its task definition.
    pub task_definition: String,
    /// How far it is.
    pub rollout: Rollout,
    /// Why it is there.
    pub reason: Option<String>,
    /// How many tasks have failed, one after the other.
    pub failed: i32,
    /// How many tasks run.
    pub running: i32,
}

/// How far a deployment is. Source: `rolloutState` of `Deployment`, and `status` of `ServiceDeployment`, in ECS' API reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rollout {
    /// It goes on.
    InProgress,
    /// Its tasks run.
    Completed,
    /// It has failed; where the service says so, ECS goes back to what ran before.
    Failed,
}

/// A revision of a task definition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct TaskDefinition {
    /// Its ARN.
    pub arn: String,
    /// Its family.
    pub family: String,
    /// The CPU that its tasks run on, where it says one.
    pub arch: Option<Arch>,
    /// Its containers.
    pub containers: Vec<Container>,
    /// Whether its tasks run Linux.
    pub is_linux: bool,
}

/// A container of a task definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Its image.
    pub image: String,
}

/// The container of an Express Mode service. Source: `taskDefinitionArn` of `UpdateExpressGatewayService`.
const EXPRESS_CONTAINER: &str = "Main";

impl Service {
    /// The ARN of its cluster: the service's own names it, but for those of before 2018, and then `cluster` does.
    pub fn cluster_arn(&self, cluster: &str) -> Option<String> {
        if cluster.starts_with("arn:") {
            return Some(cluster.to_owned());
        }
        let (place, rest) = self.arn.split_once(":service/")?;
        let named = rest.split_once('/').map_or(cluster, |(named, _)| named);
        Some(format!("{place}:cluster/{named}"))
    }

    /// The newest deployment.
    pub fn primary(&self) -> Option<&Deployment> {
        self.deployments.iter().find(|one| one.is_primary)
    }

    /// The CPU that its tasks run on, where that can be told. Source: Fargate runs `X86_64` where a task definition says nothing.
    pub fn arch(&self) -> Option<Arch> {
        let usual = (self.capacity == Capacity::Fargate).then_some(Arch::Amd64);
        self.task_definition.arch.or(usual)
    }

    /// Whether it is of Express Mode, and has nothing but what that makes: a second container is of somebody's own task definition.
    pub fn is_of_express_alone(&self) -> bool {
        self.controller == Controller::Express && self.task_definition.containers.len() == 1
    }

    /// The container that is meant: the one with this name, the only one, or the only one whose image is of this repository.
    ///
    /// # Errors
    /// A task definition with several where none is named, or without the one that is.
    pub fn container(&self, name: Option<&str>, repository: &str) -> Result<&Container, Refusal> {
        let definition = &self.task_definition;
        let express = (self.controller == Controller::Express).then_some(EXPRESS_CONTAINER);
        definition.container(name.or(express), repository)
    }
}

impl TaskDefinition {
    fn container(&self, name: Option<&str>, repository: &str) -> Result<&Container, Refusal> {
        let all = &self.containers;
        let of_repository = || {
            let mut ours = all.iter().filter(|one| one.is_of(repository));
            ours.next().filter(|_| ours.next().is_none())
        };
        let found = match name {
            Some(name) => all.iter().find(|container| container.name == name),
            None => all
                .first()
                .filter(|_| all.len() == 1)
                .or_else(of_repository),
        };
        found.ok_or_else(|| {
            let names: Vec<_> = all.iter().map(|one| one.name.as_str()).collect();
            let (family, names) = (&self.family, names.join(", "));
            let problem = format!("the task definition {family} has the containers {names}");
            Refusal::new(problem, "set `container` on the image in deploy.toml")
        })
    }

    /// The name and revision: `api:7`.
    pub fn name(&self) -> &str {
        name_of(&self.arn)
    }
}

/// The name and revision in the ARN of a task definition: `api:7` of `arn:aws:ecs:…:task-definition/api:7`.
pub fn name_of(arn: &str) -> &str {
    arn.rsplit_once('/').map_or(arn, |(_, name)| name)
}

impl Container {
    /// Whether its image is of a repository, in whatever registry.
    fn is_of(&self, repository: &str) -> bool {
        let name = self.image.split('@').next().unwrap_or_default();
        let path = name.split_once('/').map_or(name, |(_, path)| path);
        let is_tag = |rest: &str| rest.is_empty() || rest.starts_with(':');
        path.strip_prefix(repository).is_some_and(is_tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(containers: &[(&str, &str)]) -> TaskDefinition {
        let container = |(name, image): &(&str, &str)| Container {
            name: (*name).into(),
            image: (*image).into(),
        };
        TaskDefinition {
            arn: "arn:aws:ecs:eu-west-1:111122223333:task-definition/api:7".into(),
            family: "api".into(),
            arch: None,
            containers: containers.iter().map(container).collect(),
            is_linux: true,
        }
    }

    #[test]
    fn the_container_is_the_named_one_the_only_one_or_the_one_of_the_repository() {
        let found = |containers: &[(&str, &str)], name: Option<&str>| {
            let found = definition(containers);
            found
                .container(name, "team/shop")
                .map(|one| one.name.clone())
        };
        let (ours, proxy) = (("web", "r.io/team/shop:old"), ("proxy", "envoy:v1"));
        assert_eq!(found(&[("app", "anything")], None).unwrap(), "app");
        assert_eq!(found(&[proxy, ours], None).unwrap(), "web");
        assert_eq!(found(&[proxy, ours], Some("proxy")).unwrap(), "proxy");
        assert_eq!(
            found(&[proxy, ("web", "r.io/team/shop@sha256:1")], None).unwrap(),
            "web"
        );
        let two = found(&[ours, ("worker", "r.io/team/shop:old")], None).unwrap_err();
        assert!(two.problem.contains("web, worker"), "{two}");
        assert!(found(&[proxy, ("x", "r.io/team/shopping:1")], None).is_err());
        assert!(found(&[ours], Some("other")).is_err());
        assert_eq!(definition(&[]).name(), "api:7");
    }
}
