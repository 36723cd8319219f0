//! `cargo xtask`: container images for the CPU that each AWS target runs, pushed to ECR and checked there.
//!
//! The way of the data, and no arrow goes back:
//!
//! ```text
//! argv ─ cli ─▶ Task ─────────────┐
//! deploy.toml ─ config ─▶ Config ─┤
//! git, clock, docker, AWS reads ─▶ Facts ─┤
//!                                 ▼
//!                         policy::plan ─▶ Plan ── `--dry-run` shows it and stops
//!                                 ▼
//!          execute: build all ─▶ prove all ─▶ push all ─▶ tag all ─▶ confirm all ─▶ Report
//!
//! tag or digest ─ proof ─▶ Candidate ─ deploy: read, update, wait, try, publish, move the alias, or put back ─▶ Move
//! ```
//!
//! Architecture Invariants:
//! 1. A pushed image's architecture comes from the target table ([`policy::target`]); no flag overrides it on the way.
//! 2. Planning gets the half of AWS that looks ([`aws::Reader`]); nothing below `tasks/` knows whether this is a dry run.
//! 3. Nothing leaves this machine that was not proven ([`proof`]), and a moving tag (`…-latest`) never points at an image
//!    that failed a check, not for a moment.
//! 4. A run that is killed anywhere can be run again and ends in the same state as one that was not.
//! 5. No secret in argv, output, plans, reports, image history or files that outlive the run.
//! 6. CPU names are spelled in [`arch`] alone.

mod aws;
mod cli;
mod config;
mod deploy;
mod docker;
mod execute;
mod facts;
mod interrupt;
mod policy;
mod problem;
mod process;
mod proof;
mod record;
mod registry;
mod report;
mod sandbox;
mod tasks;

use std::{process::ExitCode, sync::atomic::Ordering};

use clap::ColorChoice;
use image_arch as arch;
use serde_json::json;

use crate::{
    problem::Problems,
    report::{
        document,
        terminal::{self, Terminal, Verbosity},
    },
    tasks::Refused,
};

/// The exit code of a command that was refused before anything was done.
const REFUSED: u8 = 2;

fn main() -> ExitCode {
    interrupt::listen();
    let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let (global, task) = match cli::parse(&words, &environments(&words)) {
        Ok(parsed) => parsed,
        Err(error) => {
            let _ = error.print();
            if error.use_stderr() && words.iter().any(|word| word == "--json") {
                let problem = terminal::printable(&error.to_string());
                document::print(&json!({ "refused": [{ "problem": problem.trim(), "cure": "cargo xtask help" }] }));
            }
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(REFUSED));
        }
    };
    match global.color {
        ColorChoice::Auto => {}
        ColorChoice::Always => anstream::ColorChoice::Always.write_global(),
        ColorChoice::Never => anstream::ColorChoice::Never.write_global(),
    }
    let json = global.json;
    interrupt::JSON.store(json, Ordering::Relaxed);
    let mut code = tasks::run(global, task).unwrap_or_else(|error| explain(&error, json));
    if interrupt::requested() {
        code = ExitCode::from(interrupt::INTERRUPTED);
    }
    if document::was_lost() { ExitCode::FAILURE } else { code }
}

/// The environments that have commands of their own. A deploy.toml with mistakes has none; the command that is then run
/// tells of them.
fn environments(words: &[String]) -> Vec<String> {
    let config = tasks::load_config(cli::config_file(words).as_deref());
    let known = config.map(|config| config.environments.into_keys().collect::<Vec<_>>()).unwrap_or_default();
    let mut all = [known, cli::named_environments(words)].concat();
    all.sort();
    all.dedup();
    all
}

/// Says what went wrong, and chooses the exit code.
fn explain(error: &anyhow::Error, json: bool) -> ExitCode {
    let terminal = Terminal::new(Verbosity::Normal);
    if let Some(problems) = error.downcast_ref::<Problems>() {
        terminal::problems(&problems.render());
        terminal.error(problems);
        if json {
            document::print(&json!({ "refused": problems.report() }));
        }
        return ExitCode::from(REFUSED);
    }
    if let Some(Refused(refusals)) = error.downcast_ref::<Refused>() {
        for refusal in refusals {
            terminal.error(refusal);
            terminal.help(&refusal.cure);
        }
        if json {
            document::print(&json!({ "refused": refusals }));
        }
        return ExitCode::from(REFUSED);
    }
    terminal.error(format!("{error:#}"));
    if json {
        document::print(&json!({ "failed": format!("{error:#}") }));
    }
    ExitCode::FAILURE
}
