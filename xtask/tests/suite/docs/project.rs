//! A project that has everything that the pages speak of: four targets in two environments, with something that runs on each.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{Command, Output},
};

use serde_json::{Value, json};

use crate::support::{
    aws::{Alias, Function, Service},
    project::Project,
};

/// The names that the pages use.
const DEPLOY: &str = r#"
[project]
name = "backend"
context = "backend"
default-service = "api"

[environments.dev]
account = "111122223333"
region = "eu-west-1"
create-repository = true
cluster = "main"
kube-context = "backend-{env}"

[environments.prod]
account = "111122223333"
region = "eu-west-1"
repository = "prod/{project}"
create-repository = true
cluster = "main"
kube-context = "backend-{env}"
protected = true

[services.api]
images = [
  { dockerfile = "Dockerfile.lambda", function = "{project}-{env}-{service}" },
  { dockerfile = "Dockerfile.apprunner", apprunner-service = "{project}-{env}-{service}" },
  { dockerfile = "Dockerfile.eks", deployment = "{service}" },
]

[services.worker]
images = [{ dockerfile = "Dockerfile.lambda", function = "{project}-{env}-{service}", alias = "live", smoke-payload = '{ "a": 1 }' }]

[services.jobs]
images = [{ dockerfile = "Dockerfile.ecs" }]

[services.demo]
images = [{ dockerfile = "Dockerfile.demo", target = "eks", multi-arch = true, environments = [] }]
"#;

/// The registry of the pages. The project's is another.
pub(super) const REGISTRY: &str = "111122223333.dkr.ecr.eu-west-1.amazonaws.com";

/// What cannot be done here, by a word of the command, and why. It is only parsed, by the real command line.
const ONLY_PARSED: [(&str, &str); 4] = [
    ("ci", "it would run these very tests"),
    ("demo", "it needs a real engine"),
    (
        "bench",
        "it needs a real engine, and nothing else on the machine",
    ),
    (
        "sandbox",
        "it would start a local AWS, and perhaps an engine",
    ),
];

/// Programs of others that blocks start, and that do nothing here.
const OTHERS: [&str; 2] = ["aws", "man"];

/// What blocks ask of cargo itself.
const OF_CARGO: [&str; 5] = ["install", "test", "run", "fuzz", "mutants"];

/// Starts a command of a page. `--sandbox` is parsed, and then done without: here is a stand-in for AWS already. Nobody is there to be
/// asked. A canary is watched for minutes, and planned here. A first deploy.toml is made where there is none.
const PROGRAM: &str = r#"#!/usr/bin/env bash
set -eu
if [ "$(basename "$0")" = cargo ]; then
    case " @of_cargo@ " in *" ${1-} "*) exit 0 ;; esac
    [ "${1-}" = xtask ] || { echo "cargo ${1-} is not known here" >&2; exit 99; }
    shift
fi
words=()
for word in "$@"; do
    case $word in
        --sandbox) "@xtask@" "$@" --help > /dev/null ;;
        --canary) words+=(--dry-run "$word") ;;
        --yes) ;;
        *) words+=("$word") ;;
    esac
done
case " @only_parsed@ " in *" ${1-} "*) exec "@xtask@" "$@" --help > /dev/null ;; esac
if [ "${*:-}" = init ]; then
    mv deploy.toml kept.toml
    trap 'mv -f kept.toml deploy.toml' EXIT
fi
"@xtask@" ${words[@]+"${words[@]}"} --yes
"#;

/// The project, two commits after its first deployment.
pub(super) struct Documented(pub Project);

impl Documented {
    /// Pushes, deploys, and does so again.
    pub(super) fn new() -> Self {
        let project = Project::with_deploy(DEPLOY);
        project.install("kubectl");
        project.install_scanner("trivy");
        project.write("backend/Dockerfile.ecs", "FROM scratch\n");
        project.write("backend/Dockerfile.demo", "FROM scratch\n");
        project.write("build.log", "exec /app: exec format error\n");
        fs::create_dir_all(project.path("home/.local/share")).unwrap();
        let documented = Self(project);
        documented.install();
        documented.0.commit();
        for environment in ["dev", "prod"] {
            documented.run_in(environment);
        }
        documented.0.write("backend/changed", "1");
        documented.0.commit();
        let project = &documented.0;
        project.git("update-ref refs/remotes/origin/main HEAD~1");
        project.log_in_to(&project.aws.registry);
        project.run("docker-build --service api").expect(0);
        documented.settle();
        documented
    }

