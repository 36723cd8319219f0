//! Commands that take permissions in AWS.

use std::str::FromStr;

/// A command, and the side of it that an environment is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// `push`.
    Push,
    /// `deploy`, which pushes too.
    Deploy,
    /// `migrate-lambda`.
    MigrateLambda,
    /// `migrate-apprunner`.
    MigrateApprunner,
    /// `migrate-ecs`.
    MigrateEcs,
    /// `migrate-eks`.
    MigrateEks,
    /// `rollback`.
    Rollback,
    /// `promote`, in the environment that gets images.
    Promote,
    /// `promote`, in the environment that they are taken from.
    PromoteFrom,
    /// `status`, and `export` of what an environment has.
    Status,
    /// `verify`.
    Verify,
    /// `prune`.
    Prune,
    /// `scan`.
    Scan,
}

impl Command {
    /// All of them, as people list them.
    pub const ALL: [Self; 13] = [
        Self::Push,
        Self::Deploy,
        Self::MigrateLambda,
        Self::MigrateApprunner,
        Self::MigrateEcs,
        Self::MigrateEks,
        Self::Rollback,
        Self::Promote,
        Self::PromoteFrom,
        Self::Status,
        Self::Verify,
        Self::Prune,
        Self::Scan,
    ];

    /// As it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Deploy => "deploy",
            Self::MigrateLambda => "migrate-lambda",
            Self::MigrateApprunner => "migrate-apprunner",
            Self::MigrateEcs => "migrate-ecs",
            Self::MigrateEks => "migrate-eks",
            Self::Rollback => "rollback",
            Self::Promote => "promote",
            Self::PromoteFrom => "promote-from",
            Self::Status => "status",
            Self::Verify => "verify",
            Self::Prune => "prune",
            Self::Scan => "scan",
        }
    }
}

impl FromStr for Command {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let mut all = Self::ALL.into_iter();
        all.find(|one| one.name() == word).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("`{}` is none of {names}", word.escape_debug())
        })
    }
}
