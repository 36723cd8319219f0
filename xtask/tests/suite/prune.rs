//! What `prune` deletes and what it leaves, seen from outside: the real binary against an ECR that keeps the rules.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};

use crate::support::{
    aws::{Fault, Function, Repository, Service, Starter, State, digest, fits},
    killed::killed_after_each_call,
    project::{Project, Run},
};

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DAY: i64 = 86_400;

/// Services for everything that runs images, in one repository that two environments share.
const DEPLOY: &str = r#"
[project]
name = "backend"
context = "backend"

[environments.dev]
account = "111122223333"
region = "eu-west-1"
kube-context = "dev"
cache = "registry"
tags = ["{env}-{branch}", "v{version}"]

[environments.prod]
account = "111122223333"
region = "eu-west-1"
kube-context = "prod"

[services]
api = { images = [{ dockerfile = "Dockerfile.lambda" }] }
web = { images = [{ dockerfile = "Dockerfile.ecs" }] }
shop = { images = [{ dockerfile = "Dockerfile.apprunner" }] }
jobs = { images = [{ dockerfile = "Dockerfile.eks", multi-arch = true }] }
"#;

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs()).unwrap()
}

/// A repository that is filled by hand.
#[derive(Default)]
struct Shelf {
    repository: Repository,
    /// How many images there are.
    count: i64,
    /// What has to stay.
    needed: BTreeSet<String>,
}

impl Shelf {
    fn put(&mut self, media_type: &str, mut manifest: Value, tags: &[&str]) -> String {
        self.count += 1;
        manifest["annotations"] = json!({ "n": self.count.to_string() });
        manifest["mediaType"] = json!(media_type);
        let bytes = manifest.to_string();
        let name = digest(bytes.as_bytes());
        let stored = (media_type.to_owned(), bytes);
        self.repository.manifests.insert(name.clone(), stored);
        for tag in tags {
            let before = self.repository.tags.insert((*tag).to_owned(), name.clone());
            assert_eq!(before, None, "{tag} is there twice");
        }
        // A hundred days ago; each a minute after the one before.
        let pushed = now() - 100 * DAY + self.count * 60;
        self.repository.pushed.insert(name.clone(), pushed);
        name
    }

    fn image(&mut self, tags: &[&str]) -> String {
        let layers = [json!({ "digest": "sha256:l", "size": 250_000_000 })];
        self.put(
            IMAGE,
            json!({ "config": { "digest": "sha256:c", "size": 2 }, "layers": layers }),
            tags,
        )
    }

    /// An image with the tags that a push writes: a time of its own, and a commit.
    fn pushed(&mut self, prefix: &str, more: &[&str]) -> String {
        let count = self.count;
        let time = format!("{prefix}-20250101-{count:06}");
        let service = prefix.split('-').next().unwrap();
        let commit = format!("{service}-{count:012x}");
        let tags: Vec<_> = [time.as_str(), &commit]
            .into_iter()
            .chain(more.iter().copied())
            .collect();
        self.image(&tags)
    }

    fn index(&mut self, children: &[&str], tags: &[&str]) -> String {
        let child = |digest: &&str| json!({ "mediaType": IMAGE, "digest": digest, "size": 1 });
        let children: Vec<_> = children.iter().map(child).collect();
        self.put(INDEX, json!({ "manifests": children }), tags)
    }

    /// A signature or the like, as the OCI specification has it.
    fn artifact(&mut self, subject: &str) -> String {
        let subject = json!({ "mediaType": IMAGE, "digest": subject, "size": 1 });
        let config = json!({ "digest": "sha256:e", "size": 2 });
        self.put(
            IMAGE,
            json!({ "config": config, "layers": [], "subject": subject }),
            &[],
        )
    }

    fn age(&mut self, digest: &str, seconds: i64) {
        self.repository
            .pushed
            .insert(digest.to_owned(), now() - seconds);
    }

    fn need(&mut self, digest: String) -> String {
        self.needed.insert(digest.clone());
        digest
    }

    /// An image that something will run.
    fn run(&mut self, prefix: &str) -> String {
        let image = self.pushed(prefix, &[]);
        self.need(image)
    }
}

fn project(deploy: &str) -> Project {
    let project = Project::with_deploy(deploy);
    project.install("kubectl");
    project.write("backend/Dockerfile.ecs", "FROM scratch\n");
    project
}

