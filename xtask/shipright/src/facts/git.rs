//! Which commit this is: the revision that images are labelled and tagged with.
//!
//! git2 reads it without a process, and runs neither filters nor hooks. It cannot open every repository (reftable, SHA-256, a
//! foreign owner's), so the `git` program is asked where it fails.

mod program;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use git2::{
    Delta, DescribeFormatOptions, DescribeOptions, DiffDelta, DiffOptions, ErrorCode,
    IndexEntryExtendedFlag, Oid, Repository, StatusOptions, Tree,
};

use crate::model::{config::Config, revision::Revision};

/// Reads the revision of the repository that `directory` lies in. `None` when it lies in none, or nothing is committed.
///
/// # Errors
/// A repository that neither git2 nor `git` can read.
pub fn revision(directory: &Path) -> Result<Option<Revision>> {
    let outcome = Repository::discover(directory).and_then(|repository| from_library(&repository));
    match outcome {
        Ok(revision) => Ok(Some(revision)),
        Err(error) if matches!(error.code(), ErrorCode::UnbornBranch) => Ok(None),
        Err(error) if error.code() == ErrorCode::NotFound && !has_git_directory(directory) => {
            Ok(None)
        }
        Err(error) => program::revision(directory).with_context(|| {
            format!(
                "git2 cannot read the repository either: {}",
                error.message()
            )
        }),
    }
}

/// What differs from the commit where this branch left another: tracked files, also those that are gone, and new ones that are
/// not ignored; a submodule is one path. Absolute paths, without links above the repository.
///
/// # Errors
/// A name that is no commit, a history that lacks the common one, and a repository that neither git2 nor `git` can read.
pub fn changed_since(root: &Path, reference: &str) -> Result<Vec<PathBuf>, Unreadable> {
    let repository = match Repository::discover(root) {
        Err(error) if error.code() == ErrorCode::NotFound && !has_git_directory(root) => {
            return Err(Unreadable::Nowhere);
        }
        other => other,
    };
    let found = repository.and_then(|repository| changed_by_library(&repository, root, reference));
    found.unwrap_or_else(|_| program::changed_since(root, reference))
}

/// Refusals inside, so that what git2 itself cannot read stands apart.
fn changed_by_library(
    repository: &Repository,
    root: &Path,
    reference: &str,
) -> Result<Result<Vec<PathBuf>, Unreadable>, git2::Error> {
    let head = match repository.head() {
        Err(error) if error.code() == ErrorCode::UnbornBranch => {
            return Ok(Err(Unreadable::Nowhere));
        }
        other => other?.peel_to_commit()?,
    };
    let commit = repository
        .revparse_single(reference)
        .and_then(|found| found.peel_to_commit());
    let Ok(commit) = commit else {
        return Ok(Err(Unreadable::Reference));
    };
    let base = match repository.merge_base(commit.id(), head.id()) {
        Err(error) if error.code() == ErrorCode::NotFound => return Ok(Err(Unreadable::Unrelated)),
        other => other?,
    };
    let tree = repository.find_commit(base)?.tree()?;
    Ok(Ok(differing(repository, root, Some(&tree))?
        .into_iter()
        .collect()))
}

/// The files of a directory's repository: what git tracks, and what is new there and not ignored. Absolute paths, without
/// links above the repository.
///
/// # Errors
/// A directory that lies in no repository, and a repository that git2 cannot read.
pub fn files(root: &Path) -> Result<BTreeSet<PathBuf>, git2::Error> {
    differing(&Repository::discover(root)?, root, None)
}

/// Tells of paths below a directory whether git tracks something there. `None` where that cannot be told. A large repository's index is
/// many megabytes: it is read once.
pub fn tracked_below(directory: &Path) -> Option<impl Fn(&str) -> bool + use<>> {
    let repository = Repository::discover(directory).ok()?;
    let top = repository.workdir()?.canonicalize().ok()?;
    let place = directory.canonicalize().ok()?;
    let place = place.strip_prefix(top).ok()?.to_owned();
    let index = repository.index().ok()?;
    Some(move |name: &str| {
        let path = place.join(name);
        let is_file = index.get_path(&path, 0).is_some();
        let below = path.to_str().map(|path| format!("{path}/"));
        is_file || below.is_some_and(|below| index.find_prefix(below).is_ok())
    })
}

