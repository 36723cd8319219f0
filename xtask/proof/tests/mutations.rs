//! Thousands of damaged layers and files: whatever comes of them, it is an answer. The same ones in every run.

use std::io::Write;

use image_oci::Document;
use image_proof::{Config, Machine, prove, read_layer};

/// A generator of numbers without any meaning, the same in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap_or(0)
    }

    /// Some damage: bytes changed, cut out, doubled, or replaced by numbers that parsers dislike.
    fn damage(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.below(8) {
            if bytes.is_empty() {
                break;
            }
            let at = self.below(bytes.len());
            match self.below(6) {
                0 => bytes[at] = self.next().to_le_bytes()[0],
                1 => bytes[at] ^= 1 << self.below(8),
                2 => bytes.truncate(at),
                3 => {
                    let end = (at + self.below(600)).min(bytes.len());
                    let part = bytes[at..end].to_vec();
                    bytes.splice(at..at, part);
                }
                4 => {
                    let end = (at + self.below(600)).min(bytes.len());
                    bytes.drain(at..end);
                }
                _ => {
                    let end = (at + 8).min(bytes.len());
                    let extreme =
                        [0, u64::MAX, 1 << 63, 0x7fff_ffff_ffff_ffff][self.below(4)].to_le_bytes();
                    bytes[at..end].copy_from_slice(&extreme[..end - at]);
                }
            }
        }
        bytes
    }
}

fn archive() -> Vec<u8> {
    let mut elf = vec![0_u8; 600];
    elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
    elf[16] = 2;
    elf[18] = 0xb7;
    let mut builder = tar::Builder::new(Vec::new());
    let mut add = |path: &str, kind: tar::EntryType, target: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(bytes.len() as u64);
        header.set_mode(0o755);
        if target.is_empty() {
            builder.append_data(&mut header, path, bytes).unwrap();
        } else {
            builder.append_link(&mut header, path, target).unwrap();
        }
    };
    add("usr/", tar::EntryType::Directory, "", b"");
    add("usr/app", tar::EntryType::Regular, "", &elf);
    add("app", tar::EntryType::Symlink, "usr/app", b"");
    add("hard", tar::EntryType::Link, "usr/app", b"");
    add("run", tar::EntryType::Regular, "", b"#!/app -x\n");
    add(".wh.gone", tar::EntryType::Regular, "", b"");
    add("usr/.wh..wh..opq", tar::EntryType::Regular, "", b"");
    add(&"long/".repeat(40), tar::EntryType::Directory, "", b"");
    add(
        "lib/site-packages/x-1.dist-info/RECORD",
        tar::EntryType::Regular,
        "",
        b"x.so,,\n",
    );
    builder.into_inner().unwrap()
}

#[test]
fn a_damaged_layer_is_an_error_or_a_layer_and_never_a_panic() {
    const CONFIG: &[u8] = br#"{"architecture":"arm64","os":"linux","config":{"Entrypoint":["/run"],"Env":["PATH=/bin"]},
        "rootfs":{"diff_ids":["a"]},"history":[{"created_by":"COPY x"}]}"#;
    let plain = archive();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&plain).unwrap();
    let seeds = [
        plain.clone(),
        encoder.finish().unwrap(),
        zstd::encode_all(&plain[..], 1).unwrap(),
    ];
    let config = Config::parse(CONFIG).unwrap();
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let (mut read, mut refused) = (0, 0);
    for round in 0..6000 {
        let damaged = numbers.damage(&seeds[round % seeds.len()]);
        match read_layer(&damaged[..]) {
            Ok(layer) => {
                read += 1;
                let other = read_layer(&plain[..]).unwrap();
                prove(&config, &[other, layer], Machine::ARM64, &[]);
            }
            Err(error) => {
                refused += 1;
                assert!(!error.to_string().is_empty());
            }
        }
    }
    assert!(
        read > 100 && refused > 1000,
        "the damage is too much or too little: {read} read, {refused} refused"
    );
}

#[test]
fn damaged_manifests_and_configs_are_errors_or_read() {
    let seeds: [&[u8]; 2] = [
        br#"{"schemaVersion":2,"config":{"digest":"sha256:a","size":1},"layers":[{"digest":"b","size":2,"platform":{"os":"linux","architecture":"x"}}],"manifests":[]}"#,
        br#"{"architecture":"arm64","os":"linux","config":{"Entrypoint":["/a"],"WorkingDir":"/"},"rootfs":{"diff_ids":["c"]},"history":[{"empty_layer":true}]}"#,
    ];
    let mut numbers = Numbers(42);
    for round in 0..20_000 {
        let damaged = numbers.damage(seeds[round % 2]);
        if let Ok(config) = Config::parse(&damaged) {
            prove(&config, &[], Machine::AMD64, &[]);
        }
        if let Err(error) = Document::parse(&damaged) {
            assert!(!error.to_string().is_empty());
        }
    }
    let deep = "[".repeat(100_000);
    assert!(Document::parse(deep.as_bytes()).is_err() && Config::parse(deep.as_bytes()).is_err());
}
