//! ECR's scans, with their rules.
//!
//! Source: the API references of `DescribeImageScanFindings` and `StartImageScan`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Refusal, State};

/// How images are scanned.
#[derive(Clone, Default)]
pub(crate) struct Scanning {
    /// Whether Amazon Inspector does it: then a scan begins by itself, and none can be ordered.
    pub enhanced: bool,
    /// What a scan ends with: `COMPLETE` and `ACTIVE` where nothing is said.
    pub ends_with: Option<(&'static str, &'static str)>,
    /// How often somebody asks before a scan is done.
    pub polls: u32,
    /// What is found, as the API has it.
    pub findings: Vec<Value>,
    /// Findings of a page, where all are not on one.
    pub page: Option<usize>,
    /// The error that an order to scan gets.
    pub refuses: Option<&'static str>,
    /// Scans that have begun, by digest, and how often somebody has asked.
    pub begun: BTreeMap<String, u32>,
}

pub(super) fn scans(state: &mut State, operation: &str, body: &Value) -> Result<Value, Refusal> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let name = text(&body["repositoryName"]);
    let digest = text(&body["imageId"]["imageDigest"]);
    let missing = (
        "RepositoryNotFoundException",
        format!("The repository with name '{name}' does not exist"),
    );
    let repository = state.repositories.get(&name).ok_or(missing)?;
    let Some((media_type, _)) = repository.manifests.get(&digest) else {
        return Err(("ImageNotFoundException", format!("no image {digest}")));
    };
    let is_index = media_type.contains("index") || media_type.contains("manifest.list");
    let scanning = &mut state.scanning;
    let id = json!({ "repositoryName": name, "imageId": { "imageDigest": digest } });
    if operation == "StartImageScan" {
        if scanning.enhanced {
            return Err(("ValidationException", "This feature is disabled".to_owned()));
        }
        if let Some(code) = scanning.refuses {
            return Err((code, "it does not take the order".to_owned()));
        }
        if is_index {
            return Err((
                "UnsupportedImageTypeException",
                "an index is not scanned".to_owned(),
            ));
        }
        if scanning.begun.contains_key(&digest) {
            let text = "The scan quota per image has been exceeded. Wait and try again.";
            return Err(("LimitExceededException", text.to_owned()));
        }
        scanning.begun.insert(digest, 0);
        return Ok(id);
    }
    if scanning.enhanced {
        scanning.begun.entry(digest.clone()).or_default();
    }
    let Some(asked) = scanning.begun.get_mut(&digest) else {
        return Err((
            "ScanNotFoundException",
            format!("Image scan does not exist for the image with '{{imageDigest:'{digest}'}}'"),
        ));
    };
    let status = |status: &str, description: &str| {
        let mut answer = id.clone();
        answer["imageScanStatus"] = json!({ "status": status, "description": description });
        answer
    };
    *asked += 1;
    if *asked <= scanning.polls {
        let running = if scanning.enhanced {
            "PENDING"
        } else {
            "IN_PROGRESS"
        };
        return Ok(status(running, "the scan is not done"));
    }
    if let Some((end, why)) = scanning.ends_with {
        return Ok(status(end, why));
    }
    let most = body["maxResults"].as_u64().unwrap_or(100);
    if !(1..=1000).contains(&most) {
        return Err(("InvalidParameterException", "maxResults".to_owned()));
    }
    let page = scanning
        .page
        .unwrap_or(1000)
        .min(usize::try_from(most).unwrap());
    let from: usize = body["nextToken"]
        .as_str()
        .map_or(0, |token| token.parse().unwrap());
    let key = if scanning.enhanced {
        "enhancedFindings"
    } else {
        "findings"
    };
    let end = if scanning.enhanced {
        "ACTIVE"
    } else {
        "COMPLETE"
    };
    let mut answer = status(end, "the scan is done");
    let shown: Vec<_> = scanning.findings.iter().skip(from).take(page).collect();
    answer["imageScanFindings"] = json!({ key: shown });
    if from + page < scanning.findings.len() {
        answer["nextToken"] = json!((from + page).to_string());
    }
    Ok(answer)
}

/// A finding of a basic scan.
pub(crate) fn basic(id: &str, severity: &str, package: &str) -> Value {
    json!({
        "name": id, "severity": severity, "description": format!("what is wrong with {package}"),
        "uri": format!("https://security-tracker.example.com/{id}"),
        "attributes": [{ "key": "package_version", "value": "1.0" }, { "key": "package_name", "value": package }],
    })
}

/// A finding of an enhanced scan, in two packages.
pub(crate) fn enhanced(id: &str, severity: &str, packages: [&str; 2], fixed: &str) -> Value {
    let package = |name: &str| {
        json!({ "name": name, "version": "2.36", "epoch": 1, "release": "9+deb12u4", "arch": "ARM64", "packageManager": "OS",
                "fixedInVersion": fixed })
    };
    json!({
        "awsAccountId": "111122223333", "type": "PACKAGE_VULNERABILITY", "status": "ACTIVE", "severity": severity, "score": 9.8,
        "title": format!("{id} - glibc"), "fixAvailable": if fixed == "NotAvailable" { "NO" } else { "YES" },
        "packageVulnerabilityDetails": {
            "vulnerabilityId": id, "sourceUrl": format!("https://nvd.example.com/{id}"), "relatedVulnerabilities": [],
            "vulnerablePackages": packages.map(package),
        },
    })
}
