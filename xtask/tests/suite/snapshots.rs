//! What people read, word for word: plans for several deploy.toml files, and what is said of bad ones.
//!
//! Each fixture's first line is the command. After a wanted change: `UPDATE_SNAPSHOTS=1 cargo test --test suite snapshots`, and
//! read the difference.
use std::fs;

use crate::support::project::{Project, fixture};

#[test]
fn plans_and_refusals_read_as_they_did() {
    let update = std::env::var_os("UPDATE_SNAPSHOTS").is_some();
    let mut stale = Vec::new();
    let mut fixtures: Vec<_> = fs::read_dir(fixture("deploy"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    fixtures.retain(|path| path.extension().is_some_and(|end| end == "toml"));
    fixtures.sort();
    assert!(fixtures.len() >= 5, "fixtures are missing");
    for path in fixtures {
        let deploy = fs::read_to_string(&path).unwrap();
        let line = deploy
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("# xtask "))
            .expect("the first line is the command");
        let project = Project::with_deploy(&deploy);
        let run = project.run(line);
        let text = format!("exit code {}\n{}{}", run.code, run.stdout, run.stderr);
        let text = text
            .replace(&project.aws.registry, "REGISTRY")
            .replace(project.path("").to_str().unwrap(), "/project/")
            .replace(&project.head(), "COMMIT")
            .replace(&project.head()[..7], "SHA-SEVEN");
        let text = without_timestamps(&text);
        let snapshot = path.with_extension("txt");
        let known = fs::read_to_string(&snapshot).unwrap_or_default();
        if update {
            fs::write(&snapshot, &text).unwrap();
        } else if known != text {
            stale.push(format!("{}:\n{text}", snapshot.display()));
        }
    }
    assert!(stale.is_empty(), "{}", stale.join("\n\n"));
}

/// `20250116-143000` becomes `YYYYMMDD-HHMMSS`.
fn without_timestamps(text: &str) -> String {
    let is_timestamp = |window: &[u8]| {
        window.iter().enumerate().all(|(at, byte)| {
            if at == 8 {
                *byte == b'-'
            } else {
                byte.is_ascii_digit()
            }
        })
    };
    let found = text
        .as_bytes()
        .windows(15)
        .find(|window| is_timestamp(window));
    match found.and_then(|window| std::str::from_utf8(window).ok()) {
        Some(timestamp) => without_timestamps(&text.replace(timestamp, "YYYYMMDD-HHMMSS")),
        None => text.to_owned(),
    }
}
