//! `prune --lifecycle-policy`: a policy with which ECR itself deletes, as far as that is safe without knowing what runs.

use std::process::ExitCode;

use anyhow::Result;
use serde::Serialize;
use serde_json::Value;

use super::{confirm, ground::Ground};
use crate::{
    cli::Prune,
    context::Context,
    plan::prune::{Scheme, difference, lifecycle_policy},
    refused::Refused,
    report::document,
    session::Session,
};

/// The policy of one repository.
#[derive(Serialize)]
struct Policy<'p> {
    repository: &'p str,
    registry: &'p str,
    region: &'p str,
    policy: Value,
    /// What it would change of the present one, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    difference: Option<Vec<String>>,
    #[serde(skip)]
    session: &'p Session<'p>,
}

/// Prints the policy of each repository, or puts it there.
pub(super) fn run(context: &Context, arguments: &Prune, ground: &Ground<'_>) -> Result<ExitCode> {
    let mut policies = Vec::new();
    for place in &ground.places {
        let scheme = Scheme::of(ground.config, &place.sharing, &place.repository);
        let policy = lifecycle_policy(&scheme, arguments.older, arguments.keep);
        let session = ground.session(place);
        policies.push(Policy {
            repository: &place.repository,
            registry: &session.place.registry,
            region: session.place.ecr.as_ref().map_or("", |ecr| &ecr.region),
            policy: policy.map_err(Refused::from)?.json(),
            difference: None,
            session,
        });
    }
    warn(context, arguments);
    if arguments.put_lifecycle_policy {
        return put(context, ground, policies);
    }
    if context.global.json {
        context.print(&serde_json::json!({ "policies": policies }));
        return Ok(ExitCode::SUCCESS);
    }
    for one in &policies {
        context.terminal.note(&format!(
            "for repository {}/{}:",
            one.registry, one.repository
        ));
        document::print(&one.policy);
    }
    Ok(ExitCode::SUCCESS)
}

/// What a policy cannot know.
fn warn(context: &Context, arguments: &Prune) {
    let terminal = &context.terminal;
    if arguments.keep.is_some() {
        terminal.warning(
            "no lifecycle policy knows what runs: with `--keep` it expires also what a function or a service that is rarely deployed \
             still has, and Lambda then fails; `cargo xtask prune` knows",
        );
    } else {
        terminal.note(
            "no lifecycle policy knows what runs: this one expires images without a tag alone, such as old build caches; \
             what this tool pushes keeps its tags",
        );
    }
}

fn put(context: &Context, ground: &Ground<'_>, mut policies: Vec<Policy<'_>>) -> Result<ExitCode> {
    let terminal = &context.terminal;
    for one in &mut policies {
        let present = one.session.aws.reader().lifecycle_policy(one.repository)?;
        let lines = difference(present.as_ref(), &one.policy);
        if lines.is_empty() {
            terminal.status("Unchanged", &format!("the policy of {}", one.repository));
        } else {
            terminal.status("Changes", &format!("the policy of {}", one.repository));
            terminal.block(&lines.join("\n"));
        }
        one.difference = Some(lines);
    }
    let changes = |one: &&Policy<'_>| {
        one.difference
            .as_ref()
            .is_some_and(|lines| !lines.is_empty())
    };
    let changed: Vec<_> = policies.iter().filter(changes).collect();
    if !changed.is_empty() && !context.global.dry_run {
        ground.who()?;
        confirm(context, ground, "Put this lifecycle policy?")?;
        for one in changed {
            let writer = one.session.aws.writer();
            writer.put_lifecycle_policy(one.repository, &one.policy)?;
            terminal.status(
                "Put",
                &format!("the lifecycle policy of {}", one.repository),
            );
        }
    }
    context.print(&serde_json::json!({ "policies": policies }));
    Ok(ExitCode::SUCCESS)
}
