//! Task definitions of ECS: read with everything that they say, and registered again with another image.

use anyhow::{Context, Result};
use aws_sdk_ecs::{
    operation::register_task_definition::builders::RegisterTaskDefinitionInputBuilder,
    types::{
        CpuArchitecture, OsFamily, RuntimePlatform, Tag, TaskDefinition as Described,
        TaskDefinitionField,
    },
};

use super::super::{Reader, Writer, error::explain};
use crate::{
    arch::Arch,
    model::ecs::{Container, TaskDefinition},
};

/// A revision of a task definition, and what would register the same once more.
#[derive(Debug, Clone)]
pub struct Definition {
    /// What matters of it.
    pub told: TaskDefinition,
    /// All of it.
    registration: RegisterTaskDefinitionInputBuilder,
}

impl Definition {
    /// Of what AWS says. What AWS adds by itself (numbers, dates, what the revision is compatible with) is left out.
    fn of(described: &Described, tags: &[Tag]) -> Self {
        let text = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
        let registration = RegisterTaskDefinitionInputBuilder::default()
            .set_family(text(described.family()))
            .set_task_role_arn(text(described.task_role_arn()))
            .set_execution_role_arn(text(described.execution_role_arn()))
            .set_network_mode(described.network_mode().cloned())
            .set_container_definitions(described.container_definitions.clone())
            .set_volumes(some(described.volumes()))
            .set_placement_constraints(some(described.placement_constraints()))
            .set_requires_compatibilities(some(described.requires_compatibilities()))
            .set_cpu(text(described.cpu()))
            .set_memory(text(described.memory()))
            .set_tags(some(tags))
            .set_pid_mode(
                described
                    .pid_mode()
                    .filter(|one| !one.as_str().is_empty())
                    .cloned(),
            )
            .set_ipc_mode(
                described
                    .ipc_mode()
                    .filter(|one| !one.as_str().is_empty())
                    .cloned(),
            )
            .set_proxy_configuration(described.proxy_configuration().cloned())
            .set_ephemeral_storage(described.ephemeral_storage().cloned())
            .set_runtime_platform(described.runtime_platform().cloned())
            .set_enable_fault_injection(described.enable_fault_injection());
        Self {
            told: told(described),
            registration,
        }
    }

    /// The same with another image in a container, on another CPU, where one is named.
    fn with(
        &self,
        container: &str,
        image: &str,
        arch: Option<Arch>,
    ) -> RegisterTaskDefinitionInputBuilder {
        let mut containers = self.registration.get_container_definitions().clone();
        for one in containers.iter_mut().flatten() {
            if one.name() == Some(container) {
                one.image = Some(image.to_owned());
            }
        }
        let same = self.registration.clone();
        let same = same.set_container_definitions(containers);
        let Some(arch) = arch else {
            return same;
        };
        let system = self.registration.get_runtime_platform().as_ref();
        let system = system.and_then(|platform| platform.operating_system_family().cloned());
        let platform = RuntimePlatform::builder()
            .cpu_architecture(cpu(arch))
            .set_operating_system_family(system)
            .build();
        same.runtime_platform(platform)
    }

    /// Whether another revision is what this one would become.
    pub fn becomes(&self, other: &Self, container: &str, image: &str, arch: Arch) -> bool {
        self.with(container, image, Some(arch)) == other.registration
    }
}

fn some<T: Clone>(all: &[T]) -> Option<Vec<T>> {
    (!all.is_empty()).then(|| all.to_vec())
}

fn cpu(arch: Arch) -> CpuArchitecture {
    arch.ecs().into()
}

fn told(described: &Described) -> TaskDefinition {
    let platform = described.runtime_platform();
    let system = platform.and_then(|platform| platform.operating_system_family());
    let arch = platform.and_then(|platform| platform.cpu_architecture());
    let container = |one: &aws_sdk_ecs::types::ContainerDefinition| Container {
        name: one.name().unwrap_or_default().to_owned(),
        image: one.image().unwrap_or_default().to_owned(),
    };
    TaskDefinition {
        arn: described
            .task_definition_arn()
            .unwrap_or_default()
            .to_owned(),
        family: described.family().unwrap_or_default().to_owned(),
        arch: arch.and_then(|arch| arch.as_str().parse().ok()),
        containers: described
            .container_definitions()
            .iter()
            .map(container)
            .collect(),
        is_linux: system.is_none_or(|system| *system == OsFamily::Linux),
    }
}

impl Reader<'_> {
    /// A revision of a task definition by its ARN, or the newest active one of a family, if there is one.
    ///
    /// # Errors
    /// A call that fails.
    pub fn task_definition(&self, name: &str) -> Result<Option<Definition>> {
        let call = self
            .0
            .ecs
            .describe_task_definition()
            .task_definition(name)
            .include(TaskDefinitionField::Tags);
        let answer = match self.0.runtime.block_on(call.send()) {
            Ok(answer) => answer,
            // Source: there is no error of its own for one that does not exist.
            Err(error)
                if error.as_service_error().is_some_and(|e| {
                    e.is_client_exception()
                        && e.meta()
                            .message()
                            .is_some_and(|text| text.contains("Unable to describe"))
                }) =>
            {
                return Ok(None);
            }
            Err(error) => {
                let about = format!("task definition `{name}`");
                return Err(explain("ecs:DescribeTaskDefinition", &about, &error));
            }
        };
        let tags = answer.tags();
        Ok(answer
            .task_definition()
            .map(|described| Definition::of(described, tags)))
    }
}

impl Writer<'_> {
    /// Registers a revision that is another in nothing but the image of a container and the CPU, where one is named. Returns its
    /// ARN.
    ///
    /// # Errors
    /// A call that fails.
    pub fn register_task_definition(
        &self,
        base: &Definition,
        container: &str,
        image: &str,
        arch: Option<Arch>,
    ) -> Result<String> {
        let about = format!("task definition `{}`", base.told.family);
        let call = base.with(container, image, arch).send_with(&self.0.ecs);
        let answer = self
            .0
            .runtime
            .block_on(call)
            .map_err(|e| explain("ecs:RegisterTaskDefinition", &about, &e))?;
        let definition = answer.task_definition();
        let arn = definition.and_then(|one| one.task_definition_arn());
        let arn = arn.with_context(|| format!("AWS names no ARN of the revision of {about}"))?;
        Ok(arn.to_owned())
    }

    /// Takes a revision out of use: what names its family starts the revision before.
    ///
    /// # Errors
    /// A call that fails.
    pub fn deregister_task_definition(&self, arn: &str) -> Result<()> {
        let call = self.0.ecs.deregister_task_definition();
        self.0
            .runtime
            .block_on(call.task_definition(arn).send())
            .map_err(|e| explain("ecs:DeregisterTaskDefinition", arn, &e))?;
        Ok(())
    }
}
