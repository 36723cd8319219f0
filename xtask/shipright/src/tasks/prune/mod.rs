//! `prune`: deletes from an environment's ECR repositories what nothing needs, after it has shown it.
//!
//! Architecture Invariant: what is deleted was shown, is named by its digest, and was looked at once more right before.

mod apply;
mod ground;
mod lifecycle;

use std::process::ExitCode;

use anyhow::Result;

use crate::{
    cli::Prune,
    context::Context,
    facts::host,
    interrupt,
    model::refusal::Refusal,
    plan::prune::{Bounds, Facts, Scheme, UNDER_WAY, decide},
    refused::Refused,
    report::{
        prune::{Outcome, Pruned, document, show, total},
        terminal,
    },
    session,
    targets::Users,
    tasks::{exit_code, prune::ground::Ground},
    workspace::Workspace,
};

/// How many of the newest of each image in each environment are kept.
const KEEP: usize = 10;

/// Shows what can be deleted, asks, and deletes it.
pub(super) fn run(context: &Context, arguments: &Prune) -> Result<ExitCode> {
    let workspace = Workspace::of(context)?;
    let ground = Ground::open(&workspace, arguments)?;
    if arguments.lifecycle_policy || arguments.put_lifecycle_policy {
        return lifecycle::run(context, arguments, &ground);
    }
    let users = Users::of(&context.terminal, ground.sessions());
    let pruned = plan(context, arguments, &ground, &users)?;
    let terminal = &context.terminal;
    if arguments.older < UNDER_WAY {
        terminal.warning(
            "`--older` is less than an hour: a push that is under way now may lose its image, and then has to be run again",
        );
    }
    show(terminal, &pruned, host::now());
    if context.global.dry_run {
        context.print(&serde_json::json!({ "plan": document(&pruned) }));
        return Ok(ExitCode::SUCCESS);
    }
    let (count, _) = total(&pruned);
    if count == 0 {
        context.print(
            &serde_json::json!({ "plan": document(&pruned), "outcome": Outcome::default() }),
        );
        return Ok(ExitCode::SUCCESS);
    }
    let who = ground.who()?;
    confirm(context, &ground, &format!("Delete these {count} images?"))?;
    let outcome = apply::apply(context, &ground, &users, &pruned, &who)?;
    outcome.show(terminal);
    context.print(&serde_json::json!({ "plan": document(&pruned), "outcome": outcome }));
    if outcome.interrupted {
        return Ok(ExitCode::from(interrupt::INTERRUPTED));
    }
    Ok(exit_code(outcome.failed.is_empty()))
}

/// Reads everything, and decides.
fn plan<'g>(
    context: &Context,
    arguments: &Prune,
    ground: &'g Ground<'_>,
    users: &Users<'_>,
) -> Result<Vec<Pruned<'g>>> {
    let mut stored = Vec::new();
    for place in &ground.places {
        let session = ground.session(place);
        match session.aws.reader().inventory(&place.repository)? {
            Some(images) => stored.push((place, images)),
            None => context
                .terminal
                .note(&format!("repository `{}` does not exist", place.repository)),
        }
    }
    let uses = users.read().map_err(unread)?;
    let bounds = Bounds {
        keep: arguments.keep.unwrap_or(KEEP),
        older: arguments.older,
    };
    let decided = stored.into_iter().map(|(place, images)| {
        let scheme = Scheme::of(ground.config, &place.sharing, &place.repository);
        let facts = Facts {
            repository: &place.repository,
            images,
            uses: &uses,
            scheme: &scheme,
            services: &arguments.service,
            bounds,
            now: host::now(),
        };
        Pruned {
            place: &ground.session(place).place,
            repository: &place.repository,
            images: decide(facts),
        }
    });
    Ok(decided.collect())
}

/// What runs is not known, and so nothing is deleted.
fn unread(error: anyhow::Error) -> anyhow::Error {
    if error.is::<Refused>() {
        return error;
    }
    let problem = format!("{error:#}");
    let cure = "prune deletes only where it knows what runs: give it leave to read that, or take the environment out of deploy.toml \
                where it is gone";
    Refused::from(Refusal::new(problem, cure)).into()
}

/// Asks, where nobody has answered yet. A protected environment wants its name, also one that only shares a repository.
fn confirm(context: &Context, ground: &Ground<'_>, question: &str) -> Result<()> {
    if context.global.quiet && !context.global.yes {
        let problem = "with `--quiet` nothing is shown, and so nothing can be asked";
        let refusal = Refusal::new(problem, "leave out `--quiet`, or add `--yes`");
        return Err(Refused::from(refusal).into());
    }
    let protected: Vec<_> = ground
        .sessions()
        .filter(|session| session.is_protected())
        .map(|session| session.environment)
        .collect();
    let mut asked: Vec<&str> = Vec::new();
    for environment in protected {
        if !asked.contains(&environment.name.as_str()) {
            session::confirm_protected(context, environment)?;
            asked.push(&environment.name);
        }
    }
    if context.global.yes || !asked.is_empty() {
        return Ok(());
    }
    if !host::can_ask() {
        let problem = format!("nobody can be asked: {question}");
        let refusal = Refusal::new(
            problem,
            "look with `--dry-run`, then add `--yes` to the command",
        );
        return Err(Refused::from(refusal).into());
    }
    if terminal::says_yes(question) {
        return Ok(());
    }
    let refusal = Refusal::new(
        "the answer was not yes",
        "run the command again, or add `--yes`",
    );
    Err(Refused::from(refusal).into())
}
