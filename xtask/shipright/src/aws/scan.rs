//! ECR's scans: what one has found, and starting one.
//!
//! Source: the API references of `DescribeImageScanFindings` and `StartImageScan`, and "Scan images for software vulnerabilities" of
//! ECR's user guide. A basic scan ends as `COMPLETE`; an enhanced one, which Amazon Inspector makes, is `ACTIVE` from its first
//! findings on, and goes on for as long as the image is watched.

use anyhow::Result;
use aws_sdk_ecr::{
    error::{ProvideErrorMetadata, SdkError},
    operation::describe_image_scan_findings::{
        DescribeImageScanFindingsError, DescribeImageScanFindingsOutput,
    },
    types::{
        EnhancedImageScanFinding, ImageIdentifier, ImageScanFinding, ImageScanStatus, ScanStatus,
        VulnerablePackage,
    },
};

use super::{
    Reader, Writer,
    error::{explain, if_there},
};
use crate::model::{
    severity::Severity,
    vulnerability::{Fix, Vulnerability},
};

/// How far ECR's scan of an image is.
#[derive(Debug)]
pub enum Scan {
    /// There is none.
    Missing,
    /// It is not done yet.
    Running(String),
    /// It is done.
    Done(Vec<Vulnerability>),
    /// There will be none, for this reason.
    Failed(String),
}

/// Whether ECR takes an order to scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// It scans now.
    Taken,
    /// It scans by itself, or has done so within a day: AWS's words.
    NotTaken(String),
    /// It cannot, for this reason.
    Refused(String),
}

impl Reader<'_> {
    /// How far the scan of an image is, with all of its findings when it is done.
    ///
    /// # Errors
    /// A call that fails.
    pub fn scan(&self, repository: &str, digest: &str) -> Result<Scan> {
        /// Source: the API reference, `maxResults`.
        const MOST: i32 = 1000;
        let about = format!("{digest} in `{repository}`");
        let (mut found, mut next) = (Vec::new(), None);
        loop {
            let call = self.0.ecr.describe_image_scan_findings();
            let call = call
                .registry_id(&self.0.account)
                .repository_name(repository)
                .image_id(image(digest))
                .max_results(MOST)
                .set_next_token(next.take());
            let Some(answer) = if_there(
                self.0.runtime.block_on(call.send()),
                DescribeImageScanFindingsError::is_scan_not_found_exception,
                "ecr:DescribeImageScanFindings",
                &about,
            )?
            else {
                return Ok(Scan::Missing);
            };
            if let Some(other) = answer.image_scan_status().and_then(unfinished) {
                return Ok(other);
            }
            found.extend(findings(&answer));
            next = answer.next_token.filter(|token| !token.is_empty());
            if next.is_none() {
                return Ok(Scan::Done(found));
            }
        }
    }
}

impl Writer<'_> {
    /// Orders a basic scan of an image.
    ///
    /// # Errors
    /// A call that fails.
    pub fn order_scan(&self, repository: &str, digest: &str) -> Result<Order> {
        let call = self.0.ecr.start_image_scan();
        let call = call
            .registry_id(&self.0.account)
            .repository_name(repository)
            .image_id(image(digest));
        let Err(error) = self.0.runtime.block_on(call.send()) else {
            return Ok(Order::Taken);
        };
        let words = error.as_service_error().and_then(|error| error.message());
        let words = words.unwrap_or("AWS gave no message").to_owned();
        match SdkError::code(&error) {
            // One scan a day is all that an image gets; where scans are enhanced, none is ordered.
            Some("LimitExceededException" | "ValidationException") => Ok(Order::NotTaken(words)),
            Some("UnsupportedImageTypeException" | "ImageArchivedException") => {
                Ok(Order::Refused(words))
            }
            _ => {
                let about = format!("{digest} in `{repository}`");
                Err(explain("ecr:StartImageScan", &about, &error))
            }
        }
    }
}

