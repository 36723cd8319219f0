//! App Runner, of which there is no emulator: operations that take their time, no second one meanwhile, and a failed
//! deployment after which the service says `RUNNING` again.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Refusal, State};

/// A service.
#[derive(Clone, Default)]
pub(crate) struct Service {
    /// The image that it is configured with.
    pub image: String,
    /// What it was configured with before the operation that is under way.
    pub before: String,
    /// Variables that an update must not lose.
    pub variables: BTreeMap<String, String>,
    /// Operations: id, status, and how often it is asked before it ends.
    pub operations: Vec<(String, String, u32)>,
    /// What the next operation ends as. `SUCCEEDED` when empty.
    pub ends: String,
}

impl Service {
    /// Time passes: an operation comes nearer to its end with every look.
    fn go_on(&mut self) {
        let ends = if self.ends.is_empty() {
            "SUCCEEDED"
        } else {
            self.ends.as_str()
        }
        .to_owned();
        if let Some(last) = self
            .operations
            .last_mut()
            .filter(|last| last.1 == "IN_PROGRESS")
        {
            last.2 -= 1;
            if last.2 == 0 {
                last.1.clone_from(&ends);
                if ends != "SUCCEEDED" {
                    self.image = self.before.clone();
                }
            }
        }
    }

    /// A service that runs this image.
    pub(crate) fn new(image: &str) -> Self {
        let variables = BTreeMap::from([("MODE".to_owned(), "live".to_owned())]);
        Self {
            image: image.to_owned(),
            variables,
            ..Self::default()
        }
    }

    fn is_busy(&self) -> bool {
        self.operations
            .last()
            .is_some_and(|(_, status, _)| status == "IN_PROGRESS")
    }

    fn start(&mut self) -> String {
        let id = operation_id(self.operations.len() + 1);
        self.operations
            .push((id.clone(), "IN_PROGRESS".to_owned(), 2));
        id
    }
}

pub(super) fn apprunner(
    state: &mut State,
    operation: &str,
    body: &Value,
) -> Result<Value, Refusal> {
    if operation == "ListServices" {
        let all = state.services.keys().map(
            |name| json!({ "ServiceName": name, "ServiceArn": arn(name), "Status": "RUNNING" }),
        );
        return Ok(json!({ "ServiceSummaryList": all.collect::<Vec<_>>() }));
    }
    let name = body["ServiceArn"]
        .as_str()
        .and_then(|arn| arn.split('/').nth(1))
        .unwrap_or_default()
        .to_owned();
    let service = state.services.get_mut(&name);
    let service =
        service.ok_or_else(|| ("ResourceNotFoundException", format!("no service {name}")))?;
    match operation {
        "DescribeService" => {
            let described = json!({ "Service": described(&name, service) });
            service.go_on();
            Ok(described)
        }
        "ListOperations" => {
            service.go_on();
            let all = service
                .operations
                .iter()
                .rev()
                .map(|(id, status, _)| json!({ "Id": id, "Status": status }));
            Ok(json!({ "OperationSummaryList": all.collect::<Vec<_>>() }))
        }
        "UpdateService" => {
            if service.is_busy() {
                return Err((
                    "InvalidStateException",
                    format!("Service cannot be updated in the current state: {name}"),
                ));
            }
            let repository = &body["SourceConfiguration"]["ImageRepository"];
            let image = repository["ImageIdentifier"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            // What is left out of the source configuration is lost.
            let variables = &repository["ImageConfiguration"]["RuntimeEnvironmentVariables"];
            service.variables = serde_json::from_value(variables.clone()).unwrap_or_default();
            service.before = std::mem::replace(&mut service.image, image);
            let id = service.start();
            Ok(json!({ "OperationId": id, "Service": described(&name, service) }))
        }
        "StartDeployment" => {
            if service.is_busy() {
                return Err(("InvalidRequestException", format!("{name} is busy")));
            }
            service.before = service.image.clone();
            Ok(json!({ "OperationId": service.start() }))
        }
        other => Err((
            "UnknownOperationException",
            format!("the double does not know {other}"),
        )),
    }
}

/// An id, as App Runner has them: a UUID.
pub(crate) fn operation_id(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

fn arn(name: &str) -> String {
    format!("arn:aws:apprunner:eu-west-1:111122223333:service/{name}/1")
}

fn described(name: &str, service: &Service) -> Value {
    json!({
        "ServiceName": name, "ServiceId": "8".repeat(32), "ServiceArn": arn(name), "CreatedAt": 1, "UpdatedAt": 1,
        "Status": if service.is_busy() { "OPERATION_IN_PROGRESS" } else { "RUNNING" },
        "SourceConfiguration": { "AutoDeploymentsEnabled": false, "ImageRepository": {
            "ImageIdentifier": service.image, "ImageRepositoryType": "ECR",
            "ImageConfiguration": { "Port": "8080", "RuntimeEnvironmentVariables": service.variables } } },
        "InstanceConfiguration": { "Cpu": "1024", "Memory": "2048" },
        "AutoScalingConfigurationSummary": {}, "NetworkConfiguration": {},
    })
}
