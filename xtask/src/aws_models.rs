//! `aws-models`: every request of the tests, and every answer of their own AWS, held against AWS's published service models.
//!
//! The tests' AWS writes down what it is asked and answers (`xtask/tests/suite/support/aws/recording.rs`); a Python program reads that
//! with botocore, which carries the models (`xtask/tests/models/check.py`).

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use shipright::{
    Context,
    anyhow::{Context as _, Result, bail},
    clap::Args,
    facts::host,
    process::Tool,
    python,
    report::size,
};

/// What help says.
pub(crate) const ABOUT: &str =
    "Check what tests ask and what their own AWS answers against AWS's service models";

/// What goes before the lines of the check.
const NAME: &str = "AWS's models";

/// The environment variable that has the tests' AWS write a recording, and where.
const VARIABLE: &str = "AWS_RECORDING";

/// botocore and what it needs, with hashes. After a change of the version:
/// `printf 'botocore==…\n' | uv pip compile --universal --python-version 3.10 --generate-hashes --no-header -`
const LOCK: &str = include_str!("../tests/models/botocore.lock");

/// How long the check may say nothing.
const SILENCE: Duration = Duration::from_mins(5);

/// Which tests are recorded.
#[derive(Debug, Clone, Args)]
#[command(about = ABOUT)]
pub(crate) struct AwsModels {
    /// Only tests whose name has this in it
    filter: Option<String>,
}

/// Runs the tests that have an AWS of their own, and checks what they recorded.
pub(crate) fn run(context: &Context, arguments: &AwsModels) -> Result<ExitCode> {
    let root = context.config()?.root;
    let recording = Recording::of(&root);
    let words = ["test", "--locked", "--package", "xtask", "--test", "suite"];
    let words = [&words[..], arguments.filter.as_deref().as_slice()].concat();
    let cargo = recording.kept_by(Tool::new("cargo").directory(&root));
    context.terminal.status("Recording", &cargo.shown(&words));
    if !context.global.dry_run {
        recording.begin()?;
        let outcome = cargo.inherit(&words, false)?;
        if !outcome.success() {
            bail!("the tests failed: cargo {}", outcome.describe());
        }
    }
    recording.check(context, arguments.filter.is_none())?;
    Ok(ExitCode::SUCCESS)
}

/// What tests record, and the program that checks it.
pub(crate) struct Recording {
    root: PathBuf,
    directory: PathBuf,
}

impl Recording {
    /// Of the repository at `root`.
    pub(crate) fn of(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            directory: host::target_directory(root).join("aws-models"),
        }
    }

    fn calls(&self) -> PathBuf {
        self.directory.join("recording")
    }

    /// A program that runs tests, with the recording switched on.
    pub(crate) fn kept_by(&self, tests: Tool) -> Tool {
        tests.env(VARIABLE, self.calls())
    }

    /// Forgets what was recorded before.
    ///
    /// # Errors
    /// A directory that cannot be emptied.
    pub(crate) fn begin(&self) -> Result<()> {
        let calls = self.calls();
        let _ = fs::remove_dir_all(&calls);
        fs::create_dir_all(&calls).with_context(|| format!("failed to make `{}`", calls.display()))
    }

    /// Runs the check's own tests, and then the check. `is_whole` is whether the whole suite was recorded. Returns the line with
    /// the counts.
    ///
    /// # Errors
    /// Any difference between the recording and the models; each was printed.
    pub(crate) fn check(&self, context: &Context, is_whole: bool) -> Result<String> {
        let models = self.root.join("xtask/tests/models");
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        let (check, calls) = (text(models.join("check.py")), text(self.calls()));
        let mut words = vec![check.as_str(), calls.as_str()];
        words.extend(is_whole.then_some("--whole"));
        let began = Instant::now();
        context.terminal.status(
            "Checking",
            &format!("{NAME}: {}", Tool::new("python").shown(&words)),
        );
        if context.global.dry_run {
            return Ok(String::new());
        }
        let python = python::environment(&self.directory.join("python"), "botocore", LOCK)?;
        let python = Tool::new(python)
            .directory(&models)
            .env("PYTHONDONTWRITEBYTECODE", "1");
        step(context, &python, &["-m", "unittest", "--quiet"])?;
        let counts = step(context, &python, &words)?;
        let text = format!("{NAME} in {}", size::seconds(began.elapsed()));
        context.terminal.status("Passed", &text);
        Ok(counts)
    }
}

/// Runs a part of the check. Returns its last line.
fn step(context: &Context, python: &Tool, words: &[&str]) -> Result<String> {
    let mut last = String::new();
    let outcome = python.stream(words, SILENCE, |line| {
        context.terminal.output(NAME, line);
        line.clone_into(&mut last);
    });
    let outcome = outcome.context("failed to start the check against AWS's models")?;
    if !outcome.success() {
        bail!(
            "what tests ask or what their AWS answers is not as AWS's models have it: {} ({})\n\
             mend the request, or the answer in xtask/tests/suite/support/aws",
            last,
            outcome.describe()
        );
    }
    Ok(last)
}
