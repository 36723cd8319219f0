//! The table of permissions, held against what each command really asks of AWS.

use std::{collections::BTreeSet, fs};

use super::{pages::root, project::Documented};

/// Actions that the registry protocol needs. Source: "Pushing an image" and "IAM permissions for pushing" in ECR's user guide.
const OF_THE_REGISTRY: [(&str, &[&str]); 7] = [
    ("GET blob", &["ecr:GetDownloadUrlForLayer"]),
    ("GET manifest", &["ecr:BatchGetImage"]),
    ("HEAD blob", &["ecr:BatchCheckLayerAvailability"]),
    ("POST upload", &["ecr:InitiateLayerUpload"]),
    ("PATCH upload", &["ecr:UploadLayerPart"]),
    (
        "PUT upload",
        &["ecr:UploadLayerPart", "ecr:CompleteLayerUpload"],
    ),
    ("PUT manifest", &["ecr:PutImage"]),
];

/// What stands in the table for three actions.
const READING: [&str; 3] = [
    "ecr:GetAuthorizationToken",
    "ecr:BatchGetImage",
    "ecr:GetDownloadUrlForLayer",
];

/// The rows: the commands of each, and what they may ask for.
fn rows() -> Vec<(Vec<String>, BTreeSet<String>)> {
    let page = fs::read_to_string(root().join("docs/aws.md")).unwrap();
    let (_, table) = page.split_once("## Permissions").unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let pieces = |cell: &str| -> Vec<String> {
        cell.split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    };
    let mut all: Vec<(Vec<String>, BTreeSet<String>)> = Vec::new();
    for row in rows {
        let (_, rest) = row.split_once("| ").unwrap();
        let (commands, asks) = rest.split_once(" | ").unwrap();
        let mut actions = BTreeSet::new();
        for piece in pieces(asks) {
            match piece.as_str() {
                action if action.contains(':') => drop(actions.insert(action.to_owned())),
                "migrate-…" => {
                    let of = |one: &&(Vec<String>, _)| one.0[0].starts_with("migrate-");
                    actions.extend(all.iter().filter(of).flat_map(|one| one.1.clone()));
                }
                other => {
                    let of = |one: &&(Vec<String>, _)| one.0.iter().any(|name| name == other);
                    actions.extend(all.iter().filter(of).flat_map(|one| one.1.clone()));
                }
            }
        }
        if asks.starts_with("reading images") {
            actions.extend(READING.map(str::to_owned));
        }
        all.push((pieces(commands), actions));
    }
    assert!(all.len() > 10, "{all:?}");
    all
}

#[test]
fn a_command_asks_for_no_more_than_its_row_allows() {
    let rows = rows();
    let documented = Documented::new();
    let project = &documented.0;
    for (line, command) in [
        ("status", "status"),
        ("verify --json", "verify"),
        ("export env dev", "export"),
        ("push dev", "push"),
        ("deploy dev", "deploy"),
        ("migrate-lambda dev --service worker", "migrate-lambda"),
        ("rollback dev", "rollback"),
        ("promote dev prod --yes", "promote"),
        ("scan dev", "scan"),
        ("prune dev --keep 1 --older 1h --yes", "prune"),
        (
            "prune dev --put-lifecycle-policy --yes",
            "prune --put-lifecycle-policy",
        ),
        ("doctor", "doctor"),
    ] {
        project.write("backend/changed", line);
        project.commit();
        project.aws.state().requests.clear();
        let run = project.run(line);
        assert!(run.code < 2, "{line}: {}", run.stderr);
        let row = rows
            .iter()
            .find(|row| row.0.iter().any(|name| name == command));
        let (_, may) = row.unwrap_or_else(|| panic!("no row for {command}"));
        let asked: BTreeSet<_> = project.aws.state().requests.drain(..).collect();
        assert!(!asked.is_empty(), "{line} asks for nothing");
        for request in asked {
            for wanted in actions(&request) {
                let is_it = |action: &String| {
                    *action == wanted || action.split_once(':').unwrap().1 == wanted
                };
                assert!(
                    may.iter().any(is_it),
                    "`{line}` asks for {wanted}, and {command} may not"
                );
            }
        }
    }
}

/// The actions behind a request. Of most only the name is known, without its service.
fn actions(request: &str) -> Vec<String> {
    let of_registry = OF_THE_REGISTRY.iter().find(|(one, _)| *one == request);
    if let Some((_, actions)) = of_registry {
        return actions.iter().map(|action| (*action).to_owned()).collect();
    }
    let action = match request {
        "Invoke" => "lambda:InvokeFunction",
        one if one.starts_with("/schedules") => "scheduler:ListSchedules",
        one if one.ends_with("/node-groups") => "eks:ListNodegroups",
        one if one.contains("/node-groups/") => "eks:DescribeNodegroup",
        other => other,
    };
    vec![action.to_owned()]
}

#[test]
fn every_action_of_the_table_is_one_that_the_program_knows() {
    let mut sources = String::new();
    let mut open = vec![root().join("xtask/shipright/src")];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(
                fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else {
            sources += &fs::read_to_string(path).unwrap_or_default();
        }
    }
    let of_registry = OF_THE_REGISTRY
        .iter()
        .flat_map(|(_, actions)| actions.iter());
    let of_registry: BTreeSet<_> = of_registry.map(|action| (*action).to_owned()).collect();
    for action in rows().iter().flat_map(|row| &row.1) {
        assert!(
            sources.contains(&format!("\"{action}\""))
                || of_registry.contains(action)
                // AWS asks for it where a task definition has roles.
                || action == "iam:PassRole",
            "the program never asks for {action}"
        );
    }
}
