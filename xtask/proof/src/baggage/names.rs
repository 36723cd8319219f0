//! The names of a path, as far as they say a platform.

use crate::platform::{Name, Words};

/// A path, taken apart.
pub(super) struct Names {
    pub names: Vec<Name>,
    /// The first name that belongs to the package, or that may differ between two packages for two platforms.
    pub from: usize,
}

impl Names {
    pub(super) fn key(names: &[Name]) -> String {
        names
            .iter()
            .map(|name| name.stem.as_str())
            .collect::<Vec<_>>()
            .join("/")
    }

    /// What the package's own part of the path says.
    pub(super) fn words(&self) -> Words {
        self.names[self.from..]
            .iter()
            .fold(Words::default(), |mut words, name| {
                words |= name.words;
                words
            })
    }

    /// The number of Node.js's binary interface.
    pub(super) fn abi(&self) -> Option<u16> {
        self.names.iter().rev().find_map(|name| name.abi)
    }

    /// Whether the path leads to another operating system. The word must stand beside one for a CPU: `freebsd-x64`,
    /// `freebsd/x64`. A package may well be called `android-tools`.
    pub(super) fn says_other_system(&self) -> bool {
        let names_cpu = |at: Option<usize>| {
            at.and_then(|at| self.names.get(at))
                .is_some_and(|name| name.words.names_any_cpu())
        };
        (self.from..self.names.len()).any(|at| {
            let words = self.names[at].words;
            let is_beside_cpu = [
                Some(at),
                at.checked_sub(1).filter(|at| *at >= self.from),
                Some(at + 1),
            ]
            .into_iter()
            .any(names_cpu);
            words.says_other_system() && !words.says_linux() && is_beside_cpu
        })
    }
}

/// Whether a path has more directories than any real one: a few dozen. Nothing so deep is in a package or beside a counterpart.
pub(super) fn is_deep(path: &str) -> bool {
    const DEEPEST: usize = 100;
    path.bytes()
        .filter(|byte| *byte == b'/')
        .take(DEEPEST)
        .count()
        == DEEPEST
}

/// Where the names begin that say a platform, at the end of a path: the last one that names a CPU, and those before it that
/// name a system. What lies above is the package's directory.
pub(super) fn platform_part(names: &[Name]) -> usize {
    let Some(cpu) = names.iter().rposition(|name| name.words.names_any_cpu()) else {
        return names.len() - 1;
    };
    let is_platform = |name: &Name| name.words.names_any_cpu() || name.words.names_any_system();
    cpu - names[..cpu]
        .iter()
        .rev()
        .take_while(|name| is_platform(name))
        .count()
}

/// Whether a file is a library by its name: `libx.so`, `libx.so.1.2`, or an addon of Bare.
pub(super) fn is_library(file: &str) -> bool {
    let mut parts = file.split('.').skip(1).map(str::to_ascii_lowercase);
    parts.any(|part| matches!(part.as_str(), "so" | "bare"))
}

pub(super) fn is_python_directory(name: &str) -> bool {
    matches!(name, "site-packages" | "dist-packages")
}

pub(super) fn is_python_packages(path: &str) -> bool {
    path.split('/').any(is_python_directory)
}
