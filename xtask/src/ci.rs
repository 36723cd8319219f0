//! `ci`: everything that has to hold before a change lands. Once the tests are built, three things go on side by side: the tests,
//! what they recorded held against AWS's models, and then the lints; the end-to-end run, which takes longest; and the fuzz targets.

use std::{
    path::Path,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use shipright::{
    Context, NoArguments,
    anyhow::{Context as _, Result, anyhow, bail},
    facts::host,
    model::shell::quoted,
    process::Tool,
    report::size,
};

use crate::{aws_models::Recording, figures::Figures};

/// What help says.
pub(crate) const ABOUT: &str = "Check format and lints, run all tests and the end-to-end run";

/// What comes first, one after the other. `RUSTFLAGS` stays as it is, so that the dependencies of `cargo xtask` itself are not
/// built again.
const FIRST: [Step; 2] = [
    Step {
        name: "format",
        words: &["fmt", "--all", "--check"],
    },
    Step {
        name: "build of the tests",
        words: &["test", "--locked", "--workspace", "--no-run"],
    },
];

/// The lints compute while the end-to-end run, which takes longest, has nothing to compute: so do the fuzz targets.
const LINTS: Step = Step {
    name: "lints",
    words: &[
        "-n",
        "15",
        "cargo",
        "clippy",
        "--locked",
        "--workspace",
        "--all-targets",
        "--",
        "--deny",
        "warnings",
    ],
};

/// The tests wait for programs more than they compute.
const TESTS: Step = Step {
    name: "tests",
    words: &["test", "--locked", "--workspace", "--", "--test-threads=16"],
};

const END_TO_END: Step = Step {
    name: "end-to-end run",
    words: &[
        "test",
        "--locked",
        "--package",
        "xtask",
        "--test",
        "suite",
        "end_to_end::",
        "--",
        "--ignored",
        "--nocapture",
        "--test-threads=1",
    ],
};

/// The fuzz targets of `xtask/fuzz`, in the pairs that run at the same time.
const FUZZ_TARGETS: [[&str; 2]; 2] = [["layer", "dockerfile"], ["elf", "documents"]];

/// How long a program may say nothing: the longest step of the end-to-end run is silent for minutes.
const SILENCE: Duration = Duration::from_mins(20);

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

/// A command of cargo's.
#[derive(Clone, Copy)]
struct Step {
    name: &'static str,
    words: &'static [&'static str],
}

