//! Git's own program, for repositories that git2 cannot read: asked so that it starts nothing which the repository names. Who runs a
//! looking command in somebody else's repository has its `.git/config` and its `.gitattributes`, and not its programs.
//!
//! Source: git's documentation of `core.fsmonitor`, `core.hooksPath`, `filter.<driver>`, `log.showSignature`, and of the environment
//! variables in git(1).

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use super::{Unreadable, without_credentials};
use crate::{model::revision::Revision, process::Tool};

/// Settings that name programs, set to none.
const SETTINGS: [&str; 8] = [
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.pager=cat",
    "core.sshCommand=false",
    "core.gitProxy=",
    "diff.external=",
    "log.showSignature=false",
    "submodule.recurse=false",
];

/// What cannot be said in settings alone: nothing is fetched, written or asked. `none` is no protocol.
const VARIABLES: [(&str, &str); 5] = [
    ("GIT_ALLOW_PROTOCOL", "none"),
    ("GIT_NO_LAZY_FETCH", "1"),
    ("GIT_OPTIONAL_LOCKS", "0"),
    ("GIT_PAGER", "cat"),
    ("GIT_TERMINAL_PROMPT", "0"),
];

/// The mode of a submodule in the index.
const SUBMODULE: &str = "160000";

/// `git` in a work tree.
struct Git {
    place: PathBuf,
    tool: Tool,
    settings: Vec<String>,
}

impl Git {
    /// In a directory. Filters that its configuration defines are set to none: a file that one of them would change counts as changed.
    fn at(place: &Path) -> Result<Self> {
        let tool = VARIABLES
            .iter()
            .fold(Tool::new("git").directory(place), |tool, (name, value)| {
                tool.env(*name, *value)
            });
        let mut git = Self {
            place: place.to_path_buf(),
            tool,
            settings: SETTINGS.map(str::to_owned).into(),
        };
        let words = [
            "config",
            "--null",
            "--name-only",
            "--get-regexp",
            "^filter\\.",
        ];
        // It ends with 1 where nothing is found.
        let said = git.read(&words).unwrap_or_default();
        let drivers: BTreeSet<_> = said.split('\0').filter_map(driver).collect();
        for driver in drivers {
            if driver.contains(['=', '\n']) {
                bail!("its configuration has a filter with a name that cannot be switched off");
            }
            for (key, value) in [
                ("clean", ""),
                ("smudge", ""),
                ("process", ""),
                ("required", "false"),
            ] {
                git.settings.push(format!("filter.{driver}.{key}={value}"));
            }
        }
        Ok(git)
    }

    fn read(&self, words: &[&str]) -> Result<String> {
        let settings = self.settings.iter().flat_map(|one| ["-c", one.as_str()]);
        let words: Vec<_> = settings.chain(words.iter().copied()).collect();
        self.tool.read(&words)
    }

    /// Whether anything differs from the commit, in submodules too: git itself would look into them with their own settings.
    fn is_dirty(&self) -> Result<bool> {
        let words = ["status", "--porcelain", "--ignore-submodules=dirty"];
        Ok(!self.read(&words)?.is_empty() || !self.dirty_submodules()?.is_empty())
    }

    /// The submodules that differ from their commit, as paths from here.
    fn dirty_submodules(&self) -> Result<Vec<String>> {
        let listed = self.read(&["ls-files", "--stage", "-z"])?;
        let of_submodule = |line: &str| {
            let (about, path) = line.split_once('\t')?;
            about.starts_with(SUBMODULE).then(|| path.to_owned())
        };
        let mut dirty = Vec::new();
        for path in listed.split('\0').filter_map(of_submodule) {
            let place = self.place.join(&path);
            if place.join(".git").exists() && Self::at(&place)?.is_dirty()? {
                dirty.push(path);
            }
        }
        Ok(dirty)
    }
}

/// The driver of a setting: `lfs` of `filter.lfs.clean`.
fn driver(key: &str) -> Option<&str> {
    let (driver, _) = key.strip_prefix("filter.")?.rsplit_once('.')?;
    Some(driver)
}

/// Reads the revision of the repository that a directory lies in. `None` where nothing is committed.
pub(super) fn revision(directory: &Path) -> Result<Option<Revision>> {
    let git = Git::at(directory)?;
    let head = git.read(&["rev-parse", "--verify", "HEAD"]);
    let Ok(commit) = head else {
        let error = head.unwrap_err();
        let text = format!("{error:#}");
        if text.contains("Needed a single revision") {
            return Ok(None);
        }
        if text.contains("dubious ownership") {
            bail!(
                "{error:#}\nrun: git config --global --add safe.directory {}",
                directory.display()
            );
        }
        return Err(error);
    };
    let top = git.read(&["rev-parse", "--show-toplevel"])?;
    let dirty = Git::at(Path::new(&top))?.is_dirty()?;
    let time = git.read(&["show", "--no-patch", "--format=%ct", "HEAD"])?;
    let suffix = if dirty { "-dirty" } else { "" };
    Ok(Some(Revision {
        dirty,
        time: time
            .parse()
            .with_context(|| format!("failed to read git's commit time `{time}`"))?,
        tags: git
            .read(&["tag", "--points-at", "HEAD", "--sort=-version:refname"])
            .map(|said| said.lines().map(str::to_owned).collect())
            .unwrap_or_default(),
        versions: BTreeMap::new(),
        branch: git
            .read(&["symbolic-ref", "--quiet", "--short", "HEAD"])
            .ok(),
        description: git
            .read(&["describe", "--tags", "--always"])
            .unwrap_or_else(|_| commit.clone())
            + suffix,
        origin: git
            .read(&["remote", "get-url", "origin"])
            .ok()
            .map(|url| without_credentials(&url)),
        commit,
    }))
}

/// What differs from the commit where this branch left another, as absolute paths.
pub(super) fn changed_since(root: &Path, reference: &str) -> Result<Vec<PathBuf>, Unreadable> {
    let git = Git::at(root).map_err(Unreadable::Repository)?;
    let commit = format!("{reference}^{{commit}}");
    let place = git
        .read(&["rev-parse", "--show-toplevel"])
        .map_err(Unreadable::Repository)?;
    let git = Git::at(Path::new(&place)).map_err(Unreadable::Repository)?;
    let named = git.read(&[
        "rev-parse",
        "--verify",
        "--quiet",
        "--end-of-options",
        &commit,
    ]);
    let named = named.map_err(|_| Unreadable::Reference)?;
    let base = git
        .read(&["merge-base", &named, "HEAD"])
        .map_err(|_| Unreadable::Unrelated)?;
    let tracked = git.read(&[
        "diff",
        "--name-only",
        "--no-renames",
        "--no-ext-diff",
        "--no-textconv",
        "--ignore-submodules=dirty",
        "-z",
        &base,
    ]);
    let new = git.read(&["ls-files", "--others", "--exclude-standard", "-z"]);
    let mut paths = BTreeSet::new();
    for names in [tracked, new] {
        let names = names.map_err(Unreadable::Repository)?;
        let inner = names.split('\0').filter(|name| !name.is_empty());
        paths.extend(inner.map(|name| git.place.join(name)));
    }
    let submodules = git.dirty_submodules().map_err(Unreadable::Repository)?;
    paths.extend(submodules.iter().map(|name| git.place.join(name)));
    Ok(paths.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_driver_of_a_filter_may_have_dots() {
        assert_eq!(driver("filter.lfs.clean"), Some("lfs"));
        assert_eq!(driver("filter.a.b c.process"), Some("a.b c"));
        assert_eq!(driver("core.pager"), None);
    }
}
