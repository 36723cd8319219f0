//! The bare command, help and manual pages: what a newcomer types first.

use std::{fs, process::Command};

use crate::support::{aws::Function, project::Project};

#[test]
fn the_bare_command_shows_each_environment_and_what_a_push_would_do() {
    let project = Project::new();
    let before = project.run("").expect(0);
    for part in [
        "backend at ",
        "on main, clean",
        "dev: a push builds api-lambda, api-apprunner, api-eks, worker",
        "prod: a push ",
        "next: cargo xtask push dev --dry-run",
    ] {
        assert!(
            before.stderr.contains(part),
            "{part} is missing in:\n{}",
            before.stderr
        );
    }
    assert!(
        project
            .docker_verbs()
            .iter()
            .all(|verb| !verb.contains("build ")),
        "nothing is built"
    );
    assert!(
        project.aws.state().repositories.is_empty(),
        "nothing is made"
    );
    project.run("push dev").expect(0);
    let after = project.run("--json").expect(0);
    assert!(
        after
            .stderr
            .contains("dev: a push has nothing to do: this commit is there"),
        "{}",
        after.stderr
    );
    let dev = &after.json()["environments"][0];
    assert_eq!(dev["environment"], "dev");
    assert_eq!(dev["images"].as_array().unwrap().len(), 4);
}

#[test]
fn an_environment_that_cannot_be_read_is_said_and_hides_no_other() {
    let project = Project::new();
    let run = project
        .run_with("", &[("AWS_ENDPOINT_URL", "http://127.0.0.1:1")])
        .expect(0);
    assert_eq!(
        run.stderr.matches("cannot be read").count(),
        2,
        "{}",
        run.stderr
    );
}

#[test]
fn without_a_deploy_toml_the_bare_command_says_what_can_be_typed() {
    let elsewhere = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .current_dir(elsewhere.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains("Set up:") && said.contains("  init "),
        "{said}"
    );
}

#[test]
fn help_has_every_command_in_one_group() {
    let project = Project::new();
    let help = project.run("--help").expect(0).stdout;
    let mut places = Vec::new();
    for group in [
        "Build:",
        "Ship:",
        "Look:",
        "Repair:",
        "Set up:",
        "This repository:",
        "Options of every command:",
    ] {
        places.push(
            help.find(group)
                .unwrap_or_else(|| panic!("{group} is missing in:\n{help}")),
        );
    }
    assert!(places.is_sorted(), "{help}");
    let commands = |text: &str| -> Vec<String> {
        let lines = text.lines().filter_map(|line| line.strip_prefix("  "));
        let names = lines.filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()));
        names
            .map(|line| line.split(' ').next().unwrap().to_owned())
            .collect()
    };
    let groups = commands(&help[..places[5]]);
    for command in [
        "push",
        "push-dev",
        "push-prod",
        "docker-build",
        "rollback",
        "status",
        "init",
        "man",
        "completions",
    ] {
        assert_eq!(
            groups.iter().filter(|name| *name == command).count(),
            1,
            "{command}: {groups:?}"
        );
    }
    let own = commands(&help[places[5]..places[6]]);
    assert_eq!(
        own,
        ["aws-models", "bench", "ci", "conformance", "demo"],
        "all of ours have a group"
    );
    assert!(
        help.lines().all(|line| line.chars().count() <= 100),
        "{help}"
    );
}

#[test]
fn every_command_has_a_manual_page() {
    let project = Project::new();
    let shown = project.run("man pages --dry-run").expect(0);
    assert!(shown.stderr.contains("would write") && !project.path("pages").exists());
    project.run("man pages").expect(0);
    for page in [
        "cargo-xtask.1",
        "cargo-xtask-push.1",
        "cargo-xtask-push-dev.1",
        "cargo-xtask-manifest-create.1",
    ] {
        let text = fs::read_to_string(project.path("pages").join(page)).unwrap();
        assert!(text.contains(".TH"), "{page}");
    }
    let refused = project.run("man deploy.toml/x").expect(1);
    assert!(
        refused.stderr.contains("failed to write pages into"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_mistyped_name_is_answered_with_the_nearest() {
    let project = Project::new();
    project.run("push dev --service worker").expect(0);
    let tag = format!("worker-{}", &project.head()[..7]);
    let wrong = format!("worker-{}x", &project.head()[..6]);
    for (line, nearest) in [
        ("push dve", "dev".to_owned()),
        ("push-dve", "dev".to_owned()),
        ("push dev --service wroker", "worker".to_owned()),
        (
            "push dev --service worker --dockerfile Dockerfile.lamda",
            "Dockerfile.lambda".to_owned(),
        ),
    ] {
        let run = project.run(line).expect(2);
        assert!(run.stderr.contains(&nearest), "{line}: {}", run.stderr);
    }
    let function = Function::new("arm64", "sha256:old");
    project
        .aws
        .state()
        .functions
        .insert("backend-dev-worker".into(), function);
    let run = project
        .run(&format!("rollback dev --service worker --to {wrong}"))
        .expect(2);
    assert!(
        run.stderr.contains(&format!("did you mean `{tag}`")),
        "{}",
        run.stderr
    );
}
