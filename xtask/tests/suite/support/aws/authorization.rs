//! Which IAM action each request to the double takes, and on which resource: what a policy has to allow.
//!
//! Source: AWS's Service Authorization Reference for each service; for the registry protocol, ECR's user guide, "Private registry
//! authentication" and "IAM permissions for pushing an image".

use serde_json::Value;

use super::{Request, lambda};

const PLACE: &str = "eu-west-1:111122223333";

/// An action, and the ARN that it is on: `*` where AWS knows no resource for it.
pub(crate) type Asked = (String, String);

/// What a request asks for.
pub(super) fn of(request: &Request) -> Vec<Asked> {
    if let Some(rest) = request.path.strip_prefix("/v2/") {
        return registry(&request.method, rest);
    }
    if let Some((operation, name)) = lambda::operation(request) {
        return vec![function(&operation, &name, &request.path)];
    }
    let path = request.path.split('?').next().unwrap_or_default();
    if path.ends_with("/operation/GetMetricStatistics") {
        return one("cloudwatch:GetMetricStatistics", "*");
    }
    if path.starts_with("/schedules") {
        let parts: Vec<_> = path.trim_matches('/').split('/').collect();
        return match parts.as_slice() {
            [_, name] => one(
                "scheduler:GetSchedule",
                &format!("arn:aws:scheduler:{PLACE}:schedule/default/{name}"),
            ),
            _ => one("scheduler:ListSchedules", "*"),
        };
    }
    if let Some(rest) = path.strip_prefix("/clusters/") {
        let parts: Vec<_> = rest.split('/').collect();
        return match parts.as_slice() {
            [cluster, "node-groups", group] => one(
                "eks:DescribeNodegroup",
                &format!("arn:aws:eks:{PLACE}:nodegroup/{cluster}/{group}/id"),
            ),
            [cluster, ..] => one(
                "eks:ListNodegroups",
                &format!("arn:aws:eks:{PLACE}:cluster/{cluster}"),
            ),
            [] => vec![],
        };
    }
    let Some(target) = request.header("x-amz-target") else {
        return one("sts:GetCallerIdentity", "*");
    };
    let (service, operation) = target.rsplit_once('.').unwrap_or_default();
    let body: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
    match service {
        "AppRunner" => apprunner(operation, &body),
        "AWSEvents" => events(operation, &body),
        "AmazonEC2ContainerServiceV20141113" => ecs(operation, &body),
        _ => one(&format!("ecr:{operation}"), &repository(operation, &body)),
    }
}

fn one(action: &str, resource: &str) -> Vec<Asked> {
    vec![(action.to_owned(), resource.to_owned())]
}

fn named(name: &str) -> String {
    format!("arn:aws:ecr:{PLACE}:repository/{name}")
}

fn repository(operation: &str, body: &Value) -> String {
    let name = body["repositoryName"].as_str();
    let name = name.or_else(|| body["repositoryNames"][0].as_str());
    match name {
        Some(name) if operation != "GetAuthorizationToken" => named(name),
        _ => "*".to_owned(),
    }
}

/// What docker's protocol takes, as ECR maps it.
fn registry(method: &str, rest: &str) -> Vec<Asked> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let kinds = ["/blobs/uploads/", "/blobs/", "/manifests/", "/tags/"];
    let Some((name, kind)) = kinds
        .iter()
        .find_map(|kind| Some((path.split_once(kind)?.0, *kind)))
    else {
        // The greeting: a token is all that it takes.
        return vec![];
    };
    let actions: &[&str] = match (method, kind) {
        ("POST", "/blobs/uploads/") => &["InitiateLayerUpload"],
        ("PATCH", "/blobs/uploads/") => &["UploadLayerPart"],
        ("PUT", "/blobs/uploads/") => &["UploadLayerPart", "CompleteLayerUpload"],
        ("HEAD", "/blobs/") => &["BatchCheckLayerAvailability"],
        ("GET", "/blobs/") => &["GetDownloadUrlForLayer"],
        ("PUT", "/manifests/") => &["PutImage"],
        (_, "/manifests/") => &["BatchGetImage"],
        _ => &["ListImages"],
    };
    let ours = actions
        .iter()
        .map(|action| (format!("ecr:{action}"), named(name)));
    // A blob that is mounted is read where it is.
    let from = query.split('&').find_map(|pair| pair.strip_prefix("from="));
    let mounted = from.map(|from| {
        (
            "ecr:GetDownloadUrlForLayer".to_owned(),
            named(&from.replace("%2F", "/")),
        )
    });
    ours.chain(mounted).collect()
}

fn function(operation: &str, name: &str, path: &str) -> Asked {
    let action = match operation {
        "Invoke" => "InvokeFunction",
        other => other,
    };
    let action = format!("lambda:{action}");
    if operation == "ListFunctions" {
        return (action, "*".to_owned());
    }
    let name = match operation {
        "TagResource" => path.rsplit("function%3A").next().unwrap_or_default(),
        _ => name,
    };
    let qualifier = path.split_once("Qualifier=").map(|(_, rest)| rest);
    let qualifier = qualifier.map(|rest| rest.split('&').next().unwrap_or_default());
    let qualifier = qualifier.map(|one| one.replace("%24", "$"));
    let qualifier = qualifier.map_or_else(String::new, |one| format!(":{one}"));
    (
        action,
        format!("arn:aws:lambda:{PLACE}:function:{name}{qualifier}"),
    )
}

fn apprunner(operation: &str, body: &Value) -> Vec<Asked> {
    let arn = body["ServiceArn"].as_str().unwrap_or("*");
    one(&format!("apprunner:{operation}"), arn)
}

fn events(operation: &str, body: &Value) -> Vec<Asked> {
    let resource = match body["Rule"].as_str() {
        Some(rule) => format!("arn:aws:events:{PLACE}:rule/{rule}"),
        None => "*".to_owned(),
    };
    one(&format!("events:{operation}"), &resource)
}

fn ecs(operation: &str, body: &Value) -> Vec<Asked> {
    let action = format!("ecs:{operation}");
    let text = |key: &str| body[key].as_str().unwrap_or("default");
    let cluster = text("cluster");
    let all = |kind: &str, key: &str| -> Vec<Asked> {
        let named = body[key].as_array().cloned().unwrap_or_default();
        let names = named.iter().filter_map(Value::as_str);
        let last = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
        names
            .map(|name| {
                (
                    action.clone(),
                    format!("arn:aws:ecs:{PLACE}:{kind}/{cluster}/{}", last(name)),
                )
            })
            .collect()
    };
    match operation {
        "DescribeServices" => all("service", "services"),
        "UpdateService" => one(
            &action,
            &format!("arn:aws:ecs:{PLACE}:service/{cluster}/{}", text("service")),
        ),
        "DescribeTasks" => all("task", "tasks"),
        "DescribeContainerInstances" => all("container-instance", "containerInstances"),
        "DescribeClusters" => {
            let name = body["clusters"][0].as_str().unwrap_or("default");
            one(&action, &format!("arn:aws:ecs:{PLACE}:cluster/{name}"))
        }
        "ListContainerInstances" => one(&action, &format!("arn:aws:ecs:{PLACE}:cluster/{cluster}")),
        "DescribeExpressGatewayService" | "UpdateExpressGatewayService" => {
            one(&action, body["serviceArn"].as_str().unwrap_or("*"))
        }
        "DescribeServiceDeployments" => one(
            &action,
            body["serviceDeploymentArns"][0].as_str().unwrap_or("*"),
        ),
        // Task definitions and lists have no resource.
        _ => one(&action, "*"),
    }
}
