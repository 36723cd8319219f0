//! Logins to registries that are not ECR, which docker keeps.

use std::{collections::BTreeSet, fmt::Write as _};

use super::{Stage, System};
use crate::model::config::{Config, Environment};

/// What a CI system calls the user and the password of a registry.
struct Login {
    user: String,
    password: String,
}

impl Login {
    /// GitHub's and GitLab's own registries take a token that each job has.
    /// Source: GitHub's "Working with the Container registry"; GitLab's "Authenticate with the container registry".
    fn of(host: &str, system: System) -> Self {
        let name = host.to_ascii_uppercase();
        let fits = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        let name: String = name.chars().map(fits).collect();
        let (user, password) = match system {
            System::GitHub if host == GITHUB_REGISTRY => {
                ("github.actor".to_owned(), "secrets.GITHUB_TOKEN".to_owned())
            }
            System::GitHub => (
                format!("vars.REGISTRY_USER_{name}"),
                format!("secrets.REGISTRY_PASSWORD_{name}"),
            ),
            System::GitLab if host == GITLAB_REGISTRY => (
                "CI_REGISTRY_USER".to_owned(),
                "CI_REGISTRY_PASSWORD".to_owned(),
            ),
            System::GitLab => (
                format!("REGISTRY_USER_{name}"),
                format!("REGISTRY_PASSWORD_{name}"),
            ),
        };
        Self { user, password }
    }
}

const GITHUB_REGISTRY: &str = "ghcr.io";
const GITLAB_REGISTRY: &str = "registry.gitlab.com";

/// The registries of environments that docker has to be logged in to.
pub(super) fn registries<'e>(
    environments: impl Iterator<Item = &'e Environment>,
) -> BTreeSet<String> {
    let others = environments.filter(|one| one.ecr().is_none());
    others.map(Environment::registry_host).collect()
}

/// The steps of a job on GitHub.
pub(super) fn steps(stage: &Stage<'_>) -> String {
    let mut text = String::new();
    for host in &stage.registries {
        let Login { user, password } = Login::of(host, System::GitHub);
        let _ = write!(
            text,
            "      - name: Log in to {host}\n        env:\n          REGISTRY_USER: ${{{{ {user} }}}}\n          \
             REGISTRY_PASSWORD: ${{{{ {password} }}}}\n        \
             run: printf '%s' \"$REGISTRY_PASSWORD\" | docker login {host} --username \"$REGISTRY_USER\" --password-stdin\n"
        );
    }
    text
}

/// What a job on GitHub has to be allowed for its logins.
pub(super) fn permission(stage: &Stage<'_>) -> &'static str {
    if stage.registries.contains(GITHUB_REGISTRY) {
        "      packages: write\n"
    } else {
        ""
    }
}

/// The lines of a job on GitLab.
pub(super) fn lines(stage: &Stage<'_>) -> String {
    let line = |host: &String| {
        let Login { user, password } = Login::of(host, System::GitLab);
        format!(
            "    - printf '%s' \"${password}\" | docker login {host} --username \"${user}\" --password-stdin\n"
        )
    };
    stage.registries.iter().map(line).collect()
}

/// What has to be set up by hand for a stage.
pub(super) fn to_do(config: &Config, stage: &Stage<'_>, system: System) -> Vec<String> {
    let own = match system {
        System::GitHub => GITHUB_REGISTRY,
        System::GitLab => GITLAB_REGISTRY,
    };
    let login = |host: &String| {
        let Login { user, password } = Login::of(host, system);
        let (user, password) = (
            user.trim_start_matches("vars."),
            password.trim_start_matches("secrets."),
        );
        format!("the variable {user} and the secret {password} are a login of {host} that may push")
    };
    let hosts = stage.registries.iter().filter(|host| *host != own);
    let mut all: Vec<_> = hosts.map(login).collect();
    let accounts = stage.environments(config).filter_map(|one| {
        let ecr = one.ecr().filter(|ecr| ecr.account != one.account)?;
        let (name, account) = (&stage.environment.name, ecr.account);
        Some(format!(
            "the role of `{name}` may push to ECR of account {account}, whose repositories' policies allow it"
        ))
    });
    all.extend(accounts);
    all
}
