//! `init`: a first deploy.toml of layouts as they are in real repositories, and that a push can be planned with it.

use std::fs;

use crate::support::project::Project;

/// A repository with these files, and no deploy.toml.
fn repository(files: &[(&str, &str)]) -> Project {
    let project = Project::with_deploy("");
    fs::remove_file(project.path("deploy.toml")).unwrap();
    fs::remove_dir_all(project.path("backend")).unwrap();
    for (path, text) in files {
        if let Some(directory) = project.path(path).parent() {
            fs::create_dir_all(directory).unwrap();
        }
        project.write(path, text);
    }
    project.commit();
    project
}

/// What `init` writes, from its first environment on; a push is planned with it.
fn made(files: &[(&str, &str)]) -> String {
    let project = repository(files);
    let shown = project.run("init --dry-run").expect(0).stdout;
    assert!(!project.path("deploy.toml").exists());
    let run = project.run("init").expect(0);
    let text = fs::read_to_string(project.path("deploy.toml")).unwrap();
    assert_eq!(run.stdout, text);
    assert_eq!(shown, text);
    let environments = text.find("[environments.").unwrap();
    text[environments..].to_owned()
}

const NO_ACCOUNT: &str = r#"[environments.dev]
# TODO: the account and the region; no file here names an ECR repository.
account = "000000000000"
region = "us-east-1"
"#;

#[test]
fn a_context_for_each_service() {
    let files = [
        (
            "src/cart/Dockerfile",
            "FROM node:22\nCOPY package*.json src ./\nCOPY . .\n",
        ),
        ("src/cart/src/index.js", ""),
        (
            "src/page/Dockerfile",
            "FROM public.ecr.aws/lambda/python:3.13\nCOPY app.py ./\n",
        ),
        ("src/page/app.py", ""),
        ("src/page/Dockerfile.dev", "FROM python:3.13\n"),
        ("node_modules/left-pad/Dockerfile", "FROM scratch\n"),
        (
            "deploy/cart.yaml",
            "apiVersion: apps/v1\nkind: Deployment\n",
        ),
    ];
    let expected = NO_ACCOUNT.to_owned()
        + r#"
[services.cart]
# Its Dockerfile copies what is in this directory.
context = "src/cart"

[[services.cart.images]]
dockerfile = "Dockerfile"
# TODO: there is `deploy/cart.yaml`, so this is for Kubernetes; or is it?
target = "eks"

[services.page]
# Its Dockerfile copies what is in this directory.
context = "src/page"

[[services.page.images]]
dockerfile = "Dockerfile"
# Its base image `public.ecr.aws/lambda/python:3.13` is Lambda's.
target = "lambda"

[services.page-dev]
# The directory of its Dockerfile.
context = "src/page"

[[services.page-dev.images]]
dockerfile = "Dockerfile.dev"
# TODO: there is `deploy/cart.yaml`, so this is for Kubernetes; or is it?
target = "eks"
"#;
    assert_eq!(made(&files), expected);
}

#[test]
fn dockerfiles_apart_from_what_they_copy() {
    let files = [
        (
            "deploy/docker/api.Dockerfile",
            "FROM golang:1.26\nCOPY go.mod services/api ./\n",
        ),
        (
            "deploy/docker/Dockerfile.eks",
            "FROM scratch\nCOPY nowhere /\n",
        ),
        ("go.mod", "module shop\n"),
        ("services/api/main.go", ""),
        (
            ".github/workflows/ship.yml",
            "env:\n  REGISTRY: 444455556666.dkr.ecr.eu-central-1.amazonaws.com/team/api\n",
        ),
    ];
    let text = made(&files);
    let expected = r#"[environments.dev]
# TODO: its name. Account and region are in `.github/workflows/ship.yml`.
account = "444455556666"
region = "eu-central-1"
# Repositories named after services are in `.github/workflows/ship.yml`.
repository = "team/{service}"

[services.api]

[[services.api.images]]
# The nearest directory that has all that its Dockerfile copies: `go.mod` is not in `deploy/docker`.
dockerfile = "deploy/docker/api.Dockerfile"
# TODO: what runs it: "lambda", "eks", "ecs" or "apprunner".
target = "ecs"
"#;
    assert!(text.starts_with(expected), "{text}");
    assert!(text.contains("# TODO: which? Its Dockerfile copies `nowhere`, which is neither here nor in a directory above.\ncontext = \"deploy/docker\""));
}

