//! What a proof costs, as ratios in one run: `cargo run --package image-proof --example speed`.
//!
//! - proving a gzip layer of 280 MB against `pigz -dc` (or `gzip -dc`) of the same bytes, the best of five each, in turns
//! - reading back a kept summary of that layer
//! - the most memory that this process ever had, after a layer of 10 GB of zeros
#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    reason = "a program that prints measurements"
)]

use std::{
    fs::{self, File},
    io::{Read, Write},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use image_proof::{Layer, read_layer};

fn main() {
    let directory = std::env::temp_dir().join(format!("image-proof-speed-{}", std::process::id()));
    fs::create_dir_all(&directory).expect("a temporary directory");
    let layer = directory.join("layer.tar.gz");
    write_layer(&layer);
    let tool = if Command::new("pigz").arg("--version").output().is_ok() {
        "pigz"
    } else {
        "gzip"
    };
    let (mut ours, mut theirs) = (Duration::MAX, Duration::MAX);
    let mut summary = None;
    for _ in 0..5 {
        let start = Instant::now();
        let output = Command::new(tool)
            .arg("-dc")
            .arg(&layer)
            .stdout(Stdio::null())
            .status();
        assert!(output.expect("a gzip program").success());
        theirs = theirs.min(start.elapsed());
        let start = Instant::now();
        summary = Some(read_layer(File::open(&layer).expect("the layer")).expect("a layer"));
        ours = ours.min(start.elapsed());
    }
    println!(
        "proof {ours:?}, {tool} -dc {theirs:?}: ratio {:.2}",
        ours.as_secs_f64() / theirs.as_secs_f64()
    );

    let text = serde_json::to_vec(&summary.expect("a summary")).expect("JSON");
    let start = Instant::now();
    let kept: Layer = serde_json::from_slice(&text).expect("a summary");
    println!(
        "kept summary of {} bytes read in {:?} ({})",
        text.len(),
        start.elapsed(),
        &kept.digest[..19]
    );

    let start = Instant::now();
    let zeros = tar_header("zeros", 10_000_000_000)
        .chain(std::io::repeat(0).take(10_000_000_000_u64.next_multiple_of(512)));
    read_layer(zeros).expect("a layer");
    println!(
        "10 GB of zeros in {:?}, peak memory {}",
        start.elapsed(),
        peak_memory()
    );
    let _ = fs::remove_dir_all(&directory);
}

/// Text that compresses about as well as a file system does, and programs in between.
fn write_layer(file: &Path) {
    let compressor = flate2::write::GzEncoder::new(
        File::create(file).expect("a file"),
        flate2::Compression::new(6),
    );
    let mut archive = tar::Builder::new(compressor);
    let mut seed: u64 = 1;
    for number in 0..2800 {
        let mut bytes = if number % 4 == 0 {
            b"\x7fELF\x02\x01".to_vec()
        } else {
            Vec::new()
        };
        bytes.resize(64, 0);
        bytes[18] = 0xb7;
        while bytes.len() < 100_000 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let word = seed.to_le_bytes();
            let length = usize::try_from(seed % 24).unwrap_or(0);
            bytes.extend(word);
            let start = bytes.len().saturating_sub(2000);
            bytes.extend_from_within(start..(start + length).min(bytes.len()));
        }
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o755);
        archive
            .append_data(
                &mut header,
                format!("usr/lib/directory{}/file{number}", number % 50),
                &bytes[..],
            )
            .expect("an entry");
    }
    archive
        .into_inner()
        .and_then(|compressor| compressor.finish())
        .and_then(|mut file| file.flush())
        .expect("a layer");
}

fn tar_header(name: &str, size: u64) -> std::io::Cursor<Vec<u8>> {
    let mut header = tar::Header::new_gnu();
    header.set_path(name).expect("a name");
    header.set_size(size);
    header.set_cksum();
    std::io::Cursor::new(header.as_bytes().to_vec())
}

fn peak_memory() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap_or("unknown")
        .trim()
        .to_owned()
}
