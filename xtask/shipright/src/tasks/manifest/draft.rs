//! An index that was made and not pushed yet, in a file of the state directory.

use std::{collections::BTreeMap, fs, io::ErrorKind, path::PathBuf};

use anyhow::{Context as _, Result};
use image_oci::{Manifest, digest_of};
use serde::{Deserialize, Serialize};

use crate::{
    context::Context, facts::state, model::refusal::Refusal, refused::Refused, registry::Reference,
};

/// An index that was made and not pushed yet.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Draft {
    name: String,
    media_type: String,
    bytes: String,
    /// The digest of each image, and the repository that it is in.
    pub sources: BTreeMap<String, String>,
}

impl Draft {
    /// A draft of an index.
    pub(super) fn new(name: &str, manifest: &Manifest, sources: BTreeMap<String, String>) -> Self {
        let (media_type, bytes) = (manifest.media_type.clone(), manifest.bytes.clone());
        Self {
            name: name.to_owned(),
            media_type,
            bytes,
            sources,
        }
    }

    /// The index.
    pub(super) fn manifest(&self) -> Manifest {
        Manifest::new(self.bytes.clone(), &self.media_type)
    }
}

/// Where a draft is kept.
pub(super) struct DraftFile(PathBuf);

impl DraftFile {
    /// The file for an index of this name.
    ///
    /// # Errors
    /// A directory that cannot be made.
    pub(super) fn of(context: &Context, index: &Reference) -> Result<Self> {
        let here = || std::env::current_dir().context("there is no working directory");
        let root = context
            .config()
            .map(|config| config.root)
            .or_else(|_| here())?;
        let directory = state::directory(&root)?.join("manifests");
        fs::create_dir_all(&directory)
            .with_context(|| format!("failed to create `{}`", directory.display()))?;
        let name =
            digest_of(format!("{}/{}:{}", index.host, index.repository, index.tag).as_bytes());
        Ok(Self(directory.join(format!(
            "{}.json",
            name.trim_start_matches("sha256:")
        ))))
    }

    /// Keeps a draft.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub(super) fn write(&self, draft: &Draft) -> Result<()> {
        let text = serde_json::to_string_pretty(draft).context("the index has no JSON form")?;
        fs::write(&self.0, text).with_context(|| format!("failed to write `{}`", self.0.display()))
    }

    /// Reads a draft.
    ///
    /// # Errors
    /// A refusal where none was made, and a file that was changed.
    pub(super) fn read(&self, name: &str) -> Result<Draft> {
        let text = fs::read_to_string(&self.0).map_err(|_| {
            let problem = format!("no index `{name}` was made here");
            Refused::from(Refusal::new(
                problem,
                format!("make it first: cargo xtask manifest create {name} IMAGE…"),
            ))
        })?;
        serde_json::from_str(&text).with_context(|| self.was_changed())
    }

    /// What is said of a draft that makes no sense.
    pub(super) fn was_changed(&self) -> String {
        format!(
            "`{}` was changed by somebody: make the index again",
            self.0.display()
        )
    }

    /// Forgets a draft. Another run may have pushed the same index meanwhile.
    ///
    /// # Errors
    /// A file that cannot be removed.
    pub(super) fn remove(&self) -> Result<()> {
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed.with_context(|| format!("failed to remove `{}`", self.0.display())),
        }
    }
}
