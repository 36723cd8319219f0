//! What a push asks of docker, of AWS and of the registry, counted: a second more for each is a second more for everybody. And
//! what becomes of a push when one of its requests goes wrong.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use crate::support::{
    aws::{Fault, Function},
    project::Project,
};

/// What was asked since the last time.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    /// Processes of docker, by their first words.
    docker: Vec<String>,
    /// Requests, by what they are for.
    requests: BTreeMap<String, usize>,
    /// Bytes of blobs.
    uploaded: usize,
}

impl Asked {
    fn of(project: &Project) -> Self {
        let mut state = project.aws.state();
        let mut requests = BTreeMap::new();
        for request in state.requests.drain(..) {
            *requests.entry(request).or_default() += 1;
        }
        let mut docker = project.docker_verbs();
        docker.sort_unstable();
        project.write("docker/log", "");
        let uploaded = std::mem::take(&mut state.uploaded);
        Self {
            docker,
            requests,
            uploaded,
        }
    }
}

fn asked(requests: &[(&str, usize)]) -> BTreeMap<String, usize> {
    let own = |(name, count): &(&str, usize)| ((*name).to_owned(), *count);
    requests.iter().map(own).collect()
}

/// The size of the config of an image, which is all that an image of docker's double has.
fn config_size(project: &Project) -> usize {
    let state = project.aws.state();
    let newest = &state.repositories["backend"].tags["worker-dev-latest"];
    let (_, manifest) = &state.repositories["backend"].manifests[newest];
    let manifest: serde_json::Value = serde_json::from_str(manifest).unwrap();
    usize::try_from(manifest["config"]["size"].as_u64().unwrap()).unwrap()
}

/// Two pushes within a second would ask once more: a timestamp names one push.
fn next_second() {
    let now = || SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let begun = now();
    while now() == begun {
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_push_asks_no_more_than_it_must() {
    let line = "push dev --service worker";
    let project = Project::new();
    project.run(line).expect(0);
    Asked::of(&project);

    project.write("backend/new", "");
    project.commit();
    next_second();
    project.run(line).expect(0);
    let new = Asked::of(&project);
    assert_eq!(
        new.docker,
        ["buildx build", "buildx inspect", "version --format"]
    );
    let expected = asked(&[
        ("DescribeRepositories", 1),
        ("BatchGetImage", 3),
        ("GetFunction", 1),
        ("GetAuthorizationToken", 1),
        ("GetCallerIdentity", 1),
        ("HEAD blob", 1),
        ("POST upload", 1),
        ("PUT upload", 1),
        ("PUT manifest", 1),
        ("GET blob", 1),
        ("PutImage", 6),
    ]);
    assert_eq!(new.requests, expected);
    assert_eq!(new.uploaded, config_size(&project));

    next_second();
    project.run(line).expect(0);
    let same = Asked::of(&project);
    assert_eq!(same.docker, Vec::<String>::new());
    assert_eq!(same.uploaded, 0);
    let expected = asked(&[
        ("DescribeRepositories", 1),
        ("BatchGetImage", 1),
        ("DescribeImages", 1),
        ("GetFunction", 1),
        ("GetAuthorizationToken", 1),
        ("GET blob", 1),
    ]);
    assert_eq!(same.requests, expected);
}

#[test]
fn four_images_ask_docker_and_aws_once_for_what_they_share() {
    let project = Project::new();
    project.run("push dev").expect(0);
    Asked::of(&project);
    project.write("backend/new", "");
    project.commit();
    project.run("push dev").expect(0);
    let four = Asked::of(&project);
    let mut docker = vec!["buildx build"; 4];
    docker.extend(["buildx inspect", "version --format"]);
    assert_eq!(four.docker, docker);
    for (once, name) in [
        (1, "GetAuthorizationToken"),
        (1, "GetCallerIdentity"),
        (1, "DescribeRepositories"),
        (4, "PUT manifest"),
        (24, "PutImage"),
    ] {
        assert_eq!(four.requests.get(name), Some(&once), "{name}: {four:?}");
    }
}

/// A push with something wrong with one of its requests ends as if nothing had been.
#[test]
fn a_passing_fault_at_any_request_is_seen_by_nobody() {
    let line = "push dev --service worker --json";
    let prepared = || {
        let project = Project::new();
        let function = Function::new("arm64", &format!("sha256:{}", "0".repeat(64)));
        project
            .aws
            .state()
            .functions
            .insert("backend-dev-worker".to_owned(), function);
        project
    };
    let whole = prepared();
    whole.run(line).expect(0);
    let requests = whole.aws.state().requests.clone();
    let faults = [Fault::Status(503), Fault::Cut, Fault::Lost];
    let cells: Vec<_> = (0..requests.len())
        .flat_map(|at| faults.map(|fault| (at, fault)))
        .collect();
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Some((at, fault)) = cells.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let project = prepared();
                    project.aws.state().fault_at = Some((*at, *fault));
                    let run = project.run(line);
                    let tags = project.aws.state().repositories["backend"].tags.len();
                    if run.code != 0 || tags != 6 || run.stderr.contains("error") {
                        let name = project.aws.state().requests[*at].clone();
                        wrong
                            .lock()
                            .unwrap()
                            .push(format!("{name} ({at}): {}", run.stderr));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cells.len(),
        wrong.join("\n")
    );
}

/// ECR takes ten tags in a second; a large repository writes many more at once.
#[test]
fn many_tags_are_written_although_ecr_takes_few_at_a_time() {
    let mut deploy = "[project]\nname = \"mono\"\n\n[environments.dev]\naccount = \"111122223333\"\nregion = \"eu-west-1\"\n\
                      create-repository = true\n"
        .to_owned();
    for number in 0..12 {
        let _ = write!(
            deploy,
            "\n[services.s{number}]\ncontext = \"backend\"\nimages = [{{ dockerfile = \"Dockerfile.lambda\" }}]\n"
        );
    }
    let project = Project::with_deploy(&deploy);
    project.aws.state().throttled = Some(Vec::new());
    project.run("push dev --jobs 8").expect(0);
    assert_eq!(project.aws.state().repositories["mono"].tags.len(), 72);
}
