//! Whether the user's credentials may sign calls to an `endpoint` of deploy.toml. The file may be somebody else's: what is not on this
//! machine wants a yes, `--yes`, or an environment variable that names it, for CI with a stand-in on another host.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use crate::{
    context::Context,
    facts::host,
    model::{config::Environment, refusal::Refusal},
    refused::Refused,
    registry::is_local,
    report::terminal,
};

/// Has the addresses that may be sent credentials, separated by commas.
pub const TRUSTED: &str = "XTASK_TRUSTED_ENDPOINTS";

/// Those that somebody has said yes to in this run.
static ANSWERED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Whether an environment names no address, one on this machine, or one that was said yes to.
pub fn is_trusted(environment: &Environment) -> bool {
    let Some(endpoint) = environment.endpoint.as_deref() else {
        return true;
    };
    let answered = || {
        let answered = ANSWERED.lock().unwrap_or_else(PoisonError::into_inner);
        answered.contains(endpoint)
    };
    is_local(endpoint)
        || is_named(endpoint, &host::variable(TRUSTED).unwrap_or_default())
        || answered()
}

/// Whether a list has an address, with or without the slash at its end.
fn is_named(endpoint: &str, list: &str) -> bool {
    let plain = |address: &str| address.trim().trim_end_matches('/').to_owned();
    list.split(',').any(|one| plain(one) == plain(endpoint))
}

/// Asks, where the address of an environment is not to be trusted by itself.
///
/// # Errors
/// A refusal, where nobody has said yes.
pub fn require_trust(context: &Context, environment: &Environment) -> Result<(), Refused> {
    let Some(endpoint) = environment
        .endpoint
        .as_ref()
        .filter(|_| !is_trusted(environment))
    else {
        return Ok(());
    };
    let problem = format!(
        "`{}` of deploy.toml has calls that are signed with your credentials sent to {endpoint}, which is not on this machine",
        environment.name
    );
    if context.global.yes {
        context.terminal.note(&problem);
    } else {
        ask(&problem, endpoint)?;
    }
    let mut answered = ANSWERED.lock().unwrap_or_else(PoisonError::into_inner);
    answered.insert(endpoint.clone());
    Ok(())
}

fn ask(problem: &str, endpoint: &str) -> Result<(), Refused> {
    let cure = format!("if you know it: {TRUSTED}={endpoint}, or add `--yes`");
    if !host::can_ask() {
        let problem = format!("{problem}, and nobody can be asked");
        return Err(Refusal::new(problem, cure).into());
    }
    if terminal::says_yes(&format!("{problem}. Send them?")) {
        return Ok(());
    }
    Err(Refusal::new("the answer was not yes: nothing was sent", cure).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_only_looks_like_this_machine_is_not() {
        let is_here = is_local;
        for here in [
            "http://localhost:4566",
            "http://127.0.0.1:1/",
            "http://127.3.2.1",
            "http://[::1]:4566/x",
        ] {
            assert!(is_here(here), "{here}");
        }
        for away in [
            "http://localhost:80@evil.example",
            "http://localhost@evil.example/",
            "http://127.0.0.1.evil.example",
            "http://localhost.evil.example:4566",
            "http://0.0.0.0:1",
            "http://evil.example?localhost",
            "http://evil.example#@localhost",
            "localhost:4566",
        ] {
            assert!(!is_here(away), "{away}");
        }
    }

    #[test]
    fn the_variable_names_whole_addresses() {
        let list = "http://one:4566/, http://two:4566";
        assert!(is_named("http://one:4566", list) && is_named("http://two:4566/", list));
        assert!(!is_named("http://one:456", list) && !is_named("http://one:4566.evil", list));
        assert!(!is_named("http://one:4566", ""));
    }
}
