//! ELF headers: which CPU machine code is for.
//!
//! Source: the System V ABI, chapter "Object Files", and the kernel's `include/uapi/linux/elf-em.h`. Magic, class and byte
//! order are looked at before the machine: a number at the right place proves nothing by itself.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How many first bytes of a file [`parse`] wants: the header, and as much after it as mostly holds the loader's name.
pub(crate) const HEAD: usize = 4096;

/// The CPU that a file's machine code is for, with all three properties that decide it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Machine {
    /// `e_machine`.
    pub number: u16,
    /// Whether it is 64-bit code by its class.
    pub is_64_bit: bool,
    /// Whether numbers have their high byte first.
    pub is_big_endian: bool,
}

impl Machine {
    /// x86-64.
    pub const AMD64: Self = Self {
        number: 0x3e,
        is_64_bit: true,
        is_big_endian: false,
    };
    /// 64-bit Arm.
    pub const ARM64: Self = Self {
        number: 0xb7,
        is_64_bit: true,
        is_big_endian: false,
    };
    /// 32-bit x86.
    pub const I386: Self = Self {
        number: 3,
        is_64_bit: false,
        is_big_endian: false,
    };
    /// 32-bit Arm.
    pub const ARM: Self = Self {
        number: 40,
        is_64_bit: false,
        is_big_endian: false,
    };

    /// The machine for an architecture as OCI spells it.
    pub fn from_oci(architecture: &str) -> Option<Self> {
        match architecture {
            "amd64" => Some(Self::AMD64),
            "arm64" => Some(Self::ARM64),
            _ => None,
        }
    }

    /// Whether a CPU of this machine also runs `other` in its 32-bit mode, as compatibility libraries need it.
    pub fn runs_in_32_bit_mode(self, other: Self) -> bool {
        matches!(
            (self, other),
            (Self::AMD64, Self::I386) | (Self::ARM64, Self::ARM)
        )
    }

    /// Whether this is no CPU at all: code for GPUs and for the kernel's own virtual machine lies in many images.
    pub fn is_no_cpu(self) -> bool {
        const CUDA: u16 = 190;
        const AMD_GPU: u16 = 224;
        const BPF: u16 = 247;
        matches!(self.number, CUDA | AMD_GPU | BPF)
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match (self.number, self.is_64_bit, self.is_big_endian) {
            (0x3e, true, false) => "amd64",
            (0x3e, false, false) => "x32 (32-bit pointers on amd64)",
            (0xb7, true, false) => "arm64",
            (0xb7, true, true) => "arm64 in big-endian order",
            (0xb7, false, _) => "arm64 with 32-bit pointers",
            (3, ..) => "i386",
            (40, _, false) => "32-bit arm",
            (40, _, true) => "32-bit arm in big-endian order",
            (8, ..) => "mips",
            (20, ..) => "32-bit powerpc",
            (21, _, true) => "ppc64",
            (21, _, false) => "ppc64le",
            (22, ..) => "s390x",
            (243, true, _) => "riscv64",
            (243, false, _) => "riscv32",
            (258, ..) => "loong64",
            (190, ..) => "cuda",
            (224, ..) => "amdgpu",
            (247, ..) => "bpf",
            _ => return write!(f, "machine {}", self.number),
        };
        f.write_str(name)
    }
}

/// What a file's first bytes say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elf {
    /// The CPU.
    pub machine: Machine,
    /// Whether it can be run or loaded. Object files and core dumps cannot.
    pub is_loadable: bool,
    /// The program that loads it, `PT_INTERP`: a static binary has none.
    pub loader: Option<String>,
    /// The operating system, where it says one.
    pub system: Option<System>,
}

/// The operating system that a file's machine code is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum System {
    /// The one that images run on.
    Linux,
    /// FreeBSD, Android and others: no kernel here starts that.
    Other,
}

/// `ET_EXEC`.
const EXECUTABLE: u16 = 2;
/// `ET_DYN`: shared libraries, and programs that can be loaded anywhere.
const SHARED: u16 = 3;

