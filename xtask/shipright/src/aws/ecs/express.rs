//! Services of ECS Express Mode, which keep their task definition themselves.

use anyhow::{Context, Result};

use super::super::{Writer, error::explain};
use crate::arch::Arch;

impl Writer<'_> {
    /// Gives an Express Mode service an image and its CPU in one call, all else as it is.
    ///
    /// # Errors
    /// A call that fails, or a service without a container.
    pub fn update_express(&self, arn: &str, image: &str, arch: Arch) -> Result<()> {
        let call = self.0.ecs.describe_express_gateway_service();
        let answer = self
            .0
            .runtime
            .block_on(call.service_arn(arn).send())
            .map_err(|e| explain("ecs:DescribeExpressGatewayService", arn, &e))?;
        let service = answer.service();
        let configurations = service
            .into_iter()
            .flat_map(|one| one.active_configurations());
        let newest = configurations.max_by_key(|one| one.created_at().map(|time| time.secs()));
        let container = newest.and_then(|one| one.primary_container());
        let mut container = container
            .with_context(|| format!("AWS tells of no container of Express Mode service {arn}"))?
            .clone();
        image.clone_into(&mut container.image);
        let call = self
            .0
            .ecs
            .update_express_gateway_service()
            .service_arn(arn)
            .primary_container(container)
            .cpu_architecture(arch.ecs().into());
        self.0
            .runtime
            .block_on(call.send())
            .map_err(|e| explain("ecs:UpdateExpressGatewayService", arn, &e))?;
        Ok(())
    }

    /// Gives an Express Mode service a task definition of somebody's own, by its ARN.
    ///
    /// # Errors
    /// A call that fails.
    pub fn update_express_definition(&self, arn: &str, definition: &str) -> Result<()> {
        let call = self
            .0
            .ecs
            .update_express_gateway_service()
            .service_arn(arn)
            .task_definition_arn(definition);
        self.0
            .runtime
            .block_on(call.send())
            .map_err(|e| explain("ecs:UpdateExpressGatewayService", arn, &e))?;
        Ok(())
    }
}
