//! What is to be moved, and what came of it: for people, for programs, and for the record.

use std::process::ExitCode;

use serde::Serialize;

use super::{Context, reach::Reached};
use crate::{
    aws::Identity,
    deploy::{AppRunnerPlan, EksPlan, Kubectl, Move, Outcome},
    model::place::Place,
    plan::deployment::{LambdaPlan, Step},
    record::Record,
    report::document,
};

/// One function, service or deployment, and what has to be done.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case", tag = "target")]
pub enum Workload {
    /// A Lambda function.
    Lambda(Box<LambdaPlan>),
    /// An App Runner service.
    #[serde(rename = "apprunner")]
    AppRunner {
        /// What has to be done.
        #[serde(flatten)]
        plan: Box<AppRunnerPlan>,
        /// The same in ECS Express Mode.
        express: String,
    },
    /// A Kubernetes deployment.
    Eks {
        /// What has to be done.
        #[serde(flatten)]
        plan: Box<EksPlan>,
        /// How its cluster is reached.
        #[serde(skip)]
        kubectl: Kubectl,
    },
}

impl Workload {
    /// Whether it runs what is wanted.
    pub fn is_done(&self) -> bool {
        match self {
            Self::Lambda(plan) => plan.steps.is_empty(),
            Self::AppRunner { plan, .. } => plan.is_done,
            Self::Eks { plan, .. } => plan.is_done,
        }
    }

    fn lines(&self) -> Vec<String> {
        match self {
            Self::Lambda(plan) => lambda_lines(plan),
            Self::AppRunner { plan, express } => {
                let now = plan.from.as_deref().unwrap_or("nothing");
                let mut lines = vec![format!("App Runner service {} runs {now}", plan.service)];
                lines.push(if plan.is_done { "nothing to do".to_owned() } else { format!("deploy {}", plan.to.image) });
                if plan.deploys_by_itself {
                    lines.push("it deploys by itself when its tag moves: it will not, once it has a digest".to_owned());
                }
                lines.push(format!("App Runner takes no new customers; ECS Express Mode would be: {express}"));
                lines
            }
            Self::Eks { plan, .. } => {
                let now = plan.from.as_deref().unwrap_or("nothing");
                let mut lines = vec![format!("deployment {} runs {now}", plan.deployment)];
                lines.push(if plan.is_done {
                    "nothing to do".to_owned()
                } else {
                    format!(
                        "kubectl set image deployment/{} {}={}, wait for the rollout",
                        plan.deployment, plan.container, plan.to.image
                    )
                });
                lines
            }
        }
    }
}

fn lambda_lines(plan: &LambdaPlan) -> Vec<String> {
    let mut lines = vec![plan.function.describe()];
    if plan.steps.is_empty() {
        lines.push("nothing to do".to_owned());
    }
    let alias = plan.alias.as_deref().unwrap_or("no alias");
    lines.extend(plan.steps.iter().map(|step| match step {
        Step::CreateFunction => format!("make the function: {} on {}", plan.to.image, plan.to.arch),
        Step::KeepPrevious => "publish what it runs now, so that there is a way back".to_owned(),
        Step::UpdateCode => format!("update image and architecture in one call: {} on {}", plan.to.image, plan.to.arch),
        Step::Invoke => format!("invoke it with {}", plan.smoke_payload.as_deref().unwrap_or("nothing")),
        Step::Publish => "publish a version".to_owned(),
        Step::CreateAlias => format!("create the alias {alias} on that version"),
        Step::Canary(canary) => format!(
            "give {:.0} % of the calls of {alias} to that version for {}, and watch its errors",
            canary.part * 100.0,
            humantime::format_duration(canary.time)
        ),
        Step::MoveAlias => format!("move the alias {alias} to that version"),
    }));
    if let Some(way_back) = plan.way_back.as_ref().filter(|_| !plan.steps.is_empty()) {
        lines.push(format!("if something fails: back to {way_back}"));
    }
    lines
}

#[derive(Serialize)]
struct Planned<'p> {
    place: &'p Place,
    workloads: &'p [Workload],
}

#[derive(Serialize)]
struct Done<'p> {
    place: &'p Place,
    moves: &'p [Move],
}

/// Shows what would be done.
pub fn show(context: &Context, reached: &Reached, workloads: &[Workload]) {
    if context.global.json {
        document::print(&serde_json::json!({ "plan": Planned { place: &reached.place, workloads } }));
    }
    for workload in workloads {
        let mut lines = workload.lines().into_iter();
        let head = lines.next().unwrap_or_default();
        context.terminal.block(&format!("\n{head}\n{}", lines.map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")));
    }
}

/// Says what came of it, and writes it down.
pub fn report(
    context: &Context,
    reached: &Reached,
    identity: &Identity,
    action: &str,
    workloads: &[Workload],
    moves: &[Move],
) -> ExitCode {
    if context.global.json {
        document::print(&Done { place: &reached.place, moves });
    }
    let terminal = &context.terminal;
    for done in moves {
        let text = format!("{} ({})", done.workload, done.target);
        match done.outcome {
            Outcome::Unchanged => terminal.status("Unchanged", &format!("{text} runs {} already", done.to)),
            Outcome::Moved => terminal.status("Moved", &format!("{text} to {}", done.to)),
            Outcome::PutBack => terminal.error(format!("{text} failed, and runs what it ran before")),
            Outcome::Failed => terminal.error(format!("{text} failed")),
        }
    }
    for (workload, _) in workloads.iter().zip(moves) {
        if let Workload::AppRunner { express, .. } = workload {
            terminal
                .note(&format!("App Runner takes no new customers since 2026-04-30; ECS Express Mode would be:\n  {express}"));
        }
    }
    if moves.len() < workloads.len() {
        terminal.note(&format!("{} more were not touched, because this one failed", workloads.len() - moves.len()));
    }
    let outcome = |done: &Move| match done.outcome {
        Outcome::Unchanged => "unchanged",
        Outcome::Moved => "moved",
        Outcome::PutBack => "put-back",
        Outcome::Failed => "failed",
    };
    let touched = moves.iter().filter(|done| done.outcome != Outcome::Unchanged);
    let records: Vec<_> = touched
        .map(|done| Record {
            who: &identity.arn,
            action,
            environment: &reached.environment.name,
            image: &done.image,
            workload: &done.workload,
            from: done.from.as_deref(),
            to: &done.to.digest,
            outcome: outcome(done),
        })
        .collect();
    context.record(&reached.config, &records);
    if moves.iter().all(Move::succeeded) && moves.len() == workloads.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