#[test]
fn what_is_written_is_enough_for_a_push() {
    let project = repository(&[
        ("Dockerfile.lambda", "FROM scratch\nCOPY main /\n"),
        ("main", "1"),
        (
            "ship.sh",
            "docker push 111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop:latest\n",
        ),
    ]);
    project.run("init").expect(0);
    let deploy = fs::read_to_string(project.path("deploy.toml")).unwrap();
    assert!(deploy.contains("repository = \"shop\""), "{deploy}");
    project.write(
        "deploy.toml",
        &deploy.replace(
            "[environments.dev]",
            "[environments.dev]\ncreate-repository = true",
        ),
    );
    project.commit();
    project.run("push dev").expect(0);
}

#[test]
fn nothing_is_overwritten_and_what_was_not_read_is_told() {
    let project = repository(&[
        ("Dockerfile", "FROM scratch\n"),
        (
            "win/Dockerfile",
            "# escape=`\nFROM mcr.microsoft.com/windows/nanoserver\n",
        ),
        ("bad/Dockerfile", "FORM scratch\n"),
        ("compose.yaml", "services: [\n"),
    ]);
    let run = project.run("init --json").expect(0).json();
    let left: Vec<_> = run["left-out"]
        .as_array()
        .unwrap()
        .iter()
        .map(|left| left.as_str().unwrap())
        .collect();
    assert_eq!(left.len(), 3, "{left:?}");
    for (left, start) in left.iter().zip([
        "`bad/Dockerfile`: line 1",
        "`compose.yaml` cannot be read: ",
        "`win/Dockerfile`: this is for Windows",
    ]) {
        assert!(left.starts_with(start), "{left}");
    }
    assert_eq!(run["written"], true);
    let before = fs::read_to_string(project.path("deploy.toml")).unwrap();
    assert_eq!(run["text"], before);
    let again = project.run("init").expect(2);
    assert!(
        again.stderr.contains("is already there"),
        "{}",
        again.stderr
    );
    assert_eq!(
        fs::read_to_string(project.path("deploy.toml")).unwrap(),
        before
    );
}

#[test]
fn a_repository_without_dockerfiles_is_refused() {
    let project = repository(&[("notes", "")]);
    let run = project.run("init").expect(2);
    assert!(
        run.stderr.contains("there is no Dockerfile in"),
        "{}",
        run.stderr
    );
    assert!(!project.path("deploy.toml").exists());
}

const PYTHON: &str = "FROM python:3.13\nCOPY . /app\n";

/// What `init` writes of these files from the first service on.
fn services(files: &[(&str, &str)]) -> String {
    let text = made(files);
    text[text.find("[services.").unwrap()..].to_owned()
}

