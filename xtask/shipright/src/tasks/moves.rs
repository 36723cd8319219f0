//! What is to be moved, and what came of it: for people, for programs, and for the record.

use std::process::ExitCode;

use crate::{
    aws::Identity,
    context::Context,
    plan::targets::Workload,
    record::Record,
    session::Session,
    targets::{Move, Outcome},
    tasks::exit_code,
};

/// Shows what would be done.
pub(super) fn show(context: &Context, workloads: &[Workload]) {
    for workload in workloads {
        let mut lines = workload.lines().into_iter();
        let head = lines.next().unwrap_or_default();
        let rest: Vec<_> = lines.map(|line| format!("    {line}")).collect();
        context
            .terminal
            .block(&format!("\n{head}\n{}", rest.join("\n")));
    }
}

/// Says what came of it, and writes it down. `who` is by whom, and with which command.
pub(super) fn report(
    context: &Context,
    session: &Session<'_>,
    who: (&Identity, &'static str),
    workloads: &[Workload],
    moves: &[Move],
) -> ExitCode {
    context.print(&serde_json::json!({ "place": session.place, "moves": moves }));
    let terminal = &context.terminal;
    for done in moves {
        say(context, done);
    }
    for note in workloads
        .iter()
        .zip(moves)
        .filter_map(|(workload, _)| workload.note())
    {
        terminal.note(&note);
    }
    if moves.len() < workloads.len() {
        let more = workloads.len() - moves.len();
        terminal.note(&format!(
            "{more} more were not touched, because this one failed"
        ));
    }
    let touched = moves
        .iter()
        .filter(|done| done.outcome != Outcome::Unchanged);
    let records: Vec<_> = touched.map(|done| record(session, who, done)).collect();
    context.record(session.config, &records);
    let succeeded = moves.iter().all(Move::succeeded) && moves.len() == workloads.len();
    exit_code(succeeded)
}

fn say(context: &Context, done: &Move) {
    let terminal = &context.terminal;
    let text = format!("{} ({})", done.workload, done.target);
    match done.outcome {
        Outcome::Unchanged => {
            terminal.status("Unchanged", &format!("{text} runs {} already", done.to));
        }
        Outcome::Moved => terminal.status("Moved", &format!("{text} to {}", done.to)),
        Outcome::Restored => terminal.error(format!("{text} failed, and runs what it ran before")),
        Outcome::Failed => terminal.error(format!("{text} failed")),
    }
}

fn record(
    session: &Session<'_>,
    (identity, action): (&Identity, &'static str),
    done: &Move,
) -> Record {
    Record {
        who: identity.arn.clone(),
        action,
        environment: session.environment.name.clone(),
        image: done.image.clone(),
        workload: done.workload.clone(),
        from: done.from.clone(),
        to: done.to.digest.clone(),
        outcome: done.outcome.name(),
    }
}
