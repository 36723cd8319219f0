//! Images in the making: layers of any kind, and a config.
#![allow(dead_code, reason = "each test file uses a part")]

use std::io::Write;

use image_proof::{Allowed, Config, Layer, Machine, prove, read_layer};

/// A binary of some kind for a machine, with a loader where it has one.
pub(crate) fn elf(class: u8, order: u8, kind: u16, machine: u16, loader: Option<&str>) -> Vec<u8> {
    let mut bytes = vec![0_u8; 64];
    bytes[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', class, order]);
    let half = |number: u16| {
        if order == 2 {
            number.to_be_bytes()
        } else {
            number.to_le_bytes()
        }
    };
    bytes[16..18].copy_from_slice(&half(kind));
    bytes[18..20].copy_from_slice(&half(machine));
    if let Some(loader) = loader {
        bytes[32..40].copy_from_slice(&64_u64.to_le_bytes());
        bytes[54..56].copy_from_slice(&half(56));
        bytes[56..58].copy_from_slice(&half(1));
        let mut segment = vec![0_u8; 56];
        segment[..4].copy_from_slice(&3_u32.to_le_bytes());
        segment[8..16].copy_from_slice(&120_u64.to_le_bytes());
        segment[32..40].copy_from_slice(&(loader.len() as u64 + 1).to_le_bytes());
        bytes.extend(segment);
        bytes.extend(loader.as_bytes());
        bytes.push(0);
    }
    bytes.extend([0x90; 3000]);
    bytes
}

pub(crate) fn amd64() -> Vec<u8> {
    elf(2, 1, 2, 0x3e, None)
}

pub(crate) fn arm64() -> Vec<u8> {
    elf(2, 1, 2, 0xb7, None)
}

/// A layer in the making.
pub(crate) struct Archive(pub tar::Builder<Vec<u8>>);

impl Archive {
    pub(crate) fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    pub(crate) fn file(mut self, path: &str, bytes: &[u8]) -> Self {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o755);
        self.0.append_data(&mut header, path, bytes).unwrap();
        self
    }

    pub(crate) fn directory(mut self, path: &str) -> Self {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_size(0);
        self.0.append_data(&mut header, path, &[][..]).unwrap();
        self
    }

    pub(crate) fn link(mut self, kind: tar::EntryType, path: &str, target: &str) -> Self {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        self.0.append_link(&mut header, path, target).unwrap();
        self
    }

    pub(crate) fn symlink(self, path: &str, target: &str) -> Self {
        self.link(tar::EntryType::Symlink, path, target)
    }

    pub(crate) fn hardlink(self, path: &str, target: &str) -> Self {
        self.link(tar::EntryType::Link, path, target)
    }

    /// A file whose name stands in an extended header.
    pub(crate) fn pax(mut self, path: &str, bytes: &[u8]) -> Self {
        self.0
            .append_pax_extensions([("path", path.as_bytes())])
            .unwrap();
        self.file("short", bytes)
    }

    /// An entry as it would never be made by a program: name, type, claimed size, content.
    pub(crate) fn raw(mut self, name: &[u8], kind: u8, claimed: u64, content: &[u8]) -> Self {
        let mut header = tar::Header::new_gnu();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name);
        header.as_mut_bytes()[156] = kind;
        header.set_mode(0o755);
        header.set_size(claimed);
        header.set_cksum();
        let inner = self.0.get_mut();
        inner.extend(header.as_bytes());
        inner.extend(content);
        inner.resize(inner.len().next_multiple_of(512), 0);
        self
    }

    pub(crate) fn plain(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }

    /// Without the two blocks of zeros that end an archive.
    pub(crate) fn cut(mut self, bytes_less: usize) -> Vec<u8> {
        let inner = std::mem::take(self.0.get_mut());
        std::mem::forget(self.0);
        inner[..inner.len() - bytes_less].to_vec()
    }

    pub(crate) fn gzip(self) -> Vec<u8> {
        gzip(&self.plain())
    }

    pub(crate) fn zstd(self) -> Vec<u8> {
        zstd::encode_all(&self.plain()[..], 3).unwrap()
    }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// An image that starts `/app`.
pub(crate) struct Image {
    pub layers: Vec<Vec<u8>>,
    pub architecture: &'static str,
    pub execution: &'static str,
    pub history: String,
    pub allowed: Vec<Allowed>,
}

impl Image {
    pub(crate) fn new(layers: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self {
            layers: layers.into_iter().collect(),
            architecture: "arm64",
            execution: r#"{"Entrypoint":["/app"]}"#,
            history: "[]".to_owned(),
            allowed: Vec::new(),
        }
    }

    pub(crate) fn says(self, architecture: &'static str) -> Self {
        Self {
            architecture,
            ..self
        }
    }

    pub(crate) fn runs(self, execution: &'static str) -> Self {
        Self { execution, ..self }
    }

    pub(crate) fn made_by(self, steps: &[&str]) -> Self {
        let steps: Vec<_> = steps
            .iter()
            .map(|step| format!(r#"{{"created_by":"{step}"}}"#))
            .collect();
        Self {
            history: format!("[{}]", steps.join(",")),
            ..self
        }
    }

    pub(crate) fn allows(mut self, path: &str) -> Self {
        self.allowed.push(Allowed {
            path: path.to_owned(),
            reason: "on purpose".to_owned(),
        });
        self
    }

    pub(crate) fn layers(&self) -> Vec<Layer> {
        self.layers
            .iter()
            .map(|bytes| read_layer(&bytes[..]).unwrap())
            .collect()
    }

    pub(crate) fn verdict(&self, expected: Machine) -> image_proof::Verdict {
        let layers = self.layers();
        let ids: Vec<_> = layers
            .iter()
            .map(|layer| format!("\"{}\"", layer.diff_id))
            .collect();
        let config = format!(
            r#"{{"architecture":"{}","os":"linux","config":{},"rootfs":{{"diff_ids":[{}]}},"history":{}}}"#,
            self.architecture,
            self.execution,
            ids.join(","),
            self.history
        );
        // A summary that was kept says the same as a fresh one.
        let kept: Vec<Layer> =
            serde_json::from_str(&serde_json::to_string(&layers).unwrap()).unwrap();
        let config = Config::parse(config.as_bytes()).unwrap();
        let verdict = prove(&config, &layers, expected, &self.allowed);
        assert_eq!(prove(&config, &kept, expected, &self.allowed), verdict);
        verdict
    }
}

pub(crate) fn app() -> Archive {
    Archive::new().file("app", &arm64())
}

pub(crate) fn long(start: &str) -> String {
    format!(
        "{start}/{}/tool",
        "directory-with-a-long-name/"
            .repeat(12)
            .trim_end_matches('/')
    )
}