/// Puts the shelf into the registry.
fn stock(project: &Project, shelf: &Shelf) {
    let mut state = project.aws.state();
    let repositories = &mut state.repositories;
    repositories.insert("backend".into(), shelf.repository.clone());
}

fn left(project: &Project) -> BTreeSet<String> {
    let state = project.aws.state();
    state.repositories["backend"]
        .manifests
        .keys()
        .cloned()
        .collect()
}

fn host(digest: &str) -> String {
    format!("111122223333.dkr.ecr.eu-west-1.amazonaws.com/backend@{digest}")
}

fn definition(family: &str, image: &str) -> Value {
    json!({ "family": family, "containerDefinitions": [
        { "name": "proxy", "image": "envoy:1" }, { "name": "web", "image": image }] })
}

/// Everything that can need an image needs one: 37 of them.
fn needed(shelf: &mut Shelf, project: &Project) {
    let mut state = project.aws.state();
    in_functions(shelf, &mut state);
    in_ecs(shelf, &mut state);
    for name in ["backend-dev-shop", "somebody-s"] {
        let image = shelf.run("shop-dev");
        state
            .services
            .insert(name.into(), Service::new(&host(&image)));
    }
    drop(state);
    in_kubernetes(shelf, project);
    named(shelf);
}

/// Seven: those of `$LATEST` and of versions, also of functions that deploy.toml does not know.
fn in_functions(shelf: &mut Shelf, state: &mut State) {
    let mut function = |name: &str, prefix: &str, versions: u64| {
        let mut function = Function::new("arm64", &shelf.run(prefix));
        let version = |number| (number, "arm64".to_owned(), shelf.run(prefix), 0);
        function.versions = (1..=versions).map(version).collect();
        state.functions.insert(name.into(), function);
    };
    function("backend-dev-api", "api-dev", 2);
    function("zz-somebody-s", "api-dev", 1);
    function("backend-prod-api", "api-prod", 1);
    // More than are on a page.
    for number in 0..60 {
        let mut other = Function::new("arm64", "sha256:other");
        other.is_zip = number % 2 == 0;
        state.functions.insert(format!("other-{number}"), other);
    }
}

/// Seven: of deployments, older revisions, running tasks and schedules, by digest and by tag.
fn in_ecs(shelf: &mut Shelf, state: &mut State) {
    let ecs = &mut state.ecs;
    let (old, new) = (shelf.run("web-dev"), shelf.run("web-dev"));
    ecs.register(&definition("web", &host(&old)));
    let arn = ecs.register(&definition("web", &host(&new)));
    ecs.add("backend-dev-web", &arn);
    let unknown = ecs.register(&definition("unknown", &host(&shelf.run("web-prod"))));
    ecs.add("unknown", &unknown);
    // More than are on a page of services.
    for number in 0..25 {
        ecs.add(&format!("other-{number}"), &unknown);
    }
    let by_tag = shelf.run("web-dev");
    let tags = &shelf.repository.tags;
    let tag = tags.iter().find(|(_, of)| **of == by_tag).unwrap().0;
    let reference = host("").replace('@', &format!(":{tag}"));
    let arn = ecs.register(&definition("tagged", &reference));
    // The tag has named another image when the task was started.
    ecs.tasks.push((arn, shelf.run("web-dev")));
    let scheduled = ecs.register(&definition("nightly", &host(&shelf.run("web-dev"))));
    let ruled = ecs.register(&definition("ruled", &host(&shelf.run("web-dev"))));
    for (name, arn, is_rule) in [("nightly", scheduled, false), ("ruled", ruled, true)] {
        state.starters.push(Starter {
            name: name.into(),
            is_rule,
            task_definition: arn,
        });
    }
}

/// Seven: of a deployment, of what it ran before, of a pod by its status, and an image index with its images.
fn in_kubernetes(shelf: &mut Shelf, project: &Project) {
    let images: Vec<_> = (0..3).map(|_| shelf.run("jobs-dev")).collect();
    let workload = |kind: &str, image: &str| {
        let spec = json!({ "template": { "spec": { "containers": [{ "image": image }] } } });
        json!({ "kind": kind, "metadata": { "name": "x" }, "spec": spec })
    };
    let children = [(); 3].map(|()| {
        let child = shelf.image(&[]);
        shelf.need(child)
    });
    let children: Vec<_> = children.iter().map(String::as_str).collect();
    let index = shelf.index(&children, &["jobs-dev-20250101-120000"]);
    let index = shelf.need(index);
    let status = json!({ "containerStatuses": [{ "imageID": host(&images[2]) }] });
    let items = [
        workload("Deployment", &host(&images[0])),
        workload("ReplicaSet", &host(&images[1])),
        workload("CronJob", &host(&index)),
        json!({ "kind": "Pod", "metadata": { "name": "p" }, "status": status }),
    ];
    project.write("docker/workloads", &json!({ "items": items }).to_string());
}

