//! Whole logs of builds, a directory for each run, in the state directory. The newest runs are kept.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::facts::{host, state};

/// The directory, in the state directory.
const DIRECTORY: &str = "build-logs";

/// How many runs are kept.
const KEPT: usize = 20;

/// The logs of one run.
#[derive(Debug)]
pub struct BuildLogs {
    directory: PathBuf,
    /// The same for people: from the project.
    shown: PathBuf,
}

impl BuildLogs {
    /// Makes a directory for a run, and drops those of the oldest.
    ///
    /// # Errors
    /// A directory that cannot be made.
    pub fn open(root: &Path) -> Result<Self> {
        let all = state::directory(root)?.join(DIRECTORY);
        // By name they are in the order of their time.
        let now = host::now().format("%Y%m%d-%H%M%S");
        let directory = all.join(format!("{now}-{:07}", std::process::id()));
        let about = || format!("failed to create `{}`", directory.display());
        std::fs::create_dir_all(&directory).with_context(about)?;
        drop_oldest(&all);
        let shown = directory.strip_prefix(root).unwrap_or(&directory);
        Ok(Self {
            shown: shown.to_owned(),
            directory,
        })
    }

    /// The file for an image.
    pub fn file(&self, image: &str) -> PathBuf {
        self.directory.join(format!("{image}.log"))
    }

    /// The file for an image, as people call it.
    pub fn shown(&self, image: &str) -> PathBuf {
        self.shown.join(format!("{image}.log"))
    }

    /// The directory, as people call it.
    pub fn shown_directory(&self) -> &Path {
        &self.shown
    }
}

/// Housekeeping: what cannot be removed does no harm.
fn drop_oldest(all: &Path) {
    let entries = std::fs::read_dir(all).into_iter().flatten().flatten();
    let mut runs: Vec<_> = entries.map(|entry| entry.path()).collect();
    runs.sort();
    let old = runs.len().saturating_sub(KEPT);
    for run in &runs[..old] {
        let _ = std::fs::remove_dir_all(run);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_runs_are_kept() {
        let root = tempfile::tempdir().unwrap();
        let all = root.path().join(DIRECTORY);
        for run in 0..KEPT + 3 {
            std::fs::create_dir_all(all.join(format!("2026010{}-{run:06}", run % 2))).unwrap();
        }
        drop_oldest(&all);
        let mut left: Vec<_> = std::fs::read_dir(&all)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left.len(), KEPT);
        assert_eq!(left[0], "20260100-000006", "the three oldest are gone");
    }
}
