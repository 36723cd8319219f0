//! Running an image here, seen from outside.
use std::fs;

use crate::support::project::{DEPLOY, Project};

#[test]
fn an_image_is_run_for_its_cpu_or_not_at_all() {
    let project = Project::new();
    let dry = project
        .run("run api --dockerfile Dockerfile.apprunner --port 8081 --dry-run --json")
        .expect(0);
    let line = "docker run --rm --init --platform linux/amd64 --publish 127.0.0.1:8081:8080 backend:api-apprunner-amd64-latest";
    assert_eq!(dry.json()["command"], line);
    let missing = project
        .run("run api --dockerfile backend/Dockerfile.eks")
        .expect(2);
    let cure = "cargo xtask docker-build --service api --dockerfile Dockerfile.eks --arch arm64";
    assert!(missing.stderr.contains(cure), "{}", missing.stderr);
    project.write("docker/fail-build", "xtask-probe\nexec format error");
    let refused = project.run("run api").expect(2);
    assert!(
        refused.stderr.contains("cannot execute arm64") && refused.stderr.contains("doctor --fix"),
        "{}",
        refused.stderr
    );
    let log = project.docker_log();
    let probe = log
        .lines()
        .rfind(|line| line.contains("xtask-probe"))
        .unwrap();
    assert!(
        probe.contains("--builder default"),
        "the engine is asked, and not docker's current builder: {probe}"
    );
    fs::remove_file(project.path("docker/fail-build")).unwrap();
    project.run("docker-build --service api").expect(0);
    project.run("run api").expect(0);
    assert!(
        project
            .docker_log()
            .lines()
            .last()
            .unwrap()
            .starts_with("run --rm --init --platform linux/arm64")
    );
    // The image of one Dockerfile is not taken for that of another.
    project.run("run api --dockerfile Dockerfile.eks").expect(2);
    project
        .run(cure.trim_start_matches("cargo xtask "))
        .expect(0);
    project.run("run api --dockerfile Dockerfile.eks").expect(0);
    let last = project.docker_log().lines().last().unwrap().to_owned();
    assert!(
        last.ends_with("127.0.0.1:8080:8080 backend:api-eks-arm64-latest"),
        "{last}"
    );
    project.run("push dev --service worker").expect(0);
    project.run("run worker --env dev").expect(0);
    let log = project.docker_log();
    assert!(
        log.contains("pull --quiet --platform linux/arm64")
            && log.contains("backend:worker-dev-latest"),
        "{log}"
    );
    for (line, word) in [
        ("run wroker", "did you mean `worker`"),
        ("run api --dockerfile Dockerfile.ekz", "Dockerfile.eks"),
    ] {
        let wrong = project.run(line).expect(2);
        assert!(wrong.stderr.contains(word), "{}", wrong.stderr);
    }
    project.run("run api --port 0").expect(2);
}

#[test]
fn an_image_for_both_cpus_runs_natively() {
    let project = Project::with_deploy(&DEPLOY.replace(
        "[{ dockerfile = \"Dockerfile.lambda\" }]",
        "[{ dockerfile = \"Dockerfile.eks\", multi-arch = true }]",
    ));
    for native in ["amd64", "arm64"] {
        project.write("docker/native", native);
        let dry = project.run("run worker --dry-run --json").expect(0).json();
        assert_eq!(
            (dry["arch"].as_str(), dry["image"].as_str()),
            (
                Some(native),
                Some(&*format!("backend:worker-{native}-latest"))
            )
        );
    }
    let said = project
        .run("run worker --arch amd64 --dry-run --json")
        .expect(0)
        .json();
    assert_eq!(said["arch"], "amd64");
}

#[test]
fn a_container_that_could_not_start_is_told_with_a_cure() {
    let project = Project::new();
    project.run("docker-build --service api").expect(0);
    project.write("docker/fail-run", "125");
    let run = project.run("run api").expect(1);
    assert!(
        run.stderr
            .contains("where port 9000 is taken, say another: --port 9001"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_document_of_a_run_stands_alone_on_standard_output() {
    let project = Project::new();
    project.run("docker-build --service api").expect(0);
    let run = project.run("run api --json").expect(0);
    assert_eq!(
        (
            run.json()["exit-code"].as_i64(),
            run.json()["port"].as_i64()
        ),
        (Some(0), Some(9000))
    );
    let typo = project.run("run api --arch arm128 --json").expect(2);
    assert!(
        typo.json()["refused"][0]["problem"]
            .as_str()
            .unwrap()
            .contains("arm128"),
        "{}",
        typo.stdout
    );
    let deploy = DEPLOY.replace(
        "[{ dockerfile = \"Dockerfile.lambda\" }]",
        "[{ dockerfile = \"Dockerfile.lambda\", environments = [\"dev\"] }]",
    );
    let elsewhere = Project::with_deploy(&deploy)
        .run("run worker --env prod")
        .expect(2);
    assert!(
        elsewhere.stderr.contains("worker does not go to `prod`"),
        "{}",
        elsewhere.stderr
    );
}
