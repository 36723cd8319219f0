//! What this tool has done from this machine: one JSON line for each push, deployment, rollback and promotion, and
//! for each image that was deleted.

use std::{
    collections::{BTreeSet, VecDeque},
    fs::File,
    io::{ErrorKind, Read, Seek, SeekFrom, Write},
    path::Path,
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::facts::{host, state};

/// The file, in cargo's target directory.
pub const FILE: &str = "xtask-record.jsonl";

/// One thing that was done.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Record {
    /// By whom: the ARN that AWS has for the credentials.
    pub who: String,
    /// `push`, `migrate`, `rollback`, `promote` or `prune`.
    pub action: &'static str,
    /// Where.
    pub environment: String,
    /// What people call the image.
    pub image: String,
    /// The function, service, deployment or repository.
    pub workload: String,
    /// What was there before, where that could be told.
    pub from: Option<String>,
    /// The digest that was to be there, or was deleted.
    pub to: String,
    /// The commit that was pushed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
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
    let path = state::directory(root)?.join(FILE);
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

/// A line of the record, as somebody may have written it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Past {
    /// RFC 3339.
    pub when: String,
    /// The ARN, or the name of a registry's login.
    #[serde(default)]
    pub who: String,
    /// `push`, `migrate`, `rollback` or `promote`.
    pub action: String,
    /// Where.
    pub environment: String,
    /// What people call the image.
    pub image: String,
    /// The function, service, deployment or repository.
    #[serde(default)]
    pub workload: String,
    /// What was there before.
    #[serde(default)]
    pub from: Option<String>,
    /// The digest that was to be there.
    pub to: String,
    /// What came of it.
    pub outcome: String,
}

/// The end of the record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct History {
    /// What was done, newest first.
    pub lines: Vec<Past>,
    /// How many older lines were left out.
    pub older: usize,
    /// Whether the file is so long that its beginning was not looked at.
    pub is_cut: bool,
    /// How many lines are none of the record.
    pub unreadable: usize,
}

/// The newest lines about some environments, at most so many. A record that is not there is empty.
///
/// # Errors
/// A record that cannot be read.
pub fn history(root: &Path, most: usize, wanted: impl Fn(&str) -> bool) -> Result<History> {
    let (text, is_cut) = end(root, RECENT)?;
    Ok(newest(&text, is_cut, most, wanted))
}

/// Whether a push of a commit is among the newest lines about an environment. Where it is not, it may have been pushed all the same.
pub fn has_pushed(root: &Path, environment: &str, commit: &str) -> bool {
    const NEAR: u64 = 64 * 1024;
    #[derive(Deserialize)]
    struct Line {
        environment: String,
        commit: String,
    }
    let (text, _) = end(root, NEAR).unwrap_or_default();
    let lines = text.lines().map(serde_json::from_str::<Line>);
    let mut pushes = lines.filter_map(Result::ok);
    pushes.any(|push| push.environment == environment && push.commit == commit)
}

/// The last bytes of the record, at most so many, and whether there are more. A record that is not there is empty.
fn end(root: &Path, most: u64) -> Result<(String, bool)> {
    let path = host::target_directory(root).join(FILE);
    let about = || format!("failed to read the record `{}`", path.display());
    let mut file = match File::open(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok((String::new(), false)),
        opened => opened.with_context(about)?,
    };
    let length = file.metadata().with_context(about)?.len();
    let start = length.saturating_sub(most);
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(start)).with_context(about)?;
    file.take(most)
        .read_to_end(&mut bytes)
        .with_context(about)?;
    Ok((String::from_utf8_lossy(&bytes).into_owned(), start > 0))
}

/// The most bytes of the record that are looked at: some 20,000 lines.
const RECENT: u64 = 8 * 1024 * 1024;

fn newest(text: &str, is_cut: bool, most: usize, wanted: impl Fn(&str) -> bool) -> History {
    let mut history = History {
        is_cut,
        ..History::default()
    };
    let mut lines = VecDeque::new();
    // Where the beginning was cut off, the first line is a part of one.
    let whole = text.lines().skip(usize::from(is_cut));
    for line in whole.filter(|line| !line.trim().is_empty()) {
        match serde_json::from_str::<Past>(line) {
            Ok(past) if wanted(&past.environment) => lines.push_front(past),
            Ok(_) => {}
            Err(_) => history.unreadable += 1,
        }
        if lines.len() > most {
            lines.pop_back();
            history.older += 1;
        }
    }
    history.lines = lines.into();
    history
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

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: usize, environment: &str) -> String {
        format!(
            r#"{{"when":"2026-01-01T00:00:{number:02}Z","who":"me","action":"push","environment":"{environment}","image":"api","workload":"r","from":null,"to":"sha256:{number}","outcome":"moved"}}"#
        )
    }

    fn to(history: &History) -> Vec<&str> {
        history.lines.iter().map(|line| line.to.as_str()).collect()
    }

    #[test]
    fn the_newest_lines_come_first_and_the_others_are_counted() {
        let lines = [
            line(1, "dev"),
            String::new(),
            line(2, "prod"),
            "{\"when\":".to_owned(),
            line(3, "dev"),
            r#"{"when":"x","action":"push","environment":"dev","image":"api","to":"sha256:4","outcome":"moved"}"#.to_owned(),
        ];
        let text = lines.join("\n");
        let two = newest(&text, false, 2, |name| name == "dev");
        assert_eq!(to(&two), ["sha256:4", "sha256:3"]);
        assert_eq!((two.older, two.unreadable, two.is_cut), (1, 1, false));
        let cut = newest(&text, true, 9, |_| true);
        assert_eq!(to(&cut), ["sha256:4", "sha256:3", "sha256:2"]);
        assert!(cut.is_cut);
        assert_eq!(newest("", false, 2, |_| true), History::default());
    }
}