/// Fourteen: by tags that move, releases and tags of somebody else; an image index with its images; signatures; what is being pushed.
fn named(shelf: &mut Shelf) {
    for tags in [
        &["api-dev-arm64-latest", "api-dev-latest"][..],
        &["api-prod-latest"],
        &["web-dev-feature-x"],
        &["api-v1.4.0"],
        &["keep-me"],
    ] {
        let image = shelf.pushed("api-dev", tags);
        shelf.need(image);
    }
    let cache = shelf.image(&["jobs-dev-cache-amd64-latest"]);
    shelf.need(cache);
    let old = "jobs-dev-20250102-120000";
    let children = ["amd64", "arm64"].map(|arch| {
        let child = shelf.image(&[&format!("{old}-{arch}")]);
        shelf.need(child)
    });
    let index = shelf.index(&[&children[0], &children[1]], &[old, "jobs-prod-latest"]);
    let index = shelf.need(index);
    let attestation = shelf.artifact(&index);
    let signature = shelf.artifact(&attestation);
    let cosign = format!("{}.sig", children[0].replace(':', "-"));
    let cosign = shelf.image(&[&cosign]);
    let young = shelf.pushed("api-dev", &[]);
    shelf.age(&young, 600);
    for one in [attestation, signature, cosign, young] {
        shelf.need(one);
    }
    // The index of a child that runs is not needed.
    let child = shelf.image(&[]);
    let child = shelf.need(child);
    shelf.index(&[&child], &["shop-dev-20250103-120000"]);
}

/// Fills up to 200 with everything that nobody needs.
fn needless(shelf: &mut Shelf) {
    for _ in 0..12 {
        shelf.image(&[]);
    }
    for number in 0..6 {
        let time = format!("jobs-dev-20240101-{number:06}");
        let child = shelf.image(&[&format!("{time}-amd64")]);
        let other = shelf.image(&[]);
        let index = shelf.index(&[&child, &other], &[&time]);
        shelf.index(&[&index], &[]);
        shelf.artifact(&index);
        shelf.image(&[&format!("{}.sig", child.replace(':', "-"))]);
    }
    shelf.artifact("sha256:gone");
    while shelf.count < 200 {
        let prefix = ["api-dev", "api-prod", "web-dev", "shop-prod", "jobs-dev"];
        let place = usize::try_from(shelf.count).unwrap() % prefix.len();
        shelf.pushed(prefix[place], &[]);
    }
}

fn stocked() -> (Project, Shelf) {
    let project = project(DEPLOY);
    let mut shelf = Shelf::default();
    needed(&mut shelf, &project);
    // What the child runs in, of which the index is not needed.
    let child = shelf.needed.iter().find(|one| {
        let tags = shelf.repository.tags.values();
        let is_untagged = !tags.clone().any(|of| of == *one);
        is_untagged
            && shelf
                .repository
                .manifests
                .values()
                .filter(|(_, bytes)| bytes.contains(one.as_str()))
                .count()
                == 1
            && shelf.repository.manifests.values().any(|(_, bytes)| {
                bytes.contains(one.as_str())
                    && bytes.contains("manifests")
                    && bytes.matches("digest").count() == 1
            })
    });
    let child = child.unwrap().clone();
    let service = Service::new(&host(&child));
    project
        .aws
        .state()
        .services
        .insert("of-a-child".into(), service);
    needless(&mut shelf);
    stock(&project, &shelf);
    (project, shelf)
}