#[test]
fn a_compose_file_says_contexts_stages_arguments_and_secrets() {
    let compose = r#"
x-build: &build
  context: .
  args: { PYTHON: "${PYTHON_VERSION:-3.13}", TOKEN: "${TOKEN}" }
services:
  web:
    build:
      <<: *build
      target: web
      additional_contexts: { proto: ./protos }
      secrets: [npmrc]
    image: web
  worker:
    build:
      <<: *build
      target: worker
      ssh: [default]
  page:
    build: ./page
  tool:
    build: { context: page, dockerfile: "${FILE}", target: dev }
  db:
    image: postgres
secrets:
  npmrc: { file: ~/.npmrc }
"#;
    let files = [
        (
            "Dockerfile",
            "FROM python:3.13 AS web\nCOPY . .\nFROM web AS worker\n",
        ),
        ("page/Dockerfile", PYTHON),
        ("page/Dockerfile.tool", PYTHON),
        ("protos/a.proto", ""),
        ("compose.yaml", compose),
        (".env", "FILE=Dockerfile.tool\n"),
    ];
    let expected = r#"[services.page]
# From `compose.yaml`, service `page`.
context = "page"

[[services.page.images]]
dockerfile = "Dockerfile"
# TODO: what runs it: "lambda", "eks", "ecs" or "apprunner".
target = "ecs"

[services.tool]
# From `compose.yaml`, service `tool`.
context = "page"

[[services.tool.images]]
dockerfile = "Dockerfile.tool"
# TODO: `compose.yaml` builds the stage `dev`, which is for developers or tests; without `stage` it is the last.
# TODO: what runs it: "lambda", "eks", "ecs" or "apprunner".
target = "ecs"

[services.web]

[[services.web.images]]
# From `compose.yaml`, service `web`.
dockerfile = "Dockerfile"
stage = "web"
# TODO: the build argument TOKEN, whose value `compose.yaml`, service `web` has from elsewhere.
build-args = { PYTHON = "3.13" }
contexts = { proto = "protos" }
secrets = [{ id = "npmrc", file = "~/.npmrc" }]
# TODO: what runs it: "lambda", "eks", "ecs" or "apprunner".
target = "ecs"

[services.worker]

[[services.worker.images]]
# From `compose.yaml`, service `worker`.
dockerfile = "Dockerfile"
stage = "worker"
# TODO: the build argument TOKEN, whose value `compose.yaml`, service `worker` has from elsewhere.
build-args = { PYTHON = "3.13" }
ssh = true
# TODO: what runs it: "lambda", "eks", "ecs" or "apprunner".
target = "ecs"
"#;
    assert_eq!(services(&files), expected);
    let notes = repository(&files).run("init --dry-run").expect(0).stderr;
    assert!(
        notes.contains("service `web`: args TOKEN is `${TOKEN}`"),
        "{notes}"
    );
}

#[test]
fn a_bake_file_says_targets_what_they_inherit_and_platforms() {
    let bake = r#"
variable "REGISTRY" { default = "111122223333.dkr.ecr.eu-west-1.amazonaws.com" }
target "_common" {
  args = { GO = "1.26" }
  platforms = ["linux/amd64"]
}
target "api" {
  inherits = ["_common"]
  context = "./services/api"
  tags = ["${REGISTRY}/shop/api:latest"]
}
target "gateway" {
  inherits = ["_common"]
  context = "."
  dockerfile = "images/gateway.Dockerfile"
  target = "release"
  contexts = { proto = "protos" }
  args = { NAME = "gateway", GO = "1.25" }
  secret = ["id=netrc,src=.netrc", { type = "env", id = "token", env = "TOKEN" }]
}
"#;
    let files = [
        ("services/api/Dockerfile", "FROM golang\nCOPY . .\n"),
        (
            "images/gateway.Dockerfile",
            "FROM golang AS release\nCOPY . .\n",
        ),
        ("protos/a.proto", ""),
        ("docker-bake.hcl", bake),
    ];
    let expected = r#"[environments.dev]
# TODO: its name. Account and region are in `docker-bake.hcl`.
account = "111122223333"
region = "eu-west-1"

[services.api]
# From `docker-bake.hcl`, target `api`.
context = "services/api"

[[services.api.images]]
dockerfile = "Dockerfile"
build-args = { GO = "1.26" }
# TODO: what runs it: "lambda", "eks", "ecs" or "apprunner".
target = "ecs"

[services.gateway]

[[services.gateway.images]]
# From `docker-bake.hcl`, target `gateway`.
dockerfile = "images/gateway.Dockerfile"
stage = "release"
build-args = { GO = "1.25", NAME = "gateway" }
contexts = { proto = "protos" }
secrets = [{ id = "netrc", file = ".netrc" }, { id = "token", env = "TOKEN" }]
# TODO: what runs it: "lambda", "eks", "ecs" or "apprunner".
target = "ecs"
"#;
    assert_eq!(made(&files), expected);
    let whole = repository(&files).run("init --dry-run").expect(0).stdout;
    let targets = "[targets]\n# From `docker-bake.hcl`, target `api`.\necs = \"amd64\"\n";
    assert!(
        whole.contains(targets),
        "what is built today keeps its CPU: {whole}"
    );
}

