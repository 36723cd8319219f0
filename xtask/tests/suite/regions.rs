//! Environments of several regions, seen from outside.

use crate::support::{
    aws::{Fault, Function},
    project::{DEPLOY, Project},
};

const OTHER: &str = "us-east-1";
const PUSH: &str = "push dev --service worker --json";

fn deploy() -> String {
    DEPLOY.replacen(
        "region = \"eu-west-1\"",
        "regions = [\"eu-west-1\", \"us-east-1\"]",
        1,
    )
}

fn project() -> Project {
    let project = Project::with_deploy(&deploy());
    project.aws.add_region(OTHER);
    project
}

impl Project {
    fn there(&self) -> Vec<(String, String)> {
        self.aws.in_region(OTHER, |state| {
            let repositories = state.repositories.values();
            let tags = repositories.flat_map(|one| one.tags.clone());
            tags.collect()
        })
    }

    fn moving_tags_here(&self) -> Vec<String> {
        let state = self.aws.state();
        let repositories = state.repositories.values();
        let tags = repositories.flat_map(|one| one.tags.keys().cloned());
        tags.filter(|tag| tag.ends_with("latest")).collect()
    }
}

#[test]
fn an_image_is_built_once_and_has_one_digest_and_the_same_tags_in_every_region() {
    let project = project();
    let dry = project.run(&format!("{PUSH} --dry-run")).expect(0).json();
    assert_eq!(dry["plan"]["other-places"][0]["region"], OTHER);
    let report = project.run(PUSH).expect(0).json();
    let image = &report["images"][0];
    let digest = image["digest"].as_str().unwrap();
    assert_eq!(image["regions"][OTHER], digest);
    let builds = project
        .docker_verbs()
        .into_iter()
        .filter(|verb| verb == "buildx build");
    assert_eq!(builds.count(), 1);
    let here: Vec<_> = {
        let state = project.aws.state();
        state.repositories["backend"]
            .tags
            .clone()
            .into_iter()
            .collect()
    };
    assert_eq!(project.there(), here);
    assert_eq!(here.len(), 6);
    let again = project.run(PUSH).expect(0).json();
    assert_eq!(again["images"][0]["changed"], false);
    project.run("verify ecr dev --service worker").expect(0);
    let status = project.run("status dev --json").expect(0).json();
    let rows = status["images"].as_array().unwrap();
    let regions = rows.iter().filter(|row| row["image"] == "worker");
    let regions: Vec<_> = regions.map(|row| row["region"].as_str().unwrap()).collect();
    assert_eq!(regions, ["eu-west-1", OTHER]);
}

#[test]
fn a_region_that_refuses_moves_no_tag_in_any() {
    let denied = Fault::Error(400, "AccessDeniedException");
    for operation in ["CreateRepository", "GetAuthorizationToken"] {
        let project = project();
        project.aws.in_region(OTHER, |state| {
            state.faults.push((operation.to_owned(), 9, denied));
        });
        let run = project.run(PUSH).expect(1);
        assert!(
            run.stderr.contains("no tag was moved in any region"),
            "{}",
            run.stderr
        );
        assert!(run.stderr.contains(OTHER), "{}", run.stderr);
        assert_eq!(project.moving_tags_here(), [""; 0]);
        assert_eq!(project.there(), []);
        project.aws.in_region(OTHER, |state| state.faults.clear());
        project.run(PUSH).expect(0);
        assert_eq!(project.there().len(), 6);
    }
    // One that can take no moving tag is known before anything is built.
    let project = project();
    project.run(PUSH).expect(0);
    project.aws.in_region(OTHER, |state| {
        let repository = state.repositories.get_mut("backend").unwrap();
        repository.mutability = "IMMUTABLE".into();
    });
    project.write("backend/changed", "1");
    project.commit();
    let refused = project.run(PUSH).expect(2);
    assert!(
        refused.stderr.contains("in us-east-1 has to move"),
        "{}",
        refused.stderr
    );
}

#[test]
fn an_index_goes_to_every_region() {
    let project = project();
    let line = "push dev --service api --dockerfile Dockerfile.eks --multi-arch --json";
    let report = project.run(line).expect(0).json();
    let index = report["image-indexes"][0]["digest"]
        .as_str()
        .unwrap()
        .to_owned();
    let there = project.there();
    let plain = there
        .iter()
        .find(|(tag, _)| tag == "api-eks-dev-latest")
        .unwrap();
    assert_eq!(plain.1, index);
    assert_eq!(there.len(), 9);
}

