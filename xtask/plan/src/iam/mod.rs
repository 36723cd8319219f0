//! Least-privilege IAM policies: what commands ask AWS for, in an environment as deploy.toml has it.
//!
//! What only a sandbox does (it makes functions, clusters and services) is in none of them.

mod command;
mod scope;
mod table;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

pub use command::Command;
use table::{If, On, ROWS, Row};

use crate::{
    going_to,
    model::{
        config::{Config, Environment},
        target::Target,
    },
};

/// A policy document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Policy {
    version: &'static str,
    statement: Vec<Statement>,
}

/// A statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    sid: String,
    effect: &'static str,
    action: BTreeSet<&'static str>,
    resource: BTreeSet<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<Value>,
}

/// The policy for commands in an environment.
pub fn policy(config: &Config, environment: &Environment, commands: &[Command]) -> Policy {
    let mut by_scope: BTreeMap<_, BTreeSet<&'static str>> = BTreeMap::new();
    for row in rows(config, environment, commands) {
        by_scope.entry(row.scope).or_default().extend(row.actions);
    }
    let statement = by_scope.into_iter().map(|(scope, action)| Statement {
        sid: scope.sid(),
        effect: "Allow",
        action,
        resource: scope.arns(config, environment),
        condition: scope.condition(),
    });
    Policy {
        version: "2012-10-17",
        statement: statement.filter(|one| !one.resource.is_empty()).collect(),
    }
}

/// The actions that not every run of these commands takes, and when one does.
pub fn conditional(
    config: &Config,
    environment: &Environment,
    commands: &[Command],
) -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let rows = rows(config, environment, commands);
    let mut found: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for row in &rows {
        for action in row.actions {
            if let Some(when) = row.when {
                found.entry(*action).or_default().insert(when);
            }
        }
    }
    let is_usual = |action: &&str| {
        let usual = rows.iter().filter(|row| row.when.is_none());
        usual.flat_map(|row| row.actions).any(|one| one == action)
    };
    found.retain(|action, _| !is_usual(action));
    found
}

fn rows(config: &Config, environment: &Environment, commands: &[Command]) -> Vec<&'static Row> {
    let is_for = |row: &&Row| row.commands.iter().any(|one| commands.contains(one));
    let is_so = |row: &&Row| holds(row.given, config, environment);
    ROWS.iter().filter(is_for).filter(is_so).collect()
}

fn holds(given: If, config: &Config, environment: &Environment) -> bool {
    let mut images = going_to(config, environment).map(|one| one.image);
    match given {
        If::Always => true,
        If::Ecr => environment.ecr().is_some(),
        If::CreatesRepositories => environment.create_repository && environment.ecr().is_some(),
        If::Scans => environment.scan.is_some() && environment.ecr().is_some(),
        If::Runs(on) => {
            images.any(|image| of_target(image.target) == on)
                && (on != On::Eks || environment.cluster.is_some())
        }
        If::Alias => images.any(|image| image.target.runs_functions() && image.alias.is_some()),
        If::Invokes => {
            images.any(|image| image.target.runs_functions() && image.smoke_payload.is_some())
        }
        If::Tags => environment.function_tags && images.any(|image| image.target.runs_functions()),
    }
}

fn of_target(target: Target) -> On {
    match target {
        Target::Lambda => On::Lambda,
        Target::AppRunner => On::AppRunner,
        Target::Ecs => On::Ecs,
        Target::Eks => On::Eks,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{config, environment, image, service};

    fn of(environment: &Environment, commands: &[Command]) -> Value {
        let mut image = image(Target::Lambda);
        image.environments = vec!["dev".into()];
        let config = config(service(image));
        serde_json::to_value(policy(&config, environment, commands)).unwrap()
    }

    fn statement<'p>(policy: &'p Value, sid: &str) -> &'p Value {
        let all = policy["Statement"].as_array().unwrap();
        all.iter().find(|one| one["Sid"] == sid).unwrap()
    }

    #[test]
    fn resources_are_those_that_deploy_toml_names_in_every_region_and_partition() {
        let mut dev = environment("dev");
        dev.other_regions = vec![dev.in_region("cn-north-1")];
        let push = of(&dev, &[Command::Push]);
        let resources = &statement(&push, "Repository")["Resource"];
        let arns: Vec<_> = resources.as_array().unwrap().iter().collect();
        assert_eq!(arns.len(), 2, "{resources}");
        assert!(
            arns.iter().any(|arn| arn
                .as_str()
                .unwrap()
                .starts_with("arn:aws-cn:ecr:cn-north-1:111122223333:repository/")),
            "{resources}"
        );
        let migrate = of(&dev, &[Command::MigrateLambda]);
        let functions = statement(&migrate, "Function")["Resource"].to_string();
        assert!(
            functions.contains(":function:") && functions.contains(":*\""),
            "{functions}"
        );
    }

    #[test]
    fn a_command_is_allowed_what_its_environment_makes_it_do_and_no_more() {
        let text = |environment: &Environment, command| of(environment, &[command]).to_string();
        let plain = environment("dev");
        for (change, command, action) in [
            (
                Environment {
                    create_repository: true,
                    ..plain.clone()
                },
                Command::Push,
                "ecr:CreateRepository",
            ),
            (
                Environment {
                    function_tags: true,
                    ..plain.clone()
                },
                Command::Deploy,
                "lambda:TagResource",
            ),
        ] {
            assert!(!text(&plain, command).contains(action), "{action}");
            assert!(text(&change, command).contains(action), "{action}");
        }
        assert!(!text(&plain, Command::Push).contains("lambda:Update"));
        assert!(!text(&plain, Command::Status).contains("PutImage"));
        assert!(
            !text(&plain, Command::Deploy).contains("apprunner"),
            "no image is for it"
        );
        let all = of(&plain, &Command::ALL);
        assert!(
            all["Statement"]
                .as_array()
                .unwrap()
                .iter()
                .all(|one| one["Effect"] == "Allow")
        );
    }

    #[test]
    fn every_row_has_commands_and_actions_of_one_service_each() {
        for row in ROWS {
            assert!(!row.commands.is_empty() && !row.actions.is_empty());
            for action in row.actions {
                assert!(
                    action.split_once(':').is_some_and(|(service, name)| {
                        !service.is_empty() && name.starts_with(|c: char| c.is_ascii_uppercase())
                    }),
                    "{action}"
                );
                assert!(!action.contains('*'), "{action}");
            }
        }
    }
}
