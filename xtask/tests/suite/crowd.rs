//! Many pushes at once: of one commit and of two, from one checkout and from two clones into one environment.

use std::{collections::BTreeSet, process::Stdio};

use crate::support::{
    aws::Aws,
    figures,
    project::{Project, Run},
};

const PUSH: &str = "push dev --service worker";

/// Runs a push in each of these projects so many times, all at once.
fn at_once(projects: &[&Project], times: usize) -> Vec<Run> {
    let all = (0..times).flat_map(|_| projects.iter());
    let children: Vec<_> = all
        .map(|project| {
            let mut command = project.command(PUSH);
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().unwrap()
        })
        .collect();
    figures::add("pushes at once", children.len());
    let ends = children.into_iter().map(|child| child.wait_with_output());
    ends.map(|output| Run::from(output.unwrap())).collect()
}

/// The commit that the image of a tag says it is of.
fn commit_of(aws: &Aws, tag: &str) -> String {
    let state = aws.state();
    let digest = &state.repositories["backend"].tags[tag];
    let config = state.image_config(digest).unwrap();
    let labels = &config["config"]["Labels"];
    labels["org.opencontainers.image.revision"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// The tags that name what the environment has now, and the digest of each.
fn newest(aws: &Aws) -> BTreeSet<String> {
    let state = aws.state();
    let tags = state.repositories["backend"].tags.iter();
    let newest = tags.filter(|(tag, _)| tag.ends_with("-latest"));
    newest.map(|(_, digest)| digest.clone()).collect()
}

/// Each has ended well, or says that somebody else was there.
fn are_fine(runs: &[Run]) {
    for run in runs {
        let is_named = run.code == 1 && run.stderr.contains("another push ran at the same time");
        assert!(run.code == 0 || is_named, "{}: {}", run.code, run.stderr);
    }
    assert!(runs.iter().any(|run| run.code == 0));
}

#[test]
fn twenty_pushes_of_one_checkout_build_once_and_all_succeed() {
    let project = Project::new();
    let runs = at_once(&[&project], 20);
    for run in &runs {
        assert_eq!(run.code, 0, "{}", run.stderr);
    }
    let builds = project.docker_verbs();
    let builds = builds.iter().filter(|verb| *verb == "buildx build");
    assert_eq!(builds.count(), 1);
    assert_eq!(newest(&project.aws).len(), 1);
    let state = project.aws.state();
    assert_eq!(state.repositories["backend"].manifests.len(), 1);
}

#[test]
fn two_clones_push_one_commit_at_once() {
    let one = Project::new();
    let mut other = Project::new();
    other.aws = one.aws.clone();
    assert_eq!(one.head(), other.head());
    are_fine(&at_once(&[&one, &other], 10));
    one.run(PUSH).expect(0);
    assert_eq!(newest(&one.aws).len(), 1);
    let revision = format!("worker-{}-arm64", &one.head()[..7]);
    assert_eq!(commit_of(&one.aws, &revision), one.head());
}

#[test]
fn two_clones_push_two_commits_at_once_and_no_tag_is_mixed_up() {
    let one = Project::new();
    let mut other = Project::new();
    other.aws = one.aws.clone();
    other.write("backend/news", "x");
    other.commit();
    are_fine(&at_once(&[&one, &other], 10));
    for project in [&one, &other, &one] {
        project.run(PUSH).expect(0);
        assert_eq!(newest(&one.aws).len(), 1);
        assert_eq!(
            commit_of(&one.aws, "worker-dev-arm64-latest"),
            project.head()
        );
        for ending in ["", "-arm64"] {
            let revision = format!("worker-{}{ending}", &project.head()[..7]);
            assert_eq!(commit_of(&one.aws, &revision), project.head());
        }
    }
}
