//! What a Lambda function runs at the moment, and what it could go back to.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::arch::Arch;

/// A function as AWS describes it. A tag is resolved when a function is updated: moving the tag later changes nothing.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Whether it exists.
    pub exists: bool,
    /// Its ARN.
    pub arn: Option<String>,
    /// The digest of the image that it runs, where AWS tells.
    pub digest: Option<String>,
    /// The whole reference of that image.
    pub image: Option<String>,
    /// Its architecture, where AWS tells.
    pub arch: Option<Arch>,
    /// Whether AWS has put it to sleep: the first call wakes it up, and fails.
    pub is_inactive: bool,
    /// Whether it runs a container image, and not an archive of code.
    pub is_image: bool,
    /// Whether it can be changed.
    pub condition: Condition,
    /// Changes with every change: a guard against changing what somebody else has changed.
    #[serde(skip)]
    pub revision: Option<String>,
}

/// Whether a function can be changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state", content = "reason")]
pub enum Condition {
    /// It runs what it says.
    Ready,
    /// An update or its creation is under way: another one now is refused.
    Busy,
    /// The last update failed, for this reason.
    Failed(String),
}

/// What a function runs: an image and the CPU that it runs on belong together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Code {
    /// The reference, with its digest.
    pub image: String,
    /// The digest.
    pub digest: String,
    /// The architecture.
    pub arch: Arch,
}

/// A published version. It never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Version {
    /// Its number.
    pub number: String,
    /// What it runs, where AWS tells.
    pub code: Option<Code>,
}

/// A name for a version, or for two with weights.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Alias {
    /// Its name.
    pub name: String,
    /// The version that it names.
    pub version: String,
    /// Other versions, and the part of the calls that each gets.
    pub weights: BTreeMap<String, f64>,
    /// Changes with every change.
    #[serde(skip)]
    pub revision: Option<String>,
}

impl Function {
    /// A function that does not exist.
    pub fn missing(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            exists: false,
            arn: None,
            digest: None,
            image: None,
            arch: None,
            is_inactive: false,
            is_image: false,
            condition: Condition::Ready,
            revision: None,
        }
    }

    /// What it runs, where AWS tells all of it.
    pub fn code(&self) -> Option<Code> {
        Some(Code {
            image: self.image.clone()?,
            digest: self.digest.clone()?,
            arch: self.arch?,
        })
    }

    /// What it runs, in words.
    pub fn describe(&self) -> String {
        if !self.exists {
            return format!("function {} does not exist", self.name);
        }
        let image = self
            .digest
            .as_deref()
            .unwrap_or("an image that AWS does not name");
        let arch = self
            .arch
            .map_or_else(String::new, |arch| format!(" on {arch}"));
        format!("function {} runs {image}{arch}", self.name)
    }
}

impl Code {
    /// Whether this is the same image on the same CPU, whatever the registry is called.
    pub fn is(&self, other: &Self) -> bool {
        self.digest == other.digest && self.arch == other.arch
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} on {}", self.digest, self.arch)
    }
}
