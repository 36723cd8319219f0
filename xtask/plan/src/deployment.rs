//! What has to be done so that a Lambda function runs an image: decided from what was read, as data.
//!
//! Architecture Invariant: a decision looks at the state alone, and not at what an earlier run has done. So a run that was
//! killed anywhere is gone on with by the same command, and one that finds everything as wanted does nothing.

use std::{collections::BTreeSet, time::Duration};

use serde::Serialize;

use crate::model::refusal::Refusal;
use crate::{
    arch::Arch,
    model::function::{Alias, Code, Condition, Function, Version},
};

/// A part of the calls that gets the new version first.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Canary {
    /// The part of the calls, above 0 and below 1.
    pub part: f64,
    /// For how long.
    #[serde(with = "seconds")]
    pub time: Duration,
}

mod seconds {
    use std::time::Duration;

    pub fn serialize<S: serde::Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(time.as_secs())
    }
}

/// What is wanted of a function.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The image and its CPU.
    pub code: Code,
    /// A published version that an alias is to name, in place of a new one: the way back.
    pub version: Option<String>,
    /// The alias that callers use.
    pub alias: Option<String>,
    /// What the function is invoked with after an update.
    pub smoke_payload: Option<String>,
    /// A part of the calls that gets the new version first.
    pub canary: Option<Canary>,
    /// Whether a function that does not exist is made: only a sandbox's is.
    pub may_create: bool,
}

/// What was read of a function.
#[derive(Debug, Clone)]
pub struct Facts {
    /// What it runs.
    pub function: Function,
    /// Its published versions, newest first.
    pub versions: Vec<Version>,
    /// The alias, where one is wanted and it exists.
    pub alias: Option<Alias>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Make the function.
    CreateFunction,
    /// Make a version of what runs now, so that there is a way back.
    KeepPrevious,
    /// Image and architecture, in one call.
    UpdateCode,
    /// Try it.
    Invoke,
    /// Make a version of it.
    Publish,
    /// Make the alias.
    CreateAlias,
    /// Give a part of the calls to the new version, and watch.
    Canary(Canary),
    /// Make the alias name the new version alone.
    MoveAlias,
}

/// The steps for one function.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LambdaPlan {
    /// What people call the image.
    pub image: String,
    /// The function as it is.
    pub function: Function,
    /// What it is to run.
    pub to: Code,
    /// The alias that callers use.
    pub alias: Option<String>,
    /// The alias as it is.
    pub alias_now: Option<Alias>,
    /// The version that is published already.
    pub version: Option<String>,
    /// What is put back when something goes wrong.
    pub way_back: Option<Code>,
    /// Whether the function runs the image already, and callers do not: what an earlier run, that was killed, has left.
    pub is_half_done: bool,
    /// What the function is invoked with.
    pub smoke_payload: Option<String>,
    /// The steps. None: everything is as wanted.
    pub steps: Vec<Step>,
}

