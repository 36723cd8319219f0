//! An environment, open: the real AWS, a stand-in that the environment variables name, or the sandbox. Which it is is decided
//! here, once for each environment of a run.

use anyhow::Result;
use image_oci::Manifest;

use crate::{
    aws::{Aws, Connection, Identity},
    context::Context,
    docker::Docker,
    facts::host,
    model::{
        config::{Config, Environment},
        place::Place,
        refusal::Refusal,
        registry::{Ecr, ecr_of},
    },
    plan::{self, Selected, account_guard, targets::Workload},
    refused::Refused,
    registry::{self, Actions, Reference, Registry},
    report::terminal,
    repositories::Repositories,
    sandbox::Sandbox,
    workspace::Workspace,
};

/// An environment, open.
pub struct Session<'w> {
    /// deploy.toml, as the sandbox has it where there is one.
    pub config: &'w Config,
    /// The environment.
    pub environment: &'w Environment,
    /// Where it is.
    pub place: Place,
    /// AWS there.
    pub aws: Aws,
    /// Its registry, where that is not ECR.
    other: Option<Registry>,
    /// The sandbox that stands in for it.
    pub sandbox: Option<Sandbox>,
}

impl<'w> Session<'w> {
    /// Opens an environment, or its stand-in, which may be a sandbox that does not run yet.
    ///
    /// # Errors
    /// A sandbox that does not start, and an `AWS_ENDPOINT_URL` that is none.
    pub fn open_or_empty(
        workspace: &'w Workspace<'_>,
        environment: &'w Environment,
    ) -> Result<Self> {
        if !workspace.is_in_sandbox() {
            workspace.require_trust(environment)?;
        }
        let sandbox = workspace.sandbox()?;
        let place = place(environment, sandbox.as_ref())?;
        let aws = Aws::connect(&connection(environment, sandbox.as_ref()))?;
        let is_other = place.ecr.is_none();
        // Who may only read is given a token to read with, whatever is asked for.
        let other = || Registry::with_docker_login(&place.registry, Actions::Push);
        let other = is_other.then(other);
        Ok(Self {
            other,
            config: &workspace.config,
            environment,
            place,
            aws,
            sandbox,
        })
    }

    /// Opens an environment in each of its regions, the first first.
    ///
    /// # Errors
    /// As for [`Session::open`].
    pub fn open_all(workspace: &'w Workspace<'_>, name: &str) -> Result<Vec<Self>> {
        let first = Self::open(workspace, name)?;
        let others = first.others(workspace)?;
        Ok(std::iter::once(first).chain(others).collect())
    }

    /// Its region, where the environment has several.
    pub fn region(&self) -> Option<String> {
        let whole = self.config.environments.get(&self.environment.name)?;
        let is_one_of_several = !whole.other_regions.is_empty();
        is_one_of_several.then(|| self.place.region.clone())
    }

    /// The same environment in its other regions.
    ///
    /// # Errors
    /// As for [`Session::open_or_empty`].
    pub fn others(&self, workspace: &'w Workspace<'_>) -> Result<Vec<Self>> {
        let others = self.environment.other_regions.iter();
        others
            .map(|one| Self::open_or_empty(workspace, one))
            .collect()
    }

    /// Opens an environment that is to be looked at.
    ///
    /// # Errors
    /// A refusal for an environment that deploy.toml lacks or a sandbox that does not run, and a sandbox that does not start.
    pub fn open(workspace: &'w Workspace<'_>, name: &str) -> Result<Self> {
        let session = Self::open_or_empty(workspace, workspace.environment(name)?)?;
        if session.is_readable() {
            return Ok(session);
        }
        let refusal = Refusal::new(
            "no sandbox runs, so there is nothing to look at",
            "cargo xtask sandbox up",
        );
        Err(Refused::from(refusal).into())
    }

    /// Whether there is anything to read: the sandbox of a dry run may not run.
    pub fn is_readable(&self) -> bool {
        self.sandbox.as_ref().is_none_or(Sandbox::is_up)
    }

    /// The sandbox's docker, or the user's own.
    pub fn docker(&self) -> Docker {
        Workspace::docker(self.sandbox.as_ref())
    }

