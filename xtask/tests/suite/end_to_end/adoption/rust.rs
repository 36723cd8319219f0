//! A repository with a workspace of its own adopts the tool by the words of `docs/adopt.md`: two new files, copied from there.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tempfile::TempDir;

use super::{git, program, run};

/// A workspace with one program, whose image is for Amazon ECS.
fn theirs(root: &Path) {
    let files = [
        (
            "Cargo.toml",
            "[workspace]\nmembers = [\"shop\"]\nresolver = \"3\"\n",
        ),
        (
            "shop/Cargo.toml",
            "[package]\nname = \"shop\"\nversion = \"0.1.0\"\nedition = \"2024\"\n",
        ),
        ("shop/src/main.rs", "fn main() {}\n"),
        (".gitignore", "/target\n"),
        (
            "shop/Dockerfile.ecs",
            "FROM scratch\nCOPY app-arm64 /app\nENTRYPOINT [\"/app\"]\n",
        ),
    ];
    for (name, text) in files {
        fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
        fs::write(root.join(name), text).unwrap();
    }
    fs::write(root.join("shop/app-arm64"), program(183)).unwrap();
    git(root, "init --quiet --initial-branch=main");
    git(root, "add --all");
    git(root, "commit --quiet --message=theirs");
}

pub(in super::super) fn a_workspace_of_rust_adopts_it() {
    println!("--- a repository with a workspace of its own");
    let ours = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(ours.join("../docs/adopt.md")).unwrap();
    let repository = TempDir::new().unwrap();
    let root = repository.path();
    theirs(root);

    // From here on: what the page says.
    let dependency = ours.join("shipright").canonicalize().unwrap();
    fs::create_dir_all(root.join("xtask/src")).unwrap();
    fs::create_dir_all(root.join(".cargo")).unwrap();
    let manifest = block(&page, "toml Cargo.toml", "[dependencies]");
    let written = "../../shipright/xtask/shipright";
    assert!(manifest.contains(written), "{manifest}");
    let manifest = manifest.replace(written, dependency.to_str().unwrap());
    fs::write(root.join("xtask/Cargo.toml"), manifest).unwrap();
    let main = block(&page, "rust", "fn main() -> ExitCode");
    assert!(main.lines().count() <= 20, "{main}");
    fs::write(root.join("xtask/src/main.rs"), main).unwrap();
    let alias = page
        .split('`')
        .find(|text| text.starts_with("xtask = \"run"));
    let alias = format!("[alias]\n{}\n", alias.unwrap());
    fs::write(root.join(".cargo/config.toml"), alias).unwrap();
    let workspace = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let workspace = workspace.replace("[\"shop\"]", "[\"shop\", \"xtask\"]");
    // Our own profile has the page's lines, and more: with it dependencies are those of the tests' own build.
    let lines = block(&page, "toml Cargo.toml", "[profile.dev.package]");
    let own = fs::read_to_string(ours.join("../Cargo.toml")).unwrap();
    let own = &own[own.find("[profile.dev]").unwrap()..own.find("[profile.release]").unwrap()];
    for line in lines.lines().skip(1) {
        let package = line.split('.').next().unwrap();
        assert!(own.contains(&format!("{package} = {{ opt-level")), "{line}");
    }
    fs::write(root.join("Cargo.toml"), format!("{workspace}\n{own}")).unwrap();
    // The versions that were fetched for the tests: cargo leaves out what is not needed.
    fs::copy(ours.join("../Cargo.lock"), root.join("Cargo.lock")).unwrap();

    let target = built_before();
    let cargo = |line: &str| {
        println!("$ cargo {line}");
        let output = Command::new(env!("CARGO"))
            .current_dir(root.join("shop"))
            .args(line.split(' '))
            .env("CARGO_TARGET_DIR", &target)
            .env("CARGO_NET_OFFLINE", "true")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        said
    };
    let hello = cargo("xtask hello");
    assert!(hello.contains("from a task of this repository"), "{hello}");
    let xtask = target.join("debug/xtask");
    run(&xtask, root, "init").expect(0);
    git(root, "add --all");
    git(root, "commit --quiet --message=adopted");
    let report = run(&xtask, root, "push-dev --sandbox --json")
        .expect(0)
        .json();
    let images = report["images"].as_array().unwrap();
    assert_eq!(images.len(), 1, "{images:?}");
    assert_eq!(images[0]["arch"], "arm64");
    assert_eq!(images[0]["error"], serde_json::Value::Null);
    assert_eq!(git(root, "status --porcelain"), "");
    fs::remove_dir_all(target).unwrap();
}

/// The page's block of code in a language that has these words.
fn block(page: &str, language: &str, words: &str) -> String {
    let start = format!("```{language}\n");
    let blocks = page.split(&start).skip(1);
    let mut blocks = blocks.filter_map(|rest| rest.split_once("```").map(|(block, _)| block));
    blocks
        .find(|block| block.contains(words))
        .unwrap()
        .to_owned()
}

/// A target directory with what the tests' own build has made, by hard links: dependencies need not be compiled once more, and the
/// program of the tests stays what it is.
fn built_before() -> PathBuf {
    let profile = Path::new(env!("CARGO_BIN_EXE_xtask")).parent().unwrap();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("adopted");
    let _ = fs::remove_dir_all(&target);
    fs::create_dir_all(target.join("debug")).unwrap();
    for part in ["deps", "build", ".fingerprint"] {
        let copied = Command::new("cp")
            .args(["--archive", "--link"])
            .args([profile.join(part), target.join("debug").join(part)])
            .status();
        assert!(copied.unwrap().success());
    }
    target
}
