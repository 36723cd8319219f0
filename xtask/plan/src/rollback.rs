//! What a rollback goes back to: an earlier version of a function, or an image that an environment had before.

use std::collections::BTreeSet;

use crate::{
    arch::Arch,
    model::{
        function::{Code, Version},
        published::Stored,
        refusal::Refusal,
        running::Running,
        tags,
    },
    targets::lambda,
};

/// Something to go back to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// A version's number or a tag: what `--to` takes.
    pub name: String,
    /// The digest.
    pub digest: String,
    /// The architecture, where it can be told.
    pub arch: Option<Arch>,
    /// The digests of its images, where it is an index.
    pub images: Vec<String>,
}

impl Candidate {
    /// Whether this is the image with a digest, or the index that lists it.
    pub fn is(&self, digest: &str) -> bool {
        self.digest == digest || self.images.iter().any(|image| image == digest)
    }
}

/// The versions of a function, newest first.
pub fn versions(facts: &lambda::Facts) -> Vec<Candidate> {
    let candidate = |version: &Version| {
        let code = version.code.as_ref()?;
        let (name, digest) = (version.number.clone(), code.digest.clone());
        Some(Candidate {
            name,
            digest,
            arch: Some(code.arch),
            images: Vec::new(),
        })
    };
    facts.versions.iter().filter_map(candidate).collect()
}

/// The images that an environment has had, newest first, by the tags that name the time.
pub fn images(stored: &[Stored], prefix: &str, environment: &str) -> Vec<Candidate> {
    let mut candidates: Vec<(String, Candidate)> = Vec::new();
    let mut members: Vec<(String, String)> = Vec::new();
    for image in stored {
        let times = image.tags.iter().filter_map(|tag| {
            let rest = tag
                .strip_prefix(prefix)?
                .strip_prefix(environment)?
                .strip_prefix('-')?;
            tags::moment(rest).map(|(moment, arch)| (moment.to_owned(), arch, tag.clone()))
        });
        let mut times: Vec<_> = times.collect();
        times.sort();
        let arch = times.iter().find_map(|(_, arch, _)| *arch);
        for (moment, named, tag) in times {
            let digest = image.digest.clone();
            if named.is_some() {
                members.push((moment, digest));
            } else {
                candidates.push((
                    moment,
                    Candidate {
                        name: tag,
                        digest,
                        arch,
                        images: Vec::new(),
                    },
                ));
            }
        }
    }
    // Images of an index have its time under their own tags.
    for (moment, candidate) in &mut candidates {
        let of_it = members
            .iter()
            .filter(|(time, digest)| time == moment && *digest != candidate.digest);
        candidate.images = of_it.map(|(_, digest)| digest.clone()).collect();
    }
    candidates.sort_by(|(one, _), (other, _)| other.cmp(one));
    candidates
        .into_iter()
        .map(|(_, candidate)| candidate)
        .collect()
}

/// The image before the one that runs: the newest that is older, is another, and is not known to be bad.
///
/// # Errors
/// There is none.
pub fn image_before<'c>(
    candidates: &'c [Candidate],
    running: &Running,
    digest: &str,
    bad: &BTreeSet<String>,
    repository: &str,
) -> Result<&'c Candidate, Refusal> {
    let current = candidates.iter().position(|candidate| candidate.is(digest));
    let is_good =
        |candidate: &&Candidate| !candidate.is(digest) && !bad.iter().any(|bad| candidate.is(bad));
    let earlier = current.and_then(|current| candidates[current + 1..].iter().find(is_good));
    earlier.ok_or_else(|| {
        let workload = &running.workload;
        none(
            format!("no image that {workload} ran before is in `{repository}`"),
            candidates,
        )
    })
}

