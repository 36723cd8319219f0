//! Image indexes for both CPUs on their way: to a cluster with nodes of both, back again, and to another account.
use std::fs;

use crate::support::{
    aws::{Aws, digest},
    project::{DEPLOY, Project, deploy_to},
};
use serde_json::json;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const PUSH: &str = "push dev --service api --dockerfile Dockerfile.eks --multi-arch --json";

/// The digest that a tag names.
fn tagged(project: &Project, tag: &str) -> String {
    project.aws.state().repositories["backend"].tags[tag].clone()
}

/// One service with one image, for Kubernetes.
fn project_with_cluster(nodes: &str) -> Project {
    let deploy = DEPLOY
        .replacen("region = \"eu-west-1\"", "region = \"eu-west-1\"\nkube-context = \"dev\"\nnamespace = \"{env}\"", 1)
        .replace("  { dockerfile = \"Dockerfile.lambda\" },\n  { dockerfile = \"Dockerfile.apprunner\" },\n", "");
    let project = Project::with_deploy(&deploy);
    project.install("kubectl");
    project.write("docker/nodes", nodes);
    project
}

/// Puts an index of these images into the registry, as other tools may have made it.
fn store(project: &Project, tag: &str, children: &[(&str, &str)]) -> String {
    let mut state = project.aws.state();
    let repository = state.repositories.get_mut("backend").unwrap();
    let child = |(digest, arch): &(&str, &str)| {
        json!({ "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest,
            "size": repository.manifests[*digest].1.len(), "platform": { "os": "linux", "architecture": arch } })
    };
    let children: Vec<_> = children.iter().map(child).collect();
    let bytes =
        json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": children }).to_string();
    let name = digest(bytes.as_bytes());
    repository
        .manifests
        .insert(name.clone(), (INDEX.into(), bytes));
    repository.tags.insert(tag.into(), name.clone());
    name
}

