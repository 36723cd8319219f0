//! What runs the images of some environments, or could run them again: also what deploy.toml does not know.
//!
//! Architecture Invariant: what cannot be read is an error, never nothing: from what is missing here, images are deleted.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};

use super::eks;
use crate::{
    aws::{KnownVersions, REVISIONS},
    model::{inventory::ImageUse, target::Target},
    plan,
    report::terminal::Terminal,
    session::Session,
};

/// Where workloads are: an account, a region, and the stand-in that answers for them.
type Account = (String, String, Option<String>);

/// Everything that may run images of some environments.
pub struct Users<'u> {
    terminal: &'u Terminal,
    accounts: BTreeMap<Account, (Vec<&'u Session<'u>>, KnownVersions)>,
}

/// Environments by the accounts and regions that they run in.
fn account(session: &Session<'_>) -> Account {
    let place = &session.place;
    (
        place.account.clone(),
        place.region.clone(),
        place.endpoint.clone(),
    )
}

impl<'u> Users<'u> {
    /// The users of these environments.
    pub fn of(terminal: &'u Terminal, sessions: impl IntoIterator<Item = &'u Session<'u>>) -> Self {
        let mut accounts: BTreeMap<_, (Vec<_>, _)> = BTreeMap::new();
        for session in sessions {
            let known = accounts.entry(account(session)).or_default();
            known.0.push(session);
        }
        Self { terminal, accounts }
    }

    /// Reads all of them.
    ///
    /// # Errors
    /// One that cannot be read, with the environment's name; credentials of another account than the environment's.
    pub fn read(&self) -> Result<Vec<ImageUse>> {
        let mut uses = BTreeSet::new();
        for (sessions, known) in self.accounts.values() {
            let Some(first) = sessions.first() else {
                continue;
            };
            let about = |session: &Session<'_>| {
                let (name, region) = (&session.environment.name, &session.place.region);
                format!("what runs in `{name}` ({region}) cannot be read")
            };
            let of_account = self.of_account(first, sessions, known);
            uses.extend(of_account.map_err(|error| error.context(about(first)))?);
            let mut clusters = BTreeSet::new();
            for session in sessions {
                let found = self.of_clusters(session, &mut clusters);
                uses.extend(found.map_err(|error| error.context(about(session)))?);
            }
        }
        Ok(uses.into_iter().collect())
    }

    /// What runs in an account and region.
    fn of_account(
        &self,
        session: &Session<'_>,
        sessions: &[&Session<'_>],
        known: &KnownVersions,
    ) -> Result<Vec<ImageUse>> {
        let reader = session.aws.reader();
        let identity = reader.identity()?;
        let meant = &session.place.account;
        if session.sandbox.is_none() && identity.account != *meant {
            bail!(
                "the credentials are of account {}, and it is in account {meant}\n\
                 set `profile` in [environments.{}]",
                identity.account,
                session.environment.name
            );
        }
        let mut uses = reader.function_images(known, session.place.endpoint.is_some())?;
        let targets = sessions.iter().flat_map(|session| targets(session));
        let targets: BTreeSet<_> = targets.collect();
        if targets.contains(&Target::AppRunner) {
            if session.sandbox.is_some() {
                self.terminal.detail("the sandbox has no App Runner");
            } else {
                uses.extend(reader.apprunner_images()?);
            }
        }
        Ok(uses)
    }

    /// What runs in the clusters of an environment that were not read yet.
    fn of_clusters(
        &self,
        session: &Session<'_>,
        known: &mut BTreeSet<(Target, String)>,
    ) -> Result<Vec<ImageUse>> {
        let environment = session.environment;
        let mut uses = Vec::new();
        for target in targets(session) {
            match target {
                Target::Lambda | Target::AppRunner => {}
                Target::Ecs => {
                    let cluster = &environment.ecs_cluster;
                    if known.insert((target, cluster.clone())) {
                        let is_real = session.sandbox.is_none();
                        let found = session.aws.reader().cluster_images(cluster, is_real)?;
                        for family in found.long_families {
                            self.terminal.note(&format!(
                                "of task definition family {family} the newest {REVISIONS} active revisions count as in use"
                            ));
                        }
                        uses.extend(found.uses);
                    }
                }
                Target::Eks => {
                    let (context, cluster) = (&environment.kube_context, &environment.cluster);
                    let place = format!("{context:?} {cluster:?} {}", environment.namespace);
                    if session.sandbox.is_some() {
                        self.terminal.detail("the sandbox has no Kubernetes");
                    } else if known.insert((target, place)) {
                        uses.extend(eks::images(environment, self.terminal)?);
                    }
                }
            }
        }
        Ok(uses)
    }
}

/// What images of an environment are for.
fn targets(session: &Session<'_>) -> BTreeSet<Target> {
    plan::going_to(session.config, session.environment)
        .map(|one| one.image.target)
        .collect()
}