/// The version that a rollback goes to: the newest of those before the current one that runs something else, and nothing that
/// is known to be bad.
pub fn version_before<'v>(facts: &'v lambda::Facts, bad: &BTreeSet<String>) -> Option<&'v Version> {
    let number = |text: &str| text.parse::<u64>().ok();
    let latest = facts.function.code();
    let (current, now) = match facts
        .alias
        .as_ref()
        .filter(|alias| alias.version != "$LATEST")
    {
        Some(alias) => (
            number(&alias.version),
            facts
                .of_alias()
                .and_then(|version| version.code.clone())
                .or(latest),
        ),
        None => {
            let runs_it = |version: &&Version| {
                version
                    .code
                    .as_ref()
                    .zip(latest.as_ref())
                    .is_some_and(|(code, latest)| code.is(latest))
            };
            (
                facts
                    .versions
                    .iter()
                    .find(runs_it)
                    .and_then(|version| number(&version.number)),
                latest,
            )
        }
    };
    facts.versions.iter().find(|version| {
        let is_earlier = current
            .is_none_or(|current| number(&version.number).is_some_and(|number| number < current));
        let is_good = |code: &Code| {
            !bad.contains(&code.digest) && now.as_ref().is_none_or(|now| !code.is(now))
        };
        is_earlier && version.code.as_ref().is_some_and(is_good)
    })
}

/// Whether `--to` may be the number of a version. The beginning of a commit may be nothing but digits, too.
pub fn is_version_number(to: &str) -> bool {
    to.len() < 10 && to.bytes().all(|byte| byte.is_ascii_digit())
}

