//! What holds for every state of a Lambda function, and for every tag: states are made up by the hundred, and a small model of
//! Lambda carries the steps out.

use std::collections::BTreeMap;

use proptest::prelude::*;
use shipright_plan::{
    arch::Arch,
    model::{
        function::{Alias, Code, Condition, Function, Version},
        place::Place,
        published::Mutability,
        tags::{TagKind, TagSet},
    },
    targets::lambda::{Facts, LambdaPlan, Options, Step, Wanted, decide},
};

fn code(number: u8) -> Code {
    let arch = if number.is_multiple_of(2) {
        Arch::Amd64
    } else {
        Arch::Arm64
    };
    let digest = format!("sha256:{number}");
    Code {
        image: format!("r/x@{digest}"),
        digest,
        arch,
    }
}

/// A function that runs something, published a few times, with an alias on one of its versions or on none.
fn any_facts() -> impl Strategy<Value = Facts> {
    let condition = prop_oneof![Just(Condition::Ready), Just(Condition::Failed("x".into()))];
    let versions = prop::collection::vec(0..4_u8, 0..5);
    (
        0..4_u8,
        condition,
        versions,
        any::<prop::sample::Index>(),
        0..3_u8,
    )
        .prop_map(|(now, condition, published, named, alias)| {
            let now = code(now);
            let function = Function {
                exists: true,
                is_image: true,
                digest: Some(now.digest.clone()),
                image: Some(now.image.clone()),
                arch: Some(now.arch),
                condition,
                ..Function::missing("f")
            };
            let numbered = published.iter().enumerate().rev();
            let versions: Vec<_> = numbered
                .map(|(at, runs)| Version {
                    number: (at + 1).to_string(),
                    code: Some(code(*runs)),
                })
                .collect();
            let named = if versions.is_empty() {
                "$LATEST".to_owned()
            } else {
                versions[named.index(versions.len())].number.clone()
            };
            let alias = (alias > 0).then(|| Alias {
                name: "live".into(),
                version: if alias == 1 { named } else { "$LATEST".into() },
                weights: BTreeMap::new(),
                revision: None,
            });
            Facts {
                function,
                versions,
                alias,
            }
        })
}

fn wanted(number: u8, alias: bool, smoke: bool) -> Wanted {
    Wanted {
        image: "api".into(),
        code: code(number),
        version: None,
        alias: alias.then(|| "live".to_owned()),
        smoke_payload: smoke.then(|| "{}".to_owned()),
        options: Options::default(),
    }
}

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

fn plan(facts: &Facts, wanted: &Wanted) -> LambdaPlan {
    // An alias is read where one is wanted.
    let alias = facts.alias.clone().filter(|_| wanted.alias.is_some());
    let facts = Facts {
        alias,
        ..facts.clone()
    };
    decide(facts, wanted.clone(), &place()).unwrap()
}

/// Lambda: what the first steps of a plan make of a function.
fn carried_out(mut facts: Facts, plan: &LambdaPlan, steps: usize) -> Facts {
    let mut version = plan.version.clone();
    for step in plan.steps.iter().take(steps) {
        let next = (facts.versions.len() + 1).to_string();
        match step {
            Step::UpdateCode => {
                facts.function.digest = Some(plan.to.digest.clone());
                facts.function.image = Some(plan.to.image.clone());
                facts.function.arch = Some(plan.to.arch);
                facts.function.condition = Condition::Ready;
            }
            Step::KeepPrevious | Step::Publish => {
                facts.versions.insert(
                    0,
                    Version {
                        number: next.clone(),
                        code: facts.function.code(),
                    },
                );
                if *step == Step::Publish {
                    version = Some(next);
                }
            }
            Step::CreateAlias | Step::MoveAlias | Step::HoldAlias => {
                let newest = facts.versions.first().map(|version| version.number.clone());
                let held = newest.filter(|_| *step == Step::HoldAlias);
                let version = held.or_else(|| version.clone()).expect("a version to name");
                let weights = BTreeMap::new();
                facts.alias = Some(Alias {
                    name: "live".into(),
                    version,
                    weights,
                    revision: None,
                });
            }
            Step::Invoke => {}
            Step::CreateFunction | Step::Canary(_) => unreachable!("{step:?}"),
        }
    }
    facts
}

/// What callers of a function get.
fn called(facts: &Facts, alias: bool) -> Option<Code> {
    let named = facts
        .alias
        .as_ref()
        .filter(|alias_now| alias && alias_now.version != "$LATEST");
    match named {
        Some(named) => facts
            .versions
            .iter()
            .find(|version| version.number == named.version)?
            .code
            .clone(),
        None => facts.function.code(),
    }
}

