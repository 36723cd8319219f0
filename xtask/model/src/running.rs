//! What runs an image at the moment, whatever the target.

use serde::Serialize;

use crate::arch::Arch;

/// What runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Running {
    /// The function, service or deployment.
    pub workload: String,
    /// Whether it exists.
    pub exists: bool,
    /// The reference that it is configured with.
    pub image: Option<String>,
    /// The digest, where the reference has one.
    pub digest: Option<String>,
    /// The architecture, where the target says one of its own.
    pub arch: Option<Arch>,
}

impl Running {
    /// What runs, from the reference that it is configured with. `None` where it does not exist, `Some(None)` where it has no image.
    pub fn new(workload: String, image: Option<Option<String>>, arch: Option<Arch>) -> Self {
        let exists = image.is_some();
        let image = image.flatten();
        let digest = image
            .as_deref()
            .and_then(|image| image.split_once('@'))
            .map(|(_, digest)| digest.to_owned());
        Self {
            workload,
            exists,
            image,
            digest,
            arch,
        }
    }

    /// What cannot be told of what runs, and why.
    pub fn untold(&self) -> Option<String> {
        let workload = &self.workload;
        if !self.exists {
            return Some(format!("{workload} does not exist"));
        }
        let image = self.image.as_deref().unwrap_or("something without a name");
        let text = format!("{workload} runs {image}: a tag does not tell which image that is");
        self.digest.is_none().then_some(text)
    }
}
