//! A push, seen from outside: the real binary, a recording docker, and an AWS that keeps its rules.
use std::fs;

use serde_json::json;

use crate::support::{
    aws::{Aws, Fault, NO_ANSWER, Repository},
    project::{DEPLOY, Project},
};

#[test]
fn what_this_tool_keeps_makes_no_tree_dirty() {
    let project = Project::new();
    project.write(".gitignore", "/home\n/docker\n/bin\n");
    project.commit();
    for sources in [false, true] {
        if sources {
            // A directory of that name which is somebody else's.
            fs::remove_dir_all(project.path("target")).unwrap();
            fs::create_dir(project.path("target")).unwrap();
            project.write("target/ours.txt", "a source");
            project.commit();
        }
        project.run("push dev --service worker").expect(0);
        assert!(project.path("target/xtask-record.jsonl").exists());
        assert_eq!(project.git("status --porcelain"), "");
        project.write("target/new.txt", "a new file");
        assert_eq!(
            project.git("status --porcelain") == "?? target/new.txt",
            sources,
            "cargo's directory is ignored whole"
        );
        fs::remove_file(project.path("target/new.txt")).unwrap();
    }
}

/// The tags that name a digest, with their digests.
fn tags(project: &Project, repository: &str) -> Vec<(String, String)> {
    let state = project.aws.state();
    let repository = state
        .repositories
        .get(repository)
        .unwrap_or_else(|| panic!("repository {repository} is missing"));
    repository
        .tags
        .iter()
        .map(|(tag, digest)| (tag.clone(), digest.clone()))
        .collect()
}

fn tags_with<'t>(all: &'t [(String, String)], prefix: &str) -> Vec<&'t (String, String)> {
    all.iter()
        .filter(|(tag, _)| tag.starts_with(prefix))
        .collect()
}

/// The call with this beginning is at this place.
fn position(calls: &[String], start: &str) -> usize {
    calls
        .iter()
        .position(|call| call.starts_with(start))
        .unwrap_or_else(|| panic!("no `{start}` in {calls:#?}"))
}

fn last_position(calls: &[String], start: &str) -> usize {
    calls
        .iter()
        .rposition(|call| call.starts_with(start))
        .unwrap_or_else(|| panic!("no `{start}` in {calls:#?}"))
}

#[test]
fn six_tags_name_one_digest_and_the_moving_ones_are_written_last() {
    let project = Project::new();
    let run = project.run("push dev --service worker --json").expect(0);
    let report = run.json();
    let image = &report["images"][0];
    let short = &project.head()[..7];
    let all = tags(&project, "backend");
    assert_eq!(all.len(), 6, "{all:?}");
    assert!(
        all.iter()
            .all(|(_, digest)| digest == image["digest"].as_str().unwrap())
    );
    let names: Vec<_> = all.iter().map(|(tag, _)| tag.as_str()).collect();
    for tag in [
        format!("worker-{short}"),
        format!("worker-{short}-arm64"),
        "worker-dev-latest".into(),
        "worker-dev-arm64-latest".into(),
    ] {
        assert!(
            names.contains(&tag.as_str()),
            "{tag} is missing in {names:?}"
        );
    }
    assert_eq!(image["platform"], "linux/arm64");

    let state = project.aws.state();
    let repository = &state.repositories["backend"];
    assert!(repository.scan_on_push);
    assert_eq!(
        (
            repository.mutability.as_str(),
            repository.exclusions.as_slice()
        ),
        (
            "IMMUTABLE_WITH_EXCLUSION",
            &["*latest".to_owned(), "*-dirty".to_owned()][..]
        )
    );
    let first_moving = state
        .calls
        .iter()
        .position(|call| call.starts_with("PutImage") && call.ends_with("-latest"))
        .unwrap();
    let fixed = state
        .calls
        .iter()
        .rposition(|call| call.starts_with("PutImage") && !call.ends_with("-latest"))
        .unwrap();
    assert!(fixed < first_moving, "{:#?}", state.calls);
    assert!(position(&state.calls, "CreateRepository") < position(&state.calls, "PUT /v2/"));
    assert_eq!(
        state
            .calls
            .iter()
            .filter(|call| call.contains("/manifests/"))
            .count(),
        1,
        "pushed once: {:#?}",
        state.calls
    );
}

#[test]
fn every_build_ends_before_the_first_push_and_every_push_before_the_first_tag() {
    let project = Project::new();
    project.run("push-dev").expect(0);
    let verbs = project.docker_verbs();
    let last_build = verbs
        .iter()
        .rposition(|verb| verb == "buildx build")
        .unwrap();
    let last = verbs.len() - 1;
    assert_eq!(last_build, last, "docker has no part in a push: {verbs:#?}");
    let state = project.aws.state();
    assert!(
        last_position(&state.calls, "PUT /v2/backend/manifests/sha256:")
            < position(&state.calls, "PutImage"),
        "{:#?}",
        state.calls
    );
}

