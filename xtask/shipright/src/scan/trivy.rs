//! Trivy: what it is asked, and its report.
//!
//! Source: Trivy's reference of `trivy image` and of its JSON report; checked with version 0.59.1. `--input` takes everything after a
//! colon or an at sign for a tag, so the layout is the directory that it runs in.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::{Asked, REPORT_LIMIT, not_a_report, or_default, require_same};
use crate::{
    model::{
        severity::Severity,
        vulnerability::{Fix, Vulnerability},
    },
    process::Tool,
};

/// The form of its reports.
const SCHEMA: u64 = 2;

pub(super) fn scan(asked: &Asked<'_>) -> Result<Vec<Vulnerability>> {
    // This tool's own bound holds; Trivy's is five minutes.
    let timeout = format!("{}s", (asked.wait + Duration::from_mins(1)).as_secs());
    let args = [
        "image",
        "--input",
        ".",
        "--format",
        "json",
        "--scanners",
        "vuln",
        "--severity",
        "UNKNOWN,LOW,MEDIUM,HIGH,CRITICAL",
        "--ignore-unfixed=false",
        "--exit-code",
        "0",
        "--no-progress",
        "--timeout",
        &timeout,
    ];
    let trivy = Tool::new("trivy").directory(asked.layout);
    read(
        &trivy.bounded(&args, REPORT_LIMIT, asked.wait)?,
        asked.config,
    )
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Report {
    schema_version: u64,
    #[serde(default, deserialize_with = "or_default")]
    metadata: Metadata,
    #[serde(default, deserialize_with = "or_default")]
    results: Vec<Target>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Metadata {
    #[serde(rename = "ImageID")]
    image_id: Option<String>,
    #[serde(rename = "OS", deserialize_with = "or_default")]
    os: Os,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Os {
    family: String,
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Target {
    target: String,
    class: String,
    #[serde(deserialize_with = "or_default")]
    vulnerabilities: Vec<Found>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Found {
    #[serde(rename = "VulnerabilityID")]
    id: String,
    #[serde(rename = "VendorIDs", deserialize_with = "or_default")]
    vendor_ids: Vec<String>,
    pkg_name: String,
    pkg_path: String,
    installed_version: String,
    fixed_version: String,
    severity: String,
    title: String,
    #[serde(rename = "PrimaryURL")]
    primary_url: String,
}

/// Reads a report of the image with this config.
fn read(bytes: &[u8], config: &str) -> Result<Vec<Vulnerability>> {
    let report: Report =
        serde_json::from_slice(bytes).map_err(|error| not_a_report(bytes, &error))?;
    if report.schema_version != SCHEMA {
        let version = report.schema_version;
        bail!(
            "its report has the form {version}, and {SCHEMA} is known: another version of Trivy reads it"
        );
    }
    require_same("ImageID", report.metadata.image_id.as_deref(), config)
        .context("Trivy has scanned something else")?;
    let os = &report.metadata.os;
    let os = format!("{} {}", os.family, os.name);
    let of = |target: Target| {
        let place = match target.class.as_str() {
            "os-pkgs" => os.clone(),
            _ => target.target,
        };
        let vulnerabilities = target.vulnerabilities.into_iter();
        vulnerabilities.map(move |found| vulnerability(found, &place))
    };
    Ok(report.results.into_iter().flat_map(of).collect())
}

fn vulnerability(found: Found, place: &str) -> Vulnerability {
    let place = if found.pkg_path.is_empty() {
        place.trim().to_owned()
    } else {
        found.pkg_path
    };
    Vulnerability {
        severity: Severity::of_scanner(&found.severity),
        id: found.id,
        aliases: found.vendor_ids,
        package: found.pkg_name,
        installed: found.installed_version,
        fixed: Fix::of_version(&found.fixed_version),
        title: found.title,
        url: found.primary_url,
        place,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = r#"{
        "SchemaVersion": 2, "ArtifactName": ".", "ArtifactType": "container_image",
        "Metadata": { "OS": { "Family": "debian", "Name": "12.5" }, "ImageID": "sha256:c" },
        "Results": [
            { "Target": ". (debian 12.5)", "Class": "os-pkgs", "Type": "debian", "Vulnerabilities": [
                { "VulnerabilityID": "CVE-2024-1", "VendorIDs": ["DSA-1-1"], "PkgName": "openssl", "InstalledVersion": "3.0.1",
                  "FixedVersion": "3.0.2", "Status": "fixed", "Severity": "HIGH", "Title": "t", "PrimaryURL": "https://x" }] },
            { "Target": "Python", "Class": "lang-pkgs", "Type": "python-pkg", "Vulnerabilities": [
                { "VulnerabilityID": "CVE-2024-2", "PkgName": "flask", "PkgPath": "srv/flask.dist-info", "InstalledVersion": "1",
                  "Severity": "UNKNOWN", "VendorIDs": null }] },
            { "Target": "app", "Class": "lang-pkgs", "Type": "gobinary", "Vulnerabilities": null }
        ] }"#;

    #[test]
    fn a_report_is_read_with_where_each_package_is() {
        let found = read(REPORT.as_bytes(), "sha256:c").unwrap();
        let [first, second] = &found[..] else {
            panic!("{found:?}")
        };
        assert_eq!(first.severity, Severity::High);
        assert_eq!(
            (first.place.as_str(), &first.aliases[..]),
            ("debian 12.5", &["DSA-1-1".to_owned()][..])
        );
        assert_eq!(first.fixed, Fix::In("3.0.2".into()));
        assert_eq!(second.place, "srv/flask.dist-info");
        assert_eq!(
            (second.severity, &second.fixed),
            (Severity::Unknown, &Fix::None)
        );
    }

    #[test]
    fn what_is_no_report_of_this_image_is_no_clean_image() {
        let cases = [
            ("", "printed nothing"),
            ("{}", "no report"),
            ("null", "no report"),
            ("2024 FATAL \u{1b}[31mred", "no report"),
            (r#"{"SchemaVersion": 3}"#, "form 3"),
            (r#"{"SchemaVersion": 2, "Results": 7}"#, "no report"),
            (
                r#"{"SchemaVersion": 2, "Metadata": {"ImageID": "sha256:d"}}"#,
                "something else",
            ),
        ];
        for (text, words) in cases {
            let error = format!("{:#}", read(text.as_bytes(), "sha256:c").unwrap_err());
            assert!(
                error.contains(words) && !error.contains('\u{1b}'),
                "{text}: {error}"
            );
        }
        let clean = r#"{"SchemaVersion": 2, "Results": null}"#;
        assert_eq!(read(clean.as_bytes(), "sha256:c").unwrap(), []);
    }
}
