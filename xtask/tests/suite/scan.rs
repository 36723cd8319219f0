//! Scans and the gate before moving tags, seen from outside: with a recording Trivy and Grype, and an ECR that scans by its rules.

use std::fs;

use serde_json::{Value, json};

use crate::support::{
    aws::{
        Aws, Fault, PASSWORD,
        scans::{Scanning, basic, enhanced},
    },
    project::{DEPLOY, Project, Run, deploy_to},
};

const WORKER: &str = "scan dev --service worker";
const PUSH: &str = "push dev --service worker";
const GATE: &str = "create-repository = true\nscan = \"high\"";

/// What the recording scanners find.
fn findings(project: &Project, all: &[(&str, &str, &str)]) {
    let of = |(id, severity, fixed): &(&str, &str, &str)| {
        let mut one = json!({ "id": id, "severity": severity, "package": "openssl" });
        if !fixed.is_empty() {
            one["fixed"] = json!(fixed);
        }
        one
    };
    let all: Vec<_> = all.iter().map(of).collect();
    project.write("docker/findings.json", &json!(all).to_string());
}

const BOTH: [(&str, &str, &str); 2] = [
    ("CVE-2024-1111", "high", "1.1"),
    ("CVE-2024-2222", "critical", ""),
];

/// A project with a pushed image, and a scanner that finds two vulnerabilities in it.
fn pushed(scanner: &str) -> Project {
    let project = Project::new();
    project.run(PUSH).expect(0);
    project.install_scanner(scanner);
    findings(&project, &BOTH);
    project
}

/// A project without a scanner, also where the machine has one.
fn run_without_scanner(project: &Project, line: &str) -> Run {
    let bin = project.path("bin");
    project.run_with(line, &[("PATH", bin.to_str().unwrap())])
}

fn log(project: &Project, name: &str) -> String {
    fs::read_to_string(project.path("docker").join(name)).unwrap_or_default()
}

fn ids(document: &Value) -> Vec<String> {
    let findings = document["images"][0]["findings"].as_array().unwrap();
    let id = |one: &Value| one["id"].as_str().unwrap().to_owned();
    findings.iter().map(id).collect()
}

fn with_exception(deploy: &str, more: &str) -> String {
    format!(
        "{deploy}\n[[scan.exceptions]]\nid = \"CVE-2024-2222\"\nreason = \"never called\"\n{more}\n"
    )
}

/// The tags of the environment that move, and what they name.
fn moving(project: &Project, repository: &str) -> Vec<(String, String)> {
    let state = project.aws.state();
    let tags = state.repositories[repository].tags.clone();
    tags.into_iter()
        .filter(|(tag, _)| tag.ends_with("latest"))
        .collect()
}

#[test]
fn an_environment_s_images_are_scanned_by_their_digest_without_a_login() {
    for scanner in ["trivy", "grype"] {
        let project = pushed(scanner);
        let run = project.run(&format!("{WORKER} --json")).expect(0);
        let document = run.json();
        let image = &document["images"][0];
        assert_eq!(document["scanner"], scanner);
        assert_eq!(ids(&document), ["CVE-2024-2222", "CVE-2024-1111"]);
        assert_eq!(image["counts"], json!({ "high": 1, "critical": 1 }));
        assert_eq!(image["platform"], "linux/arm64");
        assert_eq!(image["findings"][1]["fixed"], json!({ "in": "1.1" }));
        let digest = project.aws.state().repositories["backend"].tags["worker-dev-latest"].clone();
        let reference = format!("{}/backend@{digest}", project.aws.registry);
        assert_eq!(image["reference"], reference.as_str());
        assert_eq!(log(&project, "scanned"), format!("{digest} linux/arm64\n"));
        assert!(run.stderr.contains("CVE-2024-1111"), "{}", run.stderr);
        let (argv, env) = (log(&project, "scanner-log"), log(&project, "scanner-env"));
        assert!(!argv.contains(&project.aws.registry), "{argv}");
        assert!(!argv.contains(PASSWORD) && !env.contains(PASSWORD));
        for name in ["_USERNAME=", "_PASSWORD=", "REGISTRY_AUTH"] {
            assert!(!env.contains(name), "{name} is in: {env}");
        }
    }
}

