//! What a reference names, for people and for programs.

use anyhow::Result;
use image_oci::{Descriptor, Manifest, Platform};
use serde::Serialize;

use crate::{context::Context, report::terminal::one_line};

/// One image.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry {
    media_type: String,
    size: u64,
    digest: String,
    architecture: String,
    os: String,
    variant: Option<String>,
}

impl Entry {
    /// An image that is in no index.
    pub(super) fn of(manifest: &Manifest, platform: Platform) -> Self {
        Self {
            media_type: manifest.media_type.clone(),
            size: manifest.bytes.len() as u64,
            digest: manifest.digest.clone(),
            architecture: platform.architecture,
            os: platform.os,
            variant: platform.variant,
        }
    }

    fn of_descriptor(child: &Descriptor) -> Self {
        let platform = child.platform.as_ref();
        Self {
            architecture: platform
                .map(|platform| platform.architecture.clone())
                .unwrap_or_default(),
            os: platform
                .map(|platform| platform.os.clone())
                .unwrap_or_default(),
            variant: platform.and_then(|platform| platform.variant.clone()),
            media_type: child.media_type.clone(),
            size: child.size,
            digest: child.digest.clone(),
        }
    }

    fn shown(&self) -> String {
        let variant = self
            .variant
            .as_ref()
            .map_or_else(String::new, |variant| format!("/{variant}"));
        let platform = one_line(&format!("{}/{}{variant}", self.os, self.architecture));
        let (media_type, size, digest) = (
            one_line(&self.media_type),
            self.size,
            one_line(&self.digest),
        );
        let lines = [
            platform,
            format!("    mediaType  {media_type}"),
            format!("    size       {size}"),
            format!("    digest     {digest}"),
        ];
        lines.map(|line| format!("    {line}")).join("\n")
    }
}

/// What an index lists.
///
/// # Errors
/// An index that is no JSON.
pub(super) fn entries(index: &Manifest) -> Result<Vec<Entry>> {
    Ok(index.children()?.iter().map(Entry::of_descriptor).collect())
}

/// Shows an image or an index.
pub(super) fn show(
    context: &Context,
    name: &str,
    manifest: &Manifest,
    entries: &[Entry],
    problems: &[String],
) {
    context.print(&serde_json::json!({
        "name": name, "mediaType": manifest.media_type, "digest": manifest.digest, "size": manifest.bytes.len(),
        "manifests": entries, "problems": problems,
    }));
    let mut lines = vec![format!(
        "{name}\n    {} {}",
        one_line(&manifest.media_type),
        manifest.digest
    )];
    lines.extend(entries.iter().map(Entry::shown));
    context.terminal.block(&lines.join("\n"));
}
