//! Amazon ECS, seen from outside: the real binary against an ECS that keeps the rules.

use serde_json::{Value, json};

use crate::support::{
    aws::{Breaker, Fault, Starter},
    killed::killed_after_each_call,
    project::{DEPLOY, Project, Run},
};

const NAME: &str = "backend-dev-worker";
const MIGRATE: &str = "migrate-ecs dev --service worker";

/// A project whose worker runs on ECS, with two images in the registry: the service runs the older one, on the other CPU.
pub(crate) struct Shop {
    pub(crate) project: Project,
    old: String,
    new: String,
}

impl Shop {
    pub(crate) fn new() -> Self {
        let deploy = DEPLOY.replace(
            "[services.worker]\nimages = [{ dockerfile = \"Dockerfile.lambda\" }]",
            "[services.worker]\nimages = [{ dockerfile = \"Dockerfile.ecs\" }]",
        );
        let project = Project::with_deploy(&deploy);
        project.write("backend/Dockerfile.ecs", "FROM scratch\n");
        let push = || {
            let report = project.run("push dev --service worker --json");
            let report = report.expect(0).json();
            let digest = report["images"][0]["digest"].as_str().unwrap();
            format!("{}/backend@{digest}", project.aws.registry)
        };
        project.write(
            "deploy.toml",
            &format!("{deploy}\n[targets]\necs = \"amd64\"\n"),
        );
        project.commit();
        let old = push();
        project.write("deploy.toml", &deploy);
        project.write("backend/changed", "1");
        project.commit();
        let new = push();
        let definition = json!({
            "family": "worker", "networkMode": "awsvpc", "cpu": "256", "memory": "512",
            "requiresCompatibilities": ["FARGATE"], "executionRoleArn": "arn:aws:iam::111122223333:role/run",
            "runtimePlatform": { "operatingSystemFamily": "LINUX" }, "volumes": [{ "name": "data" }],
            "tags": [{ "key": "team", "value": "shop" }],
            "containerDefinitions": [
                { "name": "proxy", "image": "envoy:1", "cpu": 0, "essential": false },
                { "name": "web", "image": old, "cpu": 0, "environment": [{ "name": "MODE", "value": "live" }],
                  "secrets": [{ "name": "KEY", "valueFrom": "arn:aws:ssm:x" }],
                  "portMappings": [{ "containerPort": 8080, "hostPort": 8080, "protocol": "tcp" }] } ] });
        {
            let mut state = project.aws.state();
            let arn = state.ecs.register(&definition);
            state.ecs.add(NAME, &arn);
        }
        Self { project, old, new }
    }

    fn run(&self, line: &str) -> Run {
        self.project.run(line)
    }

    /// The revision that the service is to run.
    fn definition(&self) -> Value {
        self.project.aws.state().ecs.of_service(NAME).clone()
    }

    /// How many revisions there are, and how many of them are active.
    fn revisions(&self) -> (usize, usize) {
        let state = self.project.aws.state();
        let all = &state.ecs.definitions;
        (all.len(), all.iter().filter(|one| one.1).count())
    }

    fn assert_runs(&self, image: &str, cpu: &str) {
        let now = self.definition();
        assert_eq!(now["containerDefinitions"][1]["image"], image);
        let found = now["runtimePlatform"]["cpuArchitecture"].as_str();
        assert_eq!(found.unwrap_or("X86_64"), cpu);
        let state = self.project.aws.state();
        assert_eq!(state.ecs.services[NAME].deployments[0].state, "COMPLETED");
    }

    /// Makes the tasks of the new image end at once.
    fn break_new(&self, reason: &str, breaker: Breaker) {
        let mut state = self.project.aws.state();
        let (_, digest) = self.new.split_once('@').unwrap();
        state.ecs.crashes.insert(digest.into(), reason.into());
        state.ecs.services.get_mut(NAME).unwrap().breaker = breaker;
    }
}

