//! `--since`: of the images that were selected, those that differ from a commit.

use std::{path::Path, process::ExitCode};

use anyhow::{Result, anyhow};

use crate::{
    context::Context,
    facts::git::{self, Unreadable},
    model::{config::Config, refusal::Refusal},
    plan::{Selected, since::decide},
    refused::Refused,
};

/// The images that differ; each is told, with the reason. Without a reference all are kept.
///
/// # Errors
/// A refusal for a name that is no commit, and a repository that cannot be read.
pub(super) fn keep<'c>(
    context: &Context,
    config: &Config,
    selection: Vec<Selected<'c>>,
    reference: Option<&str>,
) -> Result<Vec<Selected<'c>>> {
    let Some(reference) = reference else {
        return Ok(selection);
    };
    let changed = git::changed_since(&config.root, reference)
        .map_err(|error| refused(error, &config.root, reference))?;
    // git resolves links of the directories above it, and knows a link and what it leads to as two paths.
    let root = config.root.canonicalize()?;
    let places = |path: &Path| {
        let near = path.strip_prefix(&config.root);
        let own = near.map_or_else(|_| path.to_path_buf(), |inner| root.join(inner));
        let real = path.canonicalize().ok().filter(|real| *real != own);
        std::iter::once(own).chain(real).collect()
    };
    let mut kept = Vec::new();
    for selected in selection {
        let decision = decide(config, selected, &changed, places);
        let text = format!("{}: {}", decision.image, decision.because);
        if decision.differs {
            context.terminal.status("Differs", &text);
            kept.push(selected);
        } else {
            context.terminal.status("Left out", &text);
        }
    }
    if kept.is_empty() {
        context.terminal.note(&format!(
            "nothing differs from `{reference}`: there is nothing to do"
        ));
    }
    Ok(kept)
}

/// What a command prints that has found nothing to do.
pub(super) fn nothing(context: &Context) -> ExitCode {
    let nothing = serde_json::json!({ "images": [] });
    let planned = serde_json::json!({ "plan": nothing });
    context.print(if context.global.dry_run {
        &planned
    } else {
        &nothing
    });
    ExitCode::SUCCESS
}

fn refused(error: Unreadable, root: &Path, reference: &str) -> anyhow::Error {
    const FETCH: &str = "in CI, fetch the history first (`fetch-depth: 0`)";
    let word = reference.escape_debug();
    let (problem, cure) = match error {
        Unreadable::Nowhere => (
            format!(
                "`--since` compares commits, and `{}` has none",
                root.display()
            ),
            "leave `--since` out, or commit first".to_owned(),
        ),
        Unreadable::Reference => (
            format!("`{word}` is no branch, tag or commit here"),
            format!("name one, such as `--since origin/main`; {FETCH}"),
        ),
        Unreadable::Unrelated => (
            format!("where this branch left `{word}` is not in the history that is here"),
            format!("name a commit that is an ancestor of this one; {FETCH}"),
        ),
        Unreadable::Repository(error) => {
            return anyhow!("failed to read what differs from `{word}`: {error:#}");
        }
    };
    Refused::from(Refusal::new(problem, cure)).into()
}
