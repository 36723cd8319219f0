//! The local AWS: ministack, a Python program that serves ECR's API and its registry from one store on one port.
//!
//! It is laxer than AWS (it drops exclusion filters, trusts digests, knows no throttling), so a green run here shows that
//! the happy path works and no more; the rules are kept by the double in `tests/`.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::home::{Emulator, Home};
use crate::{
    process::{self, Tool},
    python,
    report::terminal::Terminal,
};

/// The version that everything here was checked against.
pub(super) const VERSION: &str = "1.5.33";

/// The account that it answers with.
pub const ACCOUNT: &str = "000000000000";

/// The region that it is asked for.
pub const REGION: &str = "us-east-1";

/// Everything that it is made of, with hashes for every platform. After a change of the version:
/// `printf 'ministack==…\ndocker==…\n' | uv pip compile --universal --python-version 3.10 --generate-hashes --no-header -`
const LOCK: &str = include_str!("emulator.lock");

/// How it is started.
const START: &str = include_str!("emulator.py");

/// Whether the emulator answers, and is the one that we know.
pub(super) fn answers(emulator: &Emulator) -> bool {
    #[derive(Deserialize)]
    struct Health {
        version: String,
        services: serde_json::Map<String, serde_json::Value>,
    }
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(2)))
        .proxy(None)
        .build();
    let url = format!("http://127.0.0.1:{}/_ministack/health", emulator.port);
    let text = config
        .new_agent()
        .get(&url)
        .call()
        .and_then(|mut answer| answer.body_mut().read_to_string());
    let health = text
        .ok()
        .and_then(|text| serde_json::from_str::<Health>(&text).ok());
    health.is_some_and(|health| health.version == VERSION && health.services.contains_key("ecr"))
}

/// Starts the emulator on a free port and waits until it answers. `docker_host` lets it run functions, in the `network` of that engine
/// where it has one of its own.
///
/// # Errors
/// A machine without Python, or an emulator that ends or stays silent; its last words are in the message.
pub(super) fn start(
    home: &Home,
    docker_host: Option<&str>,
    network: Option<&Path>,
    terminal: &Terminal,
) -> Result<Emulator> {
    let python = install(home, terminal)?;
    let log = home.path("emulator.log");
    // The port may be taken between the look and the start; then the emulator says so and ends.
    for _ in 0..5 {
        let port = free_port()?;
        let mut tool = Tool::new(&python)
            .env("GATEWAY_PORT", port.to_string())
            .env("BIND_HOST", "127.0.0.1")
            .env("SERVICES", "ecr,ecs,lambda,sts,iam")
            .env("IOT_MTLS_ENABLED", "0")
            .env("MINISTACK_ACCOUNT_ID", ACCOUNT)
            .env("MINISTACK_REGION", REGION)
            .env("MINISTACK_DOCKER_TIMEOUT", "120")
            .env("TMPDIR", home.path("tmp"))
            .env("DOCKER_CONFIG", home.path("tmp"))
            .env("NO_PROXY", "127.0.0.1,localhost,172.16.0.0/12")
            .without_env("AWS_ENDPOINT_URL");
        if let Some(docker_host) = docker_host {
            tool = tool.env("DOCKER_HOST", docker_host);
        }
        if let Some(network) = network {
            tool = tool.env("ENGINE_NETWORK", network);
        }
        fs::create_dir_all(home.path("tmp"))
            .context("failed to create a directory for the emulator")?;
        let process = tool.daemon(&["-c", START], &log)?;
        let emulator = Emulator { process, port };
        if wait(&emulator) {
            return Ok(emulator);
        }
        let words = fs::read_to_string(&log).unwrap_or_default();
        if !words.contains("already in use") {
            stop(&emulator);
            bail!(
                "the local AWS does not answer; {} ends with:\n{}",
                log.display(),
                last_lines(&words, 10)
            );
        }
    }
    bail!("found no free port for the local AWS in five tries")
}

/// Ends the emulator. What is gone already is fine.
pub(super) fn stop(emulator: &Emulator) {
    end(emulator.process, Duration::from_secs(10), |process| {
        is_ours(process, "ministack")
    });
}

/// Ends a process politely, and at once when it does not listen, if it is still the one that we mean.
pub(super) fn end(process: u32, patience: Duration, is_ours: impl Fn(u32) -> bool) {
    const STEP: Duration = Duration::from_millis(50);
    if !is_ours(process) {
        return;
    }
    process::terminate(process);
    let mut waited = Duration::ZERO;
    while process::is_running(process) && waited < patience {
        std::thread::sleep(STEP);
        waited += STEP;
    }
    if process::is_running(process) && is_ours(process) {
        process::kill(process);
    }
}

/// Process ids are used again: this one must still be what we started.
pub(super) fn is_ours(process: u32, word: &str) -> bool {
    process::is_running(process)
        && process::command_line(process).is_none_or(|line| line.contains(word))
}

fn wait(emulator: &Emulator) -> bool {
    const STEP: Duration = Duration::from_millis(100);
    for _ in 0..600 {
        if answers(emulator) {
            return true;
        }
        if !process::is_running(emulator.process) {
            return false;
        }
        std::thread::sleep(STEP);
    }
    false
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("failed to find a free port")?;
    Ok(listener
        .local_addr()
        .context("failed to read the free port")?
        .port())
}

fn install(home: &Home, terminal: &Terminal) -> Result<PathBuf> {
    let directory = home.path(&format!("emulator-{VERSION}"));
    let _wait = (!python::is_installed(&directory, LOCK)).then(|| {
        let text = format!(
            "ministack {VERSION}, the local AWS, into {}",
            directory.display()
        );
        terminal.wait_for("Installing", &text)
    });
    python::environment(&directory, "the local AWS", LOCK)
}

/// The last lines of a text.
pub(super) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
