//! What runs an image at the moment, whatever the target.

use anyhow::Result;
use serde::Serialize;

use super::reach::Reached;
use crate::{
    arch::Arch,
    deploy::Kubectl,
    model::target::Target,
    plan::{self, Selected},
};

/// What runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Running {
    /// The function, service or deployment.
    pub workload: String,
    /// Whether it exists.
    pub exists: bool,
    /// The reference that it is configured with.
    pub image: Option<String>,
    /// The digest, where the reference has one.
    pub digest: Option<String>,
    /// The architecture, where the target says one of its own.
    pub arch: Option<Arch>,
}

impl Reached {
    /// What runs an image in this environment.
    ///
    /// # Errors
    /// A workload that cannot be read.
    pub fn running(&self, selected: Selected<'_>) -> Result<Running> {
        let (config, environment) = (&self.config, &self.environment);
        let names = (config.project.as_str(), environment.name.as_str(), selected.service.name.as_str());
        let of = |workload: String, image: Option<Option<String>>, arch| {
            let exists = image.is_some();
            let image = image.flatten();
            let digest = image.as_deref().and_then(|image| image.split_once('@')).map(|(_, digest)| digest.to_owned());
            Running { workload, exists, image, digest, arch }
        };
        match selected.image.target {
            Target::Lambda => {
                let name = plan::function_name(config, environment, selected).unwrap_or_default();
                let reader = self.aws.reader();
                // Callers see what the alias names, and not the newest code.
                let alias = selected.image.alias.as_deref().map(|alias| reader.alias(&name, alias)).transpose()?.flatten();
                let version = alias.filter(|alias| alias.version != "$LATEST");
                let called = version.map(|alias| reader.version(&name, &alias.version)).transpose()?.flatten();
                let function = if let Some(version) = called { version } else { reader.function(&name)? };
                Ok(of(name, function.exists.then(|| function.image.clone()), function.arch))
            }
            Target::AppRunner => {
                let name = selected.image.apprunner_service(names.0, names.1, names.2);
                let service = self.aws.reader().apprunner_service(&name)?;
                Ok(of(name, service.map(|service| service.image), None))
            }
            Target::Eks => {
                let name = selected.image.deployment(names.0, names.1, names.2);
                let kubectl =
                    Kubectl::new(environment.kube_context.as_deref(), environment.cluster.as_deref(), &environment.namespace);
                let deployment = kubectl.deployment(&name)?;
                let image = match &deployment {
                    Some(deployment) => Some(Some(deployment.container(selected.image.container.as_deref())?.1.to_owned())),
                    None => None,
                };
                Ok(of(name, image, deployment.and_then(|deployment| deployment.selects())))
            }
        }
    }
}
