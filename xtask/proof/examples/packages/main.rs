//! How the proof judges images of real packages, as they are installed for a CPU today, and the same images with lies in them:
//!
//! ```text
//! cargo run --release --package image-proof --example packages -- npm arm64 [PACKAGE…]
//! cargo run --release --package image-proof --example packages -- pypi amd64 [PACKAGE…]
//! ```
//!
//! Without names it takes those of `npm.txt` or `pypi.txt`, which takes half an hour. It needs npm, or uv. Packages are
//! installed with their install scripts switched off: what those would compile for the machine that this runs on says nothing
//! about the CPU in question. A row for each package with machine code says how many files were looked at, how many are
//! baggage, and what was found; then whether two lies about it are refused:
//!
//! - *alone*: every file for the CPU is taken out, what is for others stays
//! - *other*: every file is for the other CPU, whatever its name says
#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    reason = "a program that prints measurements"
)]

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
    process::Command,
};

use image_proof::{Config, Machine, Verdict, prove, read_elf, read_layer};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, arch, names @ ..] = arguments.as_slice() else {
        panic!("say `npm` or `pypi`, and `arm64` or `amd64`")
    };
    let machine = Machine::from_oci(arch).expect("`arm64` or `amd64`");
    let list = if kind == "npm" {
        include_str!("npm.txt")
    } else {
        include_str!("pypi.txt")
    };
    let all: Vec<String> = list.split_whitespace().map(str::to_owned).collect();
    let mut counts = Counts::default();
    for name in if names.is_empty() { &all } else { names } {
        let directory =
            std::env::temp_dir().join(format!("image-proof-packages-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).expect("a temporary directory");
        match install(kind, arch, name, &directory) {
            Ok(()) => counts.judge(name, &Package::read(&directory), machine),
            Err(why) => counts.skip(name, &why),
        }
        let _ = fs::remove_dir_all(&directory);
    }
    counts.print();
}

/// Installs a package below a directory as it would lie in an image.
fn install(kind: &str, arch: &str, name: &str, directory: &Path) -> Result<(), String> {
    let mut command = if kind == "npm" {
        let directory = directory.join("srv");
        fs::create_dir_all(&directory).expect("a directory");
        fs::write(directory.join("package.json"), "{}").expect("a file");
        let mut command = Command::new("npm");
        let cpu = if arch == "arm64" { "arm64" } else { "x64" };
        let platform = [
            format!("--cpu={cpu}"),
            "--os=linux".to_owned(),
            "--libc=glibc".to_owned(),
        ];
        command.arg("install").args(platform).args([
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--legacy-peer-deps",
        ]);
        command.current_dir(directory);
        command
    } else {
        let platform = if arch == "arm64" {
            "aarch64-manylinux_2_34"
        } else {
            "x86_64-manylinux_2_34"
        };
        let mut command = Command::new("uv");
        command.args([
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--python-version=3.12",
            "--only-binary=:all:",
        ]);
        command
            .arg(format!("--python-platform={platform}"))
            .arg("--target");
        command.arg(directory.join("usr/local/lib/python3.12/site-packages"));
        command
    };
    let output = command
        .arg(name)
        .output()
        .map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let last = text
        .lines()
        .next_back()
        .unwrap_or_default()
        .trim()
        .to_owned();
    if output.status.success() {
        Ok(())
    } else {
        Err(last)
    }
}

/// The files of an installed package that a proof reads.
struct Package(Vec<(PathBuf, Vec<u8>)>);

/// A lie about a package.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lie {
    None,
    Alone,
    Other,
}

impl Package {
    fn read(directory: &Path) -> Self {
        let mut files = Vec::new();
        let mut directories = vec![directory.to_owned()];
        while let Some(next) = directories.pop() {
            for entry in fs::read_dir(next).expect("a directory").flatten() {
                let kind = entry.file_type().expect("a kind");
                if kind.is_dir() {
                    directories.push(entry.path());
                } else if kind.is_file() {
                    let path = entry
                        .path()
                        .strip_prefix(directory)
                        .expect("a path below")
                        .to_owned();
                    files.push((path, Self::content(&entry.path())));
                }
            }
        }
        files.sort();
        Self(files)
    }

    /// Lists whole, of everything else the beginning: no proof reads more.
    fn content(path: &Path) -> Vec<u8> {
        let is_list = path
            .file_name()
            .is_some_and(|name| name == "RECORD" || name == "WHEEL");
        let limit = if is_list { u64::MAX } else { 4096 };
        let mut bytes = Vec::new();
        File::open(path)
            .expect("a file")
            .take(limit)
            .read_to_end(&mut bytes)
            .expect("a file's content");
        bytes
    }

