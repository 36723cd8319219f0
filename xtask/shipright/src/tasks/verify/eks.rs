//! `verify eks`: whether the nodes are of the CPU that the images are for.

use std::process::ExitCode;

use anyhow::Result;

use crate::{
    cli::VerifyEnvironment,
    context::Context,
    plan::{Selected, nodes::NodeReport},
    session::Session,
    targets::look_at_nodes,
    tasks::exit_code,
    workspace::Workspace,
};

/// Compares nodes with the images meant for them.
pub(super) fn eks(context: &Context, arguments: &VerifyEnvironment) -> Result<ExitCode> {
    let workspace = Workspace::of(context)?;
    let session = Session::open(&workspace, &arguments.environment)?;
    let selected = session.selected(&arguments.service)?;
    let all = selected
        .iter()
        .filter(|one| one.image.target.runs_on_nodes());
    let (indexes, images): (Vec<_>, Vec<_>) = all.partition(|one| one.image.multi_arch);
    let names = |all: Vec<&Selected<'_>>| all.into_iter().map(Selected::name).collect();
    Ok(show(
        context,
        &look_at_nodes(&session, names(images), names(indexes)),
    ))
}

fn show(context: &Context, report: &NodeReport) -> ExitCode {
    context.print(report);
    let terminal = &context.terminal;
    for nodes in report
        .nodes
        .iter()
        .filter(|nodes| nodes.arch == Some(report.wanted))
    {
        terminal.status("Looked at", &nodes.shown());
    }
    terminal.status(
        "Looked at",
        &format!(
            "{} nodes or groups, {} instance types in Terraform",
            report.nodes.len(),
            report.terraform.len()
        ),
    );
    for note in &report.notes {
        terminal.note(note);
    }
    for mismatch in &report.mismatches {
        terminal.error(mismatch);
    }
    exit_code(report.mismatches.is_empty())
}
