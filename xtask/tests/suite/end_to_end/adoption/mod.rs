//! A repository without Rust adopts the tool by the words of `docs/adopt.md`: the installed program, and one new file.

mod rust;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tempfile::TempDir;

pub(super) use rust::a_workspace_of_rust_adopts_it;

use super::clone::{Clone, TOKEN};
use crate::support::project::Run;

const COMPOSE: &str = r"
services:
  page:
    build: { context: services/page, additional_contexts: { proto: ./protos } }
  api:
    build: { context: jobs, target: api }
  worker:
    build: { context: jobs, target: worker }
";

const TERRAFORM: &str = "resource \"aws_apprunner_service\" \"page\" { service_name = \"page\" }\n\
                         resource \"aws_ecs_service\" \"cart\" { name = \"cart\" }\n";

const PROGRAM: &str = "FROM scratch\nARG TARGETARCH\nCOPY app-$TARGETARCH /app\n";
const START: &str = "ENTRYPOINT [\"/app\"]\n";

/// A monorepo of the common kinds: a build context a service, a directory that several share, and a Dockerfile of several images.
fn theirs(root: &Path) {
    let stages = "FROM scratch AS both\nARG TARGETARCH\nCOPY app-$TARGETARCH /app\n\
                  FROM both AS api\nENTRYPOINT [\"/app\", \"api\"]\n\
                  FROM both AS worker\nENTRYPOINT [\"/app\", \"worker\"]\n";
    let files = [
        ("services/cart", format!("{PROGRAM}{START}")),
        (
            "services/page",
            format!("{PROGRAM}COPY --from=proto a.proto /\n{START}"),
        ),
        ("jobs", stages.to_owned()),
    ];
    for (directory, dockerfile) in files {
        let directory = root.join(directory);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("Dockerfile"), dockerfile).unwrap();
        // Source: the ELF specification's table of machines.
        for (arch, machine) in [("arm64", 183), ("amd64", 62)] {
            fs::write(directory.join(format!("app-{arch}")), program(machine)).unwrap();
        }
    }
    fs::create_dir(root.join("protos")).unwrap();
    fs::write(root.join("protos/a.proto"), "syntax = \"proto3\";\n").unwrap();
    fs::write(root.join("compose.yaml"), COMPOSE).unwrap();
    fs::write(root.join("main.tf"), TERRAFORM).unwrap();
    git(root, "init --quiet --initial-branch=main");
    git(root, "add --all");
    git(root, "commit --quiet --message=theirs");
}

pub(super) fn a_repository_without_rust_adopts_it(clone: &Clone) {
    println!("--- a repository without Rust");
    let repository = TempDir::new().unwrap();
    let root = repository.path();
    theirs(root);
    // From here on: what the page says, without a word typed into deploy.toml.
    let shipright = program_of_the_workspace();
    run(&shipright, root, "init").expect(0);
    run(&shipright, root, "init --check").expect(0);
    git(root, "add --all");
    git(root, "commit --quiet --message=adopted");

    let cart = root.join("services/cart");
    let report = run(&shipright, &cart, "push-dev --sandbox --json")
        .expect(0)
        .json();
    let expected = [
        ("api", "arm64"),
        ("cart", "arm64"),
        ("page", "amd64"),
        ("worker", "arm64"),
    ];
    assert_eq!(report["images"].as_array().unwrap().len(), expected.len());
    for (image, arch) in expected {
        let images = report["images"].as_array().unwrap();
        let found = images.iter().find(|found| found["name"] == image).unwrap();
        assert_eq!(
            (&found["arch"], &found["error"]),
            (&arch.into(), &serde_json::Value::Null)
        );
        assert_eq!(found["proof"]["verdict"]["checked"], 1, "{found}");
        let reference = format!(
            "{}/{}@{}",
            report["place"]["registry"].as_str().unwrap(),
            found["repository"].as_str().unwrap(),
            found["digest"].as_str().unwrap()
        );
        let words = [
            "buildx",
            "imagetools",
            "inspect",
            "--format",
            "{{.Image.Architecture}}",
            &reference,
        ];
        assert_eq!(clone.client("docker", &words), arch);
    }
    let again = run(&shipright, root, "push dev --sandbox --json")
        .expect(0)
        .json();
    assert!(
        again["images"]
            .as_array()
            .unwrap()
            .iter()
            .all(|image| image["built"] == false)
    );
    assert_eq!(
        git(root, "status --porcelain"),
        "",
        "nothing of ours makes the tree dirty"
    );
}

/// The program as `cargo install` would make it.
fn program_of_the_workspace() -> PathBuf {
    let xtask = Path::new(env!("CARGO_BIN_EXE_xtask"));
    let (profile, workspace) = (
        xtask.parent().unwrap(),
        Path::new(env!("CARGO_MANIFEST_DIR")),
    );
    let words = [
        "build",
        "--locked",
        "--package",
        "shipright",
        "--bin",
        "shipright",
    ];
    let built = Command::new(env!("CARGO"))
        .current_dir(workspace)
        .args(words)
        .env("CARGO_TARGET_DIR", profile.parent().unwrap())
        .status();
    assert!(built.unwrap().success());
    profile.join("shipright")
}

fn run(program: &Path, directory: &Path, line: &str) -> Run {
    println!("$ shipright {line}");
    let mut command = Command::new(program);
    command
        .current_dir(directory)
        .args(line.split(' '))
        .stdin(Stdio::null());
    // The sandbox of the other tests, and so its engine.
    command.env("CARGO_TARGET_DIR", env!("CARGO_TARGET_TMPDIR"));
    for name in ["ARCH", "DOCKERFILE", "AWS_ENDPOINT_URL", "AWS_PROFILE"] {
        command.env_remove(name);
    }
    let run = Run::from(command.output().unwrap());
    assert!(!run.stdout.contains(TOKEN) && !run.stderr.contains(TOKEN));
    run
}

fn git(directory: &Path, words: &str) -> String {
    let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"];
    let output = Command::new("git")
        .current_dir(directory)
        .args(identity)
        .args(words.split(' '))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "git {words}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The headers of a static ELF program: what says which CPU it is for. Nothing here executes it.
fn program(machine: u16) -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    bytes.extend(2_u16.to_le_bytes());
    bytes.extend(machine.to_le_bytes());
    bytes.extend(1_u32.to_le_bytes());
    for long in [0x40_0078_u64, 64, 0] {
        bytes.extend(long.to_le_bytes());
    }
    bytes.extend(0_u32.to_le_bytes());
    for half in [64_u16, 56, 1, 64, 0, 0] {
        bytes.extend(half.to_le_bytes());
    }
    for word in [1_u32, 5] {
        bytes.extend(word.to_le_bytes());
    }
    for long in [0_u64, 0x40_0000, 0x40_0000, 120, 120, 0x1000] {
        bytes.extend(long.to_le_bytes());
    }
    bytes
}
