//! ECS, with the rules that an emulator drops: revisions that never change, members that a registration does not know, a task that is
//! for another CPU than its image, deployments that take their time, and a circuit breaker.
//!
//! Source: `RegisterTaskDefinition`, `UpdateService`, `Deployment` and `UpdateExpressGatewayService` in ECS' API reference.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Refusal, State};

/// What ECS holds.
#[derive(Clone, Default)]
pub(crate) struct Ecs {
    /// Services of the cluster `default`, by name.
    pub services: BTreeMap<String, EcsService>,
    /// Revisions of task definitions, as they were registered, and whether each is active.
    pub definitions: Vec<(Value, bool)>,
    /// Digests whose tasks end at once, with the reason.
    pub crashes: BTreeMap<String, String>,
    /// Tasks that run: the ARN of the task definition, and the digest that was pulled.
    pub tasks: Vec<(String, String)>,
    /// The CPUs and the capacity providers of the cluster's instances.
    pub instances: Vec<(String, String)>,
}

/// A service.
#[derive(Clone)]
pub(crate) struct EcsService {
    /// Deployments, newest first.
    pub deployments: Vec<Deployed>,
    /// `ECS`, `CODE_DEPLOY` or `EXTERNAL`.
    pub controller: &'static str,
    /// Whether it is of Express Mode.
    pub is_express: bool,
    /// What becomes of a deployment whose tasks fail.
    pub breaker: Breaker,
    /// The capacity provider of instances, where it does not run on Fargate.
    pub provider: Option<String>,
    /// How often it is asked before tasks have started.
    pub polls: u32,
    /// How many deployments there were.
    pub count: u32,
}

/// A deployment.
#[derive(Clone)]
pub(crate) struct Deployed {
    id: String,
    /// The ARN of its task definition.
    pub definition: String,
    polls: u32,
    failed: i64,
    /// `IN_PROGRESS`, `COMPLETED` or `FAILED`.
    pub state: &'static str,
    reasons: Vec<String>,
}

/// What becomes of a deployment whose tasks fail.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Breaker {
    /// ECS starts more of them for ever.
    None,
    /// It ends as failed.
    Stops,
    /// It ends as failed, and the one before is deployed again.
    RollsBack,
}

/// Members of a registration. What AWS adds to a description is no member.
const MEMBERS: [&str; 14] = [
    "family",
    "taskRoleArn",
    "executionRoleArn",
    "networkMode",
    "containerDefinitions",
    "volumes",
    "placementConstraints",
    "requiresCompatibilities",
    "cpu",
    "memory",
    "tags",
    "runtimePlatform",
    "ephemeralStorage",
    "proxyConfiguration",
];

fn definition_arn(family: &str, revision: usize) -> String {
    format!("arn:aws:ecs:eu-west-1:111122223333:task-definition/{family}:{revision}")
}

impl Ecs {
    /// Registers a revision. Returns its ARN.
    pub(crate) fn register(&mut self, body: &Value) -> String {
        let family = body["family"].as_str().unwrap_or_default().to_owned();
        let of_family = |one: &&(Value, bool)| one.0["family"] == body["family"];
        let revision = self.definitions.iter().filter(of_family).count() + 1;
        let mut body = body.clone();
        let arn = definition_arn(&family, revision);
        body["taskDefinitionArn"] = json!(arn);
        self.definitions.push((body, true));
        arn
    }

    /// Adds a service that runs this revision.
    pub(crate) fn add(&mut self, name: &str, definition: &str) -> &mut EcsService {
        let deployed = Deployed {
            id: "ecs-svc/1".into(),
            definition: definition.into(),
            polls: 0,
            failed: 0,
            state: "COMPLETED",
            reasons: vec![],
        };
        let service = EcsService {
            deployments: vec![deployed],
            controller: "ECS",
            is_express: false,
            breaker: Breaker::RollsBack,
            provider: None,
            polls: 1,
            count: 1,
        };
        self.services.insert(name.into(), service);
        self.services.get_mut(name).unwrap()
    }

