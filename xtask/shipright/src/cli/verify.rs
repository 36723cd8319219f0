//! The words of `verify`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::arch::Arch;

/// One thing, or everything.
#[derive(Debug, Clone, Args)]
pub struct VerifyAll {
    /// What is checked.
    #[command(subcommand)]
    pub what: Option<Verify>,
}

/// What is checked.
#[derive(Debug, Clone, Subcommand)]
pub enum Verify {
    /// Prove from an image's bytes which CPU it is for
    #[command(
        after_help = "REF is an image of the local engine, a reference in a registry, a directory in the OCI layout, or an \
                            archive of `docker save`.\n\nExamples:\n  cargo xtask verify image backend:arm64-latest\n  \
                            cargo xtask verify image public.ecr.aws/lambda/python:3.13 --target lambda\n  \
                            docker save api > api.tar && cargo xtask verify image ./api.tar --arch amd64"
    )]
    Image(VerifyImage),
    /// Check what an environment's `latest` tags name: a single image for the right CPU, proven from its bytes
    #[command(after_help = "Example:\n  cargo xtask verify ecr dev")]
    Ecr(VerifyEnvironment),
    /// Compare an environment's EKS nodes, and instance types in Terraform files, with the images meant for them
    #[command(after_help = "Example:\n  cargo xtask verify eks dev")]
    Eks(VerifyEnvironment),
    /// Compare an environment's ECS services with its tags, with `[targets]`, and with the instances that they may use
    #[command(after_help = "Example:\n  cargo xtask verify ecs dev")]
    Ecs(VerifyEnvironment),
    /// Compare an environment's Lambda functions with its tags and with `[targets]`
    #[command(after_help = "Example:\n  cargo xtask verify lambda dev --service api")]
    Lambda(VerifyEnvironment),
    /// Verify the signatures of what an environment's `latest` tags name, and of the images of an index, with cosign or notation
    #[command(
        after_help = "`sign` in the environment says which program, and `verify-args` what it is told: whose signatures count.\n\n\
                            Example:\n  cargo xtask verify signature prod"
    )]
    Signature(VerifyEnvironment),
    /// Look for what makes an image for the wrong CPU in the Dockerfiles
    #[command(
        after_help = "`# xtask: allow RULE reason` above an instruction silences a rule for it.\n\nExamples:\n  \
                            cargo xtask verify dockerfiles\n  cargo xtask verify dockerfiles ../other/Dockerfile"
    )]
    Dockerfiles {
        /// Dockerfiles to look at, in place of those of deploy.toml
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

/// An environment.
#[derive(Debug, Clone, Args)]
pub struct VerifyEnvironment {
    /// An environment of deploy.toml
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// A service of deploy.toml; may be given several times [default: all]
    #[arg(long, short, value_name = "SERVICE")]
    pub service: Vec<String>,
}

/// An image and what it is meant for.
#[derive(Debug, Clone, Args)]
pub struct VerifyImage {
    /// The image
    #[arg(value_name = "REF")]
    pub image: String,
    /// What will run it: lambda, eks, ecs or apprunner [default: the image's own config says the CPU]
    #[arg(long, value_name = "TARGET", conflicts_with = "arch")]
    pub target: Option<String>,
    /// The CPU that it is meant for: arm64 or amd64
    #[arg(long, value_name = "ARCH")]
    pub arch: Option<Arch>,
}