#[test]
fn what_the_store_lacks_is_fetched_and_nothing_is_left_but_the_store() {
    let project = pushed("trivy");
    fs::remove_dir_all(project.path("target/images")).unwrap();
    let line = format!("{WORKER} --json");
    assert_eq!(ids(&project.run(&line).expect(0).json()).len(), 2);
    let left = fs::read_dir(project.path("target/images/ingest")).unwrap();
    assert_eq!(left.count(), 0);
    let before = project.aws.state().requests.len();
    project.run(&line).expect(0);
    let state = project.aws.state();
    let blobs = state.requests[before..]
        .iter()
        .filter(|one| one.as_str() == "GET blob");
    // The config says the platform, and is read once; no layer is fetched again.
    assert_eq!(blobs.count(), 1, "{:?}", &state.requests[before..]);
}

#[test]
fn a_level_decides_the_exit_code_and_what_has_no_fix_can_be_let_through() {
    let project = pushed("trivy");
    for (more, code) in [
        ("", 0),
        ("--fail-on critical", 1),
        ("--fail-on high", 1),
        ("--fail-on high --only-fixed", 1),
        ("--fail-on critical --only-fixed", 0),
    ] {
        project.run(&format!("{WORKER} {more}")).expect(code);
    }
    let run = project.run(&format!("{WORKER} --fail-on high")).expect(1);
    assert!(
        run.stderr
            .contains("2 vulnerabilities of severity high or worse"),
        "{}",
        run.stderr
    );
    let run = project.run(&format!("{WORKER} --fail-on bad")).expect(2);
    assert!(
        run.stderr.contains("critical, high, medium, low"),
        "{}",
        run.stderr
    );
}

#[test]
fn the_scanner_can_be_chosen_and_must_be_there() {
    let project = pushed("grype");
    project.install_scanner("trivy");
    // The second takes the first one's name from it.
    project.install_scanner("grype");
    project.run(&format!("{WORKER} --scanner grype")).expect(0);
    assert!(log(&project, "scanner-log").starts_with("grype "));
    let bin = project.path("bin");
    let only = [("PATH", bin.to_str().unwrap())];
    let run = project
        .run_with(&format!("{WORKER} --scanner trivy"), &only)
        .expect(2);
    assert!(
        run.stderr.contains("`trivy` is not installed"),
        "{}",
        run.stderr
    );
    let run = project.run(&format!("{WORKER} --scanner snyk")).expect(2);
    assert!(run.stderr.contains("trivy, grype or ecr"), "{}", run.stderr);
    let planned = project
        .run(&format!("{WORKER} --scanner grype --dry-run --json"))
        .expect(0);
    assert_eq!(
        planned.json()["plan"]["images"].as_array().unwrap().len(),
        1
    );
    assert_eq!(
        log(&project, "scanned").lines().count(),
        1,
        "a dry run scans nothing"
    );
}

#[test]
fn a_reference_is_scanned_and_an_index_image_by_image() {
    let deploy = DEPLOY.replace(
        "Dockerfile.eks\" }",
        "Dockerfile.eks\", multi-arch = true }",
    );
    let project = Project::with_deploy(&deploy);
    project.run("push dev --service api").expect(0);
    project.install_scanner("trivy");
    let registry = &project.aws.registry;
    let run = project
        .run(&format!(
            "scan {registry}/backend:api-eks-dev-latest --json"
        ))
        .expect(0);
    let document = run.json();
    let images = document["images"].as_array().unwrap();
    let platforms: Vec<_> = images
        .iter()
        .map(|one| one["platform"].as_str().unwrap())
        .collect();
    assert_eq!(platforms, ["linux/amd64", "linux/arm64"]);
    let scanned = log(&project, "scanned");
    for image in images {
        let (_, digest) = image["reference"]
            .as_str()
            .unwrap()
            .split_once('@')
            .unwrap();
        let line = format!("{digest} {}\n", image["platform"].as_str().unwrap());
        assert!(scanned.contains(&line), "{line} is not in: {scanned}");
    }
    let one = images[0]["reference"].as_str().unwrap();
    let run = project.run(&format!("scan {one} --json")).expect(0);
    assert_eq!(run.json()["images"][0]["reference"], one);
    let whole = project
        .run("scan dev --service api --json")
        .expect(0)
        .json();
    assert_eq!(whole["images"].as_array().unwrap().len(), 4);
    for (line, words) in [
        ("scan dve", "write one of `dev`, `prod`"),
        ("scan python", "`python:latest`"),
        (
            &format!("scan {registry}/backend:none"),
            "there is no image",
        ),
        (&format!("scan {registry}/BACKEND:x"), "is no image"),
        (
            &format!("scan {registry}/backend:x --service api"),
            "`--service`",
        ),
        ("scan prod", "cargo xtask push prod"),
        ("scan dev --sarif - --json", "both want standard output"),
    ] {
        let run = project.run(line).expect(2);
        assert!(run.stderr.contains(words), "{line}: {}", run.stderr);
    }
}

