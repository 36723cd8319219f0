//! Made-up packages in the shapes that real ones were found to have (`examples/packages.rs` finds them): each carries the
//! same file for two CPUs. As it is, nothing is wrong with it on either; with the right file taken out, everything is.
#![allow(
    clippy::too_many_lines,
    reason = "a test tells a story, or has a table of cases"
)]

mod images;

use image_proof::{Machine, Verdict};
use images::{Archive, Image, elf};

/// The name of a shape, the directory of its package, and its files, a pair for each: for amd64, and for arm64.
type Shape = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
);

const NODE: &str = "srv/node_modules/made-up";
const SCOPED: &str = "srv/node_modules/@made/up";
const PYTHON: &str = "usr/lib/python3.13/site-packages/made_up";

const SHAPES: [Shape; 52] = [
    (
        "a system's width",
        "opt",
        &[("tool_0.50_Linux-64bit/tool", "tool_0.50_Linux-ARM64/tool")],
    ),
    (
        "a CPU in two names",
        "srv/app",
        &[(
            "runtimes/linux-x64/native/Up.Native-x64.dll.so",
            "runtimes/linux-arm64/native/Up.Native-arm64.dll.so",
        )],
    ),
    (
        "a distribution with its version",
        "srv/app",
        &[(
            "runtimes/linux-x64/native/centos7-libup.so",
            "runtimes/linux-arm64/native/libup.so",
        )],
    ),
    (
        "versions of Node.js in a directory",
        NODE,
        &[(
            "bin/linux-x64-node-20/up.node",
            "bin/linux-arm64-node-20/up.node",
        )],
    ),
    (
        "versions of the C library",
        NODE,
        &[(
            "lib/linux-x64-glibc-2.36/up.node",
            "lib/linux-arm64-glibc-2.31/up.node",
        )],
    ),
    (
        "a version of OpenSSL",
        "srv/node_modules/.made/client",
        &[(
            "engine-rhel-openssl-1.0.x.so.node",
            "engine-linux-arm64-openssl-3.0.x.so.node",
        )],
    ),
    (
        "bun's directories",
        "srv/node_modules/.bun",
        &[(
            "@made+linux-x64@1.0.0/node_modules/@made/linux-x64/bin/tool",
            "@made+linux-arm64@1.0.0/node_modules/@made/linux-arm64/bin/tool",
        )],
    ),
    (
        "Yarn's directories",
        "srv/.yarn/unplugged",
        &[(
            "@made-linux-x64-npm-1.0.0-4f9ca1ae0e/node_modules/@made/linux-x64/bin/tool",
            "@made-linux-arm64-npm-1.0.0-0123456789/node_modules/@made/linux-arm64/bin/tool",
        )],
    ),
    (
        "prebuildify",
        NODE,
        &[(
            "prebuilds/linux-x64/up.node",
            "prebuilds/linux-arm64/up.node",
        )],
    ),
    (
        "prebuildify with tags",
        NODE,
        &[(
            "prebuilds/linux-x64/node.napi.node",
            "prebuilds/linux-arm64/node.napi.armv8.node",
        )],
    ),
    (
        "tags for the C library",
        NODE,
        &[(
            "prebuilds/linux-x64/node.napi.glibc.node",
            "prebuilds/linux-arm64/node.napi.armv8.node",
        )],
    ),
    (
        "musl on one CPU alone",
        NODE,
        &[
            (
                "prebuilds/linux-x64/up.glibc.node",
                "prebuilds/linux-arm64/up.glibc.node",
            ),
            (
                "prebuilds/linux-x64/up.musl.node",
                "prebuilds/linux-arm64/up.glibc.node",
            ),
        ],
    ),
    (
        "directories for the C library",
        NODE,
        &[
            (
                "prebuilds/linuxglibc-x64/up.node",
                "prebuilds/linuxglibc-arm64/up.node",
            ),
            (
                "prebuilds/linuxmusl-x64/up.node",
                "prebuilds/linuxmusl-arm64/up.node",
            ),
        ],
    ),
    (
        "a library beside the addon",
        NODE,
        &[
            (
                "prebuilds/linuxglibc-x64/up.node",
                "prebuilds/linuxglibc-arm64/up.node",
            ),
            (
                "prebuilds/linuxglibc-x64/libup.so",
                "prebuilds/linuxglibc-arm64/libup.so",
            ),
        ],
    ),
    (
        "the scope in the name of the file",
        SCOPED,
        &[(
            "prebuilds/linux-x64/@made+up.abi115.glibc.node",
            "prebuilds/linux-arm64/@made+up.abi115.armv8.glibc.node",
        )],
    ),
    (
        "fewer versions of Node.js on one CPU",
        NODE,
        &[
            (
                "prebuilds/linux-x64/up.abi108.node",
                "prebuilds/linux-arm64/up.abi127.node",
            ),
            (
                "prebuilds/linux-x64/up.abi115.node",
                "prebuilds/linux-arm64/up.abi127.node",
            ),
            (
                "prebuilds/linux-x64/up.abi127.node",
                "prebuilds/linux-arm64/up.abi127.node",
            ),
        ],
    ),
    (
        "numbers alone for versions of Node.js",
        NODE,
        &[(
            "prebuilds/linux-x64/node-115.node",
            "prebuilds/linux-arm64/node-115.node",
        )],
    ),
    (
        "Electron on one CPU alone",
        NODE,
        &[
            (
                "prebuilds/linux-x64/node.napi.node",
                "prebuilds/linux-arm64/node.napi.armv8.node",
            ),
            (
                "prebuilds/linux-x64/electron.napi.node",
                "prebuilds/linux-arm64/node.napi.armv8.node",
            ),
        ],
    ),
    (
        "a directory of binaries",
        NODE,
        &[(
            "dist/bin/linux-x64-glibc/up-nodejs.node",
            "dist/bin/linux-arm64-glibc/up-nodejs.node",
        )],
    ),
    (
        "musl in the directory",
        NODE,
        &[(
            "dist/bin/linux-x64-musl/up.node",
            "dist/bin/linux-arm64-musl/up.node",
        )],
    ),
    (
        "everything in the name of the file",
        NODE,
        &[(
            "lib/up-linux-x64-glibc-115.node",
            "lib/up-linux-arm64-glibc-115.node",
        )],
    ),
    (
        "a system and a CPU, a directory each",
        NODE,
        &[
            (
                "bin/napi-v3/linux/x64/up_binding.node",
                "bin/napi-v3/linux/arm64/up_binding.node",
            ),
            (
                "bin/napi-v3/linux/x64/libup.so.1.14.0",
                "bin/napi-v3/linux/arm64/libup.so.1.14.0",
            ),
        ],
    ),
    (
        "a directory for the version of Node.js",
        NODE,
        &[(
            "build/linux/x64/node/115/addon.node",
            "build/linux/arm64/node/115/addon.node",
        )],
    ),
    (
        "several words in that directory",
        NODE,
        &[(
            "build/linux/x64/node/glibc-127-Release/addon.node",
            "build/linux/arm64/node/glibc-127-Release/addon.node",
        )],
    ),
    (
        "the C library before the CPU",
        NODE,
        &[(
            "build/up-linuxmusl-x64.node",
            "build/up-linuxmusl-arm64.node",
        )],
    ),
    (
        "a program for each CPU",
        NODE,
        &[("bin/linux/x64/tool", "bin/linux/arm64/tool")],
    ),
    (
        "a 64-bit system is amd64",
        NODE,
        &[("bin/linux64/tool", "bin/linux-arm64/tool")],
    ),
    (
        "protoc's spelling",
        NODE,
        &[("bin/linux-x86_64/tool", "bin/linux-aarch_64/tool")],
    ),
    (
        "Go's spelling, in the name of the file",
        NODE,
        &[("bin/tool_linux_amd64", "bin/tool_linux_arm64")],
    ),
    (
        "Go's levels of a CPU",
        NODE,
        &[(
            "dist/tool_linux_amd64_v1/tool",
            "dist/tool_linux_arm64_v8.0/tool",
        )],
    ),
    (
        "Rust's triples",
        NODE,
        &[(
            "bin/x86_64-unknown-linux-gnu/tool",
            "bin/aarch64-unknown-linux-gnu/tool",
        )],
    ),
    (
        "Rust's triples, linked with musl",
        NODE,
        &[(
            "bin/x86_64-unknown-linux-musl/tool",
            "bin/aarch64-unknown-linux-musl/tool",
        )],
    ),
    (
        "napi-rs",
        NODE,
        &[("index.linux-x64-gnu.node", "index.linux-arm64-gnu.node")],
    ),
    (
        "an engine by distribution",
        "srv/node_modules/.made/client",
        &[(
            "engine-debian-openssl-3.0.x.so.node",
            "engine-linux-arm64-openssl-3.0.x.so.node",
        )],
    ),
    (
        "boards by the names of their CPUs",
        NODE,
        &[(
            "lib/linux/x86_64/up.node",
            "lib/raspberry-pi/cortex-a72-aarch64/up.node",
        )],
    ),
    (
        "a CPU alone",
        NODE,
        &[("vendor/x86_64/up.so", "vendor/aarch64/up.so")],
    ),
    (
        "with and without a suffix for the level",
        NODE,
        &[("bin/linux-x64-baseline/tool", "bin/linux-aarch64/tool")],
    ),
    (
        "a library with a version",
        NODE,
        &[("lib/linux-x64/libup.so.3.1", "lib/linux-arm64/libup.so.3.1")],
    ),
    (
        "an addon of Bare",
        NODE,
        &[(
            "prebuilds/linux-x64/made-up.bare",
            "prebuilds/linux-arm64/made-up.bare",
        )],
    ),
    (
        "a WebDriver's launcher",
        PYTHON,
        &[(
            "common/linux-x86_64/launcher",
            "common/linux-arm64/launcher",
        )],
    ),
    (
        "ctypes, a directory for each CPU",
        PYTHON,
        &[("lib/linux/x86_64/libup.so", "lib/linux/aarch64/libup.so")],
    ),
    (
        "ctypes, in the name of the file",
        PYTHON,
        &[("libup-linux-x86_64.so", "libup-linux-aarch64.so")],
    ),
    (
        "extension modules of two wheels in one directory",
        PYTHON,
        &[(
            "core.cpython-313-x86_64-linux-gnu.so",
            "core.cpython-313-aarch64-linux-gnu.so",
        )],
    ),
    (
        "a debugger's helper",
        PYTHON,
        &[(
            "attach/attach_linux_amd64.so",
            "attach/attach_linux_arm64.so",
        )],
    ),
    (
        "a program beside Python",
        PYTHON,
        &[("bin/tool-linux-amd64", "bin/tool-linux-arm64")],
    ),
    (
        "no package at all",
        "opt/tool",
        &[("linux-amd64/run", "linux-arm64/run")],
    ),
    (
        "a release of Go's",
        "opt",
        &[(
            "tool-1.2.3-linux-amd64/bin/tool",
            "tool-1.2.3-linux-arm64/bin/tool",
        )],
    ),
    (
        "a runtime of Java",
        "opt/jvm",
        &[(
            "java-21-openjdk-amd64/lib/server/libjvm.so",
            "java-21-openjdk-arm64/lib/server/libjvm.so",
        )],
    ),
    (
        "Java's native libraries, unpacked",
        "srv/app",
        &[(
            "native/linux-x86_64/libup.so",
            "native/linux-aarch_64/libup.so",
        )],
    ),
    (
        ".NET's runtime identifiers",
        "srv/app",
        &[(
            "runtimes/linux-x64/native/libup.so",
            "runtimes/linux-arm64/native/libup.so",
        )],
    ),
    (
        "gems by platform",
        "usr/lib/ruby/gems/made-up",
        &[(
            "up-1.0-x86_64-linux-gnu/lib/up.so",
            "up-1.0-aarch64-linux-gnu/lib/up.so",
        )],
    ),
    (
        "plug-ins of Terraform",
        "srv/.terraform/providers/made/up/1.0.0",
        &[("linux_amd64/provider", "linux_arm64/provider")],
    ),
];

