//! `[scan]` and `scan` of environments, resolved.

use std::collections::BTreeMap;

use super::super::{
    finding::Finding,
    raw::{self, Located},
    raw_scan::{Date, Scan, ScanException},
};
use crate::model::{
    config::Service,
    severity::Severity,
    suggestion::suggestion,
    vulnerability::{Day, Exception},
};

impl Finding<'_> {
    /// The severity that stops an image on its way to an environment.
    pub(super) fn severity(
        &mut self,
        path: &str,
        said: Option<&Located<String>>,
    ) -> Option<Severity> {
        let said = said?;
        let severity = said.value.parse().ok();
        if severity.is_none() {
            let word = said.value.escape_debug();
            self.problem(
                &said.span,
                format!("`{path}.scan` is `{word}`, which is no severity"),
                suggestion(&said.value, Severity::ALL.map(Severity::name)),
            );
        }
        severity
    }

    /// What is accepted for a time. One that has run out is no mistake: a scan says so.
    pub(super) fn exceptions(
        &mut self,
        said: &Scan,
        services: &BTreeMap<String, Service>,
    ) -> Vec<Exception> {
        let mut all: Vec<Exception> = Vec::new();
        for one in said.exceptions.iter().flatten() {
            let exception = self.exception(one, services);
            let is_same = |other: &Exception| {
                let has_id = other.id.eq_ignore_ascii_case(&exception.id);
                has_id && other.package == exception.package && other.service == exception.service
            };
            if all.iter().any(is_same) {
                let id = exception.id.escape_debug();
                self.problem(
                    &one.id.span,
                    format!("`scan.exceptions` has `{id}` twice"),
                    "keep the one that is meant; another `package` or `service` makes them two",
                );
            }
            all.push(exception);
        }
        all
    }

    fn exception(
        &mut self,
        said: &ScanException,
        services: &BTreeMap<String, Service>,
    ) -> Exception {
        if !is_id(&said.id.value) {
            let word = said.id.value.escape_debug();
            self.problem(
                &said.id.span,
                format!("`scan.exceptions` has the id `{word}`, which is none of a vulnerability"),
                "write it as the scan shows it: `CVE-2024-1234`, `GHSA-xxxx-xxxx-xxxx`, `DSA-5678-1`",
            );
        }
        if said.reason.value.trim().is_empty() {
            self.problem(
                &said.reason.span,
                "`scan.exceptions` has an exception without a reason",
                "say what makes the vulnerability harmless here, or who decided so: `reason = \"…\"`",
            );
        }
        if let Some(package) = said
            .package
            .as_ref()
            .filter(|one| one.value.trim().is_empty())
        {
            self.problem(
                &package.span,
                "`scan.exceptions` has an empty `package`",
                "write the package's name as the scan shows it, or remove the key: then it is for any",
            );
        }
        let unknown = said.service.as_ref();
        if let Some(service) = unknown.filter(|one| !services.contains_key(&one.value)) {
            let word = service.value.escape_debug();
            self.problem(
                &service.span,
                format!("`scan.exceptions` is for `{word}`, which no `[services.…]` defines"),
                suggestion(&service.value, services.keys().map(String::as_str)),
            );
        }
        Exception {
            id: said.id.value.clone(),
            reason: said.reason.value.trim().to_owned(),
            until: self.until(&said.until),
            package: raw::text(said.package.as_ref()),
            service: raw::text(said.service.as_ref()),
        }
    }

    fn until(&mut self, said: &Located<Date>) -> Day {
        let Date(text) = &said.value;
        text.parse().unwrap_or_else(|()| {
            let word = text.escape_debug();
            self.problem(
                &said.span,
                format!("`scan.exceptions` has `until = {word}`, which is no day"),
                "write the last day on which it is accepted: `until = 2026-12-31`, without a time",
            );
            Day::LAST
        })
    }
}

/// Whether this can be the id of a vulnerability: letters, a hyphen, and more. CVE's and GitHub's have forms that are known.
///
/// Sources: "CVE Record Format", `cveId`; GitHub's "About the GitHub Advisory database".
fn is_id(word: &str) -> bool {
    let Some((kind, rest)) = word.split_once('-') else {
        return false;
    };
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-:._".contains(&byte);
    let is_digits =
        |text: &str, least| text.len() >= least && text.bytes().all(|byte| byte.is_ascii_digit());
    let parts: Vec<_> = rest.split('-').collect();
    match (kind, parts.as_slice()) {
        ("CVE", [year, number]) => year.len() == 4 && is_digits(year, 4) && is_digits(number, 4),
        ("CVE", _) => false,
        ("GHSA", parts) => {
            let is_part = |part: &&str| {
                part.len() == 4 && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
            };
            parts.len() == 3 && parts.iter().all(is_part)
        }
        _ => {
            let is_kind = kind.len() >= 2
                && kind
                    .bytes()
                    .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
            is_kind && !rest.is_empty() && rest.bytes().all(is_legal)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_all_kinds_are_known_by_their_form() {
        for id in [
            "CVE-2024-1234",
            "CVE-2024-123456",
            "GHSA-7fh5-64p2-3v2j",
            "RUSTSEC-2024-0001",
            "DSA-5678-1",
            "ALAS2023-2024-512",
            "RHSA-2024:1234",
            "GO-2024-2611",
            "PYSEC-2024-48",
            "TEMP-0841856-B18BAF",
        ] {
            assert!(is_id(id), "{id}");
        }
        for id in [
            "",
            "CVE",
            "CVE-2024",
            "CVE-24-1234",
            "CVE-2024-12",
            "CVE-2024-1234-5",
            "cve-2024-1234",
            "CVE 2024-1234",
            "GHSA-7fh5-64p2",
            "openssl",
            "open-ssl",
            "DSA-",
            "DSA-5678 1",
        ] {
            assert!(!is_id(id), "{id}");
        }
    }
}
