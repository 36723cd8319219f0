//! The workflows of CI systems, and the pushes for one platform that they are made of.

use std::{fs, path::Path, process::Command};

use crate::support::project::{DEPLOY, Project, Run};

#[test]
fn this_repository_s_workflow_is_what_its_deploy_toml_makes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .current_dir(root)
        .args(["ci-workflow", "github", "--check"])
        .output()
        .unwrap();
    Run::from(output).expect(0);
}

/// A project with an image for both CPUs, and a production that takes what dev has.
fn both() -> Project {
    let deploy = DEPLOY
        .replace(
            "{ dockerfile = \"Dockerfile.eks\" }",
            "{ dockerfile = \"Dockerfile.eks\", multi-arch = true }",
        )
        .replace(
            "build-args = { BASE = \"base:1\" }\n",
            "cluster = \"main\"\n",
        );
    Project::with_deploy(&deploy)
}

#[test]
fn an_image_for_both_cpus_is_pushed_by_two_machines_and_indexed_by_a_third() {
    let project = both();
    let image = "--service api --dockerfile Dockerfile.eks --json";
    let tags = || {
        let state = project.aws.state();
        let names = state.repositories["backend"].tags.keys().cloned();
        names
            .filter(|name| name.ends_with("latest"))
            .collect::<Vec<_>>()
    };
    project
        .run(&format!("push dev --platform linux/arm64 {image}"))
        .expect(0);
    assert_eq!(tags(), ["api-eks-dev-arm64-latest"], "no plain tag yet");
    project
        .run(&format!("push dev --platform linux/amd64 {image}"))
        .expect(0);
    let builds = |project: &Project| {
        let verbs = project.docker_verbs();
        verbs.iter().filter(|verb| *verb == "buildx build").count()
    };
    let before = builds(&project);
    let report = project.run(&format!("push dev {image}")).expect(0).json();
    assert_eq!(builds(&project), before, "nothing is built again");
    let index = report["image-indexes"][0]["digest"]
        .as_str()
        .unwrap()
        .to_owned();
    let state = project.aws.state();
    assert_eq!(
        state.repositories["backend"].tags["api-eks-dev-latest"],
        index
    );
    drop(state);
    assert_eq!(tags().len(), 3);
}