fn image(digest: &str) -> ImageIdentifier {
    ImageIdentifier::builder().image_digest(digest).build()
}

/// A state in which there are no findings to read. A state that AWS has added since is waited out.
fn unfinished(status: &ImageScanStatus) -> Option<Scan> {
    let said = status.description().unwrap_or("AWS gives no reason");
    let state = status.status()?;
    match state {
        ScanStatus::Active | ScanStatus::Complete => None,
        ScanStatus::Failed
        | ScanStatus::UnsupportedImage
        | ScanStatus::ScanEligibilityExpired
        | ScanStatus::FindingsUnavailable
        | ScanStatus::LimitExceeded
        | ScanStatus::ImageArchived => Some(Scan::Failed(format!("{state}: {said}"))),
        _ => Some(Scan::Running(state.to_string())),
    }
}

fn findings(answer: &DescribeImageScanFindingsOutput) -> Vec<Vulnerability> {
    let Some(all) = answer.image_scan_findings() else {
        return Vec::new();
    };
    let enhanced = all.enhanced_findings().iter().flat_map(of_enhanced);
    all.findings()
        .iter()
        .map(of_basic)
        .chain(enhanced)
        .collect()
}

/// A finding of a basic scan, which says nothing of fixes.
fn of_basic(finding: &ImageScanFinding) -> Vulnerability {
    let attribute = |key: &str| {
        let mut all = finding.attributes().iter();
        let found = all.find(|one| one.key() == key);
        found
            .and_then(|one| one.value())
            .unwrap_or_default()
            .to_owned()
    };
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let severity = finding.severity().map_or("", |severity| severity.as_str());
    Vulnerability {
        severity: Severity::of_scanner(severity),
        id: text(finding.name()),
        aliases: Vec::new(),
        package: attribute("package_name"),
        installed: attribute("package_version"),
        fixed: Fix::Untold,
        title: text(finding.description()),
        url: text(finding.uri()),
        place: "packages of the distribution".to_owned(),
    }
}

/// A finding of Amazon Inspector: one for each package that has it. What was closed, or is suppressed there by a rule, is none.
fn of_enhanced(finding: &EnhancedImageScanFinding) -> Vec<Vulnerability> {
    let Some(details) = finding.package_vulnerability_details() else {
        return Vec::new();
    };
    if matches!(finding.status(), Some("CLOSED" | "SUPPRESSED")) {
        return Vec::new();
    }
    let nameless = [VulnerablePackage::builder().build()];
    let packages = match details.vulnerable_packages() {
        [] => &nameless[..],
        packages => packages,
    };
    let of = |package: &VulnerablePackage| {
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let is_fix = |version: &&str| !version.is_empty() && *version != "NotAvailable";
        let version = package.fixed_in_version().filter(is_fix);
        let place = package.file_path().or(package.package_manager());
        let url = details.source_url();
        Vulnerability {
            severity: Severity::of_scanner(finding.severity().unwrap_or_default()),
            id: text(details.vulnerability_id().or(finding.title())),
            aliases: details.related_vulnerabilities().to_vec(),
            package: text(package.name()),
            installed: installed(package),
            fixed: match (version, finding.fix_available()) {
                (Some(version), _) => Fix::In(version.to_owned()),
                (None, Some("YES")) => Fix::in_some_version(),
                (None, _) => Fix::None,
            },
            title: text(finding.title()),
            url: text(url),
            place: text(place),
        }
    };
    packages.iter().map(of).collect()
}

/// The version as the distribution writes it: `1:2.36-9`.
fn installed(package: &VulnerablePackage) -> String {
    let epoch = package.epoch().filter(|epoch| *epoch != 0);
    let epoch = epoch.map_or_else(String::new, |epoch| format!("{epoch}:"));
    let release = package.release().filter(|release| !release.is_empty());
    let release = release.map_or_else(String::new, |release| format!("-{release}"));
    format!("{epoch}{}{release}", package.version().unwrap_or_default())
}