proptest! {
    #[test]
    fn a_function_ends_as_wanted_also_when_a_run_is_killed_after_any_step(
        facts in any_facts(), to in 0..4_u8, alias: bool, smoke: bool, killed in 0..6_usize,
    ) {
        let wanted = wanted(to, alias, smoke);
        let first = plan(&facts, &wanted);
        let left = carried_out(facts, &first, killed);
        let second = plan(&left, &wanted);
        let done = carried_out(left, &second, usize::MAX);
        prop_assert_eq!(called(&done, alias), Some(code(to)));
        prop_assert!(done.function.code().is_some_and(|now| now.is(&code(to))));
        prop_assert_eq!(plan(&done, &wanted).steps, vec![]);
    }

    #[test]
    fn callers_of_an_alias_never_lose_what_aws_does_not_tell_without_a_word(facts in any_facts(), to in 0..4_u8, alias: bool) {
        let mut facts = facts;
        (facts.function.digest, facts.function.image) = (None, None);
        let plan = plan(&facts, &wanted(to, alias, false));
        let at = plan.steps.iter().position(|step| *step == Step::UpdateCode).expect("an update");
        let before = carried_out(facts.clone(), &plan, at);
        let is_held = alias && before.alias.is_some_and(|alias| alias.version != "$LATEST");
        prop_assert_eq!(plan.no_way_back.is_none(), is_held);
        let is_kept = before.versions.len() > facts.versions.len();
        prop_assert_eq!(is_kept, facts.function.condition == Condition::Ready);
    }

    #[test]
    fn what_is_restored_is_never_what_is_wanted(facts in any_facts(), to in 0..4_u8, alias: bool) {
        let plan = plan(&facts, &wanted(to, alias, false));
        prop_assert!(plan.previous.is_none_or(|previous| !previous.is(&code(to))));
    }

    #[test]
    fn what_runs_is_kept_as_a_version_before_it_is_replaced(facts in any_facts(), to in 0..4_u8) {
        let plan = plan(&facts, &wanted(to, true, false));
        let is_kept = |facts: &Facts, now: &Code| facts.versions.iter().any(|version| version.code.as_ref() == Some(now));
        let now = facts.function.code().unwrap();
        let is_ready = facts.function.condition == Condition::Ready;
        if let Some(at) = plan.steps.iter().position(|step| *step == Step::UpdateCode) {
            let before = carried_out(facts, &plan, at);
            prop_assert!(!is_ready || is_kept(&before, &now));
        }
    }

    #[test]
    fn tags_are_six_different_legal_ones_and_moving_ones_come_last(
        prefix in "[a-z0-9_]?[a-z0-9._-]{0,20}", environment in "[a-z0-9]([a-z0-9._-]{0,20}[a-z0-9])?",
        revision in "[0-9a-f]{7,40}", dirty: bool, amd64: bool,
    ) {
        prop_assume!(prefix.is_empty() || !prefix.starts_with(['.', '-']));
        let arch = if amd64 { Arch::Amd64 } else { Arch::Arm64 };
        let tags = TagSet::new(&prefix, &environment, arch, "20260101-000000", &revision, dirty);
        let names: std::collections::BTreeSet<_> = tags.all().collect();
        prop_assert_eq!(names.len(), 6);
        let is_legal = |tag: &&str| {
            tag.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
                && tag.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        };
        prop_assert!(names.iter().all(is_legal), "{:?}", names);
        let kinds: Vec<_> = tags.iter().map(|tag| tag.kind == TagKind::Moving).collect();
        prop_assert!(kinds.is_sorted());
    }

    #[test]
    fn wildcards_are_those_of_ecr(pattern in "[ab*]{0,6}", tag in "[ab]{0,8}") {
        let mutability = Mutability::Immutable { except: vec![pattern.clone()], exclusions_known: true };
        prop_assert_eq!(mutability.can_move(&tag), matches(pattern.as_bytes(), tag.as_bytes()), "{} {}", pattern, tag);
    }
}

/// The definition: `*` stands for any characters, none included.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.first(), text.first()) {
        (None, _) => text.is_empty(),
        (Some(b'*'), None) => matches(&pattern[1..], text),
        (Some(b'*'), Some(_)) => matches(&pattern[1..], text) || matches(pattern, &text[1..]),
        (Some(sign), Some(other)) => sign == other && matches(&pattern[1..], &text[1..]),
        (Some(_), None) => false,
    }
}
