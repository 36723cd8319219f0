//! Another task definition for a service of ECS, and a service for a sandbox.

use anyhow::Result;
use aws_sdk_ecs::types::{
    Compatibility, ContainerDefinition, DeploymentCircuitBreaker, DeploymentConfiguration,
    LaunchType, NetworkMode, RuntimePlatform,
};

use super::super::{Writer, error::explain};
use crate::arch::Arch;

impl Writer<'_> {
    /// Gives a service a task definition, by its ARN, and starts a deployment also where it has that already.
    ///
    /// # Errors
    /// A call that fails.
    pub fn update_ecs(&self, cluster: &str, service: &str, definition: &str) -> Result<()> {
        let about = format!("ECS service `{service}` of cluster `{cluster}`");
        let call = self
            .0
            .ecs
            .update_service()
            .cluster(cluster)
            .service(service)
            .task_definition(definition)
            .force_new_deployment(true);
        self.0
            .runtime
            .block_on(call.send())
            .map_err(|e| explain("ecs:UpdateService", &about, &e))?;
        Ok(())
    }

    /// Makes a cluster, a task definition of one container, and a service of one task. Only a sandbox does: a real service needs
    /// roles, subnets and a size, which are not ours to guess.
    ///
    /// # Errors
    /// A call that fails.
    pub fn create_ecs(
        &self,
        (cluster, service): (&str, &str),
        container: &str,
        image: &str,
        arch: Arch,
    ) -> Result<()> {
        let (ecs, runtime) = (&self.0.ecs, &self.0.runtime);
        let call = ecs.create_cluster().cluster_name(cluster);
        runtime
            .block_on(call.send())
            .map_err(|e| explain("ecs:CreateCluster", cluster, &e))?;
        let container = ContainerDefinition::builder().name(container).image(image);
        let platform = RuntimePlatform::builder().cpu_architecture(arch.ecs().into());
        let call = ecs
            .register_task_definition()
            .family(service)
            .network_mode(NetworkMode::Awsvpc)
            .requires_compatibilities(Compatibility::Fargate)
            .cpu("256")
            .memory("512")
            .runtime_platform(platform.build())
            .container_definitions(container.build());
        runtime
            .block_on(call.send())
            .map_err(|e| explain("ecs:RegisterTaskDefinition", service, &e))?;
        let breaker = DeploymentCircuitBreaker::builder()
            .enable(true)
            .rollback(true);
        let configuration = DeploymentConfiguration::builder();
        let configuration = configuration.deployment_circuit_breaker(breaker.build());
        let call = ecs
            .create_service()
            .cluster(cluster)
            .service_name(service)
            .task_definition(service)
            .launch_type(LaunchType::Fargate)
            .desired_count(1)
            .deployment_configuration(configuration.build());
        runtime
            .block_on(call.send())
            .map_err(|e| explain("ecs:CreateService", service, &e))?;
        Ok(())
    }
}
