//! Manifests and configs.
#![no_main]

use image_proof::{Config, Machine, Manifest, prove};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = Manifest::parse(bytes);
    if let Ok(config) = Config::parse(bytes) {
        prove(&config, &[], Machine::AMD64, &[]);
        let _ = (0..4).map(|layer| config.instruction(layer)).collect::<Vec<_>>();
    }
});
