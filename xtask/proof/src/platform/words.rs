//! The words for platforms, and what names say with them.

use std::ops::BitOrAssign;

use crate::elf::Machine;

/// A CPU, as names tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cpu {
    Amd64,
    I386,
    Arm64,
    Arm,
    /// One that no target here runs.
    Other,
}

impl Cpu {
    /// The CPU that runs a machine's code.
    pub(crate) fn of(machine: Machine) -> Self {
        match machine {
            Machine::AMD64 => Self::Amd64,
            Machine::I386 => Self::I386,
            Machine::ARM64 => Self::Arm64,
            Machine::ARM => Self::Arm,
            _ => Self::Other,
        }
    }
}

/// What a name, or several, say of the platform: a bit for each CPU and for each of the five words below.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Words(u16);

const CPU_BITS: u16 = 0x1f;
const LINUX_BIT: u16 = 0x20;
const OTHER_SYSTEM_BIT: u16 = 0x40;
const GLIBC_BIT: u16 = 0x80;
const MUSL_BIT: u16 = 0x100;
const DISTRIBUTION_BIT: u16 = 0x200;

impl Words {
    pub(super) fn add(&mut self, cpu: Cpu) {
        self.0 |= Self::bit(cpu);
    }

    fn bit(cpu: Cpu) -> u16 {
        1 << cpu as u16
    }

    /// Whether a CPU is named.
    pub(crate) fn names(self, cpu: Cpu) -> bool {
        self.0 & Self::bit(cpu) != 0
    }

    /// Whether any CPU is named.
    pub(crate) fn names_any_cpu(self) -> bool {
        self.0 & CPU_BITS != 0
    }

    /// Whether a CPU is named that is not this one.
    pub(crate) fn names_other_than(self, cpu: Cpu) -> bool {
        self.0 & CPU_BITS & !Self::bit(cpu) != 0
    }

    /// Whether any operating system is named.
    pub(crate) fn names_any_system(self) -> bool {
        self.says_linux() || self.says_other_system()
    }

    /// Whether Linux is named, or a distribution of it.
    pub(crate) fn says_linux(self) -> bool {
        self.0 & LINUX_BIT != 0
    }

    /// Whether a distribution of Linux is named: tools that are made for one CPU first say no more than that.
    pub(crate) fn says_distribution(self) -> bool {
        self.0 & DISTRIBUTION_BIT != 0
    }

    /// Whether another operating system is named.
    pub(crate) fn says_other_system(self) -> bool {
        self.0 & OTHER_SYSTEM_BIT != 0
    }

    /// Whether the C library of most distributions is named.
    pub(crate) fn says_glibc(self) -> bool {
        self.0 & GLIBC_BIT != 0
    }

    /// Whether the C library of Alpine is named.
    pub(crate) fn says_musl(self) -> bool {
        self.0 & MUSL_BIT != 0
    }
}

