//! Manifests and configs.
#![no_main]

use image_oci::Manifest;
use image_proof::{Config, Machine, prove};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let manifest = Manifest::new(String::from_utf8_lossy(bytes).into_owned(), "");
    let _ = manifest.document();
    let _ = manifest.parse_config(bytes);
    if let Ok(config) = Config::parse(bytes) {
        prove(&config, &[], Machine::AMD64, &[]);
        let _ = (0..4).map(|layer| config.instruction(layer)).collect::<Vec<_>>();
    }
});