    /// A revision, and whether it is active: by its ARN, or the newest active one of a family.
    pub(crate) fn definition(&self, name: &str) -> Option<&(Value, bool)> {
        let by_arn = |one: &&(Value, bool)| one.0["taskDefinitionArn"] == name;
        let by_family = |one: &&(Value, bool)| one.1 && one.0["family"] == name;
        let mut all = self.definitions.iter();
        all.find(by_arn)
            .or_else(|| self.definitions.iter().rev().find(by_family))
    }

    /// The revision that a service is to run.
    pub(crate) fn of_service(&self, name: &str) -> &Value {
        let arn = &self.services[name].deployments[0].definition;
        &self.definition(arn).unwrap().0
    }
}

impl EcsService {
    fn deploy(&mut self, definition: &str) {
        self.count += 1;
        let deployed = Deployed {
            id: format!("ecs-svc/{}", self.count),
            definition: definition.into(),
            polls: self.polls,
            failed: 0,
            state: "IN_PROGRESS",
            reasons: vec![],
        };
        self.deployments.insert(0, deployed);
    }

    /// One look later. `trouble` is why tasks of the newest deployment do not start.
    fn advance(&mut self, trouble: Option<String>) {
        let breaker = self.breaker;
        let newest = &mut self.deployments[0];
        if newest.state != "IN_PROGRESS" {
            return;
        }
        if newest.polls > 0 {
            newest.polls -= 1;
            return;
        }
        let Some(trouble) = trouble else {
            newest.state = "COMPLETED";
            self.deployments.truncate(1);
            return;
        };
        newest.failed += 1;
        newest.reasons.push(trouble);
        if newest.failed < 3 || breaker == Breaker::None {
            return;
        }
        newest.state = "FAILED";
        let before = self.deployments.iter().find(|one| one.state == "COMPLETED");
        if let Some(before) = before.filter(|_| breaker == Breaker::RollsBack) {
            let definition = before.definition.clone();
            self.deploy(&definition);
        }
    }

    fn described(&self, name: &str) -> Value {
        let deployments = self.deployments.iter().enumerate().map(|(place, one)| {
            let reason = if one.state == "FAILED" {
                "ECS deployment circuit breaker: tasks failed to start."
            } else {
                ""
            };
            json!({ "id": one.id, "status": if place == 0 { "PRIMARY" } else { "ACTIVE" },
                    "taskDefinition": one.definition, "rolloutState": one.state, "rolloutStateReason": reason,
                    "failedTasks": one.failed, "desiredCount": 1, "pendingCount": 0,
                    "runningCount": i32::from(one.state == "COMPLETED") })
        });
        let mut service = json!({
            "serviceName": name, "serviceArn": service_arn(name), "status": "ACTIVE", "desiredCount": 1,
            "taskDefinition": self.deployments[0].definition, "deployments": deployments.collect::<Vec<_>>(),
            "deploymentController": { "type": self.controller }, "platformVersion": "LATEST",
            "deploymentConfiguration": { "deploymentCircuitBreaker": {
                "enable": self.breaker != Breaker::None, "rollback": self.breaker == Breaker::RollsBack } },
            "resourceManagementType": if self.is_express { "ECS" } else { "CUSTOMER" },
        });
        if self.controller == "EXTERNAL" {
            service.as_object_mut().unwrap().remove("taskDefinition");
        }
        match &self.provider {
            Some(provider) => {
                service["capacityProviderStrategy"] = json!([{ "capacityProvider": provider }]);
            }
            None => service["launchType"] = json!("FARGATE"),
        }
        service
    }
}

/// A page of a list by its name, and the token of the next if there is one.
fn page(list: &str, all: &[String], body: &Value, most: usize) -> Value {
    let asked = body["maxResults"]
        .as_u64()
        .and_then(|number| usize::try_from(number).ok());
    let most = asked.unwrap_or(most).min(100);
    let start = body["nextToken"]
        .as_str()
        .and_then(|token| token.parse().ok())
        .unwrap_or(0);
    let page: Vec<_> = all.iter().skip(start).take(most).collect();
    let mut answer = json!({ list: page });
    if start + most < all.len() {
        answer["nextToken"] = json!((start + most).to_string());
    }
    answer
}

