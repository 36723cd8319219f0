//! What is read of a layer: its digests, what it takes away of those below, and what package managers have written into it.

mod images;

use image_oci::digest_of;
use image_proof::{Layer, inventory, read_layer};
use images::{Archive, gzip};

/// A file that names a Python package.
const PACKAGE: &str = "usr/lib/python3/site-packages/one.egg-info";
const NAMED: &str = "Name: one\nVersion: 1.0\n";
/// A database of packages that is not read.
const RPM: &str = "var/lib/rpm/rpmdb.sqlite";

/// An archive of these files.
fn archive(files: &[(&str, &str)]) -> Archive {
    let files = files.iter();
    files.fold(Archive::new(), |archive, (name, text)| {
        archive.file(name, text.as_bytes())
    })
}

fn layer(files: &[(&str, &str)]) -> Layer {
    read_layer(&archive(files).plain()[..]).unwrap()
}

#[test]
fn a_layer_has_the_digests_of_what_is_stored_and_of_the_archive_in_it() {
    let plain = archive(&[("a", "b")]).plain();
    let packed = gzip(&plain);
    for stored in [&plain, &packed] {
        let layer = read_layer(&stored[..]).unwrap();
        assert_eq!(layer.digest, digest_of(stored));
        assert_eq!(layer.size, stored.len() as u64);
        assert_eq!(layer.diff_id, digest_of(&plain));
    }
}

#[test]
fn the_last_entry_of_a_name_says_what_is_installed() {
    let packages = |files: &[(&str, &str)]| inventory(&[layer(files)]).packages.len();
    assert_eq!(packages(&[(PACKAGE, NAMED)]), 1);
    assert_eq!(packages(&[(PACKAGE, NAMED), (PACKAGE, "nothing")]), 0);
    assert_eq!(packages(&[(PACKAGE, "nothing"), (PACKAGE, NAMED)]), 1);
}

#[test]
fn a_layer_that_puts_something_in_the_place_of_a_directory_with_files_is_refused() {
    const PROGRAM: &[u8] = b"#!/bin/sh\n";
    let filled = |archive: Archive| archive.file("a/x", PROGRAM);
    // A program that is written through a link stays where that has led.
    let linked = || filled(Archive::new().symlink("a", "elsewhere"));
    let refused = [
        linked().file("a", b"text"),
        linked().directory("a/").file("a/x", b"text"),
        filled(Archive::new()).symlink("a", "elsewhere"),
        archive(&[(PACKAGE, NAMED), ("usr/lib/python3", "text")]),
    ];
    for (number, archive) in refused.into_iter().enumerate() {
        let error = read_layer(&archive.plain()[..]).unwrap_err().to_string();
        assert!(
            error.contains("takes the place of a directory"),
            "{number}: {error}"
        );
    }
    let fine = [
        filled(Archive::new()).directory("a/").file("ab", b"text"),
        filled(Archive::new().symlink("a", "elsewhere").directory("a/")),
    ];
    for archive in fine {
        read_layer(&archive.plain()[..]).unwrap();
    }
}

#[test]
fn a_layer_in_which_a_program_of_below_may_stay_under_another_name_is_refused() {
    const PROGRAM: &[u8] = b"#!/bin/sh\n";
    let linked = || Archive::new().hardlink("a", "d/x");
    let twice = |between: &str| {
        let archive = Archive::new().file("lib/x", PROGRAM);
        archive.directory(between).file("lib/x", PROGRAM)
    };
    let refused = [
        (linked().file("d/x", b"text"), "links to"),
        (linked().directory("d/x/"), "links to"),
        (linked().file("d", b"text"), "links to"),
        (linked().symlink("d", "e"), "links to"),
        (twice("lib/"), "writes it twice"),
        (
            Archive::new()
                .hardlink("lib/x", "d/x")
                .directory("lib/")
                .file("lib/x", PROGRAM),
            "writes it twice",
        ),
    ];
    for (number, (archive, why)) in refused.into_iter().enumerate() {
        let error = read_layer(&archive.plain()[..]).unwrap_err().to_string();
        assert!(error.contains(why), "{number}: {error}");
    }
    let fine = [
        linked().directory("d/").file("d/y", b"text"),
        archive(&[("d/x", "text")])
            .hardlink("a", "d/x")
            .file("d/x", b"text"),
        twice("lib/y/"),
        twice("library/"),
        // As `tar --append` does it: the directory was one all the time.
        Archive::new()
            .directory("bin/")
            .file("bin/sh", PROGRAM)
            .directory("bin/")
            .file("bin/sh", PROGRAM),
    ];
    for archive in fine {
        read_layer(&archive.plain()[..]).unwrap();
    }
}

