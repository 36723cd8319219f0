//! How an environment is reached: the real AWS, a stand-in that the environment variables name, or the sandbox.

use anyhow::Result;

use super::Refused;
use crate::{
    aws::Connection,
    config::Environment,
    facts::host,
    policy::plan::{Place, Refusal},
    registry, sandbox,
};

/// How the SDK reaches an environment.
pub fn connection(environment: &Environment, sandbox: Option<&sandbox::Session>) -> Connection {
    sandbox.map_or_else(
        || Connection {
            account: environment.account.clone(),
            region: environment.region.clone(),
            profile: environment.profile.clone(),
            endpoint: None,
            dummy_credentials: false,
        },
        sandbox::Session::connection,
    )
}

/// Where the environment's registry is. With `AWS_ENDPOINT_URL` on this machine it is there too: stand-ins for AWS serve
/// their registry on the same port, and the name that they give for it leads nowhere.
///
/// # Errors
/// A refusal, for an `AWS_ENDPOINT_URL` that is none.
pub fn place(environment: &Environment, sandbox: Option<&sandbox::Session>) -> Result<Place> {
    let said = || host::variable("AWS_ENDPOINT_URL_ECR").or_else(|| host::variable("AWS_ENDPOINT_URL"));
    let endpoint = sandbox.map(sandbox::Session::endpoint).or_else(said);
    let local = endpoint.as_deref().map(authority).transpose()?.filter(|authority| registry::is_loopback(authority));
    let suffix = if environment.region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    Ok(Place {
        environment: environment.name.clone(),
        account: environment.account.clone(),
        region: environment.region.clone(),
        registry: local.unwrap_or_else(|| format!("{}.dkr.ecr.{}.{suffix}", environment.account, environment.region)),
        profile: environment.profile.clone().filter(|_| sandbox.is_none()),
        endpoint,
    })
}

fn authority(endpoint: &str) -> Result<String> {
    let rest = endpoint.split_once("://").map(|(_, rest)| rest);
    let rest = rest.ok_or_else(|| {
        let problem = format!("AWS_ENDPOINT_URL is `{}`, which is no URL", endpoint.escape_debug());
        Refused::from(Refusal::new(problem, "write `http://localhost:PORT`, or unset it"))
    })?;
    Ok(rest.split('/').next().unwrap_or(rest).to_owned())
}
