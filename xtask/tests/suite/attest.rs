//! What is attached to images in their registry: SBOMs, provenance and signatures, seen from outside, with a recording cosign and
//! notation, and registries with and without a list of what belongs to an image.

use std::fs;

use serde_json::{Value, json};

use crate::support::{
    aws::{Aws, PASSWORD, Referrers, Repository, digest},
    images::{Image, Layer, program},
    killed::killed_after_each_call,
    project::{DEPLOY, Project, deploy_to},
};

const PUSH: &str = "push dev --service worker";
const SBOM: &str = "application/vnd.cyclonedx+json";
const STATEMENT: &str = "application/vnd.in-toto+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const KEYS: &str =
    "sign-args = [\"--key\", \"awskms:///alias/x\"]\nverify-args = [\"--key\", \"cosign.pub\"]";

/// A deploy.toml in which `dev` has more keys.
fn dev_with(keys: &str) -> String {
    let known = "create-repository = true";
    DEPLOY.replacen(known, &format!("{known}\n{keys}"), 1)
}

fn project(keys: &str) -> Project {
    Project::with_deploy(&dev_with(keys))
}

fn signing(tool: &str) -> Project {
    let project = project(&format!("sign = \"{tool}\"\n{KEYS}"));
    project.install_signer(tool);
    project
}

fn tagged(aws: &Aws, repository: &str, tag: &str) -> String {
    aws.state().repositories[repository].tags[tag].clone()
}

fn manifest(repository: &Repository, digest: &str) -> Value {
    serde_json::from_str(&repository.manifests[digest].1).unwrap()
}

/// The artifacts of an image: their digests, their manifests and the one document of each.
fn artifacts(aws: &Aws, repository: &str, subject: &str) -> Vec<(String, Value, Vec<u8>)> {
    let state = aws.state();
    let repository = &state.repositories[repository];
    let all = repository.manifests.keys();
    let its = all.filter_map(|digest| {
        let found = manifest(repository, digest);
        if found["subject"]["digest"] != subject {
            return None;
        }
        let [layer] = &found["layers"].as_array()?[..] else {
            panic!("{found}")
        };
        let blob = repository.blobs[layer["digest"].as_str()?].clone();
        Some((digest.clone(), found, blob))
    });
    its.collect()
}

/// The document of a kind that an image has.
fn document(aws: &Aws, repository: &str, subject: &str, kind: &str) -> Value {
    let all = artifacts(aws, repository, subject);
    let its: Vec<_> = all
        .iter()
        .filter(|(_, manifest, _)| manifest["artifactType"] == kind)
        .collect();
    let [(_, _, blob)] = &its[..] else {
        panic!("{} of {kind}", its.len())
    };
    serde_json::from_slice(blob).unwrap()
}

fn log(project: &Project, name: &str) -> String {
    fs::read_to_string(project.path("docker").join(name)).unwrap_or_default()
}

/// The verbs of the signing tool, in order.
fn verbs(project: &Project) -> Vec<String> {
    let log = log(project, "signer-log");
    let verb = |line: &str| line.split(' ').nth(1).unwrap().to_owned();
    log.lines().map(verb).collect()
}

/// The tags of the worker that move.
fn moving(project: &Project) -> Vec<(String, String)> {
    let state = project.aws.state();
    let Some(repository) = state.repositories.get("backend") else {
        return Vec::new();
    };
    let tags = repository.tags.clone().into_iter();
    tags.filter(|(tag, _)| tag.ends_with("latest")).collect()
}

/// An image of this commit that somebody has pushed, with packages and a distribution.
fn store_image(project: &Project) -> String {
    let status = "Package: libc6\nStatus: install ok installed\nArchitecture: arm64\nVersion: 2.36-9+deb12u4\n";
    let hostile = "Name: \u{1b}[31m\u{202e}evil\nVersion: \u{9b}1\n";
    let layers = [Layer {
        created_by: "COPY . . # buildkit",
        files: &[
            ("app", &program("arm64")),
            ("var/lib/dpkg/status", status.as_bytes()),
            ("usr/lib/os-release", b"ID=debian\nVERSION_ID=\"12\"\n"),
            ("x.dist-info/METADATA", hostile.as_bytes()),
            (
                "srv/node_modules/@types/node/package.json",
                br#"{"name":"@types/node","version":"20.1.0"}"#,
            ),
            ("var/lib/rpm/rpmdb.sqlite", b"SQLite format 3\0"),
        ],
    }];
    let image = Image {
        arch: "arm64",
        layers: &layers,
        labels: json!({
            "org.opencontainers.image.revision": project.head(),
            "org.opencontainers.image.source": "https://user:secret-in-url@git.example.com/team/backend.git",
        }),
    };
    let head = project.head();
    image.store(
        &project.aws,
        "backend",
        &format!("worker-{}-arm64", &head[..7]),
    )
}

