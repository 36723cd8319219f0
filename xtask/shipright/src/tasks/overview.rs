//! What the bare command says: this checkout, what each environment has, and what a push would do.

use std::process::ExitCode;

use anyhow::Result;
use serde::Serialize;

use super::{
    push::{Prepared, Request},
    status,
};
use crate::{
    cli::Global,
    context::Context,
    facts::git,
    model::revision::Revision,
    parallel::side_by_side,
    plan::{Plan, status::Row},
    refused::Refused,
    report::terminal::one_line,
    workspace::Workspace,
};

/// How many environments are read at a time.
const AT_ONCE: usize = 4;

/// An environment as it is, and what a push would do there.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Look {
    environment: String,
    images: Vec<Row>,
    /// Why it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    unreached: Option<String>,
    /// What a push would do, in words.
    push: String,
}

/// Shows this checkout. Nothing is changed, and nothing started.
pub(super) fn run(context: &Context) -> Result<ExitCode> {
    let global = Global {
        dry_run: true,
        quiet: true,
        ..context.global.clone()
    };
    // What is read for it is nobody's business here.
    let silent = Context::new(global);
    let workspace = Workspace::with(&silent, context.config()?);
    let config = &workspace.config;
    let revision = git::project_revision(config)?;
    let names: Vec<_> = config.environments.keys().cloned().collect();
    let wait = context.terminal.wait_for("Reading", &names.join(", "));
    let looks = side_by_side(AT_ONCE, &names, |name| Ok(look(&silent, &workspace, name)))?;
    drop(wait);
    let description = describe(&config.project, revision.as_ref());
    context.print(&serde_json::json!({
        "project": config.project,
        "revision": revision,
        "environments": looks,
    }));
    context.terminal.block(&description);
    for look in &looks {
        show(context, look);
    }
    let ready = looks.iter().find(|look| look.unreached.is_none());
    if let Some(look) = ready {
        context.say_next(&format!("push {} --dry-run", look.environment));
    }
    Ok(ExitCode::SUCCESS)
}

fn look(context: &Context, workspace: &Workspace<'_>, name: &str) -> Look {
    let (images, unreached) = match status::rows(workspace, name) {
        Ok(images) => (images, None),
        Err(error) => (Vec::new(), Some(format!("{error:#}"))),
    };
    let push = if unreached.is_some() {
        "unknown".to_owned()
    } else {
        push(context, workspace, name)
    };
    Look {
        environment: name.to_owned(),
        images,
        unreached,
        push,
    }
}

/// What a push of everything would do.
fn push(context: &Context, workspace: &Workspace<'_>, environment: &str) -> String {
    let request = Request {
        environment,
        services: &[],
        dockerfile: None,
        since: None,
        multi_arch: false,
        platform: None,
        sbom: false,
    };
    match Prepared::of(context, workspace, request) {
        Ok(Some(push)) => planned(&push.plan),
        Ok(None) => "a push has nothing to do".to_owned(),
        Err(error) => {
            let refused = error.downcast_ref::<Refused>();
            let reason = refused.and_then(|refused| refused.0.first());
            let text = reason.map_or_else(|| format!("{error:#}"), ToString::to_string);
            let first = text.lines().next().unwrap_or_default();
            format!("a push is refused: {}", one_line(first))
        }
    }
}

fn planned(plan: &Plan) -> String {
    let builds = plan.images.iter().filter(|image| image.build().is_some());
    let names: Vec<_> = builds.map(|image| image.name.as_str()).collect();
    match names.len() {
        0 if plan.changes_anything() => "a push builds nothing, and writes tags".to_owned(),
        0 => "a push has nothing to do: this commit is there".to_owned(),
        _ => format!("a push builds {}", names.join(", ")),
    }
}

fn describe(project: &str, revision: Option<&Revision>) -> String {
    let Some(revision) = revision else {
        return format!("{project}, without a commit");
    };
    let branch = revision.branch.as_deref().unwrap_or("no branch");
    let state = if revision.dirty {
        "with changes"
    } else {
        "clean"
    };
    let short = revision.short(12);
    format!("{project} at {short} on {}, {state}", one_line(branch))
}

fn show(context: &Context, look: &Look) {
    let name = &look.environment;
    if let Some(reason) = &look.unreached {
        let first = reason.lines().next().unwrap_or_default();
        let text = format!("\n{name}: cannot be read: {}", one_line(first));
        context.terminal.block(&text);
        return;
    }
    context.terminal.block(&format!("\n{name}: {}", look.push));
    let rows: Vec<_> = look.images.iter().collect();
    let table = status::table(&rows, context.terminal.width());
    context.terminal.block(&table);
}
