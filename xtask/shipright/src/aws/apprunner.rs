//! App Runner: what services run, and how that is changed.

use anyhow::{Context, Result};
use aws_sdk_apprunner::types::{
    ImageRepository, OperationStatus, ServiceStatus, SourceConfiguration,
};

use super::{Reader, Writer, error::explain};
use crate::{model::inventory::ImageUse, plan::targets::apprunner::Shape};

/// A service as App Runner describes it.
#[derive(Debug, Clone)]
pub struct Service {
    /// Its ARN.
    pub arn: String,
    /// `RUNNING`, `OPERATION_IN_PROGRESS`, …
    pub status: String,
    /// The image that it is configured with. `None` for a service that is built from source code.
    pub image: Option<String>,
    /// Whether a moved tag starts a deployment by itself.
    pub deploys_by_itself: bool,
    /// CPU and memory of an instance, and its port: what another service would need.
    pub shape: Shape,
    source: Option<SourceConfiguration>,
}

/// An operation on a service. A service says `RUNNING` again after a failed deployment was rolled back; its operation tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Its id.
    pub id: String,
    /// Whether it has not ended.
    pub is_running: bool,
    /// Whether it has done what it was to do. Only `SUCCEEDED` is success.
    pub succeeded: bool,
    /// AWS's word for its state.
    pub status: String,
}

impl Reader<'_> {
    /// A service of App Runner, if it exists.
    ///
    /// # Errors
    /// A call that fails.
    pub fn apprunner_service(&self, name: &str) -> Result<Option<Service>> {
        let about = format!("App Runner service `{name}`");
        let Some(arn) = self.apprunner_arn(name)? else {
            return Ok(None);
        };
        let call = self.0.apprunner.describe_service().service_arn(&arn).send();
        let answer = self
            .0
            .runtime
            .block_on(call)
            .map_err(|e| explain("apprunner:DescribeService", &about, &e))?;
        let service = answer
            .service()
            .with_context(|| format!("AWS said nothing of {about}"))?;
        let source = service.source_configuration().cloned();
        let repository = source.as_ref().and_then(|source| source.image_repository());
        let instance = service.instance_configuration();
        Ok(Some(Service {
            arn,
            status: service.status().as_str().to_owned(),
            image: repository.map(|repository| repository.image_identifier().to_owned()),
            deploys_by_itself: source
                .as_ref()
                .and_then(|source| source.auto_deployments_enabled())
                .unwrap_or(repository.is_some()),
            shape: Shape {
                cpu: instance
                    .and_then(|instance| instance.cpu())
                    .map(str::to_owned),
                memory: instance
                    .and_then(|instance| instance.memory())
                    .map(str::to_owned),
                port: repository
                    .and_then(|repository| repository.image_configuration())
                    .and_then(|configuration| configuration.port())
                    .map(str::to_owned),
            },
            source,
        }))
    }

    fn apprunner_arn(&self, name: &str) -> Result<Option<String>> {
        let mut next = None;
        loop {
            let call = self.0.apprunner.list_services().set_next_token(next).send();
            let page = self.0.runtime.block_on(call);
            let page = page.map_err(|e| {
                explain(
                    "apprunner:ListServices",
                    &format!("App Runner service `{name}`"),
                    &e,
                )
            })?;
            let found = page.service_summary_list().iter().find(|service| {
                service.service_name() == Some(name)
                    && service.status() != Some(&ServiceStatus::Deleted)
            });
            if let Some(arn) = found.and_then(|service| service.service_arn()) {
                return Ok(Some(arn.to_owned()));
            }
            next = page.next_token().map(str::to_owned);
            if next.is_none() {
                return Ok(None);
            }
        }
    }

    /// The images of all services of the account in the region. What runs does not follow a tag that has moved.
    ///
    /// # Errors
    /// A call that fails.
    pub fn apprunner_images(&self) -> Result<Vec<ImageUse>> {
        let mut uses = Vec::new();
        let mut next = None;
        loop {
            let call = self.0.apprunner.list_services().set_next_token(next).send();
            let page = self.0.runtime.block_on(call);
            let page = page.map_err(|e| explain("apprunner:ListServices", "all services", &e))?;
            for service in page.service_summary_list() {
                let name = service.service_name().unwrap_or_default();
                let is_there = service.status() != Some(&ServiceStatus::Deleted);
                if let Some(arn) = service.service_arn().filter(|_| is_there) {
                    uses.extend(self.apprunner_image(name, arn)?);
                }
            }
            next = page.next_token().map(str::to_owned);
            if next.is_none() {
                return Ok(uses);
            }
        }
    }

    fn apprunner_image(&self, name: &str, arn: &str) -> Result<Option<ImageUse>> {
        let about = format!("App Runner service {name}");
        let call = self.0.apprunner.describe_service().service_arn(arn).send();
        let answer = self.0.runtime.block_on(call);
        let answer = answer.map_err(|e| explain("apprunner:DescribeService", &about, &e))?;
        let service = answer.service();
        let source = service.and_then(|service| service.source_configuration());
        let repository = source.and_then(|source| source.image_repository());
        let named =
            repository.and_then(|one| ImageUse::of_reference(about, one.image_identifier()));
        Ok(named.map(ImageUse::not_following))
    }

    /// The newest operations of a service, newest first.
    ///
    /// # Errors
    /// A call that fails.
    pub fn apprunner_operations(&self, arn: &str) -> Result<Vec<Operation>> {
        let call = self.0.apprunner.list_operations().service_arn(arn).send();
        let answer = self
            .0
            .runtime
            .block_on(call)
            .map_err(|e| explain("apprunner:ListOperations", arn, &e))?;
        let operation = |summary: &aws_sdk_apprunner::types::OperationSummary| {
            let status = summary.status()?;
            let is_running = matches!(
                status,
                OperationStatus::InProgress
                    | OperationStatus::Pending
                    | OperationStatus::RollbackInProgress
            );
            Some(Operation {
                id: summary.id()?.to_owned(),
                is_running,
                succeeded: *status == OperationStatus::Succeeded,
                status: status.as_str().to_owned(),
            })
        };
        Ok(answer
            .operation_summary_list()
            .iter()
            .filter_map(operation)
            .collect())
    }
}

