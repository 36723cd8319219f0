//! The words of `export`.

use clap::{Args, Subcommand};

use crate::plan::iam::Command;

/// What is printed.
#[derive(Debug, Clone, Subcommand)]
pub enum Export {
    /// A Makefile of which the old targets call the new commands
    #[command(after_help = "Example:\n  cargo xtask export makefile > Makefile")]
    Makefile,
    /// A docker-bake.hcl with the same builds, each for the CPU that its target runs
    #[command(
        after_help = "Example:\n  cargo xtask export bake > docker-bake.hcl && docker buildx bake --print"
    )]
    Bake,
    /// An environment's images by their digests, as variables of a shell
    #[command(after_help = "Example:\n  eval \"$(cargo xtask export env dev)\" && echo $IMAGE_API")]
    Env(ExportImages),
    /// An environment's images by their digests, as a Terraform variable `images`
    #[command(after_help = "Example:\n  cargo xtask export tfvars prod > images.auto.tfvars")]
    Tfvars(ExportImages),
    /// An environment's images by their digests, as the `images` of a kustomization
    #[command(after_help = "Example:\n  cargo xtask export kustomize prod >> kustomization.yaml")]
    Kustomize(ExportImages),
    /// An environment's images by their digests, as values of a Helm chart
    #[command(after_help = "Example:\n  cargo xtask export helm-values prod > images.yaml")]
    HelmValues(ExportImages),
    /// An IAM policy with what commands ask AWS for in an environment, and no more
    #[command(
        after_help = "Examples:\n  cargo xtask export iam-policy dev --for push,migrate-lambda > policy.json\n  cargo xtask export iam-policy prod --for status"
    )]
    IamPolicy(ExportPolicy),
}

/// For which commands in which environment.
#[derive(Debug, Clone, Args)]
pub struct ExportPolicy {
    /// An environment of deploy.toml
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// Commands that are to be allowed, separated by commas: push, deploy, migrate-lambda, migrate-apprunner, migrate-ecs, migrate-eks,
    /// rollback, promote (and promote-from, where images are taken from), status, verify, prune, scan [default: all but prune]
    #[arg(long = "for", value_name = "COMMAND", value_delimiter = ',')]
    pub commands: Vec<Command>,
}

/// Which images of which environment.
#[derive(Debug, Clone, Args)]
pub struct ExportImages {
    /// An environment of deploy.toml
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// A service of deploy.toml; may be given several times [default: all]
    #[arg(long, short, value_name = "SERVICE")]
    pub service: Vec<String>,
}