#[test]
fn image_and_cpu_change_in_one_registration_and_all_else_is_carried_over() {
    let shop = Shop::new();
    let before = shop.definition();
    let dry = shop.run(&format!("{MIGRATE} --dry-run --json")).expect(0);
    let plan = &dry.json()["plan"]["workloads"][0];
    assert_eq!(plan["target"], "ecs");
    assert_eq!(plan["from-arch"], "amd64");
    assert_eq!(plan["steps"][0], "register");
    assert_eq!(shop.revisions(), (1, 1), "a dry run registers nothing");

    let run = shop.run(&format!("{MIGRATE} --json")).expect(0);
    assert_eq!(run.json()["moves"][0]["outcome"], "moved");
    assert!(
        run.stderr.contains("container proxy goes to arm64"),
        "{}",
        run.stderr
    );
    shop.assert_runs(&shop.new, "ARM64");
    let mut expected = before;
    expected["containerDefinitions"][1]["image"] = json!(shop.new);
    expected["runtimePlatform"]["cpuArchitecture"] = json!("ARM64");
    let mut now = shop.definition();
    expected["taskDefinitionArn"] = now["taskDefinitionArn"].take();
    now["taskDefinitionArn"] = expected["taskDefinitionArn"].clone();
    assert_eq!(without_nulls(&now), without_nulls(&expected));

    let again = shop.run(&format!("{MIGRATE} --json")).expect(0);
    assert_eq!(again.json()["moves"][0]["outcome"], "unchanged");
    assert_eq!(shop.revisions(), (2, 2));
    shop.run("verify ecs dev").expect(0);
    let status = shop.run("status dev --json").expect(0).json();
    let row = status["images"].as_array().unwrap().iter();
    let row = row.clone().find(|row| row["image"] == "worker").unwrap();
    assert_eq!(row["drift"], json!([]), "{row}");
}

/// A document without members that say nothing.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(all) => {
            let rest = all.iter().filter(|(_, value)| !value.is_null());
            rest.map(|(key, value)| (key.clone(), without_nulls(value)))
                .filter(|(_, value)| *value != json!([]))
                .collect()
        }
        Value::Array(all) => all.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

#[test]
fn a_migration_that_is_killed_after_any_call_is_resumed() {
    let shop = Shop::new();
    killed_after_each_call(&shop.project, &[&shop.project.aws], MIGRATE, || {
        shop.assert_runs(&shop.new, "ARM64");
        shop.revisions()
    });
}

#[test]
fn a_rollback_that_is_killed_after_any_call_is_resumed() {
    let shop = Shop::new();
    shop.run(MIGRATE).expect(0);
    let (_, digest) = shop.old.split_once('@').unwrap();
    let back = format!("rollback dev --service worker --to {digest}");
    killed_after_each_call(&shop.project, &[&shop.project.aws], &back, || {
        shop.assert_runs(&shop.old, "X86_64");
        shop.revisions()
    });
}

#[test]
fn a_circuit_breaker_that_rolls_back_is_a_failure() {
    let shop = Shop::new();
    shop.break_new("exec /app: exec format error", Breaker::RollsBack);
    let run = shop.run(&format!("{MIGRATE} --json")).expect(1);
    assert_eq!(run.json()["moves"][0]["outcome"], "restored");
    for part in ["circuit breaker", "web: exit code 1", "for the other CPU"] {
        assert!(run.stderr.contains(part), "{part} is not in {}", run.stderr);
    }
    shop.assert_runs(&shop.old, "X86_64");
    assert_eq!(
        shop.revisions(),
        (2, 1),
        "the revision that failed is taken out of use"
    );
    assert_eq!(
        shop.project.aws.state().ecs.services[NAME].count,
        3,
        "ECS went back by itself"
    );
}

#[test]
fn tasks_that_fail_without_a_breaker_or_with_one_that_only_stops_are_restored_here() {
    for breaker in [Breaker::None, Breaker::Stops] {
        let shop = Shop::new();
        shop.break_new("OutOfMemoryError: Container killed", breaker);
        let run = shop.run(&format!("{MIGRATE} --json")).expect(1);
        assert_eq!(
            run.json()["moves"][0]["outcome"],
            "restored",
            "{}",
            run.stderr
        );
        assert!(run.stderr.contains("OutOfMemoryError"), "{}", run.stderr);
        shop.assert_runs(&shop.old, "X86_64");
        assert_eq!(shop.revisions(), (2, 1));
    }
}

#[test]
fn a_task_definition_that_names_a_tag_goes_back_to_what_was_pulled_of_it() {
    let shop = Shop::new();
    shop.break_new("OutOfMemoryError: Container killed", Breaker::Stops);
    let (_, old) = shop.old.split_once('@').unwrap();
    // The tag names by now what is about to fail.
    let tag = format!("{}/backend:worker-dev-latest", shop.project.aws.registry);
    {
        let mut state = shop.project.aws.state();
        state.ecs.definitions[0].0["containerDefinitions"][1]["image"] = json!(tag);
        let arn = state.ecs.definitions[0].0["taskDefinitionArn"].clone();
        let arn = arn.as_str().unwrap().to_owned();
        state.ecs.tasks.push((arn, old.to_owned()));
    }
    let dry = shop.run(&format!("{MIGRATE} --dry-run --json")).expect(0);
    let plan = &dry.json()["plan"]["workloads"][0];
    assert_eq!(plan["pinned"], shop.old.as_str());
    let run = shop.run(&format!("{MIGRATE} --json")).expect(1);
    assert_eq!(
        run.json()["moves"][0]["outcome"],
        "restored",
        "{}",
        run.stderr
    );
    shop.assert_runs(&shop.old, "X86_64");
    assert_eq!(shop.revisions(), (3, 2), "what failed is out of use");
}