/// The directory of the work tree that a directory lies in, without links. `None` where it lies in none.
pub fn top(directory: &Path) -> Option<PathBuf> {
    let repository = Repository::discover(directory).ok()?;
    repository.workdir()?.canonicalize().ok()
}

/// What differs from a tree, or is there at all.
fn differing(
    repository: &Repository,
    root: &Path,
    tree: Option<&Tree<'_>>,
) -> Result<BTreeSet<PathBuf>, git2::Error> {
    let index = repository.index()?;
    // A sparse checkout leaves files out that do not differ.
    let is_left_out = |delta: &DiffDelta<'_>| {
        let path = delta.old_file().path()?;
        let entry = index.get_path(path, 0)?;
        let is_skipped = IndexEntryExtendedFlag::from_bits_truncate(entry.flags_extended)
            .contains(IndexEntryExtendedFlag::SKIP_WORKTREE);
        Some(is_skipped && delta.status() == Delta::Deleted && entry.id == delta.old_file().id())
    };
    let mut options = DiffOptions::new();
    options.include_untracked(true).recurse_untracked_dirs(true);
    let diff = repository.diff_tree_to_workdir_with_index(tree, Some(&mut options))?;
    let place = repository.workdir().unwrap_or(root);
    let place = place.canonicalize().unwrap_or_else(|_| place.to_path_buf());
    let files = diff
        .deltas()
        .filter(|delta| is_left_out(delta) != Some(true))
        .flat_map(|delta| {
            [delta.old_file().path(), delta.new_file().path()]
                .map(|path| path.map(|path| place.join(path)))
        });
    Ok(files.flatten().collect())
}

/// Why it cannot be told what differs from a commit.
#[derive(Debug)]
pub enum Unreadable {
    /// There is no repository, or nothing is committed.
    Nowhere,
    /// The name is no commit here.
    Reference,
    /// The two have no common commit in the history that is here.
    Unrelated,
    /// The repository cannot be read.
    Repository(anyhow::Error),
}

/// The last commits, newest first. What cannot be read has none.
pub fn recent(directory: &Path, most: usize) -> Vec<String> {
    let walk = |repository: &Repository| {
        let mut walk = repository.revwalk()?;
        walk.push_head()?;
        let commits = walk.take(most).flatten().map(|commit| commit.to_string());
        Ok::<_, git2::Error>(commits.collect())
    };
    let repository = Repository::discover(directory);
    repository
        .and_then(|repository| walk(&repository))
        .unwrap_or_default()
}

/// The revision of a project, with the context that a person needs when it cannot be read.
///
/// # Errors
/// A repository that cannot be read.
pub fn project_revision(config: &Config) -> Result<Option<Revision>> {
    revision(&config.root).with_context(|| {
        format!(
            "failed to read the git revision of `{}`",
            config.root.display()
        )
    })
}

fn has_git_directory(directory: &Path) -> bool {
    directory
        .ancestors()
        .any(|above| above.join(".git").exists())
}

fn from_library(repository: &Repository) -> Result<Revision, git2::Error> {
    let head = repository.head()?;
    let commit = head.peel_to_commit()?;
    let mut options = StatusOptions::new();
    options
        .include_untracked(true)
        .recurse_untracked_dirs(false);
    let dirty = !repository.statuses(Some(&mut options))?.is_empty();
    let mut describe = DescribeOptions::new();
    describe.describe_tags().show_commit_oid_as_fallback(true);
    let mut format = DescribeFormatOptions::new();
    let suffix = if dirty { "-dirty" } else { "" };
    let description = commit
        .as_object()
        .describe(&describe)
        .and_then(|found| found.format(Some(format.dirty_suffix(suffix))));
    let origin = repository
        .find_remote("origin")
        .ok()
        .and_then(|remote| remote.url().ok().map(without_credentials));
    Ok(Revision {
        commit: commit.id().to_string(),
        tags: tags_of(repository, commit.id())?,
        versions: BTreeMap::new(),
        dirty,
        time: commit.time().seconds(),
        branch: head
            .is_branch()
            .then(|| head.shorthand().ok().map(str::to_owned))
            .flatten(),
        description: description.map_or_else(
            |_| commit.id().to_string(),
            |text| format!("{text}{suffix}"),
        ),
        origin,
    })
}

