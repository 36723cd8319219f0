//! What a scan has found, as people read it.

use std::fmt::Write as _;

use super::table;
use crate::{
    model::vulnerability::{Exception, Fix},
    plan::scan::{Judged, Verdict},
};

/// The widest that a column may be.
const WIDEST: usize = 40;

/// The findings of an image as a table, the worst first and `most` of them.
pub fn table(verdict: &Verdict, most: usize) -> String {
    let head = [
        "severity",
        "id",
        "package",
        "installed",
        "fixed in",
        "where",
    ];
    let rows: Vec<_> = verdict.findings.iter().take(most).map(cells).collect();
    let mut text = table::table(&head, &rows, None);
    if let more @ 1.. = verdict.findings.len().saturating_sub(most) {
        let _ = write!(
            text,
            "\n… and {more} more; `-v` shows all, and `--json` has them"
        );
    }
    text
}

fn cells(one: &Judged) -> [String; 6] {
    let found = &one.vulnerability;
    let fixed = match &found.fixed {
        Fix::In(version) => version.as_str(),
        Fix::None => "-",
        Fix::Untold => "?",
    };
    let severity = match &one.exception {
        Some(_) => format!("{} (accepted)", found.severity),
        None => found.severity.to_string(),
    };
    [
        severity,
        found.id.clone(),
        narrow(&found.package),
        narrow(&found.installed),
        narrow(fixed),
        narrow(&found.place),
    ]
}

/// The end of a text that is too wide: of a path that says more than its beginning.
fn narrow(text: &str) -> String {
    let count = text.chars().count();
    if count <= WIDEST {
        return text.to_owned();
    }
    let end: String = text.chars().skip(count - WIDEST + 1).collect();
    format!("…{end}")
}

/// An exception that was made use of.
pub fn accepted(exception: &Exception) -> String {
    let Exception {
        id, reason, until, ..
    } = exception;
    format!("{id} is accepted until {until}: {reason}")
}

/// An exception that has run out.
pub fn expired(exception: &Exception) -> String {
    let Exception { id, until, .. } = exception;
    format!("the exception for {id} ran out on {until}, and counts no more")
}
