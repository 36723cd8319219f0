//! What IAM actions are on: ARNs, narrowed to what deploy.toml names in an environment.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    Selected, going_to,
    model::{
        config::{Config, Environment},
        target::Target,
    },
};

/// What an action is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scope {
    /// AWS knows no resource for the action.
    Everything,
    Repository,
    /// With its versions and aliases.
    Function,
    AnyFunction,
    AppRunnerService,
    AnyAppRunnerService,
    EcsCluster,
    EcsService,
    AnyEcsService,
    /// A deployment of a service.
    ServiceDeployment,
    Task,
    /// An instance of a cluster.
    Instance,
    EksCluster,
    Nodegroup,
    /// A rule of EventBridge.
    Rule,
    Schedule,
    /// A role that tasks get.
    TaskRole,
    /// A role that App Runner pulls images with.
    AppRunnerRole,
}

impl Scope {
    /// The name of a statement: letters and digits.
    pub(super) fn sid(self) -> String {
        format!("{self:?}")
    }

    /// The condition of a statement.
    pub(super) fn condition(self) -> Option<Value> {
        let service = match self {
            Self::TaskRole => "ecs-tasks.amazonaws.com",
            Self::AppRunnerRole => "build.apprunner.amazonaws.com",
            _ => return None,
        };
        Some(json!({ "StringEquals": { "iam:PassedToService": service } }))
    }

    /// The ARNs in an environment, in each of its regions.
    pub(super) fn arns(self, config: &Config, environment: &Environment) -> BTreeSet<String> {
        environment
            .in_each_region()
            .flat_map(|environment| self.in_region(config, environment))
            .collect()
    }

    fn in_region(self, config: &Config, environment: &Environment) -> Vec<String> {
        let (account, region) = (&environment.account, &environment.region);
        let partition = partition(region);
        let arn = |service: &str, rest: &str| {
            format!("arn:{partition}:{service}:{region}:{account}:{rest}")
        };
        let of = |target: Target, name: &dyn Fn(Selected<'_>) -> String| -> Vec<String> {
            let all = going_to(config, environment).filter(|one| one.image.target == target);
            all.map(name).collect()
        };
        let (project, named) = (&config.project, &environment.name);
        let cluster = &environment.ecs_cluster;
        match self {
            Self::Everything => vec!["*".to_owned()],
            Self::Repository => {
                let Some(ecr) = environment.ecr() else {
                    return Vec::new();
                };
                let repository = |one: Selected<'_>| {
                    let name = environment.repository(project, &one.service.name, one.image.target);
                    let (region, account) = (&ecr.region, &ecr.account);
                    format!("arn:{partition}:ecr:{region}:{account}:repository/{name}")
                };
                going_to(config, environment).map(repository).collect()
            }
            Self::Function => {
                let names = of(Target::Lambda, &|one| {
                    one.image.function(project, named, &one.service.name)
                });
                let both =
                    |name: String| [format!("function:{name}"), format!("function:{name}:*")];
                let both = names.into_iter().flat_map(both);
                both.map(|name| arn("lambda", &name)).collect()
            }
            Self::AnyFunction => vec![arn("lambda", "function:*")],
            Self::AppRunnerService => of(Target::AppRunner, &|one| {
                let name = one
                    .image
                    .apprunner_service(project, named, &one.service.name);
                arn("apprunner", &format!("service/{name}/*"))
            }),
            Self::AnyAppRunnerService => vec![arn("apprunner", "service/*")],
            Self::EcsService => of(Target::Ecs, &|one| {
                let name = one.image.ecs_service(project, named, &one.service.name);
                arn("ecs", &format!("service/{cluster}/{name}"))
            }),
            Self::ServiceDeployment => of(Target::Ecs, &|one| {
                let name = one.image.ecs_service(project, named, &one.service.name);
                arn("ecs", &format!("service-deployment/{cluster}/{name}/*"))
            }),
            Self::EcsCluster => vec![arn("ecs", &format!("cluster/{cluster}"))],
            Self::AnyEcsService => vec![arn("ecs", &format!("service/{cluster}/*"))],
            Self::Task => vec![arn("ecs", &format!("task/{cluster}/*"))],
            Self::Instance => vec![arn("ecs", &format!("container-instance/{cluster}/*"))],
            Self::EksCluster | Self::Nodegroup => {
                let rest = |name: &String| match self {
                    Self::EksCluster => arn("eks", &format!("cluster/{name}")),
                    _ => arn("eks", &format!("nodegroup/{name}/*/*")),
                };
                environment.cluster.iter().map(rest).collect()
            }
            Self::Rule => vec![arn("events", "rule/*")],
            Self::Schedule => vec![arn("scheduler", "schedule/*/*")],
            Self::TaskRole | Self::AppRunnerRole => {
                vec![format!("arn:{partition}:iam::{account}:role/*")]
            }
        }
    }
}

/// The partition of a region. Source: "Amazon Resource Names (ARNs)" in the IAM user guide.
fn partition(region: &str) -> &'static str {
    if region.starts_with("cn-") {
        "aws-cn"
    } else if region.starts_with("us-gov-") {
        "aws-us-gov"
    } else {
        "aws"
    }
}
