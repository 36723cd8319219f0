//! `export`: what other tools read. Their own programs are asked where the machine has them.

use std::{fs, process::Command};

use crate::support::project::Project;

const DEPLOY: &str = r#"
[project]
name = "shop"
labels = { "com.example.team" = "a${b}" }

[environments.dev]
account = "111122223333"
region = "eu-west-1"
create-repository = true

[services."cart.v2"]
context = "src/cart"
images = [{ dockerfile = "../../docker/cart.Dockerfile", target = "lambda", stage = "api", contexts = { proto = "protos" }, secrets = [
  { id = "npmrc", file = "~/.npmrc", required = false },
  { id = "token", env = "NPM_TOKEN", required = false },
] }]

[services.page]
images = [{ dockerfile = "Dockerfile", target = "apprunner" }]
"#;

fn project() -> Project {
    let project = Project::with_deploy(DEPLOY);
    for directory in ["src/cart", "docker", "protos"] {
        fs::create_dir_all(project.path(directory)).unwrap();
    }
    project.write("docker/cart.Dockerfile", "FROM scratch AS api\n");
    project.write("Dockerfile", "FROM scratch\n");
    project.write("protos/x", "x");
    project.commit();
    project
}

#[test]
fn a_bake_file_has_the_same_builds() {
    let file = project().run("export bake").expect(0).stdout;
    for part in [
        "\"cart_v2\",",
        "context = \"src/cart\"",
        "dockerfile = \"../../docker/cart.Dockerfile\"",
        "target = \"api\"",
        "\"linux/arm64\"",
        "\"linux/amd64\"",
        "\"proto\" = \"protos\"",
        "\"com.example.team\" = \"a$${b}\"",
        "\"id=npmrc,src=${HOME}/.npmrc\"",
        "\"id=token,env=NPM_TOKEN\"",
        "variable \"HOME\"",
        "context = \".\"",
        "type=provenance,disabled=true",
    ] {
        assert!(file.contains(part), "{part} is not in {file}");
    }
}

#[test]
fn old_make_targets_call_the_new_commands() {
    let project = project();
    fs::write(
        project.path("Makefile"),
        project.run("export makefile").expect(0).stdout,
    )
    .unwrap();
    let make = |words: &[&str]| {
        let output = Command::new("make")
            .current_dir(project.path(""))
            .arg("--dry-run")
            .args(words)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout)
            .unwrap()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(make(&["docker-build"]), "cargo xtask docker-build");
    assert_eq!(
        make(&["docker-build", "ARCH=amd64", "SERVICE=page"]),
        "cargo xtask docker-build --service page --arch amd64"
    );
    assert_eq!(
        make(&["docker-push-dev", "DOCKERFILE=Dockerfile"]),
        "cargo xtask push dev --dockerfile Dockerfile"
    );
    assert_eq!(
        make(&["rollback-dev", "SERVICE=page"]),
        "cargo xtask rollback dev --service page"
    );
}

#[test]
fn images_are_exported_by_their_digests() {
    let project = project();
    let run = project.run("export env dev").expect(2);
    assert!(
        run.stderr.contains("has no image `page-dev-latest`")
            && run.stderr.contains("cargo xtask push dev"),
        "{}",
        run.stderr
    );
    assert_eq!(run.stdout, "");
    let report = project.run("push dev --json").expect(0).json();
    let images = report["images"].as_array().unwrap();
    let page = images.iter().find(|image| image["name"] == "page").unwrap();
    let digest = page["digest"].as_str().unwrap();
    let reference = format!("{}/shop@{digest}", project.aws.registry);
    let env = project.run("export env dev").expect(0).stdout;
    let script = format!("{env}printf %s \"$IMAGE_PAGE $IMAGE_CART_V2\"");
    let shell = Command::new("sh").args(["-c", &script]).output().unwrap();
    let said = String::from_utf8(shell.stdout).unwrap();
    assert!(
        said.starts_with(&format!(
            "{reference} {}/shop@sha256:",
            project.aws.registry
        )),
        "{said}"
    );
    for (format, part) in [
        ("tfvars", format!("\"page\" = \"{reference}\"")),
        (
            "kustomize",
            format!(
                "- name: \"page\"\n    newName: \"{}/shop\"\n    digest: \"{digest}\"",
                project.aws.registry
            ),
        ),
        (
            "helm-values",
            format!(
                "\"page\":\n    repository: \"{}/shop\"\n    digest: \"{digest}\"",
                project.aws.registry
            ),
        ),
    ] {
        let text = project
            .run(&format!("export {format} dev"))
            .expect(0)
            .stdout;
        assert!(text.contains(&part), "{part} is not in {text}");
    }
    let only = project
        .run("export env dev --service page --json")
        .expect(0)
        .json();
    assert_eq!(only["images"].as_object().unwrap().len(), 1);
    assert_eq!(only["images"]["page"], reference);
}
