//! What is read of a layer: its digests, what it takes away of those below, and what package managers have written into it.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use image_oci::digest_of;
use image_proof::{Layer, inventory, read_layer};

/// A file that names a Python package.
const PACKAGE: &str = "usr/lib/python3/site-packages/one.egg-info";
const NAMED: &str = "Name: one\nVersion: 1.0\n";
/// A database of packages that is not read.
const RPM: &str = "var/lib/rpm/rpmdb.sqlite";

/// An archive of these files.
fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        archive
            .append_data(&mut header, name, text.as_bytes())
            .unwrap();
    }
    archive.into_inner().unwrap()
}

fn layer(files: &[(&str, &str)]) -> Layer {
    read_layer(&archive(files)[..]).unwrap()
}

#[test]
fn a_layer_has_the_digests_of_what_is_stored_and_of_the_archive_in_it() {
    let plain = archive(&[("a", "b")]);
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&plain).unwrap();
    let packed = packed.finish().unwrap();
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

/// Writes entries into an archive.
type Fill<'f> = &'f dyn Fn(&mut tar::Builder<Vec<u8>>);

#[test]
fn a_layer_that_puts_something_in_the_place_of_a_directory_with_files_is_refused() {
    const PROGRAM: &str = "#!/bin/sh\n";
    let read = |fill: Fill<'_>| {
        let mut archive = tar::Builder::new(Vec::new());
        fill(&mut archive);
        read_layer(&archive.into_inner().unwrap()[..])
    };
    let file = |archive: &mut tar::Builder<Vec<u8>>, name: &str, text: &str| {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o755);
        archive
            .append_data(&mut header, name, text.as_bytes())
            .unwrap();
    };
    let special = |archive: &mut tar::Builder<Vec<u8>>, kind: tar::EntryType, name: &str| {
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        header.set_mode(0o755);
        header.set_entry_type(kind);
        archive.append_link(&mut header, name, "elsewhere").unwrap();
    };
    let (link, directory) = (tar::EntryType::Symlink, tar::EntryType::Directory);
    // A program that is written through a link stays where that has led.
    let refused: [Fill<'_>; 4] = [
        &|archive| {
            special(archive, link, "a");
            file(archive, "a/x", PROGRAM);
            file(archive, "a", "text");
        },
        &|archive| {
            special(archive, link, "a");
            file(archive, "a/x", PROGRAM);
            special(archive, directory, "a");
            file(archive, "a/x", "text");
        },
        &|archive| {
            file(archive, "a/x", PROGRAM);
            special(archive, link, "a");
        },
        &|archive| {
            file(archive, PACKAGE, NAMED);
            file(archive, "usr/lib/python3", "text");
        },
    ];
    for (number, fill) in refused.iter().enumerate() {
        let error = read(fill).unwrap_err().to_string();
        assert!(
            error.contains("takes the place of a directory"),
            "{number}: {error}"
        );
    }
    let fine: [Fill<'_>; 2] = [
        &|archive| {
            file(archive, "a/x", PROGRAM);
            special(archive, directory, "a");
            file(archive, "ab", "text");
        },
        &|archive| {
            special(archive, link, "a");
            special(archive, directory, "a");
            file(archive, "a/x", PROGRAM);
        },
    ];
    for fill in fine {
        read(fill).unwrap();
    }
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
fn links(count: usize, length: usize, is_hard: bool) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for number in 0..count {
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        header.set_entry_type(if is_hard {
            tar::EntryType::Link
        } else {
            tar::EntryType::Symlink
        });
        // Parts of a name have 255 bytes at most.
        let target = format!("{number}/{}", "ab/".repeat(length / 3));
        archive
            .append_link(&mut header, format!("link{number}"), target)
            .unwrap();
    }
    archive.into_inner().unwrap()
}

#[test]
fn names_that_no_real_layer_has_are_refused_before_they_fill_the_memory() {
    for is_hard in [false, true] {
        let read = |count, length| read_layer(&links(count, length, is_hard)[..]);
        assert!(read(5_000, 3_900).is_ok());
        let error = read(7_000, 3_900).unwrap_err().to_string();
        assert!(error.contains("more names"), "{error}");
        let error = read(1, 4_200).unwrap_err().to_string();
        assert!(error.contains("4096 bytes"), "{error}");
    }
}
