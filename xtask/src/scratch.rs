//! A repository in a directory of its own, made for a task: files, and commits of them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use shipright::{
    anyhow::{Context as _, Result},
    process::Tool,
};

/// A repository that nobody else has.
pub(crate) struct Scratch {
    root: PathBuf,
}

impl Scratch {
    /// Makes one in an empty directory.
    ///
    /// # Errors
    /// git that cannot be started.
    pub(crate) fn new(root: &Path) -> Result<Self> {
        let scratch = Self {
            root: root.to_path_buf(),
        };
        scratch.git(&["init", "--quiet", "."])?;
        Ok(scratch)
    }

    /// Its directory.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Writes a file, and the directories on its way.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let file = self.root.join(name);
        let about = || format!("failed to write `{}`", file.display());
        if let Some(directory) = file.parent() {
            fs::create_dir_all(directory).with_context(about)?;
        }
        fs::write(&file, bytes).with_context(about)
    }

    /// Commits everything, also where nothing has changed.
    ///
    /// # Errors
    /// git that fails.
    pub(crate) fn commit(&self) -> Result<()> {
        self.git(&["add", "--all"])?;
        self.git(&[
            "-c",
            "user.name=xtask",
            "-c",
            "user.email=xtask@example.com",
            "-c",
            "commit.gpgsign=false",
            "-c",
            "core.hooksPath=/dev/null",
            "commit",
            "--quiet",
            "--allow-empty",
            "--message=x",
        ])
    }

    fn git(&self, words: &[&str]) -> Result<()> {
        Tool::new("git").directory(&self.root).read(words).map(drop)
    }
}