#[test]
fn what_runs_is_moved_region_by_region_and_stops_where_one_fails() {
    let project = project();
    let report = project.run(PUSH).expect(0).json();
    let digest = report["images"][0]["digest"].as_str().unwrap().to_owned();
    let name = "backend-dev-worker";
    let old = || Function::new("x86_64", "sha256:old");
    project.aws.state().functions.insert(name.into(), old());
    project
        .aws
        .in_region(OTHER, |state| state.functions.insert(name.into(), old()));
    let runs = |project: &Project| {
        let here = project.aws.state().functions[name].digest.clone();
        (
            here,
            project
                .aws
                .in_region(OTHER, |state| state.functions[name].digest.clone()),
        )
    };
    let line = "migrate-lambda dev --service worker --json";
    let dry = project.run(&format!("{line} --dry-run")).expect(0).json();
    assert_eq!(dry["plan"]["workloads"].as_array().unwrap().len(), 2);
    project.aws.in_region(OTHER, |state| {
        let denied = Fault::Error(403, "AccessDeniedException");
        state
            .faults
            .push(("UpdateFunctionCode".to_owned(), 9, denied));
    });
    let failed = project.run(line).expect(1).json();
    assert_eq!(failed["regions"][0]["moves"][0]["outcome"], "moved");
    assert_eq!(failed["regions"][1]["moves"][0]["outcome"], "restored");
    assert_eq!(runs(&project), (digest.clone(), "sha256:old".to_owned()));
    project.aws.in_region(OTHER, |state| state.faults.clear());
    let moved = project.run(line).expect(0).json();
    assert_eq!(moved["regions"][0]["moves"][0]["outcome"], "unchanged");
    assert_eq!(runs(&project), (digest.clone(), digest.clone()));
    project.run("verify lambda dev --service worker").expect(0);
    project.write("backend/changed", "2");
    project.commit();
    let deployed = project
        .run("deploy dev --service worker --json")
        .expect(0)
        .json();
    assert_eq!(deployed["regions"].as_array().unwrap().len(), 2);
    let (here, there) = runs(&project);
    assert!(here == there && here != digest);
}

#[test]
fn a_promotion_reaches_every_region_before_a_tag_is_written() {
    let deploy = DEPLOY.replacen(
        "repository = \"prod/{project}\"",
        "repository = \"prod/{project}\"\ncreate-repository = true",
        1,
    );
    let deploy = deploy.replace(
        "region = \"eu-west-1\"\nrepository = \"prod",
        "regions = [\"eu-west-1\", \"us-east-1\"]\nrepository = \"prod",
    );
    let project = Project::with_deploy(&deploy);
    project.aws.add_region(OTHER);
    project.run(PUSH).expect(0);
    project.aws.in_region(OTHER, |state| {
        let denied = Fault::Error(400, "AccessDeniedException");
        state
            .faults
            .push(("CreateRepository".to_owned(), 9, denied));
    });
    let promote = "promote dev prod --service worker --yes --json";
    project.run(promote).expect(1);
    let prod = |project: &Project| {
        let state = project.aws.state();
        state
            .repositories
            .get("prod/backend")
            .map_or(0, |one| one.tags.len())
    };
    assert_eq!(prod(&project), 0, "no tag anywhere");
    project.aws.in_region(OTHER, |state| state.faults.clear());
    let report = project.run(promote).expect(0).json();
    assert_eq!(report["other-regions"][0]["to"]["region"], OTHER);
    assert_eq!(prod(&project), 6);
    assert_eq!(project.there().len(), 6);
}

#[test]
fn regions_are_said_once_and_in_one_way() {
    let refused = |change: &str, words: &str| {
        let project = Project::with_deploy(&DEPLOY.replacen("region = \"eu-west-1\"", change, 1));
        let run = project.run(PUSH).expect(2);
        assert!(
            run.stderr.contains(words),
            "{words} is not in {}",
            run.stderr
        );
    };
    refused("", "has neither `region` nor `regions`");
    refused(
        "region = \"eu-west-1\"\nregions = [\"us-east-1\"]",
        "has `region` and `regions`",
    );
    refused("regions = []", "has no region");
    refused("regions = [\"eu-west-1\", \"eu-west-1\"]", "twice");
    refused("regions = [\"nowhere\"]", "which is no AWS region");
    refused("regions = \"eu-west-1\"", "regions");
}
