//! The words of `prune`.

use std::time::Duration;

use clap::Args;

/// What is deleted, and what is kept of it.
#[derive(Debug, Clone, Args)]
pub struct Prune {
    /// An environment of deploy.toml
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// A service of deploy.toml; may be given several times [default: all, and images without a tag]
    #[arg(long, short, value_name = "SERVICE")]
    pub service: Vec<String>,
    /// Keep so many of the newest of each image in each environment [default: 10]
    #[arg(long, value_name = "N")]
    pub keep: Option<usize>,
    /// Delete only what was pushed before that: 90d, 12w, 36h
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = humantime::parse_duration)]
    pub older: Duration,
    /// Delete nothing, and print a lifecycle policy for ECR that keeps moving tags, releases, and with --keep the newest of each image
    #[arg(long, conflicts_with = "put_lifecycle_policy")]
    pub lifecycle_policy: bool,
    /// Delete nothing, and give the repositories that policy: what it changes is shown before it asks
    #[arg(long)]
    pub put_lifecycle_policy: bool,
}
