//! Workflows of GitHub: steps with `docker/build-push-action`, and commands in `run`.

use serde_json::Value;

use super::{
    File, command, inner, last_name, named_context, places, script,
    script::{Variables, all_filled},
    yaml,
};
use crate::plan::init::{BuildSource, FoundBuild, FoundSecret};

/// How many images one job's matrix may make.
const MOST: usize = 50;

pub(super) fn read(file: &File<'_>, text: &str) -> Result<Vec<FoundBuild>, String> {
    let mut builds = Vec::new();
    // A workflow without a build need not be read at all.
    if !text.contains("/build-push-action") && !text.contains(" build ") {
        return Ok(builds);
    }
    for document in yaml::documents(text)? {
        let jobs = document.get("jobs").and_then(Value::as_object);
        for (name, job) in jobs.into_iter().flatten() {
            let steps = job.get("steps").and_then(Value::as_array);
            for variables in combinations(&document, job) {
                for step in steps.into_iter().flatten() {
                    builds.extend(step_builds(file, name, step, &variables));
                }
            }
        }
    }
    builds.dedup();
    Ok(builds)
}

/// The values of `matrix.…` and `env.…`, for each combination of a job's matrix.
fn combinations(document: &Value, job: &Value) -> Vec<Variables> {
    let mut fixed = Variables::new();
    for scope in [document, job] {
        for (name, value) in scope.get("env").map(yaml::pairs).unwrap_or_default() {
            if !value.contains("${{") {
                fixed.insert(format!("env.{name}"), vec![value.clone()]);
                fixed.insert(name, vec![value]);
            }
        }
    }
    let matrix = job
        .get("strategy")
        .and_then(|strategy| strategy.get("matrix"));
    let Some(matrix) = matrix.and_then(Value::as_object) else {
        return vec![fixed];
    };
    let mut all = vec![fixed.clone()];
    for (key, values) in matrix
        .iter()
        .filter(|(key, _)| !matches!(key.as_str(), "include" | "exclude"))
    {
        let values = values.as_array().cloned().unwrap_or_default();
        all = all
            .iter()
            .flat_map(|known| values.iter().map(move |value| with(known, key, value)))
            .take(MOST)
            .collect();
    }
    let included = matrix.get("include").and_then(Value::as_array);
    let alone = matrix.len() == 1;
    let included: Vec<_> = included
        .into_iter()
        .flatten()
        .map(|one| {
            let fields = one.as_object().into_iter().flatten();
            fields.fold(fixed.clone(), |known, (key, value)| {
                with(&known, key, value)
            })
        })
        .collect();
    if alone && !included.is_empty() {
        return included;
    }
    all
}

fn with(known: &Variables, key: &str, value: &Value) -> Variables {
    let mut known = known.clone();
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if let Some(text) = yaml::text(value) {
                    known.insert(format!("matrix.{key}.{name}"), vec![text]);
                }
            }
        }
        other => {
            if let Some(text) = yaml::text(other) {
                known.insert(format!("matrix.{key}"), vec![text]);
            }
        }
    }
    known
}

fn step_builds(file: &File<'_>, job: &str, step: &Value, variables: &Variables) -> Vec<FoundBuild> {
    let what = format!("job `{job}`");
    let text = |key: &str| step.get(key).and_then(yaml::text);
    let uses = text("uses").unwrap_or_default();
    // Depot, Blacksmith and others have an action of the same inputs.
    let action_name = uses.split('@').next().unwrap_or_default();
    if action_name.ends_with("/build-push-action") {
        return vec![action(
            file,
            &what,
            step.get("with").unwrap_or(&Value::Null),
            variables,
        )];
    }
    let Some(run) = text("run") else {
        return Vec::new();
    };
    let directory = text("working-directory").unwrap_or_default();
    let build = |found: script::Command| {
        let mut build = file.build(BuildSource::Workflow, &what);
        let base = inner(&directory, &found.directory).unwrap_or_default();
        command::read(&mut build, &[&base], &found.words);
        build
    };
    script::commands(&run, variables.clone())
        .into_iter()
        .map(build)
        .collect()
}

/// The inputs of `docker/build-push-action`. Source: its README.
fn action(file: &File<'_>, what: &str, with: &Value, variables: &Variables) -> FoundBuild {
    let mut found = file.build(BuildSource::Workflow, what);
    let input = |key: &str| {
        let written = with.get(key).and_then(yaml::text)?;
        all_filled(&written, variables).into_iter().next()
    };
    let lines = |key: &str| {
        let text = input(key).unwrap_or_default();
        text.lines()
            .map(|line| line.trim().to_owned())
            .filter(|line| !line.is_empty())
            .collect::<Vec<_>>()
    };
    let context = input("context").unwrap_or_else(|| ".".to_owned());
    let context = context
        .strip_prefix("${{ github.workspace }}/")
        .unwrap_or(&context);
    match input("file") {
        Some(dockerfile) => found.places = places(&[""], context, Some(&dockerfile), false),
        None => found.places = places(&[""], context, None, true),
    }
    if found.places.is_empty() {
        found.leave_out(
            "the context or the Dockerfile",
            &format!("{context} {}", input("file").unwrap_or_default()),
        );
    }
    found.stage = input("target").filter(|stage| !stage.contains('$'));
    for line in lines("build-args") {
        match line.split_once('=') {
            Some((name, value)) if !value.contains("${{") => {
                found.args.insert(name.to_owned(), value.to_owned());
            }
            Some((name, value)) => found.leave_out_arg("build-args", name, value),
            None => {}
        }
    }
    for line in lines("build-contexts") {
        let named = line
            .split_once('=')
            .and_then(|(name, path)| Some((name, named_context("", path)?)));
        if let Some((name, path)) = named {
            found.contexts.insert(name.to_owned(), path);
        } else {
            found.leave_out("build-contexts", &line);
        }
    }
    found.ships = with
        .get("push")
        .and_then(yaml::text)
        .is_some_and(|push| push != "false");
    let platforms = input("platforms").unwrap_or_default();
    found.platforms = platforms
        .split([',', '\n'])
        .map(str::trim)
        .filter(|one| !one.is_empty() && !one.contains('$'))
        .map(str::to_owned)
        .collect();
    found.ssh = input("ssh").is_some();
    found.secrets = lines("secrets")
        .iter()
        .filter_map(|line| secret(line))
        .collect();
    found.repository = lines("tags")
        .first()
        .and_then(|tag| last_name(tag.split(',').next()?));
    found
}

/// A secret of the action. Its value is GitHub's: elsewhere a variable of that name has to stand for it.
fn secret(line: &str) -> Option<FoundSecret> {
    let (id, _) = line.split_once('=')?;
    let id = id.trim_matches('"');
    Some(FoundSecret {
        id: id.to_owned(),
        file: None,
        env: Some(id.to_uppercase().replace('-', "_")),
    })
}
