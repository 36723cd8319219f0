//! What makes an OCI image layout of the content store, for programs that read one: the images that were used lately.
//!
//! Source: the OCI image specification, "Image Layout".

use std::{fs, io::Write, path::Path};

use anyhow::{Context, Result};
use image_oci::{IMAGE_INDEX_TYPES, Manifest};
use serde_json::json;

/// Writes `oci-layout` and `index.json`, each as a whole.
///
/// # Errors
/// A directory that cannot be written to.
pub(super) fn write(directory: &Path) -> Result<()> {
    let recent = fs::read_dir(directory.join("recent")).context("the content store is gone")?;
    let mut manifests: Vec<_> = recent
        .flatten()
        .filter_map(|mark| entry(directory, &mark.file_name().to_string_lossy()))
        .collect();
    manifests.sort_by_key(|entry| entry["digest"].to_string());
    let index =
        json!({ "schemaVersion": 2, "mediaType": IMAGE_INDEX_TYPES[0], "manifests": manifests });
    replace(directory, "index.json", &index.to_string())?;
    replace(directory, "oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#)
}

fn entry(directory: &Path, hex: &str) -> Option<serde_json::Value> {
    let file = directory.join("blobs/sha256").join(hex);
    let bytes = fs::read_to_string(file).ok()?;
    let manifest = Manifest::new(bytes, "");
    let (media_type, digest, size) = (&manifest.media_type, &manifest.digest, manifest.bytes.len());
    Some(json!({ "mediaType": media_type, "digest": digest, "size": size }))
}

fn replace(directory: &Path, name: &str, text: &str) -> Result<()> {
    let file = directory.join(name);
    let about = || format!("failed to write `{}`", file.display());
    let mut part = tempfile::NamedTempFile::new_in(directory.join("ingest")).with_context(about)?;
    part.write_all(text.as_bytes()).with_context(about)?;
    part.persist(&file).with_context(about)?;
    Ok(())
}