#[test]
fn what_a_scanner_prints_is_a_report_or_an_error() {
    let project = pushed("trivy");
    let other = r#"{"SchemaVersion":2,"Metadata":{"ImageID":"sha256:other"},"Results":[]}"#;
    for (says, fails, words) in [
        ("", None, "it printed nothing"),
        (
            "no \u{1b}[31mJSON\u{1b}[0m\rerror: forged",
            None,
            "is no report",
        ),
        ("{}", None, "is no report"),
        ("[1, 2", None, "is no report"),
        (other, None, "of another image"),
        ("", Some("1"), "failed to download vulnerability DB red"),
    ] {
        project.write("docker/scanner-says", says);
        if let Some(code) = fails {
            project.write("docker/scanner-fails", code);
        }
        let run = project.run(&format!("{WORKER} --json")).expect(1);
        assert!(
            run.stderr.contains(words),
            "{words} is not in: {}",
            run.stderr
        );
        assert!(
            !run.stderr.contains('\u{1b}') && !run.stderr.contains('\r'),
            "{}",
            run.stderr
        );
        assert!(
            run.stderr.contains("1 of 1 images were not scanned"),
            "{}",
            run.stderr
        );
        let document = run.json();
        assert_eq!(document["fails"], true);
        assert!(
            document["images"][0]["findings"].is_null()
                && document["images"][0]["error"].is_string()
        );
    }
    fs::remove_file(project.path("docker/scanner-says")).unwrap();
    fs::remove_file(project.path("docker/scanner-fails")).unwrap();
    let hostile = json!([{ "id": "CVE-2024-1\u{1b}]8;;http://x\u{7}\nerror: forged", "severity": "high", "package": "a\u{202e}b\r",
                           "title": "x".repeat(100_000) }]);
    project.write("docker/findings.json", &hostile.to_string());
    let run = project.run(&format!("{WORKER} --json")).expect(0);
    assert!(
        !run.stderr.contains(['\u{1b}', '\u{202e}', '\r']),
        "{}",
        run.stderr
    );
    assert!(!run.stderr.contains("\nerror: forged"), "{}", run.stderr);
    let title = run.json()["images"][0]["findings"][0]["title"]
        .as_str()
        .unwrap()
        .len();
    assert!(title <= 2000, "{title}");
}

#[test]
fn an_exception_counts_until_its_day_and_for_its_service() {
    let project = pushed("trivy");
    let line = format!("{WORKER} --fail-on critical --json");
    project.run(&line).expect(1);
    for (more, code, words) in [
        (
            "until = 2999-12-31",
            0,
            "is accepted until 2999-12-31: never called",
        ),
        (
            "until = \"2999-12-31\"\npackage = \"openssl\"\nservice = \"worker\"",
            0,
            "is accepted until",
        ),
        (
            "until = 2999-12-31\nservice = \"api\"",
            1,
            "1 vulnerability of severity critical",
        ),
        (
            "until = 2999-12-31\npackage = \"zlib\"",
            1,
            "1 vulnerability of severity critical",
        ),
        (
            "until = 2020-01-01",
            1,
            "the exception for CVE-2024-2222 ran out on 2020-01-01, and counts no more",
        ),
    ] {
        project.write("deploy.toml", &with_exception(DEPLOY, more));
        let run = project.run(&line).expect(code);
        assert!(run.stderr.contains(words), "{more}: {}", run.stderr);
        let finding = &run.json()["images"][0]["findings"][0];
        assert_eq!(
            finding["exception"]["reason"].is_string(),
            code == 0,
            "{more}"
        );
        assert_eq!(finding["fails"], code == 1);
    }
}