/// Decides.
///
/// # Errors
/// A function that cannot be given an image, and a canary where it cannot be.
pub fn decide(image: &str, facts: Facts, wanted: Wanted) -> Result<LambdaPlan, Refusal> {
    let Facts { function, versions, alias } = facts;
    let creates = !function.exists && wanted.may_create;
    if !creates && !function.is_image {
        return Err(Refusal::new(
            format!("function {} runs an archive of code, and cannot be given an image", function.name),
            "make a function of the package type Image, or correct `function` in deploy.toml",
        ));
    }
    let now = function.code();
    let runs_it = now.as_ref().is_some_and(|now| now.is(&wanted.code)) && !matches!(function.condition, Condition::Failed(_));
    let has = |version: &Version, code: &Code| version.code.as_ref().is_some_and(|known| known.is(code));
    let newest = versions.first().filter(|version| runs_it && has(version, &wanted.code)).map(|version| version.number.clone());
    let version = wanted.version.or(newest);
    let mut steps = Vec::new();
    if creates {
        steps.push(Step::CreateFunction);
    } else if !runs_it {
        let is_kept = now.as_ref().is_none_or(|now| versions.iter().any(|version| has(version, now)));
        if !is_kept && function.condition == Condition::Ready {
            steps.push(Step::KeepPrevious);
        }
        steps.push(Step::UpdateCode);
    }
    let names_it = |alias: &Alias| version.as_ref() == Some(&alias.version) && alias.weights.is_empty();
    let alias_steps = match (&wanted.alias, &alias) {
        (None, _) => Vec::new(),
        (Some(_), Some(alias)) if names_it(alias) => Vec::new(),
        (Some(_), None) => vec![Step::CreateAlias],
        (Some(_), Some(_)) => {
            let first = wanted.canary.map(Step::Canary);
            first.into_iter().chain([Step::MoveAlias]).collect()
        }
    };
    if wanted.smoke_payload.is_some() && !(steps.is_empty() && version.is_some() && alias_steps.is_empty()) {
        steps.push(Step::Invoke);
    }
    if version.is_none() {
        steps.push(Step::Publish);
    }
    steps.extend(alias_steps);
    if wanted.canary.is_some() && !steps.is_empty() {
        canary_guard(&function, wanted.alias.as_deref(), alias.as_ref())?;
    }
    let way_back = way_back(now.as_ref(), &wanted.code, alias.as_ref(), &versions);
    let callers = alias.as_ref().and_then(|alias| versions.iter().find(|version| version.number == alias.version));
    let is_half_done = runs_it
        && match (&wanted.alias, callers.and_then(|version| version.code.as_ref())) {
            (None, _) => version.is_none(),
            (Some(_), Some(called)) => !called.is(&wanted.code),
            (Some(_), None) => false,
        };
    Ok(LambdaPlan {
        image: image.to_owned(),
        function,
        to: wanted.code,
        alias: wanted.alias,
        alias_now: alias,
        version,
        way_back,
        is_half_done,
        smoke_payload: wanted.smoke_payload,
        steps,
    })
}

/// A canary shares an alias's calls between two versions.
fn canary_guard(function: &Function, wanted: Option<&str>, alias: Option<&Alias>) -> Result<(), Refusal> {
    let Some(name) = wanted else {
        return Err(Refusal::new(
            format!(
                "function {} has no alias: its callers see a new image at once, and no part of them can try it",
                function.name
            ),
            "set `alias = \"live\"` on the image in deploy.toml, and let callers use the alias; or leave `--canary` out",
        ));
    };
    match alias {
        Some(alias) if alias.version != "$LATEST" => Ok(()),
        Some(_) => Err(Refusal::new(
            format!("alias `{name}` of {} names $LATEST, which cannot share its calls with a version", function.name),
            "run the command once without `--canary`: it makes the alias name a version",
        )),
        None => Err(Refusal::new(
            format!("alias `{name}` of {} does not exist yet: it has no callers to try a new version on", function.name),
            "run the command once without `--canary`: it makes the alias",
        )),
    }
}

/// What to go back to: what ran before, also before an earlier run that was killed.
fn way_back(now: Option<&Code>, to: &Code, alias: Option<&Alias>, versions: &[Version]) -> Option<Code> {
    let other = |code: &&Code| !code.is(to);
    let of_alias = alias.and_then(|alias| versions.iter().find(|version| version.number == alias.version));
    let earlier = versions.iter().filter_map(|version| version.code.as_ref());
    now.into_iter().chain(of_alias.and_then(|version| version.code.as_ref())).chain(earlier).find(other).cloned()
}

