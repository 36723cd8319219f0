//! AWS Lambda functions.

mod alias;
mod apply;
mod restore;
mod trial;
mod update;

use anyhow::Result;

use super::Deployer;
use crate::{
    aws::Reader,
    model::{
        function::{Alias, Condition, Function, Version},
        running::Running,
    },
    parallel::both,
    plan::{
        Selected,
        targets::{
            Choice, Workload,
            lambda::{self, Facts, Options, Wanted},
        },
    },
    refused::Refused,
    report::terminal::Terminal,
    session::Session,
};

fn name(session: &Session<'_>, selected: Selected<'_>) -> String {
    let (project, environment) = (&session.config.project, &session.environment.name);
    selected
        .image
        .function(project, environment, &selected.service.name)
}

/// The alias of a function, where deploy.toml names one and it exists.
fn alias_of(reader: Reader<'_>, function: &str, alias: Option<&str>) -> Result<Option<Alias>> {
    alias.map_or(Ok(None), |alias| reader.alias(function, alias))
}

/// What callers of a function get: what its alias names, and not the newest code.
pub(super) fn running(session: &Session<'_>, selected: Selected<'_>) -> Result<Running> {
    let name = name(session, selected);
    let reader = session.aws.reader();
    let alias = alias_of(reader, &name, selected.image.alias.as_deref())?;
    let version = alias.filter(|alias| alias.version != "$LATEST");
    let called = version
        .map(|alias| reader.version(&name, &alias.version))
        .transpose()?
        .flatten();
    let function = if let Some(version) = called {
        version
    } else {
        reader.function(&name)?
    };
    Ok(Running::new(
        name,
        function.exists.then(|| function.image.clone()),
        function.arch,
    ))
}

/// What is known of a function, once it can be changed. A dry run does not wait for that.
///
/// # Errors
/// A function that cannot be read.
pub fn facts(
    session: &Session<'_>,
    terminal: &Terminal,
    selected: Selected<'_>,
    dry_run: bool,
) -> Result<Facts> {
    let name = name(session, selected);
    let reader = session.aws.reader();
    let alias = selected.image.alias.as_deref();
    let mut found = read(reader, &name, alias)?;
    while found.function.condition == Condition::Busy && !dry_run {
        terminal.note(&format!(
            "function {name} is being updated: waiting for its end"
        ));
        let aws = &session.aws;
        Deployer { aws, terminal }.settled(&name)?;
        // What others have done meanwhile counts, and they may have begun anew.
        found = read(reader, &name, alias)?;
    }
    Ok(found)
}

/// Reads a function, its versions and its alias at once. What is answered about a function that does not exist says no more.
fn read(reader: Reader<'_>, name: &str, alias: Option<&str>) -> Result<Facts> {
    let ((function, alias), versions) = both(
        || function_and_alias(reader, name, alias),
        || reader.versions(name),
    );
    let function = function?;
    if !function.exists {
        return Ok(Facts {
            function,
            versions: Vec::new(),
            alias: None,
        });
    }
    Ok(Facts {
        function,
        versions: versions?,
        alias: alias?,
    })
}

/// A function and its alias, read at once.
fn function_and_alias(
    reader: Reader<'_>,
    name: &str,
    alias: Option<&str>,
) -> (Result<Function>, Result<Option<Alias>>) {
    let function = || reader.function(name);
    match alias {
        Some(_) => both(function, || alias_of(reader, name, alias)),
        None => (function(), Ok(None)),
    }
}

/// A version of a function, also one that is older than those that are listed.
///
/// # Errors
/// A function that cannot be read.
pub fn read_version(session: &Session<'_>, facts: &Facts, number: &str) -> Result<Option<Version>> {
    if let Some(known) = facts.version(number) {
        return Ok(Some(known.clone()));
    }
    let found = session.aws.reader().version(&facts.function.name, number)?;
    Ok(found.map(|found| Version {
        number: number.to_owned(),
        code: found.code(),
    }))
}

/// Reads a function, and decides.
pub(super) fn plan(
    session: &Session<'_>,
    terminal: &Terminal,
    choice: &Choice<'_>,
    options: Options,
    dry_run: bool,
) -> Result<Workload> {
    let facts = facts(session, terminal, choice.selected, dry_run)?;
    let options = Options {
        may_create: session.sandbox.is_some(),
        ..options
    };
    let plan = lambda::decide(facts, Wanted::of(choice, options), &session.place);
    Ok(Workload::Lambda(Box::new(plan.map_err(Refused::from)?)))
}
