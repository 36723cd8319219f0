//! What AWS documents beyond its service models, met by the real binary; and the table of it.

use std::{fmt::Write as _, fs, path::Path};

use crate::support::{
    aws::Repository,
    project::{DEPLOY, Project},
};

const PUSH: &str = "push dev --service worker";

#[test]
fn a_token_that_ends_in_the_middle_of_a_push_is_named_and_the_next_push_ends_it() {
    let mut told = String::new();
    for lasts in 0..5 {
        let project = Project::new();
        project.aws.state().tokens = vec![lasts];
        let run = project.run(PUSH);
        // An answer to HEAD has no text.
        assert!(
            run.code == 1 && run.stderr.contains("the registry answered HTTP 403"),
            "after {lasts} requests: {}: {}",
            run.code,
            run.stderr
        );
        let _ = writeln!(told, "{}", run.stderr);
        let moving = |project: &Project| {
            let state = project.aws.state();
            let tags = state.repositories["backend"].tags.keys();
            tags.filter(|tag| tag.ends_with("-latest")).count()
        };
        assert_eq!(moving(&project), 0, "after {lasts} requests");
        project.run(PUSH).expect(0);
        assert_eq!(moving(&project), 2);
    }
    assert!(
        told.contains("Your authorization token has expired"),
        "{told}"
    );
}

#[test]
fn an_image_that_has_all_the_tags_that_it_can_have_is_named() {
    let project = Project::new();
    let report = project.run(&format!("{PUSH} --json")).expect(0).json();
    let digest = report["images"][0]["digest"].as_str().unwrap().to_owned();
    {
        let mut state = project.aws.state();
        let repository = state.repositories.get_mut("backend").unwrap();
        repository.tags.clear();
        let full = (0..1000).map(|number| (format!("t{number}"), digest.clone()));
        repository.tags.extend(full);
    }
    let run = project.run(PUSH).expect(1);
    assert!(
        run.stderr.contains("LimitExceededException")
            && run
                .stderr
                .contains("number of tags per image which is '1000'"),
        "{}",
        run.stderr
    );
    assert_eq!(project.aws.state().repositories["backend"].tags.len(), 1000);
}

#[test]
fn where_blobs_are_not_mounted_they_are_sent() {
    let deploy = DEPLOY.replacen(
        "repository = \"prod/{project}\"",
        "repository = \"prod/{project}\"\ncreate-repository = true",
        1,
    );
    let project = Project::with_deploy(&deploy);
    project.run(PUSH).expect(0);
    project.aws.state().uploaded = 0;
    project
        .run("promote dev prod --service worker --yes")
        .expect(0);
    let state = project.aws.state();
    assert!(state.uploaded > 0, "{:?}", state.calls);
    assert_eq!(
        state.repositories["prod/backend"].tags["worker-prod-latest"],
        state.repositories["backend"].tags["worker-dev-latest"]
    );
}

#[test]
fn a_mutable_repository_keeps_the_tags_that_its_filters_name() {
    let project = Project::new();
    let repository = Repository {
        mutability: "MUTABLE_WITH_EXCLUSION".to_owned(),
        exclusions: vec!["*latest".to_owned()],
        ..Repository::default()
    };
    let mut state = project.aws.state();
    state.repositories.insert("backend".to_owned(), repository);
    drop(state);
    project.run(PUSH).expect(0);
    project.write("backend/new", "x");
    project.commit();
    let run = project.run(PUSH).expect(2);
    assert!(
        run.stderr.contains("put-image-tag-mutability"),
        "{}",
        run.stderr
    );
}

/// Each row of RULES.md names a function of the double and a test, or says why there is none.
#[test]
fn the_table_of_rules_names_functions_and_tests_that_there_are() {
    let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite");
    let read = |name: &str| {
        let file = suite.join(name);
        fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    };
    let has = |text: &str, name: &str| {
        text.contains(&format!("fn {name}(")) || text.contains(&format!("{name}:"))
    };
    let table = read("support/aws/RULES.md");
    let rows: Vec<Vec<&str>> = table
        .lines()
        .filter(|line| {
            line.starts_with("| ") && !line.starts_with("| what") && !line.starts_with("| ---")
        })
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    assert!(rows.len() > 20, "{}", rows.len());
    for row in rows {
        assert_eq!(row.len(), 4, "{row:?}");
        for kept in names(row[2]).filter(|name| !row[2].starts_with("no:") && name.contains("::")) {
            let (file, name) = kept.split_once("::").unwrap();
            assert!(
                has(&read(&format!("support/aws/{file}.rs")), name),
                "{kept} of {row:?}"
            );
        }
        for test in names(row[3]) {
            let (file, name) = test.split_once("::").unwrap();
            assert!(has(&read(&format!("{file}.rs")), name), "{test} of {row:?}");
        }
        assert!(
            row[2].starts_with("no:") || row[3].contains("::"),
            "{row:?}"
        );
    }
}

/// What stands in backquotes.
fn names(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}
