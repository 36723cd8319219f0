//! An ECR lifecycle policy that is safe for the tags of this tool.
//!
//! Source: "Automate the cleanup of images by using lifecycle policies" and "Lifecycle policy properties" in ECR's user guide: rules
//! apply by priority, the lowest number first; an image that has the tags of one rule is never expired by a later one, also where the
//! first does not expire it; patterns of one rule must all fit; a pattern has at most four `*`, a policy at most fifty rules; an image
//! that an image index has is not expired before the index.

use std::{collections::BTreeSet, time::Duration};

use serde::Serialize;
use serde_json::Value;

use super::scheme::Scheme;
use crate::{
    MOVABLE_TAGS,
    model::{pattern::TagPattern, refusal::Refusal},
};

/// The most rules of a policy.
const RULES: usize = 50;

const DAY: u64 = 24 * 60 * 60;

/// A rule that keeps what has its tags: it would expire images only beyond this number, and each tag names one image.
const ALL: u64 = 9999;

/// A policy as ECR takes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LifecyclePolicy {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    rule_priority: usize,
    description: String,
    selection: Selection,
    action: Action,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Selection {
    tag_status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tag_pattern_list: Vec<String>,
    count_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    count_unit: Option<&'static str>,
    count_number: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Action {
    r#type: &'static str,
}

impl LifecyclePolicy {
    /// As JSON.
    pub fn json(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    fn add(&mut self, description: String, selection: Selection) {
        self.rules.push(Rule {
            rule_priority: self.rules.len() + 1,
            description,
            selection,
            action: Action { r#type: "expire" },
        });
    }
}

fn tagged(pattern: &str, most: u64) -> Selection {
    Selection {
        tag_status: "tagged",
        tag_pattern_list: vec![pattern.to_owned()],
        count_type: "imageCountMoreThan",
        count_unit: None,
        count_number: most,
    }
}

/// The policy of a repository. Rules that keep moving tags and releases come first. What has no tag expires with its age; what an
/// environment had expires only with `keep`, for no policy knows what runs.
///
/// # Errors
/// More rules than ECR takes.
pub fn lifecycle_policy(
    scheme: &Scheme<'_>,
    older: Duration,
    keep: Option<usize>,
) -> Result<LifecyclePolicy, Refusal> {
    let mut policy = LifecyclePolicy { rules: Vec::new() };
    for pattern in kept(scheme) {
        let description = format!("keep what {pattern} names");
        policy.add(description, tagged(&pattern, ALL));
    }
    for (pattern, most) in keep.map(|keep| counted(scheme, keep)).unwrap_or_default() {
        let description = format!("keep the newest {most} of {pattern}");
        policy.add(description, tagged(&pattern, most));
    }
    let days = older.as_secs().div_ceil(DAY).max(1);
    policy.add(
        format!("expire what has had no tag for {days} days since its push"),
        Selection {
            tag_status: "untagged",
            tag_pattern_list: Vec::new(),
            count_type: "sinceImagePushed",
            count_unit: Some("days"),
            count_number: days,
        },
    );
    if policy.rules.len() > RULES {
        let count = policy.rules.len();
        return Err(Refusal::new(
            format!(
                "a lifecycle policy for this repository would have {count} rules, and ECR takes {RULES}"
            ),
            "leave out `--keep`, or give services repositories of their own (`repository = \"{project}/{service}\"`)",
        ));
    }
    Ok(policy)
}

/// Patterns of what is never to expire: moving tags, caches and releases.
fn kept(scheme: &Scheme<'_>) -> Vec<String> {
    let [latest, _] = MOVABLE_TAGS;
    let mut all = vec![latest.to_owned()];
    for name in &scheme.names {
        let (service, image) = (&name.selected.service.name, name.selected.image);
        let patterns = scheme.config.patterns(name.environment, image);
        for pattern in patterns.filter(|one| one.moves() || TagPattern::names_release(one)) {
            let one = pattern.wildcard(&image.tag_prefix, &name.environment.name, service);
            if !all.contains(&one) {
                all.push(one);
            }
        }
    }
    all
}

/// Patterns of the times at which images went to an environment, and how many images of each are kept: an image index and its
/// images are as many as they are.
fn counted(scheme: &Scheme<'_>, keep: usize) -> Vec<(String, u64)> {
    let group = |name: &super::scheme::Name<'_>| {
        let (prefix, environment) = (&name.selected.image.tag_prefix, &name.environment.name);
        format!("{prefix}{environment}-20")
    };
    let groups: BTreeSet<String> = scheme.names.iter().map(group).collect();
    let mut counted: Vec<(String, u64)> = Vec::new();
    for name in &scheme.names {
        let begin = group(name);
        // Its pattern would count the images of another environment as its own.
        let takes_others = groups
            .iter()
            .any(|other| *other != begin && other.starts_with(&begin));
        let pattern = format!("{begin}*");
        if takes_others || counted.iter().any(|(known, _)| *known == pattern) {
            continue;
        }
        let archs = scheme.config.archs(name.selected.image).len();
        let images = if archs > 1 { archs + 1 } else { 1 };
        let most = u64::try_from(keep.max(1).saturating_mul(images)).unwrap_or(u64::MAX);
        counted.push((pattern, most));
    }
    counted
}

/// What a policy would change of the present one, a rule a line: what goes after `-`, what comes after `+`. Nothing where they are
/// the same.
pub fn difference(present: Option<&Value>, wanted: &Value) -> Vec<String> {
    let rules = |policy: Option<&Value>| {
        let rules = policy.and_then(|policy| policy.get("rules")?.as_array());
        let mut rules = rules.cloned().unwrap_or_default();
        rules.sort_by_key(|rule| rule.get("rulePriority").and_then(Value::as_u64));
        rules
    };
    let (before, after) = (rules(present), rules(Some(wanted)));
    let gone = before.iter().filter(|rule| !after.contains(rule));
    let new = after.iter().filter(|rule| !before.contains(rule));
    gone.map(|rule| format!("- {rule}"))
        .chain(new.map(|rule| format!("+ {rule}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        fixtures::{config, image, service},
        model::{config::Config, target::Target},
    };

    const DAYS: Duration = Duration::from_hours(30 * 24);

    fn made(project: &Config, keep: Option<usize>) -> Value {
        let environments: Vec<_> = project.environments.values().collect();
        let scheme = Scheme::of(project, &environments, "shop");
        lifecycle_policy(&scheme, DAYS, keep).unwrap().json()
    }

    /// A project whose one image goes to each of these environments.
    fn project(environments: &[&str]) -> Config {
        let mut image = image(Target::Eks);
        image.environments = environments.iter().map(|one| (*one).to_owned()).collect();
        config(service(image))
    }

    /// A rule in short: its pattern, and how many or how long it keeps.
    fn shown(policy: &Value) -> Vec<(String, u64)> {
        let rules = policy["rules"].as_array().unwrap().iter().enumerate();
        let rules = rules.map(|(place, rule)| {
            assert_eq!(rule["rulePriority"], place + 1);
            assert_eq!(rule["action"], json!({ "type": "expire" }));
            let selection = &rule["selection"];
            let patterns = selection["tagPatternList"].as_array();
            let pattern = patterns.map_or("untagged", |all| {
                assert_eq!(all.len(), 1, "several would all have to fit");
                all[0].as_str().unwrap()
            });
            (
                pattern.to_owned(),
                selection["countNumber"].as_u64().unwrap(),
            )
        });
        rules.collect()
    }

    #[test]
    fn a_policy_keeps_moving_tags_first_and_expires_what_has_no_tag() {
        let mut project = project(&["dev", "prod"]);
        assert_eq!(
            shown(&made(&project, None)),
            [("*latest".to_owned(), ALL), ("untagged".to_owned(), 30)]
        );
        let patterns = ["{env}-{branch}", "v{version}", "{sha}"];
        project.tags = patterns.map(|text| TagPattern::parse(text).unwrap()).into();
        project.environments.get_mut("prod").unwrap().protected = true;
        let of = |pattern: &str, most| (pattern.to_owned(), most);
        assert_eq!(
            shown(&made(&project, Some(5))),
            [
                of("*latest", ALL),
                of("api-prod-*", ALL),
                of("api-v*", ALL),
                of("api-dev-*", ALL),
                of("api-prod-20*", 5),
                of("api-dev-20*", 5),
                of("untagged", 30),
            ]
        );
    }

    #[test]
    fn an_index_counts_with_its_images_and_no_environment_counts_those_of_another() {
        let mut project = project(&["dev", "prod", "dev-20x"]);
        let shop = project.services.get_mut("api").unwrap();
        shop.images[0].multi_arch = true;
        let mut other = project.environments["dev"].clone();
        other.name = "dev-20x".into();
        project.environments.insert(other.name.clone(), other);
        let rules = shown(&made(&project, Some(2)));
        let counted: Vec<_> = rules
            .iter()
            .map(|(pattern, most)| (pattern.as_str(), *most))
            .collect();
        assert_eq!(
            counted,
            [
                ("*latest", ALL),
                ("api-dev-20x-20*", 6),
                ("api-prod-20*", 6),
                ("untagged", 30)
            ]
        );
    }

    #[test]
    fn more_rules_than_ecr_takes_are_refused() {
        let names: Vec<String> = (0..60).map(|number| format!("dev{number}x")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut project = project(&names);
        for name in names {
            let mut one = project.environments["dev"].clone();
            one.name = name.to_owned();
            project.environments.insert(one.name.clone(), one);
        }
        let environments: Vec<_> = project.environments.values().collect();
        let scheme = Scheme::of(&project, &environments, "shop");
        assert!(lifecycle_policy(&scheme, DAYS, None).is_ok());
        let refusal = lifecycle_policy(&scheme, DAYS, Some(1)).unwrap_err();
        assert!(refusal.problem.contains("62 rules"), "{refusal}");
    }

    #[test]
    fn the_difference_of_two_policies_is_shown_by_their_rules() {
        let project = project(&["dev"]);
        let wanted = made(&project, None);
        assert_eq!(difference(Some(&wanted), &wanted), [""; 0]);
        assert_eq!(difference(None, &wanted).len(), 2);
        let mut other = wanted.clone();
        other["rules"][1]["selection"]["countNumber"] = json!(7);
        let lines = difference(Some(&other), &wanted);
        assert!(
            lines[0].starts_with("- ") && lines[0].contains(":7"),
            "{lines:?}"
        );
        assert!(
            lines[1].starts_with("+ ") && lines[1].contains(":30"),
            "{lines:?}"
        );
    }
}