/// Two packages for two platforms, as package managers install them that are told to take both.
const PACKAGES: [Shape; 4] = [
    (
        "esbuild",
        "srv/node_modules/@made",
        &[("linux-x64/bin/tool", "linux-arm64/bin/tool")],
    ),
    (
        "napi-rs",
        "srv/node_modules",
        &[(
            "up-linux-x64-gnu/up.linux-x64-gnu.node",
            "up-linux-arm64-gnu/up.linux-arm64-gnu.node",
        )],
    ),
    (
        "workerd",
        "srv/node_modules/@made",
        &[(
            "workerd-linux-64/bin/workerd",
            "workerd-linux-arm64/bin/workerd",
        )],
    ),
    (
        "pnpm",
        "srv/node_modules/.pnpm",
        &[(
            "@made+linux-x64@1.0.0/node_modules/@made/linux-x64/bin/tool",
            "@made+linux-arm64@1.0.0/node_modules/@made/linux-arm64/bin/tool",
        )],
    ),
];

#[derive(Clone, Copy)]
enum Cpu {
    Amd64,
    Arm64,
}

impl Cpu {
    fn code(self) -> Vec<u8> {
        elf(
            2,
            1,
            3,
            if matches!(self, Self::Amd64) {
                0x3e
            } else {
                0xb7
            },
            None,
        )
    }