fn service_arn(name: &str) -> String {
    format!("arn:aws:ecs:eu-west-1:111122223333:service/default/{name}")
}

fn client(message: impl Into<String>) -> Refusal {
    ("ClientException", message.into())
}

pub(super) fn ecs(state: &mut State, operation: &str, body: &Value) -> Result<Value, Refusal> {
    let cluster = body["cluster"].as_str();
    if cluster.is_some_and(|cluster| cluster != "default") {
        return Err(("ClusterNotFoundException", "Cluster not found.".into()));
    }
    match operation {
        "DescribeTaskDefinition" => {
            let name = body["taskDefinition"].as_str().unwrap_or_default();
            let found = state.ecs.definition(name);
            let (found, is_active) =
                found.ok_or_else(|| client("Unable to describe task definition."))?;
            let (mut shown, tags) = without_tags(found);
            shown["status"] = json!(if *is_active { "ACTIVE" } else { "INACTIVE" });
            shown["registeredAt"] = json!(1);
            shown["requiresAttributes"] = json!([{ "name": "ecs.capability.task-eni" }]);
            shown["compatibilities"] = json!(["EC2", "FARGATE"]);
            Ok(json!({ "taskDefinition": shown, "tags": tags }))
        }
        "RegisterTaskDefinition" => {
            checked(body)?;
            let arn = state.ecs.register(body);
            let (shown, tags) = without_tags(&state.ecs.definition(&arn).unwrap().0);
            Ok(json!({ "taskDefinition": shown, "tags": tags }))
        }
        "DeregisterTaskDefinition" => {
            let definitions = state.ecs.definitions.iter_mut();
            let mut ours =
                definitions.filter(|one| one.0["taskDefinitionArn"] == body["taskDefinition"]);
            ours.next().ok_or_else(|| client("no such revision"))?.1 = false;
            Ok(json!({}))
        }
        "DescribeServices" => {
            let named = body["services"].as_array().cloned().unwrap_or_default();
            if named.is_empty() || named.len() > 10 {
                let text = "services: 1 to 10";
                return Err(("InvalidParameterException", text.into()));
            }
            let (mut found, mut failures) = (Vec::new(), Vec::new());
            for name in named.iter().filter_map(Value::as_str) {
                let name = name.rsplit('/').next().unwrap_or_default();
                let Some(service) = state.ecs.services.get(name) else {
                    failures.push(json!({ "arn": service_arn(name), "reason": "MISSING" }));
                    continue;
                };
                let trouble = trouble(state, &service.deployments[0].definition);
                let service = state.ecs.services.get_mut(name).unwrap();
                service.advance(trouble);
                found.push(service.described(name));
            }
            Ok(json!({ "services": found, "failures": failures }))
        }
        "ListServices" => {
            let arns = state.ecs.services.keys().map(|name| service_arn(name));
            Ok(page("serviceArns", &arns.collect::<Vec<_>>(), body, 10))
        }
        "DescribeClusters" => {
            let arn = "arn:aws:ecs:eu-west-1:111122223333:cluster/default";
            let is_it = body["clusters"][0] == "default";
            let found = is_it.then(|| json!({ "clusterArn": arn, "clusterName": "default" }));
            Ok(json!({ "clusters": found.into_iter().collect::<Vec<_>>(), "failures": [] }))
        }
        "ListTaskDefinitions" => {
            let its = |one: &&(Value, bool)| one.1 && one.0["family"] == body["familyPrefix"];
            let all = state.ecs.definitions.iter().filter(its);
            let mut arns: Vec<_> = all
                .filter_map(|one| one.0["taskDefinitionArn"].as_str().map(str::to_owned))
                .collect();
            if body["sort"] == "DESC" {
                arns.reverse();
            }
            Ok(page("taskDefinitionArns", &arns, body, 100))
        }
        "ListTasks" if body["serviceName"].is_null() || body["desiredStatus"] == "RUNNING" => {
            let arns = (0..state.ecs.tasks.len())
                .map(|number| format!("arn:aws:ecs:eu-west-1:111122223333:task/default/{number}"));
            Ok(page("taskArns", &arns.collect::<Vec<_>>(), body, 100))
        }
        "DescribeTasks"
            if body["tasks"][0]
                .as_str()
                .is_some_and(|arn| arn.starts_with("arn:")) =>
        {
            let named = body["tasks"].as_array().cloned().unwrap_or_default();
            let task = |arn: &Value| {
                let number: usize = arn.as_str()?.rsplit('/').next()?.parse().ok()?;
                let (definition, digest) = state.ecs.tasks.get(number)?;
                Some(
                    json!({ "taskArn": arn, "taskDefinitionArn": definition, "lastStatus": "RUNNING",
                             "containers": [{ "name": "web", "imageDigest": digest }] }),
                )
            };
            Ok(
                json!({ "tasks": named.iter().filter_map(task).collect::<Vec<_>>(), "failures": [] }),
            )
        }
        "UpdateService" => {
            let name = body["service"].as_str().unwrap_or_default();
            let definition = body["taskDefinition"].as_str().unwrap_or_default();
            if !state.ecs.definition(definition).is_some_and(|one| one.1) {
                return Err(client("TaskDefinition is inactive"));
            }
            let service = state.ecs.services.get_mut(name);
            let service =
                service.ok_or(("ServiceNotFoundException", "Service not found.".into()))?;
            if service.controller != "ECS" || service.is_express {
                let text = "Unable to update task definition on services with another deployment controller.";
                return Err(("InvalidParameterException", text.into()));
            }
            service.deploy(definition);
            Ok(json!({ "service": service.described(name) }))
        }
        "DescribeExpressGatewayService" | "UpdateExpressGatewayService" => {
            express(state, operation, body)
        }
        "ListTasks" => {
            let name = body["serviceName"].as_str().unwrap_or_default();
            let service = state.ecs.services.get(name);
            let count = service.map_or(0, |service| stopped(service).len());
            let arns = (0..count).map(|number| format!("{name}/{number}"));
            Ok(json!({ "taskArns": arns.collect::<Vec<_>>() }))
        }
        "DescribeTasks" => {
            let name = body["tasks"][0]
                .as_str()
                .and_then(|arn| arn.split('/').next());
            let service = state.ecs.services.get(name.unwrap_or_default());
            Ok(json!({ "tasks": service.map(stopped).unwrap_or_default() }))
        }
        "ListContainerInstances" => {
            let arns = (0..state.ecs.instances.len()).map(|number| format!("instance/{number}"));
            Ok(json!({ "containerInstanceArns": arns.collect::<Vec<_>>() }))
        }
        "DescribeContainerInstances" => {
            let instance = |(number, (cpu, provider)): (usize, &(String, String))| {
                json!({ "containerInstanceArn": format!("instance/i-{number}"), "capacityProviderName": provider,
                        "attributes": [{ "name": "ecs.cpu-architecture", "value": cpu },
                                       { "name": "ecs.instance-type", "value": "c7g.large" }] })
            };
            let all = state.ecs.instances.iter().enumerate().map(instance);
            Ok(json!({ "containerInstances": all.collect::<Vec<_>>(), "failures": [] }))
        }
        other => Err((
            "UnknownOperationException",
            format!("the double does not know {other}"),
        )),
    }
}

