//! The steps that give a Lambda function an image, from what was read of it.

use super::{
    Facts, LambdaPlan, Step, Wanted,
    way_back::{has, keeping, no_way_back, previous_code},
};
use crate::model::{
    function::{Alias, Code, Condition, Function},
    place::Place,
    refusal::Refusal,
    shell::quoted,
};

/// Decides.
///
/// # Errors
/// A function that does not exist or cannot be given an image, and a canary where it cannot be.
pub fn decide(facts: Facts, wanted: Wanted, place: &Place) -> Result<LambdaPlan, Refusal> {
    guard(&facts.function, &wanted, place)?;
    let runs_it = runs(&facts.function, &wanted.code);
    let newest = facts
        .versions
        .first()
        .filter(|version| runs_it && has(version, &wanted.code));
    let version = wanted
        .version
        .clone()
        .or_else(|| newest.map(|version| version.number.clone()));
    let steps = steps(&facts, &wanted, runs_it, version.as_ref());
    if wanted.options.canary.is_some() && !steps.is_empty() {
        canary_guard(
            &facts.function,
            wanted.alias.as_deref(),
            facts.alias.as_ref(),
        )?;
    }
    let previous = previous_code(&wanted.code, &facts);
    let is_half_done = runs_it && !callers_have_it(&facts, &wanted, version.is_some());
    Ok(LambdaPlan {
        no_way_back: no_way_back(&facts, &steps),
        image: wanted.image,
        function: facts.function,
        to: wanted.code,
        alias: wanted.alias,
        alias_now: facts.alias,
        version,
        previous,
        is_half_done,
        smoke_payload: wanted.smoke_payload,
        steps,
    })
}

/// Whether a function can be given an image at all.
fn guard(function: &Function, wanted: &Wanted, place: &Place) -> Result<(), Refusal> {
    let name = &function.name;
    if !function.exists && !wanted.options.may_create {
        let (image, arch) = (
            format!("ImageUri={}", wanted.code.image),
            wanted.code.arch.lambda(),
        );
        let words = [
            "--function-name",
            name,
            "--package-type",
            "Image",
            "--code",
            &image,
            "--architectures",
            arch,
        ];
        let line = format!(
            "aws lambda create-function {} {} --role ROLE-ARN",
            place.flags(),
            quoted(words)
        );
        return Err(Refusal::new(
            format!("function {name} does not exist"),
            format!("make it, with a role of yours:\n  {line}"),
        ));
    }
    if function.exists && !function.is_image {
        return Err(Refusal::new(
            format!("function {name} runs an archive of code, and cannot be given an image"),
            "make a function of the package type Image, or correct `function` in deploy.toml",
        ));
    }
    Ok(())
}

fn runs(function: &Function, code: &Code) -> bool {
    function.code().is_some_and(|now| now.is(code))
        && !matches!(function.condition, Condition::Failed(_))
}

fn steps(facts: &Facts, wanted: &Wanted, runs_it: bool, version: Option<&String>) -> Vec<Step> {
    let mut steps = code_steps(facts, runs_it);
    let alias_steps = alias_steps(facts.alias.as_ref(), wanted, version);
    if wanted.smoke_payload.is_some()
        && !(steps.is_empty() && version.is_some() && alias_steps.is_empty())
    {
        steps.push(Step::Invoke);
    }
    if version.is_none() {
        steps.push(Step::Publish);
    }
    steps.extend(alias_steps);
    steps
}

fn code_steps(facts: &Facts, runs_it: bool) -> Vec<Step> {
    if !facts.function.exists {
        return vec![Step::CreateFunction];
    }
    if runs_it {
        return Vec::new();
    }
    let keep = keeping(facts).into_iter();
    keep.chain([Step::UpdateCode]).collect()
}

fn alias_steps(alias: Option<&Alias>, wanted: &Wanted, version: Option<&String>) -> Vec<Step> {
    let names_it = |alias: &Alias| version == Some(&alias.version) && alias.weights.is_empty();
    match (&wanted.alias, alias) {
        (None, _) => Vec::new(),
        (Some(_), Some(alias)) if names_it(alias) => Vec::new(),
        (Some(_), None) => vec![Step::CreateAlias],
        (Some(_), Some(_)) => {
            let first = wanted.options.canary.map(Step::Canary);
            first.into_iter().chain([Step::MoveAlias]).collect()
        }
    }
}

