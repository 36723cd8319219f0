//! `ci`: everything that has to hold before a change lands, in the order of what fails fastest.

use std::{path::Path, process::ExitCode};

use anyhow::{Context as _, Result, bail};

use super::Context;
use crate::{
    facts::host,
    process::{Tool, quoted},
};

/// The steps. `RUSTFLAGS` stays as it is, so that the dependencies of `cargo xtask` itself are not built again.
const STEPS: [(&str, &[&str]); 4] = [
    ("format", &["fmt", "--all", "--check"]),
    ("lints", &["clippy", "--locked", "--workspace", "--all-targets", "--", "--deny", "warnings"]),
    // They wait for programs more than they compute.
    ("tests", &["test", "--locked", "--workspace", "--", "--test-threads=8"]),
    (
        "end-to-end run",
        &["test", "--locked", "--package", "xtask", "--test", "end_to_end", "--", "--ignored", "--nocapture", "--test-threads=1"],
    ),
];

/// The fuzz targets of `xtask/fuzz`.
const FUZZ_TARGETS: [&str; 4] = ["elf", "documents", "dockerfile", "layer"];

/// What cargo-fuzz passes to the compiler for a run without a sanitizer: coverage counters for libFuzzer. They are stable
/// options, so no nightly compiler and no installation of cargo-fuzz is needed. Source: cargo-fuzz, `src/project.rs`.
const COVERAGE: [&str; 7] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
    "--cfg=fuzzing",
];

/// Runs every step. The first that fails ends it.
pub fn run(context: &Context) -> Result<ExitCode> {
    let root = context.config()?.root;
    for (name, words) in STEPS {
        step(context, name, &Tool::new("cargo").folder(&root), words)?;
    }
    fuzz(context, &root)?;
    if !context.global.dry_run {
        context.terminal.status("Passed", "format, lints, tests, the end-to-end run and the fuzz targets");
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs one command. With `--dry-run` it is only shown.
fn step(context: &Context, name: &str, cargo: &Tool, words: &[&str]) -> Result<()> {
    context.terminal.status("Checking", &format!("{name}: {}", quoted(std::iter::once("cargo").chain(words.iter().copied()))));
    if context.global.dry_run {
        return Ok(());
    }
    let outcome = cargo.inherit(words, false).with_context(|| format!("failed to start the {name}"))?;
    if !outcome.success() {
        bail!("the {name} failed: cargo {}", outcome.describe());
    }
    Ok(())
}

/// Runs each fuzz target for a while, going on from what earlier runs have found. A run is bounded in time and in memory.
fn fuzz(context: &Context, root: &Path) -> Result<()> {
    let folder = host::target_folder(root).join("fuzz");
    let target_dir = folder.to_string_lossy();
    let cargo = Tool::new("cargo").folder(root).env("CARGO_ENCODED_RUSTFLAGS", COVERAGE.join("\u{1f}"));
    // With a target named, cargo keeps the flags from build scripts and macros, which are not linked to libFuzzer.
    let common = ["--locked", "--release", "--manifest-path", "xtask/fuzz/Cargo.toml", "--target", "host-tuple", "--target-dir"];
    step(context, "fuzz targets", &cargo, &[&["build"], &common[..], &[&target_dir]].concat())?;
    for target in FUZZ_TARGETS {
        let corpus = folder.join("corpus").join(target);
        std::fs::create_dir_all(&corpus).with_context(|| format!("`{}` cannot be made", corpus.display()))?;
        let seeds = root.join("xtask/fuzz/seeds").join(target);
        let (corpus, seeds) = (corpus.to_string_lossy(), seeds.to_string_lossy());
        let crashes = format!("-artifact_prefix={target_dir}/{target}-");
        let run = [&["run"], &common[..], &[&target_dir, "--quiet", "--bin", target, "--"]].concat();
        let limits = ["-max_total_time=15", "-rss_limit_mb=512", "-timeout=20", "-verbosity=0", &crashes, &corpus, &seeds];
        step(context, &format!("fuzz target {target}"), &cargo, &[run.as_slice(), &limits].concat())?;
    }
    Ok(())
}