#[test]
fn what_was_pulled_of_a_tag_and_cannot_be_told_is_not_given_up_without_a_yes() {
    let shop = Shop::new();
    {
        let mut state = shop.project.aws.state();
        state.ecs.definitions[0].0["containerDefinitions"][1]["image"] = json!("host/backend:x");
        state.ecs.tasks = vec![
            ("a".into(), "sha256:1".into()),
            ("a".into(), "sha256:2".into()),
        ];
    }
    let mixed = shop.run(MIGRATE).expect(2);
    assert!(
        mixed
            .stderr
            .contains("runs different images of that name: sha256:1, sha256:2"),
        "{}",
        mixed.stderr
    );
    let denied = Fault::Error(400, "AccessDeniedException");
    shop.project.aws.fail("ListTasks", 1, denied);
    let run = shop.run(MIGRATE).expect(2);
    assert!(
        run.stderr.contains("cannot be told") && run.stderr.contains("--yes"),
        "{}",
        run.stderr
    );
    assert_eq!(shop.revisions(), (1, 1));
    shop.run(&format!("{MIGRATE} --yes")).expect(0);
    shop.assert_runs(&shop.new, "ARM64");
}

#[test]
fn a_call_that_fails_leaves_the_service_as_it_is() {
    let cases = [
        ("RegisterTaskDefinition", (1, 1)),
        ("UpdateService", (2, 2)),
    ];
    for (operation, revisions) in cases {
        let shop = Shop::new();
        let denied = Fault::Error(400, "AccessDeniedException");
        shop.project.aws.fail(operation, 9, denied);
        let run = shop.run(&format!("{MIGRATE} --json")).expect(1);
        assert_eq!(run.json()["moves"][0]["outcome"], "failed");
        assert!(run.stderr.contains("AccessDenied"), "{}", run.stderr);
        shop.assert_runs(&shop.old, "X86_64");
        assert_eq!(shop.revisions(), revisions);
        // What was registered is taken by the next run.
        shop.project.aws.state().faults.clear();
        shop.run(MIGRATE).expect(0);
        assert_eq!(shop.revisions().0, 2);
    }
    let lost = Shop::new();
    lost.project.aws.fail("UpdateService", 1, Fault::Lost);
    lost.run(MIGRATE).expect(0);
    lost.assert_runs(&lost.new, "ARM64");
}

#[test]
fn what_cannot_be_deployed_is_refused_before_anything_is_changed() {
    let shop = Shop::new();
    let refused = |words: &str| {
        let run = shop.run(MIGRATE).expect(2);
        assert!(
            run.stderr.contains(words),
            "{words} is not in {}",
            run.stderr
        );
        assert_eq!(shop.revisions(), (1, 1));
    };
    let change = |change: &dyn Fn(&mut crate::support::aws::EcsService)| {
        change(shop.project.aws.state().ecs.services.get_mut(NAME).unwrap());
    };
    change(&|service| service.controller = "EXTERNAL");
    refused("an external controller deploys");
    change(&|service| service.controller = "CODE_DEPLOY");
    refused("AWS CodeDeploy deploys");
    change(&|service| {
        service.controller = "ECS";
        service.provider = Some("arm".into());
    });
    let mut instance = ("x86_64".to_owned(), "arm".to_owned());
    shop.project.aws.state().ecs.instances = vec![instance.clone()];
    refused("no instance that ECS service backend-dev-worker may use is");
    shop.run("verify ecs dev").expect(1);
    instance.0 = "arm64".into();
    shop.project.aws.state().ecs.instances.push(instance);
    let run = shop.run(&format!("{MIGRATE} --dry-run")).expect(0);
    assert!(
        run.stderr.contains("ecs.cpu-architecture == arm64"),
        "{}",
        run.stderr
    );
    let service = {
        let mut state = shop.project.aws.state();
        let service = state.ecs.services.remove(NAME).unwrap();
        state.ecs.services.insert("other".into(), service.clone());
        service
    };
    refused("the cluster has other");
    shop.project.aws.state().ecs.services.clear();
    refused("create-service");
    drop(service);
}

