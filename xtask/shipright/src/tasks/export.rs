//! `export`: what deploy.toml says and what an environment has, as other tools read it. Nothing is written: it goes to standard
//! output.

use std::{collections::BTreeMap, process::ExitCode};

use anyhow::{Context as _, Result};

use crate::{
    cli::{Export, ExportImages, ExportPolicy},
    context::Context,
    model::refusal::Refusal,
    plan::{
        Selected,
        iam::{self, Command},
    },
    refused::Refused,
    report::{
        document,
        export::{self, Exported},
        name::as_typed,
    },
    session::Session,
    workspace::Workspace,
};

/// Prints one.
pub(super) fn run(context: &Context, what: &Export) -> Result<ExitCode> {
    let workspace = Workspace::of(context)?;
    match what {
        Export::Makefile => print(context, &export::makefile(&workspace.config)),
        Export::Bake => print(context, &export::bake(&workspace.config)),
        Export::Env(of) => images(context, &workspace, of, export::env)?,
        Export::Tfvars(of) => images(context, &workspace, of, export::tfvars)?,
        Export::Kustomize(of) => images(context, &workspace, of, export::kustomize)?,
        Export::HelmValues(of) => images(context, &workspace, of, export::helm_values)?,
        Export::IamPolicy(of) => policy(context, &workspace, of)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn print(context: &Context, text: &str) {
    if context.global.json {
        context.print(&serde_json::json!({ "text": as_typed(text) }));
    } else {
        document::text_line(&as_typed(text));
    }
}

/// Prints a policy. `--json` has beside it which of its actions not every run takes, and when one does.
fn policy(context: &Context, workspace: &Workspace<'_>, of: &ExportPolicy) -> Result<()> {
    let (config, environment) = (&workspace.config, workspace.environment(&of.environment)?);
    let usual = Command::ALL
        .into_iter()
        .filter(|one| *one != Command::Prune);
    let commands: Vec<_> = match of.commands.as_slice() {
        [] => usual.collect(),
        named => named.to_vec(),
    };
    let policy = iam::policy(config, environment, &commands);
    let conditional = iam::conditional(config, environment, &commands);
    if context.global.json {
        context.print(&serde_json::json!({ "policy": policy, "conditional": conditional }));
        return Ok(());
    }
    let text = serde_json::to_string_pretty(&policy).context("the policy has no JSON form")?;
    document::text_line(&text);
    for (action, reasons) in conditional {
        let reasons: Vec<_> = reasons.into_iter().collect();
        let text = format!("{action} is needed where {}", reasons.join(", or "));
        context.terminal.note(&text);
    }
    Ok(())
}

fn images(
    context: &Context,
    workspace: &Workspace<'_>,
    of: &ExportImages,
    text: fn(&[Exported]) -> String,
) -> Result<()> {
    let session = Session::open(workspace, &of.environment)?;
    let selected = session.selected(&of.service)?;
    let found = Refused::all(
        selected
            .into_iter()
            .map(|selected| image(&session, selected)),
    )?;
    if context.global.json {
        let named = found
            .iter()
            .map(|image| (image.name.clone(), image.reference()));
        let named: BTreeMap<_, _> = named.collect();
        context.print(&serde_json::json!({ "images": named, "text": text(&found) }));
    } else {
        document::text_line(&text(&found));
    }
    Ok(())
}

/// What the environment's moving tag names.
fn image(session: &Session<'_>, selected: Selected<'_>) -> Result<Exported> {
    let (repository, tag) = (session.repository(selected), session.tag(selected));
    let found = session.manifest(&repository, &tag)?;
    let environment = &session.environment.name;
    let manifest = found.ok_or_else(|| {
        let problem = format!("`{repository}` of `{environment}` has no image `{tag}`");
        Refused::from(Refusal::new(
            problem,
            format!("push it first: cargo xtask push {environment}"),
        ))
    })?;
    let repository = format!("{}/{repository}", session.place.registry);
    Ok(Exported {
        name: selected.name(),
        repository,
        digest: manifest.digest,
    })
}
