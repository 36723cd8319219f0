//! Deployments of a Kubernetes cluster, EKS most often.

mod apply;
mod images;
mod kubectl;
mod nodes;
mod pods;

use anyhow::Result;

pub(super) use images::images;
use kubectl::Kubectl;
pub use nodes::look as look_at_nodes;

use crate::{
    model::{config::Environment, running::Running},
    plan::{
        Selected,
        targets::{Choice, Workload, eks, pulled::is_told},
    },
    refused::Refused,
    session::Session,
};

/// `kubectl` for the cluster of an environment.
pub(super) fn kubectl(environment: &Environment) -> Kubectl {
    let (context, cluster) = (
        environment.kube_context.as_deref(),
        environment.cluster.as_deref(),
    );
    Kubectl::new(context, cluster, &environment.namespace)
}

fn name(session: &Session<'_>, selected: Selected<'_>) -> String {
    let (project, environment) = (&session.config.project, &session.environment.name);
    selected
        .image
        .deployment(project, environment, &selected.service.name)
}

/// What a deployment's container runs.
pub(super) fn running(session: &Session<'_>, selected: Selected<'_>) -> Result<Running> {
    let name = name(session, selected);
    let Some(deployment) = kubectl(session.environment).deployment(&name)? else {
        return Ok(Running::new(name, None, None));
    };
    let (_, image) = deployment
        .container(selected.image.container.as_deref())
        .map_err(Refused::from)?;
    Ok(Running::new(
        name,
        Some(Some(image.to_owned())),
        deployment.selects(),
    ))
}

/// Reads a deployment, and decides.
pub(super) fn plan(session: &Session<'_>, choice: &Choice<'_>) -> Result<Workload> {
    let (environment, name) = (session.environment, name(session, choice.selected));
    eks::guard(environment).map_err(Refused::from)?;
    let deployment = kubectl(environment).deployment(&name)?;
    let plan = eks::decide(choice, environment, &name, deployment.as_ref());
    let mut plan = plan.map_err(Refused::from)?;
    let is_tag = plan.from.as_deref().is_some_and(|from| !is_told(from));
    if let Some(deployment) = deployment.filter(|_| is_tag && !plan.is_done) {
        let pulled = kubectl(environment).pulled(&deployment, &plan.container);
        let pulled = pulled.map_err(|error| format!("{error:#}"));
        plan.note_pulled(pulled.as_ref().map_err(String::as_str));
    }
    Ok(Workload::Eks(Box::new(plan)))
}