/// A task definition, and its tags, which are told beside it.
fn without_tags(definition: &Value) -> (Value, Value) {
    let mut shown = definition.clone();
    let tags = shown.as_object_mut().unwrap().remove("tags");
    (shown, tags.unwrap_or(json!([])))
}

fn checked(body: &Value) -> Result<(), Refusal> {
    let unknown = |key: &&String| !MEMBERS.contains(&key.as_str());
    if let Some(key) = body.as_object().and_then(|all| all.keys().find(unknown)) {
        return Err(client(format!("Unknown parameter in input: \"{key}\"")));
    }
    let containers = body["containerDefinitions"].as_array();
    if containers.is_none_or(|all| all.iter().any(|one| one["image"].as_str().is_none())) {
        return Err(client("Container.image should not be null or empty."));
    }
    let on_fargate = body["requiresCompatibilities"]
        .as_array()
        .is_some_and(|all| all.contains(&json!("FARGATE")));
    if on_fargate && (body["cpu"].is_null() || body["networkMode"] != "awsvpc") {
        return Err(client(
            "Fargate requires cpu, memory and network mode awsvpc.",
        ));
    }
    Ok(())
}

fn express(state: &mut State, operation: &str, body: &Value) -> Result<Value, Refusal> {
    let name = body["serviceArn"]
        .as_str()
        .and_then(|arn| arn.rsplit('/').next());
    let name = name.unwrap_or_default().to_owned();
    let definition = state.ecs.of_service(&name).clone();
    let container = &definition["containerDefinitions"][0];
    if operation == "DescribeExpressGatewayService" {
        let configuration = json!({
            "taskDefinitionArn": definition["taskDefinitionArn"], "createdAt": 2,
            "primaryContainer": { "image": container["image"], "containerPort": 8080, "environment": container["environment"] } });
        let older = json!({ "createdAt": 1, "primaryContainer": { "image": "older" } });
        return Ok(json!({ "service": { "serviceArn": body["serviceArn"],
                          "activeConfigurations": [older, configuration] } }));
    }
    let arn = match body["taskDefinitionArn"].as_str() {
        Some(_) if !body["primaryContainer"].is_null() || !body["cpuArchitecture"].is_null() => {
            let text = "taskDefinitionArn cannot stand beside primaryContainer and cpuArchitecture";
            return Err(("InvalidParameterException", text.into()));
        }
        Some(arn) => arn.to_owned(),
        None => {
            let primary = &body["primaryContainer"];
            let mut next = definition;
            next["containerDefinitions"][0]["image"] = primary["image"].clone();
            next["containerDefinitions"][0]["environment"] = primary["environment"].clone();
            next["runtimePlatform"] = json!({ "cpuArchitecture": body["cpuArchitecture"] });
            state.ecs.register(&next)
        }
    };
    state.ecs.services.get_mut(&name).unwrap().deploy(&arn);
    Ok(json!({ "service": { "serviceArn": body["serviceArn"] } }))
}

