//! What a scan comes to: which findings count, and which are accepted.

mod gate;

use std::collections::BTreeMap;

use serde::Serialize;

pub use gate::{Gate, choose, gate, stopped};

use crate::model::{
    severity::Severity,
    vulnerability::{Day, Exception, Fix, Vulnerability},
};

/// Which findings count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rule {
    /// The least severity that fails. Nothing fails where there is none.
    pub fail_on: Option<Severity>,
    /// Whether a vulnerability without a fix is let through.
    pub only_fixed: bool,
}

/// What may be accepted, of which images, and when that is asked.
#[derive(Debug, Clone, Copy)]
pub struct Acceptance<'a> {
    /// Of deploy.toml.
    pub exceptions: &'a [Exception],
    /// The service that the image is of, where it is known.
    pub service: Option<&'a str>,
    /// The day, in UTC.
    pub today: Day,
}

/// A finding, and what comes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Judged {
    /// What was found.
    #[serde(flatten)]
    pub vulnerability: Vulnerability,
    /// Why and until when it is accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exception: Option<Exception>,
    /// Whether it fails the image.
    pub fails: bool,
}

/// What a scan of one image comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Verdict {
    /// The worst first.
    pub findings: Vec<Judged>,
    /// How many there are of each severity, accepted ones among them.
    pub counts: BTreeMap<Severity, usize>,
    /// Exceptions that were for one of these findings, and have run out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub expired: Vec<Exception>,
}

impl Verdict {
    /// What fails the image.
    pub fn failing(&self) -> impl Iterator<Item = &Vulnerability> {
        let fails = self.findings.iter().filter(|one| one.fails);
        fails.map(|one| &one.vulnerability)
    }

    /// Exceptions that were made use of, each once.
    pub fn accepted(&self) -> Vec<&Exception> {
        let mut all = Vec::new();
        for exception in self
            .findings
            .iter()
            .filter_map(|one| one.exception.as_ref())
        {
            if !all.contains(&exception) {
                all.push(exception);
            }
        }
        all
    }

    /// The counts for people.
    pub fn summary(&self) -> String {
        let all = Severity::ALL.into_iter();
        let some = all.filter_map(|one| Some(format!("{} {one}", self.counts.get(&one)?)));
        let some: Vec<_> = some.collect();
        let accepted = self.findings.iter().filter(|one| one.exception.is_some());
        match (some.is_empty(), accepted.count()) {
            (true, _) => "no vulnerability is known".to_owned(),
            (false, 0) => some.join(", "),
            (false, accepted) => format!("{}; {accepted} accepted", some.join(", ")),
        }
    }
}

/// Judges what was found in an image. What a scanner says twice, of the same package in the same place, counts once.
pub fn judge(found: &[Vulnerability], acceptance: &Acceptance<'_>, rule: Rule) -> Verdict {
    let key = |one: &Vulnerability| {
        let (id, package) = (one.id.clone(), one.package.clone());
        (
            std::cmp::Reverse(one.severity),
            id,
            package,
            one.installed.clone(),
            one.place.clone(),
        )
    };
    let all: BTreeMap<_, _> = found.iter().map(|one| (key(one), one)).collect();
    let mut verdict = Verdict {
        findings: Vec::new(),
        counts: BTreeMap::new(),
        expired: Vec::new(),
    };
    for vulnerability in all.into_values() {
        *verdict.counts.entry(vulnerability.severity).or_default() += 1;
        let (valid, expired) = acceptance.of(vulnerability);
        let counts = rule
            .fail_on
            .is_some_and(|least| vulnerability.severity >= least)
            && !(rule.only_fixed && vulnerability.fixed == Fix::None);
        if valid.is_none() {
            let new = expired.filter(|one| !verdict.expired.contains(one));
            verdict.expired.extend(new.cloned());
        }
        verdict.findings.push(Judged {
            vulnerability: vulnerability.clone(),
            fails: counts && valid.is_none(),
            exception: valid.cloned(),
        });
    }
    verdict
}

impl<'a> Acceptance<'a> {
    /// The exception that accepts a finding, and one that did so until it ran out.
    fn of(&self, found: &Vulnerability) -> (Option<&'a Exception>, Option<&'a Exception>) {
        let mut fitting = self.exceptions.iter().filter(|one| self.is_for(one, found));
        let is_valid = |one: &&&Exception| one.until >= self.today;
        let valid = fitting.clone().find(|one| is_valid(&one));
        (valid, fitting.find(|one| !is_valid(&one)))
    }

    fn is_for(&self, exception: &Exception, found: &Vulnerability) -> bool {
        let mut ids = found.aliases.iter().chain([&found.id]);
        let has_id = ids.any(|id| id.eq_ignore_ascii_case(&exception.id));
        let package = exception.package.as_ref();
        let service = exception.service.as_deref();
        has_id
            && package.is_none_or(|package| *package == found.package)
            && service.is_none_or(|service| Some(service) == self.service)
    }
}

