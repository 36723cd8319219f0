//! Grype: what it is asked, and its report.
//!
//! Source: Grype's README and the types of its JSON presenter (`matches`, `source.target`, `descriptor`). A layout must list one image
//! alone, and takes no `--platform` in older versions.

use anyhow::{Context, Result};
use serde::{Deserialize, Deserializer};

use super::{Asked, REPORT_LIMIT, not_a_report, or_default, require_same};
use crate::{
    model::{
        severity::Severity,
        vulnerability::{Fix, Vulnerability},
    },
    process::Tool,
};

pub(super) fn scan(asked: &Asked<'_>) -> Result<Vec<Vulnerability>> {
    let args = ["oci-dir:.", "--output", "json", "--quiet"];
    // What is severe enough is decided here, for all scanners alike.
    let grype = Tool::new("grype")
        .directory(asked.layout)
        .without_env("GRYPE_FAIL_ON_SEVERITY")
        .without_env("GRYPE_ONLY_FIXED")
        .env("GRYPE_CHECK_FOR_APP_UPDATE", "false");
    let report = grype.bounded(&args, REPORT_LIMIT, asked.wait)?;
    read(&report, asked.manifest)
}

#[derive(Deserialize)]
struct Report {
    matches: Vec<Match>,
    #[serde(default, deserialize_with = "or_default")]
    source: Source,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Source {
    #[serde(deserialize_with = "image_or_nothing")]
    target: Target,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Target {
    manifest_digest: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Match {
    vulnerability: Found,
    #[serde(default, deserialize_with = "or_default")]
    related_vulnerabilities: Vec<Related>,
    artifact: Artifact,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    id: String,
    #[serde(default)]
    data_source: String,
    #[serde(default)]
    severity: String,
    #[serde(default)]
    description: String,
    #[serde(default, deserialize_with = "or_default")]
    fix: Fixes,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Fixes {
    #[serde(deserialize_with = "or_default")]
    versions: Vec<String>,
    state: String,
}

#[derive(Deserialize)]
struct Related {
    id: String,
    #[serde(default)]
    description: String,
}

#[derive(Deserialize)]
struct Artifact {
    name: String,
    #[serde(default)]
    version: String,
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default, deserialize_with = "or_default")]
    locations: Vec<Location>,
}

#[derive(Deserialize)]
struct Location {
    #[serde(default)]
    path: String,
}

/// What was scanned, where it is an image: of other things it is a text.
fn image_or_nothing<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Target, D::Error> {
    let said = serde_json::Value::deserialize(deserializer)?;
    Ok(Target::deserialize(said).unwrap_or_default())
}

/// Reads a report of the image with this manifest.
fn read(bytes: &[u8], manifest: &str) -> Result<Vec<Vulnerability>> {
    let report: Report =
        serde_json::from_slice(bytes).map_err(|error| not_a_report(bytes, &error))?;
    let said = report.source.target.manifest_digest.as_deref();
    require_same("manifestDigest", said, manifest).context("Grype has scanned something else")?;
    Ok(report.matches.into_iter().map(vulnerability).collect())
}

fn vulnerability(found: Match) -> Vulnerability {
    let Match {
        vulnerability,
        related_vulnerabilities: related,
        artifact,
    } = found;
    let described = related.iter().map(|one| &one.description);
    let mut described = std::iter::once(&vulnerability.description).chain(described);
    let title = described.find(|text| !text.is_empty()).cloned();
    let place = artifact.locations.into_iter().next().map(|one| one.path);
    let fixed = match vulnerability.fix.state.as_str() {
        "fixed" if vulnerability.fix.versions.is_empty() => Fix::in_some_version(),
        "fixed" => Fix::In(vulnerability.fix.versions.join(", ")),
        _ => Fix::None,
    };
    Vulnerability {
        severity: Severity::of_scanner(&vulnerability.severity),
        id: vulnerability.id,
        aliases: related.into_iter().map(|one| one.id).collect(),
        package: artifact.name,
        installed: artifact.version,
        fixed,
        title: title.unwrap_or_default(),
        url: vulnerability.data_source,
        place: place.unwrap_or(artifact.kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = r#"{
        "matches": [
            { "vulnerability": { "id": "GHSA-aaaa-bbbb-cccc", "dataSource": "https://x", "severity": "High",
                                 "fix": { "versions": ["2.0", "3.1"], "state": "fixed" }, "advisories": [] },
              "relatedVulnerabilities": [{ "id": "CVE-2024-2", "description": "what it is" }],
              "artifact": { "name": "flask", "version": "1", "type": "python", "locations": [{ "path": "/srv/METADATA" }] } },
            { "vulnerability": { "id": "CVE-2024-3", "severity": "Negligible", "fix": { "versions": [], "state": "wont-fix" } },
              "relatedVulnerabilities": null,
              "artifact": { "name": "libc6", "version": "2.36", "type": "deb", "locations": [] } }
        ],
        "source": { "type": "image", "target": { "manifestDigest": "sha256:m", "userInput": "." } },
        "descriptor": { "name": "grype", "version": "0.110.0" } }"#;

    #[test]
    fn a_report_is_read_with_the_other_names_of_each_vulnerability() {
        let found = read(REPORT.as_bytes(), "sha256:m").unwrap();
        let [first, second] = &found[..] else {
            panic!("{found:?}")
        };
        assert_eq!(first.aliases, ["CVE-2024-2"]);
        assert_eq!(first.fixed, Fix::In("2.0, 3.1".into()));
        assert_eq!(
            (first.place.as_str(), first.title.as_str()),
            ("/srv/METADATA", "what it is")
        );
        assert_eq!(
            (second.severity, &second.fixed),
            (Severity::Negligible, &Fix::None)
        );
        assert_eq!(second.place, "deb");
    }

    #[test]
    fn what_is_no_report_of_this_image_is_no_clean_image() {
        let cases = [
            ("", "printed nothing"),
            ("{}", "no report"),
            ("[]", "no report"),
            (r#"{"matches": null}"#, "no report"),
            (r#"{"matches": [{}]}"#, "no report"),
            (
                r#"{"matches": [], "source": {"target": {"manifestDigest": "sha256:n"}}}"#,
                "something else",
            ),
        ];
        for (text, words) in cases {
            let error = format!("{:#}", read(text.as_bytes(), "sha256:m").unwrap_err());
            assert!(error.contains(words), "{text}: {error}");
        }
        for text in [
            r#"{"matches": []}"#,
            r#"{"matches": [], "source": {"target": "dir"}}"#,
        ] {
            assert_eq!(read(text.as_bytes(), "sha256:m").unwrap(), []);
        }
    }
}
