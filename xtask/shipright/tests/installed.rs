//! The program `shipright` in a repository without Rust: one new file, `deploy.toml`.
#![allow(
    clippy::disallowed_methods,
    reason = "tests start programs: that is what they are about"
)]

use std::{
    fs,
    process::{Command, Output},
};

use tempfile::TempDir;

const DEPLOY: &str = r#"
[project]
name = "shop"
context = "."
default-service = "cart"

[environments.dev]
account = "111122223333"
region = "eu-west-1"

[services.cart]
images = [{ dockerfile = "Dockerfile", target = "eks" }]
"#;

/// What the program says in a directory that has a Dockerfile, a deploy.toml, and no Cargo.toml.
fn said(line: &str) -> (i32, String) {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("deploy.toml"), DEPLOY).unwrap();
    fs::write(directory.path().join("Dockerfile"), "FROM scratch\n").unwrap();
    fs::create_dir(directory.path().join("inner")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_shipright"));
    command
        .current_dir(directory.path().join("inner"))
        .args(line.split(' '))
        .env_clear();
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let text = [stdout, stderr]
        .map(|bytes| String::from_utf8(bytes).unwrap())
        .concat();
    assert!(
        !text.contains("xtask "),
        "the program is not called that here: {text}"
    );
    (status.code().unwrap(), text)
}

#[test]
fn help_and_hints_say_what_was_typed() {
    let (code, help) = said("--help");
    assert!(
        code == 0
            && help.contains("Usage: shipright")
            && help.contains("shipright push-dev --sandbox"),
        "{help}"
    );
    let (code, help) = said("push --help");
    assert!(
        code == 0 && help.contains("shipright push prod --dry-run"),
        "{help}"
    );
    let (code, refused) = said("push-dev --arch amd64");
    assert!(
        code == 2 && refused.contains("shipright docker-build --arch ARCH"),
        "{refused}"
    );
    let (code, refused) = said("run cart --json");
    assert!(code != 0 && !refused.contains("cargo"), "{refused}");
}

#[test]
fn tasks_of_another_repository_are_no_commands() {
    for name in ["ci", "demo", "schema --write"] {
        let (code, text) = said(name);
        assert_eq!(code, 2, "{name}: {text}");
    }
    let (code, script) = said("completions bash");
    assert!(
        code == 0 && script.contains("_clap_complete_shipright shipright"),
        "{script}"
    );
    let (code, schema) = said("schema");
    assert!(code == 0 && schema.contains("\"$schema\""), "{schema}");
}

#[test]
fn a_plan_is_made_from_any_directory_below_the_file() {
    let (code, plan) = said("docker-build --dockerfile Dockerfile --dry-run");
    assert!(
        code == 0 && plan.contains("shop:cart-arm64-latest"),
        "{plan}"
    );
}
