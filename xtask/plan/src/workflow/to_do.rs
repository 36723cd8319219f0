//! What has to be set up by hand, once, before a workflow works.

use super::{Stage, System, login, role_variable, secrets, stages};
use crate::{
    all,
    model::config::{Config, Secret, SecretSource},
};

/// What has to be set up by hand, once.
pub fn to_do(config: &Config, system: System) -> Vec<String> {
    let stages = stages(config);
    let mut all = Vec::new();
    all.extend(stages.iter().map(|stage| role(stage, system)));
    all.extend(subjects(&stages, system));
    all.extend(
        stages
            .iter()
            .flat_map(|stage| login::to_do(config, stage, system)),
    );
    all.extend(stages.iter().filter_map(cluster));
    all.extend(stages.iter().filter_map(signs));
    all.extend(stages.iter().filter_map(|stage| approval(stage, system)));
    all.extend(stages.iter().filter_map(reads));
    all.extend(stages.iter().filter_map(|stage| alone(config, stage)));
    all.extend(secrets(config).map(|one| secret(one, system)));
    all.extend(machines(config));
    let mut known = std::collections::BTreeSet::new();
    all.retain(|one| known.insert(one.clone()));
    all
}

fn role(stage: &Stage<'_>, system: System) -> String {
    let (name, variable) = (&stage.environment.name, role_variable(stage.environment));
    let (account, title) = (&stage.environment.account, system.title());
    let place = match system {
        System::GitHub => "Settings, Secrets and variables, Actions",
        System::GitLab => "Settings, CI/CD, Variables",
    };
    format!(
        "the variable {variable} ({place}) is the ARN of a role of account {account} that trusts {title}'s OIDC provider, for `{name}`"
    )
}

/// The subjects of GitHub's tokens. Source: GitHub's reference of its tokens.
fn subjects(stages: &[Stage<'_>], system: System) -> Option<String> {
    let branch = &stages.first()?.environment.branch;
    match system {
        System::GitHub => Some(format!(
            "each role trusts the subjects `repo:OWNER/NAME:ref:refs/heads/{branch}`, of jobs that push, and \
             `repo:OWNER/NAME:environment:ENV`, of jobs that deploy"
        )),
        System::GitLab => None,
    }
}

fn cluster(stage: &Stage<'_>) -> Option<String> {
    let is_there = stage.targets.iter().any(|target| target.runs_on_nodes());
    let name = &stage.environment.name;
    (is_there && stage.environment.cluster.is_none()).then(|| {
        format!(
            "`cluster` of [environments.{name}] says which EKS cluster kubectl is to reach; without it `deploy {name}` fails there"
        )
    })
}

fn signs(stage: &Stage<'_>) -> Option<String> {
    let signing = stage.environment.attest.sign.as_ref()?;
    let (name, tool) = (&stage.environment.name, signing.tool);
    Some(format!(
        "`{tool}`, which signs the images of `{name}`, is on PATH of the machines that push and promote there, and may use its key"
    ))
}

fn approval(stage: &Stage<'_>, system: System) -> Option<String> {
    let name = &stage.environment.name;
    match system {
        System::GitHub if stage.environment.protected => Some(format!(
            "the environment `{name}` (Settings, Environments) needs required reviewers: without them nothing waits for an approval"
        )),
        System::GitHub | System::GitLab => None,
    }
}

fn reads(stage: &Stage<'_>) -> Option<String> {
    let (name, from) = (&stage.environment.name, stage.from?);
    Some(format!(
        "the role of `{name}` may pull from the repositories of `{from}`, and read what runs there: `promote {from} {name}` has no other"
    ))
}

/// Images that the environment before does not have.
fn alone(config: &Config, stage: &Stage<'_>) -> Option<String> {
    let (name, from) = (&stage.environment.name, stage.from?);
    let has = |environments: &[String], name: &str| environments.iter().any(|one| one == name);
    let alone = all(config).filter(|one| {
        let environments = &one.image.environments;
        has(environments, name) && !has(environments, from)
    });
    let names: Vec<_> = alone.map(|one| one.name()).collect();
    (!names.is_empty()).then(|| {
        format!(
            "`{name}` alone gets {}: `deploy {name}` builds that on one machine, with emulation where its CPU is another",
            names.join(", ")
        )
    })
}

fn secret(secret: &Secret, system: System) -> String {
    let (id, title) = (&secret.id, system.title());
    match (&secret.source, system) {
        (SecretSource::Env(variable), System::GitHub) => format!(
            "the secret {variable} (Settings, Secrets and variables, Actions) is the value of the build's secret `{id}`"
        ),
        (SecretSource::Env(variable), System::GitLab) => format!(
            "the masked variable {variable} (Settings, CI/CD, Variables) is the value of the build's secret `{id}`"
        ),
        (SecretSource::File(file), _) => format!(
            "the build's secret `{id}` is read from `{file}`, which no machine of {title} has: take it from a variable (`env = …`)"
        ),
    }
}

fn machines(config: &Config) -> Vec<String> {
    let ssh = all(config).any(|one| !one.image.ssh.is_empty());
    let ssh = ssh.then(|| {
        "a build is given the ssh agent: start one with a deploy key in a step before".to_owned()
    });
    let builders = !config.builders.is_empty();
    let builders = builders
        .then(|| "`[builders]` names machines that have to be reachable from there".to_owned());
    ssh.into_iter().chain(builders).collect()
}
