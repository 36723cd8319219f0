//! `conformance` against the tests' own AWS: what it asks, and what that AWS answers, agree, and nothing is left.

use crate::support::{
    aws::Fault,
    project::{DEPLOY, Project},
};

const ROLE: &str = "arn:aws:iam::111122223333:role/scratch";

#[test]
fn the_tests_aws_answers_as_conformance_expects_it_and_nothing_is_left() {
    let project = Project::new();
    let line = format!("conformance --account 111122223333 --lambda-role {ROLE} --json");
    let run = project.run(&line).expect(0);
    let findings = run.json()["findings"].as_array().unwrap().clone();
    assert!(findings.len() > 45, "{}", findings.len());
    for what in ["PutImage of an index", "UpdateFunctionCode", "`rollback`"] {
        let named = |one: &&serde_json::Value| one["what"].as_str().unwrap().starts_with(what);
        assert!(findings.iter().any(|one| named(&one)), "{what}");
    }
    let state = project.aws.state();
    assert!(state.repositories.is_empty() && state.functions.is_empty());
}

#[test]
fn what_aws_answers_otherwise_is_named_and_what_was_made_is_deleted() {
    let project = Project::new();
    let other = Fault::Error(400, "InvalidParameterException");
    project.aws.fail("PutLifecyclePolicy", 1, other);
    let run = project.run("conformance --account 111122223333").expect(1);
    assert!(
        run.stderr.contains("PutLifecyclePolicy")
            && run
                .stderr
                .contains("1 of 36 answers are not those of the tests' AWS"),
        "{}",
        run.stderr
    );
    assert!(project.aws.state().repositories.is_empty());
}

#[test]
fn credentials_of_another_account_make_nothing() {
    let project = Project::with_deploy(DEPLOY);
    let run = project.run("conformance --account 444455556666").expect(1);
    assert!(
        run.stderr.contains("the credentials are of 111122223333"),
        "{}",
        run.stderr
    );
    assert_eq!(project.aws.state().calls, ["GetCallerIdentity"]);
    let run = project.run("conformance").expect(2);
    assert!(run.stderr.contains("--account <ID>"), "{}", run.stderr);
}