#[test]
fn an_image_stays_one_manifest_and_has_its_documents_beside_it() {
    let project = project("sbom = true\nprovenance = true");
    let run = project.run(&format!("{PUSH} --json")).expect(0);
    let image = &run.json()["images"][0];
    let digest = image["digest"].as_str().unwrap();
    assert_eq!(tagged(&project.aws, "backend", "worker-dev-latest"), digest);
    assert_eq!(
        image["media-type"],
        "application/vnd.oci.image.manifest.v1+json"
    );
    let attached = artifacts(&project.aws, "backend", digest);
    assert_eq!(attached.len(), 2);
    for (_, found, blob) in &attached {
        let config = &found["config"];
        assert_eq!(config["mediaType"], "application/vnd.oci.empty.v1+json");
        assert_eq!(config["size"], 2);
        assert_eq!(
            found["mediaType"],
            "application/vnd.oci.image.manifest.v1+json"
        );
        assert_eq!(found["layers"][0]["mediaType"], found["artifactType"]);
        assert_eq!(found["layers"][0]["size"], blob.len());
        assert_eq!(
            found["subject"]["mediaType"],
            "application/vnd.oci.image.manifest.v1+json"
        );
        let state = project.aws.state();
        assert_eq!(
            found["subject"]["size"],
            state.repositories["backend"].manifests[digest].1.len()
        );
    }
    let told: Vec<_> = image["attached"].as_array().unwrap().iter().collect();
    assert_eq!(
        (&told[0]["document"], &told[1]["document"]),
        (&json!("sbom"), &json!("provenance"))
    );
    for one in told {
        assert!(
            attached
                .iter()
                .any(|(digest, ..)| one["digest"] == digest.as_str()),
            "{one}"
        );
        assert_eq!(one["was-there"], false);
    }
    let state = project.aws.state();
    let put = |name: &str| {
        state
            .calls
            .iter()
            .position(|call| call.contains(name))
            .unwrap()
    };
    let first_tag = state
        .calls
        .iter()
        .position(|call| call.starts_with("PutImage"))
        .unwrap();
    for (digest, ..) in &attached {
        assert!(put(digest) < first_tag, "before any tag: {:?}", state.calls);
    }
    assert!(
        state.repositories["backend"]
            .tags
            .keys()
            .all(|tag| !tag.starts_with("sha256-"))
    );
}

#[test]
fn a_second_run_attaches_nothing_and_a_later_commit_its_own() {
    let project = project("sbom = true\nprovenance = true");
    project.run(PUSH).expect(0);
    let manifests = || project.aws.state().repositories["backend"].manifests.len();
    let before = manifests();
    project.aws.state().calls.clear();
    let run = project.run(&format!("{PUSH} --json")).expect(0);
    for one in run.json()["images"][0]["attached"].as_array().unwrap() {
        assert_eq!(one["was-there"], true);
    }
    let wrote = |call: &&String| call.starts_with("PUT") || call.starts_with("UPLOAD");
    let state = project.aws.state().calls.clone();
    assert_eq!(state.iter().filter(wrote).count(), 0, "{state:?}");
    assert!(!run.stderr.contains("Attached"), "{}", run.stderr);
    project.commit();
    project.write("backend/Dockerfile.lambda", "FROM scratch\n# changed\n");
    project.commit();
    project.run(PUSH).expect(0);
    assert_eq!(manifests(), before + 3);
}

