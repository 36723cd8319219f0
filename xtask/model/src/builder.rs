//! Where images are built.

use serde::Serialize;

/// Where images of one architecture are built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Builder {
    /// Its name, as `docker buildx ls` has it.
    pub name: String,
    /// Where it is, for one that is made when it is first needed.
    pub address: Option<String>,
}

impl Builder {
    /// What people call it.
    pub fn shown(builder: Option<&Self>) -> String {
        builder.map_or_else(
            || "docker's current builder".to_owned(),
            |builder| {
                builder
                    .address
                    .clone()
                    .unwrap_or_else(|| builder.name.clone())
            },
        )
    }
}