    fn other(self) -> Self {
        if matches!(self, Self::Amd64) {
            Self::Arm64
        } else {
            Self::Amd64
        }
    }

    fn machine(self) -> Machine {
        if matches!(self, Self::Amd64) {
            Machine::AMD64
        } else {
            Machine::ARM64
        }
    }

    fn name(self) -> &'static str {
        if matches!(self, Self::Amd64) {
            "amd64"
        } else {
            "arm64"
        }
    }
}

/// An image for a CPU with some files, each with the CPU that its code is for.
fn verdict(cpu: Cpu, files: &[(String, Cpu)], others: &[(String, String)]) -> Verdict {
    let archive = Archive::new().file("app", &cpu.code());
    let archive = files.iter().fold(archive, |archive, (path, cpu)| {
        archive.file(path, &cpu.code())
    });
    let archive = others.iter().fold(archive, |archive, (path, text)| {
        archive.file(path, text.as_bytes())
    });
    Image::new([archive.gzip()])
        .says(cpu.name())
        .verdict(cpu.machine())
}

/// The `package.json` of every package that a file is in.
fn manifests<'p>(paths: impl IntoIterator<Item = &'p String>) -> Vec<(String, String)> {
    let mut roots: Vec<String> = Vec::new();
    for path in paths {
        let Some((before, inside)) = path.rsplit_once("node_modules/") else {
            continue;
        };
        let names = if inside.starts_with('@') { 2 } else { 1 };
        let name: Vec<_> = inside.split('/').take(names).collect();
        roots.push(format!(
            "{before}node_modules/{}/package.json",
            name.join("/")
        ));
    }
    roots.sort();
    roots.dedup();
    roots
        .into_iter()
        .map(|root| (root, "{}".to_owned()))
        .collect()
}

/// The files of a shape for one CPU and for the other, by their paths.
fn files((_, directory, pairs): &Shape, cpu: Cpu) -> (Vec<String>, Vec<String>) {
    let path = |name: &str| format!("{directory}/{name}");
    let mut amd64: Vec<_> = pairs.iter().map(|(amd64, _)| path(amd64)).collect();
    let mut arm64: Vec<_> = pairs.iter().map(|(_, arm64)| path(arm64)).collect();
    amd64.dedup();
    arm64.dedup();
    if matches!(cpu, Cpu::Amd64) {
        (amd64, arm64)
    } else {
        (arm64, amd64)
    }
}