    /// The images of these services that go there.
    ///
    /// # Errors
    /// A refusal for each word that selects nothing.
    pub fn selected(&self, services: &[String]) -> Result<Vec<Selected<'w>>, Refused> {
        plan::select(self.config, self.environment, services, None).map_err(Refused)
    }

    /// The ECR repository of an image.
    pub fn repository(&self, selected: Selected<'_>) -> String {
        self.environment.repository(
            &self.config.project,
            &selected.service.name,
            selected.image.target,
        )
    }

    /// The tag that names what the environment has now.
    pub fn tag(&self, selected: Selected<'_>) -> String {
        format!(
            "{}{}-latest",
            selected.image.tag_prefix, self.environment.name
        )
    }

    /// The manifest that a tag or digest names. A repository that does not exist has none.
    ///
    /// # Errors
    /// A registry that cannot be read.
    pub fn manifest(&self, repository: &str, name: &str) -> Result<Option<Manifest>> {
        let reader = self.repositories();
        if reader.repository(repository)?.is_none() {
            return Ok(None);
        }
        if name.starts_with("sha256:") {
            return reader.manifest(repository, name);
        }
        reader.tagged(repository, name)
    }

    /// The registry, with a login.
    ///
    /// # Errors
    /// ECR that gives no token.
    pub fn registry(&self) -> Result<Registry> {
        self.repositories().registry(&self.place.registry)
    }

    /// The repositories of its registry.
    pub fn repositories(&self) -> Repositories<'_> {
        match &self.other {
            Some(registry) => Repositories::Protocol(registry),
            None => Repositories::Ecr(&self.aws),
        }
    }

    /// Whether it is the protected environment itself, and no stand-in for it.
    pub fn is_protected(&self) -> bool {
        self.environment.protected && self.sandbox.is_none()
    }

    /// Whether its registry may be changed, and by whom: that of a protected environment wants the right account. Docker's login
    /// for a registry other than ECR names no account.
    ///
    /// # Errors
    /// A refusal, and credentials that AWS does not know.
    pub fn guard_registry(&self) -> Result<String> {
        let Some(ecr) = &self.place.ecr else {
            let user = self.repositories().login()?.map(|login| login.user);
            let user = user.unwrap_or_else(|| "nobody".to_owned());
            return Ok(format!("{user} at {}", self.place.registry));
        };
        if self.environment.registry.is_none() {
            return Ok(self.guard()?.arn);
        }
        let connection = Connection {
            profile: ecr.profile.clone(),
            ..connection(self.environment, self.sandbox.as_ref())
        };
        let identity = Aws::connect(&connection)?.reader().identity()?;
        if self.is_protected() && identity.account != ecr.account {
            account_guard(self.environment, &identity.account, &identity.arn)
                .map_err(Refused::from)?;
        }
        Ok(identity.arn)
    }

    /// Asks whether this may be changed: a protected environment wants the right account.
    ///
    /// # Errors
    /// A refusal, and credentials that AWS does not know.
    pub fn guard(&self) -> Result<Identity> {
        let identity = self.aws.reader().identity()?;
        if self.is_protected() {
            account_guard(self.environment, &identity.account, &identity.arn)
                .map_err(Refused::from)?;
        }
        Ok(identity)
    }
}

/// A registry, with the login that it wants: ECR's own, the sandbox's, or the one that docker keeps.
///
/// # Errors
/// A registry that cannot be reached, or gives no token.
pub fn registry_of(
    config: Option<&Config>,
    reference: &Reference,
    repositories: &[&str],
    actions: Actions,
    sandbox: Option<&Sandbox>,
) -> Result<Registry> {
    if let Some(sandbox) = sandbox
        && authority(&sandbox.endpoint())? == reference.host
    {
        let login = Aws::connect(&sandbox.connection())?.reader().login()?;
        return Ok(Registry::new(&reference.host, Some(&login)));
    }
    if let Some((account, region)) = ecr_of(&reference.host) {
        let connection = ecr_connection(config, account, region);
        let login = Aws::connect(&connection)
            .and_then(|aws| aws.reader().login())
            .or_else(|error| {
                // Who has no AWS credentials here may have logged docker in by other means.
                registry::Login::from_docker(&reference.host)
                    .ok()
                    .flatten()
                    .ok_or(error)
            })?;
        return Ok(Registry::new(&reference.host, Some(&login)));
    }
    Registry::open(&reference.host, repositories, actions)
}

