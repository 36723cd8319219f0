//! `verify`: what is, compared with what should be. Nothing is changed; a mismatch is exit code 1.

mod dockerfiles;
mod ecs;
mod eks;
mod environment;
mod image;
mod signature;

use std::process::ExitCode;

use anyhow::Result;
use serde::Serialize;

use crate::{
    cli::{Global, Verify, VerifyEnvironment},
    context::Context,
    refused::Refused,
    report::document,
    tasks::exit_code,
};

/// Checks one thing.
///
/// # Errors
/// Something that cannot be read.
pub(super) fn run(context: &Context, what: &Verify) -> Result<ExitCode> {
    match what {
        Verify::Image(arguments) => image::image(context, arguments),
        Verify::Dockerfiles { files } => dockerfiles::dockerfiles(context, files),
        Verify::Ecr(arguments) => environment::ecr(context, arguments),
        Verify::Ecs(arguments) => ecs::ecs(context, arguments),
        Verify::Eks(arguments) => eks::eks(context, arguments),
        Verify::Lambda(arguments) => environment::lambda(context, arguments),
        Verify::Signature(arguments) => signature::signature(context, arguments),
    }
}

/// What came of one check.
#[derive(Serialize)]
struct Row {
    check: String,
    /// `good`, `mismatch`, or `not reached`.
    state: &'static str,
    /// Why it was not reached.
    reason: Option<String>,
}

/// Why something was not reached.
fn reason(error: &anyhow::Error) -> String {
    let refused = error.downcast_ref::<Refused>();
    let first = refused.and_then(|refused| refused.0.first());
    first.map_or_else(|| format!("{error:#}"), |refusal| refusal.problem.clone())
}

/// Checks everything that can be reached, and shows one table.
///
/// # Errors
/// A deploy.toml with mistakes.
pub(super) fn everything(context: &Context) -> Result<ExitCode> {
    let config = context.config()?;
    // Standard output is one document: the table's.
    let inner = Context::new(Global {
        json: false,
        ..context.global.clone()
    });
    let of = |environment: &String| VerifyEnvironment {
        environment: environment.clone(),
        service: Vec::new(),
    };
    let mut checks = vec![(
        "dockerfiles".to_owned(),
        Verify::Dockerfiles { files: Vec::new() },
    )];
    for (environment, known) in &config.environments {
        checks.push((format!("ecr {environment}"), Verify::Ecr(of(environment))));
        checks.push((
            format!("lambda {environment}"),
            Verify::Lambda(of(environment)),
        ));
        checks.push((format!("eks {environment}"), Verify::Eks(of(environment))));
        checks.push((format!("ecs {environment}"), Verify::Ecs(of(environment))));
        if known.attest.sign.is_some() {
            let check = format!("signature {environment}");
            checks.push((check, Verify::Signature(of(environment))));
        }
    }
    let row = |(check, what): (String, Verify)| match run(&inner, &what) {
        Ok(code) if code == ExitCode::SUCCESS => Row {
            check,
            state: "good",
            reason: None,
        },
        Ok(_) => Row {
            check,
            state: "mismatch",
            reason: None,
        },
        Err(error) => Row {
            check,
            state: "not reached",
            reason: Some(reason(&error)),
        },
    };
    let rows: Vec<Row> = checks.into_iter().map(row).collect();
    if context.global.json {
        document::print(&rows);
    }
    let lines = rows.iter().map(|row| {
        let reason = row
            .reason
            .as_deref()
            .and_then(|reason| reason.lines().next())
            .unwrap_or_default();
        format!("{:<20} {:<12} {reason}", row.check, row.state)
    });
    context
        .terminal
        .block(&format!("\n{}", lines.collect::<Vec<_>>().join("\n")));
    let has_mismatch = rows.iter().any(|row| row.state == "mismatch");
    Ok(exit_code(!has_mismatch))
}
