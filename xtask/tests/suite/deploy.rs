//! Deployments, seen from outside: the real binary against an AWS that keeps the rules.
use std::{
    fs,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::support::{
    aws::{Aws, Fault, Function, Service, State, operation_id},
    killed::killed_after_each_call,
    project::{DEPLOY, Project, Run},
};
use serde_json::Value;

const FUNCTION: &str = "backend-dev-worker";

/// A project whose worker has an alias and a payload, with two images in the registry: the function runs the older one, on
/// the other CPU.
pub(crate) struct Migration {
    pub(crate) project: Project,
    old: String,
    new: String,
}

fn deploy_toml() -> String {
    DEPLOY.replace(
        "[services.worker]\nimages = [{ dockerfile = \"Dockerfile.lambda\" }]",
        "[services.worker]\nimages = [{ dockerfile = \"Dockerfile.lambda\", alias = \"live\", smoke-payload = '{ \"a\": 1 }' }]",
    )
}

impl Migration {
    pub(crate) fn new() -> Self {
        Self::with_deploy(&deploy_toml())
    }

    fn with_deploy(deploy: &str) -> Self {
        let project = Project::with_deploy(deploy);
        let push = || {
            let report = project
                .run("push dev --service worker --json")
                .expect(0)
                .json();
            report["images"][0]["digest"].as_str().unwrap().to_owned()
        };
        // What runs was built when the policy was another.
        project.write(
            "deploy.toml",
            &format!("{deploy}\n[targets]\nlambda = \"amd64\"\n"),
        );
        project.commit();
        let old = push();
        project.write("deploy.toml", deploy);
        project.write("backend/changed", "1");
        project.commit();
        let new = push();
        assert_ne!(old, new);
        let mut function = Function::new("x86_64", &old);
        // What runs on the wrong CPU cannot be invoked; it is a version already, and the alias names it.
        function.versions.push((7, "x86_64".into(), old.clone(), 0));
        function.aliases.insert("live".into(), serde_alias("7"));
        project
            .aws
            .state()
            .functions
            .insert(FUNCTION.into(), function);
        project.aws.state().calls.clear();
        Self { project, old, new }
    }

    fn function(&self) -> Function {
        self.project.aws.state().functions[FUNCTION].clone()
    }

    fn run(&self, line: &str) -> Run {
        self.project.run(line)
    }

    fn calls(&self, name: &str) -> usize {
        self.project
            .aws
            .state()
            .calls
            .iter()
            .filter(|call| call.split(' ').next() == Some(name))
            .count()
    }

    fn assert_moved(&self) {
        let function = self.function();
        assert_eq!(
            (function.arch.as_str(), &function.digest),
            ("arm64", &self.new)
        );
        assert_eq!(
            function
                .versions
                .last()
                .map(|version| (version.1.as_str(), &version.2)),
            Some(("arm64", &self.new))
        );
        assert_eq!(
            function.aliases["live"].version,
            function.versions.last().unwrap().0.to_string()
        );
        assert!(function.aliases["live"].weights.is_empty());
    }

    fn assert_restored(&self) {
        let function = self.function();
        assert_eq!(
            (function.arch.as_str(), &function.digest),
            ("x86_64", &self.old),
            "image and architecture together"
        );
        assert_eq!(function.aliases["live"].version, "7");
        assert!(function.aliases["live"].weights.is_empty());
    }
}

fn serde_alias(version: &str) -> crate::support::aws::Alias {
    crate::support::aws::Alias {
        version: version.to_owned(),
        revision: 1,
        ..Default::default()
    }
}

const MIGRATE: &str = "migrate-lambda dev --service worker";

#[test]
fn a_function_for_x86_64_ends_on_arm64_with_version_and_alias_and_a_second_run_changes_nothing() {
    let migration = Migration::new();
    let dry = migration
        .run(&format!("{MIGRATE} --dry-run --json"))
        .expect(0)
        .json();
    assert_eq!(dry["plan"]["workloads"][0]["steps"][0], "update-code");
    migration.assert_restored();
    let done = migration.run(&format!("{MIGRATE} --json")).expect(0).json();
    assert_eq!(done["moves"][0]["outcome"], "moved");
    migration.assert_moved();
    assert_eq!(migration.function().invoked, [r#"{ "a": 1 }"#]);
    assert_eq!(
        migration.calls("UpdateFunctionCode"),
        1,
        "image and architecture go in one call, and never while one is under way"
    );
    let before = migration.function();
    migration.project.aws.state().calls.clear();
    let again = migration.run(&format!("{MIGRATE} --json")).expect(0).json();
    assert_eq!(again["moves"][0]["outcome"], "unchanged");
    let changes = [
        "UpdateFunctionCode",
        "PublishVersion",
        "UpdateAlias",
        "CreateAlias",
        "Invoke",
    ];
    assert!(
        changes.iter().all(|call| migration.calls(call) == 0),
        "{:?}",
        migration.project.aws.state().calls
    );
    assert_eq!(before.revision, migration.function().revision);
    let record = fs::read_to_string(migration.project.path("target/xtask-record.jsonl")).unwrap();
    let last: Value = serde_json::from_str(record.lines().last().unwrap()).unwrap();
    assert_eq!(
        (last["action"].as_str(), last["outcome"].as_str()),
        (Some("migrate"), Some("moved"))
    );
    assert_eq!(last["to"], migration.new.as_str());
    assert!(
        last["who"].as_str().unwrap().contains("user/tester")
            && last["from"].as_str().unwrap().contains(&migration.old)
    );
}

#[test]
fn what_ran_before_becomes_a_version_first_so_that_there_is_a_way_back() {
    let migration = Migration::new();
    migration
        .project
        .aws
        .state()
        .functions
        .get_mut(FUNCTION)
        .unwrap()
        .versions
        .clear();
    migration
        .project
        .aws
        .state()
        .functions
        .get_mut(FUNCTION)
        .unwrap()
        .aliases
        .clear();
    migration.run(MIGRATE).expect(0);
    let function = migration.function();
    let versions: Vec<_> = function
        .versions
        .iter()
        .map(|version| (version.0, version.1.as_str()))
        .collect();
    assert_eq!(versions, [(1, "x86_64"), (2, "arm64")]);
    assert_eq!(function.aliases["live"].version, "2");
}

/// A migration whose function does not tell its image, with an alias on this version, or none.
fn dark(alias: Option<&str>) -> Migration {
    let migration = Migration::new();
    let mut state = migration.project.aws.state();
    let function = state.functions.get_mut(FUNCTION).unwrap();
    function.is_untold = true;
    function.versions.clear();
    function.aliases.clear();
    if let Some(version) = alias {
        function.aliases.insert("live".into(), serde_alias(version));
    }
    drop(state);
    migration
}

#[test]
fn what_aws_does_not_tell_is_kept_as_a_version_and_callers_stay_on_it_when_the_update_fails() {
    let migration = dark(Some("$LATEST"));
    let dry = migration
        .run(&format!("{MIGRATE} --dry-run --json"))
        .expect(0)
        .json();
    let plan = &dry["plan"]["workloads"][0];
    assert_eq!(
        [&plan["steps"][0], &plan["steps"][1], &plan["no-way-back"]],
        [
            &Value::from("keep-previous"),
            &Value::from("hold-alias"),
            &Value::Null
        ]
    );
    let new = migration.new.clone();
    migration.project.aws.state().lambda.crashes.push(new);
    let run = migration.run(MIGRATE).expect(1);
    assert!(
        run.stderr
            .contains("callers of its alias live still get that"),
        "{}",
        run.stderr
    );
    let function = migration.function();
    let kept = &function.versions[0];
    assert_eq!((kept.1.as_str(), &kept.2), ("x86_64", &migration.old));
    assert_eq!(function.aliases["live"].version, kept.0.to_string());
    migration.project.aws.state().lambda.crashes.clear();
    migration.run(MIGRATE).expect(0);
    migration.assert_moved();
}

#[test]
fn an_alias_that_was_moved_goes_back_to_the_version_that_was_kept() {
    let migration = dark(Some("$LATEST"));
    // Of the two reads after the alias was moved, none gets an answer.
    let theirs = |state: &mut State| {
        let function = state.functions.get_mut(FUNCTION).unwrap();
        function.digest = "sha256:theirs".into();
    };
    migration.project.aws.state().meanwhile = Some(("UpdateAlias", 2, Arc::new(theirs)));
    migration.run(MIGRATE).expect(1);
    let function = migration.function();
    assert_eq!(function.aliases["live"].version, "1");
    assert_eq!(function.versions[0].2, migration.old);
}

#[test]
fn without_an_alias_a_deployment_that_could_not_be_undone_wants_a_yes() {
    let migration = dark(None);
    let before = migration.function();
    let run = migration.run(MIGRATE).expect(2);
    assert!(
        run.stderr
            .contains("AWS does not tell which image function backend-dev-worker runs")
            && run.stderr.contains("nobody can be asked")
            && run.stderr.contains("--yes"),
        "{}",
        run.stderr
    );
    let changes = ["PublishVersion", "UpdateFunctionCode", "CreateAlias"];
    assert!(changes.iter().all(|call| migration.calls(call) == 0));
    assert_eq!(before.revision, migration.function().revision);
    let dry = migration.run(&format!("{MIGRATE} --dry-run")).expect(0);
    assert!(dry.stderr.contains("no way back"), "{}", dry.stderr);
    let deploy = migration.run("deploy dev --service worker").expect(2);
    assert!(
        deploy.stderr.contains("nothing was moved"),
        "{}",
        deploy.stderr
    );
    let done = migration.run(&format!("{MIGRATE} --yes")).expect(0);
    assert!(
        done.stderr.contains("there is no way back"),
        "{}",
        done.stderr
    );
    migration.assert_moved();
    let kept = &migration.function().versions[0];
    assert_eq!((kept.1.as_str(), &kept.2), ("x86_64", &migration.old));
}

#[test]
fn what_fails_without_a_way_back_says_where_the_copy_is() {
    let migration = dark(None);
    let new = migration.new.clone();
    migration.project.aws.state().lambda.crashes.push(new);
    let run = migration.run(&format!("{MIGRATE} --yes --json")).expect(1);
    assert_eq!(run.json()["moves"][0]["outcome"], "failed");
    assert!(
        run.stderr
            .contains("version 1 is a copy, for an alias to name"),
        "{}",
        run.stderr
    );
}

#[test]
fn an_update_that_fails_is_restored_with_its_architecture() {
    let migration = Migration::new();
    let new = migration.new.clone();
    migration
        .project
        .aws
        .state()
        .lambda
        .fails
        .insert(new, "InvalidImage: it has no entry point".into());
    let run = migration.run(&format!("{MIGRATE} --json")).expect(1);
    assert_eq!(run.json()["moves"][0]["outcome"], "restored");
    assert!(
        run.stderr.contains("InvalidImage: it has no entry point"),
        "{}",
        run.stderr
    );
    migration.assert_restored();
}

#[test]
fn an_invocation_that_fails_restores_everything() {
    let migration = Migration::new();
    let new = migration.new.clone();
    migration.project.aws.state().lambda.crashes.push(new);
    let run = migration.run(MIGRATE).expect(1);
    assert!(
        run.stderr.contains("it broke") && run.stderr.contains("runs what it ran before"),
        "{}",
        run.stderr
    );
    migration.assert_restored();
}

#[test]
fn a_run_that_resumes_a_killed_one_still_knows_what_to_restore() {
    let migration = Migration::new();
    {
        let mut state = migration.project.aws.state();
        let new = migration.new.clone();
        state.lambda.crashes.push(new.clone());
        let function = state.functions.get_mut(FUNCTION).unwrap();
        (function.arch, function.digest) = ("arm64".into(), new);
    }
    migration.run(MIGRATE).expect(1);
    migration.assert_restored();
}

#[test]
fn conflicts_throttling_and_lost_answers_are_waited_out() {
    for (operation, fault) in [
        (
            "UpdateFunctionCode",
            Fault::Error(409, "ResourceConflictException"),
        ),
        (
            "UpdateFunctionCode",
            Fault::Error(429, "TooManyRequestsException"),
        ),
        ("UpdateFunctionCode", Fault::Status(429)),
        ("UpdateFunctionCode", Fault::Status(503)),
        ("UpdateFunctionCode", Fault::Cut),
        ("UpdateFunctionCode", Fault::Lost),
        (
            "PublishVersion",
            Fault::Error(409, "ResourceConflictException"),
        ),
        ("PublishVersion", Fault::Lost),
        (
            "UpdateAlias",
            Fault::Error(409, "ResourceConflictException"),
        ),
        ("UpdateAlias", Fault::Lost),
        ("GetFunction", Fault::Status(500)),
        ("GetAlias", Fault::Cut),
    ] {
        let migration = Migration::new();
        migration.project.aws.fail(operation, 1, fault);
        let run = migration.run(MIGRATE);
        assert_eq!(run.code, 0, "{operation}: {}", run.stderr);
        migration.assert_moved();
    }
}

#[test]
fn a_busy_function_is_waited_for_and_a_changed_one_is_somebody_else_s() {
    let migration = Migration::new();
    migration
        .project
        .aws
        .state()
        .functions
        .get_mut(FUNCTION)
        .unwrap()
        .polls = 3;
    let run = migration.run(MIGRATE).expect(0);
    assert!(
        run.stderr.contains("is being updated: waiting"),
        "{}",
        run.stderr
    );
    assert_eq!(migration.calls("UpdateFunctionCode"), 1);
    let other = Migration::new();
    other.project.aws.fail(
        "UpdateFunctionCode",
        1,
        Fault::Error(412, "PreconditionFailedException"),
    );
    let run = other.run(MIGRATE).expect(1);
    assert!(
        run.stderr.contains("somebody else has changed it"),
        "{}",
        run.stderr
    );
    other.assert_restored();
}

#[test]
fn what_somebody_else_has_done_meanwhile_is_theirs() {
    let migration = Migration::new();
    migration.project.aws.state().lambda.hijack = Some(("arm64".into(), "sha256:theirs".into()));
    let run = migration.run(&format!("{MIGRATE} --json")).expect(1);
    assert!(
        run.stderr
            .contains("was changed by somebody else meanwhile: it is left as it is"),
        "{}",
        run.stderr
    );
    assert_eq!(run.json()["moves"][0]["outcome"], "failed");
    assert_eq!(migration.function().digest, "sha256:theirs");
}

#[test]
fn a_healthy_function_is_not_moved_back_when_only_its_alias_was_to_be_made() {
    let migration = Migration::new();
    let new = migration.new.clone();
    {
        let mut state = migration.project.aws.state();
        state.lambda.crashes.push(new.clone());
        let function = state.functions.get_mut(FUNCTION).unwrap();
        (function.arch, function.digest) = ("arm64".into(), new.clone());
        function.versions.push((8, "arm64".into(), new.clone(), 0));
        function.aliases.clear();
    }
    migration.run(MIGRATE).expect(1);
    assert_eq!(migration.function().digest, new);
    assert_eq!(migration.calls("UpdateFunctionCode"), 0);
}

#[test]
fn an_alias_that_may_not_be_moved_restores_the_code() {
    let migration = Migration::new();
    migration
        .project
        .aws
        .fail("UpdateAlias", 9, Fault::Error(403, "AccessDeniedException"));
    let run = migration.run(MIGRATE).expect(1);
    assert!(
        run.stderr.contains("AccessDeniedException"),
        "{}",
        run.stderr
    );
    migration.assert_restored();
    let lost = Migration::new();
    lost.project
        .aws
        .state()
        .functions
        .get_mut(FUNCTION)
        .unwrap()
        .aliases
        .clear();
    lost.project.aws.fail("CreateAlias", 1, Fault::Lost);
    lost.run(MIGRATE).expect(0);
    lost.assert_moved();
}

#[test]
fn a_rollback_passes_over_what_is_known_to_be_bad() {
    let migration = Migration::new();
    migration.run(MIGRATE).expect(0);
    migration.run("rollback dev --service worker").expect(0);
    migration.project.write("backend/changed", "3");
    migration.project.commit();
    migration.run("deploy dev --service worker").expect(0);
    // Version 8 is newer than 7, and was rolled back from.
    migration.run("rollback dev --service worker").expect(0);
    migration.assert_restored();
}

#[test]
fn credentials_that_end_in_the_middle_are_named_and_nothing_is_hidden() {
    let migration = Migration::new();
    migration.project.aws.fail(
        "PublishVersion",
        1,
        Fault::Error(403, "ExpiredTokenException"),
    );
    let run = migration.run(MIGRATE).expect(1);
    assert!(
        run.stderr.contains("ExpiredTokenException") && run.stderr.contains("aws sso login"),
        "{}",
        run.stderr
    );
    migration.assert_restored();
}

#[test]
fn refusals_come_before_any_change() {
    let migration = Migration::new();
    let run = migration.run(&format!("{MIGRATE} --to amd64")).expect(2);
    assert!(run.stderr.contains("lambda = \"amd64\""), "{}", run.stderr);
    let no_alias = Migration::with_deploy(DEPLOY)
        .run(&format!("{MIGRATE} --canary 10% --for 1s"))
        .expect(2);
    assert!(
        no_alias.stderr.contains("has no alias"),
        "{}",
        no_alias.stderr
    );
    migration.project.aws.state().functions.clear();
    let missing = migration.run(MIGRATE).expect(2);
    let line = format!(
        "aws lambda create-function --region eu-west-1 --endpoint-url {} --function-name {FUNCTION} --package-type Image \
         --code 'ImageUri={}/backend@{}' --architectures arm64 --role ROLE-ARN",
        migration.project.aws.endpoint, migration.project.aws.registry, migration.new
    );
    assert!(
        missing.stderr.contains(&line),
        "{line}\nis missing in\n{}",
        missing.stderr
    );
    let prod = migration
        .run("migrate-lambda prod --service worker")
        .expect(2);
    assert!(
        prod.stderr.contains("cargo xtask push prod"),
        "{}",
        prod.stderr
    );
    for line in [
        "--canary 0%",
        "--canary 10",
        "--for 5m",
        "--canary 10% --for nonsense",
    ] {
        migration.run(&format!("{MIGRATE} {line}")).expect(2);
    }
    assert_eq!(migration.calls("UpdateFunctionCode"), 0);
}

#[test]
fn an_index_is_deployed_as_its_child_for_the_cpu() {
    let migration = Migration::new();
    let index = {
        let mut state = migration.project.aws.state();
        let repository = state.repositories.get_mut("backend").unwrap();
        let kind = "application/vnd.oci.image.index.v1+json";
        let single = "application/vnd.oci.image.manifest.v1+json";
        let child = serde_json::json!({ "mediaType": single, "digest": migration.new, "size": 1,
                                        "platform": { "os": "linux", "architecture": "arm64" } });
        let bytes =
            serde_json::json!({ "schemaVersion": 2, "mediaType": kind, "manifests": [child] })
                .to_string();
        let digest = crate::support::aws::digest(bytes.as_bytes());
        repository
            .manifests
            .insert(digest.clone(), (kind.into(), bytes));
        repository
            .tags
            .insert("worker-dev-latest".into(), digest.clone());
        digest
    };
    let run = migration.run(MIGRATE).expect(0);
    assert!(
        run.stderr
            .contains("is an image index: its image for linux/arm64 is taken"),
        "{}",
        run.stderr
    );
    migration.assert_moved();
    assert_ne!(migration.function().digest, index);
}

#[test]
fn a_canary_watches_and_completes_or_goes_back() {
    let migration = Migration::new();
    let run = migration
        .run(&format!("{MIGRATE} --canary 10% --for 1s"))
        .expect(0);
    assert!(run.stderr.contains("10 % of the calls"), "{}", run.stderr);
    migration.assert_moved();
    assert!(migration.calls("GetMetricStatistics") > 0 && migration.calls("UpdateAlias") == 2);
    let bad = Migration::new();
    bad.project.aws.state().lambda.errors = 3.0;
    let run = bad
        .run(&format!("{MIGRATE} --canary 10% --for 1s"))
        .expect(1);
    assert!(run.stderr.contains("has had 3 errors"), "{}", run.stderr);
    bad.assert_restored();
}

#[test]
fn a_migration_that_is_killed_after_any_call_is_resumed() {
    let migration = Migration::new();
    killed_after_each_call(
        &migration.project,
        &[&migration.project.aws],
        MIGRATE,
        || {
            migration.assert_moved();
            let function = migration.function();
            (
                function.versions.len(),
                function.aliases["live"].version.clone(),
            )
        },
    );
}

#[test]
fn one_that_holds_an_alias_on_what_is_not_told_is_resumed_as_well() {
    let migration = dark(Some("$LATEST"));
    killed_after_each_call(
        &migration.project,
        &[&migration.project.aws],
        MIGRATE,
        || {
            migration.assert_moved();
            let function = migration.function();
            assert_eq!(function.versions[0].2, migration.old, "nothing is lost");
            function.versions.len()
        },
    );
}

#[test]
fn a_rollback_that_is_killed_after_any_call_is_resumed() {
    let migration = Migration::new();
    migration.run(MIGRATE).expect(0);
    killed_after_each_call(
        &migration.project,
        &[&migration.project.aws],
        "rollback dev --service worker --to 7",
        || {
            migration.assert_restored();
            migration.function().versions.len()
        },
    );
}

#[test]
fn a_rollback_goes_to_the_version_before_and_no_further_by_itself() {
    let migration = Migration::new();
    migration.run(MIGRATE).expect(0);
    let dry = migration
        .run("rollback dev --service worker --dry-run --json")
        .expect(0)
        .json();
    assert_eq!(
        dry["plan"]["workloads"][0]["to"]["digest"],
        migration.old.as_str()
    );
    migration.assert_moved();
    migration.run("rollback dev --service worker").expect(0);
    migration.assert_restored();
    let again = migration.run("rollback dev --service worker").expect(2);
    assert!(
        again.stderr.contains("no earlier version") && again.stderr.contains("  8  sha256:"),
        "{}",
        again.stderr
    );
    for to in ["8", &migration.new.clone(), "dev-latest"] {
        migration
            .run(&format!("rollback dev --service worker --to {to}"))
            .expect(0);
        migration.assert_moved();
        migration
            .run("rollback dev --service worker --to 7")
            .expect(0);
        migration.assert_restored();
    }
    migration
        .run("rollback dev --service worker --to 99")
        .expect(2);
    migration
        .project
        .aws
        .state()
        .repositories
        .get_mut("backend")
        .unwrap()
        .manifests
        .remove(&migration.new);
    let gone = migration
        .run("rollback dev --service worker --to 8")
        .expect(2);
    assert!(
        gone.stderr.contains("a lifecycle rule may have deleted it"),
        "{}",
        gone.stderr
    );
}

#[test]
fn an_interrupt_restores_what_is_half_done() {
    let migration = Migration::new();
    migration.project.aws.state().lambda.slow = Some(100_000);
    let child = migration
        .project
        .command(MIGRATE)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while migration.calls("UpdateFunctionCode") == 0 {
        assert!(
            start.elapsed() < Duration::from_mins(1),
            "the update never came"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    {
        let mut state = migration.project.aws.state();
        state.lambda.slow = None;
        state.functions.get_mut(FUNCTION).unwrap().polls = 1;
    }
    let run = Run::from(child.wait_with_output().unwrap()).expect(130);
    assert!(
        run.stderr.contains("is restored first") && run.stderr.contains("Restored"),
        "{}",
        run.stderr
    );
    migration.assert_restored();
}

#[test]
fn deployments_are_in_the_function_s_tags_where_that_is_asked_for() {
    let deploy = deploy_toml().replacen(
        "create-repository = true",
        "create-repository = true\nfunction-tags = true",
        1,
    );
    let migration = Migration::with_deploy(&deploy);
    migration.run(MIGRATE).expect(0);
    let tags = migration.function().tags;
    assert_eq!(tags.get("xtask:deployed-digest"), Some(&migration.new));
    assert!(tags["xtask:deployed-by"].contains("user/tester"));
}

#[test]
fn deploy_pushes_and_moves_in_one_command() {
    let migration = Migration::new();
    migration.project.write("backend/changed", "2");
    migration.project.commit();
    let done = migration
        .run("deploy dev --service worker --json")
        .expect(0)
        .json();
    assert_eq!(done["moves"][0]["outcome"], "moved");
    let function = migration.function();
    assert_eq!(
        function.digest,
        migration.project.aws.state().repositories["backend"].tags["worker-dev-latest"]
    );
    assert_ne!(function.digest, migration.new);
}

#[test]
fn a_dry_run_of_deploy_shows_the_push_and_what_is_moved_to_it() {
    let migration = Migration::new();
    migration.project.write("backend/changed", "2");
    migration.project.commit();
    let before = migration.project.aws.state().calls.len();
    let dry = migration
        .run("deploy dev --service worker --dry-run")
        .expect(0);
    let move_line = "update image and architecture in one call:";
    for part in [
        "docker buildx build",
        move_line,
        "@DIGEST-OF-THE-PUSH on arm64",
        "move the alias live to that version",
    ] {
        assert!(dry.stderr.contains(part), "{part} is not in {}", dry.stderr);
    }
    let plan = &migration
        .run("deploy dev --service worker --dry-run --json")
        .expect(0)
        .json()["plan"];
    assert_eq!(plan["images"][0]["name"], "worker");
    let workload = &plan["workloads"][0];
    assert_eq!(
        (&workload["target"], &workload["to"]["digest"]),
        (&"lambda".into(), &"DIGEST-OF-THE-PUSH".into())
    );
    let calls = migration.project.aws.state().calls[before..].to_vec();
    let changes = [
        "Put", "Update", "Publish", "Create", "Invoke", "Tag", "Initiate",
    ];
    let is_change = |call: &&String| changes.iter().any(|word| call.starts_with(word));
    assert_eq!(calls.iter().find(is_change), None, "{calls:?}");
}

#[test]
fn a_dry_run_of_deploy_names_the_digest_of_what_is_pushed_already() {
    let migration = Migration::new();
    let plan = &migration
        .run("deploy dev --service worker --dry-run --json")
        .expect(0)
        .json()["plan"];
    assert_eq!(plan["workloads"][0]["to"]["digest"], migration.new);
}

#[test]
fn two_images_of_one_name_are_deployed_each_to_its_own_function() {
    let deploy = r#"
[project]
name = "shop"

[environments.dev]
account = "111122223333"
region = "eu-west-1"
create-repository = true

[services.svc]
[[services.svc.images]]
context = "a"
dockerfile = "Dockerfile.lambda"
function = "fa"
tag-prefix = "a-"
labels = { part = "a" }

[[services.svc.images]]
context = "b"
dockerfile = "Dockerfile.lambda"
function = "fb"
tag-prefix = "b-"
labels = { part = "b" }
"#;
    let project = Project::with_deploy(deploy);
    for directory in ["a", "b"] {
        fs::create_dir(project.path(directory)).unwrap();
        project.write(&format!("{directory}/Dockerfile.lambda"), "FROM scratch\n");
    }
    project.commit();
    project.run("push dev").expect(0);
    let tags = |tag: &str| project.aws.state().repositories["shop"].tags[tag].clone();
    for (name, tag) in [("fa", "a-dev-latest"), ("fb", "b-dev-latest")] {
        let function = Function::new("arm64", &tags(tag));
        project.aws.state().functions.insert(name.into(), function);
    }
    project.write("changed", "1");
    project.commit();
    project.run("deploy dev").expect(0);
    for (name, tag) in [("fa", "a-dev-latest"), ("fb", "b-dev-latest")] {
        let runs = project.aws.state().functions[name].digest.clone();
        assert_eq!(runs, tags(tag), "{name}");
    }
    assert_ne!(tags("a-dev-latest"), tags("b-dev-latest"));
}

const APPRUNNER: &str = "migrate-apprunner dev --service api";

/// What the service runs at first.
const OLD: &str = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/backend:old";

pub(crate) fn apprunner() -> (Project, String) {
    let project = Project::new();
    let report = project
        .run("push dev --service api --dockerfile Dockerfile.apprunner --json")
        .expect(0)
        .json();
    let digest = report["images"][0]["digest"].as_str().unwrap().to_owned();
    let image = format!("{}/backend@{digest}", project.aws.registry);
    project
        .aws
        .state()
        .services
        .insert("backend-dev-api".into(), Service::new(OLD));
    (project, image)
}

#[test]
fn an_app_runner_service_is_followed_by_its_operation() {
    let (project, image) = apprunner();
    let run = project.run(APPRUNNER).expect(0);
    let service = project.aws.state().services["backend-dev-api"].clone();
    assert_eq!(service.image, image);
    assert_eq!(
        service.variables.get("MODE").map(String::as_str),
        Some("live"),
        "the rest of the source is as it was"
    );
    assert!(
        run.stderr.contains("create-express-gateway-service"),
        "{}",
        run.stderr
    );
    let again = project.run(&format!("{APPRUNNER} --json")).expect(0).json();
    assert_eq!(again["moves"][0]["outcome"], "unchanged");
    assert_eq!(
        project.aws.state().services["backend-dev-api"]
            .operations
            .len(),
        1
    );
}

#[test]
fn a_service_that_aws_rolled_back_is_a_failure_though_it_says_running() {
    for (status, outcome) in [
        ("ROLLBACK_SUCCEEDED", "restored"),
        ("ROLLBACK_FAILED", "failed"),
        ("FAILED", "failed"),
    ] {
        let (project, _) = apprunner();
        project
            .aws
            .state()
            .services
            .get_mut("backend-dev-api")
            .unwrap()
            .ends = status.into();
        let run = project.run(&format!("{APPRUNNER} --json")).expect(1);
        assert_eq!(run.json()["moves"][0]["outcome"], outcome, "{status}");
        assert_eq!(project.aws.state().services["backend-dev-api"].image, OLD);
    }
}

#[test]
fn a_busy_service_is_waited_for_and_a_missing_one_is_a_refusal() {
    let (project, image) = apprunner();
    {
        let mut state = project.aws.state();
        let service = state.services.get_mut("backend-dev-api").unwrap();
        service
            .operations
            .push((operation_id(9), "IN_PROGRESS".into(), 1_000_000));
    }
    let child = project
        .command(APPRUNNER)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while project
        .aws
        .state()
        .calls
        .iter()
        .filter(|call| call.starts_with("DescribeService"))
        .count()
        < 2
    {
        assert!(start.elapsed() < Duration::from_mins(1), "nobody waits");
        std::thread::sleep(Duration::from_millis(10));
    }
    project
        .aws
        .state()
        .services
        .get_mut("backend-dev-api")
        .unwrap()
        .operations
        .clear();
    Run::from(child.wait_with_output().unwrap()).expect(0);
    assert_eq!(project.aws.state().services["backend-dev-api"].image, image);
    project.aws.state().services.clear();
    let missing = project.run(APPRUNNER).expect(2);
    assert!(
        missing.stderr.contains("takes no new customers") && missing.stderr.contains(&image),
        "{}",
        missing.stderr
    );
}

const EKS: &str = "migrate-eks dev --service api";

pub(crate) fn eks() -> (Project, String) {
    let deploy = DEPLOY.replacen(
        "region = \"eu-west-1\"",
        "region = \"eu-west-1\"\nkube-context = \"dev\"\nnamespace = \"{env}\"",
        1,
    );
    let project = Project::with_deploy(&deploy);
    let report = project
        .run("push dev --service api --dockerfile Dockerfile.eks --json")
        .expect(0)
        .json();
    let digest = report["images"][0]["digest"].as_str().unwrap().to_owned();
    project.install("kubectl");
    let image = format!("{}/backend@{digest}", project.aws.registry);
    (project, image)
}

fn kubectl_log(project: &Project) -> String {
    fs::read_to_string(project.path("docker/kubectl-log")).unwrap_or_default()
}

#[test]
fn a_kubernetes_deployment_gets_its_image_by_digest() {
    let (project, image) = eks();
    project.run(EKS).expect(0);
    let log = kubectl_log(&project);
    assert!(
        log.contains(&format!(
            "--context=dev --namespace=dev set image deployment/api api={image}"
        )),
        "{log}"
    );
    assert!(
        log.contains("rollout status deployment/api --timeout=5m"),
        "{log}"
    );
    let again = project.run(&format!("{EKS} --json")).expect(0).json();
    assert_eq!(again["moves"][0]["outcome"], "unchanged");
    assert_eq!(kubectl_log(&project).matches("set image").count(), 1);
}

#[test]
fn a_rollout_that_fails_is_explained_and_undone() {
    let (project, _) = eks();
    project.write("docker/broken", "");
    let run = project.run(&format!("{EKS} --json")).expect(1);
    assert!(
        run.stderr
            .contains("CrashLoopBackOff: exec format error. Its node is of the other CPU"),
        "{}",
        run.stderr
    );
    assert_eq!(run.json()["moves"][0]["outcome"], "restored");
    assert!(kubectl_log(&project).contains("rollout undo deployment/api"));
}

#[test]
fn a_deployment_that_names_a_tag_goes_back_to_what_was_pulled_of_it() {
    let (project, _) = eks();
    project.write("docker/broken", "");
    project.write("docker/pulled", "host/backend@sha256:ran");
    project.write("docker/sound", "host/backend@sha256:ran");
    let dry = project.run(&format!("{EKS} --dry-run")).expect(0);
    assert!(
        dry.stderr
            .contains("back to host/backend@sha256:ran, which is what it runs"),
        "{}",
        dry.stderr
    );
    let run = project.run(&format!("{EKS} --json")).expect(1);
    assert_eq!(run.json()["moves"][0]["outcome"], "restored");
    let log = kubectl_log(&project);
    assert!(
        log.contains("set image deployment/api api=host/backend@sha256:ran"),
        "{log}"
    );
    let before = log.matches("set image").count();
    project.write("docker/kubectl-state", r#"["host/backend:old"]"#);
    project.write(
        "docker/pulled",
        "host/backend@sha256:one host/backend@sha256:two",
    );
    let mixed = project.run(EKS).expect(2);
    assert!(
        mixed.stderr.contains("runs different images of that name")
            && mixed.stderr.contains("--yes"),
        "{}",
        mixed.stderr
    );
    assert_eq!(kubectl_log(&project).matches("set image").count(), before);
}

#[test]
fn pods_that_would_land_on_the_wrong_nodes_are_a_refusal() {
    let (project, _) = eks();
    project.write("docker/nodes", "amd64");
    let wrong = project.run(EKS).expect(2);
    assert!(
        wrong.stderr.contains("is amd64") && wrong.stderr.contains("the images are for arm64"),
        "{}",
        wrong.stderr
    );
    project.write("docker/nodes", "amd64 arm64");
    let mixed = project.run(EKS).expect(2);
    assert!(
        mixed.stderr.contains("nodes of both CPUs")
            && mixed.stderr.contains("kubectl --namespace=dev patch"),
        "{}",
        mixed.stderr
    );
    project.write("docker/selector", r#"{"kubernetes.io/arch":"amd64"}"#);
    let other = project.run(EKS).expect(2);
    assert!(
        other.stderr.contains("keeps its pods on amd64 nodes"),
        "{}",
        other.stderr
    );
    project.write("docker/selector", r#"{"kubernetes.io/arch":"arm64"}"#);
    project.write(
        "eks.tf",
        "resource \"aws_eks_node_group\" \"a\" {\n  instance_types = [\"t3.medium\"]\n}\n",
    );
    let terraform = project.run(EKS).expect(2);
    assert!(
        terraform.stderr.contains("use `t4g.medium`"),
        "{}",
        terraform.stderr
    );
    fs::remove_file(project.path("eks.tf")).unwrap();
    assert!(!kubectl_log(&project).contains("set image"));
    project.run(EKS).expect(0);
    project.write("docker/no-deployment", "");
    let missing = project.run(EKS).expect(2);
    assert!(
        missing
            .stderr
            .contains("there is no deployment api in the namespace dev"),
        "{}",
        missing.stderr
    );
}

/// Two accounts, each with a registry of its own.
pub(crate) fn two_accounts() -> (Project, Aws) {
    let far = Aws::start();
    (
        Project::with_deploy(&crate::support::project::deploy_to(&far)),
        far,
    )
}

#[test]
fn a_promotion_carries_the_very_bytes_to_another_account_and_nothing_twice() {
    let (project, far) = two_accounts();
    let pushed = project
        .run("push dev --service worker --json")
        .expect(0)
        .json();
    let digest = pushed["images"][0]["digest"].as_str().unwrap();
    let refused = project.run("promote dev prod --service worker").expect(2);
    assert!(refused.stderr.contains("--yes"), "{}", refused.stderr);
    let dry = project
        .run("promote dev prod --service worker --dry-run --json")
        .expect(0)
        .json();
    assert_eq!(dry["plan"]["images"][0]["digest"], digest);
    assert!(
        far.state().repositories.is_empty(),
        "a dry run changes nothing"
    );
    let done = project
        .run("promote dev prod --service worker --yes --json")
        .expect(0)
        .json();
    assert_eq!(done["images"][0]["digest"], digest);
    let before = project.docker_log();
    {
        let state = far.state();
        let there = &state.repositories["prod/backend"];
        assert_eq!(
            there.manifests[digest],
            project.aws.state().repositories["backend"].manifests[digest],
            "byte for byte"
        );
        for tag in [
            "worker-prod-latest",
            "worker-prod-arm64-latest",
            &format!("worker-{}", &project.head()[..7]),
        ] {
            assert_eq!(there.tags[tag], digest, "{tag}");
        }
        assert_eq!(there.tags.len(), 6);
        assert!(state.uploaded > 0);
    }
    far.state().uploaded = 0;
    let again = project
        .run("promote dev prod --service worker --yes --json")
        .expect(0)
        .json();
    assert_eq!(
        (far.state().uploaded, again["images"][0]["sent"].as_u64()),
        (0, Some(0))
    );
    assert_eq!(
        far.state().repositories["prod/backend"].tags.len(),
        6,
        "a second arrival is none"
    );
    assert_eq!(
        project.docker_log(),
        before,
        "nothing passes the local engine"
    );
}

#[test]
fn a_promotion_takes_what_runs_and_mounts_within_one_registry() {
    let deploy = DEPLOY.replacen(
        "repository = \"prod/{project}\"",
        "repository = \"prod/{project}\"\ncreate-repository = true",
        1,
    );
    let project = Project::with_deploy(&deploy);
    project.aws.state().mounts_blobs = true;
    let first = project
        .run("push dev --service worker --json")
        .expect(0)
        .json();
    let runs = first["images"][0]["digest"].as_str().unwrap().to_owned();
    project.write("backend/changed", "1");
    project.commit();
    project.run("push dev --service worker").expect(0);
    project
        .aws
        .state()
        .functions
        .insert(FUNCTION.into(), Function::new("arm64", &runs));
    project.aws.state().uploaded = 0;
    let run = project
        .run("promote dev prod --service worker --yes")
        .expect(0);
    assert!(run.stderr.contains("is not what runs"), "{}", run.stderr);
    let state = project.aws.state();
    assert_eq!(
        state.repositories["prod/backend"].tags["worker-prod-latest"],
        runs
    );
    assert_eq!(state.uploaded, 0, "blobs are mounted");
    assert!(state.calls.iter().any(|call| call.starts_with("MOUNT")));
}

#[test]
fn a_promotion_that_is_killed_after_any_call_is_resumed() {
    let (project, far) = two_accounts();
    project.run("push dev --service worker").expect(0);
    killed_after_each_call(
        &project,
        &[&project.aws, &far],
        "promote dev prod --service worker --yes",
        || {
            let there = &far.state().repositories["prod/backend"];
            let lasting = there.tags.iter().filter(|(tag, _)| !tag.contains("-20"));
            lasting
                .map(|(tag, digest)| (tag.clone(), digest.clone()))
                .collect::<Vec<_>>()
        },
    );
}

/// The same for a push: its kill points are calls here, and not what it prints.
#[test]
fn a_push_that_is_killed_after_any_call_is_resumed() {
    let project = Project::new();
    killed_after_each_call(
        &project,
        &[&project.aws],
        "push dev --service worker",
        || {
            let there = &project.aws.state().repositories["backend"];
            let lasting = there.tags.iter().filter(|(tag, _)| !tag.contains("-20"));
            lasting
                .map(|(tag, digest)| (tag.clone(), digest.clone()))
                .collect::<Vec<_>>()
        },
    );
}

#[test]
fn a_push_to_a_protected_environment_says_when_a_promotion_would_do() {
    let project = Project::new();
    project.run("push dev --service worker").expect(0);
    project.aws.state().repositories.insert(
        "prod/backend".into(),
        crate::support::aws::Repository {
            mutability: "MUTABLE".into(),
            ..Default::default()
        },
    );
    let run = project
        .run("push prod --service worker --dry-run")
        .expect(0);
    assert!(
        run.stderr.contains("cargo xtask promote dev prod"),
        "{}",
        run.stderr
    );
}

#[test]
fn status_tells_drift_in_words() {
    let migration = Migration::new();
    let fine = |status: &Value, name: &str| {
        let all = status["images"].as_array().unwrap();
        all.iter()
            .find(|row| row["image"] == name && row["environment"] == "dev")
            .unwrap()
            .clone()
    };
    let run = migration.run("status dev --check --json").expect(1);
    let row = fine(&run.json(), "worker");
    let drift: Vec<_> = row["drift"]
        .as_array()
        .unwrap()
        .iter()
        .map(|text| text.as_str().unwrap())
        .collect();
    assert!(
        drift
            .iter()
            .any(|text| text.starts_with("runs ") && text.contains(", worker-dev-latest is ")),
        "{drift:?}"
    );
    assert!(
        drift.contains(&"function is x86_64, policy is arm64"),
        "{drift:?}"
    );
    assert!(
        run.stderr.contains("service") && run.stderr.contains("drift"),
        "{}",
        run.stderr
    );
    migration.run(MIGRATE).expect(0);
    let row = fine(
        &migration.run("status dev --json").expect(0).json(),
        "worker",
    );
    assert_eq!(row["drift"], serde_json::json!([]));
    assert_eq!(row["revision"], &migration.project.head()[..7]);
    migration.run("status nowhere").expect(2);
}