/// Runs every step. Of those that run one after the other the first that fails ends it.
pub(crate) fn run(context: &Context, _: &NoArguments) -> Result<ExitCode> {
    let root = context.config()?.root;
    let cargo = Tool::new("cargo").directory(&root);
    let nice = Tool::new("nice").directory(&root);
    for step in FIRST {
        foreground(context, step, &cargo)?;
    }
    let figures = Figures::of(&root);
    if !context.global.dry_run {
        figures.begin()?;
    }
    let mut counts = String::new();
    let outcomes = thread::scope(|scope| {
        let fuzz = scope.spawn(|| fuzz(context, &root, &figures));
        let end_to_end =
            scope.spawn(|| background(context, END_TO_END.name, &cargo, END_TO_END.words));
        let tests = tests(
            context,
            &figures.kept_by(cargo.clone()),
            &Recording::of(&root),
        )
        .map(|found| counts = found)
        .and_then(|()| foreground(context, LINTS, &nice));
        let of_thread = |outcome: thread::Result<Result<()>>| {
            outcome.unwrap_or_else(|_| Err(anyhow!("a step panicked")))
        };
        [tests, of_thread(end_to_end.join()), of_thread(fuzz.join())]
    });
    let failures: Vec<_> = outcomes
        .into_iter()
        .filter_map(Result::err)
        .map(|error| format!("{error:#}"))
        .collect();
    if !failures.is_empty() {
        bail!("{}", failures.join("\n"));
    }
    if !context.global.dry_run {
        context.terminal.status(
            "Passed",
            "format, lints, tests, the end-to-end run and the fuzz targets",
        );
        context.terminal.status("Checked", &counts);
        context.terminal.block(&figures.shown());
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs the tests, and holds what they recorded against AWS's models. Returns the counts.
fn tests(context: &Context, cargo: &Tool, recording: &Recording) -> Result<String> {
    if !context.global.dry_run {
        recording.begin()?;
    }
    foreground(context, TESTS, &recording.kept_by(cargo.clone()))?;
    recording.check(context, true)
}

/// Says what is run. Returns whether it is.
fn announce(context: &Context, name: &str, tool: &Tool, words: &[&str]) -> bool {
    context
        .terminal
        .status("Checking", &format!("{name}: {}", tool.shown(words)));
    !context.global.dry_run
}

/// Runs a command with this program's own terminal.
fn foreground(context: &Context, step: Step, tool: &Tool) -> Result<()> {
    if !announce(context, step.name, tool, step.words) {
        return Ok(());
    }
    let began = Instant::now();
    let outcome = tool
        .inherit(step.words, false)
        .with_context(|| format!("failed to start the {}", step.name))?;
    if !outcome.success() {
        bail!("the {} failed: it {}", step.name, outcome.describe());
    }
    passed(context, step.name, began);
    Ok(())
}

/// Runs a command whose lines are shown with its name before them.
fn background(context: &Context, name: &str, tool: &Tool, words: &[&str]) -> Result<()> {
    heard(context, name, tool, words, |_| {})
}

/// The same with somebody else who reads the lines.
fn heard(
    context: &Context,
    name: &str,
    tool: &Tool,
    words: &[&str],
    mut line: impl FnMut(&str),
) -> Result<()> {
    if !announce(context, name, tool, words) {
        return Ok(());
    }
    let began = Instant::now();
    let outcome = tool.stream(words, SILENCE, |said| {
        line(said);
        context.terminal.output(name, said);
    });
    let outcome = outcome.with_context(|| format!("failed to start the {name}"))?;
    if !outcome.success() {
        bail!(
            "the {name} failed: {} {}\n{}",
            quoted(words.iter().copied()),
            outcome.describe(),
            outcome.tail.join("\n")
        );
    }
    passed(context, name, began);
    Ok(())
}

fn passed(context: &Context, name: &str, began: Instant) {
    let text = format!("{name} in {}", size::seconds(began.elapsed()));
    context.terminal.status("Passed", &text);
}

/// Builds the fuzz targets and runs each for a while, going on from what earlier runs have found. A run is bounded in time
/// and in memory.
fn fuzz(context: &Context, root: &Path, figures: &Figures) -> Result<()> {
    let directory = host::target_directory(root).join("fuzz");
    let target_dir = directory.to_string_lossy();
    let nice = Tool::new("nice")
        .directory(root)
        .env("CARGO_ENCODED_RUSTFLAGS", COVERAGE.join("\u{1f}"));
    // With a target named, cargo keeps the flags from build scripts and macros, which are not linked to libFuzzer.
    let target = Tool::new("rustc").read(&["--print", "host-tuple"])?;
    let build = [
        "-n",
        "15",
        "cargo",
        "build",
        "--locked",
        "--release",
        "--manifest-path",
        "xtask/fuzz/Cargo.toml",
        "--target",
        &target,
        "--target-dir",
    ];
    background(
        context,
        "fuzz targets",
        &nice,
        &[&build[..], &[&target_dir]].concat(),
    )?;
    let run = |name: &str| {
        let corpus = directory.join("corpus").join(name);
        std::fs::create_dir_all(&corpus)
            .with_context(|| format!("`{}` cannot be made", corpus.display()))?;
        let seeds = root.join("xtask/fuzz/seeds").join(name);
        let (corpus, seeds) = (corpus.to_string_lossy(), seeds.to_string_lossy());
        let crashes = format!("-artifact_prefix={target_dir}/{name}-");
        let limits = [
            "-max_total_time=15",
            "-rss_limit_mb=512",
            "-timeout=20",
            "-verbosity=0",
            "-print_final_stats=1",
            &crashes,
            &corpus,
            &seeds,
        ];
        let program = Tool::new(directory.join(&target).join("release").join(name)).directory(root);
        let name = format!("fuzz target {name}");
        heard(context, &name, &program, &limits, |line| figures.hear(line))
    };
    for pair in FUZZ_TARGETS {
        thread::scope(|scope| {
            let runs = pair.map(|name| scope.spawn(move || run(name)));
            runs.into_iter().try_for_each(|run| {
                run.join()
                    .unwrap_or_else(|_| Err(anyhow!("a fuzz target panicked")))
            })
        })?;
    }
    Ok(())
}