fn with(paths: &[String], cpu: Cpu) -> Vec<(String, Cpu)> {
    paths.iter().map(|path| (path.clone(), cpu)).collect()
}

fn all() -> impl Iterator<Item = (Shape, Cpu)> {
    SHAPES
        .into_iter()
        .chain(PACKAGES)
        .flat_map(|shape| [Cpu::Amd64, Cpu::Arm64].map(|cpu| (shape, cpu)))
}

#[test]
fn a_file_for_the_other_cpu_beside_the_right_one_is_baggage() {
    for (shape, cpu) in all() {
        let (right, wrong) = files(&shape, cpu);
        let image = [with(&right, cpu), with(&wrong, cpu.other())].concat();
        let verdict = verdict(cpu, &image, &manifests(right.iter().chain(&wrong)));
        assert!(
            verdict.holds(),
            "{} on {}: {:#?}",
            shape.0,
            cpu.name(),
            verdict.findings
        );
        let mut wrong = wrong;
        wrong.sort();
        assert_eq!(verdict.baggage, wrong, "{}", shape.0);
        let notes: Vec<_> = verdict
            .notes
            .iter()
            .filter(|note| note.contains("beside the same file for"))
            .collect();
        assert_eq!(notes.len(), 1, "{}: {:?}", shape.0, verdict.notes);
    }
}

#[test]
fn with_the_right_file_taken_out_everything_is_wrong_and_it_is_named() {
    for (shape, cpu) in all() {
        let (right, wrong) = files(&shape, cpu);
        let others = manifests(right.iter().chain(&wrong));
        let verdict = verdict(cpu, &with(&wrong, cpu.other()), &others);
        let found: Vec<_> = verdict
            .findings
            .iter()
            .map(|finding| finding.path.as_str())
            .collect();
        let mut wrong = wrong;
        wrong.sort();
        assert_eq!(found, wrong, "{}", shape.0);
        for finding in &verdict.findings {
            let text = finding.to_string();
            // Where the foreign file names no CPU there is no telling what the right one is called.
            assert_eq!(
                finding.looked_for.is_none(),
                finding.path.contains("debian") || finding.path.contains("rhel"),
                "{text}"
            );
            let allow = finding.allow.as_deref().unwrap_or_default();
            assert!(
                allow.starts_with("foreign = [{ path = \"") && allow.contains("reason = "),
                "{text}"
            );
            assert!(
                !finding.cause.contains("--platform=$BUILDPLATFORM")
                    || !shape.1.ends_with("made-up"),
                "{text}"
            );
        }
    }
}

#[test]
fn two_files_that_were_exchanged_are_both_wrong() {
    for (shape, cpu) in all() {
        let (right, wrong) = files(&shape, cpu);
        let image = [with(&right, cpu.other()), with(&wrong, cpu)].concat();
        let verdict = verdict(cpu, &image, &manifests(right.iter().chain(&wrong)));
        let found: Vec<_> = verdict
            .findings
            .iter()
            .map(|finding| &finding.path)
            .collect();
        let mut right = right;
        right.sort();
        assert_eq!(found, right.iter().collect::<Vec<_>>(), "{}", shape.0);
    }
}

/// Paths with the CPU that their code is for, in an image for arm64.
fn arm64(files: &[(&str, Cpu)], others: &[(&str, &str)]) -> Verdict {
    let files: Vec<_> = files
        .iter()
        .map(|(path, cpu)| ((*path).to_owned(), *cpu))
        .collect();
    let mut texts = manifests(files.iter().map(|(path, _)| path));
    texts.extend(
        others
            .iter()
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned())),
    );
    verdict(Cpu::Arm64, &files, &texts)
}

use Cpu::{Amd64, Arm64};

#[test]
fn what_stands_elsewhere_takes_no_file_s_place() {
    for (name, files) in [
        (
            "another package",
            &[
                ("a/node_modules/x/prebuilds/linux-x64/x.node", Amd64),
                ("a/node_modules/y/prebuilds/linux-arm64/x.node", Arm64),
            ][..],
        ),
        (
            "another file",
            &[
                ("a/node_modules/x/prebuilds/linux-x64/x.node", Amd64),
                ("a/node_modules/x/prebuilds/linux-arm64/y.node", Arm64),
            ],
        ),
        (
            "Android",
            &[
                ("a/node_modules/x/prebuilds/linux-x64/x.node", Amd64),
                ("a/node_modules/x/prebuilds/android-arm64/x.node", Arm64),
            ],
        ),
        (
            "FreeBSD, a directory above",
            &[
                ("a/node_modules/x/bin/linux/x64/x", Amd64),
                ("a/node_modules/x/bin/freebsd/arm64/x", Arm64),
            ],
        ),
        (
            "another C library",
            &[
                ("a/node_modules/x/x.linux-x64-gnu.node", Amd64),
                ("a/node_modules/x/x.linux-arm64-musl.node", Arm64),
            ],
        ),
        (
            "a plain name",
            &[
                ("a/node_modules/x/bin/tool", Amd64),
                ("a/node_modules/x/bin/tool-arm64", Arm64),
            ],
        ),
        (
            "an addon that was built here for the wrong CPU",
            &[
                ("a/node_modules/x/build/Release/x.node", Amd64),
                ("a/node_modules/x/prebuilds/linux-arm64/x.node", Arm64),
            ],
        ),
        (
            "another copy of the package",
            &[
                ("amd64/node_modules/x/x.node", Amd64),
                ("arm64/node_modules/x/x.node", Arm64),
            ],
        ),
        (
            "a version of Node.js that was taken out",
            &[
                ("a/node_modules/x/linux-x64-108.node", Amd64),
                ("a/node_modules/x/linux-x64-115.node", Amd64),
                ("a/node_modules/x/linux-x64-127.node", Amd64),
                ("a/node_modules/x/linux-arm64-108.node", Arm64),
                ("a/node_modules/x/linux-arm64-127.node", Arm64),
            ],
        ),
    ] {
        assert_eq!(arm64(files, &[]).findings.len(), 1, "{name}");
    }
}

