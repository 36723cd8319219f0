//! Platform words in names: `linux-x64`, `aarch64`, `musl`, `abi115`.
//!
//! Packages that carry machine code for several platforms say which file is for which in the names of files and directories.
//! A name is taken apart into what says a platform, and the rest, its stem: two names with the same stem are the same thing
//! for two platforms.
//!
//! Source of the words: `process.arch` and `process.platform` of Node.js, `GOARCH` and `GOOS` of Go, Rust's target triples,
//! Debian's architectures, Python's platform tags, Maven's os-maven-plugin (`linux-aarch_64`), and what 800 packages of npm
//! and `PyPI` were seen to write.

mod words;

pub(crate) use words::{Cpu, Words};

/// One name of a path, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    /// What is left without the words for a platform, in lower case, with a space for every separator.
    pub stem: String,
    /// What the words say.
    pub words: Words,
    /// The number of Node.js's binary interface, in the name of an addon or of a directory above it.
    pub abi: Option<u16>,
}

/// Spellings of CPUs with a separator in them, which would otherwise be taken apart.
const COMPOUNDS: [(&str, &str); 17] = [
    ("x86_64", "amd64"),
    ("x86-64", "amd64"),
    ("x86_32", "i386"),
    ("aarch_64", "arm64"),
    ("aarch_32", "arm"),
    ("ppcle_64", "ppc64le"),
    ("ppc_64", "ppc64"),
    ("s390_64", "s390x"),
    ("aarch64_be", "aarch64be"),
    ("armeabi-v7a", "arm"),
    ("arm-v7a", "arm"),
    ("arm64-v8a", "arm64"),
    ("v8.0", "v8"),
    ("v8.2", "v8"),
    ("v9.0", "v9"),
    ("raspberry-pi", "raspbian"),
    ("raspberry_pi", "raspbian"),
];

/// Words that say something only beside a word for a CPU: makers of machines, levels of a CPU, calling conventions.
const BESIDE_A_CPU: [&str; 22] = [
    "unknown", "pc", "apple", "none", "msvc", "cpu", "baseline", "modern", "haswell", "avx",
    "avx2", "avx512", "sse2", "neon", "cortex", "eabi", "eabihf", "hf", "softfp", "hardfp",
    "abi64", "lp64d",
];

impl Name {
    /// Takes a name apart.
    pub(crate) fn read(name: &str) -> Self {
        Self::read_as(name, is_addon(name))
    }

    /// Takes the names of a path apart.
    pub(crate) fn of_path(path: &str) -> Vec<Self> {
        let is_addon = is_addon(path);
        let mut above = "";
        let names = path.split('/').map(|name| {
            // Yarn ends these names with a hash of the package.
            let plain = if is_store(above) {
                without_hash(name)
            } else {
                name
            };
            above = name;
            Self::read_as(plain, is_addon)
        });
        names.collect()
    }

    /// `is_addon` is whether it leads to an addon of Node.js: there numbers are those of binary interfaces, and addons for
    /// Electron stand beside those for Node.js, which no Node.js loads.
    fn read_as(name: &str, is_addon: bool) -> Self {
        let mut text = name.to_ascii_lowercase();
        for (compound, word) in COMPOUNDS {
            if text.contains(compound) {
                text = replace_word(&text, compound, word);
            }
        }
        let mut tokens = Vec::new();
        let mut words = Words::default();
        let mut abi = None;
        let mut says_system = false;
        // What a number after a word is the version of: a distribution, a C library, OpenSSL, Node.js.
        let mut is_versioned = false;
        for token in text
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|token| !token.is_empty())
        {
            let is_word = words.take(token, says_system);
            says_system = is_word && words.names_any_system();
            let is_number = token.bytes().all(|b| b.is_ascii_digit());
            if is_versioned && !is_word && (is_number || token == "x") {
                continue;
            }
            is_versioned = token == "openssl" || is_word && words::is_versioned(token);
            match node_abi(token).filter(|_| is_addon && !is_word) {
                Some(number) => abi = Some(number),
                None if is_word || is_addon && token == "release" => {}
                None if is_addon && token == "electron" => tokens.push("node"),
                None => tokens.push(token),
            }
        }
        if words.names_any_cpu() && is_addon && tokens.first() == Some(&"node") {
            // `linux-x64-node-20`, and `linux-x64-node-0.12` before.
            let numbers: Vec<u16> = tokens[1..]
                .iter()
                .filter_map(|token| token.parse().ok())
                .collect();
            if let [first, ..] = numbers[..] {
                abi = abi.or(Some(first));
                tokens.retain(|token| token.parse::<u16>().is_err());
            }
        }
        if tokens.contains(&"cortex") && !words.names_any_cpu() {
            // Boards with these are run in 32-bit mode unless their name says more.
            words.add(Cpu::Arm);
        }
        if words.names_any_cpu() {
            tokens.retain(|token| !BESIDE_A_CPU.contains(token) && !is_level(token));
        }
        if words.names_any_system() {
            // Prisma names its engines after the OpenSSL that they are linked with, where they are.
            tokens.retain(|token| *token != "openssl");
        }
        Self {
            stem: tokens.join(" "),
            words,
            abi,
        }
    }
}

