//! Images, good and bad, made at test time: each says what the proof has to find in it, and nothing else may be found.
#![allow(
    clippy::too_many_lines,
    reason = "a test tells a story, or has a table of cases"
)]

mod images;

use image_proof::{Config, Machine, Problem, prove, read_layer};
use images::{Archive, Image, amd64, app, arm64, elf, gzip, long};

use Problem::{
    MissingEntrypoint, MissingInterpreter, MissingLoader, NotExecutable, WrongConfig, WrongMachine,
};

type Case = (&'static str, Image, Machine, Vec<(Problem, &'static str)>);

/// Every case: a name, an image, the CPU that it is meant for, and all that has to be found, with a part of the path or text.
#[expect(clippy::too_many_lines, reason = "a table")]
fn cases() -> Vec<Case> {
    let arm = Machine::ARM64;
    let amd = Machine::AMD64;
    let wrong = |path| vec![(WrongMachine, path)];
    vec![
        ("a right binary", Image::new([app().plain()]), arm, vec![]),
        (
            "a right binary, gzip",
            Image::new([app().gzip()]),
            arm,
            vec![],
        ),
        (
            "a right binary, zstd",
            Image::new([app().zstd()]),
            arm,
            vec![],
        ),
        (
            "a right amd64 binary",
            Image::new([Archive::new().file("app", &amd64()).gzip()]).says("amd64"),
            amd,
            vec![],
        ),
        (
            "the lie: an amd64 binary in an image that says arm64",
            Image::new([Archive::new().file("app", &amd64()).gzip()]),
            arm,
            wrong("app"),
        ),
        (
            "the same the other way round",
            Image::new([app().zstd()]).says("amd64"),
            amd,
            wrong("app"),
        ),
        (
            "an honest image for the other CPU",
            Image::new([Archive::new().file("app", &amd64()).gzip()]).says("amd64"),
            arm,
            vec![(WrongConfig, "linux/amd64"), (WrongMachine, "app")],
        ),
        (
            "a config for another system",
            Image::new([app().gzip()]).says("riscv64"),
            arm,
            vec![(WrongConfig, "linux/riscv64")],
        ),
        (
            "right and wrong at the same time",
            Image::new([app().file("opt/tool", &amd64()).gzip()]),
            arm,
            wrong("opt/tool"),
        ),
        (
            "a wrong library deep in a Python package",
            Image::new([
                app().gzip(),
                Archive::new()
                    .file(
                        "usr/lib/python3.13/site-packages/numpy/core.cpython-313.so",
                        &elf(2, 1, 3, 0x3e, None),
                    )
                    .gzip(),
            ]),
            arm,
            wrong("numpy/core"),
        ),
        (
            "a wrong file that a later layer deletes",
            Image::new([
                app().file("opt/tool", &amd64()).gzip(),
                Archive::new().file("opt/.wh.tool", b"").gzip(),
            ]),
            arm,
            vec![],
        ),
        (
            "a deleted file that comes back",
            Image::new([
                app().gzip(),
                Archive::new().file(".wh.tool", b"").gzip(),
                Archive::new().file("tool", &amd64()).gzip(),
            ]),
            arm,
            wrong("tool"),
        ),
        (
            "a wrong file beside a whiteout of its name in the same layer",
            Image::new([
                app().gzip(),
                Archive::new()
                    .file("tool", &amd64())
                    .file(".wh.tool", b"")
                    .gzip(),
            ]),
            arm,
            wrong("tool"),
        ),
        (
            "a directory that a later layer deletes",
            Image::new([
                app().file("opt/a/b/tool", &amd64()).gzip(),
                Archive::new().file(".wh.opt", b"").gzip(),
            ]),
            arm,
            vec![],
        ),
        (
            "a directory whose name only begins like a deleted one",
            Image::new([
                app().file("opt2/tool", &amd64()).gzip(),
                Archive::new().file(".wh.opt", b"").gzip(),
            ]),
            arm,
            wrong("opt2/tool"),
        ),
        (
            "an opaque directory",
            Image::new([
                app().file("opt/tool", &amd64()).gzip(),
                Archive::new()
                    .directory("opt/")
                    .file("opt/.wh..wh..opq", b"")
                    .gzip(),
            ]),
            arm,
            vec![],
        ),
        (
            "an opaque directory keeps what its own layer has",
            Image::new([
                app().gzip(),
                Archive::new()
                    .file("opt/.wh..wh..opq", b"")
                    .file("opt/tool", &amd64())
                    .gzip(),
            ]),
            arm,
            wrong("opt/tool"),
        ),
        (
            "an opaque marker that comes after the files",
            Image::new([
                app().gzip(),
                Archive::new()
                    .file("opt/tool", &amd64())
                    .file("opt/.wh..wh..opq", b"")
                    .gzip(),
            ]),
            arm,
            wrong("opt/tool"),
        ),
        (
            "a wrong file that is replaced by a right one",
            Image::new([Archive::new().file("app", &amd64()).gzip(), app().gzip()]),
            arm,
            vec![],
        ),
        (
            "a right file that is replaced by a wrong one",
            Image::new([app().gzip(), Archive::new().file("app", &amd64()).gzip()]),
            arm,
            wrong("app"),
        ),
        (
            "a wrong file that is replaced by a text",
            Image::new([
                app().file("tool", &amd64()).gzip(),
                Archive::new().file("tool", b"text").gzip(),
            ]),
            arm,
            vec![],
        ),
        (
            "a wrong file that is replaced by a directory",
            Image::new([
                app().file("tool", &amd64()).gzip(),
                Archive::new().directory("tool/").gzip(),
            ]),
            arm,
            vec![],
        ),
        (
            "a directory with a wrong file that is replaced by a link",
            Image::new([
                app().file("opt/tool", &amd64()).gzip(),
                Archive::new().symlink("opt", "/usr").gzip(),
            ]),
            arm,
            vec![],
        ),
        (
            "the same name twice in one layer, wrong last",
            Image::new([app().file("app", &amd64()).gzip()]),
            arm,
            wrong("app"),
        ),
        (
            "the same name twice in one layer, right last",
            Image::new([Archive::new()
                .file("app", &amd64())
                .file("app", &arm64())
                .gzip()]),
            arm,
            vec![],
        ),
        (
            "a hard link to a wrong file",
            Image::new([app().file("a", &amd64()).hardlink("b", "a").gzip()]),
            arm,
            vec![(WrongMachine, "a"), (WrongMachine, "b")],
        ),
        (
            "a hard link that outlives the file",
            Image::new([
                app().file("a", &amd64()).gzip(),
                Archive::new().hardlink("b", "a").file(".wh.a", b"").gzip(),
            ]),
            arm,
            wrong("b"),
        ),
        (
            "an entry point that is a hard link",
            Image::new([Archive::new()
                .file("real", &arm64())
                .hardlink("app", "real")
                .gzip()]),
            arm,
            vec![],
        ),
        (
            "a symbolic link to a wrong file is not a second finding",
            Image::new([app().file("a", &amd64()).symlink("b", "a").gzip()]),
            arm,
            wrong("a"),
        ),
        (
            "a long name, GNU",
            Image::new([app().file(&long("gnu"), &amd64()).gzip()]),
            arm,
            wrong("gnu/directory"),
        ),
        (
            "a long name, PAX",
            Image::new([app().pax(&long("pax"), &amd64()).gzip()]),
            arm,
            wrong("pax/directory"),
        ),
        (
            "a long whiteout",
            Image::new([
                app().file(&long("x"), &amd64()).gzip(),
                Archive::new()
                    .file(&long("x").replace("/tool", "/.wh.tool"), b"")
                    .gzip(),
            ]),
            arm,
            vec![],
        ),
        (
            "names with ./ and double slashes",
            Image::new([
                app().raw(b".//opt/./tool", b'0', 3064, &amd64()).gzip(),
                Archive::new().file("opt/.wh.tool", b"").gzip(),
            ]),
            arm,
            vec![],
        ),
        (
            "a static and a dynamic binary",
            Image::new([Archive::new()
                .file(
                    "app",
                    &elf(2, 1, 3, 0xb7, Some("/lib/ld-linux-aarch64.so.1")),
                )
                .file("lib/ld-linux-aarch64.so.1", &elf(2, 1, 3, 0xb7, None))
                .gzip()]),
            arm,
            vec![],
        ),
        (
            "a loader that is missing",
            Image::new([Archive::new()
                .file(
                    "app",
                    &elf(2, 1, 3, 0xb7, Some("/lib/ld-musl-aarch64.so.1")),
                )
                .gzip()]),
            arm,
            vec![(MissingLoader, "ld-musl")],
        ),
        (
            "a loader behind a link of a lower layer",
            Image::new([
                Archive::new()
                    .symlink("lib", "usr/lib")
                    .file("usr/lib/ld.so", &elf(2, 1, 3, 0xb7, None))
                    .gzip(),
                Archive::new()
                    .file("app", &elf(2, 1, 3, 0xb7, Some("/lib/ld.so")))
                    .gzip(),
            ]),
            arm,
            vec![],
        ),
        (
            "32-bit compatibility libraries",
            Image::new([Archive::new()
                .file("app", &amd64())
                .file("lib32/libc.so.6", &elf(1, 1, 3, 3, None))
                .gzip()])
            .says("amd64"),
            amd,
            vec![],
        ),
        (
            "32-bit arm on arm64",
            Image::new([app().file("lib/libc.so.6", &elf(1, 1, 3, 40, None)).gzip()]),
            arm,
            vec![],
        ),
        (
            "i386 on arm64",
            Image::new([app().file("lib/libc.so.6", &elf(1, 1, 3, 3, None)).gzip()]),
            arm,
            wrong("libc"),
        ),
        (
            "x32 is not amd64",
            Image::new([Archive::new().file("app", &elf(1, 1, 2, 0x3e, None)).gzip()])
                .says("amd64"),
            amd,
            wrong("app"),
        ),
        (
            "big-endian arm64 is not arm64",
            Image::new([Archive::new().file("app", &elf(2, 2, 2, 0xb7, None)).gzip()]),
            arm,
            wrong("app"),
        ),
        (
            "code for GPUs and for the kernel",
            Image::new([app()
                .file("k.cubin", &elf(2, 1, 2, 190, None))
                .file("p.o", &elf(2, 1, 1, 247, None))
                .gzip()]),
            arm,
            vec![],
        ),
        (
            "foreign object files",
            Image::new([app().file("crt1.o", &elf(2, 1, 1, 0x3e, None)).gzip()]),
            arm,
            vec![],
        ),
        (
            "Go's test data",
            Image::new([app()
                .file(
                    "usr/local/go/src/debug/elf/testdata/gcc-amd64-linux-exec",
                    &amd64(),
                )
                .gzip()]),
            arm,
            vec![],
        ),
        (
            "a damaged library",
            Image::new([app().file("x.so", b"\x7fELF\x09").gzip()]),
            arm,
            vec![],
        ),
        (
            "a damaged entry point",
            Image::new([Archive::new().file("app", b"\x7fELF\x02\x01").gzip()]),
            arm,
            vec![(NotExecutable, "begins like machine code")],
        ),
        (
            "a file that only mentions ELF",
            Image::new([app().file("doc", b"ELF \x7fELF").gzip()]),
            arm,
            vec![],
        ),
        (
            "no native code at all",
            Image::new([Archive::new()
                .file("app", b"#!/sh\n")
                .file("sh", b"#!/app\n")
                .gzip()])
            .runs("{}"),
            arm,
            vec![],
        ),
        ("nothing at all", Image::new([]).runs("{}"), arm, vec![]),
        (
            "an empty layer",
            Image::new([app().gzip(), Archive::new().gzip()]),
            arm,
            vec![],
        ),
        (
            "a script with its interpreter",
            Image::new([Archive::new()
                .file("app", b"#!/bin/sh -e\n")
                .file("bin/sh", &arm64())
                .gzip()]),
            arm,
            vec![],
        ),
        (
            "a script whose interpreter is for the other CPU",
            Image::new([Archive::new()
                .file("app", b"#!/bin/sh\n")
                .file("bin/sh", &amd64())
                .gzip()]),
            arm,
            wrong("bin/sh"),
        ),
        (
            "a script whose interpreter is missing",
            Image::new([Archive::new()
                .file("app", b"#!/bin/bash\n")
                .file("bin/sh", &arm64())
                .gzip()]),
            arm,
            vec![(MissingInterpreter, "/bin/bash")],
        ),
        (
            "a script that env finds an interpreter for",
            Image::new([Archive::new()
                .file("app", b"#!/usr/bin/env -S python3 -u\n")
                .file("usr/bin/env", &arm64())
                .file("opt/py/python3", &arm64())
                .gzip()])
            .runs(r#"{"Entrypoint":["/app"],"Env":["PATH=/bin:/opt/py"]}"#),
            arm,
            vec![],
        ),
        (
            "a script that env finds no interpreter for",
            Image::new([Archive::new()
                .file("app", b"#!/usr/bin/env python3\n")
                .file("usr/bin/env", &arm64())
                .gzip()]),
            arm,
            vec![(MissingInterpreter, "python3")],
        ),
        (
            "an entry point that is missing",
            Image::new([Archive::new().file("other", &arm64()).gzip()]),
            arm,
            vec![(MissingEntrypoint, "/app")],
        ),
        (
            "an entry point that a later layer deletes",
            Image::new([app().gzip(), Archive::new().file(".wh.app", b"").gzip()]),
            arm,
            vec![(MissingEntrypoint, "/app")],
        ),
        (
            "an entry point that is a text",
            Image::new([Archive::new().file("app", b"echo hello\n").gzip()]),
            arm,
            vec![(NotExecutable, "neither machine code nor a script")],
        ),
        (
            "an entry point on PATH",
            Image::new([Archive::new().file("usr/local/bin/serve", &arm64()).gzip()])
                .runs(r#"{"Cmd":["serve","-v"]}"#),
            arm,
            vec![],
        ),
        (
            "an entry point from the working directory",
            Image::new([Archive::new().file("srv/serve", &arm64()).gzip()])
                .runs(r#"{"Cmd":["./serve"],"WorkingDir":"/srv"}"#),
            arm,
            vec![],
        ),
        (
            "an entry point behind links",
            Image::new([Archive::new()
                .symlink("app", "/usr/bin/../lib/x")
                .symlink("usr/lib/x", "y")
                .file("usr/lib/y", &arm64())
                .gzip()]),
            arm,
            vec![],
        ),
        (
            "links in a circle",
            Image::new([Archive::new()
                .symlink("app", "b")
                .symlink("b", "app")
                .gzip()]),
            arm,
            vec![(MissingEntrypoint, "/app")],
        ),
        (
            "a foreign binary that is allowed",
            Image::new([app().file("opt/qemu/x", &amd64()).gzip()]).allows("/opt/qemu/*"),
            arm,
            vec![],
        ),
        (
            "a foreign binary beside the allowed one",
            Image::new([app()
                .file("opt/qemu/x", &amd64())
                .file("opt/y", &amd64())
                .gzip()])
            .allows("/opt/qemu/*"),
            arm,
            wrong("opt/y"),
        ),
        (
            "an entry point for 32-bit arm",
            Image::new([Archive::new().file("app", &elf(1, 1, 2, 40, None)).gzip()]),
            arm,
            vec![(NotExecutable, "32-bit arm")],
        ),
        (
            "an i386 entry point on amd64",
            Image::new([Archive::new().file("app", &elf(1, 1, 2, 3, None)).gzip()]).says("amd64"),
            amd,
            vec![],
        ),
        (
            "an entry point in testdata",
            Image::new([Archive::new().file("testdata/app", &amd64()).gzip()])
                .runs(r#"{"Cmd":["/testdata/app"]}"#),
            arm,
            vec![(NotExecutable, "machine code for amd64")],
        ),
        (
            "an entry point that is an object file",
            Image::new([Archive::new().file("app", &elf(2, 1, 1, 0xb7, None)).gzip()]),
            arm,
            vec![(NotExecutable, "an object file")],
        ),
        (
            "an entry point for the kernel's machine",
            Image::new([Archive::new().file("app", &elf(2, 1, 2, 247, None)).gzip()]),
            arm,
            vec![(NotExecutable, "bpf")],
        ),
        (
            "a damaged loader",
            Image::new([Archive::new()
                .file("app", &elf(2, 1, 3, 0xb7, Some("/lib/ld.so")))
                .file("lib/ld.so", b"\x7fELF")
                .gzip()]),
            arm,
            vec![(MissingLoader, "is no loader")],
        ),
        (
            "a script with Windows line ends",
            Image::new([Archive::new()
                .file("app", b"#!/bin/sh\r\n")
                .file("bin/sh", &arm64())
                .gzip()]),
            arm,
            vec![(MissingInterpreter, "/bin/sh\\r")],
        ),
        (
            "env without -S gets one argument",
            Image::new([Archive::new()
                .file("app", b"#!/usr/bin/env python3 -u\n")
                .file("usr/bin/env", &arm64())
                .file("usr/bin/python3", &arm64())
                .gzip()]),
            arm,
            vec![(MissingInterpreter, "python3 -u")],
        ),
        (
            "env -S with options",
            Image::new([Archive::new()
                .file("app", b"#!/usr/bin/env -S -u PYTHONPATH X=1 python3 -u\n")
                .file("usr/bin/env", &arm64())
                .file("usr/bin/python3", &arm64())
                .gzip()]),
            arm,
            vec![],
        ),
        (
            "an interpreter without its loader",
            Image::new([Archive::new()
                .file("app", b"#!/bin/sh\n")
                .file("bin/sh", &elf(2, 1, 3, 0xb7, Some("/lib/ld-musl.so")))
                .gzip()]),
            arm,
            vec![(MissingLoader, "ld-musl")],
        ),
        (
            "an interpreter that is a text",
            Image::new([Archive::new()
                .file("app", b"#!/bin/sh\n")
                .file("bin/sh", b"text")
                .gzip()]),
            arm,
            vec![(MissingInterpreter, "is no program")],
        ),
        (
            "an interpreter without a directory",
            Image::new([Archive::new()
                .file("app", b"#!python3\n")
                .file("usr/bin/python3", &arm64())
                .gzip()]),
            arm,
            vec![(MissingInterpreter, "python3")],
        ),
        (
            "scripts that interpret each other",
            Image::new([Archive::new()
                .file("app", b"#!/b\n")
                .file("b", b"#!/app\n")
                .gzip()]),
            arm,
            vec![(NotExecutable, "fifth script")],
        ),
        (
            "names that are no text stay two",
            Image::new([app()
                .raw(b"opt/\xff", b'0', 3064, &amd64())
                .raw(b"opt/\xfe", b'0', 3064, &arm64())
                .gzip()]),
            arm,
            wrong("opt/\\xff"),
        ),
        (
            "a file with a slash at its end has content",
            Image::new([app()
                .raw(b"z/", b'0', 1024, &[0; 1024])
                .file("opt/tool", &amd64())
                .gzip()]),
            arm,
            wrong("opt/tool"),
        ),
        (
            "a directory that comes back in the same layer",
            Image::new([
                app().file("opt/tool", &amd64()).gzip(),
                Archive::new().file("opt", b"").directory("opt/").gzip(),
            ]),
            arm,
            wrong("opt/tool"),
        ),
        (
            "a hard link to a text that covers a wrong file",
            Image::new([
                app().file("x", &amd64()).gzip(),
                Archive::new().file("x", b"text").hardlink("y", "x").gzip(),
            ]),
            arm,
            vec![],
        ),
        (
            "a hard link through a linked directory",
            Image::new([
                app()
                    .file("usr/lib/x", &amd64())
                    .symlink("lib", "usr/lib")
                    .hardlink("opt/y", "lib/x")
                    .gzip(),
                Archive::new().file("usr/lib/.wh.x", b"").gzip(),
            ]),
            arm,
            wrong("opt/y"),
        ),
        (
            "a hard link to a wrong file of below, whose other name gets a right one",
            Image::new([
                app().file("d/x", &amd64()).symlink("e", "d").gzip(),
                Archive::new()
                    .hardlink("a", "d/x")
                    .file("e/x", &arm64())
                    .gzip(),
            ]),
            arm,
            wrong("a (of a layer below)"),
        ),
        (
            "a wrong file that was written through a link before its directory was made",
            Image::new([
                app()
                    .symlink("lib", "usr/lib")
                    .file("usr/lib/y", &arm64())
                    .gzip(),
                Archive::new()
                    .file("lib/x", &amd64())
                    .directory("lib/")
                    .gzip(),
                Archive::new().file("lib/.wh.x", b"").gzip(),
            ]),
            arm,
            wrong("usr/lib/x"),
        ),
        (
            "a directory after its files, where no link was",
            Image::new([
                app().file("lib/y", &arm64()).gzip(),
                Archive::new()
                    .file("lib/x", &arm64())
                    .directory("lib/")
                    .gzip(),
            ]),
            arm,
            vec![],
        ),
        (
            "a layer that begins with a frame to skip",
            Image::new([[
                &[0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 9][..],
                &app().file("tool", &amd64()).zstd(),
            ]
            .concat()]),
            arm,
            wrong("tool"),
        ),
        (
            "several gzip members in one layer",
            Image::new([{
                let whole = app().file("tool", &amd64()).plain();
                [gzip(&whole[..700]), gzip(&whole[700..])].concat()
            }]),
            arm,
            wrong("tool"),
        ),
    ]
}

#[test]
fn the_corpus_is_judged_right_without_a_false_alarm() {
    let cases = cases();
    assert!(cases.len() >= 60, "{}", cases.len());
    for (name, image, expected, problems) in cases {
        let verdict = image.verdict(expected);
        let found: Vec<_> = verdict
            .findings
            .iter()
            .map(|finding| {
                (
                    finding.problem,
                    format!("{} {}", finding.path, finding.found),
                )
            })
            .collect();
        assert_eq!(found.len(), problems.len(), "{name}: {found:#?}");
        for ((problem, part), (found, text)) in problems.iter().zip(&found) {
            assert!(
                problem == found && text.contains(part),
                "{name}: {problem:?} with {part} is not {found:?} {text}"
            );
        }
    }
}

#[test]
fn an_image_without_machine_code_has_nothing_to_prove() {
    let image = Image::new([Archive::new().file("etc/x", b"text").gzip()]).runs("{}");
    assert_eq!(
        image.verdict(Machine::ARM64).summary(),
        "nothing to prove: no native code"
    );
    assert_eq!(
        Image::new([app().gzip()]).verdict(Machine::ARM64).summary(),
        "the one file of machine code is for arm64"
    );
}

/// What is no mistake is counted, each file once, and what is not there is not mentioned.
#[test]
fn files_that_are_no_mistake_are_counted_by_what_they_are() {
    let object = elf(2, 1, 1, 0x3e, None);
    let archive = app()
        .file("lib/narrow-1", &elf(1, 1, 2, 40, None))
        .file("lib/narrow-2", &elf(1, 1, 2, 40, None))
        .file("lib/a.o", &object)
        .file("lib/b.o", &object)
        .file("lib/c.o", &object)
        .file("lib/cut", &amd64()[..17])
        .file("go/testdata/a", &amd64())
        .file("go/testdata/b", &amd64());
    let verdict = Image::new([archive.gzip()]).verdict(Machine::ARM64);
    assert_eq!(verdict.findings.len(), 0, "{:#?}", verdict.findings);
    let expected = [
        "2 files for the 32-bit mode of this CPU",
        "3 files for another CPU, but object files: nothing runs or loads them",
        "1 files beginning like machine code and damaged after that: nothing runs or loads them",
        "2 files for another CPU in directories named `testdata`",
    ];
    assert_eq!(verdict.notes, expected);
    let plain = Image::new([app().gzip()]).verdict(Machine::ARM64);
    assert_eq!(plain.notes, Vec::<String>::new());
    let unsaid = Image::new([app().gzip()])
        .runs("{}")
        .verdict(Machine::ARM64);
    assert_eq!(unsaid.notes, ["the image says no program to start"]);
}

#[test]
fn an_object_file_is_neither_a_program_nor_a_loader() {
    let object = elf(2, 1, 1, 0xb7, None);
    let loader = "/lib/ld-linux-aarch64.so.1";
    let program = elf(2, 1, 2, 0xb7, Some(loader));
    let with_loader = |loader: &[u8]| {
        let archive = Archive::new().file("app", &program);
        Image::new([archive.file("lib/ld-linux-aarch64.so.1", loader).gzip()])
    };
    let found = |image: Image| {
        let verdict = image.verdict(Machine::ARM64);
        let findings = verdict.findings.iter();
        findings.map(|finding| finding.problem).collect::<Vec<_>>()
    };
    assert_eq!(found(with_loader(&arm64())), []);
    assert_eq!(found(with_loader(&object)), [MissingLoader]);
    let started = Image::new([Archive::new().file("app", &object).gzip()]);
    assert_eq!(found(started), [NotExecutable]);
}

#[test]
fn a_finding_names_layer_instruction_package_and_cure() {
    let so = elf(2, 1, 3, 0x3e, None);
    let python = Archive::new()
        .file("packages/site-packages/numpy/core.so", &so)
        .file(
            "packages/site-packages/numpy-2.3.1.dist-info/RECORD",
            b"numpy/core.so,sha256=x,1\n",
        )
        .gzip();
    let debian = Archive::new()
        .file("var/lib/dpkg/info/tool:amd64.list", b"/.\n/usr/bin/tool\n")
        .file("usr/bin/tool", &amd64())
        .gzip();
    let image = Image::new([app().gzip(), python, debian]).made_by(&[
        "COPY app /app # buildkit",
        "RUN /bin/sh -c pip install numpy # buildkit",
        "RUN apt-get install tool",
    ]);
    let verdict = image.verdict(Machine::ARM64);
    let layers = image.layers();
    let [numpy, tool] = verdict.findings.as_slice() else {
        panic!("{:#?}", verdict.findings)
    };
    assert_eq!(numpy.package.as_deref(), Some("Python package numpy 2.3.1"));
    assert_eq!(
        numpy.instruction.as_deref(),
        Some("RUN /bin/sh -c pip install numpy")
    );
    assert_eq!(numpy.layer.as_deref(), Some(layers[1].digest.as_str()));
    assert!(
        numpy.cause.contains("$BUILDPLATFORM") && numpy.cause.contains("--python-platform"),
        "{}",
        numpy.cause
    );
    assert_eq!(tool.package.as_deref(), Some("Debian package tool"));
    assert!(
        numpy.to_string().contains(
            "/packages/site-packages/numpy/core.so: machine code for amd64, expected arm64"
        )
    );
}

#[test]
fn a_layer_that_the_config_does_not_name_is_found() {
    let layer = read_layer(&app().gzip()[..]).unwrap();
    let config = |ids: &str| {
        let text = format!(
            r#"{{"architecture":"arm64","os":"linux","config":{{"Cmd":["/app"]}},"rootfs":{{"diff_ids":[{ids}]}}}}"#
        );
        Config::parse(text.as_bytes()).unwrap()
    };
    let right = format!("\"{}\"", layer.diff_id);
    let problems = |ids: &str| {
        prove(
            &config(ids),
            std::slice::from_ref(&layer),
            Machine::ARM64,
            &[],
        )
        .findings
        .len()
    };
    assert_eq!(
        (problems(&right), problems("\"sha256:other\""), problems("")),
        (0, 1, 1)
    );
}

#[test]
fn hostile_layers_are_refused_with_a_reason() {
    let many_links = || {
        let links = (0..10_000).map(|number| (format!("l{number}"), format!("l{}", number + 1)));
        links.fold(Archive::new(), |archive, (path, target)| {
            archive.symlink(&path, &target)
        })
    };
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        (
            "no archive",
            b"this is no archive at all".repeat(40),
            "no tar archive",
        ),
        (
            "an archive that ends in a header",
            app().plain()[..100].to_vec(),
            "ends inside a header",
        ),
        (
            "an archive that ends in a file",
            app().plain()[..1000].to_vec(),
            "ends",
        ),
        (
            "a gzip stream that ends too early",
            app().gzip()[..40].to_vec(),
            "ends too early",
        ),
        (
            "a damaged gzip stream",
            {
                let mut bytes = app().gzip();
                let end = bytes.len();
                bytes[end - 6] ^= 1;
                bytes
            },
            "damaged",
        ),
        (
            "a zstd stream that ends too early",
            app().zstd()[..20].to_vec(),
            "end",
        ),
        (
            "a name with ..",
            Archive::new()
                .raw(b"../../etc/passwd", b'0', 0, b"")
                .plain(),
            "`..`",
        ),
        (
            "a link to ..",
            Archive::new()
                .raw(b"a", b'1', 0, b"")
                .hardlink("b", "../../x")
                .plain(),
            "`..`",
        ),
        (
            "a file of 2^60 bytes",
            Archive::new().raw(b"big", b'0', 1 << 60, b"x").plain(),
            "ends",
        ),
        (
            "a name of 2^40 bytes",
            Archive::new()
                .raw(b"././@LongLink", b'L', 1 << 40, b"x")
                .plain(),
            "claims 1099511627776 bytes",
        ),
        (
            "an extended header of 2^40 bytes",
            Archive::new().raw(b"pax", b'x', 1 << 40, b"x").plain(),
            "claims",
        ),
        (
            "a damaged extended header",
            Archive::new().raw(b"pax", b'x', 9, b"99999 a=b").plain(),
            "damaged",
        ),
        (
            "a block of zeros in the middle",
            [
                app().cut(0),
                vec![0; 512],
                Archive::new().file("x", &amd64()).plain(),
            ]
            .concat(),
            "a block of zeros",
        ),
        (
            "a name of 5000 bytes",
            Archive::new().file(&"a/".repeat(2500), b"x").plain(),
            "4096 bytes",
        ),
        (
            "a wrong checksum",
            {
                let mut bytes = app().plain();
                bytes[0] ^= 1;
                bytes
            },
            "checksum",
        ),
    ];
    for (name, bytes, expected) in cases {
        let error = read_layer(&bytes[..]).expect_err(name).to_string();
        assert!(error.contains(expected), "{name}: {error}");
    }
    let deep =
        Image::new([many_links().file("l10000", &arm64()).gzip()]).runs(r#"{"Cmd":["/l0"]}"#);
    assert_eq!(
        deep.verdict(Machine::ARM64).findings[0].problem,
        MissingEntrypoint,
        "Linux follows 40 links"
    );
    assert!(
        read_layer(&app().cut(0)[..]).is_ok(),
        "builders may leave out the end of an archive"
    );
    assert!(
        read_layer(
            &Archive::new()
                .raw(b"/etc/app", b'0', 3064, &arm64())
                .plain()[..]
        )
        .is_ok(),
        "absolute names are taken from the root"
    );
}

#[test]
fn sparse_files_are_read_from_their_first_part() {
    // PAX format 1.0, as `tar --sparse --format=pax` makes it: a map in front of the content.
    let sparse = |first: u64, content: &[u8]| {
        let map = format!("1\n{first}\n{}\n", content.len());
        let mut data = map.into_bytes();
        data.resize(512, 0);
        data.extend(content);
        let records: [(&str, &[u8]); 4] = [
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.name", b"opt/tool"),
            ("GNU.sparse.realsize", b"1000000"),
        ];
        let mut archive = app();
        archive.0.append_pax_extensions(records).unwrap();
        archive.file("GNUSparseFile.0/tool", &data).gzip()
    };
    let found = |layer: Vec<u8>| {
        Image::new([layer])
            .verdict(Machine::ARM64)
            .findings
            .iter()
            .map(|f| f.path.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(found(sparse(0, &amd64())), ["opt/tool"]);
    assert_eq!(
        found(sparse(512, &amd64())),
        [""; 0],
        "the file begins with a hole, so it is no machine code"
    );
}
