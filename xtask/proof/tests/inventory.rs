//! What package managers have written down, in images of several layers.

mod images;

use image_proof::{Installed, Manager, inventory, read_layer};
use images::{Archive, arm64};

const STATUS: &str = "var/lib/dpkg/status";
const NODE: &str = "srv/node_modules/up/package.json";

fn status(packages: &[(&str, &str)]) -> String {
    let paragraph = |(name, version): &(&str, &str)| {
        format!(
            "Package: {name}\nStatus: install ok installed\nArchitecture: arm64\nVersion: {version}\n\n"
        )
    };
    packages.iter().map(paragraph).collect()
}

fn shown(package: &Installed) -> String {
    format!("{} {} {}", package.manager, package.name, package.version)
}

/// The packages, the databases that were not read, and whether there are more.
fn found(layers: impl IntoIterator<Item = Archive>) -> (Vec<String>, Vec<String>, bool) {
    let layers: Vec<_> = layers
        .into_iter()
        .map(|layer| read_layer(&layer.gzip()[..]).unwrap())
        .collect();
    // A summary that was kept says the same as a fresh one.
    let kept: Vec<image_proof::Layer> =
        serde_json::from_str(&serde_json::to_string(&layers).unwrap()).unwrap();
    let all = inventory(&layers);
    assert_eq!(inventory(&kept), all);
    let packages = all.packages.iter().map(shown).collect();
    (packages, all.unread, all.is_cut)
}

#[test]
fn a_later_layer_says_what_is_there_in_the_end() {
    let base = Archive::new()
        .file(STATUS, status(&[("libc6", "1"), ("curl", "1")]).as_bytes())
        .file("usr/lib/python3/six-1.egg-info", b"Name: six\nVersion: 1\n");
    let own = Archive::new()
        .file(STATUS, status(&[("libc6", "2")]).as_bytes())
        .file("x/numpy-2.dist-info/METADATA", b"Name: numpy\nVersion: 2\n")
        .file("y/numpy-2.dist-info/METADATA", b"Name: numpy\nVersion: 2\n")
        .file(NODE, br#"{"name":"up","version":"1.0.0"}"#);
    let (packages, unread, is_cut) = found([base, own]);
    assert_eq!(
        packages,
        [
            "Debian libc6 2",
            "Python numpy 2",
            "Python six 1",
            "npm up 1.0.0"
        ]
    );
    assert!(unread.is_empty() && !is_cut);
}

#[test]
fn what_a_later_layer_removes_is_not_there() {
    let base = || {
        Archive::new()
            .file(STATUS, status(&[("libc6", "1")]).as_bytes())
            .file(NODE, br#"{"name":"up","version":"1"}"#)
    };
    let whiteouts = [
        Archive::new().file("var/lib/dpkg/.wh.status", b""),
        Archive::new().file("var/lib/.wh.dpkg", b""),
        Archive::new().file("var/lib/dpkg/.wh..wh..opq", b""),
        Archive::new().file("var", b"a file in its place"),
    ];
    for whiteout in whiteouts {
        assert_eq!(found([base(), whiteout]).0, ["npm up 1"]);
    }
}

#[test]
fn what_cannot_be_told_is_said_and_the_image_is_read_all_the_same() {
    let hostile = format!("Name: {}\nVersion: 1\n", "x".repeat(100_000));
    let image = Archive::new()
        .file("app", &arm64())
        .file("var/lib/rpm/rpmdb.sqlite", b"SQLite format 3\0")
        .file("a.dist-info/METADATA", hostile.as_bytes())
        .file("b.dist-info/METADATA", b"\xff\xfe\0Name")
        .file(
            "c.dist-info/METADATA",
            b"Name: <script>\nVersion: \xe2\x80\xae1\n",
        )
        .file(
            "d/node_modules/up/package.json",
            "[".repeat(200_000).as_bytes(),
        );
    let (packages, unread, is_cut) = found([image]);
    assert_eq!(packages, ["Python <script> \u{202e}1"]);
    assert_eq!(unread, ["var/lib/rpm/rpmdb.sqlite"]);
    assert!(is_cut);
}

#[test]
fn a_list_that_is_too_long_is_named_and_hides_the_one_below() {
    let long = format!(
        "{}{}",
        status(&[("libc6", "1")]),
        "\n".repeat(17 * 1024 * 1024)
    );
    let below = Archive::new().file(STATUS, status(&[("curl", "1")]).as_bytes());
    let (packages, unread, _) = found([below, Archive::new().file(STATUS, long.as_bytes())]);
    assert!(packages.is_empty(), "{packages:?}");
    assert_eq!(unread, [STATUS]);
}

#[test]
fn the_distribution_is_what_the_image_says_in_the_end() {
    let system = |layers: Vec<Archive>| {
        let layers: Vec<_> = layers
            .into_iter()
            .map(|layer| read_layer(&layer.gzip()[..]).unwrap())
            .collect();
        inventory(&layers)
            .system
            .map(|system| (system.id, system.version))
    };
    let debian = || Archive::new().file("usr/lib/os-release", b"ID=debian\nVERSION_ID=\"12\"\n");
    let expected = |id: &str, version: &str| Some((id.to_owned(), Some(version.to_owned())));
    assert_eq!(system(vec![debian()]), expected("debian", "12"));
    let own = Archive::new().file("etc/os-release", b"ID=ours\nVERSION_ID=1\n");
    assert_eq!(system(vec![debian(), own]), expected("ours", "1"));
    let gone = Archive::new().file("usr/lib/.wh.os-release", b"");
    assert_eq!(system(vec![debian(), gone]), None);
}

#[test]
fn managers_are_in_one_order() {
    assert!(Manager::Debian < Manager::Alpine && Manager::Python < Manager::Npm);
}
