//! The first bytes of a file.
#![no_main]

libfuzzer_sys::fuzz_target!(|head: &[u8]| {
    // Most of what is worth trying begins as ELF does.
    let _ = image_proof::read_elf(head);
    let _ = image_proof::read_elf(&[b"\x7fELF", head].concat());
});