/// The version that a rollback goes to: the newest of those before the current one that runs something else, and nothing that
/// is known to be bad.
pub fn previous<'v>(facts: &'v Facts, bad: &BTreeSet<String>) -> Option<&'v Version> {
    let number = |text: &str| text.parse::<u64>().ok();
    let of = |wanted: &str| facts.versions.iter().find(|version| version.number == wanted);
    let latest = facts.function.code();
    let (current, now) = match facts.alias.as_ref().filter(|alias| alias.version != "$LATEST") {
        Some(alias) => (number(&alias.version), of(&alias.version).and_then(|version| version.code.clone()).or(latest)),
        None => {
            let runs_it =
                |version: &&Version| version.code.as_ref().zip(latest.as_ref()).is_some_and(|(code, latest)| code.is(latest));
            (facts.versions.iter().find(runs_it).and_then(|version| number(&version.number)), latest)
        }
    };
    facts.versions.iter().find(|version| {
        let is_earlier = current.is_none_or(|current| number(&version.number).is_some_and(|number| number < current));
        let is_good = |code: &Code| !bad.contains(&code.digest) && now.as_ref().is_none_or(|now| !code.is(now));
        is_earlier && version.code.as_ref().is_some_and(is_good)
    })
}

/// The architecture that a reply of a function names, in any of the usual words and places.
pub fn named_arch(reply: &str) -> Option<Arch> {
    let value: serde_json::Value = serde_json::from_str(reply).ok()?;
    let inner = value.get("body").and_then(|body| body.as_str()).and_then(|body| serde_json::from_str(body).ok());
    [Some(value), inner].into_iter().flatten().find_map(|value: serde_json::Value| {
        ["architecture", "arch", "machine"].iter().find_map(|key| value.get(key)?.as_str()?.parse().ok())
    })
}

