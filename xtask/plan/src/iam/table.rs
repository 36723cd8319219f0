//! Which IAM actions each command takes, on what, and when: the one table of them.
//!
//! Source: AWS's Service Authorization Reference for each service; for pushes and pulls ECR's user guide, "IAM permissions for pushing an
//! image". Tests run every command, and compare what it asks for with this table.

use super::{
    command::Command::{
        self, Deploy, MigrateApprunner, MigrateEcs, MigrateEks, MigrateLambda, Promote,
        PromoteFrom, Prune, Push, Rollback, Scan, Status, Verify,
    },
    scope::Scope::{
        self, AnyAppRunnerService, AnyEcsService, AnyFunction, AppRunnerRole, AppRunnerService,
        EcsCluster, EcsService, EksCluster, Everything, Function, Instance, Nodegroup, Repository,
        Rule, Schedule, ServiceDeployment, Task, TaskRole,
    },
};

/// What an environment's configuration decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum If {
    /// Nothing does.
    Always,
    /// Its registry is one of ECR.
    Ecr,
    /// Missing repositories are made.
    CreatesRepositories,
    /// Images are scanned before their moving tags.
    Scans,
    /// Some image is for this.
    Runs(On),
    /// Some function has an alias.
    Alias,
    /// Some function is invoked.
    Invokes,
    /// Deployments are written to functions' tags.
    Tags,
}

/// What runs images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum On {
    Lambda,
    AppRunner,
    Ecs,
    /// Kubernetes, with the name of an EKS cluster.
    Eks,
}

/// A row.
pub(super) struct Row {
    pub actions: &'static [&'static str],
    pub scope: Scope,
    pub commands: &'static [Command],
    pub given: If,
    /// When a run takes it, where not every one does.
    pub when: Option<&'static str>,
}

const fn row(
    actions: &'static [&'static str],
    scope: Scope,
    commands: &'static [Command],
    given: If,
) -> Row {
    Row {
        actions,
        scope,
        commands,
        given,
        when: None,
    }
}

impl Row {
    const fn when(self, when: &'static str) -> Self {
        Self {
            when: Some(when),
            ..self
        }
    }
}

const MOVE_LAMBDA: &[Command] = &[Deploy, MigrateLambda, Rollback];
const MOVE_APPRUNNER: &[Command] = &[Deploy, MigrateApprunner, Rollback];
const MOVE_ECS: &[Command] = &[Deploy, MigrateEcs, Rollback];
const LOOK_AT_ECS: &[Command] = &[Deploy, MigrateEcs, Rollback, PromoteFrom, Status, Verify];
const STARTERS: &[Command] = &[Deploy, MigrateEcs, Rollback, Verify];
const WRITE: &[Command] = &[Push, Deploy];
const LAMBDA: If = If::Runs(On::Lambda);
const APPRUNNER: If = If::Runs(On::AppRunner);
const ECS: If = If::Runs(On::Ecs);
const EKS: If = If::Runs(On::Eks);

const NO_SCANNER: &str = "neither Trivy nor Grype is installed";
const ON_INSTANCES: &str = "tasks of a service run on EC2 instances";
const STAGED: &str = "ECS deploys a service in stages, or it is of Express Mode";
const EXPRESS: &str = "a service is of ECS Express Mode";
const NEW_ALIAS: &str = "an alias does not exist yet";
const TAGGED_TASKS: &str = "a task definition names its image by a tag, or new tasks end";

/// Commands that read images.
const PULL: &[Command] = &[
    Push,
    Deploy,
    MigrateLambda,
    MigrateApprunner,
    MigrateEcs,
    MigrateEks,
    Rollback,
    Promote,
    PromoteFrom,
    Status,
    Verify,
    Scan,
];

