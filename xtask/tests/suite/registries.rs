//! Environments that keep their images in a registry that is not their own ECR, seen from outside.

use std::fs;

use serde_json::json;

use crate::support::{
    aws::Aws,
    project::{DEPLOY, Project},
};

const PUSH: &str = "push dev --service worker --json";

/// A project whose images go to a registry other than ECR, that hands out tokens.
struct Elsewhere {
    project: Project,
    hub: Aws,
}

impl Elsewhere {
    fn new(target: &str) -> Self {
        let hub = Aws::start();
        {
            let mut state = hub.state();
            state.makes_repositories = true;
            state.hands_out_tokens = true;
        }
        let registry = format!("registry = \"{}/acme\"", hub.registry);
        let deploy = DEPLOY
            .replacen("create-repository = true", &registry, 1)
            .replace(
                "[services.worker]\nimages = [{ dockerfile = \"Dockerfile.lambda\" }]",
                &format!(
                    "[services.worker]\nimages = [{{ dockerfile = \"Dockerfile.{target}\" }}]"
                ),
            );
        let project = Project::with_deploy(&deploy);
        project.write("backend/Dockerfile.ecs", "FROM scratch\n");
        project.commit();
        let elsewhere = Self { project, hub };
        elsewhere.project.log_in_to(&elsewhere.hub.registry);
        elsewhere
    }

    fn push(&self) -> String {
        let report = self.project.run(PUSH).expect(0).json();
        report["images"][0]["digest"].as_str().unwrap().to_owned()
    }

    fn tags(&self) -> Vec<(String, String)> {
        let state = self.hub.state();
        let repository = state.repositories.get("acme/backend");
        let tags = repository.map(|one| one.tags.clone()).unwrap_or_default();
        tags.into_iter().collect()
    }

    /// What was asked of ECR.
    fn asked_of_ecr(&self) -> Vec<String> {
        let state = self.project.aws.state();
        let ecr = ["Image", "Repositor", "AuthorizationToken", "Layer"];
        let calls = state.calls.iter();
        calls
            .filter(|call| ecr.iter().any(|word| call.contains(word)))
            .cloned()
            .collect()
    }
}

#[test]
fn a_push_to_another_registry_writes_the_same_tags_by_its_protocol_alone() {
    let elsewhere = Elsewhere::new("ecs");
    let dry = elsewhere.project.run("push dev --service worker --dry-run");
    let dry = dry.expect(0);
    assert!(dry.stderr.contains("which is not ECR"), "{}", dry.stderr);
    let login = format!("docker login {}", elsewhere.hub.registry);
    assert!(dry.stderr.contains(&login), "{}", dry.stderr);
    assert!(!dry.stderr.contains("aws ecr"), "{}", dry.stderr);
    let digest = elsewhere.push();
    let tags = elsewhere.tags();
    assert_eq!(tags.len(), 6, "{tags:?}");
    assert!(tags.iter().all(|(_, named)| *named == digest));
    assert_eq!(elsewhere.asked_of_ecr(), Vec::<String>::new());
    // Again: nothing is built, and nothing written.
    let again = elsewhere.project.run(PUSH).expect(0).json();
    assert_eq!(again["images"][0]["changed"], false);
    assert_eq!(elsewhere.tags(), tags);
}

#[test]
fn without_a_login_a_push_says_how_to_log_in_and_changes_nothing() {
    let elsewhere = Elsewhere::new("ecs");
    fs::remove_file(elsewhere.project.path("home/.docker/config.json")).unwrap();
    let run = elsewhere.project.run(PUSH).expect(1);
    let login = format!("docker login {}", elsewhere.hub.registry);
    assert!(run.stderr.contains(&login), "{}", run.stderr);
    assert_eq!(elsewhere.tags(), []);
    let verbs = elsewhere.project.docker_verbs();
    assert!(
        !verbs.iter().any(|verb| verb == "buildx build"),
        "{verbs:?}"
    );
}

#[test]
fn a_registry_that_fails_while_tags_are_written_is_asked_again_by_the_next_run() {
    let elsewhere = Elsewhere::new("ecs");
    let first = elsewhere.push();
    elsewhere.project.write("backend/changed", "1");
    elsewhere.project.commit();
    elsewhere.hub.state().fails_to_write = Some(("worker-dev-latest", 503, 100));
    elsewhere.project.run(PUSH).expect(1);
    let moving = |tags: &[(String, String)]| {
        let moving = tags.iter().filter(|(tag, _)| tag.ends_with("latest"));
        moving.map(|(_, digest)| digest.clone()).collect::<Vec<_>>()
    };
    let latest = |tags: Vec<(String, String)>| {
        let found = tags.into_iter().find(|(tag, _)| tag == "worker-dev-latest");
        found.unwrap().1
    };
    assert_eq!(latest(elsewhere.tags()), first);
    elsewhere.hub.state().fails_to_write = None;
    let second = elsewhere.push();
    assert_ne!(first, second);
    assert!(
        moving(&elsewhere.tags())
            .iter()
            .all(|digest| *digest == second)
    );
}