#[test]
fn sarif_has_a_rule_for_each_vulnerability_and_the_image_as_the_place() {
    let project = pushed("trivy");
    project.write("deploy.toml", &with_exception(DEPLOY, "until = 2999-12-31"));
    project
        .run(&format!("{WORKER} --sarif out.sarif"))
        .expect(0);
    let sarif: Value =
        serde_json::from_str(&fs::read_to_string(project.path("out.sarif")).unwrap()).unwrap();
    assert_eq!(sarif["version"], "2.1.0");
    assert!(sarif["$schema"].as_str().unwrap().contains("sarif-2.1.0"));
    let run = &sarif["runs"][0];
    let (rules, results) = (
        &run["tool"]["driver"]["rules"],
        run["results"].as_array().unwrap(),
    );
    assert_eq!(run["tool"]["driver"]["name"], "Trivy");
    assert_eq!((rules.as_array().unwrap().len(), results.len()), (2, 2));
    for (result, level, number) in [(&results[0], "error", "9.5"), (&results[1], "error", "8.0")] {
        let rule = &rules[usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap()];
        assert_eq!(rule["id"], result["ruleId"]);
        assert_eq!(rule["properties"]["security-severity"], number);
        assert!(rule["shortDescription"]["text"].is_string() && rule["helpUri"].is_string());
        assert_eq!(result["level"], level);
        assert!(
            result["message"]["text"]
                .as_str()
                .unwrap()
                .contains("openssl 1.0")
        );
        let place = &result["locations"][0]["physicalLocation"];
        let uri = place["artifactLocation"]["uri"].as_str().unwrap();
        assert!(
            uri.contains("/backend@sha256:") && uri.starts_with("127.0.0.1%3A"),
            "{uri}"
        );
        assert_eq!(place["region"]["startLine"], 1);
        assert!(
            result["partialFingerprints"]
                .as_object()
                .unwrap()
                .values()
                .all(Value::is_string)
        );
    }
    assert_eq!(
        results[0]["suppressions"][0]["justification"],
        "never called (until 2999-12-31)"
    );
    assert!(results[1]["suppressions"].is_null());
    let printed = project.run(&format!("{WORKER} --sarif -")).expect(0).json();
    assert_eq!(printed, sarif);
}

/// A project without a scanner of its own, whose ECR scans.
fn in_ecr(scanning: Scanning) -> Project {
    let project = Project::new();
    project.run(PUSH).expect(0);
    project.aws.state().scanning = scanning;
    project
}

fn count(project: &Project, operation: &str) -> usize {
    let state = project.aws.state();
    state
        .calls
        .iter()
        .filter(|call| call.starts_with(operation))
        .count()
}

#[test]
fn ecr_s_basic_scan_is_ordered_where_there_is_none_and_waited_for() {
    let project = in_ecr(Scanning {
        polls: 2,
        page: Some(2),
        findings: (0..5)
            .map(|n| basic(&format!("CVE-2024-000{n}"), "HIGH", "glibc"))
            .collect(),
        ..Scanning::default()
    });
    let run = run_without_scanner(&project, &format!("{WORKER} --json --fail-on high")).expect(1);
    let document = run.json();
    assert_eq!(document["scanner"], "ecr");
    assert_eq!(ids(&document).len(), 5, "all pages are read");
    let finding = &document["images"][0]["findings"][0];
    assert_eq!(
        (&finding["package"], &finding["installed"]),
        (&json!("glibc"), &json!("1.0"))
    );
    assert_eq!(finding["fixed"], "untold");
    assert_eq!(count(&project, "StartImageScan"), 1);
    // None, two that are not done, and three pages.
    assert_eq!(count(&project, "DescribeImageScanFindings"), 6);
    // ECR does not say what has a fix, so that all of it counts.
    run_without_scanner(&project, &format!("{WORKER} --fail-on high --only-fixed")).expect(1);
    assert_eq!(
        count(&project, "StartImageScan"),
        1,
        "what was scanned is not scanned again"
    );
}