/// Why a task of this revision does not start: its image is for another CPU, or ends at once.
fn trouble(state: &State, arn: &str) -> Option<String> {
    let (definition, _) = state.ecs.definition(arn)?;
    let cpu = definition["runtimePlatform"]["cpuArchitecture"].as_str();
    let cpu = if cpu == Some("ARM64") {
        "arm64"
    } else {
        "amd64"
    };
    let containers = definition["containerDefinitions"].as_array()?;
    containers.iter().find_map(|container| {
        let digest = pulled(state, container["image"].as_str()?)?;
        let built = state.image_arch(&digest)?;
        let crash = state.ecs.crashes.get(&digest).cloned();
        crash.or_else(|| (built != cpu).then(|| "exec /app: exec format error".to_owned()))
    })
}

/// The digest of an image as it would be pulled now: that of a tag may be another than before.
fn pulled(state: &State, image: &str) -> Option<String> {
    if let Some((_, digest)) = image.split_once('@') {
        return Some(digest.to_owned());
    }
    let (name, tag) = image.rsplit_once(':')?;
    let (_, name) = name.split_once('/')?;
    state.repositories.get(name)?.tags.get(tag).cloned()
}

fn stopped(service: &EcsService) -> Vec<Value> {
    let of = |deployment: &Deployed| {
        let id = deployment.id.clone();
        let definition = deployment.definition.clone();
        let reasons = deployment.reasons.clone().into_iter();
        reasons.map(move |reason| {
            json!({ "startedBy": id, "taskDefinitionArn": definition, "lastStatus": "STOPPED", "stoppedReason": "Essential container in task exited",
                    "containers": [{ "name": "web", "exitCode": 1, "reason": reason }] })
        })
    };
    service.deployments.iter().flat_map(of).collect()
}
