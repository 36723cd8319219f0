//! `verify` and `explain`, seen from outside.
use std::{fs, io::Write, os::unix::fs::PermissionsExt, process::Stdio};

use crate::support::{
    aws::Function,
    project::{DEPLOY, Project, Run},
};

#[test]
fn the_environment_s_tags_are_read_back_and_proven() {
    let project = Project::new();
    let empty = project.run("verify ecr dev --json").expect(0).json();
    assert_eq!(empty.as_array().unwrap().len(), 4);
    assert!(
        empty[0]["digest"].is_null(),
        "nothing is pushed yet: {empty}"
    );
    let pushed = project.run("push-dev --json").expect(0).json();
    let found = project.run("verify ecr dev --json").expect(0).json();
    for (pushed, found) in pushed["images"]
        .as_array()
        .unwrap()
        .iter()
        .zip(found.as_array().unwrap())
    {
        assert_eq!(pushed["digest"], found["digest"]);
        assert_eq!(found["revision"], project.head().as_str());
        assert_eq!(
            found["proof"]["verdict"]["findings"]
                .as_array()
                .unwrap()
                .len(),
            0
        );
    }
}

#[test]
fn a_tag_that_names_an_image_for_the_other_cpu_or_a_list_is_a_mismatch() {
    let project = Project::new();
    project.run("push-dev").expect(0);
    {
        let mut state = project.aws.state();
        let repository = state.repositories.get_mut("backend").unwrap();
        let amd64 = repository.tags["api-apprunner-dev-latest"].clone();
        repository.tags.insert("worker-dev-latest".into(), amd64);
    }
    let run = project.run("verify ecr dev --service worker").expect(1);
    assert!(
        run.stderr
            .contains("the config says `linux/amd64`, expected linux/arm64"),
        "{}",
        run.stderr
    );
    {
        let mut state = project.aws.state();
        let repository = state.repositories.get_mut("backend").unwrap();
        let kind = "application/vnd.oci.image.index.v1+json".to_owned();
        repository
            .manifests
            .insert("sha256:list".into(), (kind, r#"{"manifests":[]}"#.into()));
        repository
            .tags
            .insert("worker-dev-latest".into(), "sha256:list".into());
    }
    let run = project.run("verify ecr dev --service worker").expect(1);
    assert!(
        run.stderr.contains("an image index") && run.stderr.contains("which Lambda refuses"),
        "{}",
        run.stderr
    );
}

#[test]
fn functions_are_compared_with_the_tag_and_the_policy() {
    let project = Project::new();
    let pushed = project
        .run("push dev --service worker --json")
        .expect(0)
        .json();
    let digest = pushed["images"][0]["digest"].as_str().unwrap().to_owned();
    let missing = project.run("verify lambda dev --service worker").expect(0);
    assert!(
        missing.stderr.contains("backend-dev-worker does not exist"),
        "{}",
        missing.stderr
    );
    let set = |arch: &str, digest: &str| {
        project
            .aws
            .state()
            .functions
            .insert("backend-dev-worker".into(), Function::new(arch, digest));
    };
    set("arm64", &digest);
    project.run("verify lambda dev --service worker").expect(0);
    set("x86_64", "sha256:old");
    let run = project.run("verify lambda dev --service worker").expect(1);
    for part in [
        "the function is amd64, and the policy is arm64",
        "runs sha256:old, and `worker-dev-latest` is sha256:",
    ] {
        assert!(
            run.stderr.contains(part),
            "{part} is missing in {}",
            run.stderr
        );
    }
    let push = project.run("push dev --service worker").expect(0);
    for part in ["still old", "a moved tag changes no function"] {
        assert!(push.stderr.contains(part), "{}", push.stderr);
    }
}

#[test]
fn an_image_is_verified_wherever_it_lies() {
    let project = Project::new();
    for (line, code, expected) in [
        ("verify image nothing/here/ --json", 2, "no reference"),
        ("verify image ./deploy.toml", 1, "no tar archive"),
        ("verify image ./backend", 1, "index.json"),
        ("verify image x --target lamda", 2, "did you mean `lambda`?"),
        (
            "verify image x --target lambda --arch arm64",
            2,
            "cannot be used with",
        ),
    ] {
        let run = project.run(line).expect(code);
        assert!(
            run.stderr.contains(expected),
            "{line}: {expected} is missing in {}",
            run.stderr
        );
    }
}

#[test]
fn a_private_registry_is_read_with_the_login_that_docker_keeps() {
    let project = Project::new();
    project.run("push dev --service worker").expect(0);
    {
        let mut state = project.aws.state();
        let tags = &mut state.repositories.get_mut("backend").unwrap().tags;
        tags.insert("elsewhere".into(), tags["worker-dev-latest"].clone());
    }
    let line = format!("verify image {}/backend:elsewhere", project.aws.registry);
    for tokens in [false, true] {
        project.aws.state().hands_out_tokens = tokens;
        let _ = fs::remove_dir_all(project.path("home/.docker"));
        let refused = project.run(&line).expect(1);
        assert!(
            refused
                .stderr
                .contains(&format!("docker login {}", project.aws.registry)),
            "{}",
            refused.stderr
        );
        project.log_in_to(&project.aws.registry);
        project.run(&line).expect(0);
        project.write("home/.docker/config.json", "{");
        let broken = project.run(&line).expect(1);
        assert!(
            broken.stderr.contains("failed to read docker's login"),
            "{}",
            broken.stderr
        );
    }
}

#[test]
fn a_service_and_a_message_are_explained() {
    let project = Project::new();
    let images = project.run("explain api --json").expect(0).json();
    assert_eq!(
        (images[1]["target"].as_str(), images[1]["arch"].as_str()),
        (Some("apprunner"), Some("amd64"))
    );
    assert!(
        project
            .run("explain apy")
            .expect(2)
            .stderr
            .contains("did you mean `api`?")
    );
    let explain = |text: &str| {
        let mut command = project.command("explain-error");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        Run::from(child.wait_with_output().unwrap())
    };
    assert!(
        explain("standard_init: exec format error")
            .expect(0)
            .stderr
            .contains("verify image")
    );
    assert!(
        explain("all is well")
            .expect(1)
            .stderr
            .contains("nothing in this text is known")
    );
    project.write("log", "CrashLoopBackOff");
    assert!(
        project
            .run("explain-error log")
            .expect(0)
            .stderr
            .contains("kubectl get nodes")
    );
}

#[test]
fn the_doctor_names_each_miss_with_its_cure() {
    let project = Project::new();
    let run = project.run("doctor --json").expect(1);
    let checks = run.json();
    let state = |what: &str| {
        let check = checks
            .as_array()
            .unwrap()
            .iter()
            .find(|check| check["what"] == what);
        check.unwrap_or_else(|| panic!("{what} was not looked at: {checks}"))["state"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(state("AWS for dev"), "good");
    assert_eq!(state("repository backend of dev"), "good");
    assert_eq!(state("repository prod/backend of prod"), "bad");
    assert!(
        run.stderr.contains("create-repository = true"),
        "{}",
        run.stderr
    );
    project.aws.state().account = "999900001111".into();
    let wrong = project.run("doctor").expect(1);
    assert!(wrong.stderr.contains("999900001111"), "{}", wrong.stderr);
    let no_docker = project
        .run_with("doctor", &[("PATH", "/nowhere")])
        .expect(1);
    assert!(
        no_docker.stderr.contains("`docker` is not installed"),
        "{}",
        no_docker.stderr
    );
    assert!(
        project
            .aws
            .state()
            .calls
            .iter()
            .all(|call| !call.starts_with("Put") && !call.starts_with("Create"))
    );
}

#[test]
fn nodes_and_terraform_files_are_compared_with_the_images() {
    let deploy = DEPLOY.replacen(
        "region = \"eu-west-1\"",
        "region = \"eu-west-1\"\ncluster = \"main\"",
        1,
    );
    let project = Project::with_deploy(&deploy);
    let group = |name: &str, ami: &str, kind: &str| {
        project
            .aws
            .state()
            .node_groups
            .insert(name.into(), (ami.into(), kind.into()));
    };
    group("graviton", "AL2023_ARM_64_STANDARD", "m7g.large");
    project.run("verify eks dev").expect(0);
    project
        .write("eks.tf", "module \"eks\" {\n  node_groups = { main = { instance_types = [\"t3.medium\", \"t4g.large\"] } }\n}\n");
    let run = project.run("verify eks dev").expect(1);
    assert!(
        run.stderr.contains(
            "`t3.medium`, which is amd64, and the images are for arm64; use `t4g.medium`"
        ),
        "{}",
        run.stderr
    );
    fs::remove_file(project.path("eks.tf")).unwrap();
    group("intel", "AL2_x86_64", "m5.large");
    let mixed = project.run("verify eks dev").expect(0);
    assert!(
        mixed.stderr.contains("kubernetes.io/arch: arm64"),
        "{}",
        mixed.stderr
    );
    project.aws.state().node_groups.remove("graviton");
    let wrong = project.run("verify eks dev --json").expect(1);
    assert!(
        wrong.json()["mismatches"][0]
            .as_str()
            .unwrap()
            .contains("EKS intel is amd64")
    );
    project.aws.state().node_groups.clear();
    let kubectl = r#"#!/bin/sh
echo '{"items":[{"metadata":{"name":"ip-1"},"status":{"nodeInfo":{"architecture":"amd64"}}}]}'"#;
    project.write("bin/kubectl", kubectl);
    fs::set_permissions(
        project.path("bin/kubectl"),
        fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    let nodes = project.run("verify eks dev").expect(1);
    assert!(
        nodes.stderr.contains("kubectl ip-1 is amd64"),
        "{}",
        nodes.stderr
    );
}

#[test]
fn verify_alone_looks_at_everything_and_shows_one_table() {
    let project = Project::new();
    project.run("push-dev").expect(0);
    let run = project.run("verify --json").expect(0);
    let rows = run.json();
    let state = |check: &str| {
        rows.as_array()
            .unwrap()
            .iter()
            .find(|row| row["check"] == check)
            .unwrap()["state"]
            .clone()
    };
    assert_eq!(
        (state("dockerfiles"), state("ecr dev"), state("lambda prod")),
        ("good".into(), "good".into(), "good".into())
    );
    project.aws.state().functions.insert(
        "backend-dev-worker".into(),
        Function::new("x86_64", "sha256:old"),
    );
    let run = project.run("verify").expect(1);
    assert!(
        run.stderr.contains("lambda dev           mismatch"),
        "{}",
        run.stderr
    );
}
