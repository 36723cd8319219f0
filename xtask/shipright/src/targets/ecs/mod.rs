//! Services of Amazon ECS.

mod apply;
mod watch;

use anyhow::Result;

use crate::{
    aws::Reader,
    model::{
        ecs::{Capacity, Service},
        running::Running,
    },
    plan::{
        Selected,
        targets::{
            Choice, Workload,
            ecs::{self, Facts, Named},
        },
    },
    refused::Refused,
    session::Session,
};

fn name(session: &Session<'_>, selected: Selected<'_>) -> String {
    let (project, environment) = (&session.config.project, &session.environment.name);
    selected
        .image
        .ecs_service(project, environment, &selected.service.name)
}

/// What a service's tasks are made from.
pub(super) fn running(session: &Session<'_>, selected: Selected<'_>) -> Result<Running> {
    let name = name(session, selected);
    let cluster = &session.environment.ecs_cluster;
    let Some(service) = session.aws.reader().ecs_service(cluster, &name)? else {
        return Ok(Running::new(name, None, None));
    };
    let repository = session.repository(selected);
    let container = service
        .container(selected.image.container.as_deref(), &repository)
        .map_err(Refused::from)?;
    let image = Some(container.image.clone());
    Ok(Running::new(name, Some(image), service.arch()))
}

/// Reads a service, and decides.
pub(super) fn plan(session: &Session<'_>, choice: &Choice<'_>) -> Result<Workload> {
    let name = name(session, choice.selected);
    let repository = session.repository(choice.selected);
    let named = Named {
        service: &name,
        cluster: &session.environment.ecs_cluster,
        region: &session.environment.region,
        repository: &repository,
        may_create: session.sandbox.is_some(),
    };
    let facts = facts(session.aws.reader(), choice, named)?;
    let plan = ecs::decide(choice, named, &facts).map_err(Refused::from)?;
    Ok(Workload::Ecs(Box::new(plan)))
}

fn facts(reader: Reader<'_>, choice: &Choice<'_>, named: Named<'_>) -> Result<Facts> {
    let Some(service) = reader.ecs_service(named.cluster, named.service)? else {
        return Ok(Facts {
            others: reader.ecs_services(named.cluster)?,
            ..Facts::default()
        });
    };
    let instances = match &service.capacity {
        Capacity::Fargate | Capacity::Managed => Vec::new(),
        Capacity::Instances { providers } => reader.ecs_instances(named.cluster, providers)?,
    };
    Ok(Facts {
        prepared: prepared(reader, choice, named, &service)?,
        service: Some(service),
        instances,
        others: Vec::new(),
    })
}

/// The newest revision of the family, where it is what this deployment would register: of a run that was killed right after.
fn prepared(
    reader: Reader<'_>,
    choice: &Choice<'_>,
    named: Named<'_>,
    service: &Service,
) -> Result<Option<String>> {
    let now = &service.task_definition;
    let named_container = choice.selected.image.container.as_deref();
    let Ok(container) = service.container(named_container, named.repository) else {
        return Ok(None);
    };
    let newest = reader.task_definition(&now.family)?;
    let Some(newest) = newest.filter(|newest| newest.told.arn != now.arn) else {
        return Ok(None);
    };
    let base = reader.task_definition(&now.arn)?;
    let code = &choice.code;
    let is_it =
        base.is_some_and(|base| base.becomes(&newest, &container.name, &code.image, code.arch));
    Ok(is_it.then_some(newest.told.arn))
}
