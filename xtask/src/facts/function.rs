//! What a Lambda function runs at the moment.

use serde::Serialize;

use crate::arch::Arch;

/// A function as AWS describes it. A tag is resolved when a function is updated: moving the tag later changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Whether it exists.
    pub exists: bool,
    /// The digest of the image that it runs, where AWS tells.
    pub digest: Option<String>,
    /// Its architecture, where AWS tells.
    pub arch: Option<Arch>,
}

impl Function {
    /// What it runs, in words.
    pub fn describe(&self) -> String {
        if !self.exists {
            return format!("function {} does not exist", self.name);
        }
        let image = self.digest.as_deref().unwrap_or("an image that AWS does not name");
        let arch = self.arch.map_or_else(String::new, |arch| format!(" on {arch}"));
        format!("function {} runs {image}{arch}", self.name)
    }
}
