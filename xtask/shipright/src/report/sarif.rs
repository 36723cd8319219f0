//! What was found as SARIF 2.1.0, which code scanning of GitHub and others takes.
//!
//! Source: the OASIS standard, and GitHub's "SARIF support for code scanning": it shows the severity of `security-severity`, a number
//! from 0 to 10, and wants a file as the place of a result. An image has none, so the place is the image's reference, as a relative
//! address.

use serde_json::{Value, json};

use crate::{
    model::{
        severity::Severity,
        vulnerability::{Scanner, Vulnerability},
    },
    plan::scan::{Judged, Verdict},
};

/// The document for images, each by its reference.
pub fn document<'v>(
    scanner: Scanner,
    images: impl IntoIterator<Item = (&'v str, &'v Verdict)>,
) -> Value {
    let (mut ids, mut rules, mut results) = (Vec::new(), Vec::new(), Vec::new());
    for (reference, verdict) in images {
        for one in &verdict.findings {
            let id = &one.vulnerability.id;
            let known = ids.iter().position(|known| known == id);
            let place = known.unwrap_or_else(|| {
                ids.push(id.clone());
                rules.push(rule(&one.vulnerability));
                rules.len() - 1
            });
            results.push(result(one, place, reference));
        }
    }
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": scanner.title(), "informationUri": scanner.page(), "rules": rules } },
            "results": results,
            "columnKind": "utf16CodeUnits",
        }],
    })
}

fn rule(found: &Vulnerability) -> Value {
    let title = if found.title.is_empty() {
        format!("{} in {}", found.id, found.package)
    } else {
        found.title.clone()
    };
    let mut rule = json!({
        "id": found.id,
        "name": "Vulnerability",
        "shortDescription": { "text": title },
        "fullDescription": { "text": title },
        "help": { "text": format!("{}: {title}\n{}", found.id, found.url).trim_end() },
        "defaultConfiguration": { "level": level(found.severity) },
        "properties": {
            "security-severity": number(found.severity),
            "precision": "very-high",
            "tags": ["security", "vulnerability", found.severity.name()],
        },
    });
    if !found.url.is_empty() {
        rule["helpUri"] = json!(found.url);
    }
    rule
}

fn result(one: &Judged, rule: usize, reference: &str) -> Value {
    let found = &one.vulnerability;
    let Vulnerability {
        id,
        package,
        installed,
        place,
        severity,
        fixed,
        ..
    } = found;
    let text =
        format!("{reference}: {package} {installed} ({place}) has {id}, {severity}: {fixed}");
    // The digest changes with each build, and what is the same problem of the same repository stays one.
    let repository = reference.split('@').next().unwrap_or(reference);
    let mut result = json!({
        "ruleId": id,
        "ruleIndex": rule,
        "level": level(*severity),
        "message": { "text": text },
        "locations": [{
            "physicalLocation": {
                "artifactLocation": { "uri": address(reference) },
                "region": { "startLine": 1, "startColumn": 1, "endLine": 1, "endColumn": 1 },
            },
            "message": { "text": format!("{package} {installed} in {place}") },
        }],
        "partialFingerprints": { "vulnerability/v1": format!("{repository}:{id}:{package}:{place}") },
    });
    if let Some(exception) = &one.exception {
        let until = exception.until;
        let why = format!("{} (until {until})", exception.reason);
        result["suppressions"] =
            json!([{ "kind": "external", "status": "accepted", "justification": why }]);
    }
    result
}

/// The reference as a relative address: a colon in its first part would make that a scheme.
fn address(reference: &str) -> String {
    let (first, rest) = reference.split_once('/').unwrap_or((reference, ""));
    let first = first.replace(':', "%3A");
    if rest.is_empty() {
        first
    } else {
        format!("{first}/{rest}")
    }
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Negligible | Severity::Unknown => "note",
    }
}

/// A number in the middle of what GitHub shows as this severity: above 9.0 critical, from 7.0 high, from 4.0 medium, above 0 low.
fn number(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "9.5",
        Severity::High => "8.0",
        Severity::Medium => "5.5",
        Severity::Low => "2.0",
        Severity::Negligible | Severity::Unknown => "0.5",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_a_relative_address() {
        for (reference, address_of) in [
            ("h:5000/a/b@sha256:1", "h%3A5000/a/b@sha256:1"),
            ("ghcr.io/a@sha256:1", "ghcr.io/a@sha256:1"),
            ("h:1", "h%3A1"),
        ] {
            assert_eq!(address(reference), address_of);
        }
    }
}