#[test]
fn what_the_start_reads_is_never_baggage() {
    let beside = |files: &[(&str, Cpu)], execution: &'static str| {
        let archive = Archive::new().file("app", &Arm64.code());
        let archive = files.iter().fold(archive, |archive, (path, cpu)| {
            archive.file(path, &cpu.code())
        });
        let archive = archive.file("etc/ld.so.conf.d/x.conf", b"# ours\n/opt/conf/linux-x64\n");
        Image::new([archive.gzip()])
            .runs(execution)
            .verdict(Machine::ARM64)
            .findings
            .len()
    };
    let app = r#"{"Entrypoint":["/app"]}"#;
    let tools = [
        ("opt/linux-x64/tool", Amd64),
        ("opt/linux-arm64/tool", Arm64),
    ];
    let libraries = [
        ("opt/linux-x64/x.so", Amd64),
        ("opt/linux-arm64/x.so", Arm64),
    ];
    assert_eq!(beside(&tools, app), 0);
    assert_eq!(
        beside(&tools, r#"{"Entrypoint":["/opt/linux-x64/tool"]}"#),
        1,
        "the entry point"
    );
    assert_eq!(
        beside(
            &tools,
            r#"{"Cmd":["/app","-c","exec /opt/linux-x64/tool serve"]}"#
        ),
        1,
        "what a shell is told"
    );
    assert_eq!(
        beside(
            &tools,
            r#"{"Cmd":["/app","tool"],"Env":["PATH=/opt/linux-x64"]}"#
        ),
        1,
        "by PATH"
    );
    assert_eq!(beside(&libraries, app), 0);
    assert_eq!(
        beside(
            &libraries,
            r#"{"Cmd":["/app"],"Env":["LD_LIBRARY_PATH=/a:/opt/linux-x64"]}"#
        ),
        1,
        "LD_LIBRARY_PATH"
    );
    assert_eq!(
        beside(
            &libraries,
            r#"{"Cmd":["/app"],"Env":["LD_PRELOAD=/opt/linux-x64/x.so"]}"#
        ),
        1,
        "LD_PRELOAD"
    );
    assert_eq!(
        beside(
            &[
                ("opt/conf/linux-x64/x.so", Amd64),
                ("opt/conf/linux-arm64/x.so", Arm64)
            ],
            app
        ),
        1,
        "ld.so.conf"
    );
    for directory in ["lib", "usr/lib", "usr/local/lib", "usr/lib64"] {
        let (amd64, arm64) = (
            format!("{directory}/libx-amd64.so"),
            format!("{directory}/libx-arm64.so"),
        );
        assert_eq!(
            beside(&[(&amd64, Amd64), (&arm64, Arm64)], app),
            1,
            "{directory}"
        );
    }
    let directories = [
        ("usr/lib/x86_64-linux-gnu/libc.so.6", Amd64),
        ("usr/lib/aarch64-linux-gnu/libc.so.6", Arm64),
    ];
    assert_eq!(
        beside(&directories, app),
        1,
        "the loader's own directories, of any CPU"
    );
}

/// What is found in an image for arm64 of some files, links and texts, that is run in some way.
fn found(
    execution: &'static str,
    files: &[(&str, Cpu)],
    links: &[(&str, &str)],
    texts: &[(&str, &str)],
) -> Vec<String> {
    let archive = Archive::new().file("app", &Arm64.code());
    let archive = files.iter().fold(archive, |archive, (path, cpu)| {
        archive.file(path, &cpu.code())
    });
    let archive = links.iter().fold(archive, |archive, (path, target)| {
        archive.symlink(path, target)
    });
    let archive = texts.iter().fold(archive, |archive, (path, text)| {
        archive.file(path, text.as_bytes())
    });
    let verdict = Image::new([archive.gzip()])
        .runs(execution)
        .verdict(Machine::ARM64);
    verdict
        .findings
        .into_iter()
        .map(|finding| finding.path)
        .collect()
}

const APP: &str = r#"{"Entrypoint":["/app"]}"#;

