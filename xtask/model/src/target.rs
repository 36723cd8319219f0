//! The policy table: which CPU each AWS target runs.
//!
//! Architecture Invariant: a new target is a new variant here, and the compiler lists every place that has to decide
//! about it. There is no wildcard arm over [`Target`] anywhere.

use std::{fmt, path::Path};

use serde::Serialize;

use crate::arch::Arch;

/// What a target does with an image index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexUse {
    /// It refuses one.
    Refused,
    /// It runs one image of it, by that image's digest.
    OneImage,
    /// It is given the index, and each node takes its own image of it.
    Whole,
}

/// Which registries a target takes images from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageSources {
    /// ECR of the region that it runs in, of any account.
    EcrOfItsRegion,
    /// ECR.
    Ecr,
    /// Any registry.
    Any,
}

/// What will run an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// AWS Lambda, as a container image function.
    Lambda,
    /// Amazon Elastic Kubernetes Service.
    Eks,
    /// Amazon Elastic Container Service: Fargate, EC2 instances, or Express Mode.
    Ecs,
    /// AWS App Runner.
    AppRunner,
}

impl Target {
    /// Every target, in the order in which people are shown them.
    pub const ALL: [Self; 4] = [Self::Lambda, Self::Eks, Self::Ecs, Self::AppRunner];

