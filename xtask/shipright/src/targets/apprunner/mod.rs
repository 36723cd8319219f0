//! AWS App Runner services.

mod apply;

use anyhow::Result;

use crate::{
    aws::Reader,
    model::running::Running,
    plan::{
        Selected,
        targets::{
            Choice, Workload,
            apprunner::{self, Facts},
        },
    },
    refused::Refused,
    session::Session,
};

fn name(session: &Session<'_>, selected: Selected<'_>) -> String {
    selected.image.apprunner_service(
        &session.config.project,
        &session.environment.name,
        &selected.service.name,
    )
}

/// What a service is configured with.
pub(super) fn running(session: &Session<'_>, selected: Selected<'_>) -> Result<Running> {
    let name = name(session, selected);
    let service = session.aws.reader().apprunner_service(&name)?;
    Ok(Running::new(
        name,
        service.map(|service| service.image),
        None,
    ))
}

/// Reads a service, and decides.
pub(super) fn plan(session: &Session<'_>, choice: &Choice<'_>) -> Result<Workload> {
    let name = name(session, choice.selected);
    let facts = facts(session, &name)?;
    let plan = apprunner::decide(choice, &name, &session.environment.region, facts.as_ref());
    Ok(Workload::AppRunner(Box::new(plan.map_err(Refused::from)?)))
}

fn facts(session: &Session<'_>, name: &str) -> Result<Option<Facts>> {
    let reader = session.aws.reader();
    let Some(service) = reader.apprunner_service(name)? else {
        return Ok(None);
    };
    Ok(Some(Facts {
        is_running: service.status == "RUNNING",
        newest_succeeded: newest_succeeded(reader, &service.arn)?,
        image: service.image,
        deploys_by_itself: service.deploys_by_itself,
        shape: service.shape,
    }))
}

/// Whether the newest operation on a service has succeeded. A service that had none is as it was made.
fn newest_succeeded(reader: Reader<'_>, arn: &str) -> Result<bool> {
    let operations = reader.apprunner_operations(arn)?;
    Ok(operations
        .first()
        .is_none_or(|operation| operation.succeeded))
}
