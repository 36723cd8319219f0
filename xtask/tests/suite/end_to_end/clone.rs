//! A clean clone of this repository with a sandbox of its own, and what other people's clients see in it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::project::{Run, fixture};

/// The emulator's registry password.
pub(super) const TOKEN: &str = "ministack-auth-token";

/// A clean clone of this repository, as its files are now, with a sandbox.
pub(super) struct Clone {
    /// Where it is.
    pub directory: TempDir,
}

impl Clone {
    pub(super) fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let listed = Command::new("git")
            .current_dir(&source)
            .args(["ls-files", "-z"])
            .output()
            .unwrap();
        for name in String::from_utf8(listed.stdout)
            .unwrap()
            .split('\0')
            .filter(|name| !name.is_empty())
        {
            let (from, to) = (source.join(name), directory.path().join(name));
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            if from.exists() {
                fs::copy(&from, &to).unwrap();
            }
        }
        let clone = Self { directory };
        clone.git("init --quiet --initial-branch=main");
        clone.commit("first");
        clone
    }

    pub(super) fn git(&self, words: &str) -> String {
        let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"];
        let output = Command::new("git")
            .current_dir(self.directory.path())
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

    pub(super) fn commit(&self, message: &str) {
        self.git("add --all");
        self.git(&format!("commit --quiet --message={message}"));
    }

    pub(super) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command
            .current_dir(self.directory.path())
            .args(line.split(' '))
            .env("CARGO_TARGET_DIR", env!("CARGO_TARGET_TMPDIR"));
        for name in ["ARCH", "DOCKERFILE", "AWS_ENDPOINT_URL", "AWS_PROFILE"] {
            command.env_remove(name);
        }
        command.stdin(Stdio::null());
        command
    }

    pub(super) fn run(&self, line: &str) -> Run {
        println!("$ cargo xtask {line}");
        let run = Run::from(self.command(line).output().unwrap());
        assert!(
            !run.stdout.contains(TOKEN) && !run.stderr.contains(TOKEN),
            "the token is in the output of {line}"
        );
        run
    }

    /// Runs a program with the variables that `sandbox env` prints.
    pub(super) fn client(&self, program: &str, words: &[&str]) -> String {
        let variables: BTreeMap<String, String> =
            serde_json::from_str(&self.run("sandbox env --json").expect(0).stdout).unwrap();
        println!("$ {program} {}", words.join(" "));
        let output = Command::new(program)
            .args(words)
            .envs(variables)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        assert!(
            output.status.success(),
            "{program} {words:?}: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        text
    }

    pub(super) fn status(&self) -> Value {
        self.run("sandbox status --json").expect(0).json()
    }

    /// Every tag of the repository, as other programs see it.
    pub(super) fn look(&self) -> BTreeMap<String, Value> {
        let status = self.status();
        let text = |key: &str| status[key].as_str().unwrap().to_owned();
        let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sandbox");
        let environment = fs::read_dir(home)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let python: PathBuf = environment
            .map(|path| path.join("bin/python"))
            .find(|path| path.exists())
            .unwrap();
        let script = fixture("look.py");
        let words = [
            script.to_str().unwrap(),
            &text("endpoint"),
            &text("region"),
            "backend",
        ];
        serde_json::from_str(&self.client(python.to_str().unwrap(), &words)).unwrap()
    }
}

impl Drop for Clone {
    fn drop(&mut self) {
        let _ = self.command("sandbox down").status();
    }
}

/// Looks for the token in every command line of the machine while something runs.
pub(super) fn without_token_in_any_command_line<T>(work: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut found = None;
            while !done.load(Ordering::Relaxed) {
                for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
                    let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
                    let line = String::from_utf8_lossy(&line).into_owned();
                    if line.contains(TOKEN) {
                        found = Some(line);
                    }
                }
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            found
        });
        let result = work();
        done.store(true, Ordering::Relaxed);
        assert_eq!(watcher.join().unwrap(), None);
        result
    })
}