/// How ECR of an account and region is reached: with the profile of an environment that keeps images there.
pub fn ecr_connection(config: Option<&Config>, account: &str, region: &str) -> Connection {
    let known = config
        .into_iter()
        .flat_map(|config| config.environments.values())
        .flat_map(Environment::in_each_region);
    let is_there = |ecr: &Ecr| ecr.account == account && ecr.region == region;
    let profile = known
        .filter_map(Environment::ecr)
        .filter(is_there)
        .find_map(|ecr| ecr.profile);
    Connection {
        account: account.to_owned(),
        region: region.to_owned(),
        profile,
        ecr: None,
        endpoint: None,
        dummy_credentials: false,
    }
}

/// A protected environment wants its name typed, or `--yes`.
///
/// # Errors
/// A refusal, when it was not.
pub fn confirm_protected(context: &Context, environment: &Environment) -> Result<(), Refused> {
    if !environment.protected || context.global.yes {
        return Ok(());
    }
    let name = &environment.name;
    if !host::can_ask() {
        return Err(Refusal::new(
            format!("`{name}` is protected, and nobody can be asked"),
            "add `--yes` to the command",
        )
        .into());
    }
    let answer = terminal::ask(&format!("`{name}` is protected. Type its name to go on:"));
    if answer == *name {
        return Ok(());
    }
    Err(Refusal::new(
        format!("`{}` was typed, not `{name}`", answer.escape_debug()),
        "run the command again, or add `--yes`",
    )
    .into())
}

/// What could not be undone wants a yes, or `--yes`.
///
/// # Errors
/// A refusal, when it got none.
pub fn confirm_no_way_back(context: &Context, workloads: &[Workload]) -> Result<(), Refused> {
    let reasons: Vec<_> = workloads.iter().filter_map(Workload::no_way_back).collect();
    for reason in &reasons {
        let text = format!("if something fails, there is no way back. {reason}");
        context.terminal.warning(&text);
    }
    if reasons.is_empty() || context.global.yes {
        return Ok(());
    }
    let cure = "look with `--dry-run`, and give callers of a function an alias first (`alias` in deploy.toml); `--yes` goes on without \
                a way back";
    let problem = reasons.join("\n");
    if !host::can_ask() {
        let problem = format!("{problem}; nobody can be asked, and nothing was moved");
        return Err(Refusal::new(problem, cure).into());
    }
    if terminal::says_yes(&format!("{problem}\nGo on without a way back?")) {
        return Ok(());
    }
    Err(Refusal::new("the answer was not yes: nothing was moved", cure).into())
}

/// How the SDK reaches an environment.
pub fn connection(environment: &Environment, sandbox: Option<&Sandbox>) -> Connection {
    sandbox.map_or_else(
        || Connection {
            account: environment.account.clone(),
            region: environment.region.clone(),
            profile: environment.profile.clone(),
            ecr: environment.ecr(),
            endpoint: environment.endpoint.clone(),
            dummy_credentials: false,
        },
        Sandbox::connection,
    )
}

/// Where the environment's registry is. With `AWS_ENDPOINT_URL` on this machine it is there too: stand-ins for AWS serve
/// their registry on the same port, and the name that they give for it leads nowhere.
///
/// # Errors
/// A refusal, for an `AWS_ENDPOINT_URL` that is none.
pub fn place(environment: &Environment, sandbox: Option<&Sandbox>) -> Result<Place> {
    let said =
        || host::variable("AWS_ENDPOINT_URL_ECR").or_else(|| host::variable("AWS_ENDPOINT_URL"));
    let endpoint = sandbox
        .map(Sandbox::endpoint)
        .or_else(|| environment.endpoint.clone())
        .or_else(said);
    let local = endpoint
        .as_deref()
        .map(authority)
        .transpose()?
        .filter(|authority| registry::is_loopback(authority));
    let ecr = environment.ecr();
    Ok(Place {
        environment: environment.name.clone(),
        account: environment.account.clone(),
        region: environment.region.clone(),
        registry: local
            .filter(|_| ecr.is_some())
            .unwrap_or_else(|| environment.registry_host()),
        ecr: ecr.map(|ecr| Ecr {
            profile: ecr.profile.filter(|_| sandbox.is_none()),
            ..ecr
        }),
        profile: environment.profile.clone().filter(|_| sandbox.is_none()),
        endpoint,
    })
}

fn authority(endpoint: &str) -> Result<String> {
    let found = registry::authority(endpoint).ok_or_else(|| {
        let problem = format!(
            "AWS_ENDPOINT_URL is `{}`, which is no URL",
            endpoint.escape_debug()
        );
        Refused::from(Refusal::new(
            problem,
            "write `http://localhost:PORT`, or unset it",
        ))
    })?;
    Ok(found.to_owned())
}
