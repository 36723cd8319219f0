//! Tags of the user's own, seen from outside.

use crate::support::project::{DEPLOY, Project};

const PUSH: &str = "push dev --service worker";

/// A project with tags of its own, in a package with a version.
fn project(more: &str) -> Project {
    let deploy = DEPLOY.replacen(
        "default-service = \"api\"",
        &format!(
            "default-service = \"api\"\ntags = [\"{{env}}-{{branch}}\", \"v{{version}}\"]\n{more}"
        ),
        1,
    );
    let project = Project::with_deploy(&deploy);
    project.write("backend/package.json", "{ \"version\": \"1.4.0\" }");
    project.commit();
    project
}

impl Project {
    fn tag(&self, name: &str) -> Option<String> {
        let state = self.aws.state();
        state.repositories["backend"].tags.get(name).cloned()
    }
}

#[test]
fn tags_of_ones_own_are_written_after_the_prefix_and_a_release_never_moves() {
    let project = project("version = \"backend/package.json\"");
    let first = project.run(&format!("{PUSH} --json")).expect(0).json();
    let digest = first["images"][0]["digest"].as_str().unwrap().to_owned();
    for tag in ["worker-dev-main", "worker-v1.4.0", "worker-dev-latest"] {
        assert_eq!(project.tag(tag).as_ref(), Some(&digest), "{tag}");
        assert!(first["images"][0]["tags"][tag].is_string(), "{first}");
    }
    let filters = project.aws.state().repositories["backend"]
        .exclusions
        .clone();
    assert_eq!(
        filters,
        ["*latest", "*-dirty", "*dev-*"],
        "a repository that is made lets them move, as many as ECR takes"
    );
    let again = project.run(&format!("{PUSH} --json")).expect(0).json();
    assert_eq!(again["images"][0]["changed"], false, "{again}");

    project
        .aws
        .state()
        .repositories
        .get_mut("backend")
        .unwrap()
        .mutability = "MUTABLE".into();
    project.write("backend/changed", "1");
    project.commit();
    let second = project.run(&format!("{PUSH} --json")).expect(0);
    let report = second.json();
    let next = report["images"][0]["digest"].as_str().unwrap().to_owned();
    assert_ne!(next, digest);
    assert_eq!(project.tag("worker-dev-main"), Some(next));
    assert_eq!(
        project.tag("worker-v1.4.0"),
        Some(digest),
        "a release stays"
    );
    assert!(
        second.stderr.contains("`worker-v1.4.0` stays"),
        "{}",
        second.stderr
    );
}

#[test]
fn a_version_is_gits_where_nobody_says_a_file_and_a_tag_without_one_is_left_out() {
    let project = project("");
    let without = project.run(PUSH).expect(0);
    assert!(
        without
            .stderr
            .contains("the tag `worker-v{version}` is left out: no git tag"),
        "{}",
        without.stderr
    );
    project.git("tag v2.0.0");
    project.git("tag nightly");
    project.git("checkout --quiet --detach");
    let released = project.run(PUSH).expect(0);
    assert!(released.stderr.contains("no branch"), "{}", released.stderr);
    assert!(project.tag("worker-v2.0.0").is_some());
}

#[test]
fn an_index_has_the_plain_tags_and_its_images_those_with_a_cpu() {
    let project = project("version = \"backend/package.json\"");
    let deploy = std::fs::read_to_string(project.path("deploy.toml")).unwrap();
    let deploy = deploy.replacen("[\"{env}", "[\"{arch}-{branch}\", \"{env}", 1);
    project.write("deploy.toml", &deploy);
    project.commit();
    let both = "push dev --service api --dockerfile Dockerfile.eks --multi-arch --json";
    let report = project.run(both).expect(0).json();
    let index = report["image-indexes"][0]["digest"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(project.tag("api-eks-v1.4.0").as_ref(), Some(&index));
    assert_eq!(project.tag("api-eks-dev-main").as_ref(), Some(&index));
    let of_arm = project.tag("api-eks-arm64-main").unwrap();
    assert_ne!(of_arm, index);
    assert_eq!(project.tag("api-eks-dev-arm64-latest"), Some(of_arm));
    project.run(both).expect(0);
}

#[test]
fn a_protected_environment_refuses_a_release_that_is_there_and_a_promotion_writes_it() {
    let project = project("version = \"backend/package.json\"");
    project.run(PUSH).expect(0);
    let deploy = std::fs::read_to_string(project.path("deploy.toml")).unwrap();
    let deploy = deploy.replace(
        "repository = \"prod/{project}\"",
        "repository = \"prod/{project}\"\ncreate-repository = true",
    );
    project.write("deploy.toml", &deploy);
    project.commit();
    project.run(PUSH).expect(0);
    let promote = "promote dev prod --service worker --yes";
    project.run(promote).expect(0);
    let released = |project: &Project| {
        let state = project.aws.state();
        state.repositories["prod/backend"]
            .tags
            .get("worker-v1.4.0")
            .cloned()
    };
    let first = released(&project);
    assert!(first.is_some());
    project.write("backend/changed", "1");
    project.commit();
    let refused = project.run("push prod --service worker --yes").expect(2);
    assert!(
        refused.stderr.contains("a release never moves"),
        "{}",
        refused.stderr
    );
    assert_eq!(released(&project), first);
}

#[test]
fn a_version_that_cannot_be_read_and_patterns_that_are_none_are_refused_by_name() {
    let project = project("version = \"backend/Cargo.toml\"");
    let refused = project.run(PUSH).expect(2);
    assert!(
        refused.stderr.contains("`backend/Cargo.toml`"),
        "{}",
        refused.stderr
    );
    let cases = [
        ("{brunch}", "`branch`"),
        ("{env", "a brace without its other half"),
        ("a b", "cannot be a tag"),
    ];
    for (pattern, words) in cases {
        let deploy = format!("{DEPLOY}\n").replacen(
            "region =",
            &format!("tags = [\"{pattern}\"]\nregion ="),
            1,
        );
        project.write("deploy.toml", &deploy);
        let run = project.run(PUSH).expect(2);
        assert!(run.stderr.contains(words), "{words}: {}", run.stderr);
    }
    let shared = DEPLOY
        .replace("repository = \"prod/{project}\"\n", "")
        .replace("build-args = { BASE = \"base:1\" }\n", "")
        .replacen(
            "default-service",
            "tags = [\"{branch}\"]\ndefault-service",
            1,
        );
    project.write("deploy.toml", &shared);
    let clash = project.run(PUSH).expect(2);
    assert!(
        clash.stderr.contains("`api-lambda-<branch>`"),
        "{}",
        clash.stderr
    );
}