    fn verdict(&self, machine: Machine, lie: Lie) -> Verdict {
        let mut archive = tar::Builder::new(Vec::new());
        let program = program(machine);
        let app = (PathBuf::from("app"), program);
        for (path, bytes) in std::iter::once(&app).chain(&self.0) {
            let elf = read_elf(bytes).ok().flatten().filter(|_| *path != app.0);
            let mut bytes = bytes.clone();
            match (lie, elf) {
                (Lie::Alone, Some(elf)) if elf.machine == machine => continue,
                (Lie::Other, Some(elf)) if elf.machine == machine => {
                    let other = if machine == Machine::ARM64 {
                        Machine::AMD64
                    } else {
                        Machine::ARM64
                    };
                    bytes[18..20].copy_from_slice(&other.number.to_le_bytes());
                }
                _ => {}
            }
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o755);
            archive
                .append_data(&mut header, path, &bytes[..])
                .expect("an entry");
        }
        let layer = read_layer(&archive.into_inner().expect("an archive")[..]).expect("a layer");
        let architecture = if machine == Machine::ARM64 {
            "arm64"
        } else {
            "amd64"
        };
        let config = format!(
            r#"{{"architecture":"{architecture}","os":"linux","config":{{"Cmd":["/app"]}},"rootfs":{{"diff_ids":["{}"]}}}}"#,
            layer.diff_id
        );
        prove(
            &Config::parse(config.as_bytes()).expect("a config"),
            &[layer],
            machine,
            &[],
        )
    }
}

/// The shortest program that is one: a header.
fn program(machine: Machine) -> Vec<u8> {
    let mut bytes = vec![0; 64];
    bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
    bytes[16] = 2;
    bytes[18..20].copy_from_slice(&machine.number.to_le_bytes());
    bytes
}

#[derive(Default)]
struct Counts {
    packages: usize,
    native: usize,
    with_baggage: usize,
    alarms: Vec<String>,
    skipped: usize,
    lies: usize,
    passed: Vec<String>,
}

impl Counts {
    fn judge(&mut self, name: &str, package: &Package, machine: Machine) {
        let verdict = package.verdict(machine, Lie::None);
        self.packages += 1;
        // The program that the image starts is ours.
        if verdict.checked == 1 {
            return;
        }
        self.native += 1;
        self.with_baggage += usize::from(!verdict.baggage.is_empty());
        let has_right = package
            .0
            .iter()
            .any(|(_, bytes)| matches!(read_elf(bytes), Ok(Some(elf)) if elf.machine == machine));
        let mut told = Vec::new();
        for (lie, called) in [(Lie::Alone, "alone"), (Lie::Other, "other")] {
            // What has no file for the CPU leaves nothing to lie about; with nothing but right ones, nothing is left alone.
            if !has_right || lie == Lie::Alone && verdict.baggage.is_empty() {
                continue;
            }
            self.lies += 1;
            let is_refused = !package.verdict(machine, lie).holds();
            told.push(format!(
                "{called} {}",
                if is_refused { "refused" } else { "PASSES" }
            ));
            if !is_refused {
                self.passed.push(format!("{name} ({called})"));
            }
        }
        let (checked, baggage) = (verdict.checked - 1, verdict.baggage.len());
        let found = if verdict.holds() {
            "-".to_owned()
        } else {
            format!("{} findings", verdict.findings.len())
        };
        println!(
            "{name:<40} {checked:>5} files {baggage:>4} baggage  {found:<14} {}",
            told.join(", ")
        );
        for group in verdict.groups().iter().take(3) {
            println!("    {group}");
        }
        if !verdict.holds() {
            let what = if has_right {
                "carries both CPUs"
            } else {
                "has nothing for this CPU"
            };
            self.alarms.push(format!("{name} ({what})"));
        }
    }

    fn skip(&mut self, name: &str, why: &str) {
        self.skipped += 1;
        println!("{name:<40} not installed: {why}");
    }

    fn print(&self) {
        let Self {
            packages,
            native,
            with_baggage,
            alarms,
            skipped,
            lies,
            passed,
        } = self;
        println!(
            "\n{packages} packages ({skipped} could not be installed), {native} with machine code, {with_baggage} with baggage"
        );
        println!("{} alarms: {}", alarms.len(), alarms.join(", "));
        println!(
            "{lies} lies, {} passed: {}",
            passed.len(),
            passed.join(", ")
        );
    }
}
