//! Two sandboxes on one machine.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tempfile::TempDir;

use super::clone::Clone;
use crate::support::project::Run;

/// A project with a sandbox of its own. What its engine and its emulator are made of is the first sandbox's.
struct Second {
    directory: TempDir,
}

impl Second {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let first = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sandbox");
        let sandbox = directory.path().join("target/sandbox");
        fs::create_dir_all(sandbox.join("engine")).unwrap();
        for part in ["bin", "lib", "config"].map(|part| format!("engine/{part}")) {
            symlink(first.join(&part), sandbox.join(&part)).unwrap();
        }
        for entry in fs::read_dir(&first).unwrap().flatten() {
            let name = entry.file_name();
            if name.to_string_lossy().starts_with("emulator-") {
                symlink(entry.path(), sandbox.join(name)).unwrap();
            }
        }
        let deploy = "[project]\nname = \"second\"\n\n[environments.dev]\naccount = \"111122223333\"\nregion = \"eu-west-1\"\n\n\
                      [services.web]\ncontext = \".\"\nimages = [{ dockerfile = \"Dockerfile.eks\" }]\n";
        let second = Self { directory };
        second.write("deploy.toml", deploy);
        second.write("Dockerfile.eks", "FROM scratch\nCOPY deploy.toml /\n");
        second.write(".gitignore", "/target\n");
        for line in [
            "init --quiet",
            "add --all",
            "commit --quiet --message=first",
        ] {
            second.git(line);
        }
        second
    }

    fn git(&self, line: &str) {
        let mut git = Command::new("git");
        git.current_dir(self.directory.path())
            .args(["-c", "user.name=t", "-c", "user.email=t@example.com"])
            .args(line.split(' '));
        assert!(git.status().unwrap().success(), "git {line}");
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.directory.path().join(name), text).unwrap();
    }

    fn run(&self, line: &str) -> Run {
        println!("$ cargo xtask {line} (in the second project)");
        let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .current_dir(self.directory.path())
            .args(line.split(' '))
            .env("CARGO_TARGET_DIR", self.directory.path().join("target"))
            .env_remove("AWS_ENDPOINT_URL")
            .stdin(Stdio::null())
            .output();
        Run::from(output.unwrap())
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        self.run("sandbox down");
    }
}

/// The network namespaces of the engine and the emulator of a sandbox in this directory.
fn networks(sandbox: &Path) -> BTreeSet<PathBuf> {
    let engine = sandbox.join("engine/daemon.json").display().to_string();
    let state = fs::read(sandbox.join("state.json")).unwrap();
    let state: serde_json::Value = serde_json::from_slice(&state).unwrap();
    let emulator = state["emulator"]["process"].as_u64().unwrap().to_string();
    let is_its = |process: &Path| {
        let line = fs::read(process.join("cmdline")).unwrap_or_default();
        let is_engine = line
            .split(|byte| *byte == 0)
            .any(|word| word == engine.as_bytes());
        is_engine || process.file_name().is_some_and(|name| *name == *emulator)
    };
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .map(|entry| entry.path())
        .filter(|process| is_its(process))
        .filter_map(|process| fs::read_link(process.join("ns/net")).ok())
        .collect()
}

fn interfaces() -> BTreeSet<PathBuf> {
    let all = fs::read_dir("/sys/class/net").unwrap().flatten();
    all.map(|entry| entry.path()).collect()
}

/// What this machine's packet filter has.
fn rules() -> String {
    let save = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sandbox/engine/bin/iptables-save");
    let saved = Command::new(save).output().unwrap();
    let text = String::from_utf8(saved.stdout).unwrap();
    // Comments have the time, and counters count.
    let lines = text.lines().filter(|line| !line.starts_with(['#', ':']));
    lines.collect::<Vec<_>>().join("\n")
}

/// Neither two sandboxes nor a sandbox and its machine have a bridge, an address or a packet filter in common.
pub(super) fn two_sandboxes_have_nothing_in_common(clone: &Clone) {
    println!("--- two sandboxes");
    let first = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sandbox");
    if !first.join("engine/daemon.json").exists() || !Path::new("/dev/net/tun").exists() {
        println!(
            "left out: the engine is this machine's own, or it can have no network of its own"
        );
        return;
    }
    let first = first.canonicalize().unwrap();
    let (machine, filter) = (interfaces(), rules());
    let second = Second::new();
    second.run("push dev --sandbox --yes").expect(0);
    let other = second.directory.path().join("target/sandbox");
    let (one, two) = (networks(&first), networks(&other.canonicalize().unwrap()));
    assert_eq!((one.len(), two.len()), (1, 1), "{one:?}, {two:?}");
    let machine_s = BTreeSet::from([fs::read_link("/proc/self/ns/net").unwrap()]);
    assert!(one != two && one != machine_s && two != machine_s);
    assert_eq!(interfaces(), machine);
    assert_eq!(rules(), filter);
    second.run("sandbox down").expect(0);
    clone.run("push-dev --sandbox").expect(0);
    assert_eq!(networks(&first), one);
}
