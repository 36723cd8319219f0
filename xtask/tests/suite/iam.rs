//! IAM policies, held together with what commands do: each command runs against the strict double, and what it asks for is compared with
//! the policy that is printed for it, in both directions.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{
    aws::{Alias, Breaker, EcsService, Function, Service, Starter},
    project::Project,
};

/// An environment with all that policies depend on, and something for each target.
const DEPLOY: &str = r#"
[project]
name = "backend"
context = "backend"

[environments.dev]
account = "111122223333"
region = "eu-west-1"
create-repository = true
function-tags = true
cluster = "main"
kube-context = "dev"
scan = "critical"

[environments.stage]
account = "111122223333"
region = "eu-west-1"
repository = "stage/{project}"
create-repository = true
kube-context = "dev"
scan = "critical"

[services]
worker = { images = [{ dockerfile = "Dockerfile.lambda", alias = "live", smoke-payload = '{ "a": 1 }' }] }
site = { images = [{ dockerfile = "Dockerfile.ecs" }] }
page = { images = [{ dockerfile = "Dockerfile.apprunner" }] }
api = { images = [{ dockerfile = "Dockerfile.eks", multi-arch = true }] }
"#;

const FUNCTION: &str = "backend-dev-worker";
const SERVICE: &str = "backend-dev-site";
const PAGE: &str = "backend-dev-page";

/// A project of which everything runs something older.
fn world() -> Project {
    let project = Project::with_deploy(DEPLOY);
    project.write("backend/Dockerfile.ecs", "FROM scratch\n");
    project.install("kubectl");
    project.commit();
    project
}

/// What runs before anything was deployed: the image of the first push, or one that nobody knows.
fn run_something(project: &Project) {
    let mut state = project.aws.state();
    let registry = project.aws.registry.clone();
    let tags = &state.repositories["backend"].tags;
    let digest = |tag: &str| tags.get(tag).cloned().unwrap_or_default();
    let (worker, site) = (digest("worker-dev-latest"), digest("site-dev-latest"));
    let mut function = Function::new("arm64", &worker);
    function.versions.push((1, "arm64".into(), worker, 0));
    let alias = Alias {
        version: "1".into(),
        revision: 1,
        ..Alias::default()
    };
    function.aliases.insert("live".into(), alias);
    state.functions.insert(FUNCTION.into(), function);
    let definition = json!({
        "family": "site", "networkMode": "awsvpc", "cpu": "256", "memory": "512",
        "requiresCompatibilities": ["FARGATE"], "runtimePlatform": { "cpuArchitecture": "ARM64" },
        "containerDefinitions": [{ "name": "web", "image": format!("{registry}/backend@{site}") }] });
    let arn = state.ecs.register(&definition);
    let service: &mut EcsService = state.ecs.add(SERVICE, &arn);
    service.breaker = Breaker::RollsBack;
    state.starters = [("nightly", true), ("hourly", false)]
        .map(|(name, is_rule)| Starter {
            name: name.to_owned(),
            is_rule,
            task_definition: arn.clone(),
        })
        .into();
    let page = Service::new("111122223333.dkr.ecr.eu-west-1.amazonaws.com/backend:old");
    state.services.insert(PAGE.into(), page);
    let node = ("AL2023_ARM_64_STANDARD".to_owned(), "t4g.medium".to_owned());
    state.node_groups.insert("graviton".into(), node);
}

/// Changes the sources and commits, so that the next push has something to build.
fn change(project: &Project, text: &str) {
    project.write("backend/changed", text);
    project.commit();
}

/// What a command is run as, after what has to be there first.
type Story = fn(&Project) -> Vec<&'static str>;

const STORIES: [(&str, Story); 13] = [
    ("push", |project| {
        project.aws.state().repositories.clear();
        vec![
            "push dev",
            "CHANGE",
            "push dev",
            "push dev",
            "push dev --dry-run",
        ]
    }),
    ("deploy", |_| {
        vec!["CHANGE", "deploy dev", "deploy dev --dry-run"]
    }),
    ("migrate-lambda", |project| {
        push(project);
        vec![
            "migrate-lambda dev",
            "rollback dev --service worker",
            "migrate-lambda dev",
        ]
    }),
    ("migrate-apprunner", |project| {
        push(project);
        vec!["migrate-apprunner dev"]
    }),
    ("migrate-ecs", |project| {
        push(project);
        vec!["migrate-ecs dev"]
    }),
    ("migrate-eks", |project| {
        push(project);
        vec!["migrate-eks dev"]
    }),
    ("rollback", |project| {
        push(project);
        project.run("deploy dev").expect(0);
        vec![
            "rollback dev --service worker",
            "rollback dev --service site",
            "rollback dev --service page",
            "rollback dev --service api",
        ]
    }),
    ("promote-from", |_| vec!["promote dev stage"]),
    ("promote", |_| vec!["promote stage dev"]),
    ("status", |_| vec!["status dev", "export env dev"]),
    ("verify", |_| {
        vec![
            "verify ecr dev",
            "verify lambda dev",
            "verify ecs dev",
            "verify eks dev",
        ]
    }),
    ("prune", |_| {
        vec![
            "prune dev --dry-run",
            "prune dev --put-lifecycle-policy --yes",
        ]
    }),
    ("scan", |_| vec!["scan dev"]),
];

fn push(project: &Project) {
    change(project, "new");
    project.run("push dev").expect(0);
}

/// Whether a text fits a pattern with `*` for any characters.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => {
            let Some(left) = text.strip_prefix(start) else {
                return false;
            };
            (0..=left.len())
                .filter(|at| left.is_char_boundary(*at))
                .any(|at| fits(rest, &left[at..]))
        }
    }
}

