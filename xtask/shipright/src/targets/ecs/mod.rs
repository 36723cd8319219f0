//! Services of Amazon ECS.

mod apply;
mod watch;

use anyhow::Result;

use crate::{
    aws::Reader,
    model::{
        ecs::{Capacity, Service},
        running::Running,
        schedule::Starter,
    },
    plan::{
        Selected,
        targets::{
            Choice, Workload,
            ecs::{self, Facts, Named},
            pulled::is_told,
        },
    },
    refused::Refused,
    report::terminal::Terminal,
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
pub(super) fn plan(
    session: &Session<'_>,
    terminal: &Terminal,
    choice: &Choice<'_>,
) -> Result<Workload> {
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
    let mut plan = ecs::decide(choice, named, &facts).map_err(Refused::from)?;
    let is_tag = plan.from.as_deref().is_some_and(|from| !is_told(from));
    if is_tag && !plan.is_done() {
        let reader = session.aws.reader();
        let pulled = reader.pulled(named.cluster, &name, &plan.container);
        let pulled = pulled.map_err(|error| format!("{error:#}"));
        plan.note_pulled(pulled.as_ref().map_err(String::as_str));
    }
    if let Some(service) = facts.service.filter(|_| !plan.is_done()) {
        plan.note_starters(&starters(session, terminal, &service));
    }
    Ok(Workload::Ecs(Box::new(plan)))
}

/// The rules and schedules that start tasks in the cluster of a service, where they may be looked at.
pub fn starters(session: &Session<'_>, terminal: &Terminal, service: &Service) -> Vec<Starter> {
    let cluster = service.cluster_arn(&session.environment.ecs_cluster);
    let Some(cluster) = cluster.filter(|_| session.sandbox.is_none()) else {
        return Vec::new();
    };
    match session.aws.reader().ecs_starters(&cluster) {
        Ok(starters) => starters,
        Err(error) => {
            let text =
                format!("whether rules or schedules start its tasks cannot be told: {error:#}");
            terminal.detail(&text);
            Vec::new()
        }
    }
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
