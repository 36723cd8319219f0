//! The words of `scan`.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use crate::{
    model::{severity::Severity, vulnerability::Scanner},
    scan::WAIT,
};

/// What is scanned, and what fails it.
#[derive(Debug, Clone, Args)]
pub struct Scan {
    /// An environment of deploy.toml, or an image in a registry: HOST/NAME:TAG, NAME:TAG, NAME@sha256:…
    #[arg(value_name = "ENV|REF")]
    pub what: String,
    /// A service of deploy.toml; may be given several times [default: all]
    #[arg(long, short, value_name = "SERVICE")]
    pub service: Vec<String>,
    /// End with code 1 for a vulnerability of this severity or a worse one, unless deploy.toml accepts it: critical, high, medium, low,
    /// negligible or unknown [default: `scan` of the environment]
    #[arg(long, value_name = "LEVEL")]
    pub fail_on: Option<Severity>,
    /// Let through what has no fix yet
    #[arg(long)]
    pub only_fixed: bool,
    /// What looks: trivy, grype or ecr [default: the first that is installed, otherwise ECR]
    #[arg(long, value_name = "NAME")]
    pub scanner: Option<Scanner>,
    /// How long one scan may take
    #[arg(long, value_name = "TIME", default_value_t = humantime::Duration::from(WAIT), value_parser = wait)]
    pub wait: humantime::Duration,
    /// Write what was found as SARIF 2.1.0, for GitHub's code scanning and others; `-` for standard output
    #[arg(long, value_name = "FILE")]
    pub sarif: Option<PathBuf>,
}

/// Reads `90s`, `15m`.
fn wait(text: &str) -> Result<humantime::Duration, String> {
    const LONGEST: Duration = Duration::from_hours(24);
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if time > LONGEST {
        return Err("a day at most".to_owned());
    }
    Ok(time.into())
}
