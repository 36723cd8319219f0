//! Image indexes by hand, seen from outside.
use crate::support::project::Project;
use serde_json::{Value, json};

const SINGLE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A change of an index's entry.
type Change = fn(&mut Value);

/// A project with an image for each CPU in its registry, and docker's login for it.
struct Lists {
    project: Project,
    arm64: String,
    amd64: String,
}

impl Lists {
    fn new() -> Self {
        let project = Project::new();
        let push = |dockerfile: &str| {
            let report = project
                .run(&format!(
                    "push dev --service api --dockerfile {dockerfile} --json"
                ))
                .expect(0)
                .json();
            report["images"][0]["digest"].as_str().unwrap().to_owned()
        };
        let (arm64, amd64) = (push("Dockerfile.eks"), push("Dockerfile.apprunner"));
        project.log_in_to(&project.aws.registry);
        Self {
            project,
            arm64,
            amd64,
        }
    }

    fn name(&self, rest: &str) -> String {
        format!("{}/backend{rest}", self.project.aws.registry)
    }

    /// Puts an index into the registry as other tools may have made it.
    fn store(&self, tag: &str, children: &[Value]) {
        let bytes =
            json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": children }).to_string();
        let mut state = self.project.aws.state();
        let repository = state.repositories.get_mut("backend").unwrap();
        let digest = crate::support::aws::digest(bytes.as_bytes());
        repository
            .manifests
            .insert(digest.clone(), (INDEX.into(), bytes));
        repository.tags.insert(tag.into(), digest);
    }

    /// What is said of an index that is not as it says.
    fn problems_of(&self, children: &[Value]) -> String {
        self.store("bad", children);
        self.project
            .run(&format!("manifest inspect {}", self.name(":bad")))
            .expect(1)
            .stderr
    }

    /// Puts a changed copy of an image's manifest there, and returns its digest.
    fn store_image(&self, like: &str, change: impl FnOnce(&mut Value)) -> String {
        let mut state = self.project.aws.state();
        let repository = state.repositories.get_mut("backend").unwrap();
        let mut manifest: Value = serde_json::from_str(&repository.manifests[like].1).unwrap();
        change(&mut manifest);
        let bytes = manifest.to_string();
        let digest = crate::support::aws::digest(bytes.as_bytes());
        repository
            .manifests
            .insert(digest.clone(), (SINGLE.into(), bytes));
        digest
    }

    fn child(&self, digest: &str, arch: &str) -> Value {
        let state = self.project.aws.state();
        let size = state.repositories["backend"]
            .manifests
            .get(digest)
            .map_or(1, |(_, bytes)| bytes.len());
        json!({ "mediaType": SINGLE, "digest": digest, "size": size, "platform": { "os": "linux", "architecture": arch } })
    }
}