#[test]
fn a_skaffold_file_says_artifacts_and_platforms() {
    let skaffold = r#"
apiVersion: skaffold/v4beta6
kind: Config
build:
  platforms: ["linux/amd64", "linux/arm64"]
  artifacts:
    - image: cart
      context: src/cart
    - image: reg.example.com/team/page
      context: src/page
      docker: { dockerfile: build/Dockerfile, target: run, buildArgs: { V: "{{.TAG}}" } }
    - image: java
      jib: {}
---
apiVersion: skaffold/v4beta6
kind: Config
"#;
    let files = [
        ("src/cart/Dockerfile", PYTHON),
        ("src/page/build/Dockerfile", "FROM node AS run\n"),
        ("skaffold.yaml", skaffold),
        ("k8s/cart.yaml", "apiVersion: apps/v1\nkind: Deployment\n"),
    ];
    let expected = r#"[services.cart]
# From `skaffold.yaml`, artifact `cart`.
context = "src/cart"

[[services.cart.images]]
dockerfile = "Dockerfile"
# TODO: there is `k8s/cart.yaml`, so this is for Kubernetes; or is it?
target = "eks"
# Both platforms are in `skaffold.yaml`, artifact `cart`.
multi-arch = true

[services.page]
# From `skaffold.yaml`, artifact `reg.example.com/team/page`.
context = "src/page"

[[services.page.images]]
dockerfile = "build/Dockerfile"
stage = "run"
# TODO: the build argument V, whose value `skaffold.yaml`, artifact `reg.example.com/team/page` has from elsewhere.
# TODO: there is `k8s/cart.yaml`, so this is for Kubernetes; or is it?
target = "eks"
# Both platforms are in `skaffold.yaml`, artifact `reg.example.com/team/page`.
multi-arch = true
"#;
    assert_eq!(services(&files), expected);
}

#[test]
fn a_workflow_says_what_its_matrix_builds_and_is_believed_before_a_compose_file() {
    let workflow = r#"
on: push
env: { GO: "1.26" }
jobs:
  images:
    strategy:
      matrix:
        include:
          - { service: api, dir: services/api }
          - { service: web, dir: services/web }
    steps:
      - uses: actions/checkout@v4
      - uses: docker/build-push-action@v6
        with:
          context: .
          file: ${{ matrix.dir }}/Dockerfile
          platforms: linux/amd64
          tags: ${{ env.REG }}/${{ matrix.service }}:latest
          build-args: |
            GO=${{ env.GO }}
            SHA=${{ github.sha }}
          secrets: |
            token=${{ secrets.TOKEN }}
  tools:
    steps:
      - run: docker build -t tools -f tools/Dockerfile tools
"#;
    let compose = "services:\n  one:\n    build: services/api\n";
    let files = [
        ("services/api/Dockerfile", PYTHON),
        ("services/web/Dockerfile", PYTHON),
        ("tools/Dockerfile", PYTHON),
        (".github/workflows/build.yml", workflow),
        ("compose.yaml", compose),
    ];
    let image = |name: &str, directory: &str| {
        format!(
            r#"
[[services.{name}.images]]
# From `.github/workflows/build.yml`, job `images`.
dockerfile = "{directory}/Dockerfile"
# TODO: the build argument SHA, whose value `.github/workflows/build.yml`, job `images` has from elsewhere.
build-args = {{ GO = "1.26" }}
secrets = [{{ id = "token", env = "TOKEN" }}]
# TODO: what runs it: "lambda", "eks", "ecs" or "apprunner".
target = "ecs"
"#
        )
    };
    let expected = format!(
        "[services.api]\n{}\n[services.tools]\n# From `.github/workflows/build.yml`, job `tools`.\ncontext = \"tools\"\n\n\
         [[services.tools.images]]\ndockerfile = \"Dockerfile\"\n\
         # TODO: what runs it: \"lambda\", \"eks\", \"ecs\" or \"apprunner\".\ntarget = \"ecs\"\n\n[services.web]\n{}",
        image("api", "services/api"),
        image("web", "services/web")
    );
    assert_eq!(services(&files), expected);
}

