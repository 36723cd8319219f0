//! Container images for the CPU that each AWS target runs: built, proven from their bytes, pushed to ECR, checked there, and
//! deployed.
//!
//! This is the library behind `cargo xtask` and the program `shipright`. A repository's own `xtask` is a few lines, and has
//! tasks of its own beside these:
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use shipright::{Context, Program, anyhow::Result, clap::Command};
//!
//! fn hello(context: &Context, _: &shipright::NoArguments) -> Result<ExitCode> {
//!     context.terminal.status("Hello", "from a task of this repository");
//!     Ok(ExitCode::SUCCESS)
//! }
//!
//! fn main() -> ExitCode {
//!     Program::new("cargo xtask").task(Command::new("hello").about("Say hello"), hello).run()
//! }
//! ```
//!
//! `README.md` and `docs/` of the repository are for who uses the commands; `docs/adopt.md` has such an `xtask` from the first file on.
//!
//! [`Program`] and [`Context`] are what such a task needs. The other modules are the rooms of this tool; they are public so
//! that a task can do what a command does, and change more often.
//!
//! The way of the data, and no arrow goes back:
//!
//! ```text
//! argv ─ cli ─▶ Task ───────────────────────────┐
//! deploy.toml ─ config ─▶ Workspace ─▶ Session ─┤
//! git, clock, docker, AWS reads ─▶ facts ───────┤
//!                                               ▼
//!                                             plan ── `--dry-run` shows it and stops
//!                                               ▼
//!       execute: make all ─▶ push all ─▶ read all back ─▶ tag all ─▶ confirm all ─▶ Report
//!
//! tag or digest ─ resolver ─▶ Choice ─ plan::targets ─▶ Workload ─ targets: apply, confirm, or restore ─▶ Move
//! ```
//!
//! Architecture Invariants:
//! 1. A pushed image's architecture comes from the target table ([`model::target`]); no flag overrides it on the way.
//! 2. Planning gets the half of AWS that looks ([`aws::Reader`]); nothing below `tasks/` knows whether this is a dry run.
//! 3. Nothing leaves this machine that was not proven ([`proof`]), and a moving tag (`…-latest`) never points at an image
//!    that failed a check, not for a moment.
//! 4. A run that is killed anywhere can be run again and ends in the same state as one that was not.
//! 5. No secret in argv, output, plans, reports, image history or files that outlive the run.
//! 6. CPU names are spelled in [`arch`] alone.

pub mod attest;
pub mod aws;
pub mod build_logs;
mod calls;
pub mod cli;
mod completing;
pub mod config;
mod context;
pub mod docker;
pub mod endpoint;
pub mod execute;
pub mod facts;
mod hashed;
pub mod index_check;
mod interrupt;
mod parallel;
pub mod problem;
pub mod process;
mod program;
pub mod proof;
pub mod python;
pub mod record;
mod refused;
pub mod registry;
pub mod report;
pub mod repositories;
pub mod resolver;
pub mod sandbox;
pub mod scan;
pub mod session;
pub mod store;
pub mod targets;
pub mod tasks;
pub mod workspace;

pub use anyhow;
pub use clap;
pub use image_arch as arch;
pub use shipright_model as model;
pub use shipright_plan as plan;

pub use crate::{
    context::Context,
    interrupt::Transient,
    program::{NoArguments, Program},
    refused::Refused,
};