/// The tags of a commit, the highest version first.
fn tags_of(repository: &Repository, commit: Oid) -> Result<Vec<String>, git2::Error> {
    let mut tags = Vec::new();
    for reference in repository.references_glob("refs/tags/*")? {
        let reference = reference?;
        // A tag may name a file, or what a shallow clone lacks.
        let is_its = reference
            .peel_to_commit()
            .is_ok_and(|named| named.id() == commit);
        let name = reference
            .name()
            .ok()
            .and_then(|name| name.strip_prefix("refs/tags/"));
        tags.extend(name.filter(|_| is_its).map(str::to_owned));
    }
    tags.sort_by_key(|tag| std::cmp::Reverse(numbers(tag)));
    Ok(tags)
}

/// The numbers in a name: `v1.10.0` is more than `v1.9.2`.
fn numbers(name: &str) -> Vec<u64> {
    let words = name.split(|c: char| !c.is_ascii_digit());
    words.filter_map(|word| word.parse().ok()).collect()
}

/// A remote's URL may carry `user:token@`, which must not end up in a label.
pub fn without_credentials(url: &str) -> String {
    match url.split_once("://").and_then(|(scheme, rest)| {
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        authority
            .rsplit_once('@')
            .map(|(_, host)| format!("{scheme}://{host}/{path}"))
    }) {
        Some(clean) => clean,
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Tool;

    #[test]
    fn a_token_in_the_remote_url_stays_out_of_the_label() {
        let cases = [
            (
                "https://user:token@git.example.com/a/b",
                "https://git.example.com/a/b",
            ),
            (
                "https://git.example.com/a/b@c",
                "https://git.example.com/a/b@c",
            ),
            ("git@git.example.com:a/b.git", "git@git.example.com:a/b.git"),
            ("ssh://git@git.example.com/a", "ssh://git.example.com/a"),
        ];
        for (url, expected) in cases {
            assert_eq!(without_credentials(url), expected);
        }
    }

    #[test]
    fn a_directory_outside_any_repository_has_no_revision() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(revision(directory.path()).unwrap(), None);
    }

    #[test]
    fn an_untracked_file_makes_the_tree_dirty_and_an_ignored_one_does_not() {
        let directory = tempfile::tempdir().unwrap();
        let git = Tool::new("git").directory(directory.path());
        let run = |words: &str| git.read(&words.split(' ').collect::<Vec<_>>()).unwrap();
        run("init --quiet --initial-branch=main");
        assert_eq!(
            revision(directory.path()).unwrap(),
            None,
            "nothing is committed yet"
        );
        std::fs::write(directory.path().join(".gitignore"), "ignored\n").unwrap();
        run("add .gitignore");
        run("-c user.name=a -c user.email=a@example.com commit --quiet --message=first");

        let clean = revision(directory.path()).unwrap().unwrap();
        assert_eq!(
            (clean.dirty, clean.branch.as_deref()),
            (false, Some("main"))
        );
        assert_eq!(clean.commit, run("rev-parse HEAD"));
        assert_eq!(
            program::revision(directory.path()).unwrap().unwrap().commit,
            clean.commit
        );

        std::fs::write(directory.path().join("ignored"), "").unwrap();
        assert!(!revision(directory.path()).unwrap().unwrap().dirty);
        std::fs::write(directory.path().join("new"), "").unwrap();
        let dirty = revision(directory.path()).unwrap().unwrap();
        assert!(
            dirty.dirty && dirty.description.ends_with("-dirty"),
            "{dirty:?}"
        );
        assert!(program::revision(directory.path()).unwrap().unwrap().dirty);
    }
}