/// Whether what callers get of a function that runs the image is that image, or something that cannot be told.
fn callers_have_it(facts: &Facts, wanted: &Wanted, has_version: bool) -> bool {
    let called = facts.of_alias();
    match (
        &wanted.alias,
        called.and_then(|version| version.code.as_ref()),
    ) {
        (None, _) => has_version,
        (Some(_), Some(called)) => called.is(&wanted.code),
        (Some(_), None) => true,
    }
}

/// A canary shares an alias's calls between two versions.
fn canary_guard(
    function: &Function,
    wanted: Option<&str>,
    alias: Option<&Alias>,
) -> Result<(), Refusal> {
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
            format!(
                "alias `{name}` of {} names $LATEST, which cannot share its calls with a version",
                function.name
            ),
            "run the command once without `--canary`: it makes the alias name a version",
        )),
        None => Err(Refusal::new(
            format!(
                "alias `{name}` of {} does not exist yet: it has no callers to try a new version on",
                function.name
            ),
            "run the command once without `--canary`: it makes the alias",
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{
        Step::{Invoke, KeepPrevious, MoveAlias, Publish, UpdateCode},
        *,
    };
    use crate::{
        arch::Arch,
        targets::lambda::{
            Canary, Options,
            fixtures::{code, facts},
        },
    };

    fn place() -> Place {
        Place {
            environment: "dev".into(),
            account: "111122223333".into(),
            region: "eu-west-1".into(),
            registry: "r".into(),
            ecr: None,
            profile: None,
            endpoint: None,
        }
    }

    fn wanted(code: &Code) -> Wanted {
        Wanted {
            image: "api".into(),
            code: code.clone(),
            version: None,
            alias: Some("live".into()),
            smoke_payload: Some("{}".into()),
            options: Options::default(),
        }
    }

    #[test]
    fn a_function_that_does_not_exist_is_made_in_a_sandbox_alone() {
        let new = code("sha256:new", Arch::Arm64);
        let missing = || Facts {
            function: Function::missing("f"),
            versions: Vec::new(),
            alias: None,
        };
        let refusal = decide(missing(), wanted(&new), &place()).unwrap_err();
        assert!(
            refusal.cure.contains("create-function --region eu-west-1")
                && refusal.cure.contains("--architectures arm64")
        );
        let options = Options {
            canary: None,
            may_create: true,
        };
        let plan = decide(
            missing(),
            Wanted {
                options,
                ..wanted(&new)
            },
            &place(),
        )
        .unwrap();
        assert_eq!(
            plan.steps,
            [Step::CreateFunction, Invoke, Publish, Step::CreateAlias]
        );
    }

    #[test]
    fn a_function_of_an_archive_cannot_be_given_an_image() {
        let old = code("sha256:old", Arch::Amd64);
        let mut archive = facts(&old, &[], None);
        archive.function.is_image = false;
        let refusal =
            decide(archive, wanted(&code("sha256:new", Arch::Arm64)), &place()).unwrap_err();
        assert!(refusal.problem.contains("an archive of code"), "{refusal}");
    }

    fn steps(facts: Facts, wanted: Wanted) -> Vec<Step> {
        decide(facts, wanted, &place()).unwrap().steps
    }

    #[test]
    fn every_state_that_a_killed_run_can_leave_is_resumed() {
        let (old, new) = (
            code("sha256:old", Arch::Amd64),
            code("sha256:new", Arch::Arm64),
        );
        let from_the_start = steps(facts(&old, &[], Some("$LATEST")), wanted(&new));
        assert_eq!(
            from_the_start,
            [KeepPrevious, UpdateCode, Invoke, Publish, MoveAlias]
        );
        let kept = steps(facts(&old, &[("1", &old)], Some("1")), wanted(&new));
        assert_eq!(kept, [UpdateCode, Invoke, Publish, MoveAlias]);
        let updated = steps(facts(&new, &[("1", &old)], Some("1")), wanted(&new));
        assert_eq!(updated, [Invoke, Publish, MoveAlias]);
        let published = steps(
            facts(&new, &[("2", &new), ("1", &old)], Some("1")),
            wanted(&new),
        );
        assert_eq!(published, [Invoke, MoveAlias]);
        assert_eq!(
            steps(
                facts(&new, &[("2", &new), ("1", &old)], Some("2")),
                wanted(&new)
            ),
            []
        );
    }

    #[test]
    fn the_same_image_for_the_other_cpu_is_another_code() {
        let (amd64, arm64) = (code("sha256:a", Arch::Amd64), code("sha256:a", Arch::Arm64));
        assert!(
            steps(facts(&amd64, &[("1", &amd64)], Some("1")), wanted(&arm64))
                .contains(&Step::UpdateCode)
        );
    }

    #[test]
    fn what_is_restored_is_what_ran_before_also_after_a_killed_run() {
        let (old, new) = (
            code("sha256:old", Arch::Amd64),
            code("sha256:new", Arch::Arm64),
        );
        let previous = |facts| decide(facts, wanted(&new), &place()).unwrap().previous;
        assert_eq!(previous(facts(&old, &[], None)), Some(old.clone()));
        assert_eq!(
            previous(facts(&new, &[("1", &old)], Some("1"))),
            Some(old.clone())
        );
        assert_eq!(
            previous(facts(&new, &[("2", &new), ("1", &old)], None)),
            Some(old.clone())
        );
        assert_eq!(previous(facts(&new, &[], None)), None);
        let other = code("sha256:other", Arch::Arm64);
        let versions = [("3", &other), ("2", &new), ("1", &old)];
        assert_eq!(
            previous(facts(&new, &versions, Some("1"))),
            Some(old.clone()),
            "what the alias names comes before what is newer"
        );
    }

    #[test]
    fn a_canary_needs_callers_that_it_can_be_tried_on() {
        let (old, new) = (
            code("sha256:old", Arch::Amd64),
            code("sha256:new", Arch::Arm64),
        );
        let canary = Some(Canary {
            part: 0.1,
            time: Duration::from_mins(1),
        });
        let with = |alias: Option<&str>, name: Option<&str>| {
            let options = Options {
                canary,
                may_create: false,
            };
            let wanted = Wanted {
                options,
                alias: name.map(str::to_owned),
                ..wanted(&new)
            };
            decide(facts(&old, &[("1", &old)], alias), wanted, &place()).map(|plan| plan.steps)
        };
        assert!(with(None, None).is_err_and(|refusal| refusal.problem.contains("no alias")));
        assert!(
            with(None, Some("live"))
                .is_err_and(|refusal| refusal.problem.contains("does not exist"))
        );
        assert!(
            with(Some("$LATEST"), Some("live"))
                .is_err_and(|refusal| refusal.problem.contains("$LATEST"))
        );
        assert!(
            with(Some("1"), Some("live"))
                .is_ok_and(|steps| steps.iter().any(|step| matches!(step, Step::Canary(_))))
        );
    }

    #[test]
    fn a_function_is_half_done_where_it_runs_the_image_and_callers_do_not() {
        let (old, new) = (
            code("sha256:old", Arch::Amd64),
            code("sha256:new", Arch::Arm64),
        );
        let is_half_done = |facts: Facts, alias: Option<&str>| {
            let wanted = Wanted {
                alias: alias.map(str::to_owned),
                ..wanted(&new)
            };
            decide(facts, wanted, &place()).unwrap().is_half_done
        };
        assert!(is_half_done(
            facts(&new, &[("1", &old)], Some("1")),
            Some("live")
        ));
        assert!(!is_half_done(
            facts(&new, &[("2", &new), ("1", &old)], Some("2")),
            Some("live")
        ));
        assert!(
            !is_half_done(facts(&old, &[("1", &old)], Some("1")), Some("live")),
            "it does not run it yet"
        );
        assert!(
            !is_half_done(facts(&new, &[], Some("$LATEST")), Some("live")),
            "what callers get cannot be told"
        );
        assert!(
            is_half_done(facts(&new, &[("1", &old)], None), None),
            "without an alias, a version is still to come"
        );
        assert!(!is_half_done(facts(&new, &[("2", &new)], None), None));
    }

    #[test]
    fn the_plan_is_told_step_by_step() {
        let (old, new) = (
            code("sha256:old", Arch::Amd64),
            code("sha256:new", Arch::Arm64),
        );
        let plan = decide(facts(&old, &[], Some("$LATEST")), wanted(&new), &place()).unwrap();
        let lines = plan.lines();
        assert_eq!(lines.len(), 1 + plan.steps.len() + 1);
        let text = lines.join("\n");
        for part in [
            "sha256:old",
            "so that it can be restored",
            "in one call: r/x@sha256:new on arm64",
            "invoke it with {}",
            "back to",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        let done = decide(
            facts(&new, &[("2", &new)], Some("2")),
            wanted(&new),
            &place(),
        )
        .unwrap();
        assert_eq!(done.lines()[1..], ["nothing to do"]);
    }
}
