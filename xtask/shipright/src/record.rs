//! What this tool has done from this machine: one JSON line for each push, deployment, rollback and promotion.

use std::{collections::BTreeSet, fs::File, io::Write, path::Path};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::facts::host;

/// The file, in cargo's target directory.
pub const FILE: &str = "xtask-record.jsonl";

/// One thing that was done.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Record {
    /// By whom: the ARN that AWS has for the credentials.
    pub who: String,
    /// `push`, `migrate`, `rollback` or `promote`.
    pub action: &'static str,
    /// Where.
    pub environment: String,
    /// What people call the image.
    pub image: String,
    /// The function, service, deployment or repository.
    pub workload: String,
    /// What was there before, where that could be told.
    pub from: Option<String>,
    /// The digest that was to be there.
    pub to: String,
    /// What came of it.
    pub outcome: &'static str,
}

/// Appends lines. Each is written at once, so that two runs do not mix theirs.
///
/// # Errors
/// A file that cannot be written.
pub fn append(root: &Path, records: &[Record]) -> Result<()> {
    #[derive(Serialize)]
    struct Line<'r> {
        /// RFC 3339 in UTC.
        when: &'r str,
        #[serde(flatten)]
        record: &'r Record,
    }
    if records.is_empty() {
        return Ok(());
    }
    let path = host::state_directory(root)?.join(FILE);
    let about = || format!("failed to write the record `{}`", path.display());
    let mut file = File::options()
        .create(true)
        .append(true)
        .open(&path)
        .with_context(about)?;
    let when = host::timestamp();
    for record in records {
        let line = serde_json::to_string(&Line {
            when: &when,
            record,
        })
        .context("a record has no JSON form")?
            + "\n";
        file.write_all(line.as_bytes()).with_context(about)?;
    }
    Ok(())
}

/// Digests that a workload was restored from, or rolled back from, and not moved to again since.
pub fn bad(root: &Path, environment: &str, workload: &str) -> BTreeSet<String> {
    #[derive(Deserialize)]
    struct Line {
        action: String,
        environment: String,
        workload: String,
        from: Option<String>,
        to: String,
        outcome: String,
    }
    let text = std::fs::read_to_string(host::target_directory(root).join(FILE)).unwrap_or_default();
    let mut bad = BTreeSet::new();
    // A line that cannot be read says nothing.
    for line in text
        .lines()
        .filter_map(|line| serde_json::from_str::<Line>(line).ok())
    {
        if line.environment != environment || line.workload != workload {
            continue;
        }
        if line.outcome == "moved" {
            bad.remove(&line.to);
        } else {
            bad.insert(line.to.clone());
        }
        if line.action == "rollback" && line.outcome == "moved" {
            let digest = line
                .from
                .as_deref()
                .and_then(|from| from.find("sha256:").map(|at| &from[at..]));
            bad.extend(
                digest
                    .and_then(|digest| digest.split_whitespace().next())
                    .map(str::to_owned),
            );
        }
    }
    bad
}