/// Whether a policy lets somebody do something.
fn allows(policy: &Value, action: &str, resource: &str) -> bool {
    let has = |list: &Value, text: &str| {
        let mut all = list.as_array().unwrap().iter();
        all.any(|one| fits(one.as_str().unwrap(), text))
    };
    let mut statements = policy["Statement"].as_array().unwrap().iter();
    statements.any(|one| {
        one["Effect"] == "Allow" && has(&one["Action"], action) && has(&one["Resource"], resource)
    })
}

/// The policies of a command: one, or that of either side of a promotion.
fn policies(project: &Project, command: &str) -> Vec<Value> {
    let of = |environment: &str, command: &str| {
        let line = format!("export iam-policy {environment} --for {command} --json");
        project.run(&line).expect(0).json()
    };
    match command {
        "promote" => vec![of("dev", "promote"), of("stage", "promote-from")],
        "promote-from" => vec![of("dev", "promote-from"), of("stage", "promote")],
        other => vec![of("dev", other)],
    }
}

/// What a command asked for in its story.
fn asked_by(command: &str, story: Story) -> (Project, BTreeSet<(String, String)>) {
    let project = world();
    project.run("push dev").expect(0);
    run_something(&project);
    if command == "promote" {
        change(&project, "stage");
        project.run("push stage").expect(0);
    }
    let lines = story(&project);
    project.aws.state().asked.clear();
    for (number, line) in lines.iter().enumerate() {
        if *line == "CHANGE" {
            change(&project, &number.to_string());
        } else {
            project.run(line).expect(0);
        }
    }
    let asked = project.aws.state().asked.clone();
    (project, asked)
}

#[test]
fn every_call_of_a_command_is_in_its_policy_and_nothing_is_in_it_that_no_run_asks_for() {
    for some in STORIES.chunks(4) {
        std::thread::scope(|scope| {
            for (command, story) in some {
                scope.spawn(|| hold_together(command, *story));
            }
        });
    }
}

fn hold_together(command: &str, story: Story) {
    let (project, asked) = asked_by(command, story);
    let documents = policies(&project, command);
    for (action, resource) in &asked {
        let is_allowed = documents
            .iter()
            .any(|one| allows(&one["policy"], action, resource));
        assert!(
            is_allowed,
            "{command}: {action} on {resource} is not allowed"
        );
    }
    // The other side of a promotion has a story of its own.
    let own = &documents[0];
    let taken: BTreeSet<_> = asked.iter().map(|(action, _)| action.as_str()).collect();
    for statement in own["policy"]["Statement"].as_array().unwrap() {
        for action in statement["Action"].as_array().unwrap() {
            let action = action.as_str().unwrap();
            assert!(
                taken.contains(action) || own["conditional"][action].is_array(),
                "{command}: {action} is allowed, and no run asks for it"
            );
        }
    }
    let conditional = own["conditional"].as_object().unwrap();
    for (action, reasons) in conditional {
        let reasons = reasons.as_array().unwrap();
        assert!(!reasons.is_empty(), "{command}: {action}");
    }
}

#[test]
fn a_policy_is_of_one_environment_and_of_one_account() {
    let project = world();
    let document = project.run("export iam-policy dev").expect(0);
    let policy: Value = serde_json::from_str(&document.stdout).unwrap();
    assert_eq!(policy["Version"], "2012-10-17");
    assert!(
        document
            .stderr
            .contains("ecr:CreateRepository is needed where a repository is missing"),
        "{}",
        document.stderr
    );
    for (action, resource, is_allowed) in [
        (
            "ecr:PutImage",
            "arn:aws:ecr:eu-west-1:111122223333:repository/backend",
            true,
        ),
        (
            "ecr:PutImage",
            "arn:aws:ecr:eu-west-1:111122223333:repository/stage/backend",
            false,
        ),
        (
            "ecr:PutImage",
            "arn:aws:ecr:eu-west-1:444455556666:repository/backend",
            false,
        ),
        (
            "ecr:PutImage",
            "arn:aws:ecr:us-east-1:111122223333:repository/backend",
            false,
        ),
        (
            "lambda:UpdateFunctionCode",
            "arn:aws:lambda:eu-west-1:111122223333:function:backend-dev-worker",
            true,
        ),
        (
            "lambda:UpdateFunctionCode",
            "arn:aws:lambda:eu-west-1:111122223333:function:backend-dev-worker2",
            false,
        ),
        (
            "ecr:BatchDeleteImage",
            "arn:aws:ecr:eu-west-1:111122223333:repository/backend",
            false,
        ),
        (
            "ecs:UpdateService",
            "arn:aws:ecs:eu-west-1:111122223333:service/default/backend-dev-site",
            true,
        ),
        (
            "ecs:UpdateService",
            "arn:aws:ecs:eu-west-1:111122223333:service/default/other",
            false,
        ),
    ] {
        assert_eq!(
            allows(&policy, action, resource),
            is_allowed,
            "{action} on {resource}"
        );
    }
    let roles = policy["Statement"].as_array().unwrap().iter();
    let roles: Vec<_> = roles
        .filter(|one| one["Action"].to_string().contains("iam:PassRole"))
        .collect();
    assert!(!roles.is_empty());
    assert!(
        roles
            .iter()
            .all(|one| one["Condition"]["StringEquals"]["iam:PassedToService"].is_string())
    );
    let calls = project.aws.state().calls.clone();
    assert_eq!(calls, [""; 0], "nobody is asked");
    let wrong = project.run("export iam-policy dev --for fly").expect(2);
    assert!(wrong.stderr.contains("migrate-lambda"), "{}", wrong.stderr);
    project.run("export iam-policy nowhere").expect(2);
}