#[test]
fn an_express_mode_service_is_given_image_and_cpu_in_one_call() {
    for breaks in [false, true] {
        let shop = Shop::new();
        {
            let mut state = shop.project.aws.state();
            let mut definition = state.ecs.of_service(NAME).clone();
            let mut container = definition["containerDefinitions"][1].clone();
            container["name"] = json!("Main");
            definition["containerDefinitions"] = json!([container]);
            definition["family"] = json!("express");
            let arn = state.ecs.register(&definition);
            state.ecs.add(NAME, &arn).is_express = true;
        }
        if breaks {
            shop.break_new("exec format error", Breaker::None);
            let mut state = shop.project.aws.state();
            state.ecs.services.get_mut(NAME).unwrap().breaker = Breaker::Stops;
        }
        let run = shop
            .run(&format!("{MIGRATE} --json"))
            .expect(i32::from(breaks));
        let outcome = if breaks { "restored" } else { "moved" };
        assert_eq!(run.json()["moves"][0]["outcome"], outcome, "{}", run.stderr);
        let now = shop.definition();
        let (image, cpu) = if breaks {
            (&shop.old, "X86_64")
        } else {
            (&shop.new, "ARM64")
        };
        let container = &now["containerDefinitions"][0];
        assert_eq!(container["image"], **image);
        assert_eq!(container["environment"][0]["value"], "live");
        assert_eq!(now["runtimePlatform"]["cpuArchitecture"], cpu);
    }
}

#[test]
fn what_the_task_definition_says_is_compared_with_tag_and_policy() {
    let shop = Shop::new();
    let run = shop.run("verify ecs dev --json").expect(1);
    let report = run.json();
    let mismatches = report[0]["mismatches"].as_array().unwrap();
    assert_eq!(mismatches.len(), 2, "{report}");
    assert!(
        run.stderr.contains("`cpuArchitecture` is to be ARM64"),
        "{}",
        run.stderr
    );
    assert!(
        run.stderr.contains("and `worker-dev-latest` is"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_deployment_of_somebody_else_is_theirs() {
    let shop = Shop::new();
    let theirs = {
        let mut state = shop.project.aws.state();
        let mut definition = state.ecs.of_service(NAME).clone();
        definition["memory"] = json!("1024");
        state.ecs.register(&definition)
    };
    // Ours waits for its end; before that somebody else deploys.
    shop.project
        .aws
        .state()
        .ecs
        .services
        .get_mut(NAME)
        .unwrap()
        .polls = 1_000;
    let child = shop.project.command(MIGRATE);
    let mut child = { child }
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let start = std::time::Instant::now();
    while shop.project.aws.state().ecs.services[NAME].count < 2 {
        assert!(start.elapsed().as_secs() < 60, "nothing was deployed");
        std::thread::yield_now();
    }
    let looks = |shop: &Shop| {
        let state = shop.project.aws.state();
        let calls = state.calls.iter().rev();
        calls
            .take_while(|call| *call != "UpdateService")
            .filter(|call| *call == "DescribeServices")
            .count()
    };
    while looks(&shop) < 2 {
        assert!(start.elapsed().as_secs() < 60, "nobody waits");
        std::thread::yield_now();
    }
    shop.project
        .aws
        .state()
        .ecs
        .services
        .get_mut(NAME)
        .unwrap()
        .deployments[0]
        .definition = theirs.clone();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(1));
    assert_eq!(
        shop.definition()["taskDefinitionArn"],
        *theirs,
        "it is left as it is"
    );
}

#[test]
fn rules_and_schedules_that_name_the_family_get_a_note() {
    let shop = Shop::new();
    let starter = |name: &str, is_rule, definition: &str| Starter {
        name: name.to_owned(),
        is_rule,
        task_definition: definition.to_owned(),
    };
    let of = "arn:aws:ecs:eu-west-1:111122223333:task-definition";
    shop.project.aws.state().starters = vec![
        starter("nightly", true, &format!("{of}/worker:1")),
        starter("hourly", false, &format!("{of}/worker")),
        starter("foreign", false, &format!("{of}/workers")),
    ];
    let dry = shop.run(&format!("{MIGRATE} --dry-run --json")).expect(0);
    let notes = &dry.json()["plan"]["workloads"][0]["notes"];
    let notes: Vec<_> = notes
        .as_array()
        .unwrap()
        .iter()
        .map(|note| note.as_str().unwrap())
        .collect();
    assert!(
        notes
            .iter()
            .any(|note| note.contains("rule nightly starts worker:1, by its number")),
        "{notes:?}"
    );
    assert!(
        notes
            .iter()
            .any(|note| note.contains("schedule hourly starts the newest revision of worker")),
        "{notes:?}"
    );
    assert!(
        !notes.iter().any(|note| note.contains("foreign")),
        "{notes:?}"
    );
    let run = shop.run(MIGRATE).expect(0);
    assert!(run.stderr.contains("schedule hourly"), "{}", run.stderr);
    let verify = shop.run("verify ecs dev --service worker").expect(0);
    assert!(verify.stderr.contains("rule nightly"), "{}", verify.stderr);
    // Who may not look at rules deploys all the same.
    let shop = Shop::new();
    let denied = Fault::Error(400, "AccessDeniedException");
    shop.project.aws.fail("ListRuleNamesByTarget", 100, denied);
    shop.run(MIGRATE).expect(0);
    shop.assert_runs(&shop.new, "ARM64");
}