    /// The name in deploy.toml, and the Dockerfile suffix that stands for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lambda => "lambda",
            Self::Eks => "eks",
            Self::Ecs => "ecs",
            Self::AppRunner => "apprunner",
        }
    }

    /// The name that AWS uses.
    pub fn title(self) -> &'static str {
        match self {
            Self::Lambda => "AWS Lambda",
            Self::Eks => "Amazon EKS",
            Self::Ecs => "Amazon ECS",
            Self::AppRunner => "AWS App Runner",
        }
    }

    /// What runs an image there.
    pub fn workload(self) -> &'static str {
        match self {
            Self::Lambda => "function",
            Self::Eks => "deployment",
            Self::Ecs | Self::AppRunner => "service",
        }
    }

    /// The target with this name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|target| target.name() == name)
    }

    /// The target that a Dockerfile's *suffix* stands for: `Dockerfile.lambda` is for Lambda.
    ///
    /// Only the whole suffix counts. Guessing from any part of the path, as the script that this tool replaces did,
    /// flips the architecture silently when a directory is renamed.
    pub fn from_dockerfile(dockerfile: &Path) -> Option<Self> {
        let name = dockerfile.file_name()?.to_str()?;
        Self::from_name(name.strip_prefix("Dockerfile.")?)
    }

    /// The architecture when deploy.toml says nothing.
    pub fn default_arch(self) -> Arch {
        match self {
            Self::Lambda | Self::Eks | Self::Ecs => Arch::Arm64,
            Self::AppRunner => Arch::Amd64,
        }
    }

    /// Whether AWS can run this architecture on this target at all.
    ///
    /// Source: App Runner's API has no architecture member, and support for Arm is an open request since 2021
    /// (aws/apprunner-roadmap#98). A Lambda function has exactly one of two, and so has a task definition of ECS;
    /// EKS takes what its nodes are.
    pub fn can_run(self, arch: Arch) -> bool {
        match self {
            Self::Lambda | Self::Eks | Self::Ecs => true,
            Self::AppRunner => arch == Arch::Amd64,
        }
    }

    /// What it does with an image index.
    ///
    /// Source: Lambda's documentation, "Create a Lambda function using a container image"; an App Runner service has one CPU,
    /// and so has a task definition of ECS.
    pub fn index_use(self) -> IndexUse {
        match self {
            Self::Lambda => IndexUse::Refused,
            Self::Ecs | Self::AppRunner => IndexUse::OneImage,
            Self::Eks => IndexUse::Whole,
        }
    }

    /// Which registries it takes images from.
    ///
    /// Source: Lambda's documentation, "Create a Lambda function using a container image" ("must be in the same AWS Region as the
    /// function"); App Runner's, "Developing application code for App Runner" (ECR and ECR Public).
    pub fn image_sources(self) -> ImageSources {
        match self {
            Self::Lambda => ImageSources::EcrOfItsRegion,
            Self::AppRunner => ImageSources::Ecr,
            Self::Eks | Self::Ecs => ImageSources::Any,
        }
    }

    /// Whether its images run on nodes of a Kubernetes cluster, which may be of either CPU.
    pub fn runs_on_nodes(self) -> bool {
        match self {
            Self::Lambda | Self::Ecs | Self::AppRunner => false,
            Self::Eks => true,
        }
    }

    /// Whether its images are run as Lambda functions.
    pub fn runs_functions(self) -> bool {
        match self {
            Self::Lambda => true,
            Self::Eks | Self::Ecs | Self::AppRunner => false,
        }
    }

    /// Whether the sandbox has it.
    pub fn is_in_sandbox(self) -> bool {
        match self {
            Self::Lambda | Self::Ecs => true,
            Self::Eks | Self::AppRunner => false,
        }
    }

    /// The port of this machine on which an image listens when it is run here, unless it is said.
    pub fn usual_port(self) -> u16 {
        match self {
            Self::Lambda => 9000,
            Self::Eks | Self::Ecs | Self::AppRunner => 8080,
        }
    }

    /// What an architecture costs or saves on this target.
    ///
    /// Source: AWS's price lists and its own comparison of Graviton with x86; what a workload really needs may differ.
    pub fn cost(self, arch: Arch) -> &'static str {
        match (self, arch) {
            (Self::Lambda, Arch::Arm64) => "about 20 % less a GB-second than x86_64",
            (Self::Lambda, Arch::Amd64) => "about 25 % more a GB-second than arm64",
            (Self::Eks, Arch::Arm64) => {
                "about 20 % less an instance-hour than the same size with x86_64, up to 40 % with its speed"
            }
            (Self::Eks, Arch::Amd64) => {
                "about 25 % more an instance-hour than the same size with Graviton"
            }
            (Self::Ecs, Arch::Arm64) => {
                "about 20 % less a vCPU-hour and GB-hour of Fargate than x86_64"
            }
            (Self::Ecs, Arch::Amd64) => {
                "about 25 % more a vCPU-hour and GB-hour of Fargate than arm64"
            }
            (Self::AppRunner, _) => "no choice: App Runner has one price and one CPU",
        }
    }

    /// Why the architecture is no matter of taste on this target.
    pub fn why(self) -> &'static str {
        match self {
            Self::Lambda => {
                "a function has exactly one architecture, and does not check its image's"
            }
            Self::Eks => {
                "the pods' nodes must be of the same architecture (t4g, m7g, c7g, r8g … are Graviton)"
            }
            Self::Ecs => {
                "a task definition has one architecture (`runtimePlatform`), and does not check its images'"
            }
            Self::AppRunner => "App Runner has only x86_64 instances",
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suffix_and_nothing_but_the_suffix_names_the_target() {
        let cases = [
            ("Dockerfile.lambda", Some(Target::Lambda)),
            ("api/Dockerfile.eks", Some(Target::Eks)),
            ("Dockerfile.ecs", Some(Target::Ecs)),
            ("Dockerfile.apprunner", Some(Target::AppRunner)),
            ("apprunner/Dockerfile.lambda", Some(Target::Lambda)),
            ("Dockerfile", None),
            ("apprunner/Dockerfile", None),
            ("Dockerfile.apprunner-worker", None),
            ("lambda.Dockerfile", None),
            ("Dockerfile.Lambda", None),
            ("", None),
        ];
        for (dockerfile, expected) in cases {
            assert_eq!(
                Target::from_dockerfile(Path::new(dockerfile)),
                expected,
                "{dockerfile}"
            );
        }
    }

    #[test]
    fn the_table_is_what_aws_documents() {
        let table: Vec<_> = Target::ALL
            .into_iter()
            .map(|t| (t.name(), t.default_arch().oci(), t.can_run(Arch::Arm64)))
            .collect();
        assert_eq!(
            table,
            [
                ("lambda", "arm64", true),
                ("eks", "arm64", true),
                ("ecs", "arm64", true),
                ("apprunner", "amd64", false)
            ]
        );
        assert!(
            Target::ALL
                .into_iter()
                .all(|target| target.can_run(target.default_arch()))
        );
    }
}