#[test]
fn a_platform_takes_the_images_that_are_for_it() {
    let project = both();
    let pushed = |words: &str| {
        let report = project
            .run(&format!("push dev --json {words}"))
            .expect(0)
            .json();
        let images = report["images"].as_array().unwrap().iter();
        let names = images.map(|image| image["name"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    let amd64 = pushed("--service api --platform linux/amd64");
    assert_eq!(amd64, ["api-apprunner", "api-eks-amd64"]);
    let refused = project
        .run("push dev --service worker --platform linux/amd64")
        .expect(2);
    assert!(
        refused.stderr.contains("none of worker is for linux/amd64"),
        "{}",
        refused.stderr
    );
    let word = project.run("push dev --platform windows/amd64").expect(2);
    assert!(word.stderr.contains("is no platform"), "{}", word.stderr);
}

#[test]
fn a_workflow_has_a_job_for_each_service_and_cpu_and_promotes_what_was_built() {
    let project = both();
    let run = project.run("ci-workflow github").expect(0);
    let text = fs::read_to_string(project.path(".github/workflows/ship.yml")).unwrap();
    assert_eq!(run.stdout.trim_end(), text.trim_end());
    assert!(
        text.contains("dockerfile: backend/Dockerfile.lambda, arch: arm64"),
        "{text}"
    );
    for part in [
        "{ service: api, arch: amd64, runner: ubuntu-24.04 }",
        "{ service: api, arch: arm64, runner: ubuntu-24.04-arm }",
        "{ service: worker, arch: arm64, runner: ubuntu-24.04-arm }",
        "run: cargo xtask push dev --service \"$SERVICE\" --platform \"linux/$ARCH\" --yes",
        "needs: [push-dev]\n",
        "run: cargo xtask push dev --service api --yes",
        "needs: [index-dev]\n",
        "run: aws eks update-kubeconfig --name main --alias main",
        "run: cargo xtask promote dev prod --yes",
        "environment: prod",
        "role-to-assume: ${{ vars.AWS_ROLE_PROD }}",
        "--since \"$BASE\"",
        "permissions: {}",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let uses = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- uses: "));
    for action in uses {
        let (_, commit) = action.split_once('@').unwrap();
        let commit = commit.split(' ').next().unwrap();
        assert!(
            commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{action}"
        );
    }
    assert!(run.stderr.contains("required reviewers"), "{}", run.stderr);
    project.run("ci-workflow github --check").expect(0);
    project.run("ci-workflow gitlab").expect(0);
    project.run("ci-workflow gitlab --check").expect(0);
}

#[test]
fn a_file_of_somebody_else_is_left_alone_and_our_own_is_made_again() {
    let project = both();
    project.write(".gitlab-ci.yml", "stages: [mine]\n");
    let refused = project.run("ci-workflow gitlab").expect(2);
    assert!(
        refused.stderr.contains("was not made by this command"),
        "{}",
        refused.stderr
    );
    project.run("ci-workflow gitlab --dry-run").expect(0);
    let mine = fs::read_to_string(project.path(".gitlab-ci.yml")).unwrap();
    assert_eq!(mine, "stages: [mine]\n");
    project.run("ci-workflow github --check").expect(1);
    project.run("ci-workflow github").expect(0);
    let deploy = fs::read_to_string(project.path("deploy.toml")).unwrap();
    project.write("deploy.toml", &deploy.replace("eu-west-1", "eu-west-3"));
    let differs = project.run("ci-workflow github --check").expect(1);
    assert!(
        differs.stderr.contains("cargo xtask ci-workflow github"),
        "{}",
        differs.stderr
    );
    project.run("ci-workflow github").expect(0);
    project.run("ci-workflow github --check").expect(0);
}

#[test]
fn a_project_below_the_repository_and_environments_built_differently_are_told_apart() {
    let project = Project::with_deploy(DEPLOY);
    fs::create_dir(project.path("shop")).unwrap();
    let deploy = DEPLOY.replace("context = \"backend\"", "context = \"../backend\"");
    project.write(
        "shop/deploy.toml",
        &deploy.replace("context = \"../backend\"\n", ""),
    );
    for name in ["lambda", "apprunner", "eks"] {
        project.write(&format!("shop/Dockerfile.{name}"), "FROM scratch\n");
    }
    project.commit();
    let run = project
        .run("ci-workflow github --config shop/deploy.toml --dry-run")
        .expect(0);
    for part in [
        "    working-directory: shop\n",
        "          workspaces: shop\n",
        "  push-dev:\n",
        "  push-prod:\n",
    ] {
        assert!(run.stdout.contains(part), "{part} is not in {}", run.stdout);
    }
    assert!(
        !run.stdout.contains("promote"),
        "prod is built with other arguments"
    );
}

#[test]
fn environments_come_in_the_file_s_order_and_what_a_job_cannot_have_is_said() {
    let deploy = DEPLOY.replace("build-args = { BASE = \"base:1\" }\n", "").replace(
        "[environments.prod]",
        "[environments.staging]\naccount = \"111122223333\"\nregion = \"eu-west-1\"\nrepository = \"staging\"\n\
         protected = true\nbranch = \"release\"\n\n[environments.prod]",
    );
    let deploy = deploy.replace(
        "[services.worker]\nimages = [{ dockerfile = \"Dockerfile.lambda\" }]",
        "[services.worker]\nimages = [{ dockerfile = \"Dockerfile.lambda\", ssh = true, secrets = [{ id = \"t\", env = \"NPM_TOKEN\" }, \
         { id = \"rc\", file = \"~/.npmrc\" }] }]",
    );
    let project = Project::with_deploy(&deploy);
    let run = project.run("ci-workflow github --dry-run").expect(0);
    for part in [
        "promote dev staging --yes",
        "promote staging prod --yes",
        "branches: [main, release]",
        "github.ref == 'refs/heads/release'",
        "NPM_TOKEN: ${{ secrets.NPM_TOKEN }}",
    ] {
        assert!(run.stdout.contains(part), "{part} is not in {}", run.stdout);
    }
    for part in [
        "`~/.npmrc`, which no machine",
        "ssh agent",
        "repo:OWNER/NAME:environment:ENV",
    ] {
        assert!(run.stderr.contains(part), "{part} is not in {}", run.stderr);
    }
    let twins = DEPLOY.replace(
        "[environments.prod]",
        "[environments.\"a.b\"]\naccount = \"111122223333\"\nregion = \"eu-west-1\"\n\
        repository = \"ab\"\n[environments.a-b]",
    );
    project.write("deploy.toml", &twins);
    let refused = project.run("ci-workflow github --dry-run").expect(2);
    assert!(
        refused.stderr.contains("jobs of one name"),
        "{}",
        refused.stderr
    );
}

#[test]
fn registries_that_are_not_ecr_are_logged_in_to_with_least_permissions() {
    let deploy = DEPLOY
        .replace(
            "create-repository = true\nbuild-args = { BASE = \"base:1\" }",
            "registry = \"ghcr.io/acme\"",
        )
        .replace(
            "protected = true",
            "registry = \"quay.io/acme\"\nprotected = true",
        );
    let project = Project::with_deploy(&deploy);
    let run = project.run("ci-workflow github --dry-run").expect(0);
    let (before, deploys) = run.stdout.split_once("\n  deploy-dev:\n").unwrap();
    let (_, push) = before.split_once("\n  push-dev:\n").unwrap();
    let (dev, prod) = deploys.split_once("\n  deploy-prod:\n").unwrap();
    for job in [push, dev, prod] {
        assert!(job.contains("packages: write"), "{job}");
        assert!(
            job.contains("REGISTRY_PASSWORD: ${{ secrets.GITHUB_TOKEN }}"),
            "{job}"
        );
        assert!(
            job.contains("docker login ghcr.io --username \"$REGISTRY_USER\" --password-stdin")
        );
    }
    assert!(
        !before
            .split_once("\n  push-dev:\n")
            .unwrap()
            .0
            .contains("packages")
    );
    assert!(prod.contains("secrets.REGISTRY_PASSWORD_QUAY_IO"), "{prod}");
    assert!(!dev.contains("quay.io"), "{dev}");
    assert!(
        run.stderr
            .contains("REGISTRY_USER_QUAY_IO and the secret REGISTRY_PASSWORD_QUAY_IO"),
        "{}",
        run.stderr
    );
    let gitlab = project.run("ci-workflow gitlab --dry-run").expect(0);
    assert!(
        gitlab
            .stdout
            .contains("\"$REGISTRY_PASSWORD_GHCR_IO\" | docker login ghcr.io"),
        "{}",
        gitlab.stdout
    );
}