/// Reads `10%`.
///
/// # Errors
/// Anything but a number above 0 and below 100 with a percent sign.
pub fn percent(text: &str) -> Result<f64, String> {
    let number: Option<f64> = text.strip_suffix('%').and_then(|number| number.trim().parse().ok());
    number
        .filter(|number| *number > 0.0 && *number < 100.0)
        .map(|number| number / 100.0)
        .ok_or_else(|| "write a part of the calls, above 0% and below 100%: `10%`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{
        Step::{Invoke, KeepPrevious, MoveAlias, Publish, UpdateCode},
        *,
    };

    fn code(digest: &str, arch: Arch) -> Code {
        Code { image: format!("r/x@{digest}"), digest: digest.to_owned(), arch }
    }

    fn facts(now: &Code, versions: &[(&str, &Code)], alias: Option<&str>) -> Facts {
        let version = |(number, code): &(&str, &Code)| Version { number: (*number).to_owned(), code: Some((*code).clone()) };
        let function = Function {
            exists: true,
            is_image: true,
            digest: Some(now.digest.clone()),
            image: Some(now.image.clone()),
            arch: Some(now.arch),
            ..Function::missing("f")
        };
        let alias = alias.map(|version| Alias {
            name: "live".into(),
            version: version.into(),
            weights: std::collections::BTreeMap::new(),
            revision: None,
        });
        Facts { function, versions: versions.iter().map(version).collect(), alias }
    }

    fn wanted(code: &Code) -> Wanted {
        Wanted {
            code: code.clone(),
            version: None,
            alias: Some("live".into()),
            smoke_payload: Some("{}".into()),
            canary: None,
            may_create: false,
        }
    }

    fn steps(facts: Facts, wanted: Wanted) -> Vec<Step> {
        decide("api", facts, wanted).unwrap().steps
    }

    #[test]
    fn every_state_that_a_killed_run_can_leave_is_gone_on_from() {
        let (old, new) = (code("sha256:old", Arch::Amd64), code("sha256:new", Arch::Arm64));
        let from_the_start = steps(facts(&old, &[], Some("$LATEST")), wanted(&new));
        assert_eq!(from_the_start, [KeepPrevious, UpdateCode, Invoke, Publish, MoveAlias]);
        let kept = steps(facts(&old, &[("1", &old)], Some("1")), wanted(&new));
        assert_eq!(kept, [UpdateCode, Invoke, Publish, MoveAlias]);
        let updated = steps(facts(&new, &[("1", &old)], Some("1")), wanted(&new));
        assert_eq!(updated, [Invoke, Publish, MoveAlias]);
        let published = steps(facts(&new, &[("2", &new), ("1", &old)], Some("1")), wanted(&new));
        assert_eq!(published, [Invoke, MoveAlias]);
        assert_eq!(steps(facts(&new, &[("2", &new), ("1", &old)], Some("2")), wanted(&new)), []);
    }

    #[test]
    fn the_same_image_for_the_other_cpu_is_another_code() {
        let (amd64, arm64) = (code("sha256:a", Arch::Amd64), code("sha256:a", Arch::Arm64));
        assert!(steps(facts(&amd64, &[("1", &amd64)], Some("1")), wanted(&arm64)).contains(&Step::UpdateCode));
    }

    #[test]
    fn the_way_back_is_what_ran_before_also_after_a_killed_run() {
        let (old, new) = (code("sha256:old", Arch::Amd64), code("sha256:new", Arch::Arm64));
        let way_back = |facts| decide("api", facts, wanted(&new)).unwrap().way_back;
        assert_eq!(way_back(facts(&old, &[], None)), Some(old.clone()));
        assert_eq!(way_back(facts(&new, &[("1", &old)], Some("1"))), Some(old.clone()));
        assert_eq!(way_back(facts(&new, &[("2", &new), ("1", &old)], None)), Some(old));
        assert_eq!(way_back(facts(&new, &[], None)), None);
    }

    #[test]
    fn a_canary_needs_callers_that_it_can_be_tried_on() {
        let (old, new) = (code("sha256:old", Arch::Amd64), code("sha256:new", Arch::Arm64));
        let canary = Some(Canary { part: 0.1, time: Duration::from_mins(1) });
        let with = |alias: Option<&str>, name: Option<&str>| {
            let wanted = Wanted { canary, alias: name.map(str::to_owned), ..wanted(&new) };
            decide("api", facts(&old, &[("1", &old)], alias), wanted).map(|plan| plan.steps)
        };
        assert!(with(None, None).is_err_and(|refusal| refusal.problem.contains("no alias")));
        assert!(with(None, Some("live")).is_err_and(|refusal| refusal.problem.contains("does not exist")));
        assert!(with(Some("$LATEST"), Some("live")).is_err_and(|refusal| refusal.problem.contains("$LATEST")));
        assert!(with(Some("1"), Some("live")).is_ok_and(|steps| steps.iter().any(|step| matches!(step, Step::Canary(_)))));
    }

    #[test]
    fn a_rollback_goes_to_the_newest_earlier_version_that_runs_something_else() {
        let (a, b) = (code("sha256:a", Arch::Amd64), code("sha256:b", Arch::Arm64));
        let previous = |facts: &Facts| super::previous(facts, &BTreeSet::new()).map(|version| version.number.clone());
        assert_eq!(previous(&facts(&b, &[("3", &b), ("2", &b), ("1", &a)], Some("3"))).as_deref(), Some("1"));
        assert_eq!(previous(&facts(&b, &[("2", &b), ("1", &a)], None)).as_deref(), Some("1"));
        // After it, there is nothing earlier: it does not go back and forth.
        assert_eq!(previous(&facts(&a, &[("2", &b), ("1", &a)], Some("1"))), None);
        assert_eq!(previous(&facts(&a, &[("2", &b), ("1", &a)], None)), None);
    }

    #[test]
    fn replies_name_their_cpu_in_several_ways() {
        assert_eq!(named_arch(r#"{"architecture":"aarch64"}"#), Some(Arch::Arm64));
        assert_eq!(named_arch(r#"{"statusCode":200,"body":"{\"machine\":\"x86_64\"}"}"#), Some(Arch::Amd64));
        assert_eq!(named_arch(r#"{"body":"hello"}"#), None);
        assert_eq!(named_arch("hello"), None);
    }

    #[test]
    fn parts_are_percentages() {
        assert_eq!(percent("10%"), Ok(0.1));
        for text in ["10", "0%", "100%", "-1%", "NaN%", "inf%", "%", ""] {
            assert!(percent(text).is_err(), "{text}");
        }
    }
}
