//! What this tool has done from this machine: one JSON line for each push, deployment, rollback and promotion.

use std::{
    fs::{File, create_dir_all},
    io::Write,
    path::Path,
};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::facts::host;

/// The file, in cargo's target folder.
pub const FILE: &str = "xtask-record.jsonl";

/// One thing that was done.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Record<'r> {
    /// When, RFC 3339 in UTC.
    pub when: String,
    /// By whom: the ARN that AWS has for the credentials.
    pub who: &'r str,
    /// `push`, `migrate`, `rollback` or `promote`.
    pub action: &'r str,
    /// Where.
    pub environment: &'r str,
    /// What people call the image.
    pub image: &'r str,
    /// The function, service, deployment or repository.
    pub workload: &'r str,
    /// What was there before, where that could be told.
    pub from: Option<&'r str>,
    /// The digest that was to be there.
    pub to: &'r str,
    /// What came of it.
    pub outcome: &'r str,
}

/// Appends lines. Each is written at once, so that two runs do not mix theirs.
///
/// # Errors
/// A file that cannot be written.
pub fn append(root: &Path, records: &[Record<'_>]) -> Result<()> {
    if records.is_empty() {
        return Ok(());
    }
    let folder = host::target_folder(root);
    let path = folder.join(FILE);
    let about = || format!("failed to write the record `{}`", path.display());
    create_dir_all(&folder).with_context(about)?;
    let mut file = File::options().create(true).append(true).open(&path).with_context(about)?;
    for record in records {
        let line = serde_json::to_string(record).context("a record has no JSON form")? + "\n";
        file.write_all(line.as_bytes()).with_context(about)?;
    }
    Ok(())
}
