//! The gate before moving tags: what looks, what stops an image, and what is said then.

use serde::Serialize;

use super::Verdict;
use crate::model::{
    config::Environment,
    place::Place,
    refusal::Refusal,
    severity::Severity,
    vulnerability::{Scanner, Vulnerability},
};

/// What is asked of every image before a moving tag names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Gate {
    /// What looks.
    pub scanner: Scanner,
    /// A vulnerability of this severity, or a worse one, stops it.
    pub fail_on: Severity,
}

impl Gate {
    /// What is done at it, for people.
    pub fn words(&self) -> String {
        let (title, least) = (self.scanner.title(), self.fail_on);
        format!(
            "scan: each image with {title} before its moving tags; one of severity {least} or worse moves none"
        )
    }
}

/// Which scanner looks: the one that was asked for, or the first that there is. ECR scans what it keeps itself.
///
/// # Errors
/// A refusal, where the one is not installed, or there is none.
pub fn choose(
    wanted: Option<Scanner>,
    installed: &[Scanner],
    is_in_ecr: bool,
    registry: &str,
) -> Result<Scanner, Refusal> {
    let can = |scanner: &Scanner| match scanner {
        Scanner::Trivy | Scanner::Grype => installed.contains(scanner),
        Scanner::Ecr => is_in_ecr,
    };
    let Some(wanted) = wanted else {
        return Scanner::ALL.into_iter().find(can).ok_or_else(|| {
            Refusal::new(
                format!("neither Trivy nor Grype is installed, and `{registry}` is not ECR, which has scans of its own"),
                "install Trivy (https://trivy.dev) or Grype (https://github.com/anchore/grype), so that it is on PATH",
            )
        });
    };
    if can(&wanted) {
        return Ok(wanted);
    }
    let (name, page) = (wanted.name(), wanted.page());
    Err(match wanted {
        Scanner::Trivy | Scanner::Grype => Refusal::new(
            format!("`{name}` is not installed, or not on PATH"),
            format!("install it ({page}), or leave `--scanner` out"),
        ),
        Scanner::Ecr => Refusal::new(
            format!("`{registry}` is not ECR, which scans its own images alone"),
            "--scanner trivy, or --scanner grype",
        ),
    })
}

/// What an environment asks of its images, and with what. Nothing, where it asks nothing.
///
/// # Errors
/// A refusal, where nothing can look.
pub fn gate(
    environment: &Environment,
    place: &Place,
    installed: &[Scanner],
) -> Result<Option<Gate>, Refusal> {
    let Some(fail_on) = environment.scan else {
        return Ok(None);
    };
    let chosen = choose(None, installed, place.ecr.is_some(), &place.registry);
    let scanner = chosen.map_err(|refusal| {
        let asks = format!("`{}` has `scan = \"{fail_on}\"`", environment.name);
        Refusal::new(format!("{asks}: {}", refusal.problem), refusal.cure)
    })?;
    Ok(Some(Gate { scanner, fail_on }))
}

/// Why an image gets no moving tag.
pub fn stopped(verdict: &Verdict, fail_on: Severity) -> Option<String> {
    const SHOWN: usize = 10;
    let all: Vec<_> = verdict.failing().collect();
    let (first, count) = (all.first()?, all.len());
    let mut lines: Vec<_> = all.iter().take(SHOWN).map(|one| line(one)).collect();
    if count > SHOWN {
        lines.push(format!("… and {} more", count - SHOWN));
    }
    let what = if count == 1 {
        "vulnerability"
    } else {
        "vulnerabilities"
    };
    Some(format!(
        "{count} {what} of severity {fail_on} or worse, so no moving tag is written:\n    {}\nbuild it with what fixes them, or accept one for a time in \
         deploy.toml:\n    [[scan.exceptions]]\n    id = \"{}\"\n    reason = \"…\"\n    until = YYYY-MM-DD",
        lines.join("\n    "),
        first.id
    ))
}

