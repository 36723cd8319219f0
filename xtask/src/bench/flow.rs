//! One run of a flow: how long it takes, and what it asks for.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use shipright::{
    anyhow::{Context as _, Result, bail},
    process::Tool,
};

use super::{project, proxy::Passed};

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Flow {
    /// This tool.
    Ours,
    /// The documents' script.
    Documented,
    /// The builds of that script alone, into an OCI image layout.
    Builds,
}

impl Flow {
    /// For documents.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Documented => "documented",
            Self::Builds => "builds",
        }
    }
}

/// One run.
#[derive(Debug, Clone)]
pub(super) struct Run {
    /// From its start to its end.
    pub took: Duration,
    /// Processes of docker and aws, requests and bytes that passed the proxy.
    pub asked: Value,
    /// Of ours: how long after the start each phase began, in seconds.
    pub phases: BTreeMap<String, f64>,
}

/// Where flows run.
pub(super) struct Place<'p> {
    /// The project.
    pub root: &'p Path,
    /// `localhost:PORT`, of the proxy.
    pub registry: &'p str,
    /// How programs reach the sandbox.
    pub variables: &'p [(String, String)],
    /// A directory whose `docker` and `aws` write down that they were called.
    pub programs: &'p Programs,
    /// What passes.
    pub passed: &'p Passed,
    /// The names of the services.
    pub services: &'p [String],
}

/// `docker` and `aws`, counted.
pub(super) struct Programs {
    directory: PathBuf,
    /// What is searched after it.
    path: String,
}

impl Programs {
    /// Writes the scripts. `aws` is where the AWS CLI is.
    pub(super) fn new(directory: &Path, docker: &str, aws: &str, path: &str) -> Result<Self> {
        for (name, real) in [("docker", docker), ("aws", aws)] {
            let file = directory.join(name);
            let log = directory.join("log");
            let script = format!(
                "#!/bin/sh\necho {name} >> '{}'\nexec '{real}' \"$@\"\n",
                log.display()
            );
            fs::write(&file, script)
                .with_context(|| format!("failed to write `{}`", file.display()))?;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
        }
        Ok(Self {
            directory: directory.to_path_buf(),
            path: path.to_owned(),
        })
    }

    /// `PATH`, with them first.
    pub(super) fn path(&self) -> String {
        format!("{}:{}", self.directory.display(), self.path)
    }

    /// How often they were called since the last time.
    fn called(&self) -> usize {
        let log = self.directory.join("log");
        let text = fs::read_to_string(&log).unwrap_or_default();
        let _ = fs::remove_file(log);
        text.lines().count()
    }
}

impl Place<'_> {
    /// Runs a flow once.
    pub(super) fn run(&self, flow: Flow, with_function: bool) -> Result<Run> {
        const SILENCE: Duration = Duration::from_mins(10);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/documented-flow.sh");
        let (program, mut words): (PathBuf, Vec<&str>) = match flow {
            Flow::Ours => {
                let command = if with_function { "deploy" } else { "push" };
                let program = std::env::current_exe().context("this program has no place")?;
                (
                    program,
                    vec![command, "dev", "--verbose", "--log-format", "json"],
                )
            }
            Flow::Documented | Flow::Builds => {
                let what = match (flow, with_function) {
                    (Flow::Builds, _) => "build",
                    (_, true) => "deploy",
                    (_, false) => "push",
                };
                (
                    script,
                    vec![what, self.registry, project::NAME, project::DOCUMENTED],
                )
            }
        };
        if flow != Flow::Ours {
            words.extend(self.services.iter().map(String::as_str));
        }
        let endpoint = format!("http://{}", self.registry);
        let tool = Tool::new(program)
            .directory(self.root)
            .envs(self.variables)
            .env("AWS_ENDPOINT_URL", endpoint);
        // Ours starts buildx itself where `docker` is Docker's own program, and tells of each call.
        let tool = match flow {
            Flow::Ours => tool,
            Flow::Documented | Flow::Builds => tool.env("PATH", self.programs.path()),
        };
        self.programs.called();
        self.passed.take();
        let (begun, mut phases, mut started) = (Instant::now(), BTreeMap::new(), 0);
        let outcome = tool.stream(&words, SILENCE, |line| {
            let event: Value = serde_json::from_str(line).unwrap_or_default();
            let message = event["message"].as_str().unwrap_or_default();
            // The plan's own lines are no calls.
            let has_ended = message.contains(": exit status: ");
            started += usize::from(message.starts_with("docker ") && has_ended);
            let event = event["event"].as_str().unwrap_or_default();
            if flow == Flow::Ours && PHASES.contains(&event) {
                let seconds = begun.elapsed().as_secs_f64();
                phases.entry(event.to_owned()).or_insert(seconds);
            }
        })?;
        let took = begun.elapsed();
        if !outcome.success() {
            bail!(
                "{} {}: {}",
                flow.name(),
                outcome.describe(),
                outcome.tail.join("\n")
            );
        }
        let mut asked = self.passed.take();
        asked["processes"] = match flow {
            Flow::Ours => json!(started),
            Flow::Documented | Flow::Builds => json!(self.programs.called()),
        };
        Ok(Run {
            took,
            asked,
            phases,
        })
    }
}

/// The events with which our phases begin.
const PHASES: [&str; 7] = [
    "build", "prove", "push", "tag", "verify", "updating", "moved",
];