    /// What runs is what was pushed, as a page begins.
    pub(super) fn settle(&self) {
        for environment in ["dev", "prod"] {
            let deploy = format!("deploy {environment} --yes");
            self.0.run(&deploy).expect(0);
        }
    }

    /// Puts the programs of the pages on `PATH`.
    fn install(&self) {
        let program = |name: &str, text: &str| {
            let file = self.0.path("bin").join(name);
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        };
        let only_parsed = ONLY_PARSED.map(|(word, _)| word).join(" ");
        let text = PROGRAM
            .replace("@of_cargo@", &OF_CARGO.join(" "))
            .replace("@only_parsed@", &only_parsed)
            .replace("@xtask@", env!("CARGO_BIN_EXE_xtask"));
        for name in ["cargo", "shipright"] {
            program(name, &text);
        }
        for name in OTHERS {
            program(name, "#!/bin/sh\n");
        }
    }

    /// Pushes to an environment, and makes what is to run there.
    fn run_in(&self, environment: &str) {
        let push = format!("push {environment} --json --yes");
        let report = self.0.run(&push).expect(0).json();
        let digest = |name: &str| {
            let mut images = report["images"].as_array().unwrap().iter();
            let image = images.find(|image| image["name"] == name);
            image.unwrap()["digest"].as_str().unwrap().to_owned()
        };
        let repository = report["images"][0]["repository"].as_str().unwrap();
        let reference =
            |name: &str| format!("{}/{repository}@{}", self.0.aws.registry, digest(name));
        let mut state = self.0.aws.state();
        for (service, image) in [("api", "api-lambda"), ("worker", "worker")] {
            let mut function = Function::new("arm64", &digest(image));
            function
                .versions
                .push((1, "arm64".into(), digest(image), 0));
            let alias = Alias {
                version: "1".into(),
                revision: 1,
                ..Alias::default()
            };
            function.aliases.insert("live".into(), alias);
            let name = format!("backend-{environment}-{service}");
            state.functions.insert(name, function);
        }
        let service = Service::new(&reference("api-apprunner"));
        state
            .services
            .insert(format!("backend-{environment}-api"), service);
        let definition = state
            .ecs
            .register(&definition(environment, &reference("jobs")));
        state
            .ecs
            .add(&format!("backend-{environment}-jobs"), &definition);
        let graviton = ("AL2023_ARM_64_STANDARD".into(), "m7g.large".into());
        state.node_groups.insert("graviton".into(), graviton);
    }

    /// Runs a script as a person would who copies it from a page.
    pub(super) fn bash(&self, script: &str) -> Output {
        // What a commit has as a single image is none for both CPUs: that takes another commit.
        if script.contains("--multi-arch") {
            self.0.write("backend/changed", script);
            self.0.commit();
        }
        let script = script.replace(REGISTRY, &self.0.aws.registry);
        let environment = self.0.command("");
        let output = Command::new("bash")
            .args(["-c", &format!("set -euo pipefail\n{script}")])
            .current_dir(self.0.path(""))
            .env_clear()
            .envs(
                environment
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .output()
            .unwrap();
        // What a block has written is no change of the next one's tree.
        if !self.0.git("status --porcelain").is_empty() {
            self.0.commit();
        }
        output
    }
}

fn definition(environment: &str, image: &str) -> Value {
    json!({
        "family": format!("jobs-{environment}"), "networkMode": "awsvpc", "cpu": "256", "memory": "512",
        "requiresCompatibilities": ["FARGATE"],
        "runtimePlatform": { "operatingSystemFamily": "LINUX", "cpuArchitecture": "ARM64" },
        "containerDefinitions": [{ "name": "jobs", "image": image, "cpu": 0 }],
    })
}