#[test]
fn what_a_link_of_a_plain_name_leads_to_is_no_baggage() {
    let x = "a/node_modules/x";
    let modules = format!("{x}/build/Release/x.node");
    for (wrong, right, link, target) in [
        (
            "opt/t-linux-amd64/tool",
            "opt/t-linux-arm64/tool",
            "usr/local/bin/tool",
            "/opt/t-linux-amd64/tool",
        ),
        (
            "opt/jdk-linux-x64/bin/java",
            "opt/jdk-linux-arm64/bin/java",
            "opt/jdk",
            "jdk-linux-x64",
        ),
        (
            "a/node_modules/x/prebuilds/linux-x64/x.node",
            "a/node_modules/x/prebuilds/linux-arm64/x.node",
            modules.as_str(),
            "../../prebuilds/linux-x64/x.node",
        ),
    ] {
        let files = [(wrong, Amd64), (right, Arm64)];
        assert_eq!(
            found(APP, &files, &[], &[(&format!("{x}/package.json"), "{}")]),
            [""; 0],
            "{wrong}"
        );
        assert_eq!(
            found(
                APP,
                &files,
                &[(link, target)],
                &[(&format!("{x}/package.json"), "{}")]
            ),
            [wrong],
            "{link}"
        );
        // A link whose own name says the other CPU is as good as the file.
        let beside = format!("{}-x64/again", wrong.split('/').next().unwrap());
        assert_eq!(
            found(
                APP,
                &files,
                &[(&beside, &format!("/{wrong}"))],
                &[(&format!("{x}/package.json"), "{}")]
            ),
            [""; 0]
        );
    }
    // The right file may itself be a link.
    let files = [
        ("opt/x/linux-x64/libup.so", Amd64),
        ("opt/x/linux-arm64/libup.so.1", Arm64),
    ];
    assert_eq!(
        found(
            APP,
            &files,
            &[("opt/x/linux-arm64/libup.so", "libup.so.1")],
            &[]
        ),
        [""; 0]
    );
}

#[test]
fn what_arguments_and_variables_lead_to_is_no_baggage() {
    let files = [
        ("opt/n/linux-x64/x.so", Amd64),
        ("opt/n/linux-arm64/x.so", Arm64),
    ];
    assert_eq!(found(APP, &files, &[], &[]), [""; 0]);
    for execution in [
        r#"{"Cmd":["/app","-agentpath:/opt/n/linux-x64/x.so=start"]}"#,
        r#"{"Cmd":["/app","-Djava.library.path=/opt/n/linux-x64"]}"#,
        r#"{"Cmd":["/app","-c","cd /opt/n/linux-x64 && ./x.so"]}"#,
        r#"{"Cmd":["/app"],"Env":["JAVA_TOOL_OPTIONS=-agentpath:/opt/n/linux-x64/x.so"]}"#,
        r#"{"Cmd":["/app"],"Env":["TOOL_HOME=/opt/n/linux-x64"]}"#,
        r#"{"Cmd":["/app"],"Env":["LD_LIBRARY_PATH=/a;/opt/n/linux-x64"]}"#,
        r#"{"Cmd":["/app"],"Healthcheck":{"Test":["CMD","/opt/n/linux-x64/x.so"]}}"#,
    ] {
        assert_eq!(
            found(execution, &files, &[], &[]),
            [files[0].0],
            "{execution}"
        );
    }
    // Lambda starts what is there.
    let files = [
        ("opt/extensions/agent-amd64", Amd64),
        ("opt/extensions/agent-arm64", Arm64),
    ];
    assert_eq!(found(APP, &files, &[], &[]), [files[0].0]);
    assert_eq!(
        found(
            r#"{"Cmd":["/app"],"Env":["LD_LIBRARY_PATH=/srv/testdata"]}"#,
            &[("srv/testdata/x.so", Amd64)],
            &[],
            &[]
        )
        .len(),
        1
    );
}

#[test]
fn what_scripts_and_the_loader_s_lists_lead_to_is_no_baggage() {
    let files = [
        ("opt/n/linux-x64/python3", Amd64),
        ("opt/n/linux-arm64/python3", Arm64),
    ];
    let script = "#!/opt/n/linux-x64/python3\n";
    assert_eq!(
        found(APP, &files, &[], &[("usr/local/bin/serve", script)]),
        [files[0].0]
    );
    assert_eq!(
        found(APP, &files, &[], &[("opt/n/linux-x64/pip", script)]),
        [""; 0],
        "a script of the same tree"
    );
    let files = [
        ("opt/n/linux-x64/x.so", Amd64),
        ("opt/n/linux-arm64/x.so", Arm64),
    ];
    for (path, text) in [
        ("etc/ld.so.conf.d/a.conf", "/opt/n/linux-x64 # ours\n"),
        ("etc/ld.so.conf", "/a /opt/n/linux-x64\n"),
        ("etc/ld.so.preload", "/opt/n/linux-x64/x.so\n"),
        ("etc/ld-musl-aarch64.path", "/lib:/opt/n/linux-x64\n"),
    ] {
        assert_eq!(
            found(APP, &files, &[], &[(path, text)]),
            [files[0].0],
            "{path}"
        );
    }
}

/// The paths of a foreign file, and of the right one beside it, by a number.
type Layout = fn(usize, &str) -> (String, Option<String>);

