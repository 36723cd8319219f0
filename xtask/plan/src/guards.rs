//! What a protected environment asks before anything is done.

use crate::model::{config::Environment, refusal::Refusal, revision::Revision};

/// What a protected environment asks of the tree. Needs no network, so that it can be asked before anything else.
pub fn guards(environment: &Environment, revision: Option<&Revision>) -> Vec<Refusal> {
    let Some(revision) = revision else {
        return vec![Refusal::new(
            "there is no git commit to name the image after",
            "commit your work: git init, if there is no repository yet; then git add --all && git commit",
        )];
    };
    let mut refusals = Vec::new();
    if environment.protected && revision.dirty {
        refusals.push(Refusal::new(
            format!("the tree is dirty, and `{}` is protected", environment.name),
            "commit or stash what `git status` lists: only what is committed can be found again",
        ));
    }
    if environment.protected && revision.branch.as_deref() != Some(environment.branch.as_str()) {
        let current = revision.branch.as_ref().map_or_else(
            || "a detached HEAD".to_owned(),
            |branch| format!("branch `{branch}`"),
        );
        refusals.push(Refusal::new(
            format!(
                "this is {current}, and `{}` takes images from `{}` alone",
                environment.name, environment.branch
            ),
            format!("git switch {}", environment.branch),
        ));
    }
    refusals
}

/// Compares the account that AWS says we are in with deploy.toml's.
///
/// # Errors
/// A refusal, when they differ.
pub fn account_guard(
    environment: &Environment,
    account: &str,
    identity: &str,
) -> Result<(), Refusal> {
    if account == environment.account {
        return Ok(());
    }
    let profile = environment.profile.as_ref().map_or_else(
        || {
            format!(
                "set `profile` in [environments.{}], or AWS_PROFILE, to one of that account",
                environment.name
            )
        },
        |profile| format!("correct the profile `{profile}` in ~/.aws/config"),
    );
    Err(Refusal::new(
        format!(
            "these AWS credentials are of account {account} ({identity}), and `{}` is account {}",
            environment.name, environment.account
        ),
        profile,
    ))
}