#[test]
fn makefiles_and_scripts_say_what_they_type() {
    let make = "IMAGE ?= shop\nSTAGE := prod\n.PHONY: build\nbuild:\n\t@docker buildx build --platform linux/arm64 \\\n\t  \
                --target $(STAGE) -t $(IMAGE)/page -f Dockerfile ..\n";
    let script = "#!/bin/sh\nset -eu\nROOT=services\nfor s in api web; do\n  docker build --build-arg MODE=\"live\" -t shop/$s \
                  \"$ROOT/$s\" && docker push shop/$s\ndone\n";
    let files = [
        ("page/Dockerfile", "FROM node AS prod\n"),
        ("page/Makefile", make),
        ("services/api/Dockerfile", PYTHON),
        ("services/web/Dockerfile", PYTHON),
        ("scripts/ship", script),
    ];
    let expected = r#"[services.api]
# From `scripts/ship`, line 5.
context = "services/api"

[[services.api.images]]
dockerfile = "Dockerfile"
build-args = { MODE = "live" }
# TODO: what runs it: "lambda", "eks", "ecs" or "apprunner".
target = "ecs"

[services.page]

[[services.page.images]]
# From `page/Makefile`, line 5.
dockerfile = "page/Dockerfile"
stage = "prod"
# TODO: what runs it: "lambda", "eks", "ecs" or "apprunner".
target = "ecs"

[services.web]
# From `scripts/ship`, line 5.
context = "services/web"

[[services.web.images]]
dockerfile = "Dockerfile"
build-args = { MODE = "live" }
# TODO: what runs it: "lambda", "eks", "ecs" or "apprunner".
target = "ecs"
"#;
    assert_eq!(services(&files), expected);
}

#[test]
fn terraform_says_what_runs_where_on_which_cpu() {
    let terraform = r#"
provider "aws" {
  region = "eu-central-1"
  allowed_account_ids = ["444455556666"]
}
resource "aws_ecr_repository" "api" { name = "shop/api" }
resource "aws_ecs_cluster" "main" { name = "shop-${var.environment}" }
resource "aws_ecs_task_definition" "api" {
  family = "api"
  runtime_platform { cpu_architecture = "X86_64" }
}
resource "aws_ecs_service" "api" { name = "${var.environment}-api" }
resource "aws_lambda_function" "mailer" {
  function_name = "mailer-${terraform.workspace}"
  package_type  = "Image"
  architectures = ["arm64"]
}
"#;
    let files = [
        ("api/Dockerfile", PYTHON),
        ("mailer/Dockerfile", PYTHON),
        ("infra/main.tf", terraform),
    ];
    let project = repository(&files);
    let text = project.run("init").expect(0).stdout;
    let expected = r#"
[targets]
# From `infra/main.tf`.
ecs = "amd64"

[environments.dev]
# From `infra/main.tf`.
account = "444455556666"
# From `infra/main.tf`.
region = "eu-central-1"
# Repositories named after services are in `infra/main.tf`.
repository = "shop/{service}"
# From `infra/main.tf`.
ecs-cluster = "shop-{env}"

[services.api]
# The directory of its Dockerfile.
context = "api"

[[services.api.images]]
dockerfile = "Dockerfile"
# `infra/main.tf` has `aws_ecs_service.api`.
target = "ecs"
ecs-service = "{env}-api"

[services.mailer]
# The directory of its Dockerfile.
context = "mailer"

[[services.mailer.images]]
dockerfile = "Dockerfile"
# `infra/main.tf` has `aws_lambda_function.mailer`.
target = "lambda"
function = "mailer-{env}"
"#;
    assert!(text.ends_with(expected), "{text}");
    project.run("push dev --dry-run").expect(2);
    project.run("init --check").expect(0);
}

