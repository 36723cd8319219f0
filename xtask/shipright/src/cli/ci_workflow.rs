//! The words of `ci-workflow`.

use std::fmt;

use clap::{Args, ValueEnum};

/// Which workflow.
#[derive(Debug, Clone, Copy, Args)]
pub struct CiWorkflow {
    /// Which CI system
    #[arg(value_enum)]
    pub system: System,
    /// Compare the file that is there with what deploy.toml makes; a difference is exit code 1
    #[arg(long)]
    pub check: bool,
}

/// A CI system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum System {
    /// GitHub Actions: `.github/workflows/ship.yml`
    Github,
    /// GitLab CI/CD: `.gitlab-ci.yml`
    Gitlab,
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Github => "github",
            Self::Gitlab => "gitlab",
        })
    }
}