#[test]
fn ecr_s_enhanced_scan_is_waited_for_and_never_ordered_in_earnest() {
    let project = in_ecr(Scanning {
        enhanced: true,
        polls: 2,
        findings: vec![
            enhanced(
                "CVE-2024-0001",
                "CRITICAL",
                ["libc6", "libc-bin"],
                "1:2.36-9+deb12u5",
            ),
            enhanced(
                "CVE-2024-0002",
                "UNTRIAGED",
                ["libc6", "libc-bin"],
                "NotAvailable",
            ),
        ],
        ..Scanning::default()
    });
    let run = run_without_scanner(&project, &format!("{WORKER} --json")).expect(0);
    let document = run.json();
    let image = &document["images"][0];
    assert_eq!(image["counts"], json!({ "unknown": 2, "critical": 2 }));
    let first = &image["findings"][0];
    assert_eq!(first["installed"], "1:2.36-9+deb12u4");
    assert_eq!(first["fixed"], json!({ "in": "1:2.36-9+deb12u5" }));
    assert_eq!(image["findings"][2]["fixed"], "none");
    assert_eq!(count(&project, "StartImageScan"), 0);
}

#[test]
fn ecr_that_cannot_scan_says_why_and_one_that_does_not_end_is_given_up() {
    let cases = [
        (
            Some(("FAILED", "an internal error")),
            None,
            "",
            "FAILED: an internal error",
        ),
        (
            Some(("UNSUPPORTED_IMAGE", "os unknown")),
            None,
            "",
            "Trivy or Grype may read",
        ),
        (
            Some(("SCAN_ELIGIBILITY_EXPIRED", "too old")),
            None,
            "",
            "SCAN_ELIGIBILITY_EXPIRED",
        ),
        (
            None,
            Some("UnsupportedImageTypeException"),
            "",
            "it does not take the order",
        ),
        (
            None,
            Some("LimitExceededException"),
            "--wait 0s",
            "ECR says no scan (it does not take the order)",
        ),
        (None, Some("ServerException"), "", "ServerException"),
    ];
    for (ends_with, refuses, more, words) in cases {
        let project = in_ecr(Scanning {
            ends_with,
            refuses,
            ..Scanning::default()
        });
        let run = run_without_scanner(&project, &format!("{WORKER} --json {more}")).expect(1);
        assert!(
            run.stderr.contains(words),
            "{words} is not in: {}",
            run.stderr
        );
    }
    let project = in_ecr(Scanning {
        polls: 1000,
        ..Scanning::default()
    });
    let run = run_without_scanner(&project, &format!("{WORKER} --wait 1s")).expect(1);
    assert!(
        run.stderr
            .contains("not done after 1s: ECR says IN_PROGRESS"),
        "{}",
        run.stderr
    );
    assert!(
        count(&project, "DescribeImageScanFindings") < 8,
        "questions are spaced"
    );
}

#[test]
fn a_throttled_question_is_asked_again() {
    let project = in_ecr(Scanning::default());
    project.aws.fail(
        "DescribeImageScanFindings",
        2,
        Fault::Error(400, "ThrottlingException"),
    );
    let run = run_without_scanner(&project, WORKER).expect(0);
    assert!(
        run.stderr.contains("no vulnerability is known"),
        "{}",
        run.stderr
    );
}

fn gated() -> Project {
    let project = Project::with_deploy(&DEPLOY.replacen("create-repository = true", GATE, 1));
    project.install_scanner("trivy");
    project
}

