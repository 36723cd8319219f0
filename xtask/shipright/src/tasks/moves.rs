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

/// What came of one region of an environment, by whom, and with which command.
pub(super) struct InRegion<'m> {
    /// The environment there.
    pub session: &'m Session<'m>,
    /// Who did it.
    pub identity: &'m Identity,
    /// With which command.
    pub action: &'static str,
    /// What was to be done.
    pub workloads: &'m [Workload],
    /// What was done.
    pub moves: &'m [Move],
}

/// Says what came of it, and writes it down. `left` are workloads of regions that were not touched at all.
pub(super) fn report(context: &Context, regions: &[InRegion<'_>], left: usize) -> ExitCode {
    let all: Vec<_> = regions.iter().flat_map(|region| region.moves).collect();
    let place = regions.first().map(|region| &region.session.place);
    let mut document = serde_json::json!({ "place": place, "moves": all });
    if regions.len() > 1 {
        let of = |region: &InRegion<'_>| {
            let (place, moves) = (&region.session.place.region, region.moves);
            serde_json::json!({ "region": place, "moves": moves })
        };
        document["regions"] = regions.iter().map(of).collect();
    }
    context.print(&document);
    let terminal = &context.terminal;
    let mut untouched = left;
    for region in regions {
        for done in region.moves {
            say(context, done);
        }
        let touched = region.workloads.iter().zip(region.moves);
        for note in touched.filter_map(|(workload, _)| workload.note()) {
            terminal.note(&note);
        }
        untouched += region.workloads.len() - region.moves.len();
        let changed = region
            .moves
            .iter()
            .filter(|done| done.outcome != Outcome::Unchanged);
        let who = (region.identity, region.action);
        let records: Vec<_> = changed
            .map(|done| record(region.session, who, done))
            .collect();
        context.record(region.session.config, &records);
    }
    if untouched > 0 {
        terminal.note(&format!(
            "{untouched} more were not touched, because this one failed"
        ));
    }
    exit_code(untouched == 0 && all.iter().all(|done| done.succeeded()))
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
        commit: None,
        outcome: done.outcome.name(),
    }
}
