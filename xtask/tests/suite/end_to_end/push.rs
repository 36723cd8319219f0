//! Building and pushing.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    process::Stdio,
};

use serde_json::Value;

use super::clone::Clone;
use crate::support::project::Run;

pub(super) fn two_starts_at_once_make_one_sandbox(clone: &Clone) {
    println!("--- two starts at once");
    let start = || {
        clone
            .command("sandbox up --json")
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap()
    };
    let outcomes = [start(), start()].map(|child| {
        Run::from(child.wait_with_output().unwrap())
            .expect(0)
            .json()
    });
    assert_eq!(outcomes[0], outcomes[1]);
    assert_eq!(
        outcomes[0],
        clone.run("sandbox up --json").expect(0).json(),
        "a third start changes nothing"
    );
    let endpoint = outcomes[0]["endpoint"].as_str().unwrap();
    assert!(endpoint.starts_with("http://localhost:"), "{endpoint}");
}

pub(super) fn six_tags_each_for_the_right_cpu(clone: &Clone, report: &Value) {
    println!("--- what other clients see");
    let tags = clone.look();
    let registry = report["place"]["registry"].as_str().unwrap();
    let commit = clone.git("rev-parse HEAD");
    let expected = [
        ("api-lambda-", "arm64"),
        ("api-apprunner-", "amd64"),
        ("api-eks-", "arm64"),
        ("worker-", "arm64"),
    ];
    assert_eq!(tags.len(), 24, "{:?}", tags.keys());
    for (prefix, arch) in expected {
        let of_image: Vec<_> = tags
            .iter()
            .filter(|(tag, _)| tag.starts_with(prefix))
            .collect();
        assert_eq!(of_image.len(), 6, "{prefix}");
        let digest = &of_image[0].1["digest"];
        for (tag, seen) in &of_image {
            assert_eq!(&seen["digest"], digest, "{tag}");
            assert_eq!(seen["api-digest"], seen["digest"], "{tag}");
            assert_eq!(seen["platform"], format!("linux/{arch}"), "{tag}");
            let media_type = seen["media-type"].as_str().unwrap();
            assert!(
                media_type.contains("manifest.v")
                    && !media_type.contains("list")
                    && !media_type.contains("index"),
                "{media_type}"
            );
            assert_eq!(
                seen["labels"]["org.opencontainers.image.revision"], commit,
                "{tag}"
            );
            assert!(
                seen["labels"]["org.opencontainers.image.created"]
                    .as_str()
                    .unwrap()
                    .ends_with('Z'),
                "{tag}"
            );
        }
        let names: Vec<_> = of_image.iter().map(|(tag, _)| tag.as_str()).collect();
        for end in [
            format!("dev-{arch}-latest"),
            "dev-latest".into(),
            format!("{}-{arch}", &commit[..7]),
            commit[..7].to_owned(),
        ] {
            assert!(
                names.contains(&format!("{prefix}{end}").as_str()),
                "{prefix}{end} is not in {names:?}"
            );
        }
        let image = report["images"]
            .as_array()
            .unwrap()
            .iter()
            .find(|image| image["tags"].get(names[0]).is_some());
        let image = image.unwrap();
        assert_eq!(&image["digest"], digest, "{prefix}");
        let reference = format!("{registry}/backend@{}", digest.as_str().unwrap());
        let words = ["buildx", "imagetools", "inspect", "--raw", &reference];
        let raw: Value = serde_json::from_str(&clone.client("docker", &words)).unwrap();
        assert_eq!(
            raw["config"]["digest"], image["proof"]["config-digest"],
            "what was proven is what others get"
        );
    }
}

pub(super) fn images_run_on_the_cpu_that_they_are_for(clone: &Clone) {
    println!("--- running the images");
    let registry = clone.status()["registry"].as_str().unwrap().to_owned();
    let commit = clone.git("rev-parse HEAD");
    let lambda = "import handler; print(handler.handler({'rawPath': '/'}, None)['body'])";
    let server = "import service; print(service.answer('/').decode())";
    let cases = [
        ("api-lambda", "linux/arm64", lambda, "aarch64"),
        ("worker", "linux/arm64", lambda, "aarch64"),
        ("api-eks", "linux/arm64", server, "aarch64"),
        ("api-apprunner", "linux/amd64", server, "x86_64"),
    ];
    for (image, platform, program, machine) in cases {
        let reference = format!("{registry}/backend:{image}-dev-latest");
        let words = [
            "run",
            "--rm",
            "--quiet",
            "--platform",
            platform,
            "--entrypoint",
            "python3",
            &reference,
            "-c",
            program,
        ];
        let answer: Value = serde_json::from_str(&clone.client("docker", &words)).unwrap();
        assert_eq!(
            (answer["architecture"].as_str(), answer["revision"].as_str()),
            (Some(machine), Some(commit.as_str())),
            "{image}"
        );
    }
}

