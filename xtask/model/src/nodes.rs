//! The nodes of a cluster, and what Terraform files say of them.

use std::path::PathBuf;

use serde::Serialize;

use crate::arch::Arch;

/// A group of nodes, or one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Nodes {
    /// Where this was read.
    pub source: String,
    /// Its name.
    pub name: String,
    /// The CPU, where it can be told.
    pub arch: Option<Arch>,
    /// What it was told from.
    pub evidence: String,
}

/// An instance type where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mention {
    /// The file.
    pub file: PathBuf,
    /// What it belongs to, as a path of blocks and keys.
    pub path: String,
    /// The instance type.
    pub instance_type: String,
}

impl Nodes {
    /// The nodes for people: `kubectl node-1 is arm64 (architecture arm64)`.
    pub fn shown(&self) -> String {
        let arch = self
            .arch
            .map_or_else(|| "of an unknown CPU".to_owned(), |arch| arch.to_string());
        format!(
            "{} {} is {arch} ({})",
            self.source, self.name, self.evidence
        )
    }
}
