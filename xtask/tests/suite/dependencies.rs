//! What this repository depends on, by the lists of `xtask/deny.toml`: `cargo deny` reads the same, and needs an installation of minutes.
//! Known vulnerabilities it alone looks up, in `.github/workflows/dependencies.yml`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn deny() -> toml::Table {
    let text = fs::read_to_string(root().join("xtask/deny.toml")).unwrap();
    text.parse().unwrap()
}

/// The packages that this machine builds, as cargo tells of them.
fn packages() -> Vec<Value> {
    let said = |program: &str, words: &[&str]| {
        let output = Command::new(program)
            .current_dir(root())
            .args(words)
            .output();
        let output = output.unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{program}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    };
    let host = said("rustc", &["--print", "host-tuple"]);
    let words = [
        "metadata",
        "--locked",
        "--offline",
        "--format-version=1",
        "--filter-platform",
    ];
    let told = said("cargo", &[&words[..], &[host.trim()]].concat());
    let told: Value = serde_json::from_str(&told).unwrap();
    told["packages"].as_array().unwrap().clone()
}

fn text<'v>(package: &'v Value, key: &str) -> &'v str {
    package[key].as_str().unwrap_or_default()
}

/// Whether an expression of SPDX is met by licences that are allowed. `AND` binds before `OR`; a slash is an old `OR`.
fn is_met(expression: &str, allowed: &BTreeSet<&str>) -> bool {
    let expression = expression.replace(" / ", " OR ").replace('/', " OR ");
    if let Some((before, rest)) = expression.split_once('(') {
        let (inner, after) = rest.split_once(')').unwrap();
        // What stands in brackets becomes one word.
        let word = if is_met(inner, allowed) {
            "MIT"
        } else {
            "NONE"
        };
        return is_met(&format!("{before}{word}{after}"), allowed);
    }
    expression
        .split(" OR ")
        .any(|all| all.split(" AND ").all(|one| allowed.contains(one.trim())))
}

#[test]
fn every_licence_is_one_that_is_allowed() {
    let deny = deny();
    let allowed = deny["licenses"]["allow"].as_array().unwrap();
    let allowed: BTreeSet<_> = allowed.iter().filter_map(|one| one.as_str()).collect();
    let packages = packages();
    assert!(packages.len() > 200);
    for package in &packages {
        let (name, licence) = (text(package, "name"), text(package, "license"));
        assert!(is_met(licence, &allowed), "{name} is under `{licence}`");
    }
    let meets = |expression: &str| is_met(expression, &allowed);
    assert!(meets("GPL-3.0 OR (MIT AND ISC)") && !meets("(GPL-3.0 OR MIT) AND AGPL-3.0"));
    assert!(!meets("GPL-3.0") && !meets("MIT AND GPL-3.0") && !meets(""));
}

#[test]
fn every_source_is_the_registry_or_this_repository() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let lock: toml::Table = lock.parse().unwrap();
    let own: BTreeSet<_> = packages()
        .iter()
        .filter(|one| one["source"].is_null())
        .map(|one| text(one, "name").to_owned())
        .collect();
    for package in lock["package"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        let Some(source) = package.get("source").and_then(toml::Value::as_str) else {
            assert!(own.contains(name), "{name} comes from a path");
            continue;
        };
        assert!(
            source.starts_with("registry+https://github.com/rust-lang/"),
            "{name} comes from {source}"
        );
        let sum = package.get("checksum").and_then(toml::Value::as_str);
        assert!(
            sum.is_some_and(|sum| sum.len() == 64),
            "{name} has no checksum"
        );
    }
}

#[test]
fn nothing_is_built_in_two_versions_without_a_reason() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let lock: toml::Table = lock.parse().unwrap();
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in lock["package"].as_array().unwrap() {
        let text = |key: &str| package[key].as_str().unwrap();
        versions
            .entry(text("name"))
            .or_default()
            .push(text("version"));
    }
    versions.retain(|_, all| all.len() > 1);
    let deny = deny();
    let mut skipped = BTreeSet::new();
    for skip in deny["bans"]["skip"].as_array().unwrap() {
        let (name, version) = skip["crate"].as_str().unwrap().split_once('@').unwrap();
        assert!(
            skip["reason"].as_str().is_some_and(|why| !why.is_empty()),
            "{name}"
        );
        let start = format!("{version}.");
        let is_twice = versions
            .get(name)
            .is_some_and(|all| all.iter().any(|one| one.starts_with(&start)));
        assert!(
            is_twice,
            "{name} {version} is no longer there twice: take it out of deny.toml"
        );
        skipped.insert(name);
    }
    for (name, all) in &versions {
        assert!(
            skipped.contains(name),
            "{name} is there as {}",
            all.join(" and ")
        );
        assert_eq!(all.len(), 2, "{name}: {all:?}");
    }
}