#[test]
fn a_function_takes_no_image_from_another_registry_and_nothing_is_pushed_for_it() {
    let elsewhere = Elsewhere::new("lambda");
    for command in [
        "deploy dev --service worker",
        "migrate-lambda dev --service worker",
    ] {
        if command.starts_with("migrate") {
            elsewhere.push();
        }
        let run = elsewhere.project.run(command).expect(2);
        assert!(run.stderr.contains("from ECR alone"), "{}", run.stderr);
        assert!(run.stderr.contains("remove `registry`"), "{}", run.stderr);
        if command.starts_with("deploy") {
            assert_eq!(elsewhere.tags(), []);
        }
    }
}

#[test]
fn a_service_of_ecs_runs_from_another_registry_and_goes_back() {
    let elsewhere = Elsewhere::new("ecs");
    let first = elsewhere.push();
    let image = |digest: &str| format!("{}/acme/backend@{digest}", elsewhere.hub.registry);
    let definition = json!({
        "family": "worker", "networkMode": "awsvpc", "cpu": "256", "memory": "512", "requiresCompatibilities": ["FARGATE"],
        "runtimePlatform": { "cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX" },
        "containerDefinitions": [{ "name": "web", "image": image(&first), "essential": true,
            "repositoryCredentials": { "credentialsParameter": "arn:aws:secretsmanager:x" } }] });
    {
        let mut state = elsewhere.project.aws.state();
        let arn = state.ecs.register(&definition);
        state.ecs.add("backend-dev-worker", &arn);
    }
    elsewhere.project.write("backend/changed", "1");
    elsewhere.project.commit();
    let second = elsewhere.push();
    let running = || {
        let state = elsewhere.project.aws.state();
        let now = state.ecs.of_service("backend-dev-worker").clone();
        let container = &now["containerDefinitions"][0];
        assert!(container["repositoryCredentials"].is_object());
        container["image"].as_str().unwrap().to_owned()
    };
    let run = |line: &str| elsewhere.project.run(line).expect(0);
    run("migrate-ecs dev --service worker");
    assert_eq!(running(), image(&second));
    let status = run("status dev --json").json();
    let rows = status["images"].as_array().unwrap();
    let row = rows.iter().find(|row| row["image"] == "worker").unwrap();
    assert_eq!(row["tag-digest"], second.as_str());
    assert_eq!(row["runs"], second.as_str());
    // What ran before is told by the tags that name a time, which come in pages.
    run("rollback dev --service worker --yes");
    assert_eq!(running(), image(&first));
    assert_eq!(elsewhere.asked_of_ecr(), Vec::<String>::new());
}

#[test]
fn a_promotion_takes_an_image_from_another_registry_to_ecr() {
    let elsewhere = Elsewhere::new("ecs");
    let digest = elsewhere.push();
    let repository = crate::support::aws::Repository {
        mutability: "MUTABLE".to_owned(),
        ..Default::default()
    };
    let mut state = elsewhere.project.aws.state();
    state.repositories.insert("prod/backend".into(), repository);
    drop(state);
    let run = elsewhere
        .project
        .run("promote dev prod --service worker --yes");
    run.expect(0);
    let state = elsewhere.project.aws.state();
    let tags = &state.repositories["prod/backend"].tags;
    assert!(!tags.is_empty() && tags.values().all(|named| *named == digest));
}

#[test]
fn ecr_of_another_account_is_asked_in_that_account() {
    let registry =
        "registry = \"444455556666.dkr.ecr.{region}.amazonaws.com\"\ncreate-repository = true";
    let project = Project::with_deploy(&DEPLOY.replacen("create-repository = true", registry, 1));
    let plan = project.run(&format!("{PUSH} --dry-run")).expect(0).json();
    let place = &plan["plan"]["place"];
    assert_eq!(place["account"], "111122223333");
    assert_eq!(place["ecr"]["account"], "444455556666");
    assert_eq!(place["ecr"]["region"], "eu-west-1");
    let shown = project.run("push dev --service worker --dry-run").expect(0);
    let flag = "--registry-id 444455556666 --region eu-west-1";
    assert!(shown.stderr.contains(flag), "{}", shown.stderr);
    project.run(PUSH).expect(0);
    let state = project.aws.state();
    let asked: Vec<_> = state.registry_ids.iter().collect();
    assert_eq!(asked, ["444455556666"]);
}

#[test]
fn a_function_takes_no_image_from_ecr_of_another_region() {
    let registry = "registry = \"444455556666.dkr.ecr.us-east-1.amazonaws.com\"";
    let project = Project::with_deploy(&DEPLOY.replacen("create-repository = true", registry, 1));
    let repository = crate::support::aws::Repository::default();
    let mut state = project.aws.state();
    state.repositories.insert("backend".into(), repository);
    drop(state);
    let run = project.run("deploy dev --service worker").expect(2);
    assert!(
        run.stderr.contains("of its own region, eu-west-1"),
        "{}",
        run.stderr
    );
}
