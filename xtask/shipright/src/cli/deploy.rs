//! The words of what moves images from place to place, and what runs to them.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};

use crate::arch::Arch;

/// What runs in an environment.
#[derive(Debug, Clone, Args)]
pub struct Migrate {
    /// An environment of deploy.toml
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// A service of deploy.toml; may be given several times [default: all]
    #[arg(long, short, value_name = "SERVICE")]
    pub service: Vec<String>,
}

/// What is pushed, and moved to it.
#[derive(Debug, Clone, Args)]
pub struct Deploy {
    /// Where, and which services.
    #[command(flatten)]
    pub migrate: Migrate,
    /// Only images that differ from a commit: where this branch left REF (a branch, tag or commit)
    #[arg(long, value_name = "REF")]
    pub since: Option<String>,
    /// Attach an SBOM (CycloneDX) to each image, as `sbom = true` does: packages of dpkg, apk, Python and npm, and not what is in an
    /// RPM database
    #[arg(long)]
    pub sbom: bool,
}

/// Lambda functions, and how careful the move is.
#[derive(Debug, Clone, Args)]
pub struct MigrateLambda {
    /// Which functions.
    #[command(flatten)]
    pub migrate: Migrate,
    /// The architecture that they are to run: it must be the one of `[targets]` [default: that]
    #[arg(long, value_name = "ARCH")]
    pub to: Option<Arch>,
    /// Give the new version this part of the alias's calls first, and watch its errors
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub canary: Option<f64>,
    /// For how long
    #[arg(long = "for", value_name = "TIME", default_value = "5m", requires = "canary", value_parser = humantime::parse_duration)]
    pub time: Duration,
}

/// What to go back to.
#[derive(Debug, Clone, Args)]
pub struct Rollback {
    /// Which workloads.
    #[command(flatten)]
    pub migrate: Migrate,
    /// The version of a Lambda function, a tag, or a digest [default: what ran before]
    #[arg(long, value_name = "VERSION|TAG|DIGEST")]
    pub to: Option<String>,
}

/// From where to where.
#[derive(Debug, Clone, Args)]
pub struct Promote {
    /// The environment whose images are taken
    #[arg(value_name = "FROM")]
    pub from: String,
    /// The environment that gets them
    #[arg(value_name = "TO")]
    pub to: String,
    /// A service of deploy.toml; may be given several times [default: all]
    #[arg(long, short, value_name = "SERVICE")]
    pub service: Vec<String>,
}

/// Image indexes.
#[derive(Debug, Clone, Subcommand)]
pub enum ManifestCommand {
    /// Make an image index of images that are in the registry already; each is proven first
    #[command(
        after_help = "The index waits under target/manifests for `manifest push`, which brings images of other repositories \
                            to the index's.\n\nExample:\n  \
                            cargo xtask manifest create HOST/api:1.2 HOST/api:1.2-amd64 HOST/api:1.2-arm64"
    )]
    Create {
        /// The index's reference
        name: String,
        /// Its images
        #[arg(required = true, value_name = "IMAGE")]
        images: Vec<String>,
    },
    /// Show what a reference names, and compare an index with its images
    #[command(
        after_help = "Ends with code 1, and names the image, where an index says something else than the image.\n\nExample:\n  \
                            cargo xtask manifest inspect public.ecr.aws/lambda/python:3.13"
    )]
    Inspect {
        /// The reference
        image: String,
    },
    /// Push an index that was made with `create`
    #[command(after_help = "Example:\n  cargo xtask manifest push HOST/api:1.2")]
    Push {
        /// The index's reference
        name: String,
    },
}

/// Which environments.
#[derive(Debug, Clone, Args)]
pub struct Status {
    /// Environments of deploy.toml [default: all]
    #[arg(value_name = "ENV")]
    pub environments: Vec<String>,
    /// End with code 1 where what runs is not what the tag names, or not on the CPU of `[targets]`
    #[arg(long)]
    pub check: bool,
    /// Write one page for a browser about all of this, images and history included; `-` for standard output
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Prove every image of the page: read the layers that this machine does not know from the registry
    #[arg(long, requires = "html")]
    pub prove: bool,
}

/// Reads `10%`.
/// Refuses anything but a number above 0 and below 100 with a percent sign.
fn percent(text: &str) -> Result<f64, String> {
    let number: Option<f64> = text
        .strip_suffix('%')
        .and_then(|number| number.trim().parse().ok());
    number
        .filter(|number| *number > 0.0 && *number < 100.0)
        .map(|number| number / 100.0)
        .ok_or_else(|| "write a part of the calls, above 0% and below 100%: `10%`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_percentages() {
        assert_eq!(percent("10%"), Ok(0.1));
        for text in ["10", "0%", "100%", "-1%", "NaN%", "inf%", "%", ""] {
            assert!(percent(text).is_err(), "{text}");
        }
    }
}