#[test]
fn an_image_that_does_not_pass_gets_its_lasting_tags_and_no_moving_one() {
    let project = gated();
    let first = project.run(&format!("{PUSH} --json")).expect(0).json();
    assert_eq!(first["images"][0]["scan"]["findings"], json!([]));
    let before = moving(&project, "backend");
    assert_eq!(before.len(), 2);

    findings(&project, &BOTH);
    project.write("backend/main.py", "new");
    project.commit();
    let run = project.run("push dev --json").expect(1);
    for words in [
        "2 vulnerabilities of severity high or worse",
        "critical CVE-2024-2222 in openssl 1.0: no fix yet",
        "high CVE-2024-1111 in openssl 1.0: fixed in 1.1",
        "[[scan.exceptions]]",
        "no moving tag is written",
    ] {
        assert!(
            run.stderr.contains(words),
            "{words} is not in: {}",
            run.stderr
        );
    }
    assert_eq!(moving(&project, "backend"), before);
    let short = &project.head()[..7];
    {
        let state = project.aws.state();
        let tags = &state.repositories["backend"].tags;
        assert!(
            tags.contains_key(&format!("worker-{short}"))
                && tags.contains_key(&format!("api-eks-{short}"))
        );
    }

    // The same commit, after the findings were looked at: nothing is built again, and the tags move.
    let accepted = DEPLOY.replacen("create-repository = true", GATE, 1);
    let accepted = with_exception(&accepted, "until = 2999-12-31")
        + "[[scan.exceptions]]\nid = \"CVE-2024-1111\"\nreason = \"not used\"\nuntil = \"2999-12-31\"\n";
    project.write("accepted.toml", &accepted);
    project.write(".git/info/exclude", "accepted.toml\n");
    let run = project
        .run("push dev --config accepted.toml --json")
        .expect(0);
    let document = run.json();
    assert!(
        document["images"]
            .as_array()
            .unwrap()
            .iter()
            .all(|image| image["built"] == false)
    );
    assert!(
        run.stderr
            .contains("CVE-2024-2222 is accepted until 2999-12-31: never called"),
        "{}",
        run.stderr
    );
    let after = moving(&project, "backend");
    assert_eq!(after.len(), 8);
    assert!(before.iter().all(|old| !after.contains(old)), "{after:?}");
    // Where no tag moves, nothing is scanned.
    let scanned = log(&project, "scanned").lines().count();
    project.run("push dev --config accepted.toml").expect(0);
    assert_eq!(log(&project, "scanned").lines().count(), scanned);
}

#[test]
fn one_image_that_does_not_pass_stops_the_moving_tags_of_all() {
    let project = gated();
    let accepted = with_exception(
        &DEPLOY.replacen("create-repository = true", GATE, 1),
        "until = 2999-12-31\nservice = \"api\"",
    );
    project.write("deploy.toml", &accepted);
    project.commit();
    findings(&project, &[("CVE-2024-2222", "critical", "")]);
    let run = project.run("push dev --json").expect(1);
    let document = run.json();
    let failed = |image: &Value| {
        image["error"]
            .as_str()
            .is_some_and(|text| text.contains("CVE-2024-2222"))
    };
    let images = document["images"].as_array().unwrap();
    let names: Vec<_> = images
        .iter()
        .filter(|one| failed(one))
        .map(|one| &one["name"])
        .collect();
    assert_eq!(names, ["worker"]);
    assert_eq!(moving(&project, "backend"), []);
}

#[test]
fn a_scan_that_is_not_made_lets_nothing_through_and_the_next_run_goes_on() {
    let project = gated();
    project.write("docker/scanner-fails", "1");
    let run = project.run(PUSH).expect(1);
    for words in [
        "failed to download vulnerability DB",
        "run the command again once Trivy works",
    ] {
        assert!(
            run.stderr.contains(words),
            "{words} is not in: {}",
            run.stderr
        );
    }
    assert_eq!(moving(&project, "backend"), []);
    fs::remove_file(project.path("docker/scanner-fails")).unwrap();
    project.run(PUSH).expect(0);
    assert_eq!(moving(&project, "backend").len(), 2);
}

#[test]
fn an_index_moves_only_when_each_of_its_images_passes() {
    let deploy = DEPLOY.replacen("create-repository = true", GATE, 1);
    let deploy = deploy.replace(
        "Dockerfile.eks\" }",
        "Dockerfile.eks\", multi-arch = true }",
    );
    let project = Project::with_deploy(&deploy);
    project.install_scanner("trivy");
    findings(&project, &BOTH);
    let line = "push dev --service api --dockerfile Dockerfile.eks";
    project.run(line).expect(1);
    assert_eq!(moving(&project, "backend"), []);
    assert_eq!(log(&project, "scanned").lines().count(), 2);
    findings(&project, &[]);
    project.run(line).expect(0);
    assert_eq!(moving(&project, "backend").len(), 3);
}

