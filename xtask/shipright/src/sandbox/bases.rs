//! Base images for a machine that reaches no image registry: Python on Debian 13, for both CPUs, from packages and without
//! emulation, pushed to the sandbox's own registry.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use super::{
    apt::{self, Apt},
    home::{Bases, Home, remove},
};
use crate::{
    arch::Arch, aws::Aws, docker::Docker, facts::host, model::base_image, process::Tool,
    report::terminal::Terminal,
};

/// A public base image that the sandbox can stand in for.
struct StandIn {
    /// The public image.
    image: &'static str,
    repository: &'static str,
    tag: &'static str,
    dockerfile: &'static str,
}

/// Every stand-in. A later one may be made from an earlier one, as `BASE`.
const STAND_INS: [StandIn; 2] = [
    StandIn {
        image: base_image::PYTHON,
        repository: "sandbox/python",
        tag: "3.13-slim",
        dockerfile: "FROM scratch\nARG TARGETARCH\nADD rootfs-$TARGETARCH.tar /\n\
                     ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin LANG=C.UTF-8\nCMD [\"python3\"]\n",
    },
    StandIn {
        image: base_image::LAMBDA_PYTHON,
        repository: "sandbox/lambda-python",
        tag: "3.13",
        dockerfile: "ARG BASE\nFROM ${BASE}\nENV LAMBDA_TASK_ROOT=/var/task\nWORKDIR /var/task\n\
                     COPY stand_in_lambda.py /opt/\nENTRYPOINT [\"python3\", \"-u\", \"/opt/stand_in_lambda.py\"]\n",
    },
];

/// What a Python base image is made of. numpy and its like need `libstdc++6`.
const PACKAGES: [&str; 15] = [
    "base-files",
    "base-passwd",
    "bash",
    "coreutils",
    "dash",
    "findutils",
    "grep",
    "sed",
    "gzip",
    "tar",
    "libc-bin",
    "libstdc++6",
    "ca-certificates",
    "python3",
    "python3-pip",
];

/// What is left out: nobody reads it in a container.
const LEFT_OUT: [&str; 5] = [
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/info",
    "usr/share/lintian",
];

/// The time of every file in the stand-ins: the same packages make the same image.
const TIME: &str = "1700000000";

/// Asks whether the public images can be had. The answer is not taken from a failed build, where it comes late and unclear.
pub(super) fn find_out(docker: &Docker, terminal: &Terminal) -> Bases {
    let missing = STAND_INS
        .iter()
        .find(|stand_in| !docker.can_pull(stand_in.image));
    match missing {
        None => Bases::Pulled,
        Some(stand_in) => {
            terminal.note(&format!(
                "`{}` cannot be pulled: its stand-in is made of Debian packages",
                stand_in.image
            ));
            Bases::Made
        }
    }
}

/// Makes the stand-ins, unless the registry has them, and returns the reference for each public image.
///
/// # Errors
/// A machine without Debian's tools, or a step that fails.
pub(super) fn make(
    home: &Home,
    docker: &Docker,
    registry: &str,
    aws: &Aws,
    terminal: &Terminal,
) -> Result<BTreeMap<&'static str, String>> {
    let mut base = String::new();
    for stand_in in &STAND_INS {
        let reference = stand_in.reference(registry);
        if !is_there(aws, stand_in)? {
            let context = build_context(home, terminal)?;
            let _wait = terminal.wait_for(
                "Making",
                &format!("{reference}, which stands in for {}", stand_in.image),
            );
            aws.writer()
                .create_repository(stand_in.repository, &["*".to_owned()])?;
            let file = context.join(format!(
                "{}.Dockerfile",
                stand_in.repository.replace('/', "-")
            ));
            fs::write(&file, stand_in.dockerfile)
                .with_context(|| format!("failed to write `{}`", file.display()))?;
            docker.build_stand_in(
                &context,
                &file,
                &reference,
                &[("BASE", &base), ("SOURCE_DATE_EPOCH", TIME)],
            )?;
        }
        base = reference;
    }
    Ok(references(registry))
}

/// The reference for each public image in the sandbox's registry.
pub(super) fn references(registry: &str) -> BTreeMap<&'static str, String> {
    STAND_INS
        .iter()
        .map(|stand_in| (stand_in.image, stand_in.reference(registry)))
        .collect()
}

impl StandIn {
    fn reference(&self, registry: &str) -> String {
        format!("{registry}/{}:{}", self.repository, self.tag)
    }
}

fn is_there(aws: &Aws, stand_in: &StandIn) -> Result<bool> {
    if aws.reader().repository(stand_in.repository)?.is_none() {
        return Ok(false);
    }
    Ok(!aws
        .reader()
        .manifests(stand_in.repository, &[stand_in.tag.to_owned()])?
        .is_empty())
}

/// A directory with a file system for each CPU, made once.
fn build_context(home: &Home, terminal: &Terminal) -> Result<PathBuf> {
    let finished = home.path("bases");
    if !finished.is_dir() {
        if !Path::new("/usr/bin/dpkg-deb").exists() || !host::is_root() {
            bail!(
                "base images can neither be pulled nor made here (that takes Debian's apt, and root): \
                 set the build arguments of [environments.….build-args] to images that this machine reaches"
            );
        }
        let _wait = terminal.wait_for(
            "Making",
            "Python base images for arm64 and amd64 from Debian's packages",
        );
        let work = home.path("bases.work");
        remove(&work)?;
        fs::create_dir_all(work.join("context"))
            .with_context(|| format!("failed to create `{}`", work.display()))?;
        make_file_systems(&work)?;
        fs::rename(work.join("context"), &finished)
            .context("failed to finish the base images' directory")?;
        remove(&work)?;
    }
    let entry_point = finished.join("stand_in_lambda.py");
    fs::write(&entry_point, include_str!("stand_in_lambda.py"))
        .with_context(|| format!("failed to write `{}`", entry_point.display()))?;
    Ok(finished)
}

