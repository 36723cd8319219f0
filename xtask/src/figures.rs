//! What a run of `ci` has tried: cells of the fault matrix, kills, hostile values, executions of the fuzz targets. Tests write it down
//! (`xtask/tests/suite/support/figures.rs`); the end of the run adds it up.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use shipright::{
    anyhow::{Context as _, Result},
    facts::host,
    process::Tool,
    report::table::table,
};

/// The environment variable that has tests write down what they try, and where.
const VARIABLE: &str = "XTASK_FIGURES";

/// What is counted.
pub(crate) struct Figures(PathBuf);

impl Figures {
    /// Of the repository at `root`.
    pub(crate) fn of(root: &Path) -> Self {
        Self(host::target_directory(root).join("ci-figures"))
    }

    /// Begins anew.
    ///
    /// # Errors
    /// A directory that cannot be made.
    pub(crate) fn begin(&self) -> Result<()> {
        let about = || format!("failed to begin the figures in `{}`", self.0.display());
        fs::create_dir_all(&self.0).with_context(about)?;
        fs::write(self.file(), "").with_context(about)
    }

    fn file(&self) -> PathBuf {
        self.0.join("figures")
    }

    /// A program that runs tests, with the counting switched on.
    pub(crate) fn kept_by(&self, tests: Tool) -> Tool {
        tests.env(VARIABLE, &self.0)
    }

    /// Reads what a fuzz target says at its end. Source: LLVM's documentation of libFuzzer, `print_final_stats`.
    pub(crate) fn hear(&self, line: &str) {
        let count = line.strip_prefix("stat::number_of_executed_units:");
        let Some(count) = count.and_then(|count| count.trim().parse::<usize>().ok()) else {
            return;
        };
        let file = fs::File::options().append(true).open(self.file());
        // A figure less is no reason to fail.
        let _ = file.and_then(|mut file| writeln!(file, "{count} executions of fuzz targets"));
    }

    /// The sums, as a table. All of it has passed where this is shown.
    pub(crate) fn shown(&self) -> String {
        let text = fs::read_to_string(self.file()).unwrap_or_default();
        let mut sums: BTreeMap<&str, usize> = BTreeMap::new();
        for (count, kind) in text.lines().filter_map(|line| line.split_once(' ')) {
            *sums.entry(kind).or_default() += count.parse::<usize>().unwrap_or(0);
        }
        let row =
            |(kind, count): (&str, usize)| [kind.to_owned(), count.to_string(), "0".to_owned()];
        let rows: Vec<_> = sums.into_iter().map(row).collect();
        table(&["tried", "count", "failures"], &rows, None)
    }
}