/// Reads a file's first bytes, [`HEAD`] or all that there are. `Ok(None)` is a file that does not claim to be ELF.
///
/// # Errors
/// A file that begins like ELF and goes on like nothing that a kernel would take.
pub fn parse(head: &[u8]) -> Result<Option<Elf>, &'static str> {
    if !head.starts_with(b"\x7fELF") {
        return Ok(None);
    }
    let byte = |at: usize| head.get(at).copied().ok_or("it ends inside its header");
    let is_64_bit = match byte(4)? {
        1 => false,
        2 => true,
        _ => return Err("its class is neither 32 nor 64 bit"),
    };
    let is_big_endian = match byte(5)? {
        1 => false,
        2 => true,
        _ => return Err("its byte order is unknown"),
    };
    let fields = Fields {
        head,
        is_big_endian,
    };
    let kind = fields.half(16).ok_or("it ends inside its header")?;
    let number = fields.half(18).ok_or("it ends inside its header")?;
    if head.len() < if is_64_bit { 64 } else { 52 } {
        return Err("it ends inside its header");
    }
    let machine = Machine {
        number,
        is_64_bit,
        is_big_endian,
    };
    let loader = fields.loader(is_64_bit);
    let system = fields.system(byte(7)?, loader.as_deref(), is_64_bit);
    Ok(Some(Elf {
        machine,
        is_loadable: matches!(kind, EXECUTABLE | SHARED),
        loader,
        system,
    }))
}

struct Fields<'h> {
    head: &'h [u8],
    is_big_endian: bool,
}

