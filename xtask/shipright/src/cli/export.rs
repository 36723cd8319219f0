//! The words of `export`.

use clap::{Args, Subcommand};

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