#[test]
fn each_target_gets_its_own_cpu() {
    let project = Project::new();
    let report = project.run("push-dev --json").expect(0).json();
    let found: Vec<_> = report["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| (i["name"].as_str().unwrap(), i["platform"].as_str().unwrap()))
        .collect();
    assert_eq!(
        found,
        [
            ("api-lambda", "linux/arm64"),
            ("api-apprunner", "linux/amd64"),
            ("api-eks", "linux/arm64"),
            ("worker", "linux/arm64")
        ]
    );
    let all = tags(&project, "backend");
    for prefix in ["api-lambda-", "api-apprunner-", "api-eks-", "worker-"] {
        assert_eq!(tags_with(&all, prefix).len(), 6, "{prefix}: {all:?}");
    }
}

#[test]
fn a_build_gets_platform_arguments_labels_and_no_attestation() {
    let project = Project::new();
    project.run("push dev --service worker").expect(0);
    let log = project.docker_log();
    let build = log
        .lines()
        .find(|line| line.starts_with("buildx build"))
        .unwrap();
    let head = project.head();
    for part in [
        "--platform linux/arm64",
        "--build-arg SERVICE_FOLDER=worker",
        "--build-arg BASE=base:1",
        "--build-arg SOURCE_DATE_EPOCH=1737037800",
        &format!("--label org.opencontainers.image.revision={head}"),
        "--label org.opencontainers.image.created=2025-01-16T14:30:00Z",
        "--label org.opencontainers.image.source=https://git.example.com/team/backend.git",
        &format!("--label org.opencontainers.image.version={}", &head[..7]),
        "--provenance=false --sbom=false",
    ] {
        assert!(build.contains(part), "{part} is missing in {build}");
    }
}

#[test]
fn a_second_run_on_the_same_commit_builds_nothing_and_writes_nothing() {
    let project = Project::new();
    let first = project.run("push-dev --json").expect(0).json();
    let before = tags(&project, "backend");
    let calls = project.aws.state().calls.len();
    let second = project.run("push-dev --json").expect(0).json();
    assert_eq!(
        project
            .docker_verbs()
            .iter()
            .filter(|verb| *verb == "buildx build")
            .count(),
        4,
        "only the first run built"
    );
    assert_eq!(tags(&project, "backend"), before);
    let state = project.aws.state();
    assert!(
        !state.calls[calls..]
            .iter()
            .any(|call| call.starts_with("Put") || call.starts_with("PUT")),
        "{:#?}",
        &state.calls[calls..]
    );
    for (first, second) in first["images"]
        .as_array()
        .unwrap()
        .iter()
        .zip(second["images"].as_array().unwrap())
    {
        assert_eq!(first["digest"], second["digest"]);
        assert_eq!(second["built"], false);
    }
}

#[test]
fn a_commit_that_is_in_the_registry_gets_the_missing_tags_back_without_a_build() {
    let project = Project::new();
    project.run("push dev --service worker").expect(0);
    project
        .aws
        .state()
        .repositories
        .get_mut("backend")
        .unwrap()
        .tags
        .remove("worker-dev-latest");
    let plan = project.run("push dev --service worker --dry-run").expect(0);
    assert!(plan.stderr.contains("no build"), "{}", plan.stderr);
    project.run("push dev --service worker").expect(0);
    assert_eq!(
        project
            .docker_verbs()
            .iter()
            .filter(|verb| *verb == "buildx build")
            .count(),
        1
    );
    assert!(
        tags(&project, "backend")
            .iter()
            .any(|(tag, _)| tag == "worker-dev-latest")
    );
}

#[test]
fn an_image_that_only_claims_the_revision_by_its_tag_is_not_reused() {
    let project = Project::new();
    project.run("push dev --service worker").expect(0);
    project.write("backend/new", "x");
    project.commit();
    let short = project.head()[..7].to_owned();
    {
        // The old image under the new commit's tag: its label tells the truth.
        let mut state = project.aws.state();
        let repository = state.repositories.get_mut("backend").unwrap();
        let old = repository.tags["worker-dev-latest"].clone();
        repository.tags.insert(format!("worker-{short}-arm64"), old);
    }
    let refused = project.run("push dev --service worker").expect(2);
    assert!(
        refused.stderr.contains("names another image"),
        "{}",
        refused.stderr
    );
    project
        .aws
        .state()
        .repositories
        .get_mut("backend")
        .unwrap()
        .mutability = "MUTABLE".into();
    project.run("push dev --service worker").expect(0);
    assert_eq!(
        project
            .docker_verbs()
            .iter()
            .filter(|verb| *verb == "buildx build")
            .count(),
        2
    );
}

#[test]
fn a_dirty_tree_is_marked_and_can_be_pushed_again_and_again() {
    let project = Project::new();
    for content in ["a", "b"] {
        project.write(
            "backend/Dockerfile.lambda",
            &format!("FROM scratch\n# {content}\n"),
        );
        project.run("push dev --service worker").expect(0);
    }
    let short = project.head()[..7].to_owned();
    let all = tags(&project, "backend");
    let names: Vec<_> = all.iter().map(|(tag, _)| tag.as_str()).collect();
    assert!(
        names.contains(&format!("worker-{short}-dirty").as_str())
            && names.contains(&format!("worker-{short}-arm64-dirty").as_str())
    );
    assert!(
        !names.contains(&format!("worker-{short}").as_str()),
        "{names:?}"
    );
    let builds = project
        .docker_log()
        .lines()
        .filter(|line| line.starts_with("buildx build"))
        .count();
    assert_eq!(builds, 2, "a dirty tree is never taken for its commit");
}

#[test]
fn a_failed_build_leaves_aws_untouched_but_not_the_other_builds() {
    let project = Project::new();
    project.write(
        "docker/fail-build",
        "Dockerfile.eks\nno space left on device",
    );
    let run = project.run("push-dev --json").expect(1);
    assert!(
        run.stderr.contains("no space left on device") && run.stderr.contains("api-eks"),
        "{}",
        run.stderr
    );
    assert_eq!(
        project
            .docker_verbs()
            .iter()
            .filter(|verb| *verb == "buildx build")
            .count(),
        4
    );
    assert!(
        !project
            .docker_verbs()
            .iter()
            .any(|verb| verb.starts_with("push") || verb.starts_with("login"))
    );
    let state = project.aws.state();
    assert!(
        state.repositories.is_empty() && !state.calls.iter().any(|call| call.starts_with("Create")),
        "{:#?}",
        state.calls
    );
    assert!(
        run.json()["images"][0]["error"]
            .as_str()
            .unwrap()
            .contains("another image failed")
    );
}

#[test]
fn a_failed_push_moves_no_tag() {
    let project = Project::new();
    project.aws.state().fails_to_write = Some(("", 403, 100));
    let run = project.run("push-dev").expect(1);
    assert!(run.stderr.contains("HTTP 403"), "{}", run.stderr);
    let repositories = project.aws.state().repositories.clone();
    assert_eq!(repositories["backend"].tags.len(), 0);
    project.aws.state().fails_to_write = None;
    project.run("push-dev").expect(0);
}

#[test]
fn a_moving_tag_that_cannot_be_written_is_one_image_s_failure() {
    let project = Project::new();
    let denied = Fault::Error(403, "AccessDeniedException");
    project
        .aws
        .fail("PutImage backend:worker-dev-latest", 100, denied);
    let report = project.run("push-dev --json").expect(1).json();
    for image in report["images"].as_array().unwrap() {
        let is_failed = image["name"] == "worker";
        assert_eq!(image["error"].is_string(), is_failed, "{image:#}");
        let count = image["tags"].as_object().unwrap().len();
        assert_eq!(count, if is_failed { 0 } else { 6 }, "{image:#}");
    }
    let record = fs::read_to_string(project.path("target/xtask-record.jsonl")).unwrap();
    assert_eq!(record.lines().count(), 3, "{record}");
}

#[test]
fn a_push_that_breaks_off_is_tried_again() {
    let project = Project::new();
    project.aws.state().fails_to_write = Some(("", 503, 2));
    project.run("push dev --service worker").expect(0);
    assert_eq!(tags(&project, "backend").len(), 6);
}

#[test]
fn an_engine_without_the_oci_exporter_hands_images_out() {
    let project = Project::new();
    project.write("docker/classic", "");
    let run = project.run("push dev --service worker -v").expect(0);
    assert!(run.stderr.contains("classic image store"), "{}", run.stderr);
    let verbs = project.docker_verbs();
    let saved = position(&verbs, "image save");
    assert!(position(&verbs, "image rm") > saved, "{verbs:#?}");
    assert_eq!(tags(&project, "backend").len(), 6);
    project.run("verify ecr dev --service worker").expect(0);
}

#[test]
fn a_blob_that_is_damaged_on_this_disk_is_fetched_again() {
    let project = Project::new();
    project.run("push dev --service worker").expect(0);
    let blobs = fs::read_dir(project.path("target/images/blobs/sha256")).unwrap();
    let config = blobs
        .map(|blob| blob.unwrap().path())
        .find(|blob| fs::read_to_string(blob).unwrap().contains("architecture"));
    let config = config.unwrap();
    let before = fs::read(&config).unwrap();
    fs::write(&config, "damaged").unwrap();
    project.aws.state().repositories.clear();
    let run = project.run("push dev --service worker").expect(0);
    assert!(run.stderr.contains("it is fetched again"), "{}", run.stderr);
    assert_eq!(fs::read(&config).unwrap(), before);
    assert_eq!(tags(&project, "backend").len(), 6);
}

#[test]
fn a_damaged_blob_of_several_images_is_fetched_again_for_all_of_them() {
    let project = Project::new();
    project.run("push dev").expect(0);
    for round in 0..5 {
        let blobs = fs::read_dir(project.path("target/images/blobs/sha256")).unwrap();
        for blob in blobs.map(|blob| blob.unwrap().path()) {
            let is_config = fs::read_to_string(&blob).unwrap().contains("architecture");
            if is_config {
                fs::write(&blob, "damaged").unwrap();
            }
        }
        project.aws.state().repositories.clear();
        let run = project.run("push dev").expect(0);
        let said = run.stderr.contains("it is fetched again");
        assert!(said, "{round}: {}", run.stderr);
    }
}

#[test]
fn two_services_with_the_same_blobs_send_them_once() {
    let project = Project::new();
    project.run("push-dev").expect(0);
    let before = project.aws.state().uploaded;
    project
        .aws
        .state()
        .repositories
        .get_mut("backend")
        .unwrap()
        .tags
        .clear();
    project.run("push-dev").expect(0);
    assert_eq!(
        project.aws.state().uploaded,
        before,
        "the registry has all of it"
    );
}

#[test]
fn an_image_that_says_another_cpu_is_not_pushed() {
    let project = Project::new();
    project.write("docker/lie", "amd64");
    let run = project.run("push dev --service worker --json").expect(1);
    assert!(
        run.stderr
            .contains("the config says `linux/amd64`, expected linux/arm64"),
        "{}",
        run.stderr
    );
    assert!(
        !project
            .docker_verbs()
            .iter()
            .any(|verb| verb.starts_with("push") || verb.starts_with("login"))
    );
    assert!(project.aws.state().repositories.is_empty());
}

#[test]
fn an_index_is_refused_before_the_push() {
    let project = Project::new();
    project.write("docker/index", "");
    let run = project.run("push dev --service worker").expect(1);
    assert!(run.stderr.contains("image.index.v1+json"), "{}", run.stderr);
    assert_eq!(project.aws.state().uploaded, 0);
}

#[test]
fn aws_may_stumble_but_not_fall() {
    let project = Project::new();
    project.aws.fail("PutImage", 2, Fault::Status(503));
    project.aws.fail("BatchGetImage", 1, Fault::Cut);
    project.run("push dev --service worker").expect(0);

    project.write("backend/new", "x");
    project.commit();
    project.aws.fail("PutImage", 100, Fault::Status(500));
    let run = project.run("push dev --service worker").expect(1);
    for part in ["ecr:PutImage", "backend:worker-", "request-7"] {
        assert!(
            run.stderr.contains(part),
            "{part} is missing in {}",
            run.stderr
        );
    }
}

#[test]
fn nothing_is_left_of_the_login() {
    let project = Project::new();
    fs::create_dir(project.path("home/.docker")).unwrap();
    let theirs = r#"{"auths":{"other.example.com":{"auth":"eDp5"}},"credsStore":"desktop"}"#;
    project.write("home/.docker/config.json", theirs);
    project.run("push dev --service worker").expect(0);
    assert_eq!(
        fs::read_to_string(project.path("home/.docker/config.json")).unwrap(),
        theirs
    );
    let left: Vec<_> = fs::read_dir(project.path("docker"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(
        !left
            .iter()
            .any(|name| name.to_string_lossy().starts_with("xtask-docker")),
        "{left:?}"
    );
}

#[test]
fn leftovers_of_a_run_that_was_killed_are_removed_by_the_next() {
    // A login of docker's is needed for a build cache in the registry, once there is a repository.
    let deploy = DEPLOY.replacen("build-args", "cache = \"registry\"\nbuild-args", 1);
    let project = Project::with_deploy(&deploy);
    project.run("push dev --service worker").expect(0);
    project.write("backend/changed", "1");
    project.commit();
    let stale = project.path("docker/xtask-docker-4194303-registry");
    fs::create_dir(&stale).unwrap();
    project.run("push dev --service worker").expect(0);
    assert!(!stale.exists());
}

/// What docker is asked for a plan: how the current builder builds for each of the two CPUs.
const ONLY_ASKED: [&str; 2] = [
    "buildx inspect",
    "version --format {{.Server.Version}} {{.Server.Arch}}",
];

/// The lines of a log, of which some were written at the same time.
fn sorted(log: &str) -> Vec<&str> {
    let mut lines: Vec<_> = log.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn a_dry_run_changes_nothing_and_prints_commands_that_can_be_pasted() {
    let project = Project::new();
    let run = project.run("push-dev --dry-run").expect(0);
    for part in [
        "docker buildx build --metadata-file api-lambda.json --platform linux/arm64",
        "aws ecr create-repository --repository-name backend",
        "oras cp --from-oci-layout",
    ] {
        assert!(
            run.stderr.contains(part),
            "{part} is missing in {}",
            run.stderr
        );
    }
    assert_eq!(run.stdout, "");
    assert_eq!(sorted(&project.docker_log()), ONLY_ASKED);
    let state = project.aws.state();
    assert!(
        state.calls.iter().all(|call| call.starts_with("Describe")
            || call.starts_with("BatchGet")
            || call.starts_with("Get")),
        "{:#?}",
        state.calls
    );
    drop(state);
    let plan = project.run("push-dev --dry-run --json --quiet").expect(0);
    assert_eq!(plan.json()["plan"]["images"].as_array().unwrap().len(), 4);
    assert_eq!(plan.stderr, "");
}

#[test]
fn a_protected_environment_is_refused_before_anything_is_built() {
    type Case = (&'static str, fn(&Project), &'static str);
    let cases: [Case; 4] = [
        (
            "push-prod --yes",
            |project| project.write("new", "x"),
            "dirty",
        ),
        (
            "push-prod --yes",
            |project| drop(project.git("switch --quiet --create feature")),
            "feature",
        ),
        (
            "push-prod --yes",
            |project| project.aws.state().account = "999900001111".into(),
            "999900001111",
        ),
        (
            "push-prod",
            |project| {
                project.aws.state().repositories.insert(
                    "prod/backend".into(),
                    Repository {
                        mutability: "MUTABLE".into(),
                        ..Default::default()
                    },
                );
            },
            "--yes",
        ),
    ];
    for (line, prepare, expected) in cases {
        let project = Project::new();
        prepare(&project);
        let run = project.run(line).expect(2);
        assert!(
            run.stderr.contains(expected),
            "{expected} is missing in {}",
            run.stderr
        );
        assert!(
            [&[], &ONLY_ASKED[..]].contains(&&sorted(&project.docker_log())[..]),
            "{}",
            project.docker_log()
        );
    }
}

#[test]
fn a_protected_environment_takes_a_clean_commit_of_its_branch() {
    let project = Project::new();
    let refused = project.run("push-prod --yes").expect(2);
    assert!(
        refused.stderr.contains("create-repository = true"),
        "{}",
        refused.stderr
    );
    let repository = Repository {
        mutability: "MUTABLE".into(),
        ..Default::default()
    };
    project
        .aws
        .state()
        .repositories
        .insert("prod/backend".into(), repository);
    project.run("push-prod --yes").expect(0);
    assert_eq!(
        project.aws.state().calls[0],
        "GetCallerIdentity",
        "the account is compared before anything else"
    );
    assert_eq!(tags(&project, "prod/backend").len(), 24);
}

#[test]
fn an_immutable_repository_that_keeps_latest_is_refused_with_the_command_that_helps() {
    let project = Project::new();
    project.run("push dev --service worker").expect(0);
    project.write("backend/new", "x");
    project.commit();
    let mut state = project.aws.state();
    let repository = state.repositories.get_mut("backend").unwrap();
    repository.mutability = "IMMUTABLE".into();
    repository.exclusions.clear();
    drop(state);
    let run = project.run("push dev --service worker").expect(2);
    assert!(
        run.stderr
            .contains("aws ecr put-image-tag-mutability --repository-name backend"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_repository_that_holds_one_image_can_have_plain_tags() {
    let deploy = DEPLOY.replace(
        "images = [{ dockerfile = \"Dockerfile.lambda\" }]",
        "images = [{ dockerfile = \"Dockerfile.lambda\", tag-prefix = \"\" }]",
    );
    let project = Project::with_deploy(&deploy.replace(
        "create-repository = true",
        "create-repository = true\nrepository = \"{project}/{service}\"",
    ));
    project.run("push dev --service worker").expect(0);
    let all = tags(&project, "backend/worker");
    assert!(
        all.iter().any(|(tag, _)| tag == "dev-latest")
            && all.iter().any(|(tag, _)| tag == "dev-arm64-latest"),
        "{all:?}"
    );
}

#[test]
fn without_a_commit_or_credentials_the_message_says_what_to_do() {
    let project = Project::new();
    fs::remove_dir_all(project.path(".git")).unwrap();
    let run = project.run("push-dev").expect(2);
    assert!(run.stderr.contains("git commit"), "{}", run.stderr);

    let project = Project::new();
    let run = project
        .run_with(
            "push-dev",
            &[("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", "")],
        )
        .expect(1);
    assert!(run.stderr.contains("aws sso login"), "{}", run.stderr);
}

fn until<T>(mut found: impl FnMut() -> Option<T>) -> T {
    loop {
        if let Some(found) = found() {
            return found;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// Starts a push of one service.
fn push_of_worker(project: &Project) -> std::process::Child {
    let mut command = project.command("push dev --service worker");
    command.stdout(std::process::Stdio::null());
    command
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap()
}

/// Starts a push of which docker hangs, and returns it with docker's process.
fn hanging_push(project: &Project) -> (std::process::Child, u32) {
    project.write("docker/hang-build", "");
    let child = push_of_worker(project);
    let hanging = until(|| {
        let text = fs::read_to_string(project.path("docker/hanging"));
        text.ok().and_then(|text| text.parse().ok())
    });
    fs::remove_file(project.path("docker/hang-build")).unwrap();
    fs::remove_file(project.path("docker/hanging")).unwrap();
    (child, hanging)
}

fn wait_until_gone(process: u32) {
    let stat = format!("/proc/{process}/stat");
    while fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

fn private_directories(project: &Project) -> usize {
    let names = fs::read_dir(project.path("docker"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    names
        .filter(|name| name.to_string_lossy().starts_with("xtask-docker"))
        .count()
}

/// Interrupts a push, which must end at once, leave nothing behind, and work when it is run again.
fn interrupt(project: &Project, child: std::process::Child, signal: &str) {
    let killed = std::process::Command::new("kill")
        .args([signal, &child.id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{signal}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("interrupted"));
    assert_eq!(private_directories(project), 0);
    project.run("push dev --service worker").expect(0);
    assert!(tags(project, "backend").len() >= 6);
}

#[test]
fn an_interrupted_build_ends_docker_and_can_be_run_again() {
    for signal in ["-INT", "-TERM"] {
        let project = Project::new();
        let (child, docker) = hanging_push(&project);
        interrupt(&project, child, signal);
        wait_until_gone(docker);
    }
}

#[test]
fn an_interrupted_push_can_be_run_again() {
    for signal in ["-INT", "-TERM"] {
        let project = Project::new();
        project.aws.state().fails_to_write = Some(("", NO_ANSWER, 1));
        let child = push_of_worker(&project);
        until(|| {
            let left = project.aws.state().fails_to_write;
            (left == Some(("", NO_ANSWER, 0))).then_some(())
        });
        assert!(tags(&project, "backend").is_empty());
        interrupt(&project, child, signal);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn docker_does_not_outlive_a_push_that_is_killed_outright() {
    let project = Project::new();
    let (mut child, docker) = hanging_push(&project);
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until_gone(docker);
    project.run("push dev --service worker").expect(0);
    assert_eq!(
        private_directories(&project),
        0,
        "the next run removes what is left of a login"
    );
    assert!(
        tags(&project, "backend")
            .iter()
            .any(|(tag, _)| tag == "worker-dev-latest")
    );
}

#[test]
fn two_pushes_at_once_take_turns_and_end_with_one_image() {
    let project = Project::new();
    let start = || {
        project
            .command("push dev --service worker --json")
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    };
    let outcomes = [start(), start()].map(|child| {
        crate::support::project::Run::from(child.wait_with_output().unwrap())
            .expect(0)
            .json()
    });
    assert_eq!(
        outcomes[0]["images"][0]["digest"],
        outcomes[1]["images"][0]["digest"]
    );
    assert_eq!(
        project
            .docker_verbs()
            .iter()
            .filter(|verb| *verb == "buildx build")
            .count(),
        1
    );
    assert_eq!(tags(&project, "backend").len(), 6);
}

#[test]
fn a_timestamp_names_one_push_even_within_a_second() {
    let project = Project::new();
    for content in ["a", "b", "c"] {
        project.write(
            "backend/Dockerfile.lambda",
            &format!("FROM scratch\n# {content}\n"),
        );
        project.run("push dev --service worker").expect(0);
    }
    let all = tags(&project, "backend");
    let times = all
        .iter()
        .filter(|(tag, _)| tag.starts_with("worker-dev-2") && !tag.ends_with("arm64"))
        .count();
    assert_eq!(times, 3, "{all:?}");
}

#[test]
fn a_change_in_a_submodule_is_a_change() {
    let project = Project::new();
    let other = Project::new();
    let module = other.path("");
    project.git(&format!(
        "-c protocol.file.allow=always submodule --quiet add {} backend/module",
        module.display()
    ));
    project.commit();
    let is_dirty = || {
        project.run("push-dev --dry-run --json").expect(0).json()["plan"]["revision"]["dirty"]
            .clone()
    };
    assert_eq!(is_dirty(), false);
    project.write("backend/module/deploy.toml", "changed");
    assert_eq!(is_dirty(), true);
}

#[test]
fn an_answer_that_is_not_aws_s_is_called_by_its_name() {
    let project = Project::new();
    project
        .aws
        .fail("DescribeRepositories", 9, Fault::Status(404));
    let run = project.run("push-dev").expect(1);
    assert!(
        run.stderr.contains("what answers is not AWS") && run.stderr.contains("AWS_ENDPOINT_URL"),
        "{}",
        run.stderr
    );
    let refused = project
        .run_with("push-dev", &[("AWS_ENDPOINT_URL", "garbage")])
        .expect(2);
    assert!(
        refused.stderr.contains("`garbage`, which is no URL"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_document_that_cannot_be_written_is_a_failure() {
    let project = Project::new();
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let status = project
        .command("push-dev --dry-run --json --quiet")
        .stdout(full)
        .stderr(std::process::Stdio::null())
        .status();
    assert_eq!(status.unwrap().code(), Some(1));
}

#[test]
fn environment_variables_work_as_they_did_for_make() {
    let project = Project::new();
    let arch = |line: &str, variables: &[(&str, &str)]| project.run_with(line, variables);
    let build = "docker-build --dry-run";
    assert!(
        arch(build, &[("ARCH", "amd64")])
            .expect(0)
            .stderr
            .contains("linux/amd64")
    );
    assert!(
        arch("docker-build --dry-run --arch arm64", &[("ARCH", "amd64")])
            .expect(0)
            .stderr
            .contains("linux/arm64")
    );
    assert!(
        arch(build, &[("ARCH", "")])
            .expect(0)
            .stderr
            .contains("linux/arm64")
    );
    assert!(
        arch(build, &[("DOCKERFILE", "Dockerfile.apprunner")])
            .expect(0)
            .stderr
            .contains("linux/amd64")
    );
    assert!(
        arch(build, &[("ARCH", "mips")])
            .expect(2)
            .stderr
            .contains("ARCH in the environment is `mips`")
    );
    let once = project
        .run("docker-build --dry-run --service api --service api")
        .expect(0);
    assert_eq!(
        once.stderr.matches("image api").count(),
        1,
        "{}",
        once.stderr
    );
}

#[test]
fn a_base_image_without_the_platform_is_refused_before_the_build() {
    let project = Project::new();
    let hub = Aws::start();
    let index = |platforms: &[&str]| {
        let entry = |arch: &&str| {
            json!({
                "mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 1, "digest": format!("sha256:{}", "a".repeat(64)),
                "platform": { "os": "linux", "architecture": arch },
            })
        };
        let manifests: Vec<_> = platforms.iter().map(entry).collect();
        let media_type = "application/vnd.oci.image.index.v1+json".to_owned();
        let text = json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": manifests });
        let base = Repository {
            manifests: [("sha256:b".to_owned(), (media_type, text.to_string()))].into(),
            tags: [("3".to_owned(), "sha256:b".to_owned())].into(),
            ..Repository::default()
        };
        hub.state().repositories.insert("python".to_owned(), base);
    };
    let base = format!("{}/python:3", hub.registry);
    project.write(
        "backend/Dockerfile.lambda",
        &format!("FROM {base} AS base\nFROM base\nCOPY a /a\n"),
    );
    project.commit();
    index(&["amd64", "s390x"]);
    project.log_in_to(&hub.registry);
    let run = project.run("push dev --service worker").expect(2);
    let problem = format!(
        "the base image `{base}` of backend/Dockerfile.lambda has no linux/arm64: it has linux/amd64, linux/s390x"
    );
    assert!(run.stderr.contains(&problem), "{}", run.stderr);
    assert!(!project.docker_verbs().contains(&"buildx build".to_owned()));
    index(&["amd64", "arm64"]);
    project.run("push dev --service worker").expect(0);
    // A registry that does not say what it has is no reason to stop.
    project.write("backend/new", "");
    hub.state().repositories.clear();
    project.run("push dev --service worker").expect(0);
}

#[test]
fn what_a_dockerfile_does_wrong_is_said_before_the_build() {
    let project = Project::new();
    project.write(
        "backend/Dockerfile.lambda",
        "FROM --platform=$BUILDPLATFORM scratch\n",
    );
    project.commit();
    let run = project.run("push dev --service worker").expect(0);
    let warning = run
        .stderr
        .find("backend/Dockerfile.lambda:1: last-stage-on-build-platform");
    assert!(
        warning.is_some() && warning < run.stderr.find("Proven"),
        "{}",
        run.stderr
    );
    let verify = project.run("verify dockerfiles --json").expect(1);
    assert_eq!(verify.json()["problems"][0]["line"], 1);
}

/// Both CPUs in one repository: each image under its own tags, and the plain tags name an image index of the two.
#[test]
fn a_list_for_both_cpus_is_made_of_the_images_that_were_proven() {
    let project = Project::new();
    let line = "push dev --service api --dockerfile Dockerfile.eks --multi-arch --json";
    let done = project.run(line).expect(0).json();
    let images = done["images"].as_array().unwrap();
    let names: Vec<_> = images
        .iter()
        .map(|image| image["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["api-eks-amd64", "api-eks-arm64"]);
    let list = images[0]["image-index"].as_str().unwrap().to_owned();
    let commit = project.head()[..7].to_owned();
    let check = |list: &str| {
        let state = project.aws.state();
        let repository = &state.repositories["backend"];
        let (kind, bytes) = &repository.manifests[list];
        assert_eq!(kind, "application/vnd.oci.image.index.v1+json");
        let index: serde_json::Value = serde_json::from_str(bytes).unwrap();
        for (child, image) in index["manifests"].as_array().unwrap().iter().zip(images) {
            let arch = image["arch"].as_str().unwrap();
            assert_eq!(
                (
                    child["digest"].as_str(),
                    child["platform"]["architecture"].as_str()
                ),
                (image["digest"].as_str(), Some(arch))
            );
            assert_eq!(
                child["size"],
                repository.manifests[image["digest"].as_str().unwrap()]
                    .1
                    .len()
            );
            for tag in [
                format!("api-eks-dev-{arch}-latest"),
                format!("api-eks-{commit}-{arch}"),
            ] {
                assert_eq!(repository.tags[&tag], image["digest"], "{tag}");
            }
        }
        for tag in ["api-eks-dev-latest".to_owned(), format!("api-eks-{commit}")] {
            assert_eq!(repository.tags[&tag], list, "{tag}");
        }
        assert_eq!(repository.tags.len(), 9, "{:?}", repository.tags.keys());
    };
    check(&list);
    project.run("verify ecr dev --service api --json").expect(0);
    project.aws.state().calls.clear();
    let again = project.run(line).expect(0).json();
    assert!(
        again["images"]
            .as_array()
            .unwrap()
            .iter()
            .all(|image| image["built"] == false)
    );
    let writes = project
        .aws
        .state()
        .calls
        .iter()
        .filter(|call| call.starts_with("Put") || call.starts_with("PUT"))
        .count();
    assert_eq!(writes, 0, "a second run writes nothing");
    check(&list);
    let dry = project
        .run("push dev --service api --dockerfile Dockerfile.eks --multi-arch --dry-run")
        .expect(0);
    assert!(
        dry.stderr.contains("index api-eks: 2 images"),
        "{}",
        dry.stderr
    );
}

#[test]
fn a_list_is_no_image_for_lambda() {
    let project = Project::new();
    let run = project.run("push dev --multi-arch").expect(2);
    assert!(
        run.stderr
            .contains("api-lambda is for AWS Lambda, which refuses an image index"),
        "{}",
        run.stderr
    );
    assert!(
        project
            .docker_verbs()
            .iter()
            .all(|verb| verb != "buildx build")
    );
    let deploy = DEPLOY.replace(
        "dockerfile = \"Dockerfile.lambda\" }]",
        "dockerfile = \"Dockerfile.lambda\", multi-arch = true }]",
    );
    let config = Project::with_deploy(&deploy)
        .run("push dev --dry-run")
        .expect(2);
    assert!(
        config
            .stderr
            .contains("a function has exactly one architecture"),
        "{}",
        config.stderr
    );
}

#[test]
fn a_list_does_not_take_a_commit_s_tags_from_its_single_image() {
    let project = Project::new();
    project
        .run("push dev --service api --dockerfile Dockerfile.eks")
        .expect(0);
    let before = project.aws.state().repositories["backend"].tags["api-eks-dev-latest"].clone();
    let run = project
        .run("push dev --service api --dockerfile Dockerfile.eks --multi-arch")
        .expect(2);
    assert!(
        run.stderr
            .contains("names another image of this commit, and may not move"),
        "{}",
        run.stderr
    );
    assert!(
        run.stderr
            .contains("commit again, or push without the index"),
        "{}",
        run.stderr
    );
    assert_eq!(
        project.aws.state().repositories["backend"].tags["api-eks-dev-latest"],
        before,
        "no moving tag was written"
    );
}

#[test]
fn a_list_whose_images_came_one_after_the_other_keeps_the_later_time() {
    let project = Project::new();
    project
        .run("push dev --service api --dockerfile Dockerfile.eks")
        .expect(0);
    project
        .aws
        .state()
        .repositories
        .get_mut("backend")
        .unwrap()
        .mutability = "MUTABLE".into();
    let line = "push dev --service api --dockerfile Dockerfile.eks --multi-arch";
    project.run(line).expect(0);
    let before = tags(&project, "backend");
    project.run(line).expect(0);
    assert_eq!(
        tags(&project, "backend"),
        before,
        "a second run writes nothing"
    );
}

#[test]
fn two_images_of_one_service_are_two_lists() {
    let two = "[{ dockerfile = \"a/Dockerfile.eks\", tag-prefix = \"a-\", multi-arch = true }, \
               { dockerfile = \"b/Dockerfile.eks\", tag-prefix = \"b-\", multi-arch = true }]";
    let project =
        Project::with_deploy(&DEPLOY.replace("[{ dockerfile = \"Dockerfile.lambda\" }]", two));
    for directory in ["a", "b"] {
        fs::create_dir(project.path(&format!("backend/{directory}"))).unwrap();
        project.write(
            &format!("backend/{directory}/Dockerfile.eks"),
            &format!("FROM scratch\nLABEL of={directory}\n"),
        );
    }
    project.commit();
    project.run("push dev --service worker").expect(0);
    let all = tags(&project, "backend");
    let lists: Vec<_> = ["a-dev-latest", "b-dev-latest"]
        .iter()
        .map(|name| tags_with(&all, name).len())
        .collect();
    assert_eq!(lists, [1, 1], "{all:?}");
    assert_eq!(all.len(), 18, "{all:?}");
}

#[test]
fn a_push_that_left_any_one_of_its_tags_is_resumed() {
    let project = Project::new();
    project.run("push dev --service worker").expect(0);
    let whole = project.aws.state().clone();
    let all: Vec<_> = whole.repositories["backend"].tags.keys().cloned().collect();
    for left in &all {
        let mut state = whole.clone();
        let tags = &mut state.repositories.get_mut("backend").unwrap().tags;
        tags.retain(|tag, _| tag == left);
        *project.aws.state() = state;
        let run = project.run("push dev --service worker --json");
        assert_eq!(run.code, 0, "only `{left}` was left: {}", run.stderr);
        let built = run.json()["images"][0]["built"] == true;
        let names_commit = left.contains(&project.head()[..7]);
        assert_ne!(
            built, names_commit,
            "`{left}`: what the commit has is not built again"
        );
    }
}
