//! Made-up images, put into the double's registry as others may have pushed them.

use serde_json::{Value, json};

use super::aws::{Aws, Repository, digest};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// A layer, and the instruction that made it.
pub(crate) struct Layer<'a> {
    /// What the history says.
    pub created_by: &'a str,
    /// Names and contents.
    pub files: &'a [(&'a str, &'a [u8])],
}

/// An image in the making.
pub(crate) struct Image<'a> {
    /// As OCI spells it.
    pub arch: &'a str,
    /// Bottom first; the history has the base image's program after the first.
    pub layers: &'a [Layer<'a>],
    /// What is said of it.
    pub labels: Value,
}

impl Image<'_> {
    /// Puts the image into a repository, under a tag, and returns its digest.
    pub(crate) fn store(&self, aws: &Aws, repository: &str, tag: &str) -> String {
        let mut state = aws.state();
        let repository = state.repositories.entry(repository.to_owned()).or_default();
        let archives = self.layers.iter().map(|layer| tar(layer.files));
        let descriptors: Vec<_> = archives
            .map(|bytes| keep(repository, LAYER, bytes))
            .collect();
        let mut history = Vec::new();
        for layer in self.layers {
            history.push(json!({ "created_by": layer.created_by }));
            if history.len() == 1 {
                history.push(json!({ "created_by": "CMD [\"sh\"]", "empty_layer": true }));
            }
        }
        let ids = descriptors.iter().map(|layer| &layer["digest"]);
        let config = json!({
            "architecture": self.arch, "os": "linux", "history": history,
            "config": { "Labels": self.labels, "Entrypoint": ["/app"] },
            "rootfs": { "type": "layers", "diff_ids": ids.collect::<Vec<_>>() },
        });
        let config = keep(
            repository,
            "application/vnd.oci.image.config.v1+json",
            config.to_string().into_bytes(),
        );
        let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": descriptors });
        let bytes = manifest.to_string();
        let name = digest(bytes.as_bytes());
        repository
            .manifests
            .insert(name.clone(), (MANIFEST.to_owned(), bytes));
        repository.tags.insert(tag.to_owned(), name.clone());
        name
    }
}

fn keep(repository: &mut Repository, media_type: &str, bytes: Vec<u8>) -> Value {
    let (name, size) = (digest(&bytes), bytes.len());
    repository.blobs.insert(name.clone(), bytes);
    json!({ "mediaType": media_type, "digest": name, "size": size })
}

/// A program for a CPU, as far as its header goes.
pub(crate) fn program(arch: &str) -> Vec<u8> {
    let mut bytes = vec![0; 4096];
    bytes[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1]);
    bytes[16] = 2;
    bytes[18] = if arch == "arm64" { 0xb7 } else { 0x3e };
    bytes
}

/// An archive of files that anybody may execute.
fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, content) in files {
        let mut header = [0_u8; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[100..108].copy_from_slice(b"0000755\0");
        header[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
        header[148..156].fill(b' ');
        header[156] = b'0';
        header[257..265].copy_from_slice(b"ustar\x0000");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        archive.extend(header);
        archive.extend(*content);
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive.resize(archive.len() + 1024, 0);
    archive
}