#[test]
fn a_list_is_made_shown_and_pushed() {
    let lists = Lists::new();
    let list = lists.name(":both");
    let create = format!(
        "manifest create {list} {} {}",
        lists.name(":api-eks-dev-latest"),
        lists.name(":api-apprunner-dev-latest")
    );
    let made = lists
        .project
        .run(&format!("{create} --json"))
        .expect(0)
        .json();
    assert!(
        !lists.project.aws.state().repositories["backend"]
            .tags
            .contains_key("both"),
        "made, and not pushed"
    );
    let pushed = lists
        .project
        .run(&format!("manifest push {list} --json"))
        .expect(0)
        .json();
    assert_eq!(made["digest"], pushed["digest"]);
    let shown = lists
        .project
        .run(&format!("manifest inspect {list} --json"))
        .expect(0)
        .json();
    let children: Vec<_> = shown["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (
                one["architecture"].as_str().unwrap(),
                one["digest"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        children,
        [
            ("amd64", lists.amd64.as_str()),
            ("arm64", lists.arm64.as_str())
        ]
    );
    assert_eq!(shown["digest"], pushed["digest"]);
    for key in [
        "mediaType",
        "size",
        "digest",
        "architecture",
        "os",
        "variant",
    ] {
        assert!(shown["manifests"][0].get(key).is_some(), "{key}");
    }
    let gone = lists
        .project
        .run(&format!("manifest push {list}"))
        .expect(2);
    assert!(gone.stderr.contains("manifest create"), "{}", gone.stderr);
    let single = lists
        .project
        .run(&format!(
            "manifest inspect {} --json",
            lists.name(":api-eks-dev-latest")
        ))
        .expect(0)
        .json();
    assert_eq!(
        (
            single["manifests"][0]["architecture"].as_str(),
            single["digest"].as_str()
        ),
        (Some("arm64"), Some(lists.arm64.as_str()))
    );
}

#[test]
fn images_of_another_repository_are_brought_along() {
    let lists = Lists::new();
    lists.project.aws.state().repositories.insert(
        "other".into(),
        crate::support::aws::Repository {
            mutability: "MUTABLE".into(),
            ..Default::default()
        },
    );
    let list = format!("{}/other:both", lists.project.aws.registry);
    let line = format!(
        "manifest create {list} {}@{} {}@{}",
        lists.name(""),
        lists.arm64,
        lists.name(""),
        lists.amd64
    );
    lists.project.run(&line).expect(0);
    {
        let mut state = lists.project.aws.state();
        state.uploaded = 0;
        state.mounts_blobs = true;
    }
    lists
        .project
        .run(&format!("manifest push {list}"))
        .expect(0);
    let state = lists.project.aws.state();
    assert!(
        state.repositories["other"]
            .manifests
            .contains_key(&lists.arm64)
    );
    assert_eq!(state.uploaded, 0, "mounted, and not sent");
}

#[test]
fn a_child_that_lies_is_missing_or_twice_there_is_named() {
    let lists = Lists::new();
    let inspect = |children: &[Value]| lists.problems_of(children);
    let lying = inspect(&[lists.child(&lists.amd64, "arm64")]);
    assert!(
        lying.contains(&format!(
            "{} is listed for linux/arm64, and its config says linux/amd64",
            lists.amd64
        )),
        "{lying}"
    );
    let gone = format!("sha256:{}", "a".repeat(64));
    let missing = inspect(&[
        lists.child(&lists.arm64, "arm64"),
        lists.child(&gone, "amd64"),
    ]);
    assert!(
        missing.contains(&gone) && missing.contains("cannot be read"),
        "{missing}"
    );
    let twice = inspect(&[
        lists.child(&lists.arm64, "arm64"),
        lists.child(&lists.arm64, "arm64"),
    ]);
    assert!(twice.contains("is listed twice"), "{twice}");
    let mut wrong_size = lists.child(&lists.arm64, "arm64");
    wrong_size["size"] = json!(7);
    assert!(inspect(&[wrong_size]).contains("the entry says 7 bytes"));
    // What may stand beside a platform, and what may not.
    let with = |change: Change| {
        let mut child = lists.child(&lists.arm64, "arm64");
        change(&mut child);
        inspect(&[child, lists.child(&lists.amd64, "amd64")])
    };
    let cases: [(Change, &str); 7] = [
        (
            |child| child["platform"] = Value::Null,
            "is listed without a platform",
        ),
        (
            |child| child["platform"]["os"] = json!("unknown"),
            "is listed for unknown/arm64, and its config says linux/arm64",
        ),
        (
            |child| child["platform"]["variant"] = json!("v9"),
            "is listed for linux/arm64/v9",
        ),
        (
            |child| child["platform"] = json!({ "os": "linux", "architecture": "amd64" }),
            "are listed for the same platform",
        ),
        (
            |child| {
                child["mediaType"] = json!("application/vnd.docker.distribution.manifest.v2+json");
            },
            "and says of itself",
        ),
        (
            |child| child["digest"] = json!("../../x"),
            "it is named by no digest",
        ),
        (
            |child| {
                child["platform"] = json!({ "os": "unknown", "architecture": "unknown" });
                child["digest"] = json!(format!("sha256:{}", "b".repeat(64)));
            },
            "(unknown/unknown): it cannot be read",
        ),
    ];
    for (change, expected) in cases {
        let said = with(change);
        assert!(said.contains(expected), "{expected} is not in {said}");
    }
    assert!(inspect(&[]).contains("the index names no image"));
    let mut usual = lists.child(&lists.arm64, "arm64");
    usual["platform"]["variant"] = json!("v8");
    lists.store("fine", &[usual.clone()]);
    lists
        .project
        .run(&format!("manifest inspect {}", lists.name(":fine")))
        .expect(0);
    // An index in an index, and a second lie after it: both are told, once, and for programs too.
    let digest = lists.project.aws.state().repositories["backend"].tags["fine"].clone();
    let mut nested = lists.child(&digest, "arm64");
    nested["mediaType"] = json!(INDEX);
    lists.store("bad", &[nested, lists.child(&lists.amd64, "arm64")]);
    let both = lists
        .project
        .run(&format!("manifest inspect {} --json", lists.name(":bad")))
        .expect(1)
        .json();
    let problems = both["problems"].to_string();
    assert!(
        problems.contains("it is an image index itself")
            && problems.contains("its config says linux/amd64"),
        "{problems}"
    );
    // Nothing from a registry looks like a line of ours, or is obeyed by a terminal.
    let mut forged = lists.child(&lists.arm64, "arm64");
    forged["platform"]["variant"] =
        json!("v8\n    linux/amd64\u{1b}[2J\n        digest     sha256:fake");
    let shown = inspect(&[forged]);
    assert!(
        !shown.contains('\u{1b}') && !shown.lines().any(|line| line.trim() == "linux/amd64"),
        "{shown}"
    );
    for (images, expected) in [
        (
            vec![":api-eks-dev-latest", ":api-eks-dev-arm64-latest"],
            "are the same image",
        ),
        (vec![":bad"], "is an image index itself"),
    ] {
        let names: Vec<_> = images.into_iter().map(|image| lists.name(image)).collect();
        let run = lists
            .project
            .run(&format!(
                "manifest create {} {}",
                lists.name(":x"),
                names.join(" ")
            ))
            .expect(2);
        assert!(run.stderr.contains(expected), "{}", run.stderr);
    }
    let elsewhere = lists
        .project
        .run(&format!(
            "manifest create {} example.com/a:b",
            lists.name(":x")
        ))
        .expect(2);
    assert!(
        elsewhere.stderr.contains("in another registry"),
        "{}",
        elsewhere.stderr
    );
    lists.project.run("manifest create").expect(2);
}

#[test]
fn an_image_that_engines_refuse_is_in_no_list() {
    let lists = Lists::new();
    let child = lists.child(&lists.amd64, "amd64");
    let cases = [
        (
            lists.store_image(&lists.arm64, |image| image["manifests"] = json!([child])),
            "ambiguous",
        ),
        (
            lists.store_image(&lists.arm64, |image| image["mediaType"] = json!(INDEX)),
            "ambiguous",
        ),
        (
            lists.store_image(&lists.arm64, |image| {
                let digest = image["config"]["digest"].clone();
                image["layers"] =
                    json!([{ "mediaType": "application/x-foo", "digest": digest, "size": 7 }]);
            }),
            "of media type `application/x-foo`",
        ),
        (
            lists.store_image(&lists.arm64, |image| image["config"]["size"] = json!(7)),
            "7",
        ),
    ];
    for (digest, expected) in cases {
        for line in ["manifest create {x}:l", "verify image"] {
            let run = lists
                .project
                .run(&format!(
                    "{} {}@{digest}",
                    line.replace("{x}", &lists.name("")),
                    lists.name("")
                ))
                .expect(1);
            assert!(
                run.stderr.contains(expected),
                "{line}: {expected} is not in {}",
                run.stderr
            );
        }
        lists.store("bad", &[lists.child(&digest, "arm64")]);
        let inspected = lists
            .project
            .run(&format!("manifest inspect {}", lists.name(":bad")));
        // A layer's type is no business of the index.
        assert_eq!(
            inspected.code,
            i32::from(!expected.contains("x-foo")),
            "{expected}: {}",
            inspected.stderr
        );
    }
}

#[test]
fn what_is_listed_for_no_platform_is_about_an_image_and_none_itself() {
    let lists = Lists::new();
    let inspect = |children: &[Value]| lists.problems_of(children);
    let nowhere = || {
        let mut child = lists.child(&lists.arm64, "arm64");
        child["platform"] = json!({ "os": "unknown", "architecture": "unknown" });
        child
    };
    let hidden = inspect(&[nowhere(), lists.child(&lists.amd64, "amd64")]);
    assert!(
        hidden.contains("is listed for no platform, and its config says linux/arm64"),
        "{hidden}"
    );
    assert!(inspect(&[nowhere()]).contains("the index names no image"));
    let mut about = nowhere();
    about["annotations"] = json!({ "vnd.docker.reference.digest": "sha256:gone" });
    let about = inspect(&[about, lists.child(&lists.amd64, "amd64")]);
    assert!(
        about.contains("is about sha256:gone, which is not in the index"),
        "{about}"
    );
}

#[test]
fn a_list_is_no_image_for_a_function() {
    let lists = Lists::new();
    lists.store(
        "both",
        &[
            lists.child(&lists.arm64, "arm64"),
            lists.child(&lists.amd64, "amd64"),
        ],
    );
    let line = format!("verify image {} --json", lists.name(":both"));
    let eks = lists
        .project
        .run(&format!("{line} --target eks"))
        .expect(0)
        .json();
    assert_eq!(
        (&eks["mismatches"], eks["digest"].as_str()),
        (&json!([]), Some(lists.arm64.as_str()))
    );
    let lambda = lists
        .project
        .run(&format!("{line} --target lambda"))
        .expect(1);
    assert!(
        lambda
            .stderr
            .contains("which Lambda refuses: its image for linux/arm64 is"),
        "{}",
        lambda.stderr
    );
    assert!(
        lambda.json()["image-index"]
            .as_str()
            .unwrap()
            .starts_with("sha256:")
    );
}