pub(super) fn a_second_run_builds_nothing(clone: &Clone, first: &Value) {
    println!("--- a second run");
    let before = clone.look();
    let run = clone.run("push-dev --sandbox --json").expect(0);
    let second = run.json();
    for (first, second) in first["images"]
        .as_array()
        .unwrap()
        .iter()
        .zip(second["images"].as_array().unwrap())
    {
        assert_eq!(second["built"], false);
        assert_eq!(first["digest"], second["digest"]);
    }
    assert_eq!(clone.look(), before);
}

pub(super) fn local_builds_stay_local(clone: &Clone) {
    println!("--- local builds");
    let before = clone.look();
    clone.run("docker-build --sandbox").expect(0);
    clone
        .run("docker-build-amd64 --sandbox --service worker")
        .expect(0);
    let machine = |image: &str, platform: &str| {
        let program = "import platform; print(platform.machine())";
        clone.client(
            "docker",
            &[
                "run",
                "--rm",
                "--platform",
                platform,
                "--entrypoint",
                "python3",
                image,
                "-c",
                program,
            ],
        )
    };
    assert_eq!(machine("backend:arm64-latest", "linux/arm64"), "aarch64");
    assert_eq!(
        machine("backend:api-arm64-latest", "linux/arm64"),
        "aarch64"
    );
    assert_eq!(
        machine("backend:worker-amd64-latest", "linux/amd64"),
        "x86_64"
    );
    let run = Run::from(
        clone
            .command("docker-build --sandbox --json")
            .env("ARCH", "amd64")
            .env("DOCKERFILE", "Dockerfile.eks")
            .output()
            .unwrap(),
    );
    assert_eq!(
        run.expect(0).json()["images"][0]["local-names"][0],
        "backend:amd64-latest"
    );
    assert_eq!(clone.look(), before, "nothing was pushed");
}