/// Exceptions that have run out.
pub fn expired(exceptions: &[Exception], today: Day) -> impl Iterator<Item = &Exception> {
    exceptions.iter().filter(move |one| one.until < today)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::vulnerability as found;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    fn exception(id: &str, until: &str) -> Exception {
        Exception {
            id: id.into(),
            reason: "not reached".into(),
            until: day(until),
            package: None,
            service: None,
        }
    }

    fn verdict(found: &[Vulnerability], exceptions: &[Exception], rule: Rule) -> Verdict {
        let acceptance = Acceptance {
            exceptions,
            service: Some("api"),
            today: day("2026-06-15"),
        };
        judge(found, &acceptance, rule)
    }

    #[test]
    fn what_is_as_bad_as_the_limit_or_worse_fails_unless_it_has_no_fix_and_only_fixes_count() {
        let fixed = || Fix::In("3.0.2".into());
        let cases = [
            (
                Severity::Critical,
                fixed(),
                Some(Severity::High),
                false,
                true,
            ),
            (Severity::High, fixed(), Some(Severity::High), false, true),
            (
                Severity::Medium,
                fixed(),
                Some(Severity::High),
                false,
                false,
            ),
            (
                Severity::Unknown,
                fixed(),
                Some(Severity::Negligible),
                false,
                false,
            ),
            (
                Severity::Unknown,
                fixed(),
                Some(Severity::Unknown),
                false,
                true,
            ),
            (Severity::Critical, fixed(), None, false, false),
            (
                Severity::Critical,
                Fix::None,
                Some(Severity::High),
                false,
                true,
            ),
            (
                Severity::Critical,
                Fix::None,
                Some(Severity::High),
                true,
                false,
            ),
            (
                Severity::Critical,
                fixed(),
                Some(Severity::High),
                true,
                true,
            ),
            // Who does not say whether there is a fix does not say that there is none.
            (
                Severity::Critical,
                Fix::Untold,
                Some(Severity::High),
                true,
                true,
            ),
        ];
        for (severity, fix, fail_on, only_fixed, fails) in cases {
            let rule = Rule {
                fail_on,
                only_fixed,
            };
            let one = found("CVE-1", severity, fix);
            let found = verdict(std::slice::from_ref(&one), &[], rule);
            assert_eq!(found.failing().count() == 1, fails, "{one:?} {rule:?}");
        }
    }

    #[test]
    fn an_exception_is_for_its_id_package_and_service_and_up_to_its_day() {
        let base = || exception("CVE-2024-1", "2026-06-15");
        let of = |change: fn(&mut Exception)| {
            let mut one = base();
            change(&mut one);
            one
        };
        let cases = [
            (base(), true),
            (of(|one| one.id = "cve-2024-1".into()), true),
            (of(|one| one.id = "GHSA-AAAA-bbbb-cccc".into()), true),
            (of(|one| one.id = "CVE-2024-11".into()), false),
            (of(|one| one.until = day("2026-06-14")), false),
            (of(|one| one.package = Some("openssl".into())), true),
            (of(|one| one.package = Some("libssl3".into())), false),
            (of(|one| one.service = Some("api".into())), true),
            (of(|one| one.service = Some("worker".into())), false),
        ];
        let rule = Rule {
            fail_on: Some(Severity::High),
            only_fixed: false,
        };
        for (exception, accepted) in cases {
            let one = found("CVE-2024-1", Severity::High, Fix::None);
            let found = verdict(&[one], std::slice::from_ref(&exception), rule);
            assert_eq!(found.failing().count() == 0, accepted, "{exception:?}");
            assert_eq!(found.accepted().len() == 1, accepted, "{exception:?}");
            assert_eq!(
                !found.expired.is_empty(),
                exception.until < day("2026-06-15")
            );
        }
    }

    #[test]
    fn an_exception_that_ran_out_is_not_told_where_a_newer_one_is_valid() {
        let both = [
            exception("CVE-1", "2020-01-01"),
            exception("CVE-1", "2999-01-01"),
        ];
        let one = found("CVE-1", Severity::High, Fix::None);
        let found = verdict(&[one], &both, Rule::default());
        assert!(found.expired.is_empty());
        assert_eq!(found.accepted(), [&both[1]]);
        assert_eq!(expired(&both, day("2026-06-15")).count(), 1);
    }

    #[test]
    fn findings_are_sorted_and_counted_once() {
        let low = found("CVE-2", Severity::Low, Fix::None);
        let high = found("CVE-1", Severity::High, Fix::None);
        let all = [low.clone(), high.clone(), low];
        let found = verdict(&all, &[], Rule::default());
        let ids: Vec<_> = found
            .findings
            .iter()
            .map(|one| one.vulnerability.id.as_str())
            .collect();
        assert_eq!(ids, ["CVE-1", "CVE-2"]);
        assert_eq!(found.summary(), "1 high, 1 low");
        let nothing = verdict(&[], &[], Rule::default());
        assert_eq!(nothing.summary(), "no vulnerability is known");
    }
}
