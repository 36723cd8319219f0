//! `--since`: of the images that were selected, those that differ from a commit.

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
    // git resolves links of the directories above it.
    let root = config.root.canonicalize()?;
    let changed = git::changed_since(&root, reference).map_err(|error| match error {
        Unreadable::Reference => {
            let word = reference.escape_debug();
            let problem = format!("`{word}` is no branch, tag or commit here");
            let cure = "name one, such as `--since origin/main`; in CI, fetch the history first (`fetch-depth: 0`)";
            Refused::from(Refusal::new(problem, cure)).into()
        }
        Unreadable::Repository(error) => {
            anyhow!("failed to read what differs from `{reference}`: {}", error.message())
        }
    })?;
    let near = |path: &std::path::PathBuf| {
        path.strip_prefix(&root)
            .ok()
            .map(|inner| config.root.join(inner))
    };
    let changed: Vec<_> = changed.iter().filter_map(near).collect();
    let mut kept = Vec::new();
    for selected in selection {
        let decision = decide(config, selected, &changed);
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