pub(super) fn a_run_that_is_killed_anywhere_can_be_run_again(clone: &Clone) {
    println!("--- killed at every step");
    let steps = [
        (r#""event":"build""#, ""),
        (r#""event":"push""#, ""),
        (r#""message":"tag "#, ""),
        (r#""message":"tag "#, "-latest"),
    ];
    for (number, (step, tag_end)) in steps.into_iter().enumerate() {
        fs::write(
            clone.directory.path().join("backend/api/changed.py"),
            format!("# {number}\n"),
        )
        .unwrap();
        clone.commit("change");
        let mut child = clone
            .command("push-dev --sandbox --service api --verbose --log-format json")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let reached = lines
            .map_while(Result::ok)
            .any(|line| line.contains(step) && line.contains(&format!("{tag_end}\"")));
        assert!(reached, "the run never came to {step}");
        child.kill().unwrap();
        child.wait().unwrap();
        let before = clone.look();
        let commit = clone.git("rev-parse HEAD");
        for (tag, seen) in before.iter().filter(|(_, seen)| {
            seen["labels"]["org.opencontainers.image.revision"] == commit.as_str()
        }) {
            let moved_early = tag.ends_with("latest") && tag_end.is_empty();
            assert!(!moved_early, "{tag} moved before {step}: {seen}");
        }
        clone
            .run("push-dev --sandbox --service api --json")
            .expect(0);
        let after = clone.look();
        for target in ["lambda", "apprunner", "eks"] {
            assert_eq!(
                after[&format!("api-{target}-dev-latest")]["digest"],
                after[&format!("api-{target}-{}", &commit[..7])]["digest"]
            );
            assert_eq!(
                after[&format!("api-{target}-dev-latest")]["labels"]["org.opencontainers.image.revision"],
                commit.as_str()
            );
        }
    }
}

pub(super) fn other_dockerfiles_build_too(clone: &Clone) {
    println!("--- a Dockerfile as the seeds have it, and a plain one");
    let arg_first = "ARG PYTHON_BASE=python:3.13-slim\nARG TARGETPLATFORM\nFROM --platform=$TARGETPLATFORM ${PYTHON_BASE}\n\
                     ARG SERVICE_FOLDER\nCOPY ${SERVICE_FOLDER} /app/\nRUN python3 -c 'import platform; print(platform.machine())' > /machine\n";
    fs::write(
        clone.directory.path().join("backend/Dockerfile.other"),
        arg_first,
    )
    .unwrap();
    for (arch, machine) in [("arm64", "aarch64"), ("amd64", "x86_64")] {
        let name = format!("backend:{arch}-latest");
        clone
            .run(&format!(
                "docker-build --sandbox --arch {arch} --dockerfile Dockerfile.other"
            ))
            .expect(0);
        let platform = format!("linux/{arch}");
        let words = [
            "run",
            "--rm",
            "--platform",
            &platform,
            &name,
            "cat",
            "/machine",
        ];
        assert_eq!(clone.client("docker", &words), machine);
    }
    let refused = clone
        .run("docker-build --sandbox --dockerfile Dockerfile.other")
        .expect(2);
    assert!(refused.stderr.contains("--arch"), "{}", refused.stderr);
    fs::remove_file(clone.directory.path().join("backend/Dockerfile.other")).unwrap();
}

pub(super) fn protected_environments_are_refused_before_anything_is_built(clone: &Clone) {
    println!("--- guards");
    fs::write(clone.directory.path().join("untracked"), "").unwrap();
    let dirty = clone.run("push-prod --sandbox --yes").expect(2);
    assert!(
        dirty.stderr.contains("dirty") && !dirty.stderr.contains("will be built"),
        "{}",
        dirty.stderr
    );
    fs::remove_file(clone.directory.path().join("untracked")).unwrap();
    clone.git("switch --quiet --create feature");
    let branch = clone.run("push-prod --sandbox --yes").expect(2);
    assert!(branch.stderr.contains("feature"), "{}", branch.stderr);
    clone.git("switch --quiet main");
    let variables: BTreeMap<String, String> =
        serde_json::from_str(&clone.run("sandbox env --json").expect(0).stdout).unwrap();
    let account = Run::from(
        clone
            .command("push-prod --yes")
            .envs(variables)
            .output()
            .unwrap(),
    )
    .expect(2);
    assert!(
        account.stderr.contains("000000000000") && account.stderr.contains("444455556666"),
        "{}",
        account.stderr
    );
    let unasked = clone.run("push-prod --sandbox").expect(2);
    assert!(unasked.stderr.contains("--yes"), "{}", unasked.stderr);
    clone.run("push-prod --sandbox --yes").expect(0);
}

/// One tag for both CPUs, read and run by clients that know nothing of this tool.
pub(super) fn a_list_serves_both_cpus(clone: &Clone) {
    println!("--- one image index for both CPUs");
    let line = "push dev --sandbox --service api --dockerfile Dockerfile.eks --multi-arch --json";
    // The plain tags of this commit name a single image already, and may not move.
    fs::write(
        clone.directory.path().join("backend/api/listed.py"),
        "# for both\n",
    )
    .unwrap();
    clone.commit("listed");
    let report = clone.run(line).expect(0).json();
    let list = report["images"][0]["image-index"]
        .as_str()
        .unwrap()
        .to_owned();
    let registry = clone.status()["registry"].as_str().unwrap().to_owned();
    let tag = format!("{registry}/backend:api-eks-dev-latest");
    let raw: Value = serde_json::from_str(&clone.client(
        "docker",
        &["buildx", "imagetools", "inspect", "--raw", &tag],
    ))
    .unwrap();
    let media_type = raw["mediaType"].as_str().unwrap();
    assert!(
        media_type.contains("image.index") || media_type.contains("manifest.list"),
        "{media_type}"
    );
    let seen: Vec<_> = raw["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|child| &child["platform"]["architecture"])
        .collect();
    assert_eq!(seen, ["amd64", "arm64"]);
    // As plain HTTP has it, entry by entry.
    let children = clone.look()["api-eks-dev-latest"]["children"]
        .as_array()
        .unwrap()
        .clone();
    assert_eq!(children.len(), 2);
    assert!(
        children.iter().all(|child| child["says"] == child["is"]),
        "{children:?}"
    );
    let program = "import platform; print(platform.machine())";
    for (platform, machine) in [("linux/arm64", "aarch64"), ("linux/amd64", "x86_64")] {
        clone.client("docker", &["pull", "--quiet", "--platform", platform, &tag]);
        let words = [
            "run",
            "--rm",
            "--platform",
            platform,
            "--entrypoint",
            "python3",
            &tag,
            "-c",
            program,
        ];
        assert_eq!(clone.client("docker", &words), machine);
    }
    let again = clone.run(line).expect(0).json();
    assert_eq!(
        (
            again["images"][0]["built"].as_bool(),
            again["images"][0]["image-index"].as_str()
        ),
        (Some(false), Some(list.as_str()))
    );
    clone
        .run("verify ecr dev --sandbox --service api")
        .expect(0);
    let shown = clone
        .run(&format!("manifest inspect {tag} --sandbox --json"))
        .expect(0)
        .json();
    assert_eq!(shown["digest"], list.as_str());
    let refused = clone
        .run("push dev --sandbox --multi-arch --service worker")
        .expect(2);
    assert!(
        refused.stderr.contains("refuses an image index"),
        "{}",
        refused.stderr
    );
    // A single image again, for what comes after.
    fs::write(
        clone.directory.path().join("backend/api/listed.py"),
        "# for one\n",
    )
    .unwrap();
    clone.commit("single");
    clone.run("push dev --sandbox --service api").expect(0);
}