impl Writer<'_> {
    /// Gives a service another image, everything else as it is. Returns the operation's id.
    ///
    /// # Errors
    /// A call that fails, also for a service that is busy.
    pub fn update_apprunner(&self, service: &Service, image: &str) -> Result<String> {
        let about = format!("App Runner service `{}`", service.arn);
        let source = service
            .source
            .as_ref()
            .with_context(|| format!("{about} has no source"))?;
        let old = source
            .image_repository()
            .with_context(|| format!("{about} is built from source code, not from an image"))?;
        let repository = ImageRepository::builder()
            .image_identifier(image)
            .image_repository_type(old.image_repository_type().clone())
            .set_image_configuration(old.image_configuration().cloned())
            .build()?;
        let source = SourceConfiguration::builder()
            .image_repository(repository)
            .set_auto_deployments_enabled(source.auto_deployments_enabled())
            .set_authentication_configuration(source.authentication_configuration().cloned())
            .build();
        let call = self
            .0
            .apprunner
            .update_service()
            .service_arn(&service.arn)
            .source_configuration(source)
            .send();
        let answer = self
            .0
            .runtime
            .block_on(call)
            .map_err(|e| explain("apprunner:UpdateService", &about, &e))?;
        Ok(answer.operation_id().to_owned())
    }

    /// Starts a deployment of the image that a service is configured with. Returns the operation's id.
    ///
    /// # Errors
    /// A call that fails, also for a service that is busy.
    pub fn start_apprunner(&self, service: &Service) -> Result<String> {
        let call = self
            .0
            .apprunner
            .start_deployment()
            .service_arn(&service.arn)
            .send();
        let answer = self.0.runtime.block_on(call);
        let answer = answer.map_err(|e| explain("apprunner:StartDeployment", &service.arn, &e))?;
        Ok(answer.operation_id().to_owned())
    }
}