#[test]
fn an_image_is_judged_in_time_that_grows_with_its_size() {
    const MANY: usize = 1500;
    let deep = "d/".repeat(1000);
    let site = "usr/lib/python3.13/site-packages";
    let layouts: [Layout; 5] = [
        |n, _| (format!("opt/linux-x64/f{n}"), None),
        |n, _| (format!("opt/d{n}/linux-x64/f"), None),
        |n, _| {
            (
                format!("p/linux-x64/x.abi{n}.node"),
                Some(format!("p/linux-arm64/x.abi{n}.node")),
            )
        },
        |n, _| {
            (
                format!("p/x-{}linux-x64/f", "a_".repeat(n % 20)),
                Some(format!("p/x-{}linux-arm64/f", "a-".repeat(n % 20))),
            )
        },
        |n, deep| (format!("{deep}{}/linux-x64/f", n % 500), None),
    ];
    for layout in layouts {
        let mut archive = Archive::new().file("app", &Arm64.code());
        let head = |cpu: Cpu| cpu.code()[..64].to_vec();
        for (wrong, right) in (0..MANY).map(|n| layout(n, &deep)) {
            archive = archive.pax(&wrong, &head(Amd64));
            archive = right
                .into_iter()
                .fold(archive, |archive, right| archive.file(&right, &head(Arm64)));
        }
        let verdict = Image::new([archive.gzip()]).verdict(Machine::ARM64);
        assert!(verdict.findings.len() + verdict.baggage.len() > 18);
        assert!(!verdict.groups().is_empty() || verdict.holds());
    }
    let names: Vec<String> = (0..MANY).map(|n| format!("x/f{n}_linux_amd64")).collect();
    let files: Vec<_> = names
        .iter()
        .map(|name| (format!("{site}/{name}"), Amd64))
        .collect();
    let record = names
        .iter()
        .fold(String::new(), |record, name| record + name + ",,\n");
    let about = [
        ("WHEEL", "Tag: py3-none-any\n".to_owned()),
        ("RECORD", record),
    ];
    let texts: Vec<_> = about
        .into_iter()
        .map(|(name, text)| (format!("{site}/x-1.dist-info/{name}"), text))
        .collect();
    assert_eq!(verdict(Arm64, &files, &texts).baggage.len(), MANY);
}

#[test]
fn python_s_own_modules_are_never_baggage() {
    let site = "usr/lib/python3.13/site-packages";
    for (wrong, right) in [
        ("x/core.abi3.so", "x/core-arm64.abi3.so"),
        ("x/core.so", "x/aarch64/core.so"),
        (
            "x/core.cpython-313-aarch64-linux-gnu.so",
            "x/core.cpython-313-x86_64-linux-gnu.so",
        ),
        (
            "x/x86_64/core.cpython-313.so",
            "x/aarch64/core.cpython-313.so",
        ),
    ] {
        let verdict = arm64(
            &[
                (&format!("{site}/{wrong}"), Amd64),
                (&format!("{site}/{right}"), Arm64),
            ],
            &[],
        );
        assert_eq!(verdict.findings.len(), 1, "{wrong}");
    }
}

#[test]
fn files_for_other_systems_are_baggage() {
    let freebsd = |path: &str, execution: &'static str| {
        let mut code = Amd64.code();
        code[7] = 9;
        let archive = Archive::new().file("app", &Arm64.code()).file(path, &code);
        Image::new([archive.gzip()])
            .runs(execution)
            .verdict(Machine::ARM64)
            .findings
            .len()
    };
    let app = r#"{"Entrypoint":["/app"]}"#;
    assert_eq!(freebsd("opt/tool", app), 0, "by the ABI in the header");
    assert_eq!(
        freebsd("opt/tool", r#"{"Cmd":["/opt/tool"]}"#),
        1,
        "but not as the entry point"
    );
    assert_eq!(
        freebsd("usr/lib/libx.so", app),
        1,
        "nor where the loader looks"
    );
    for (path, expected) in [
        ("a/node_modules/x/prebuilds/android-x64/x.node", 0),
        ("a/node_modules/x/bin/freebsd/x64/x", 0),
        ("a/node_modules/@x/freebsd-x64/bin/x", 0),
        ("a/node_modules/android-tools/bin/adb", 1),
        ("a/node_modules/x/prebuilds/linux-x64/x.node", 1),
    ] {
        assert_eq!(
            arm64(&[(path, Amd64)], &[]).findings.len(),
            expected,
            "{path}"
        );
    }
}

#[test]
fn a_package_for_any_platform_says_itself_what_it_carries() {
    let site = "usr/lib/python3.13/site-packages";
    let helper = format!("{site}/x/attach_linux_amd64.so");
    let files = [(helper.as_str(), Amd64)];
    let about = [
        format!("{site}/x-1.0.dist-info/WHEEL"),
        format!("{site}/x-1.0.dist-info/RECORD"),
    ];
    let installed = |tag: &str, record: &str| {
        let wheel = format!("Wheel-Version: 1.0\nTag: {tag}\n");
        arm64(&files, &[(&about[0], &wheel), (&about[1], record)])
    };
    let listed = "x/attach_linux_amd64.so,,\nx/attach.dylib,,\n";
    assert!(installed("py3-none-any", listed).holds());
    assert_eq!(
        installed("cp313-cp313-manylinux_2_28_x86_64", listed)
            .findings
            .len(),
        1
    );
    let removed = installed(
        "py3-none-any",
        &format!("{listed}x/attach_linux_arm64.so,,\n"),
    );
    let missing = removed.findings[0].looked_for.as_deref().unwrap();
    assert!(
        missing.contains("x/attach_linux_arm64.so: the package was installed with it"),
        "{missing}"
    );
    // What is not named after its CPU may be loaded on every one.
    let plain = format!("{site}/x/attach.so");
    let verdict = arm64(
        &[(&plain, Amd64)],
        &[
            (&about[0], "Tag: py3-none-any\n"),
            (&about[1], "x/attach.so,,\n"),
        ],
    );
    assert_eq!(verdict.findings.len(), 1);
}