/// Whether a directory is one in which package managers keep packages by names with their platforms in them.
pub(crate) fn is_store(name: &str) -> bool {
    matches!(name, ".pnpm" | ".bun" | ".deno" | ".store" | "unplugged")
}

/// A name without the hash at its end: `@x-linux-x64-npm-1.0.0-4f9ca1ae0e`.
fn without_hash(name: &str) -> &str {
    let is_hash =
        |end: &str| (8..=12).contains(&end.len()) && end.bytes().all(|b| b.is_ascii_hexdigit());
    name.rsplit_once('-')
        .filter(|(_, end)| is_hash(end))
        .map_or(name, |(start, _)| start)
}

/// Whether a file is an addon of Node.js, by its name.
pub(crate) fn is_addon(path: &str) -> bool {
    path.rsplit_once('.')
        .is_some_and(|(_, extension)| extension.eq_ignore_ascii_case("node"))
}

/// Whether a token is a level of a CPU: `v2` of `x86_64_v2`, `v8a` of `arm64-v8a`, `a72` of `cortex-a72`.
fn is_level(token: &str) -> bool {
    let digits = token
        .strip_prefix(['v', 'a'])
        .map(|rest| rest.trim_end_matches(['a', 'l', 'r', 'm']));
    digits.is_some_and(|digits| {
        !digits.is_empty() && digits.len() <= 3 && digits.bytes().all(|b| b.is_ascii_digit())
    })
}

/// The number of a binary interface of Node.js: `abi115`, `115`, `v6`.
/// Source: `process.versions.modules`, 46 for Node.js 4 and rising, and Node-API's own small numbers.
fn node_abi(token: &str) -> Option<u16> {
    match token
        .strip_prefix("abi")
        .or_else(|| token.strip_prefix('v'))
    {
        Some(digits) => digits.parse().ok(),
        None => token
            .parse()
            .ok()
            .filter(|number| (46..=999).contains(number)),
    }
}

/// Replaces a compound where it stands alone: no letter or digit before or after it.
fn replace_word(text: &str, compound: &str, word: &str) -> String {
    let mut replaced = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(compound) {
        let (before, after) = (&rest[..at], &rest[at + compound.len()..]);
        let is_alone = !before.ends_with(|c: char| c.is_ascii_digit())
            && !after.starts_with(|c: char| c.is_ascii_alphanumeric());
        replaced.push_str(before);
        if is_alone && before.ends_with(|c: char| c.is_ascii_alphabetic()) {
            // `linuxx86_64`: the word before it stays one of its own.
            replaced.push('-');
        }
        replaced.push_str(if is_alone { word } else { compound });
        rest = after;
    }
    replaced + rest
}

