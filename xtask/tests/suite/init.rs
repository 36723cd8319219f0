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
target = "eks"
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
        ("compose.yaml", "services: {}\n"),
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
        "`compose.yaml` was not read",
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
