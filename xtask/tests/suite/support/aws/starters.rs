//! Rules and schedules of EventBridge that start tasks. Source: the API references of EventBridge and EventBridge Scheduler.

use serde_json::{Value, json};

use super::{Answer, Refusal, State, reply};

/// Something that starts tasks of the cluster `default`.
#[derive(Clone)]
pub(crate) struct Starter {
    /// Its name.
    pub name: String,
    /// Whether it is a rule, and not a schedule.
    pub is_rule: bool,
    /// The task definition that it names.
    pub task_definition: String,
}

const CLUSTER: &str = "arn:aws:ecs:eu-west-1:111122223333:cluster/default";

/// EventBridge.
pub(super) fn events(state: &State, operation: &str, body: &Value) -> Result<Value, Refusal> {
    let rules = || state.starters.iter().filter(|one| one.is_rule);
    match operation {
        "ListRuleNamesByTarget" if body["TargetArn"] == CLUSTER => {
            let names: Vec<_> = rules().map(|one| one.name.as_str()).collect();
            Ok(json!({ "RuleNames": names }))
        }
        "ListRuleNamesByTarget" => Ok(json!({ "RuleNames": [] })),
        "ListTargetsByRule" => {
            let found = rules().find(|one| body["Rule"] == one.name.as_str());
            let found = found.ok_or(("ResourceNotFoundException", "no rule".to_owned()))?;
            let target = json!({ "Id": "1", "Arn": CLUSTER,
                "EcsParameters": { "TaskDefinitionArn": found.task_definition } });
            let other = json!({ "Id": "2", "Arn": "arn:aws:sqs:eu-west-1:111122223333:x" });
            Ok(json!({ "Targets": [other, target] }))
        }
        _ => Err(("UnknownOperationException", operation.to_owned())),
    }
}

/// EventBridge Scheduler, whose API is one of paths.
pub(super) fn scheduler(state: &State, path: &str) -> Option<Answer> {
    let rest = path.strip_prefix("/schedules")?;
    let mut schedules = state.starters.iter().filter(|one| !one.is_rule);
    let target = |one: &Starter, whole: bool| {
        let mut target = json!({ "Arn": CLUSTER });
        if whole {
            target["RoleArn"] = json!("arn:aws:iam::111122223333:role/x");
            target["EcsParameters"] = json!({ "TaskDefinitionArn": one.task_definition });
        }
        json!({ "Name": one.name, "GroupName": "jobs", "State": "ENABLED", "Target": target })
    };
    let (name, query) = rest.split_once('?').unwrap_or((rest, ""));
    let body = match name.trim_start_matches('/') {
        "" => json!({ "Schedules": schedules.map(|one| target(one, false)).collect::<Vec<_>>() }),
        name => {
            let found = schedules.find(|one| one.name == name && query == "groupName=jobs")?;
            target(found, true)
        }
    };
    Some(reply::rest(&body))
}