#[test]
fn one_tool_of_several_for_several_systems_is_a_launcher() {
    let root = "a/node_modules/x/bin";
    let linux = format!("{root}/linux/launcher");
    let launcher = |others: &[&str]| {
        let others: Vec<_> = others
            .iter()
            .map(|path| (format!("{root}/{path}"), String::new()))
            .collect();
        let others: Vec<_> = others
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()))
            .collect();
        arm64(&[(&linux, Amd64)], &others).findings.len()
    };
    assert_eq!(launcher(&["macos/launcher", "windows/launcher.exe"]), 0);
    assert_eq!(launcher(&[]), 1, "the only one");
    assert_eq!(launcher(&["macos/other"]), 1, "another tool");
    assert_eq!(
        launcher(&["macos/launcher", "macos-arm64/launcher"]),
        1,
        "its maker tells CPUs apart"
    );
    assert_eq!(
        launcher(&["macos/launcher", "linux/arm64/launcher"]),
        1,
        "in directories below, too"
    );
    let library = arm64(
        &[("a/node_modules/x/bin/linux/x.so", Amd64)],
        &[("a/node_modules/x/bin/macos/x.so", "")],
    );
    assert_eq!(library.findings.len(), 1, "a library");
}

#[test]
fn an_addon_that_was_compiled_here_comes_before_prebuilt_ones() {
    let prebuilt = "a/node_modules/x/prebuilds/linux-x64/x.node";
    assert!(
        arm64(
            &[
                (prebuilt, Amd64),
                ("a/node_modules/x/build/Release/x.node", Arm64)
            ],
            &[]
        )
        .holds()
    );
    for other in [
        "a/node_modules/x/build/Release/x.so",
        "a/node_modules/y/build/Release/x.node",
        "a/node_modules/x/build/x.node",
    ] {
        assert_eq!(
            arm64(&[(prebuilt, Amd64), (other, Arm64)], &[])
                .findings
                .len(),
            1,
            "{other}"
        );
    }
}

#[test]
fn the_image_s_c_library_decides_which_file_takes_the_place() {
    let with_loader = |loader: &str, files: &[(&str, Cpu)]| {
        let loader = (loader, Arm64);
        arm64(&[&[loader], files].concat(), &[]).findings.len()
    };
    let (glibc, musl) = ("lib/ld-linux-aarch64.so.1", "lib/ld-musl-aarch64.so.1");
    let files = [
        ("a/node_modules/x/linux-x64/x.musl.node", Amd64),
        ("a/node_modules/x/linux-x64/x.glibc.node", Amd64),
        ("a/node_modules/x/linux-arm64/x.glibc.node", Arm64),
    ];
    assert_eq!(
        (with_loader(glibc, &files), with_loader(musl, &files)),
        (0, 1)
    );
    // A file that lies about its CPU, but for a C library that is not here.
    let files = [
        ("a/node_modules/x/linuxmusl-arm64/x.node", Amd64),
        ("a/node_modules/x/linux-arm64/x.node", Arm64),
    ];
    assert_eq!(
        (with_loader(glibc, &files), with_loader(musl, &files)),
        (0, 1)
    );
}

#[test]
fn findings_of_a_package_are_shown_together_with_one_line_to_paste() {
    let verdict = arm64(
        &[
            ("srv/node_modules/x/prebuilds/linux-x64/a.node", Amd64),
            ("srv/node_modules/x/prebuilds/linux-x64/b.node", Amd64),
            ("srv/node_modules/y/build/Release/y.node", Amd64),
        ],
        &[],
    );
    let shown: Vec<_> = verdict.groups().iter().map(ToString::to_string).collect();
    let [x, y] = shown.as_slice() else {
        panic!("{shown:#?}")
    };
    for part in [
        "/srv/node_modules/x/prebuilds/linux-x64/a.node and 1 file more: machine code for amd64, expected arm64",
        "package  npm package x",
        "missing  /srv/node_modules/x/prebuilds/linux-arm64/a.node",
        "chooses at run time (amd64), and none for arm64",
        r#"foreign = [{ path = "srv/node_modules/x/prebuilds/linux-x64/*", reason = "…" }]"#,
    ] {
        assert!(x.contains(part), "{part} is not in {x}");
    }
    assert!(
        y.contains("installed for amd64 alone") && y.contains("npm ci --os=linux --cpu=arm64"),
        "{y}"
    );
    assert!(
        y.contains(r#"path = "srv/node_modules/y/build/Release/y.node""#),
        "{y}"
    );
}
