//! What starts tasks of ECS besides a service: rules and schedules of Amazon EventBridge.

use serde::Serialize;

/// Something that starts tasks of a family.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Starter {
    /// What it is.
    pub kind: StarterKind,
    /// Its name.
    pub name: String,
    /// The task definition that it starts: an ARN or a name, with a revision or without.
    pub task_definition: String,
}

/// A kind of [`Starter`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StarterKind {
    /// A rule of an event bus.
    Rule,
    /// A schedule of EventBridge Scheduler.
    Schedule,
}

impl Starter {
    /// The family, and the revision where one is named: `("api", Some("7"))` of `arn:aws:ecs:…:task-definition/api:7`.
    pub fn family_and_revision(&self) -> (&str, Option<&str>) {
        let name = crate::ecs::name_of(&self.task_definition);
        match name.split_once(':') {
            Some((family, revision)) => (family, Some(revision)),
            None => (name, None),
        }
    }
}