#[test]
fn an_sbom_has_the_packages_of_the_image_and_is_the_same_each_time() {
    let one = project("sbom = true");
    let subject = store_image(&one);
    one.run(PUSH).expect(0);
    let sbom = document(&one.aws, "backend", &subject, SBOM);
    assert_eq!(
        (&sbom["bomFormat"], &sbom["specVersion"]),
        (&json!("CycloneDX"), &json!("1.6"))
    );
    let components = sbom["components"].as_array().unwrap();
    let urls: Vec<_> = components
        .iter()
        .map(|one| one["bom-ref"].as_str().unwrap())
        .collect();
    assert_eq!(
        urls,
        [
            "os:debian",
            "pkg:deb/debian/libc6@2.36-9%2Bdeb12u4?arch=arm64&distro=debian-12",
            "pkg:pypi/%1B%5B31m%E2%80%AEevil@%C2%9B1",
            "pkg:npm/%40types/node@20.1.0",
        ]
    );
    let image = &sbom["metadata"]["component"];
    assert_eq!(
        (&image["type"], &image["name"]),
        (&json!("container"), &json!("backend"))
    );
    assert_eq!(image["hashes"][0]["content"], subject[7..]);
    assert!(
        sbom["metadata"]["properties"]
            .to_string()
            .contains("/var/lib/rpm/rpmdb.sqlite")
    );
    let all = artifacts(&one.aws, "backend", &subject);
    let text = String::from_utf8(all[0].2.clone()).unwrap();
    assert!(
        text.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
        "{text}"
    );
    assert!(!text.contains("secret-in-url"), "{text}");
    // The same image in another account, on another machine.
    let other = project("sbom = true");
    assert_eq!(store_image(&other), subject);
    other.run(PUSH).expect(0);
    assert_eq!(artifacts(&other.aws, "backend", &subject), all);
}

#[test]
fn a_flag_asks_for_an_sbom_where_deploy_toml_does_not() {
    let project = Project::new();
    let run = project.run(&format!("{PUSH} --sbom --json")).expect(0);
    let image = run.json()["images"][0].clone();
    let attached = artifacts(&project.aws, "backend", image["digest"].as_str().unwrap());
    assert_eq!(attached.len(), 1);
    assert_eq!(attached[0].1["artifactType"], SBOM);
}