#[test]
fn the_gate_takes_ecr_s_scan_where_nothing_is_installed_and_the_plan_says_so() {
    let project = Project::with_deploy(&DEPLOY.replacen("create-repository = true", GATE, 1));
    project.aws.state().scanning = Scanning {
        polls: 1,
        findings: vec![basic("CVE-2024-0001", "CRITICAL", "glibc")],
        ..Scanning::default()
    };
    let planned = run_without_scanner(&project, &format!("{PUSH} --dry-run --json")).expect(0);
    assert_eq!(
        planned.json()["plan"]["scan"],
        json!({ "scanner": "ecr", "fail-on": "high" })
    );
    assert!(
        planned
            .stderr
            .contains("scan: each image with ECR before its moving tags"),
        "{}",
        planned.stderr
    );
    let run = run_without_scanner(&project, PUSH).expect(1);
    assert!(
        run.stderr
            .contains("critical CVE-2024-0001 in glibc 1.0: no word of a fix"),
        "{}",
        run.stderr
    );
    assert_eq!(moving(&project, "backend"), []);
}

#[test]
fn without_anything_that_can_scan_nothing_is_begun() {
    let hub = Aws::start();
    let registry = format!("registry = \"{}/acme\"\nscan = \"low\"", hub.registry);
    let project = Project::with_deploy(&DEPLOY.replacen("create-repository = true", &registry, 1));
    project.log_in_to(&hub.registry);
    hub.state().makes_repositories = true;
    let run = run_without_scanner(&project, PUSH).expect(2);
    for words in [
        "`dev` has `scan = \"low\"`",
        "neither Trivy nor Grype is installed",
        "https://trivy.dev",
    ] {
        assert!(
            run.stderr.contains(words),
            "{words} is not in: {}",
            run.stderr
        );
    }
    assert!(!project.docker_log().contains("buildx build"));
    assert!(hub.state().repositories.is_empty());
    // With a scanner it goes on, and that one is given no login of the registry.
    hub.state().hands_out_tokens = true;
    project.install_scanner("trivy");
    project.run(PUSH).expect(0);
    assert!(
        hub.state().repositories["acme/backend"]
            .tags
            .contains_key("worker-dev-latest")
    );
    let run = project.run("scan dev").expect(0);
    assert!(
        run.stderr
            .contains("has no image `api-lambda-dev-latest`: there is nothing to scan"),
        "{}",
        run.stderr
    );
    assert!(!log(&project, "scanner-env").contains(PASSWORD));
    let run = project.run("scan dev --scanner ecr").expect(2);
    assert!(
        run.stderr
            .contains("is not ECR, which scans its own images alone"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_promotion_goes_through_the_gate_of_the_environment_that_gets_the_image() {
    let far = Aws::start();
    let gate = deploy_to(&far).replacen("protected = true", "protected = true\nscan = \"high\"", 1);
    let project = Project::with_deploy(&gate);
    project.run(PUSH).expect(0);
    project.install_scanner("trivy");
    findings(&project, &BOTH);
    let line = "promote dev prod --service worker --yes --json";
    let planned = project.run(&format!("{line} --dry-run")).expect(0).json();
    assert_eq!(planned["plan"]["scan"]["fail-on"], "high");
    let run = project.run(line).expect(1);
    for words in [
        "2 vulnerabilities of severity high or worse",
        "no moving tag is written",
    ] {
        assert!(
            run.stderr.contains(words),
            "{words} is not in: {}",
            run.stderr
        );
    }
    let tags = || far.state().repositories["prod/backend"].tags.clone();
    assert!(!tags().is_empty() && tags().keys().all(|tag| !tag.ends_with("latest")));
    findings(&project, &[("CVE-2024-3333", "medium", "")]);
    project.run(line).expect(0);
    assert!(tags().keys().any(|tag| tag.ends_with("latest")));
}

#[test]
fn a_deployment_moves_nothing_to_an_image_that_does_not_pass() {
    let project = gated();
    findings(&project, &BOTH);
    let run = project.run("deploy dev --service worker").expect(1);
    assert!(
        run.stderr.contains("no moving tag is written"),
        "{}",
        run.stderr
    );
    assert_eq!(count(&project, "UpdateFunctionCode"), 0);
}

#[test]
fn the_doctor_says_what_scans_where_an_environment_asks_for_it() {
    let project = gated();
    let checks = project.run("doctor --json").json();
    let found = |checks: &Value| {
        let mut checks = checks.as_array().unwrap().iter();
        let check = checks.find(|check| check["what"] == "scanner for dev");
        check.map(|check| check["found"].as_str().unwrap().to_owned())
    };
    assert_eq!(found(&checks).as_deref(), Some("Trivy"));
    let checks = Project::new().run("doctor --json").json();
    assert_eq!(found(&checks), None);
}