impl BitOrAssign for Words {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// Words for CPUs.
const CPUS: [(Cpu, &[&str]); 5] = [
    (Cpu::Amd64, &["amd64", "x64", "x8664", "intel64"]),
    (
        Cpu::I386,
        &["i386", "i486", "i586", "i686", "ia32", "x86", "x32", "386"],
    ),
    (
        Cpu::Arm64,
        &["arm64", "aarch64", "armv8", "armv8a", "arm64v8", "armv8l"],
    ),
    (
        Cpu::Arm,
        &[
            "arm", "arm32", "armv5", "armv6", "armv6l", "armv6hf", "armv7", "armv7a", "armv7l",
            "armhf", "armel", "arm32v7", "arm11", "arm5", "arm6", "arm7",
        ],
    ),
    (
        Cpu::Other,
        &[
            "riscv64",
            "riscv32",
            "riscv64gc",
            "ppc64le",
            "ppc64el",
            "ppc64",
            "ppc",
            "powerpc64le",
            "powerpc64",
            "powerpc",
            "s390x",
            "s390",
            "loong64",
            "loongarch64",
            "mips",
            "mipsel",
            "mips64",
            "mips64el",
            "mips64le",
            "mipsle",
            "riscv64d",
            "sparc64",
            "sparcv9",
            "aarch64be",
            "ia64",
        ],
    ),
];

/// The word for Linux.
const LINUX: [&str; 1] = ["linux"];

/// Words for its distributions.
const DISTRIBUTIONS: [&str; 9] = [
    "debian", "ubuntu", "rhel", "centos", "fedora", "amzn", "alpine", "raspbian", "rpi",
];

/// Words for other operating systems.
const OTHER_SYSTEMS: [&str; 20] = [
    "openharmony",
    "android",
    "freebsd",
    "netbsd",
    "openbsd",
    "dragonfly",
    "sunos",
    "solaris",
    "illumos",
    "aix",
    "haiku",
    "darwin",
    "macos",
    "macosx",
    "osx",
    "mac",
    "win32",
    "win64",
    "windows",
    "win",
];

/// Words for the GNU C library.
const GLIBC: [&str; 4] = ["glibc", "gnu", "gnueabihf", "gnueabi"];

/// Words for musl.
const MUSL: [&str; 4] = ["musl", "musleabihf", "musleabi", "alpine"];

impl Words {
    /// Takes a token for a word, if it is one. `says_system` is whether the token before named an operating system: a
    /// number after it is the width of the CPU.
    pub(super) fn take(&mut self, token: &str, says_system: bool) -> bool {
        if says_system && matches!(token, "64" | "32" | "64bit" | "32bit") {
            self.add(if token.starts_with('6') {
                Cpu::Amd64
            } else {
                Cpu::I386
            });
            return true;
        }
        if self.take_plain(token) {
            return true;
        }
        if is_distribution(token) {
            self.0 |= LINUX_BIT | DISTRIBUTION_BIT;
            return true;
        }
        // `linuxmusl`, `linux64`, `linuxarm64`, `win64`.
        let mut systems = LINUX.iter().chain(&OTHER_SYSTEMS);
        let Some((system, rest)) =
            systems.find_map(|system| token.strip_prefix(system).map(|rest| (*system, rest)))
        else {
            return false;
        };
        let mut both = *self;
        both.take_plain(system);
        let is_word = both.take(rest, true);
        if is_word {
            *self = both;
        }
        is_word
    }

    fn take_plain(&mut self, token: &str) -> bool {
        if let Some((cpu, _)) = CPUS
            .iter()
            .find(|(_, spellings)| spellings.contains(&token))
        {
            self.add(*cpu);
            return true;
        }
        let is_any = |words: &[&str]| words.contains(&token);
        let bits = [
            (LINUX_BIT, is_any(&LINUX) || is_any(&DISTRIBUTIONS)),
            (DISTRIBUTION_BIT, is_any(&DISTRIBUTIONS)),
            (OTHER_SYSTEM_BIT, is_any(&OTHER_SYSTEMS)),
            (GLIBC_BIT, is_any(&GLIBC) || token.starts_with("manylinux")),
            (MUSL_BIT, is_any(&MUSL) || token.starts_with("musllinux")),
        ];
        let said = bits
            .iter()
            .filter(|(_, is_said)| *is_said)
            .fold(0, |said, (bit, _)| said | bit);
        self.0 |= said;
        said != 0
    }
}

/// Whether a token names a distribution, perhaps with a version: `centos7`.
pub(super) fn is_distribution(token: &str) -> bool {
    DISTRIBUTIONS.contains(&token.trim_end_matches(|c: char| c.is_ascii_digit()))
}

/// Whether a token is a word after which a number is a version of what it names.
pub(super) fn is_versioned(token: &str) -> bool {
    is_distribution(token) || GLIBC.contains(&token) || MUSL.contains(&token)
}
