//! Summaries of layers that were read before. A layer's content never changes under its digest, so the next image on the
//! same base costs only its own layers.

use std::{
    fs,
    path::{Path, PathBuf},
};

use image_proof::{FORMAT, Layer};

use crate::facts::state;

/// A directory of summaries, or none.
#[derive(Debug, Clone)]
pub struct LayerCache(Option<PathBuf>);

impl LayerCache {
    /// Keeps summaries below a directory. One that cannot be made keeps nothing: a summary saves time and no more.
    pub fn below(directory: &Path) -> Self {
        let directory = directory.join(format!("proof-{FORMAT}"));
        Self(fs::create_dir_all(&directory).is_ok().then_some(directory))
    }

    /// Keeps summaries where a project keeps what outlives a run.
    pub fn of_project(root: &Path) -> Self {
        state::directory(root).map_or(Self(None), |directory| Self::below(&directory))
    }

    /// Keeps nothing.
    pub fn nothing() -> Self {
        Self(None)
    }

    /// The summary of a layer.
    pub fn get(&self, digest: &str) -> Option<Layer> {
        let text = fs::read(self.file(digest)?).ok()?;
        serde_json::from_slice(&text)
            .ok()
            .filter(|layer: &Layer| layer.digest == digest)
    }

    /// Whether there is a summary of a layer.
    pub fn has(&self, digest: &str) -> bool {
        self.file(digest).is_some_and(|file| file.is_file())
    }

    /// Keeps a summary. Written under another name first: two runs may keep the same one.
    pub fn put(&self, layer: &Layer) {
        let Some(file) = self.file(&layer.digest) else {
            return;
        };
        let next = file.with_extension(format!(
            "{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        let written = serde_json::to_vec(layer)
            .ok()
            .map(|text| fs::write(&next, text).and_then(|()| fs::rename(&next, &file)));
        if !matches!(written, Some(Ok(()))) {
            let _ = fs::remove_file(&next);
        }
    }

    fn file(&self, digest: &str) -> Option<PathBuf> {
        let name = digest
            .strip_prefix("sha256:")
            .filter(|hex| hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()))?;
        Some(self.0.as_ref()?.join(format!("{name}.json")))
    }
}