impl Fields<'_> {
    fn number(&self, at: usize, length: usize) -> Option<u64> {
        let bytes = self.head.get(at..at.checked_add(length)?)?;
        let add = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Some(if self.is_big_endian {
            bytes.iter().fold(0, add)
        } else {
            bytes.iter().rev().fold(0, add)
        })
    }

    fn half(&self, at: usize) -> Option<u16> {
        self.number(at, 2)
            .and_then(|number| u16::try_from(number).ok())
    }

    fn offset(&self, at: usize, length: usize) -> Option<usize> {
        self.number(at, length)
            .and_then(|number| usize::try_from(number).ok())
    }

    /// `PT_INTERP`, where the program headers and the name lie in the bytes at hand.
    fn loader(&self, is_64_bit: bool) -> Option<String> {
        const INTERPRETER: u64 = 3;
        let name = self.segments(INTERPRETER, is_64_bit).next()?;
        let name = name.split(|byte| *byte == 0).next()?;
        String::from_utf8(name.to_vec()).ok()
    }

    /// The segments of a kind that lie in the bytes at hand.
    fn segments(&self, kind: u64, is_64_bit: bool) -> impl Iterator<Item = &[u8]> {
        let word = if is_64_bit { 8 } else { 4 };
        let table = self.offset(if is_64_bit { 32 } else { 28 }, word);
        let size = self.half(if is_64_bit { 54 } else { 42 }).map(usize::from);
        let count = self
            .half(if is_64_bit { 56 } else { 44 })
            .map_or(0, usize::from);
        let header = move |index: usize| table?.checked_add(index.checked_mul(size?)?);
        // A table that leaves the bytes at hand does not come back.
        let headers = (0..count)
            .map_while(move |index| header(index).filter(|at| self.number(*at, 4).is_some()));
        headers
            .filter(move |header| self.number(*header, 4) == Some(kind))
            .filter_map(move |header| {
                let start = self.offset(header.checked_add(word)?, word)?;
                let length = self.offset(header.checked_add(word * 4)?, word)?;
                self.head.get(start..start.checked_add(length)?)
            })
    }

    /// The operating system, from the ABI in the header, the loader, and the notes that systems put into their programs.
    /// Source: the System V ABI's list of `EI_OSABI`; `.note.ABI-tag` of the Linux Standard Base; `.note.android.ident` of
    /// Android's NDK; the notes of the BSDs.
    fn system(&self, abi: u8, loader: Option<&str>, is_64_bit: bool) -> Option<System> {
        const NOTE: u64 = 4;
        const ELSEWHERE: [&str; 4] = [
            "/system/bin/linker",
            "/libexec/",
            "/usr/libexec/",
            "/usr/lib/ld.so",
        ];
        const GNU: u8 = 3;
        const OTHERS: std::ops::RangeInclusive<u8> = 1..=18;
        match abi {
            GNU => return Some(System::Linux),
            abi if OTHERS.contains(&abi) => return Some(System::Other),
            _ => {}
        }
        if loader.is_some_and(|loader| ELSEWHERE.iter().any(|start| loader.starts_with(start))) {
            return Some(System::Other);
        }
        self.segments(NOTE, is_64_bit)
            .find_map(|notes| self.noted(notes))
    }

    /// The operating system that the first notes of a segment name.
    fn noted(&self, mut notes: &[u8]) -> Option<System> {
        const FIRST: usize = 8;
        for _ in 0..FIRST {
            let fields = Fields {
                head: notes,
                is_big_endian: self.is_big_endian,
            };
            let (name, described) = (fields.offset(0, 4)?, fields.offset(4, 4)?);
            let kind = fields.number(8, 4)?;
            let description = 12_usize.checked_add(name.checked_next_multiple_of(4)?)?;
            match notes.get(12..12_usize.checked_add(name)?)? {
                b"Android\0" | b"FreeBSD\0" | b"NetBSD\0" | b"OpenBSD\0" | b"DragonFly\0" => {
                    return Some(System::Other);
                }
                b"GNU\0" if kind == 1 && described >= 4 => {
                    return Some(if fields.number(description, 4)? == 0 {
                        System::Linux
                    } else {
                        System::Other
                    });
                }
                _ => {}
            }
            notes =
                notes.get(description.checked_add(described.checked_next_multiple_of(4)?)?..)?;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(class: u8, order: u8, kind: u16, machine: u16) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', class, order]);
        let half = |number: u16| {
            if order == 2 {
                number.to_be_bytes()
            } else {
                number.to_le_bytes()
            }
        };
        bytes[16..18].copy_from_slice(&half(kind));
        bytes[18..20].copy_from_slice(&half(machine));
        bytes
    }

    #[test]
    fn class_and_byte_order_decide_together_with_the_machine() {
        let cases = [
            (header(2, 1, 2, 0x3e), "amd64"),
            (header(2, 1, 3, 0xb7), "arm64"),
            (header(1, 1, 2, 0x3e), "x32 (32-bit pointers on amd64)"),
            (header(2, 2, 2, 0xb7), "arm64 in big-endian order"),
            (header(1, 1, 2, 3), "i386"),
            (header(1, 1, 2, 40), "32-bit arm"),
            (header(1, 2, 2, 40), "32-bit arm in big-endian order"),
            (header(1, 1, 2, 0xb7), "arm64 with 32-bit pointers"),
            (header(1, 2, 2, 8), "mips"),
            (header(1, 2, 2, 20), "32-bit powerpc"),
            (header(2, 2, 2, 21), "ppc64"),
            (header(2, 1, 2, 21), "ppc64le"),
            (header(2, 1, 2, 243), "riscv64"),
            (header(1, 1, 2, 243), "riscv32"),
            (header(2, 1, 2, 258), "loong64"),
            (header(2, 1, 2, 190), "cuda"),
            (header(2, 1, 2, 224), "amdgpu"),
            (header(2, 1, 1, 247), "bpf"),
            (header(2, 2, 2, 22), "s390x"),
            (header(2, 1, 2, 9999), "machine 9999"),
        ];
        for (bytes, name) in cases {
            assert_eq!(parse(&bytes).unwrap().unwrap().machine.to_string(), name);
        }
        // The number of arm64 read in the wrong order is another number.
        assert_ne!(
            parse(&header(2, 2, 2, 0xb700_u16))
                .unwrap()
                .unwrap()
                .machine,
            Machine::ARM64
        );
    }

    #[test]
    fn what_only_begins_like_elf_is_told_apart_from_what_does_not() {
        assert_eq!(parse(b""), Ok(None));
        assert_eq!(parse(b"\x7fEL"), Ok(None));
        assert_eq!(parse(b"#!/bin/sh"), Ok(None));
        assert!(parse(b"\x7fELF").is_err());
        assert!(parse(&header(3, 1, 2, 0x3e)).is_err());
        assert!(parse(&header(2, 7, 2, 0x3e)).is_err());
        assert!(parse(&header(2, 1, 2, 0x3e)[..40]).is_err());
    }

    #[test]
    fn objects_and_core_dumps_cannot_be_loaded() {
        for (kind, expected) in [(1, false), (2, true), (3, true), (4, false)] {
            assert_eq!(
                parse(&header(2, 1, kind, 0x3e))
                    .unwrap()
                    .unwrap()
                    .is_loadable,
                expected
            );
        }
    }

    #[test]
    fn the_operating_system_is_read_from_the_abi_the_loader_and_notes() {
        let segment = |kind: u32, content: &[u8]| {
            let mut bytes = header(2, 1, 3, 0x3e);
            bytes[32..40].copy_from_slice(&64_u64.to_le_bytes());
            bytes[54..56].copy_from_slice(&56_u16.to_le_bytes());
            bytes[56..58].copy_from_slice(&1_u16.to_le_bytes());
            let mut segment = vec![0_u8; 56];
            segment[..4].copy_from_slice(&kind.to_le_bytes());
            segment[8..16].copy_from_slice(&120_u64.to_le_bytes());
            segment[32..40].copy_from_slice(&(content.len() as u64).to_le_bytes());
            [bytes, segment, content.to_vec()].concat()
        };
        let note = |name: &[u8], kind: u32, described: &[u8]| {
            let lengths = [name.len(), described.len()]
                .map(|length| u32::try_from(length).unwrap().to_le_bytes())
                .concat();
            let mut padded = name.to_vec();
            padded.resize(name.len().next_multiple_of(4), 0);
            [
                lengths,
                kind.to_le_bytes().to_vec(),
                padded,
                described.to_vec(),
            ]
            .concat()
        };
        let system = |bytes: &[u8]| parse(bytes).unwrap().unwrap().system;
        let abi = |abi: u8| {
            let mut bytes = header(2, 1, 3, 0x3e);
            bytes[7] = abi;
            system(&bytes)
        };
        assert_eq!(
            [abi(0), abi(3), abi(9), abi(97)],
            [None, Some(System::Linux), Some(System::Other), None]
        );
        let noted = |name: &[u8], described: &[u8]| system(&segment(4, &note(name, 1, described)));
        assert_eq!(noted(b"Android\0", &[21, 0, 0, 0]), Some(System::Other));
        assert_eq!(noted(b"GNU\0", &[0; 16]), Some(System::Linux));
        assert_eq!(noted(b"GNU\0", &[1, 0, 0, 0]), Some(System::Other));
        assert_eq!(noted(b"stapsdt\0", &[0; 4]), None);
        let second = [
            note(b"stapsdt\0", 3, &[0; 4]),
            note(b"OpenBSD\0", 1, &[0; 4]),
        ]
        .concat();
        assert_eq!(system(&segment(4, &second)), Some(System::Other));
        assert_eq!(
            system(&segment(4, &[0xff; 40])),
            None,
            "lengths that lead nowhere"
        );
        assert_eq!(
            system(&segment(3, b"/system/bin/linker64\0")),
            Some(System::Other)
        );
        assert_eq!(system(&segment(3, b"/lib64/ld-linux-x86-64.so.2\0")), None);
    }

    #[test]
    fn the_loader_is_read_and_a_wild_table_is_not_followed() {
        let mut bytes = header(2, 1, 3, 0x3e);
        bytes[32..40].copy_from_slice(&64_u64.to_le_bytes());
        bytes[54..56].copy_from_slice(&56_u16.to_le_bytes());
        bytes[56..58].copy_from_slice(&1_u16.to_le_bytes());
        let name = b"/lib64/ld-linux-x86-64.so.2\0";
        let mut segment = vec![0_u8; 56];
        segment[..4].copy_from_slice(&3_u32.to_le_bytes());
        segment[8..16].copy_from_slice(&120_u64.to_le_bytes());
        segment[32..40].copy_from_slice(&(name.len() as u64).to_le_bytes());
        bytes.extend(segment);
        bytes.extend(name);
        assert_eq!(
            parse(&bytes).unwrap().unwrap().loader.as_deref(),
            Some("/lib64/ld-linux-x86-64.so.2")
        );
        bytes[32..40].copy_from_slice(&u64::MAX.to_le_bytes());
        assert_eq!(parse(&bytes).unwrap().unwrap().loader, None);
    }
}
