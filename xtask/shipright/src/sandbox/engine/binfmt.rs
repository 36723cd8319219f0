//! How the kernel is told to run programs of the other CPU with QEMU.

use std::path::Path;

use crate::{arch::Arch, facts::host};

/// The CPU that this machine has to emulate.
pub(super) fn foreign() -> Option<Arch> {
    let native = host::arch()?;
    Arch::ALL.into_iter().find(|arch| *arch != native)
}

/// The line that tells the kernel to run binaries of `arch` with QEMU.
///
/// Source: QEMU's `scripts/qemu-binfmt-conf.sh`. The flag F opens QEMU at once, so that containers need not have it; O and
/// P hand the binary over as it is, with its own name.
pub(super) fn registration(arch: Arch, bin: &Path) -> String {
    let name = arch.uname();
    let (machine, version_mask) = match arch {
        Arch::Amd64 => ("3e", r"\xfe\xfe"),
        Arch::Arm64 => ("b7", r"\xff\xff"),
    };
    let zero = r"\x00".repeat(8);
    let ones = r"\xff".repeat(8);
    let head = r"\x7f\x45\x4c\x46\x02\x01\x01\x00";
    let head_mask = format!(r"\xff\xff\xff\xff\xff{version_mask}\x00");
    format!(
        r":qemu-{name}:M::{head}{zero}\x02\x00\x{machine}\x00:{head_mask}{ones}\xfe\xff\xff\xff:{}/qemu-{name}:OPF",
        bin.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emulation_is_registered_as_debian_does_it() {
        let line = registration(Arch::Arm64, Path::new("/x"));
        assert_eq!(
            line,
            r":qemu-aarch64:M::\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:/x/qemu-aarch64:OPF"
        );
        let line = registration(Arch::Amd64, Path::new("/x"));
        assert!(
            line.contains(r"\x02\x00\x3e\x00:\xff\xff\xff\xff\xff\xfe\xfe\x00\xff"),
            "{line}"
        );
    }
}