#[test]
fn a_deploy_toml_that_is_there_is_compared_with_what_is_found() {
    let project = repository(&[
        ("api/Dockerfile", "FROM python:3.13 AS web\nCOPY . .\n"),
        (
            "compose.yaml",
            "services:\n  api:\n    build: { context: api, target: web, args: { A: 1 } }\n",
        ),
    ]);
    project.run("init").expect(0);
    project.run("init --check").expect(0);
    let deploy = fs::read_to_string(project.path("deploy.toml")).unwrap();
    project.write(
        "deploy.toml",
        &deploy
            .replace("context = \"api\"\n", "")
            .replace("A = \"1\"", "A = \"2\"")
            .replace("stage = \"web\"\n", "")
            .replace(
                "dockerfile = \"Dockerfile\"",
                "dockerfile = \"api/Dockerfile\"",
            ),
    );
    fs::create_dir(project.path("new")).unwrap();
    project.write("new/Dockerfile", PYTHON);
    project.write(
        "ship.yml",
        "111122223333.dkr.ecr.eu-west-3.amazonaws.com/api",
    );
    let run = project.run("init --check --json").expect(1);
    let differences = run.json()["differences"].clone();
    let expected = [
        "`new/Dockerfile` is of no service: no image is made of it",
        "`compose.yaml`, service `api` builds `api/Dockerfile` in `api`, and deploy.toml builds api in `.`",
        "`compose.yaml`, service `api` builds the stage `web` of `api/Dockerfile`, and deploy.toml builds its last stage",
        "`compose.yaml`, service `api` builds `api/Dockerfile` with A `1`, and deploy.toml with `2`",
        "`ship.yml` names account 111122223333 in eu-west-3, and no environment has it",
    ];
    assert_eq!(differences, serde_json::json!(expected), "{}", run.stderr);
}

#[test]
fn a_hostile_file_is_left_out_with_a_word() {
    let line = |n: usize| {
        let nine = vec![format!("*a{}", n - 1); 9].join(", ");
        format!("a{n}: &a{n} [{nine}]\n")
    };
    let bombs = (1..30).map(line).collect::<Vec<_>>().concat();
    let bomb = format!("a0: &a0 [x]\n{bombs}services: *a29\n");
    let grows = (1..40).map(|n| {
        format!(
            "variable \"V{n}\" {{ default = \"${{V{0}}}${{V{0}}}\" }}\n",
            n - 1
        )
    });
    let grows =
        "variable \"V0\" { default = \"xx\" }\n".to_owned() + &grows.collect::<Vec<_>>().concat();
    let grows = grows + "target \"g\" {\n  context = \"g\"\n  args = { X = V39 }\n}\n";
    let loops = "target \"a\" {\n  inherits = [\"b\"]\n  context = \".\"\n}\ntarget \"b\" { inherits = [\"a\"] }\n";
    let project = repository(&[
        ("Dockerfile", PYTHON),
        ("compose.yaml", &bomb),
        ("docker-bake.hcl", loops),
        ("docker-bake.big.hcl", &grows),
        ("g/Dockerfile", PYTHON),
        ("run.sh", "cd g\ndocker build -t g .\n"),
        (
            "docker-compose.test.yml",
            "services:\n  x:\n    build: ../../etc\n  y: { build: /root }\n",
        ),
        (
            "Makefile",
            "a:\n\tdocker build \"unclosed\n\tdocker build $(A$(B\n",
        ),
    ]);
    let run = project.run("init --json").expect(0).json();
    let left = run["left-out"].as_array().unwrap();
    let first = left[0].as_str().unwrap();
    assert!(
        first.starts_with("`compose.yaml` cannot be read: "),
        "{left:?}"
    );
    let text = run["text"].as_str().unwrap();
    assert!(!text.contains("etc") && !text.contains("/root"), "{text}");
}
