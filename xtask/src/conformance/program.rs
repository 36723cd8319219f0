//! A program that an image can have without a compiler.

/// The smallest program for 64-bit ARM: it ends with 0. Source: "ELF for the Arm 64-bit Architecture"; Linux' `unistd.h` for the call.
pub(super) fn arm64() -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    // mov x0, 0; mov x8, 93 (exit); svc 0
    const CODE: [u32; 3] = [0xd280_0000, 0xd280_0ba8, 0xd400_0001];
    let size = HEADERS + 4 * CODE.len() as u64;
    let short = |numbers: &[u16]| -> Vec<u8> {
        let bytes = numbers.iter().flat_map(|one| one.to_le_bytes());
        bytes.collect()
    };
    let long = |numbers: &[u64]| -> Vec<u8> {
        let bytes = numbers.iter().flat_map(|one| one.to_le_bytes());
        bytes.collect()
    };
    let code = CODE.iter().flat_map(|word| word.to_le_bytes());
    [
        vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        // An executable for AArch64, version 1.
        short(&[2, 183, 1, 0]),
        long(&[BASE + HEADERS, 64, 0]),
        short(&[0, 0, 64, 56, 1, 0, 0, 0]),
        // One segment, to be read and executed.
        short(&[1, 0, 5, 0]),
        long(&[0, BASE, BASE, size, size, 0x1000]),
        code.collect(),
    ]
    .concat()
}