#[test]
fn provenance_says_what_was_built_from_what_and_no_value_of_a_user_s_argument() {
    let hex = "b".repeat(64);
    let project = project("provenance = true");
    let materials =
        json!({ "materials": [{ "uri": "pkg:docker/base@1", "digest": { "sha256": hex } }] });
    project.write("docker/provenance", &materials.to_string());
    let variables = [
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_SERVER_URL", "https://github.example.com"),
        ("GITHUB_REPOSITORY", "team/backend"),
        (
            "GITHUB_WORKFLOW_REF",
            "team/backend/.github/workflows/ship.yml@refs/heads/main",
        ),
        ("GITHUB_RUN_ID", "7"),
    ];
    // The runner is told to mask the password, which is in the output for that.
    let output = project.command(PUSH).envs(variables).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let subject = tagged(&project.aws, "backend", "worker-dev-latest");
    let said = document(&project.aws, "backend", &subject, STATEMENT);
    let head = project.head();
    assert_eq!(said["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(said["predicateType"], "https://slsa.dev/provenance/v1");
    assert_eq!(said["subject"][0]["digest"]["sha256"], subject[7..]);
    let definition = &said["predicate"]["buildDefinition"];
    assert_eq!(definition["buildType"], "urn:shipright:build:1");
    let mut chosen = definition["externalParameters"].clone();
    assert_eq!(
        chosen.as_object_mut().map(|chosen| {
            chosen.remove("ssh");
            json!(chosen)
        }),
        Some(json!({
            "source": "https://git.example.com/team/backend.git", "commit": head, "dirty": false, "environment": "dev",
            "dockerfile": "backend/Dockerfile.lambda", "context": "backend", "platform": "linux/arm64",
            "buildArguments": ["BASE"], "secrets": [],
        }))
    );
    assert_eq!(
        definition["internalParameters"]["buildArguments"]["TARGETARCH"],
        "arm64"
    );
    assert_eq!(
        definition["resolvedDependencies"],
        json!([
            { "uri": format!("git+https://git.example.com/team/backend.git@{head}"), "digest": { "gitCommit": head } },
            { "uri": "pkg:docker/base@1", "digest": { "sha256": hex } },
        ])
    );
    let details = &said["predicate"]["runDetails"];
    let workflow =
        "https://github.example.com/team/backend/.github/workflows/ship.yml@refs/heads/main";
    assert_eq!(details["builder"]["id"], workflow);
    assert_eq!(
        details["metadata"]["invocationId"],
        "https://github.example.com/team/backend/actions/runs/7"
    );
    assert!(!said.to_string().contains("base:1"), "{said}");
}

#[test]
fn an_image_whose_build_nobody_has_seen_has_a_statement_that_says_so() {
    let project = project("provenance = true");
    let subject = store_image(&project);
    project.run(PUSH).expect(0);
    let said = document(&project.aws, "backend", &subject, STATEMENT);
    let predicate = &said["predicate"];
    assert_eq!(
        predicate["buildDefinition"]["buildType"],
        "urn:shipright:found:1"
    );
    assert_eq!(
        predicate["runDetails"]["builder"]["id"],
        "urn:shipright:builder:unknown"
    );
    assert_eq!(
        predicate["buildDefinition"]["externalParameters"]["commit"],
        project.head()
    );
    assert!(!said.to_string().contains("secret-in-url"), "{said}");
    // What somebody else has said of it is theirs, also where it is no statement at all.
    project.run(PUSH).expect(0);
    assert_eq!(artifacts(&project.aws, "backend", &subject).len(), 1);
}

#[test]
fn a_registry_without_a_list_gets_one_under_the_tag_of_the_digest() {
    let project = project("sbom = true\nprovenance = true");
    project.aws.state().referrers = Referrers::Unlisted;
    project.run(PUSH).expect(0);
    let subject = tagged(&project.aws, "backend", "worker-dev-latest");
    let tag = subject.replace(':', "-");
    let list = || {
        let name = tagged(&project.aws, "backend", &tag);
        let state = project.aws.state();
        let repository = &state.repositories["backend"];
        assert_eq!(repository.manifests[&name].0, INDEX);
        manifest(repository, &name)["manifests"]
            .as_array()
            .unwrap()
            .clone()
    };
    let entries = list();
    let kinds: Vec<_> = entries
        .iter()
        .map(|entry| entry["artifactType"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, [SBOM, STATEMENT]);
    assert_eq!(
        entries[1]["annotations"]["in-toto.io/predicate-type"],
        "https://slsa.dev/provenance/v1"
    );
    project.run(PUSH).expect(0);
    assert_eq!(list(), entries);
    // Somebody else's entry stays when ours is lost.
    let theirs = json!({ "mediaType": INDEX, "digest": entries[1]["digest"], "size": 1, "artifactType": "x/y" });
    let bytes =
        json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [theirs] }).to_string();
    {
        let mut state = project.aws.state();
        let repository = state.repositories.get_mut("backend").unwrap();
        let name = digest(bytes.as_bytes());
        repository
            .manifests
            .insert(name.clone(), (INDEX.to_owned(), bytes));
        repository.tags.insert(tag.clone(), name);
    }
    project.run(PUSH).expect(0);
    let kinds: Vec<_> = list()
        .iter()
        .map(|entry| entry["artifactType"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(kinds, ["x/y", SBOM, STATEMENT]);
}

#[test]
fn a_list_that_may_not_move_is_an_error_before_anything_is_sent() {
    let project = project("sbom = true");
    project.aws.state().referrers = Referrers::Unlisted;
    project.run("push dev --service worker").expect(0);
    let subject = tagged(&project.aws, "backend", "worker-dev-latest");
    let tags = |project: &Project| project.aws.state().repositories["backend"].tags.clone();
    {
        let mut state = project.aws.state();
        let repository = state.repositories.get_mut("backend").unwrap();
        assert!(
            repository.exclusions.contains(&"sha256-*".to_owned()),
            "{:?}",
            repository.exclusions
        );
        repository.exclusions.retain(|one| one != "sha256-*");
        // The list has nothing of ours.
        let bytes = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [] }).to_string();
        let name = digest(bytes.as_bytes());
        repository
            .manifests
            .insert(name.clone(), (INDEX.to_owned(), bytes));
        repository.tags.insert(subject.replace(':', "-"), name);
        repository.tags.remove("worker-dev-latest");
        state.calls.clear();
    }
    let before = tags(&project);
    let run = project.run(PUSH).expect(1);
    assert!(
        run.stderr.contains("may not move: nothing was attached"),
        "{}",
        run.stderr
    );
    assert_eq!(tags(&project), before);
    let calls = project.aws.state().calls.clone();
    assert!(
        !calls
            .iter()
            .any(|call| call.starts_with("PUT") || call.starts_with("UPLOAD")),
        "{calls:?}"
    );
}

#[test]
fn a_document_that_cannot_be_attached_leaves_every_tag_and_a_second_run_goes_on() {
    let project = project("sbom = true\nprovenance = true");
    project.run(PUSH).expect(0);
    let before = project.aws.state().repositories["backend"].tags.clone();
    project.write("backend/Dockerfile.lambda", "FROM scratch\n# changed\n");
    project.commit();
    // The image's manifest is the first that is written, and the SBOM's the second.
    project.aws.state().referrers = Referrers::Refused;
    let run = project.run(PUSH).expect(1);
    assert!(
        run.stderr.contains("failed to attach to sha256:"),
        "{}",
        run.stderr
    );
    assert_eq!(project.aws.state().repositories["backend"].tags, before);
    project.aws.state().referrers = Referrers::Listed;
    project.run(PUSH).expect(0);
    let subject = tagged(&project.aws, "backend", "worker-dev-latest");
    assert_ne!(before["worker-dev-latest"], subject);
    let said = document(&project.aws, "backend", &subject, STATEMENT);
    assert_eq!(
        said["predicate"]["buildDefinition"]["buildType"],
        "urn:shipright:build:1"
    );
}

#[test]
fn an_image_is_signed_by_its_digest_once_and_before_its_moving_tags() {
    for tool in ["cosign", "notation"] {
        let project = signing(tool);
        let run = project.run(&format!("{PUSH} --json")).expect(0);
        let image = &run.json()["images"][0];
        let digest = image["digest"].as_str().unwrap();
        assert_eq!(
            image["signature"],
            json!({ "tool": tool, "was-there": false })
        );
        let reference = format!("{}/backend@{digest}", project.aws.registry);
        let yes = if tool == "cosign" { " --yes" } else { "" };
        let verify = format!("{tool} verify --key cosign.pub {reference}\n");
        let sign = format!("{tool} sign{yes} --key awskms:///alias/x {reference}\n");
        assert_eq!(
            log(&project, "signer-log"),
            format!("{verify}{sign}{verify}")
        );
        let everything = [
            log(&project, "signer-log"),
            log(&project, "signer-env"),
            run.stdout,
            run.stderr,
        ]
        .concat();
        assert!(!everything.contains(PASSWORD), "{everything}");
        for config in log(&project, "signer-configs").lines() {
            assert!(!std::path::Path::new(config).exists(), "{config} is left");
        }
        let again = project.run(&format!("{PUSH} --json")).expect(0);
        assert_eq!(again.json()["images"][0]["signature"]["was-there"], true);
        assert_eq!(verbs(&project), ["verify", "sign", "verify", "verify"]);
    }
}

#[test]
fn a_signature_that_is_not_made_moves_no_tag_and_a_second_run_goes_on() {
    let project = signing("cosign");
    project.write("docker/sign-fails", "cosign sign\nno OIDC token\n");
    let run = project.run(PUSH).expect(1);
    assert!(
        run.stderr.contains("no OIDC token") && run.stderr.contains("is not signed"),
        "{}",
        run.stderr
    );
    assert_eq!(moving(&project), []);
    assert_eq!(project.aws.state().repositories["backend"].tags.len(), 4);
    fs::remove_file(project.path("docker/sign-fails")).unwrap();
    let run = project.run(&format!("{PUSH} --json")).expect(0);
    let image = run.json()["images"][0].clone();
    assert_eq!(
        (&image["built"], &image["signature"]["was-there"]),
        (&json!(false), &json!(false))
    );
    assert_eq!(moving(&project).len(), 2);
}

#[test]
fn a_signature_that_its_own_tool_does_not_accept_moves_no_tag() {
    let project = signing("cosign");
    project.write("docker/signs-nothing", "");
    let run = project.run(PUSH).expect(1);
    assert!(
        run.stderr.contains("does not accept it") && run.stderr.contains("no signatures found"),
        "{}",
        run.stderr
    );
    assert!(!run.stderr.contains('\u{1b}'), "{}", run.stderr);
    assert_eq!(moving(&project), []);
}

#[test]
fn a_tool_that_is_missing_is_refused_before_anything_is_done() {
    let project = project(&format!("sign = \"notation\"\n{KEYS}"));
    for line in [
        PUSH,
        "verify signature dev",
        "promote prod dev --service worker",
    ] {
        let bin = project.path("bin");
        let run = project.run_with(line, &[("PATH", bin.to_str().unwrap())]);
        assert_eq!(run.code, 2, "{line}: {}", run.stderr);
        assert!(
            run.stderr.contains("`notation` is not installed"),
            "{}",
            run.stderr
        );
        assert!(
            run.stderr.contains("https://notaryproject.dev"),
            "{}",
            run.stderr
        );
    }
    assert!(project.aws.state().repositories.is_empty());
}

#[test]
fn each_image_of_an_index_is_signed_and_the_index_too() {
    let deploy = dev_with(&format!(
        "sbom = true\nprovenance = true\nsign = \"cosign\"\n{KEYS}"
    ));
    let project = Project::with_deploy(&deploy);
    project.install_signer("cosign");
    let line = "push dev --service api --dockerfile Dockerfile.eks --multi-arch --json";
    let document = project.run(line).expect(0).json();
    assert_eq!(
        document["image-indexes"][0]["signature"]["was-there"],
        false
    );
    let index = document["image-indexes"][0]["digest"].as_str().unwrap();
    let mut wanted: Vec<_> = document["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| image["digest"].as_str().unwrap())
        .collect();
    for digest in &wanted {
        assert_eq!(artifacts(&project.aws, "backend", digest).len(), 2);
    }
    wanted.push(index);
    let signed = log(&project, "signatures");
    let signed: Vec<_> = signed
        .lines()
        .map(|line| line.split_once('@').unwrap().1)
        .collect();
    assert_eq!(signed.len(), 3);
    assert!(
        wanted.iter().all(|digest| signed.contains(digest)),
        "{signed:?} {wanted:?}"
    );
    assert_eq!(artifacts(&project.aws, "backend", index).len(), 0);
    let rows = project
        .run("verify signature dev --service api --json")
        .expect(0)
        .json();
    let what: Vec<_> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["what"].as_str().unwrap())
        .collect();
    assert_eq!(what, ["index", "linux/amd64", "linux/arm64"]);
    // The index alone has lost its signature.
    let kept = log(&project, "signatures");
    let kept: Vec<_> = kept.lines().filter(|line| !line.ends_with(index)).collect();
    project.write("docker/signatures", &kept.join("\n"));
    let run = project.run("verify signature dev --service api").expect(1);
    assert!(
        run.stderr
            .contains(&format!("{index}, which `api-eks-dev-latest` names")),
        "{}",
        run.stderr
    );
    let everything = project.run("verify --json").json();
    let row = everything
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["check"] == "signature dev");
    assert_eq!(row.unwrap()["state"], "mismatch");
    assert!(
        !everything.to_string().contains("signature prod"),
        "{everything}"
    );
    let run = project.run("verify signature prod").expect(2);
    assert!(
        run.stderr.contains("images of `prod` are not signed"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_dry_run_shows_what_would_be_attached_and_touches_nothing() {
    let project = project(&format!(
        "sbom = true\nprovenance = true\nsign = \"cosign\"\n{KEYS}"
    ));
    project.install_signer("cosign");
    let run = project.run(&format!("{PUSH} --dry-run")).expect(0);
    let reference = format!(
        "{}/backend@\"$(jq -r '.\"containerimage.digest\"' worker.json)\"",
        project.aws.registry
    );
    for line in [
        "attach: each image gets an SBOM (CycloneDX) and its provenance (SLSA), and a signature by cosign".to_owned(),
        format!("syft registry:{reference} --output 'cyclonedx-json=worker.cdx.json'"),
        format!("oras attach --artifact-type {SBOM} {reference} worker.cdx.json:{SBOM}"),
        format!("oras attach --artifact-type {STATEMENT} {reference} worker.provenance.json:{STATEMENT}"),
        format!("cosign sign --yes --key awskms:///alias/x {reference}"),
    ] {
        assert!(run.stderr.contains(&line), "{line}\n{}", run.stderr);
    }
    let plan = project
        .run(&format!("{PUSH} --dry-run --json"))
        .expect(0)
        .json();
    assert_eq!(plan["plan"]["attest"]["sign"]["tool"], "cosign");
    assert_eq!(
        plan["plan"]["attest"]["sign"]["sign-args"][1],
        "awskms:///alias/x"
    );
    assert_eq!(log(&project, "signer-log"), "");
    assert!(project.aws.state().repositories.is_empty());
}

/// A deploy.toml with production in another account, which asks for everything.
fn deploy_with_prod(far: &Aws, keys: &str) -> String {
    let known = "repository = \"prod/{project}\"";
    deploy_to(far).replacen(known, &format!("{known}\n{keys}"), 1)
}

#[test]
fn a_promotion_makes_the_sbom_anew_takes_the_statement_along_and_signs_for_its_environment() {
    let far = Aws::start();
    let keys = format!("sbom = true\nprovenance = true\nsign = \"cosign\"\n{KEYS}");
    let deploy = deploy_with_prod(&far, &keys).replacen(
        "create-repository = true",
        "create-repository = true\nsbom = true\nprovenance = true",
        1,
    );
    let project = Project::with_deploy(&deploy);
    project.install_signer("cosign");
    project.run(PUSH).expect(0);
    let subject = tagged(&project.aws, "backend", "worker-dev-latest");
    assert_eq!(log(&project, "signer-log"), "", "dev signs nothing");
    let plan = project
        .run("promote dev prod --service worker --dry-run --json")
        .expect(0)
        .json();
    assert_eq!(plan["plan"]["attest"]["provenance"], true);
    project.write("docker/sign-fails", "cosign sign\nno key\n");
    let run = project
        .run("promote dev prod --service worker --yes")
        .expect(1);
    assert!(
        run.stderr.contains("no moving tag was written"),
        "{}",
        run.stderr
    );
    assert!(
        far.state().repositories["prod/backend"]
            .tags
            .keys()
            .all(|tag| !tag.ends_with("latest"))
    );
    fs::remove_file(project.path("docker/sign-fails")).unwrap();
    let done = project
        .run("promote dev prod --service worker --yes --json")
        .expect(0)
        .json();
    assert_eq!(tagged(&far, "prod/backend", "worker-prod-latest"), subject);
    assert_eq!(
        artifacts(&far, "prod/backend", &subject),
        artifacts(&project.aws, "backend", &subject)
    );
    let beside = &done["images"][0]["beside"][0];
    assert_eq!(
        (&beside["digest"], &beside["signature"]["was-there"]),
        (&json!(subject), &json!(false))
    );
    assert_eq!(
        log(&project, "signatures"),
        format!("{}/prod/backend@{subject}\n", far.registry)
    );
    project
        .run("verify signature prod --service worker")
        .expect(0);
}

#[test]
fn a_promotion_of_an_image_without_a_statement_says_that_nobody_has_seen_its_build() {
    let far = Aws::start();
    let project = Project::with_deploy(&deploy_with_prod(&far, "provenance = true"));
    project.run(PUSH).expect(0);
    project
        .run("promote dev prod --service worker --yes")
        .expect(0);
    let subject = tagged(&far, "prod/backend", "worker-prod-latest");
    let said = document(&far, "prod/backend", &subject, STATEMENT);
    assert_eq!(
        said["predicate"]["buildDefinition"]["buildType"],
        "urn:shipright:found:1"
    );
}

#[test]
fn a_promotion_attaches_nothing_to_what_buildkit_says_of_an_image() {
    let far = Aws::start();
    let deploy = deploy_with_prod(&far, "sbom = true");
    let deploy = ["lambda", "apprunner"].iter().fold(deploy, |deploy, name| {
        deploy.replacen(
            &format!("  {{ dockerfile = \"Dockerfile.{name}\" }},\n"),
            "",
            1,
        )
    });
    let project = Project::with_deploy(&deploy);
    let push = "push dev --service api --multi-arch --json";
    let document = project.run(push).expect(0).json();
    let index = document["image-indexes"][0]["digest"].as_str().unwrap();
    // As BuildKit makes an index by default: each image, and a manifest of what it says of it.
    let (name, said) = {
        let mut state = project.aws.state();
        let repository = state.repositories.get_mut("backend").unwrap();
        let (media_type, text) = repository.manifests[index].clone();
        let mut listed: Value = serde_json::from_str(&text).unwrap();
        let mut keep = |bytes: &str| {
            let name = digest(bytes.as_bytes());
            repository
                .blobs
                .insert(name.clone(), bytes.as_bytes().to_vec());
            json!({ "mediaType": "application/vnd.in-toto+json", "digest": name, "size": bytes.len() })
        };
        let (config, layer) = (keep("{}"), keep("{\"_type\":\"x\"}"));
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let said =
            json!({ "schemaVersion": 2, "mediaType": kind, "config": config, "layers": [layer] });
        let said = said.to_string();
        let entry = json!({ "mediaType": kind, "digest": digest(said.as_bytes()), "size": said.len(),
                            "annotations": { "vnd.docker.reference.type": "attestation-manifest",
                                             "vnd.docker.reference.digest": listed["manifests"][0]["digest"] },
                            "platform": { "architecture": "unknown", "os": "unknown" } });
        listed["manifests"].as_array_mut().unwrap().push(entry);
        let text = listed.to_string();
        let name = digest(text.as_bytes());
        let said_digest = digest(said.as_bytes());
        repository
            .manifests
            .insert(said_digest.clone(), (kind.to_owned(), said));
        repository
            .manifests
            .insert(name.clone(), (media_type, text));
        for tag in repository.tags.values_mut().filter(|tag| *tag == index) {
            tag.clone_from(&name);
        }
        (name, said_digest)
    };
    project
        .run("promote dev prod --service api --yes")
        .expect(0);
    assert_eq!(tagged(&far, "prod/backend", "api-prod-latest"), name);
    assert_eq!(artifacts(&far, "prod/backend", &said).len(), 0);
    for image in document["images"].as_array().unwrap() {
        let image = image["digest"].as_str().unwrap();
        assert_eq!(artifacts(&far, "prod/backend", image).len(), 1);
    }
}

#[test]
fn what_is_attached_stays_with_its_image_and_goes_with_it() {
    let deploy = dev_with("sbom = true\nprovenance = true");
    let deploy = deploy.replacen("default-service = \"api\"\n", "", 1);
    let (head, _) = deploy.split_once("[services.api]").unwrap();
    let deploy =
        format!("{head}\n[services.worker]\nimages = [{{ dockerfile = \"Dockerfile.lambda\" }}]\n");
    for (referrers, count) in [(Referrers::Listed, 3), (Referrers::Unlisted, 4)] {
        let project = Project::with_deploy(&deploy);
        project.aws.state().referrers = referrers;
        project.run("push dev").expect(0);
        let all = || project.aws.state().repositories["backend"].manifests.len();
        assert_eq!(all(), count);
        project.run("prune dev --yes").expect(0);
        assert_eq!(all(), count, "it is what the environment has");
        let image = tagged(&project.aws, "backend", "worker-dev-latest");
        {
            let mut state = project.aws.state();
            let repository = state.repositories.get_mut("backend").unwrap();
            repository.tags.retain(|_, digest| *digest != image);
        }
        project.run("prune dev --yes").expect(0);
        assert_eq!(all(), 0);
    }
}

#[test]
fn every_region_has_what_is_attached_before_a_tag_moves_in_any() {
    let keys = format!("sbom = true\nprovenance = true\nsign = \"cosign\"\n{KEYS}");
    let regions = "regions = [\"eu-west-1\", \"us-east-1\"]";
    let project =
        Project::with_deploy(&dev_with(&keys).replacen("region = \"eu-west-1\"", regions, 1));
    project.install_signer("cosign");
    project.aws.add_region("us-east-1");
    project.write("docker/sign-fails", "cosign sign\nno key\n");
    project.run(PUSH).expect(1);
    assert_eq!(moving(&project), []);
    fs::remove_file(project.path("docker/sign-fails")).unwrap();
    project.run(PUSH).expect(0);
    let subject = tagged(&project.aws, "backend", "worker-dev-latest");
    let here: Vec<_> = artifacts(&project.aws, "backend", &subject)
        .into_iter()
        .map(|(digest, ..)| digest)
        .collect();
    assert_eq!(here.len(), 2);
    project.aws.in_region("us-east-1", |state| {
        let repository = &state.repositories["backend"];
        assert!(
            here.iter()
                .all(|digest| repository.manifests.contains_key(digest))
        );
        assert_eq!(repository.tags["worker-dev-latest"], subject);
    });
    assert!(log(&project, "signer-configs").lines().count() > 4);
    let before = verbs(&project).len();
    project.run(PUSH).expect(0);
    assert_eq!(verbs(&project)[before..], ["verify", "verify"]);
}

#[test]
fn a_deployment_takes_the_flag_too() {
    let project = Project::new();
    // There is no function yet, which is said after the plan of the push.
    let run = project.run("deploy dev --service worker --sbom --dry-run");
    assert!(
        run.stderr.contains("attach: each image gets an SBOM"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_run_that_is_killed_anywhere_is_ended_by_the_next_one() {
    let project = project("sbom = true\nprovenance = true");
    project.aws.state().referrers = Referrers::Unlisted;
    killed_after_each_call(&project, &[&project.aws], PUSH, || {
        let state = project.aws.state();
        let repository = &state.repositories["backend"];
        let moment = |tag: &String| tag.starts_with("worker-dev-2");
        let tags: Vec<_> = repository
            .tags
            .iter()
            .filter(|(tag, _)| !moment(tag))
            .map(|(tag, digest)| (tag.clone(), digest.clone()))
            .collect();
        (tags, repository.manifests.clone())
    });
}
