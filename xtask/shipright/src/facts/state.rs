//! Where this tool keeps what outlives a run: the record, locks, images, proofs and the sandbox. In `target/`, where cargo keeps what it
//! builds.
//!
//! Architecture Invariant: what is read and written there is of this machine. A repository that brings a `target/` of its own, or
//! links that lead out of it, is refused, so that nothing is written elsewhere and nothing that is found there is believed.

use std::{
    collections::BTreeSet,
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use anyhow::{Context as _, Result};

use super::{git, host};
use crate::{model::refusal::Refusal, refused::Refused};

/// What is ours in `target/`.
const OURS: [&str; 8] = [
    ".gitignore",
    "xtask-record.jsonl",
    "push.lock",
    "proof-*",
    "build-logs",
    "images",
    "manifests",
    "sandbox",
];

/// What is ours further down, and has what an image brings in it.
const INNER: [&str; 4] = [
    "images/blobs",
    "images/blobs/sha256",
    "images/ingest",
    "images/recent",
];

/// Directories that were looked at in this run.
static SAFE: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// The directory. It says to git that all this is to be ignored, so that no tree becomes dirty by it in a repository that does not
/// ignore `target/`. A directory of that name which is neither cargo's nor ours keeps what else is in it visible.
///
/// # Errors
/// A directory that cannot be made, and one that somebody else's repository brings.
pub fn directory(root: &Path) -> Result<PathBuf> {
    let directory = host::target_directory(root);
    require_ours(root, &directory)?;
    let ignore = directory.join(".gitignore");
    if !ignore.exists() {
        let is_build_output = !directory.exists() || directory.join("CACHEDIR.TAG").is_file();
        fs::create_dir_all(&directory)
            .with_context(|| format!("failed to create `{}`", directory.display()))?;
        let text = if is_build_output {
            "*\n".to_owned()
        } else {
            ignored()
        };
        // Another run may make it at the same moment.
        let made = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&ignore);
        match made.and_then(|mut file| file.write_all(text.as_bytes())) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(error)
                    .with_context(|| format!("failed to write `{}`", ignore.display()));
            }
            _ => {}
        }
    }
    Ok(directory)
}

fn ignored() -> String {
    let line = |name: &str| match name {
        ".gitignore" | "xtask-record.jsonl" | "push.lock" => format!("/{name}\n"),
        directory => format!("/{directory}/\n"),
    };
    OURS.map(line).concat()
}

/// Refuses what the repository may have brought. Where `CARGO_TARGET_DIR` says the directory, its user has chosen it.
fn require_ours(root: &Path, directory: &Path) -> Result<(), Refused> {
    if host::variable("CARGO_TARGET_DIR").is_some() {
        return Ok(());
    }
    let mut safe = SAFE.lock().unwrap_or_else(PoisonError::into_inner);
    if safe.contains(directory) {
        return Ok(());
    }
    if is_link(directory) && !stays_inside(root, directory) {
        return Err(led_away(directory, directory));
    }
    let tracks = git::tracked_below(directory);
    for name in ours_in(directory) {
        let path = directory.join(&name);
        if is_link(&path) {
            return Err(led_away(&path, directory));
        }
        if name != ".gitignore" && tracks.as_ref().is_some_and(|tracks| tracks(&name)) {
            return Err(brought(&path));
        }
    }
    safe.insert(directory.to_path_buf());
    Ok(())
}

/// What of ours is there: a few names, whatever else cargo has there.
fn ours_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let is_ours = |name: &String| {
        OURS.iter().any(|ours| match ours.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == ours,
        })
    };
    let inner = INNER.into_iter().map(str::to_owned);
    names.filter(is_ours).chain(inner).collect()
}

fn is_link(path: &Path) -> bool {
    path.symlink_metadata()
        .is_ok_and(|found| found.file_type().is_symlink())
}

fn stays_inside(root: &Path, path: &Path) -> bool {
    let real = root.canonicalize().ok().zip(path.canonicalize().ok());
    real.is_some_and(|(root, path)| path.starts_with(root))
}

fn led_away(link: &Path, directory: &Path) -> Refused {
    let to = fs::read_link(link).unwrap_or_default();
    let problem = format!(
        "`{}` is a link to `{}`, and this tool writes through none that a repository may have brought",
        link.display(),
        to.display()
    );
    let cure = if link == directory {
        format!(
            "where it is yours, set CARGO_TARGET_DIR={}; otherwise remove it",
            to.display()
        )
    } else {
        "remove it: what this tool needs is made again".to_owned()
    };
    Refused::from(Refusal::new(problem, cure))
}

fn brought(path: &Path) -> Refused {
    let problem = format!(
        "git tracks `{}`, which is for what this tool has found and made on this machine",
        path.display()
    );
    let cure = format!(
        "git rm -r --cached {0}, and remove it: it is made again",
        path.display()
    );
    Refused::from(Refusal::new(problem, cure))
}