fn make_file_systems(work: &Path) -> Result<()> {
    let roots: Vec<Result<PathBuf>> = std::thread::scope(|scope| {
        let makers = Arch::ALL.map(|arch| scope.spawn(move || make_root(work, arch)));
        makers
            .into_iter()
            .map(|maker| {
                maker
                    .join()
                    .unwrap_or_else(|_| bail!("making a base image broke off"))
            })
            .collect()
    });
    let roots: Vec<PathBuf> = roots.into_iter().collect::<Result<_>>()?;
    compile(work, &roots)?;
    for (arch, root) in Arch::ALL.into_iter().zip(&roots) {
        let archive = work
            .join("context")
            .join(format!("rootfs-{arch}.tar"))
            .display()
            .to_string();
        let time = format!("--mtime=@{TIME}");
        let root = root.display().to_string();
        let words = [
            "--create",
            "--file",
            &archive,
            "--directory",
            &root,
            "--sort=name",
            "--numeric-owner",
            &time,
            ".",
        ];
        Tool::new("tar").read(&words)?;
    }
    Ok(())
}

/// Unpacks Debian's packages and does the little that their scripts would have done.
fn make_root(work: &Path, arch: Arch) -> Result<PathBuf> {
    // Debian and OCI happen to spell both CPUs alike.
    let apt = Apt::prepare(
        &work.join(format!("apt-{arch}")),
        arch.oci(),
        &[apt::RELEASE],
    )?;
    let root = work.join(format!("root-{arch}"));
    for package in apt.download_all(&PACKAGES)? {
        apt::unpack(&package, &root)?;
    }
    for directory in LEFT_OUT {
        remove(&root.join(directory))?;
    }
    finish(&root).with_context(|| format!("failed to finish the base image for {arch}"))?;
    Ok(root)
}

fn finish(root: &Path) -> Result<()> {
    let path = |name: &str| root.join(name);
    fs::copy(
        path("usr/share/base-passwd/passwd.master"),
        path("etc/passwd"),
    )?;
    fs::copy(
        path("usr/share/base-passwd/group.master"),
        path("etc/group"),
    )?;
    fs::copy(
        path("usr/share/libc-bin/nsswitch.conf"),
        path("etc/nsswitch.conf"),
    )?;
    for (name, leads_to) in [
        ("usr/bin/sh", "dash"),
        ("usr/bin/python", "python3"),
        ("usr/bin/awk", "mawk"),
    ] {
        if fs::symlink_metadata(path(name)).is_err() {
            symlink(leads_to, path(name))?;
        }
    }
    let library = fs::read_dir(path("usr/lib"))?
        .flatten()
        .map(|entry| entry.path());
    for python in library.filter(|path| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("python3"))
    }) {
        // In a container there is no system to protect from pip.
        let _ = fs::remove_file(python.join("EXTERNALLY-MANAGED"));
    }
    let mut certificates: Vec<_> = fs::read_dir(path("usr/share/ca-certificates/mozilla"))?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    certificates.sort();
    let bundle: Vec<Vec<u8>> = certificates
        .iter()
        .map(fs::read)
        .collect::<std::io::Result<_>>()?;
    fs::create_dir_all(path("etc/ssl/certs"))?;
    fs::write(path("etc/ssl/certs/ca-certificates.crt"), bundle.concat())?;
    fs::create_dir_all(path("usr/local/bin"))?;
    let link = path("usr/lib/ssl/cert.pem");
    let _ = fs::remove_file(&link);
    symlink("/etc/ssl/certs/ca-certificates.crt", link)?;
    Ok(())
}

/// Bytecode is the same on every CPU: it is made once, by this machine's Python, for both. Without it the first start of
/// Python under emulation takes many times as long.
fn compile(work: &Path, roots: &[PathBuf]) -> Result<()> {
    let Some(native) = host::arch() else {
        return Ok(());
    };
    let own = work.join(format!("root-{native}"));
    let place = own.display().to_string();
    let words = [
        &place,
        "/usr/bin/env",
        "-i",
        "PATH=/usr/bin",
        "python3",
        "-I",
        "-m",
        "compileall",
        "-f",
        "-q",
    ];
    let tail = [
        "--invalidation-mode",
        "unchecked-hash",
        "/usr/lib/python3",
        "/usr/lib/python3.13",
    ];
    let words: Vec<&str> = words.into_iter().chain(tail).collect();
    Tool::new("chroot")
        .read(&words)
        .context("failed to compile Python's library")?;
    let archive = work.join("bytecode.tar").display().to_string();
    let list = "cd \"$1\" && find usr/lib/python3 usr/lib/python3.13 -name '*.pyc' ! -name '_sysconfigdata*' -print0 | tar --null --files-from - --create --file \"$2\"";
    Tool::new("sh")
        .read(&["-c", list, "sh", &place, &archive])
        .context("failed to collect Python's bytecode")?;
    for root in roots.iter().filter(|root| **root != own) {
        Tool::new("tar").read(&[
            "--extract",
            "--file",
            &archive,
            "--directory",
            &root.display().to_string(),
        ])?;
    }
    Ok(())
}
