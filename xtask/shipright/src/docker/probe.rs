//! Whether a builder really executes the programs of a CPU: it is given one, made here byte by byte, that does nothing but
//! end well.

use std::{fs, os::unix::fs::PermissionsExt};

use anyhow::{Context, Result};

use super::Docker;
use crate::{arch::Arch, interrupt::Transient, proof::machine};

/// Where the program's only segment is loaded.
const ADDRESS: u64 = 0x40_0000;

impl Docker {
    /// Whether the engine executes the programs of a CPU: the engine itself, and not docker's current builder, which may be
    /// elsewhere or have emulation of its own. Its builder has the name of docker's context.
    ///
    /// # Errors
    /// As for [`Docker::executes`].
    pub fn engine_executes(&self, arch: Arch) -> Result<bool> {
        let context = self.tool.read(&["context", "show"]).unwrap_or_default();
        let name = if context.trim().is_empty() {
            "default"
        } else {
            context.trim()
        };
        self.executes(arch, Some(name))
    }

    /// Builds an image of one program for `arch` that is executed while it is built, by a builder, or docker's current one.
    /// Nothing is kept of it.
    ///
    /// # Errors
    /// A directory that cannot be made. A builder that cannot execute the program is `Ok(false)`.
    pub fn executes(&self, arch: Arch, builder: Option<&str>) -> Result<bool> {
        let directory = tempfile::Builder::new()
            .prefix("xtask-probe-")
            .tempdir()
            .context("no temporary directory can be made")?;
        let directory = Transient::new(directory.keep());
        let program = directory.path().join("probe");
        fs::write(&program, exits_well(arch))?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
        fs::write(
            directory.path().join("Dockerfile"),
            "FROM scratch\nCOPY probe /probe\nRUN [\"/probe\"]\n",
        )?;
        let place = directory.path().to_string_lossy();
        let platform = arch.platform();
        let mut words = vec![
            "build",
            "--platform",
            &platform,
            "--no-cache",
            "--output",
            "type=cacheonly",
        ];
        words.extend(builder.into_iter().flat_map(|name| ["--builder", name]));
        words.push(&place);
        Ok(self.buildx.read(&words).is_ok())
    }

    /// The kernel's handler for a CPU's programs and its flags, where the engine runs on this machine's kernel and in its
    /// view of the system. Source: the kernel's `Documentation/admin-guide/binfmt-misc.rst`.
    pub fn handler(&self, arch: Arch) -> Option<String> {
        let named = self.tool.read(&["info", "--format", "{{.Name}}"]).ok()?;
        let here = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
        if named != here.trim() {
            return None;
        }
        let state =
            fs::read_to_string(format!("/proc/sys/fs/binfmt_misc/qemu-{}", arch.uname())).ok()?;
        let field = |name: &str| {
            state
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .map(str::trim)
        };
        Some(format!(
            "{}, flags {}, {}",
            field("interpreter")?,
            field("flags:").unwrap_or("none"),
            state.lines().next().unwrap_or_default()
        ))
    }
}

/// A static ELF program that ends with code 0. Source: the System V ABI for the headers, the kernel's tables for the number
/// of `exit`.
fn exits_well(arch: Arch) -> Vec<u8> {
    const HEADERS: u16 = 64 + 56;
    let code: &[u8] = match arch {
        // mov eax, 60; xor edi, edi; syscall
        Arch::Amd64 => &[0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05],
        // mov x8, #93; mov x0, #0; svc #0
        Arch::Arm64 => &[0xa8, 0x0b, 0x80, 0xd2, 0, 0, 0x80, 0xd2, 0x01, 0, 0, 0xd4],
    };
    let size = u64::from(HEADERS) + code.len() as u64;
    let mut program = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let mut put = |bytes: &[u8]| program.extend_from_slice(bytes);
    put(&2_u16.to_le_bytes()); // an executable
    put(&machine::of(arch).number.to_le_bytes());
    put(&1_u32.to_le_bytes());
    put(&(ADDRESS + u64::from(HEADERS)).to_le_bytes()); // where it starts
    put(&64_u64.to_le_bytes()); // program headers
    put(&0_u64.to_le_bytes()); // no section headers
    put(&0_u32.to_le_bytes());
    for half in [64_u16, 56, 1, 64, 0, 0] {
        put(&half.to_le_bytes());
    }
    put(&1_u32.to_le_bytes()); // a segment to load
    put(&5_u32.to_le_bytes()); // to read and to execute
    for word in [0, ADDRESS, ADDRESS, size, size, 0x1_0000] {
        put(&word.to_le_bytes());
    }
    put(code);
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_for_its_cpu() {
        for arch in Arch::ALL {
            let program = exits_well(arch);
            assert_eq!(
                image_proof::read_elf(&program).unwrap().unwrap().machine,
                machine::of(arch)
            );
        }
    }
}
