//! What makes an OCI image layout of the content store, for programs that read one: the images that were used lately.
//!
//! Source: the OCI image specification, "Image Layout".

use std::{collections::BTreeMap, ffi::OsString, fs, io::Write, path::Path};

use anyhow::{Context, Result};
use image_oci::{IMAGE_INDEX_TYPES, Manifest};
use serde_json::{Value, json};

/// Writes `oci-layout` and `index.json`, each as a whole, where they are not as they should be. Only manifests that are not listed yet
/// are read: there may be thousands.
///
/// # Errors
/// A directory that cannot be written to.
pub(super) fn write(directory: &Path) -> Result<()> {
    let recent = fs::read_dir(directory.join("recent")).context("the content store is gone")?;
    let listed = listed(directory);
    let marks = recent.flatten().map(|mark| mark.file_name());
    let known = |mark: OsString| {
        let hex = mark.to_string_lossy();
        let known = listed.get(&*format!("sha256:{hex}")).cloned();
        known.or_else(|| entry(directory, &hex))
    };
    let mut manifests: Vec<_> = marks.filter_map(known).collect();
    manifests.sort_by_key(|entry| entry["digest"].to_string());
    if manifests.iter().eq(listed.values()) {
        return Ok(());
    }
    replace(directory, "index.json", &index(&manifests))?;
    replace(directory, "oci-layout", VERSION)
}

/// What says which form a layout has.
const VERSION: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;

fn index(manifests: &[Value]) -> String {
    let media_type = IMAGE_INDEX_TYPES[0];
    json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": manifests }).to_string()
}

/// Makes a layout of a directory, which lists one image.
///
/// # Errors
/// A directory that cannot be written to.
pub(super) fn write_one(directory: &Path, entry: &Value) -> Result<()> {
    let files = [
        ("index.json", index(std::slice::from_ref(entry))),
        ("oci-layout", VERSION.to_owned()),
    ];
    for (name, text) in files {
        let file = directory.join(name);
        fs::write(&file, text).with_context(|| format!("failed to write `{}`", file.display()))?;
    }
    Ok(())
}

/// What `index.json` lists, by digest.
fn listed(directory: &Path) -> BTreeMap<String, Value> {
    let read = fs::read(directory.join("index.json")).ok();
    let index: Option<Value> = read.and_then(|text| serde_json::from_slice(&text).ok());
    let entries = index.and_then(|index| index["manifests"].as_array().cloned());
    let named = |entry: Value| Some((entry["digest"].as_str()?.to_owned(), entry));
    entries.into_iter().flatten().filter_map(named).collect()
}

fn entry(directory: &Path, hex: &str) -> Option<Value> {
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