/// A path for another CPU, with the same spelling of CPUs. `None` where no CPU is named.
pub(crate) fn respell(path: &str, wanted: Cpu) -> Option<String> {
    // Longest first, so that `x86_64` is not taken for `x86`.
    const SPELLINGS: [(&str, &str, &str); 26] = [
        ("64bit", "ARM64", "64bit"),
        ("ARM64", "ARM64", "X64"),
        ("X64", "ARM64", "X64"),
        ("linux64", "linux-arm64", "linux64"),
        ("linux-64", "linux-arm64", "linux-64"),
        ("linux-aarch_64", "linux-aarch_64", "linux-x86_64"),
        ("linux-x86_64", "linux-aarch64", "linux-x86_64"),
        ("arm64-v8a", "arm64-v8a", "x86_64"),
        ("x86_64", "aarch64", "x86_64"),
        ("x86-64", "aarch64", "x86-64"),
        ("aarch_64", "aarch_64", "x86_64"),
        ("powerpc64le", "aarch64", "x86_64"),
        ("loongarch64", "aarch64", "x86_64"),
        ("ppc64le", "arm64", "x64"),
        ("riscv64", "arm64", "x64"),
        ("aarch64", "aarch64", "x86_64"),
        ("loong64", "arm64", "x64"),
        ("s390x", "arm64", "x64"),
        ("amd64", "arm64", "amd64"),
        ("armv8", "armv8", "x64"),
        ("arm64", "arm64", "x64"),
        ("ia32", "arm64", "x64"),
        ("i686", "aarch64", "x86_64"),
        ("i386", "arm64", "amd64"),
        ("x64", "arm64", "x64"),
        ("arm", "arm64", "x64"),
    ];
    let names_cpu = |name: &str| Name::read(name).words.names_any_cpu();
    let respelled: Vec<String> = path
        .split('/')
        .map(|name| {
            let spelling = SPELLINGS
                .iter()
                .find(|(word, ..)| name.contains(word))
                .filter(|_| names_cpu(name));
            spelling.map_or_else(
                || name.to_owned(),
                |(word, arm64, amd64)| {
                    name.replacen(word, if wanted == Cpu::Arm64 { arm64 } else { amd64 }, 1)
                },
            )
        })
        .collect();
    let respelled = respelled.join("/");
    (respelled != path).then_some(respelled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(name: &str) -> String {
        let Name { stem, words, abi } = Name::of_path(name).pop().unwrap();
        let cpus = [
            (Cpu::Amd64, "amd64"),
            (Cpu::I386, "i386"),
            (Cpu::Arm64, "arm64"),
            (Cpu::Arm, "arm"),
            (Cpu::Other, "other"),
        ];
        let mut said: Vec<&str> = cpus
            .iter()
            .filter(|(cpu, _)| words.names(*cpu))
            .map(|(_, name)| *name)
            .collect();
        let flags = [
            (words.says_linux(), "linux"),
            (words.says_other_system(), "elsewhere"),
            (words.says_glibc(), "glibc"),
            (words.says_musl(), "musl"),
        ];
        said.extend(
            flags
                .iter()
                .filter(|(is_said, _)| *is_said)
                .map(|(_, name)| *name),
        );
        let abi = abi.map_or(String::new(), |abi| format!(" abi{abi}"));
        format!("{stem}: {}{abi}", said.join(" "))
    }

    #[test]
    fn names_are_taken_apart_into_platform_and_stem() {
        for (name, expected) in [
            ("linux-x64", ": amd64 linux"),
            ("linuxglibc-arm64", ": arm64 linux glibc"),
            ("linuxmusl-x64", ": amd64 linux musl"),
            ("linux-x64-musl", ": amd64 linux musl"),
            ("workerd-linux-64", "workerd: amd64 linux"),
            ("linux64", ": amd64 linux"),
            ("win32", ": elsewhere"),
            ("win64", ": elsewhere"),
            ("darwin-x64+arm64", ": amd64 arm64 elsewhere"),
            ("android-arm64", ": arm64 elsewhere"),
            ("armeabi-v7a", ": arm"),
            ("arm64-v8a", ": arm64"),
            ("aarch64-unknown-linux-gnu", ": arm64 linux glibc"),
            ("x86_64-pc-windows-msvc", ": amd64 elsewhere"),
            ("attach_linux_amd64.so", "attach so: amd64 linux"),
            (
                "protoc-3.21-linux-aarch_64.exe",
                "protoc 3 21 exe: arm64 linux",
            ),
            ("node.napi.armv8.node", "node napi node: arm64"),
            ("node.napi.glibc.node", "node napi node: glibc"),
            (
                "@contrast+fn-inspect.abi127.musl.node",
                "contrast fn inspect node: musl abi127",
            ),
            ("node-115.node", "node node:  abi115"),
            ("electron.napi.node", "node napi node: "),
            ("napi-v6", "napi v6: "),
            ("cortex-a53", ": arm"),
            ("arm11", ": arm"),
            (
                "core.cpython-313-x86_64-linux-gnu.so",
                "core cpython 313 so: amd64 linux glibc",
            ),
            (
                "libquery_engine-debian-openssl-3.0.x.so.node",
                "libquery engine so node: linux",
            ),
            (
                "libquery_engine-linux-arm64-openssl-3.0.x.so.node",
                "libquery engine so node: arm64 linux",
            ),
            ("tool_linux_amd64_v1", "tool: amd64 linux"),
            ("tool_linux_arm64_v8.0", "tool: arm64 linux"),
            ("cortex-a72-aarch64", ": arm64"),
            ("raspberry-pi", ": linux"),
            ("libfoo.so.64", "libfoo so 64: "),
            ("x86_64_v2", ": amd64"),
            ("lib64", "lib64: "),
            ("alarm", "alarm: "),
            ("charm-x86", "charm: i386"),
            ("alpha", "alpha: "),
            ("centos7-librdkafka.so", "librdkafka so: linux"),
            ("ubuntu.18.04-x64", ": amd64 linux"),
            ("linux-x64-glibc-2.36", ": amd64 linux glibc"),
            ("tool_0.50_Linux-64bit", "tool 0 50: amd64 linux"),
            ("linux-x64-openharmony", ": amd64 linux elsewhere"),
        ] {
            assert_eq!(shown(name), expected, "{name}");
        }
    }

    #[test]
    fn directories_above_an_addon_name_its_binary_interface() {
        let abis = |path: &str| {
            Name::of_path(path)
                .iter()
                .map(|name| name.abi)
                .collect::<Vec<_>>()
        };
        assert_eq!(abis("build/node/115/x.node"), [None, None, Some(115), None]);
        assert_eq!(abis("build/node/115/x.so"), [None; 4]);
        let directories = Name::of_path("bin/linux-x64-node-20/x.node");
        assert_eq!(
            (directories[1].stem.as_str(), directories[1].abi),
            ("node", Some(20))
        );
        let yarn = |hash: &str| {
            Name::of_path(&format!(".yarn/unplugged/x-linux-x64-npm-1.0.0-{hash}/y"))
                .remove(2)
                .stem
        };
        assert_eq!(yarn("4f9ca1ae0e"), yarn("0123456789"));
        assert_eq!(
            Name::of_path("node/glibc-127-Release/x.node")[1].stem,
            Name::of_path("node/108/x.node")[1].stem
        );
    }

    #[test]
    fn a_path_is_respelled_for_the_other_cpu() {
        for (path, wanted, expected) in [
            (
                "a/prebuilds/linux-x64/b.node",
                Cpu::Arm64,
                Some("a/prebuilds/linux-arm64/b.node"),
            ),
            (
                "a/prebuilds/linux-arm64/b.armv8.node",
                Cpu::Amd64,
                Some("a/prebuilds/linux-x64/b.x64.node"),
            ),
            ("lib/x86_64/c.so", Cpu::Arm64, Some("lib/aarch64/c.so")),
            (
                "attach_linux_amd64.so",
                Cpu::Arm64,
                Some("attach_linux_arm64.so"),
            ),
            ("bin/linux64/tool", Cpu::Arm64, Some("bin/linux-arm64/tool")),
            ("swarm/charm.so", Cpu::Arm64, None),
        ] {
            assert_eq!(respell(path, wanted).as_deref(), expected, "{path}");
        }
    }
}
