//! The C library that an image's programs are loaded with.

use crate::{
    elf::Machine,
    layer::Content,
    path,
    start::{Start, is_loaders_own},
    tree::{Found, Tree},
};

/// The C library of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Libc {
    /// GNU's.
    Glibc,
    /// Alpine's.
    Musl,
}

/// The C library that an image's programs are loaded with: that of the program that it starts, or else the one whose loader
/// for this CPU is in the loaders' own directories, where it is one alone.
pub(super) fn of(tree: &Tree<'_>, start: &Start, expected: Machine) -> Option<Libc> {
    let of_name = |path: &str| {
        let name = path::split(path).1;
        match (name.starts_with("ld-linux"), name.starts_with("ld-musl-")) {
            (true, _) => Some(Libc::Glibc),
            (_, true) => Some(Libc::Musl),
            _ => None,
        }
    };
    let mut started = start.programs.iter().rev().filter_map(|program| {
        match tree.files.get(&program.path)?.content() {
            Content::Elf(elf) if elf.machine == expected => of_name(elf.loader.as_ref()?),
            _ => None,
        }
    });
    if let Some(libc) = started.next() {
        return Some(libc);
    }
    let is_right = |path: &str| matches!(tree.find(path), Found::File(_, file) if matches!(&file.content, Content::Elf(elf) if elf.machine == expected));
    let places = tree.files.keys().map(String::as_str).chain(tree.links());
    let loaders = places.filter(|path| {
        is_loaders_own(path::split(path).0) && of_name(path).is_some() && is_right(path)
    });
    let mut found: Vec<Libc> = loaders.filter_map(of_name).collect();
    found.dedup();
    if let [only] = found[..] {
        Some(only)
    } else {
        None
    }
}
