//! The machine code of an architecture, as ELF headers have it.

use image_proof::Machine;

use crate::arch::Arch;

/// The machine code of an architecture.
pub fn of(arch: Arch) -> Machine {
    match arch {
        Arch::Amd64 => Machine::AMD64,
        Arch::Arm64 => Machine::ARM64,
    }
}
