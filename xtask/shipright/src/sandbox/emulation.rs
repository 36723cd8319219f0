//! Running the other CPU's programs on the user's own engine: QEMU, registered with the kernel once.

use crate::{arch::Arch, docker::Docker, report::terminal::Terminal};

/// Registers emulation for architectures that the engine's builder lacks. An engine that refuses is no error here: a build
/// that executes nothing of the other CPU needs no emulation, and one that does says so.
pub(super) fn ensure(docker: &Docker, wanted: impl Iterator<Item = Arch>, terminal: &Terminal) {
    let Ok(platforms) = docker.platforms() else {
        return;
    };
    let mut missing: Vec<_> = wanted
        .filter(|arch| !platforms.contains(&arch.platform()))
        .collect();
    missing.sort();
    missing.dedup();
    for arch in missing {
        terminal
            .note(&format!("this engine cannot run {arch}: installing QEMU emulation with tonistiigi/binfmt, a one-time setup"));
        if let Err(error) = docker.install_emulation(arch) {
            terminal.warning(&format!(
                "emulation of {arch} was not installed, so steps that execute {arch} programs will fail: {error:#}"
            ));
        }
    }
}