#[test]
fn of_200_images_the_37_that_something_needs_stay_and_no_other() {
    let (project, shelf) = stocked();
    assert_eq!((shelf.count, shelf.needed.len()), (200, 37));
    let line = "prune dev --keep 0 --older 1h --json";
    let dry = project.run(&format!("{line} --dry-run")).expect(0).json();
    assert_eq!(left(&project).len(), 200, "a dry run deletes nothing");
    let shown: BTreeSet<String> = dry["plan"]["repositories"][0]["images"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|image| image["delete"] == true)
        .map(|image| image["digest"].as_str().unwrap().to_owned())
        .collect();
    let run = project.run(&format!("{line} --yes")).expect(0);
    let report = run.json();
    assert_eq!(left(&project), shelf.needed, "{}", run.stderr);
    let outcome = &report["outcome"];
    let deleted: BTreeSet<_> = outcome["deleted"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["digest"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(deleted, shown, "nothing is deleted that was not shown");
    assert_eq!(deleted.len(), 163);
    assert_eq!(
        (&outcome["failed"], &outcome["left"]),
        (&json!([]), &json!([]))
    );
    let record = fs::read_to_string(project.path("target/xtask-record.jsonl")).unwrap();
    assert_eq!(record.lines().count(), 163);
    assert!(
        record
            .lines()
            .all(|line| line.contains("\"action\":\"prune\"")
                && line.contains("\"outcome\":\"deleted\""))
    );
    let asked = project.aws.state().calls.clone();
    let each = "ListVersionsByFunction";
    assert!(
        !asked.iter().any(|call| call.starts_with(each)),
        "AWS lists versions with their functions"
    );
    let again = project.run(&format!("{line} --yes")).expect(0);
    assert!(
        again.stderr.contains("Nothing is left to delete"),
        "{}",
        again.stderr
    );
    assert_eq!(left(&project), shelf.needed);
}

#[test]
fn what_is_shown_has_size_cost_and_reason_and_what_stays_is_counted() {
    let (project, _) = stocked();
    let run = project
        .run("prune dev --keep 0 --older 1h --dry-run")
        .expect(0);
    for words in [
        "to delete from",
        "250.0 MB  0.025 USD  nothing needs it",
        "no tag names it",
        "it belongs to ",
        "it belonged to ",
        "163 images, ",
        "37 images of backend stay:",
        "run, or can be run again",
        "named by a moving tag",
        "a release",
        "named by a tag that is none of deploy.toml",
        "signatures and the like of an image that stays",
        "pushed not long ago",
        "in an image index that stays",
    ] {
        assert!(run.stderr.contains(words), "{words}: {}", run.stderr);
    }
    assert!(!run.stderr.contains("Lambda function"), "{}", run.stderr);
    let verbose = project
        .run("prune dev --keep 0 --older 1h --dry-run -v")
        .expect(0);
    for words in [
        "Lambda function zz-somebody-s, version 1 has it",
        "Lambda function backend-prod-api has it",
        "task definition web:1 has it",
        "App Runner service somebody-s has it",
        "ReplicaSet x has it",
        "`keep-me` is no tag of deploy.toml",
    ] {
        assert!(
            verbose.stderr.contains(words),
            "{words}: {}",
            verbose.stderr
        );
    }
}

#[test]
fn by_default_the_newest_ten_of_each_environment_and_a_month_of_pushes_stay() {
    let project = project(DEPLOY);
    let mut shelf = Shelf::default();
    let mut days = BTreeMap::new();
    for (prefix, count) in [("api-dev", 15), ("api-prod", 3), ("jobs-dev", 12)] {
        let images: Vec<_> = (0..count).map(|_| shelf.pushed(prefix, &[])).collect();
        days.insert(prefix, images);
    }
    let young = shelf.image(&[]);
    shelf.age(&young, 29 * DAY);
    let old = shelf.image(&[]);
    shelf.age(&old, 31 * DAY);
    stock(&project, &shelf);
    project.run("prune dev --yes").expect(0);
    let gone: BTreeSet<_> = days["api-dev"][..5]
        .iter()
        .chain(&days["jobs-dev"][..2])
        .chain([&old])
        .cloned()
        .collect();
    let all: BTreeSet<_> = shelf.repository.manifests.keys().cloned().collect();
    assert_eq!(left(&project), &all - &gone);
    project
        .run("prune dev --yes --keep 3 --service jobs")
        .expect(0);
    let gone: BTreeSet<_> = gone
        .into_iter()
        .chain(days["jobs-dev"][..9].to_vec())
        .collect();
    assert_eq!(left(&project), &all - &gone);
}

/// A repository with two old images, of which nothing is needed: the older one first.
fn two() -> (Project, Shelf, [String; 2]) {
    let project = project(DEPLOY);
    let mut shelf = Shelf::default();
    let images = [shelf.pushed("api-dev", &[]), shelf.pushed("api-dev", &[])];
    stock(&project, &shelf);
    (project, shelf, images)
}

const ALL: &str = "prune dev --keep 0 --older 0d --yes";

fn refused(run: Run, words: &[&str]) {
    let run = run.expect(2);
    for word in words {
        assert!(run.stderr.contains(word), "{word}: {}", run.stderr);
    }
}

#[test]
fn nothing_is_deleted_where_nobody_can_be_asked() {
    let (project, ..) = two();
    refused(
        project.run("prune dev --keep 0 --older 0d"),
        &["Delete these 2 images?", "--dry-run", "--yes"],
    );
    refused(
        project.run("prune dev --keep 0 --older 0d --quiet"),
        &["nothing is shown", "leave out `--quiet`"],
    );
    assert_eq!(left(&project).len(), 2);
}

#[test]
fn a_protected_environment_that_shares_the_repository_wants_its_name() {
    let protected = DEPLOY.replace(
        "kube-context = \"prod\"",
        "kube-context = \"prod\"\nprotected = true",
    );
    let (project, ..) = two();
    project.write("deploy.toml", &protected);
    refused(
        project.run("prune dev --keep 0 --older 0d"),
        &["`prod` is protected"],
    );
    assert_eq!(left(&project).len(), 2);
    project.run(ALL).expect(0);
    assert_eq!(left(&project).len(), 0);
}

#[test]
fn what_runs_and_cannot_be_read_is_a_refusal_with_the_environment_s_name() {
    for (operation, word) in [
        ("ListFunctions", "lambda:ListFunctions"),
        ("GetFunction", "lambda:GetFunction"),
        ("ListServices", "ecs:ListServices"),
        ("ListTasks", "ecs:ListTasks"),
        ("DescribeTaskDefinition", "ecs:DescribeTaskDefinition"),
        ("ListTaskDefinitions", "ecs:ListTaskDefinitions"),
        ("ListRuleNamesByTarget", "events:ListRuleNamesByTarget"),
    ] {
        let (project, ..) = stocked();
        // Lambda has a status for it; where the protocol is JSON-RPC, it is 400.
        let status = if word.starts_with("lambda:") {
            403
        } else {
            400
        };
        let denied = Fault::Error(status, "AccessDeniedException");
        project.aws.fail(operation, 99, denied);
        let words = ["what runs in `dev` (eu-west-1) cannot be read", word];
        // Both services have a `ListServices`.
        let words = if operation == "ListServices" {
            &words[..1]
        } else {
            &words
        };
        refused(project.run(ALL), words);
        assert_eq!(left(&project).len(), 200);
    }
    let (project, ..) = two();
    fs::remove_file(project.path("bin/kubectl")).unwrap();
    refused(project.run(ALL), &["kubectl"]);
    assert_eq!(left(&project).len(), 2);
}

#[test]
fn an_environment_of_another_account_that_shares_the_registry_has_to_be_read_as_itself() {
    let far = DEPLOY.replace(
        "[environments.prod]\naccount = \"111122223333\"",
        "[environments.prod]\naccount = \"444455556666\"\nregistry = \"111122223333.dkr.ecr.eu-west-1.amazonaws.com\"",
    );
    let (project, ..) = two();
    project.write("deploy.toml", &far);
    refused(
        project.run(ALL),
        &[
            "what runs in `prod`",
            "of account 111122223333, and it is in account 444455556666",
            "`profile`",
        ],
    );
    assert_eq!(left(&project).len(), 2);
    // One that does not share it is nobody to ask.
    project.write(
        "deploy.toml",
        &DEPLOY
            .replace(
                "kube-context = \"prod\"",
                "kube-context = \"prod\"\nrepository = \"prod/{project}\"",
            )
            .replacen(
                "[environments.prod]\naccount = \"111122223333\"",
                "[environments.prod]\naccount = \"444455556666\"",
                1,
            ),
    );
    project.run(ALL).expect(0);
    assert_eq!(left(&project).len(), 0);
}

#[test]
fn a_function_or_service_that_does_not_tell_its_image_keeps_the_repository() {
    let (project, ..) = two();
    let mut function = Function::new("arm64", "");
    function.is_untold = true;
    project
        .aws
        .state()
        .functions
        .insert("dark".into(), function);
    let run = project.run(&format!("{ALL} -v")).expect(0);
    assert!(
        run.stderr.contains(
            "Lambda function dark runs an image of this repository, and does not tell which"
        ),
        "{}",
        run.stderr
    );
    assert_eq!(left(&project).len(), 2);
    let mut state = project.aws.state();
    state.functions.clear();
    let by_tag = host("").replace('@', ":api-dev-latest");
    state.services.insert("shop".into(), Service::new(&by_tag));
    drop(state);
    project.run(ALL).expect(0);
    assert_eq!(left(&project).len(), 2);
    let elsewhere = by_tag.replace("backend", "other");
    project
        .aws
        .state()
        .services
        .insert("shop".into(), Service::new(&elsewhere));
    project.run(ALL).expect(0);
    assert_eq!(left(&project).len(), 0);
}

#[test]
fn a_stand_in_that_lists_no_versions_is_asked_for_those_of_each_function() {
    let (project, _, [older, newer]) = two();
    let mut function = Function::new("arm64", &newer);
    function.versions = vec![(1, "arm64".into(), older, 0)];
    let mut state = project.aws.state();
    state.functions.insert("api".into(), function);
    state.lambda.lists_no_versions = true;
    drop(state);
    project.run(ALL).expect(0);
    assert_eq!(left(&project).len(), 2);
}

#[test]
fn what_got_a_tag_or_runs_since_it_was_shown_is_left_alone() {
    let (project, _, [older, newer]) = two();
    let (tagged, runs) = (older.clone(), newer.clone());
    let tag = Arc::new(move |state: &mut State| {
        let repository = state.repositories.get_mut("backend").unwrap();
        repository
            .tags
            .insert("api-dev-latest".into(), tagged.clone());
        let function = Function::new("arm64", &runs);
        state.functions.insert("back".into(), function);
    });
    // The second look at functions, right before the deletion.
    project.aws.state().meanwhile = Some(("ListFunctions", 2, tag));
    let run = project.run(&format!("{ALL} --json")).expect(0);
    let outcome = &run.json()["outcome"];
    assert_eq!(outcome["deleted"], json!([]));
    let whys: BTreeMap<_, _> = outcome["left"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (
                one["digest"].as_str().unwrap(),
                one["why"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        whys[older.as_str()],
        "it has got the tag `api-dev-latest` meanwhile"
    );
    assert_eq!(whys[newer.as_str()], "Lambda function back has it now");
    assert!(
        run.stderr.contains("left alone: backend@"),
        "{}",
        run.stderr
    );
    assert_eq!(left(&project).len(), 2);
}

#[test]
fn what_is_left_keeps_what_it_has() {
    let project = project(DEPLOY);
    let mut shelf = Shelf::default();
    let child = shelf.image(&[]);
    let index = shelf.index(&[&child], &["jobs-dev-20250101-000000"]);
    let signature = shelf.artifact(&child);
    stock(&project, &shelf);
    let name = index.clone();
    let tag = Arc::new(move |state: &mut State| {
        let repository = state.repositories.get_mut("backend").unwrap();
        repository
            .tags
            .insert("jobs-dev-latest".into(), name.clone());
    });
    project.aws.state().meanwhile = Some(("ListFunctions", 2, tag));
    let outcome = project.run(&format!("{ALL} --json")).expect(0).json()["outcome"].clone();
    assert_eq!(outcome["deleted"], json!([]));
    let whys: Vec<_> = outcome["left"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["why"].as_str().unwrap())
        .collect();
    assert_eq!(whys[1], format!("{index} is still there"));
    assert_eq!(whys[2], format!("{child} is still there"));
    assert_eq!(left(&project), [child, index, signature].into());
}

#[test]
fn what_ecr_does_not_delete_is_shown_by_its_code() {
    let (project, _, [older, _]) = two();
    let child = older.clone();
    let index = Arc::new(move |state: &mut State| {
        let text = json!({ "manifests": [{ "digest": child }] }).to_string();
        let name = digest(text.as_bytes());
        let repository = state.repositories.get_mut("backend").unwrap();
        repository.manifests.insert(name, (INDEX.into(), text));
    });
    project.aws.state().meanwhile = Some(("BatchDeleteImage", 1, index));
    let run = project.run(&format!("{ALL} --json")).expect(1);
    let outcome = &run.json()["outcome"];
    assert_eq!(outcome["deleted"].as_array().unwrap().len(), 1);
    assert_eq!(outcome["failed"][0]["digest"], older.as_str());
    assert!(
        run.stderr.contains("ImageReferencedByManifestList"),
        "{}",
        run.stderr
    );
    assert!(left(&project).contains(&older));
}

#[test]
fn a_run_that_is_killed_anywhere_is_run_again() {
    let (services, rest) = DEPLOY.split_once("web = ").unwrap();
    assert!(rest.contains("jobs"));
    let project = project(services);
    let mut shelf = Shelf::default();
    let child = shelf.image(&[]);
    shelf.index(&[&child], &["api-dev-20250101-000000"]);
    shelf.artifact(&child);
    shelf.pushed("api-dev", &["api-dev-latest"]);
    stock(&project, &shelf);
    killed_after_each_call(&project, &[&project.aws], ALL, || left(&project));
    assert_eq!(left(&project).len(), 1);
}

#[test]
fn an_image_that_somebody_else_has_deleted_meanwhile_is_no_trouble() {
    let (project, _, [older, _]) = two();
    let gone = Arc::new(move |state: &mut State| {
        let repository = state.repositories.get_mut("backend").unwrap();
        repository.manifests.remove(&older);
        repository.tags.retain(|_, of| *of != older);
    });
    project.aws.state().meanwhile = Some(("ListFunctions", 2, gone));
    let outcome = project.run(&format!("{ALL} --json")).expect(0).json()["outcome"].clone();
    assert_eq!(outcome["deleted"].as_array().unwrap().len(), 1);
    assert_eq!(left(&project).len(), 0);
}

#[test]
fn each_region_has_a_repository_of_its_own() {
    let deploy = DEPLOY.replacen(
        "region = \"eu-west-1\"",
        "regions = [\"eu-west-1\", \"us-east-1\"]",
        1,
    );
    let project = project(&deploy);
    project.aws.add_region("us-east-1");
    let mut shelf = Shelf::default();
    let (here, there) = (shelf.pushed("api-dev", &[]), shelf.pushed("api-dev", &[]));
    stock(&project, &shelf);
    project
        .aws
        .state()
        .functions
        .insert("here".into(), Function::new("arm64", &here));
    let repository = shelf.repository.clone();
    project.aws.in_region("us-east-1", |state| {
        state.repositories.insert("backend".into(), repository);
        state
            .functions
            .insert("there".into(), Function::new("arm64", &there));
    });
    project.run(ALL).expect(0);
    // A digest that runs anywhere stays everywhere: nobody has to know which region pulls from which.
    let both: BTreeSet<_> = [here, there].into();
    assert_eq!(left(&project), both);
    project
        .aws
        .in_region("us-east-1", |state| state.functions.clear());
    project.run(ALL).expect(0);
    assert_eq!(left(&project).len(), 1);
    let far = project.aws.in_region("us-east-1", |state| {
        state.repositories["backend"].manifests.len()
    });
    assert_eq!(far, 1);
}

#[test]
fn other_namespaces_that_may_not_be_read_are_said() {
    let (project, ..) = two();
    project.write("docker/one-namespace", "");
    let run = project.run(ALL).expect(0);
    assert!(
        run.stderr.contains("kubectl may read no other namespace"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_registry_that_is_not_ecr_is_refused() {
    let project = project(&DEPLOY.replacen(
        "region = \"eu-west-1\"",
        "region = \"eu-west-1\"\nregistry = \"ghcr.io/acme\"",
        1,
    ));
    refused(project.run(ALL), &["`prune` knows ECR alone", "retention"]);
}

#[test]
fn a_repository_that_does_not_exist_has_nothing() {
    let run = project(DEPLOY).run(ALL).expect(0);
    assert!(
        run.stderr.contains("`backend` does not exist"),
        "{}",
        run.stderr
    );
}

/// What a policy expires. Source: "Lifecycle policy evaluation rules" in ECR's user guide.
fn expired(policy: &Value, repository: &Repository) -> BTreeSet<String> {
    let mut rules = policy["rules"].as_array().unwrap().clone();
    rules.sort_by_key(|rule| rule["rulePriority"].as_u64());
    let mut newest_first: Vec<_> = repository.manifests.keys().collect();
    newest_first.sort_by_key(|digest| std::cmp::Reverse(repository.pushed[*digest]));
    let tags = |digest: &str| -> Vec<_> {
        let all = repository.tags.iter().filter(|(_, of)| *of == digest);
        all.map(|(tag, _)| tag.as_str()).collect()
    };
    let (mut taken, mut expired) = (BTreeSet::new(), BTreeSet::new());
    for rule in &rules {
        let selection = &rule["selection"];
        let patterns = selection["tagPatternList"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let is_it = |digest: &&&String| {
            let tags = tags(digest);
            let fits =
                |pattern: &Value| tags.iter().any(|tag| fits(pattern.as_str().unwrap(), tag));
            if selection["tagStatus"] == "untagged" {
                tags.is_empty()
            } else {
                patterns.iter().all(fits)
            }
        };
        let selected: Vec<_> = newest_first.iter().filter(is_it).collect();
        let number = selection["countNumber"].as_i64().unwrap();
        for (place, digest) in selected.iter().enumerate() {
            let is_over = match selection["countType"].as_str().unwrap() {
                "imageCountMoreThan" => i64::try_from(place).unwrap() >= number,
                _ => now() - repository.pushed[**digest] > number * DAY,
            };
            if is_over && !taken.contains(**digest) {
                expired.insert((**digest).clone());
            }
        }
        // What has the tags of a rule is not expired by a later one.
        taken.extend(selected.into_iter().map(|digest| (*digest).clone()));
    }
    // What an index has that stays, stays.
    let stays = |(digest, _): &(&String, &(String, String))| !expired.contains(*digest);
    let staying: String = repository
        .manifests
        .iter()
        .filter(stays)
        .map(|(_, (_, bytes))| bytes.as_str())
        .collect();
    expired
        .into_iter()
        .filter(|digest| !staying.contains(digest.as_str()))
        .collect()
}

#[test]
fn the_lifecycle_policy_expires_nothing_that_a_moving_tag_a_release_or_an_index_needs() {
    let (project, shelf) = stocked();
    let run = project.run("prune dev --lifecycle-policy").expect(0);
    assert!(
        run.stderr.contains("no lifecycle policy knows what runs"),
        "{}",
        run.stderr
    );
    let policy = run.json();
    let gone = expired(&policy, &shelf.repository);
    let tags = &shelf.repository.tags;
    assert!(
        gone.iter()
            .all(|digest| !tags.values().any(|of| of == digest)),
        "only what has no tag"
    );
    assert!(gone.len() >= 12, "{gone:?}");
    let counted = project
        .run("prune dev --lifecycle-policy --keep 5")
        .expect(0);
    assert!(
        counted.stderr.contains("rarely deployed"),
        "{}",
        counted.stderr
    );
    let gone = expired(&counted.json(), &shelf.repository);
    assert!(gone.len() > 60, "{}", gone.len());
    for (tag, digest) in tags {
        let must_stay =
            tag.ends_with("latest") || tag == "api-v1.4.0" || tag == "web-dev-feature-x";
        assert!(!must_stay || !gone.contains(digest), "{tag}");
    }
}

#[test]
fn a_lifecycle_policy_is_put_after_its_difference_was_shown() {
    let (project, ..) = two();
    let policy = || project.aws.state().repositories["backend"].policy.clone();
    let line = "prune dev --put-lifecycle-policy";
    refused(project.run(line), &["Put this lifecycle policy?", "--yes"]);
    let dry = project.run(&format!("{line} --dry-run")).expect(0);
    assert!(dry.stderr.contains("+ {"), "{}", dry.stderr);
    assert_eq!(policy(), None);
    let put = project
        .run(&format!("{line} --yes --json"))
        .expect(0)
        .json();
    let there: Value = serde_json::from_str(&policy().unwrap()).unwrap();
    assert_eq!(there, put["policies"][0]["policy"]);
    assert_eq!(left(&project).len(), 2, "nothing is deleted");
    let again = project.run(&format!("{line} --yes")).expect(0);
    assert!(again.stderr.contains("Unchanged"), "{}", again.stderr);
    let changed = project.run(&format!("{line} --older 12w --yes")).expect(0);
    assert!(
        changed.stderr.contains("- {") && changed.stderr.contains(":84}"),
        "{}",
        changed.stderr
    );
}
