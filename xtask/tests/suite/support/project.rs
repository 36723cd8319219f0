//! A project in a directory of its own, and the real binary run in it.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    aws::{Aws, PASSWORD},
    figures,
};

/// A deploy.toml with one service of three images and one of a single image.
pub(crate) const DEPLOY: &str = r#"
[project]
name = "backend"
context = "backend"
default-service = "api"

[environments.dev]
account = "111122223333"
region = "eu-west-1"
create-repository = true
build-args = { BASE = "base:1" }

[environments.prod]
account = "111122223333"
region = "eu-west-1"
repository = "prod/{project}"
protected = true

[services.api]
images = [
  { dockerfile = "Dockerfile.lambda" },
  { dockerfile = "Dockerfile.apprunner" },
  { dockerfile = "Dockerfile.eks" },
]

[services.worker]
images = [{ dockerfile = "Dockerfile.lambda" }]
"#;

/// The same with production in another account.
pub(crate) fn deploy_to(far: &Aws) -> String {
    let endpoint = format!(
        "repository = \"prod/{{project}}\"\ncreate-repository = true\nendpoint = \"{}\"",
        far.endpoint
    );
    DEPLOY.replacen("repository = \"prod/{project}\"", &endpoint, 1)
}

/// A git repository with a deploy.toml, and a `docker` that records.
pub(crate) struct Project {
    directory: TempDir,
    /// The AWS that commands reach.
    pub aws: Aws,
}

/// What a command printed and how it ended.
pub(crate) struct Run {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Run {
    /// Standard output as the one JSON document that it must be.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {:?}\n{}", self.stdout, self.stderr))
    }

    /// Fails the test unless the command ended with this code.
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "stdout: {}\nstderr: {}",
            self.stdout, self.stderr
        );
        self
    }
}

impl Project {
    /// A clean tree on `main`.
    #[track_caller]
    pub(crate) fn new() -> Self {
        Self::with_deploy(DEPLOY)
    }

    /// The same with another deploy.toml.
    #[track_caller]
    pub(crate) fn with_deploy(deploy: &str) -> Self {
        let project = Self {
            directory: TempDir::new().unwrap(),
            aws: Aws::start(),
        };
        for directory in ["backend", "home", "docker", "bin"] {
            fs::create_dir(project.path(directory)).unwrap();
        }
        project.install("docker");
        for name in ["lambda", "apprunner", "eks"] {
            project.write(&format!("backend/Dockerfile.{name}"), "FROM scratch\n");
        }
        project.write("deploy.toml", deploy);
        project.write(".gitignore", "/home\n/docker\n/bin\n/target\n");
        project.git("init --quiet --initial-branch=main");
        project
            .git("remote add origin https://user:secret-in-url@git.example.com/team/backend.git");
        project.commit();
        project
    }

    /// Puts a program of the fixtures on `PATH`.
    pub(crate) fn install(&self, name: &str) {
        let text = fs::read_to_string(fixture(name)).unwrap();
        let (_, rest) = text.split_once('\n').unwrap();
        let program = self.path("bin").join(name);
        fs::write(&program, format!("#!{} -IS\n{rest}", python())).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Puts a scanner of the fixtures on `PATH`: `trivy` or `grype`.
    pub(crate) fn install_scanner(&self, name: &str) {
        self.install("trivy");
        if name != "trivy" {
            fs::rename(self.path("bin/trivy"), self.path("bin").join(name)).unwrap();
        }
    }

    /// Puts a signing tool of the fixtures on `PATH`: `cosign` or `notation`.
    pub(crate) fn install_signer(&self, name: &str) {
        self.install("cosign");
        if name != "cosign" {
            fs::rename(self.path("bin/cosign"), self.path("bin").join(name)).unwrap();
        }
    }

    /// A path inside the project.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file inside the project.
    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Runs git.
    pub(crate) fn git(&self, words: &str) -> String {
        let output = Command::new("git")
            .current_dir(self.directory.path())
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

    /// Commits everything, at a time that never changes.
    pub(crate) fn commit(&self) {
        self.git("add --all");
        let status = Command::new("git")
            .current_dir(self.directory.path())
            .args([
                "-c",
                "user.name=t",
                "-c",
                "user.email=t@example.com",
                "commit",
                "--quiet",
                "--allow-empty",
                "--message=x",
            ])
            .envs([
                ("GIT_AUTHOR_DATE", "2025-01-16T14:30:00Z"),
                ("GIT_COMMITTER_DATE", "2025-01-16T14:30:00Z"),
            ])
            .status();
        assert!(status.unwrap().success());
    }

    /// Logs docker in to a registry.
    pub(crate) fn log_in_to(&self, registry: &str) {
        let auth = BASE64_STANDARD.encode(format!("AWS:{PASSWORD}"));
        let config = json!({ "auths": { registry: { "auth": auth } } });
        fs::create_dir_all(self.path("home/.docker")).unwrap();
        self.write("home/.docker/config.json", &config.to_string());
    }

    /// Runs the binary and returns what came of it. Its output never contains the registry's password.
    pub(crate) fn run(&self, line: &str) -> Run {
        self.run_with(line, &[])
    }

    /// The same with more environment variables.
    pub(crate) fn run_with(&self, line: &str, variables: &[(&str, &str)]) -> Run {
        let output = self
            .command(line)
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        let run = Run::from(output);
        figures::add("searches for canaries", 3);
        for text in [&run.stdout, &run.stderr, &self.docker_log()] {
            assert!(
                !text.contains(PASSWORD) && !text.contains("secret-in-url"),
                "a secret is in: {text}"
            );
        }
        run
    }

    /// The binary, ready to run in this project.
    pub(crate) fn command(&self, line: &str) -> Command {
        let path = format!(
            "{}:{}",
            self.path("bin").display(),
            std::env::var("PATH").unwrap()
        );
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command
            .current_dir(self.directory.path())
            .args(line.split(' ').filter(|word| !word.is_empty()))
            .env_clear()
            .envs([
                ("PATH", path.as_str()),
                ("HOME", self.path("home").to_str().unwrap()),
                ("XDG_RUNTIME_DIR", self.path("docker").to_str().unwrap()),
                ("FAKE_DOCKER", self.path("docker").to_str().unwrap()),
                ("AWS_ENDPOINT_URL", &self.aws.endpoint),
                ("AWS_ACCESS_KEY_ID", "test"),
                ("AWS_SECRET_ACCESS_KEY", "test"),
                ("AWS_EC2_METADATA_DISABLED", "true"),
            ]);
        command
    }

    /// Every command line that docker was given.
    pub(crate) fn docker_log(&self) -> String {
        fs::read_to_string(self.path("docker/log")).unwrap_or_default()
    }

    /// The first words of each command line that docker was given, in order.
    pub(crate) fn docker_verbs(&self) -> Vec<String> {
        self.docker_log()
            .lines()
            .map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" "))
            .collect()
    }

    /// The whole commit.
    pub(crate) fn head(&self) -> String {
        self.git("rev-parse HEAD")
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

/// The Python that `python3` leads to: where it is chosen by a script each time, that takes ten times as long as it itself.
fn python() -> &'static str {
    static FOUND: OnceLock<String> = OnceLock::new();
    FOUND.get_or_init(|| {
        let output = Command::new("python3")
            .args(["-c", "import sys; print(sys.executable)"])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    })
}

/// A file beside the tests.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}