#[test]
fn what_a_replaced_list_of_files_says_is_forgotten() {
    let list = "usr/lib/python3/site-packages/one-1.0.dist-info/RECORD";
    let program = "usr/lib/python3/site-packages/one/native.so";
    let record = "one/native.so,,\n";
    let owners = |files: &[(&str, &str)]| {
        let files = files.iter();
        let archive = Archive::new().file(program, b"\x7fELF damaged");
        let archive = files.fold(archive, |archive, (name, text)| {
            archive.file(name, text.as_bytes())
        });
        serde_json::to_string(&read_layer(&archive.plain()[..]).unwrap()).unwrap()
    };
    assert!(owners(&[(list, record)]).contains("Python package one"));
    assert!(!owners(&[(list, record), (list, "other,,\n")]).contains("Python package one"));
}

#[test]
fn what_a_layer_above_takes_away_is_in_no_inventory() {
    let below = || {
        layer(&[
            (PACKAGE, NAMED),
            (RPM, "x"),
            ("etc/os-release", "ID=debian\n"),
        ])
    };
    let all = inventory(&[below()]);
    assert_eq!((all.packages.len(), all.unread.len()), (1, 1));
    assert!(all.system.is_some());
    // Nothing of this kind takes anything away: the storage's own names, and a name that is none.
    for name in ["var/lib/rpm/.wh..wh.rpmdb.sqlite", "var/lib/rpm/.wh."] {
        assert_eq!(inventory(&[below(), layer(&[(name, "")])]), all, "{name}");
    }
    let cases = [
        (
            "usr/lib/python3/site-packages/.wh.one.egg-info",
            (0, 1, true),
        ),
        ("usr/lib/python3/.wh..wh..opq", (0, 1, true)),
        ("var/lib/rpm/.wh.rpmdb.sqlite", (1, 0, true)),
        ("var/.wh.lib", (1, 0, true)),
        ("etc/.wh.os-release", (1, 1, false)),
        (".wh.usr", (0, 1, true)),
    ];
    for (name, left) in cases {
        let found = inventory(&[below(), layer(&[(name, "")])]);
        let found = (
            found.packages.len(),
            found.unread.len(),
            found.system.is_some(),
        );
        assert_eq!(found, left, "{name}");
    }
    // A layer takes nothing away of itself, nor of those above.
    let both = layer(&[("usr/.wh.lib", ""), (PACKAGE, NAMED)]);
    assert_eq!(inventory(&[both, layer(&[(RPM, "x")])]).packages.len(), 1);
}

/// An archive of so many links, each to a name of its own of so many bytes.
fn links(count: usize, length: usize, kind: tar::EntryType) -> Vec<u8> {
    let numbers = 0..count;
    let archive = numbers.fold(Archive::new(), |archive, number| {
        // Parts of a name have 255 bytes at most.
        let target = format!("{number}/{}", "ab/".repeat(length / 3));
        archive.link(kind, &format!("link{number}"), &target)
    });
    archive.plain()
}

#[test]
fn names_that_no_real_layer_has_are_refused_before_they_fill_the_memory() {
    for kind in [tar::EntryType::Symlink, tar::EntryType::Link] {
        let read = |count, length| read_layer(&links(count, length, kind)[..]);
        assert!(read(5_000, 3_900).is_ok());
        let error = read(7_000, 3_900).unwrap_err().to_string();
        assert!(error.contains("more names"), "{error}");
        let error = read(1, 4_200).unwrap_err().to_string();
        assert!(error.contains("4096 bytes"), "{error}");
    }
}