/// A refusal that lists what there is.
pub fn none(problem: impl Into<String>, candidates: &[Candidate]) -> Refusal {
    const SHOWN: usize = 10;
    if candidates.is_empty() {
        return Refusal::new(problem, "there is nothing to go back to");
    }
    let line = |candidate: &Candidate| {
        let arch = candidate
            .arch
            .map_or_else(String::new, |arch| format!(" on {arch}"));
        format!("  {}  {}{arch}", candidate.name, candidate.digest)
    };
    let lines: Vec<_> = candidates.iter().take(SHOWN).map(line).collect();
    Refusal::new(
        problem,
        format!("name one with `--to`:\n{}", lines.join("\n")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::lambda::{
        Facts,
        fixtures::{code, facts},
    };

    #[test]
    fn an_environment_s_images_are_listed_by_the_time_in_their_tags() {
        let image = |digest: &str, tags: &[&str]| Stored {
            digest: digest.into(),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            pushed: 0,
        };
        let stored = [
            image(
                "a",
                &[
                    "api-dev-20250101-000000",
                    "api-dev-20250101-000000-amd64",
                    "api-abc1234",
                    "api-prod-20260101-000000",
                ],
            ),
            image(
                "b",
                &[
                    "api-dev-20250102-000000",
                    "api-dev-20250102-000000-arm64",
                    "api-dev-latest",
                ],
            ),
            image("c", &["worker-dev-20250103-000000", "api-dev-2025"]),
        ];
        let list = [
            image("list", &["api-dev-20250104-000000"]),
            image("child", &["api-dev-20250104-000000-amd64"]),
            image("other", &["api-dev-20250105-000000-amd64"]),
        ];
        let found = images(&list, "api-", "dev");
        assert!(
            found.len() == 1
                && found[0].is("child")
                && found[0].is("list")
                && !found[0].is("other")
        );
        let found: Vec<_> = images(&stored, "api-", "dev")
            .into_iter()
            .map(|candidate| (candidate.name, candidate.digest, candidate.arch))
            .collect();
        assert_eq!(
            found,
            [
                (
                    "api-dev-20250102-000000".to_owned(),
                    "b".to_owned(),
                    Some(Arch::Arm64)
                ),
                (
                    "api-dev-20250101-000000".to_owned(),
                    "a".to_owned(),
                    Some(Arch::Amd64)
                ),
            ]
        );
    }

    #[test]
    fn a_rollback_goes_to_the_newest_earlier_version_that_runs_something_else() {
        let (a, b) = (code("sha256:a", Arch::Amd64), code("sha256:b", Arch::Arm64));
        let previous = |facts: &Facts| {
            version_before(facts, &BTreeSet::new()).map(|version| version.number.clone())
        };
        assert_eq!(
            previous(&facts(&b, &[("3", &b), ("2", &b), ("1", &a)], Some("3"))).as_deref(),
            Some("1")
        );
        assert_eq!(
            previous(&facts(&b, &[("2", &b), ("1", &a)], None)).as_deref(),
            Some("1")
        );
        // What the alias names runs, and not what was last written into the function.
        let (c, alias) = (code("sha256:c", Arch::Arm64), Some("2"));
        let versions = [("3", &b), ("2", &a), ("1", &c)];
        assert_eq!(previous(&facts(&b, &versions, alias)).as_deref(), Some("1"));
        let versions = [("3", &b), ("2", &a), ("1", &a)];
        assert_eq!(previous(&facts(&b, &versions, alias)), None);
        // After it, there is nothing earlier: it does not go back and forth.
        assert_eq!(
            previous(&facts(&a, &[("2", &b), ("1", &a)], Some("1"))),
            None
        );
        assert_eq!(previous(&facts(&a, &[("2", &b), ("1", &a)], None)), None);
    }

    #[test]
    fn an_image_that_is_known_to_be_bad_is_passed_over() {
        let candidate = |name: &str| Candidate {
            name: name.into(),
            digest: name.into(),
            arch: None,
            images: Vec::new(),
        };
        let all = ["c", "b", "a"].map(candidate);
        let running = Running {
            workload: "api".into(),
            exists: true,
            image: None,
            digest: Some("c".into()),
            arch: None,
        };
        let before = |digest: &str, bad: &[&str]| {
            let bad = bad.iter().map(|bad| (*bad).to_owned()).collect();
            image_before(&all, &running, digest, &bad, "r").map(|found| found.name.clone())
        };
        assert_eq!(before("c", &[]).as_deref(), Ok("b"));
        assert_eq!(before("c", &["b"]).as_deref(), Ok("a"));
        assert!(
            before("a", &[]).unwrap_err().cure.contains("  b  b"),
            "nothing is older: what there is, is listed"
        );
        assert!(
            before("gone", &[]).is_err(),
            "what runs is no image of the repository"
        );
    }

    #[test]
    fn a_version_is_a_number_of_few_digits_and_a_commit_is_none() {
        for number in ["1", "42", "999999999"] {
            assert!(is_version_number(number), "{number}");
        }
        for other in ["1234567890", "12a", "sha256:1", "-1", "dev-latest"] {
            assert!(!is_version_number(other), "{other}");
        }
    }

    #[test]
    fn the_versions_of_a_function_are_listed_with_what_they_run() {
        let (a, b) = (code("sha256:a", Arch::Amd64), code("sha256:b", Arch::Arm64));
        let found = versions(&facts(&b, &[("2", &b), ("1", &a)], Some("2")));
        let shown: Vec<_> = found
            .iter()
            .map(|one| (one.name.as_str(), one.digest.as_str(), one.arch))
            .collect();
        assert_eq!(
            shown,
            [
                ("2", "sha256:b", Some(Arch::Arm64)),
                ("1", "sha256:a", Some(Arch::Amd64))
            ]
        );
        assert!(none("x", &found).cure.contains("  1  sha256:a on amd64"));
    }

    #[test]
    fn a_version_that_is_known_to_be_bad_or_runs_the_same_is_passed_over() {
        let (a, b, c) = (
            code("sha256:a", Arch::Amd64),
            code("sha256:b", Arch::Arm64),
            code("sha256:c", Arch::Arm64),
        );
        let all = facts(&c, &[("4", &c), ("3", &c), ("2", &b), ("1", &a)], Some("4"));
        let before = |bad: &[&str]| {
            let bad = bad.iter().map(|bad| (*bad).to_owned()).collect();
            version_before(&all, &bad).map(|version| version.number.clone())
        };
        assert_eq!(before(&[]).as_deref(), Some("2"));
        assert_eq!(before(&["sha256:b"]).as_deref(), Some("1"));
        assert_eq!(before(&["sha256:a", "sha256:b"]), None);
        // An alias on $LATEST says nothing: what the function runs counts.
        let latest = facts(&b, &[("2", &b), ("1", &a)], Some("$LATEST"));
        assert_eq!(
            version_before(&latest, &BTreeSet::new()).map(|one| one.number.as_str()),
            Some("1")
        );
    }
}
