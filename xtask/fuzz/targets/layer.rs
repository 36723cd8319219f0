//! A layer as a registry sends it, compressed or not, and the proof of an image that ends with it.
#![no_main]

use image_proof::{Config, Machine, inventory, prove, read_layer};

const CONFIG: &[u8] = br#"{"architecture":"arm64","os":"linux","rootfs":{"diff_ids":["a"]},
    "config":{"Entrypoint":["/run"],"Cmd":["x"],"WorkingDir":"/app","Env":["PATH=/bin:/app"]},
    "history":[{"created_by":"COPY x"}]}"#;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    judge(bytes);
    judge(&with_checksums(bytes));
});

fn judge(bytes: &[u8]) {
    let Ok(layer) = read_layer(bytes) else { return };
    let config = Config::parse(CONFIG).expect("the config is fine");
    let layers = [layer];
    prove(&config, &layers, Machine::ARM64, &[]);
    inventory(&layers);
}

/// The same bytes with the checksum of each tar header put right: no header that was changed would be read otherwise.
fn with_checksums(bytes: &[u8]) -> Vec<u8> {
    const BLOCK: usize = 512;
    let mut bytes = bytes.to_vec();
    let mut at: usize = 0;
    while let Some(header) = bytes.get_mut(at..at.saturating_add(BLOCK)) {
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let digits = std::str::from_utf8(&header[124..135]).unwrap_or_default();
        let size = usize::from_str_radix(digits.trim_matches(['\0', ' ']), 8).unwrap_or(0);
        at = at.saturating_add(BLOCK).saturating_add(size.div_ceil(BLOCK).saturating_mul(BLOCK));
    }
    bytes
}