/// The table.
pub(super) const ROWS: &[Row] = &[
    row(
        &["sts:GetCallerIdentity"],
        Everything,
        &[
            Push,
            Deploy,
            MigrateLambda,
            MigrateApprunner,
            MigrateEcs,
            MigrateEks,
            Rollback,
            Promote,
            PromoteFrom,
            Prune,
        ],
        If::Always,
    ),
    // Images.
    row(&["ecr:GetAuthorizationToken"], Everything, PULL, If::Ecr),
    row(
        &[
            "ecr:BatchGetImage",
            "ecr:DescribeRepositories",
            "ecr:GetDownloadUrlForLayer",
        ],
        Repository,
        PULL,
        If::Ecr,
    ),
    row(
        &["ecr:DescribeImages"],
        Repository,
        &[Push, Deploy, Rollback, Prune],
        If::Ecr,
    ),
    row(
        &[
            "ecr:BatchCheckLayerAvailability",
            "ecr:CompleteLayerUpload",
            "ecr:InitiateLayerUpload",
            "ecr:PutImage",
            "ecr:UploadLayerPart",
        ],
        Repository,
        WRITE,
        If::Ecr,
    ),
    row(
        &[
            "ecr:BatchCheckLayerAvailability",
            "ecr:InitiateLayerUpload",
            "ecr:PutImage",
        ],
        Repository,
        &[Promote],
        If::Ecr,
    ),
    row(
        &["ecr:CompleteLayerUpload", "ecr:UploadLayerPart"],
        Repository,
        &[Promote],
        If::Ecr,
    )
    .when("a layer cannot be mounted from the other repository"),
    row(
        &["ecr:CreateRepository"],
        Repository,
        &[Push, Deploy, Promote],
        If::CreatesRepositories,
    )
    .when("a repository is missing"),
    row(
        &["ecr:DescribeImageScanFindings", "ecr:StartImageScan"],
        Repository,
        &[Push, Deploy, Promote],
        If::Scans,
    )
    .when(NO_SCANNER),
    row(
        &["ecr:DescribeImageScanFindings"],
        Repository,
        &[Scan],
        If::Ecr,
    )
    .when(NO_SCANNER),
    row(&["ecr:StartImageScan"], Repository, &[Scan], If::Ecr)
        .when("ECR has not scanned an image yet"),
    row(&["ecr:BatchGetImage"], Repository, &[Prune], If::Ecr),
    row(&["ecr:BatchDeleteImage"], Repository, &[Prune], If::Ecr)
        .when("there is something to delete"),
    row(
        &["ecr:GetLifecyclePolicy", "ecr:PutLifecyclePolicy"],
        Repository,
        &[Prune],
        If::Ecr,
    )
    .when("`--put-lifecycle-policy` is given"),
    // Lambda.
    row(
        &["lambda:GetFunction"],
        Function,
        &[
            Push,
            Deploy,
            MigrateLambda,
            Rollback,
            PromoteFrom,
            Status,
            Verify,
        ],
        LAMBDA,
    ),
    row(
        &["lambda:GetAlias"],
        Function,
        &[Deploy, MigrateLambda, Rollback, PromoteFrom, Status],
        If::Alias,
    ),
    row(
        &["lambda:ListVersionsByFunction", "lambda:UpdateFunctionCode"],
        Function,
        MOVE_LAMBDA,
        LAMBDA,
    ),
    row(
        &["lambda:PublishVersion"],
        Function,
        &[Deploy, MigrateLambda],
        LAMBDA,
    ),
    row(&["lambda:PublishVersion"], Function, &[Rollback], LAMBDA)
        .when("what runs is no version yet, or `--to` names an image"),
    row(&["lambda:UpdateAlias"], Function, MOVE_LAMBDA, If::Alias),
    row(
        &["lambda:CreateAlias", "lambda:DeleteAlias"],
        Function,
        MOVE_LAMBDA,
        If::Alias,
    )
    .when(NEW_ALIAS),
    row(
        &["lambda:InvokeFunction"],
        Function,
        MOVE_LAMBDA,
        If::Invokes,
    ),
    row(&["lambda:TagResource"], Function, MOVE_LAMBDA, If::Tags),
    row(
        &["cloudwatch:GetMetricStatistics"],
        Everything,
        &[MigrateLambda],
        If::Alias,
    )
    .when("`--canary` is given"),
    row(&["lambda:ListFunctions"], Everything, &[Prune], If::Always),
    row(&["lambda:GetFunction"], AnyFunction, &[Prune], If::Always),
    row(
        &["lambda:ListVersionsByFunction"],
        AnyFunction,
        &[Prune],
        If::Always,
    )
    .when("a stand-in lists functions without their versions"),
    // App Runner.
    row(
        &["apprunner:ListServices"],
        Everything,
        &[Deploy, MigrateApprunner, Rollback, PromoteFrom, Status],
        APPRUNNER,
    ),
    row(
        &["apprunner:DescribeService"],
        AppRunnerService,
        &[Deploy, MigrateApprunner, Rollback, PromoteFrom, Status],
        APPRUNNER,
    ),
    row(
        &["apprunner:ListOperations", "apprunner:UpdateService"],
        AppRunnerService,
        MOVE_APPRUNNER,
        APPRUNNER,
    ),
    row(
        &["apprunner:StartDeployment"],
        AppRunnerService,
        MOVE_APPRUNNER,
        APPRUNNER,
    )
    .when("the last deployment of the same image has failed"),
    row(&["iam:PassRole"], AppRunnerRole, MOVE_APPRUNNER, APPRUNNER)
        .when("a service pulls its image with a role"),
    row(
        &["apprunner:ListServices"],
        Everything,
        &[Prune],
        If::Always,
    ),
    row(
        &["apprunner:DescribeService"],
        AnyAppRunnerService,
        &[Prune],
        If::Always,
    ),
    // ECS.
    row(&["ecs:DescribeServices"], EcsService, LOOK_AT_ECS, ECS),
    row(
        &["ecs:DescribeTaskDefinition"],
        Everything,
        LOOK_AT_ECS,
        ECS,
    ),
    row(&["ecs:RegisterTaskDefinition"], Everything, MOVE_ECS, ECS),
    row(&["ecs:UpdateService"], EcsService, MOVE_ECS, ECS),
    row(&["iam:PassRole"], TaskRole, MOVE_ECS, ECS).when("a task definition names roles"),
    row(&["ecs:DeregisterTaskDefinition"], Everything, MOVE_ECS, ECS)
        .when("a deployment fails: its revision is taken out of use"),
    row(&["ecs:ListServices"], Everything, MOVE_ECS, ECS).when("a service does not exist"),
    row(&["ecs:ListTasks"], Everything, MOVE_ECS, ECS).when(TAGGED_TASKS),
    row(&["ecs:DescribeTasks"], Task, MOVE_ECS, ECS).when(TAGGED_TASKS),
    row(&["ecs:ListContainerInstances"], EcsCluster, STARTERS, ECS).when(ON_INSTANCES),
    row(&["ecs:DescribeContainerInstances"], Instance, STARTERS, ECS).when(ON_INSTANCES),
    row(
        &["ecs:DescribeServiceDeployments"],
        ServiceDeployment,
        LOOK_AT_ECS,
        ECS,
    )
    .when(STAGED),
    row(
        &[
            "ecs:DescribeExpressGatewayService",
            "ecs:UpdateExpressGatewayService",
        ],
        EcsService,
        MOVE_ECS,
        ECS,
    )
    .when(EXPRESS),
    row(
        &["events:ListRuleNamesByTarget", "scheduler:ListSchedules"],
        Everything,
        STARTERS,
        ECS,
    ),
    row(&["events:ListTargetsByRule"], Rule, STARTERS, ECS),
    row(&["scheduler:GetSchedule"], Schedule, STARTERS, ECS),
    row(
        &[
            "ecs:DescribeTaskDefinition",
            "ecs:ListServices",
            "ecs:ListTaskDefinitions",
            "ecs:ListTasks",
            "events:ListRuleNamesByTarget",
            "scheduler:ListSchedules",
        ],
        Everything,
        &[Prune],
        If::Always,
    ),
    row(&["ecs:DescribeClusters"], EcsCluster, &[Prune], If::Always),
    row(
        &["ecs:DescribeServices"],
        AnyEcsService,
        &[Prune],
        If::Always,
    ),
    row(&["ecs:DescribeTasks"], Task, &[Prune], If::Always).when("tasks run in the cluster"),
    row(&["events:ListTargetsByRule"], Rule, &[Prune], If::Always),
    row(&["scheduler:GetSchedule"], Schedule, &[Prune], If::Always),
    // The nodes of EKS. What is done in the cluster, kubectl does: a role of Kubernetes allows it.
    row(
        &["eks:ListNodegroups"],
        EksCluster,
        &[Deploy, MigrateEks, Rollback, Verify],
        EKS,
    ),
    row(
        &["eks:DescribeNodegroup"],
        Nodegroup,
        &[Deploy, MigrateEks, Rollback, Verify],
        EKS,
    ),
];