/// A finding in one line.
fn line(one: &Vulnerability) -> String {
    format!(
        "{} {} in {} {}: {}",
        one.severity, one.id, one.package, one.installed, one.fixed
    )
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Acceptance, Rule, judge},
        *,
    };
    use crate::{
        fixtures::{self, vulnerability as found},
        model::{
            registry::Ecr,
            vulnerability::{Day, Fix},
        },
    };

    fn verdict(found: &[Vulnerability], rule: Rule) -> Verdict {
        let acceptance = Acceptance {
            exceptions: &[],
            service: None,
            today: Day::new(2026, 6, 15).unwrap(),
        };
        judge(found, &acceptance, rule)
    }

    #[test]
    fn why_an_image_is_stopped_names_the_worst_and_the_way_on() {
        let rule = Rule {
            fail_on: Some(Severity::Low),
            only_fixed: false,
        };
        let all: Vec<_> = (0..12)
            .map(|n| found(&format!("CVE-{n:02}"), Severity::Low, Fix::None))
            .chain([found("CVE-99", Severity::Critical, Fix::In("3.0.2".into()))])
            .collect();
        let text = stopped(&verdict(&all, rule), Severity::Low).unwrap();
        assert!(text.starts_with("13 vulnerabilities of severity low or worse, so no moving tag is written:\n    critical CVE-99 in openssl 3.0.1: fixed in 3.0.2\n"), "{text}");
        assert!(
            text.contains("… and 3 more") && text.contains("id = \"CVE-99\""),
            "{text}"
        );
        assert_eq!(stopped(&verdict(&[], rule), Severity::Low), None);
    }

    #[test]
    fn the_first_scanner_there_is_looks_and_none_is_a_refusal() {
        let (trivy, grype, ecr) = (Scanner::Trivy, Scanner::Grype, Scanner::Ecr);
        let cases = [
            (None, &[trivy, grype][..], true, Ok(trivy)),
            (None, &[grype], true, Ok(grype)),
            (None, &[], true, Ok(ecr)),
            (
                None,
                &[],
                false,
                Err("neither Trivy nor Grype is installed"),
            ),
            (Some(grype), &[trivy, grype], true, Ok(grype)),
            (Some(ecr), &[trivy], true, Ok(ecr)),
            (Some(trivy), &[grype], true, Err("`trivy` is not installed")),
            (Some(ecr), &[trivy], false, Err("`r` is not ECR")),
        ];
        for (wanted, installed, is_in_ecr, expected) in cases {
            match (choose(wanted, installed, is_in_ecr, "r"), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected),
                (Err(refusal), Err(start)) => {
                    assert!(refusal.problem.starts_with(start), "{refusal}");
                }
                (found, expected) => panic!("{found:?} instead of {expected:?}"),
            }
        }
    }

    #[test]
    fn an_environment_s_gate_says_which_environment_asks_for_what_is_not_there() {
        let mut environment = fixtures::environment("prod");
        let mut place = Place {
            environment: "prod".into(),
            account: "111122223333".into(),
            region: "eu-west-1".into(),
            registry: "ghcr.io".into(),
            ecr: None,
            profile: None,
            endpoint: None,
        };
        assert_eq!(gate(&environment, &place, &[]), Ok(None));
        environment.scan = Some(Severity::High);
        let refusal = gate(&environment, &place, &[]).unwrap_err();
        assert!(
            refusal
                .problem
                .starts_with("`prod` has `scan = \"high\"`: neither"),
            "{refusal}"
        );
        place.ecr = Some(Ecr {
            account: "111122223333".into(),
            region: "eu-west-1".into(),
            profile: None,
        });
        let gate = gate(&environment, &place, &[]).unwrap().unwrap();
        assert_eq!((gate.scanner, gate.fail_on), (Scanner::Ecr, Severity::High));
    }
}
