//! Tools of which a package has one for each operating system, and tells no CPUs apart.

use super::{
    Porter,
    names::{Names, is_library},
};
use crate::{
    elf::{Elf, Machine},
    path,
    platform::is_addon,
    tree::Present,
};

/// Directories for operating systems other than Linux.
const SYSTEMS: [&str; 7] = ["macos", "darwin", "osx", "mac", "windows", "win32", "win"];

/// Words for CPUs in the name of a directory.
const CPUS: [&str; 7] = ["arm64", "aarch64", "x64", "x86_64", "amd64", "ia32", "arm"];

impl Porter<'_> {
    /// Whether a file is one of several tools, a directory for each operating system, where no name tells CPUs apart: its maker
    /// has one for Linux on amd64, and what calls it has to live without it on arm64. Libraries are never such tools.
    pub(super) fn is_launcher(
        &self,
        path: &str,
        names: &Names,
        present: &Present,
        elf: &Elf,
    ) -> bool {
        let file = path::split(path).1;
        let is_tool = !is_library(file) && !is_addon(file) && !self.start.is_on_path(path);
        let is_usual = elf.machine == Machine::AMD64;
        if !is_tool || !is_usual || names.words().names_any_cpu() {
            return false;
        }
        // The repository's own tools are started by the repository's own code.
        if !self.is_of_package(path, present) {
            return false;
        }
        let parts: Vec<&str> = path.split('/').collect();
        let Some(at) = (names.from..parts.len() - 1)
            .rev()
            .find(|at| parts[*at] == "linux")
        else {
            return false;
        };
        let is_there = |system: &str| {
            let sibling = [&parts[..at], &[system], &parts[at + 1..]]
                .concat()
                .join("/");
            ["", ".exe"]
                .iter()
                .any(|end| self.tree.has(&format!("{sibling}{end}")))
        };
        SYSTEMS.into_iter().any(is_there) && !tells_cpus(is_there)
    }

    fn is_of_package(&self, path: &str, present: &Present) -> bool {
        let package = present.file.package.as_ref();
        let about = package.and_then(|package| package.about.as_deref());
        self.root(path)
            .is_some_and(|root| root.contains("node_modules/"))
            || about.is_some_and(|about| self.with_list(about, |listed| listed.is_for_any))
    }
}

/// A directory for a CPU beside it, of any system, says that its maker does tell them apart.
fn tells_cpus(is_there: impl Fn(&str) -> bool) -> bool {
    let systems = ["linux", "win64"].into_iter().chain(SYSTEMS);
    let names = systems.flat_map(|system| {
        CPUS.into_iter().flat_map(move |cpu| {
            ["-", "_", "/"]
                .into_iter()
                .map(move |between| format!("{system}{between}{cpu}"))
        })
    });
    names.into_iter().any(|name| is_there(&name))
}
