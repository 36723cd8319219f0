//! `verify ecs`: what the task definitions of an environment's services say, against its tags, the policy and the instances.

use std::process::ExitCode;

use anyhow::Result;
use serde::Serialize;

use super::environment::{finish, in_each, named, show};
use crate::{
    arch::Arch,
    cli::VerifyEnvironment,
    context::Context,
    model::{
        ecs::{Capacity, Rollout, Service, TaskDefinition},
        running::Running,
        target::Target,
    },
    plan::{Selected, targets::ecs::starter_notes},
    session::Session,
    targets,
    workspace::Workspace,
};

/// One service of an environment.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct ServiceReport {
    image: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<String>,
    cluster: String,
    #[serde(flatten)]
    running: Running,
    task_definition: Option<TaskDefinition>,
    tag_digest: Option<String>,
    arch: Arch,
    mismatches: Vec<String>,
    /// What else starts its tasks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

/// Compares the environment's ECS services with its tags, with the policy, and with the instances that they may use.
pub(super) fn ecs(context: &Context, arguments: &VerifyEnvironment) -> Result<ExitCode> {
    let workspace = Workspace::of(context)?;
    let sessions = Session::open_all(&workspace, &arguments.environment)?;
    let mut reports = Vec::new();
    for (session, selected) in in_each(&sessions, &arguments.service)? {
        match selected.image.target {
            Target::Ecs => {}
            Target::Lambda | Target::Eks | Target::AppRunner => continue,
        }
        let report = report(context, session, selected)?;
        let name = named(&report.image, report.region.as_ref());
        show(context, &name, &report.mismatches, &shown(&report));
        for note in &report.notes {
            context.terminal.note(note);
        }
        reports.push(report);
    }
    let is_fine = reports.iter().all(|report| report.mismatches.is_empty());
    Ok(finish(context, &reports, is_fine))
}

fn report(
    context: &Context,
    session: &Session<'_>,
    selected: Selected<'_>,
) -> Result<ServiceReport> {
    let cluster = &session.environment.ecs_cluster;
    let running = targets::running(session, selected)?;
    let service = session
        .aws
        .reader()
        .ecs_service(cluster, &running.workload)?;
    let tag = session.tag(selected);
    let tagged = session.manifest(&session.repository(selected), &tag)?;
    let mut report = ServiceReport {
        image: selected.name(),
        region: session.region(),
        cluster: cluster.clone(),
        running,
        task_definition: None,
        tag_digest: tagged.map(|manifest| manifest.digest),
        arch: session.config.arch(selected.image.target),
        mismatches: Vec::new(),
        notes: Vec::new(),
    };
    if let Some(service) = service {
        report.compare(&service, &tag);
        report.compare_instances(session, &service)?;
        let starters = targets::ecs_starters(session, &context.terminal, &service);
        report.notes = starter_notes(&service.task_definition.family, &starters);
        report.task_definition = Some(service.task_definition);
    }
    Ok(report)
}

impl ServiceReport {
    fn compare(&mut self, service: &Service, tag: &str) {
        let (arch, name) = (self.arch, service.task_definition.name());
        let mut mismatches = Vec::new();
        match service.arch() {
            Some(runs) if runs != arch => {
                let cure = format!("`cpuArchitecture` is to be {}", arch.ecs());
                mismatches.push(format!(
                    "{name} runs on {runs}, and the policy is {arch}: {cure}"
                ));
            }
            Some(_) | None => {}
        }
        let image = self.running.image.as_deref().unwrap_or("nothing");
        match (&self.running.digest, &self.tag_digest) {
            (None, _) => mismatches.push(format!(
                "{name} has {image}: a tag may name another image when the next task starts"
            )),
            (Some(runs), Some(tagged)) if runs != tagged => {
                mismatches.push(format!("{name} has {runs}, and `{tag}` is {tagged}"));
            }
            (Some(_), _) => {}
        }
        if let Some(failed) = service
            .primary()
            .filter(|one| one.rollout == Rollout::Failed)
        {
            let reason = failed.reason.as_deref().unwrap_or("ECS tells no reason");
            mismatches.push(format!("the newest deployment failed: {reason}"));
        }
        self.mismatches = mismatches;
    }

    fn compare_instances(&mut self, session: &Session<'_>, service: &Service) -> Result<()> {
        let Capacity::Instances { providers } = &service.capacity else {
            return Ok(());
        };
        let all = session
            .aws
            .reader()
            .ecs_instances(&self.cluster, providers)?;
        let is_right = |arch: Option<Arch>| arch.is_none_or(|arch| arch == self.arch);
        if !all.iter().any(|one| is_right(one.arch)) {
            let arch = self.arch;
            let text = |one: &crate::model::nodes::Nodes| {
                format!("{}, and the image is for {arch}", one.shown())
            };
            self.mismatches.extend(all.iter().map(text));
        }
        Ok(())
    }
}

fn shown(report: &ServiceReport) -> String {
    let (name, cluster) = (&report.running.workload, &report.cluster);
    let Some(definition) = &report.task_definition else {
        return format!("the cluster {cluster} has no service {name}");
    };
    let image = report.running.image.as_deref().unwrap_or("nothing");
    let arch = report.running.arch.map_or_else(
        || "a CPU that the task definition does not say".to_owned(),
        |arch| arch.to_string(),
    );
    let revision = definition.name();
    format!("{name} has {revision}: {image} on {arch}")
}