#[test]
fn a_list_goes_as_a_whole_to_a_cluster_with_nodes_of_both_cpus_and_back() {
    let project = project_with_cluster("amd64 arm64");
    project.run(PUSH).expect(0);
    let first = tagged(&project, "api-dev-latest");
    project.run("migrate-eks dev --service api").expect(0);
    let kubectl = || fs::read_to_string(project.path("docker/kubectl-log")).unwrap();
    assert!(
        kubectl().contains(&format!(
            "set image deployment/api api={}/backend@{first}",
            project.aws.registry
        )),
        "{}",
        kubectl()
    );
    project.write("backend/more", "x");
    project.commit();
    project.run(PUSH).expect(0);
    let second = tagged(&project, "api-dev-latest");
    assert_ne!(first, second);
    // Pods that are pinned to one of the index's CPUs are fine too, and so are nodes of the other alone.
    project.write("docker/selector", r#"{"kubernetes.io/arch":"amd64"}"#);
    project.write("docker/nodes", "amd64");
    let moved = project.run("migrate-eks dev --service api").expect(0);
    assert!(
        moved.stderr.contains("on amd64 and arm64"),
        "{}",
        moved.stderr
    );
    let nodes = project.run("verify eks dev").expect(1);
    assert!(
        nodes.stderr.contains("the images are for arm64"),
        "{}",
        nodes.stderr
    );
    let deploy = fs::read_to_string(project.path("deploy.toml")).unwrap();
    project.write(
        "both.toml",
        &deploy.replace(
            "Dockerfile.eks\" }",
            "Dockerfile.eks\", multi-arch = true }",
        ),
    );
    let nodes = project.run("verify eks dev --config both.toml").expect(0);
    assert!(
        nodes
            .stderr
            .contains("api is for both CPUs: every node runs it"),
        "{}",
        nodes.stderr
    );
    fs::remove_file(project.path("both.toml")).unwrap();
    let status = project.run("status dev --json").expect(0).json();
    let row = status["images"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["image"] == "api")
        .unwrap();
    assert_eq!(
        (row["runs"].as_str(), &row["drift"]),
        (Some(second.as_str()), &json!([])),
        "{row}"
    );
    assert_eq!(row["runs-revision"], project.head()[..7], "{row}");
    project
        .run("rollback dev --service api --dry-run")
        .expect(0);
    fs::remove_file(project.path("docker/kubectl-log")).unwrap();
    let back = project.run("rollback dev --service api").expect(0);
    assert!(
        kubectl().contains(&format!("@{first}")),
        "{}\n{}",
        kubectl(),
        back.stderr
    );
}

#[test]
fn a_list_with_an_image_that_is_not_what_it_says_runs_nowhere_and_travels_nowhere() {
    let far = Aws::start();
    let deploy = deploy_to(&far).replacen(
        "region = \"eu-west-1\"",
        "region = \"eu-west-1\"\nkube-context = \"dev\"",
        1,
    );
    let project = Project::with_deploy(&deploy);
    project.install("kubectl");
    let report = project
        .run("push dev --service api --dockerfile Dockerfile.eks --json")
        .expect(0)
        .json();
    let arm64 = report["images"][0]["digest"].as_str().unwrap().to_owned();
    project.write("backend/more", "x");
    project.commit();
    let report = project
        .run("push dev --service api --dockerfile Dockerfile.eks --json")
        .expect(0)
        .json();
    let other = report["images"][0]["digest"].as_str().unwrap().to_owned();
    // The image for the policy's CPU is honest; the other one is for that CPU as well.
    store(
        &project,
        "api-eks-dev-latest",
        &[(&arm64, "arm64"), (&other, "amd64")],
    );
    for line in [
        "migrate-eks dev --service api",
        "promote dev prod --service api --yes",
    ] {
        let run = project.run(line).expect(2);
        let expected =
            format!("{other} is listed for linux/amd64, and its config says linux/arm64");
        assert!(run.stderr.contains(&expected), "{line}: {}", run.stderr);
    }
    assert!(far.state().repositories.is_empty());
    assert!(
        !fs::read_to_string(project.path("docker/kubectl-log"))
            .unwrap_or_default()
            .contains("set image")
    );
}

#[test]
fn an_index_is_promoted_with_its_children() {
    let far = Aws::start();
    let project = Project::with_deploy(&deploy_to(&far));
    let pushed = project
        .run("push dev --service worker --json")
        .expect(0)
        .json();
    let child = pushed["images"][0]["digest"].as_str().unwrap().to_owned();
    let index = store(&project, "worker-dev-latest", &[(&child, "arm64")]);
    project
        .run("promote dev prod --service worker --yes")
        .expect(0);
    let state = far.state();
    let there = &state.repositories["prod/backend"];
    assert_eq!(
        (
            &there.tags["worker-prod-latest"],
            &there.tags["worker-prod-arm64-latest"]
        ),
        (&index, &child)
    );
    drop(state);
    far.state().uploaded = 0;
    project
        .run("promote dev prod --service worker --yes")
        .expect(0);
    assert_eq!(far.state().uploaded, 0);
}

/// What the registry has is compared with deploy.toml, and what cannot be an image is a mismatch with its name.
#[test]
fn a_tag_that_does_not_serve_both_cpus_is_told_and_does_not_travel() {
    let deploy = DEPLOY.replace(
        "{ dockerfile = \"Dockerfile.eks\" }",
        "{ dockerfile = \"Dockerfile.eks\", multi-arch = true }",
    );
    let project = Project::with_deploy(&deploy.replacen(
        "protected = true",
        "protected = true\ncreate-repository = true",
        1,
    ));
    project.run("push-dev").expect(0);
    project.run("verify ecr dev").expect(0);
    let [arm64, amd64] =
        ["arm64", "amd64"].map(|arch| tagged(&project, &format!("api-eks-dev-{arch}-latest")));
    let verify = |expected: &str| {
        let run = project.run("verify ecr dev --json").expect(1);
        assert!(
            run.stderr.contains(expected),
            "{expected} is not in {}",
            run.stderr
        );
        assert_eq!(
            run.json().as_array().unwrap().len(),
            4,
            "the others are looked at all the same"
        );
        let all = project.run("verify --json").expect(1).json();
        let row = all
            .as_array()
            .unwrap()
            .iter()
            .find(|row| row["check"] == "ecr dev")
            .unwrap();
        assert_eq!(row["state"], "mismatch", "{row}");
    };
    let tag = |digest: &str| {
        let mut state = project.aws.state();
        state
            .repositories
            .get_mut("backend")
            .unwrap()
            .tags
            .insert("api-eks-dev-latest".into(), digest.into());
    };
    let promote = |expected: &str| {
        let run = project
            .run("promote dev prod --service api --yes")
            .expect(2);
        assert!(
            run.stderr.contains(expected),
            "{expected} is not in {}",
            run.stderr
        );
    };
    tag(&arm64);
    verify("`api-eks-dev-latest` names one image, and deploy.toml has `multi-arch = true`");
    promote("has no image for amd64, and deploy.toml has `multi-arch = true`");
    store(&project, "api-eks-dev-latest", &[(&arm64, "arm64")]);
    verify("`api-eks-dev-latest` is an index without an image for amd64");
    promote("has no image for amd64");
    store(
        &project,
        "api-eks-dev-latest",
        &[(&arm64, "arm64"), (&arm64, "amd64")],
    );
    verify("is listed twice");
    let bytes = "<html>";
    {
        let mut state = project.aws.state();
        let repository = state.repositories.get_mut("backend").unwrap();
        repository
            .manifests
            .insert(digest(bytes.as_bytes()), (INDEX.into(), bytes.into()));
    }
    tag(&digest(bytes.as_bytes()));
    verify("`api-eks-dev-latest` cannot be run");
    let status = project.run("status dev --json").expect(0);
    assert_eq!(status.json()["images"].as_array().unwrap().len(), 4);
    assert!(
        status
            .stderr
            .contains("what `backend:api-eks-dev-latest` names cannot be read"),
        "{}",
        status.stderr
    );
    store(
        &project,
        "api-eks-dev-latest",
        &[(&arm64, "arm64"), (&amd64, "amd64")],
    );
    project.run("verify ecr dev").expect(0);
}

/// A commit's list stays one; a later commit's image for one CPU takes its place in the environment, and that is said.
#[test]
fn a_push_for_one_cpu_does_not_quietly_take_the_other_away() {
    let project = Project::new();
    let report = project.run(PUSH).expect(0).json();
    let list = tagged(&project, "api-eks-dev-latest");
    assert_eq!(report["image-indexes"][0]["digest"], list.as_str());
    assert_eq!(report["image-indexes"][0]["changed"], true);
    assert!(
        report["image-indexes"][0]["tags"]
            .as_array()
            .unwrap()
            .contains(&json!("api-eks-dev-latest")),
        "{report}"
    );
    let record = || fs::read_to_string(project.path("target/xtask-record.jsonl")).unwrap();
    assert!(
        record().lines().any(|line| line.contains(&list)),
        "{}",
        record()
    );
    let lines = record().lines().count();
    project
        .aws
        .state()
        .repositories
        .get_mut("backend")
        .unwrap()
        .mutability = "MUTABLE".into();
    let single = "push dev --service api --dockerfile Dockerfile.eks";
    let tags = || project.aws.state().repositories["backend"].tags.clone();
    let before = tags();
    let stays = project.run(single).expect(0);
    assert!(
        stays
            .stderr
            .contains("api-eks of this commit is an image index for both CPUs, and stays one"),
        "{}",
        stays.stderr
    );
    assert_eq!(tags(), before);
    project.write("backend/more", "x");
    project.commit();
    let plan = project
        .run(&format!("{single} --dry-run --json"))
        .expect(0)
        .json();
    assert!(
        plan["plan"]["notes"][0]
            .as_str()
            .unwrap()
            .contains("image for arm64 alone"),
        "{plan}"
    );
    let said = project.run(single).expect(0);
    assert!(
        said.stderr
            .contains("`api-eks-dev-latest` names an image index for both CPUs now"),
        "{}",
        said.stderr
    );
    assert_ne!(tagged(&project, "api-eks-dev-latest"), list);
    // The index comes at a time of its own, and the image keeps the time at which it came alone.
    let before = tags();
    let started = |tag: &&String| tag.starts_with("api-eks-dev-2");
    project.run(PUSH).expect(0);
    let after = tags();
    for tag in before.keys().filter(started) {
        assert_eq!(after[tag], before[tag], "{tag} has moved");
    }
    let all = record().lines().count();
    // An earlier commit's list is the environment's again: nothing is built, and it is written down.
    project.git("checkout --quiet HEAD~1");
    project.run(PUSH).expect(0);
    assert_eq!(tagged(&project, "api-eks-dev-latest"), list);
    assert!(lines > 0 && record().lines().count() > all, "{}", record());
}
