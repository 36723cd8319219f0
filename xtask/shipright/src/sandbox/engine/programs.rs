//! The programs of a private engine, taken out of Debian's packages and put where the engine finds them.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

use anyhow::{Context, Result};

use super::{
    super::{
        apt::{self, Apt},
        home::remove,
    },
    Engine, pinned,
};
use crate::{process::Tool, report::terminal::Terminal};

/// What is taken out of which package.
const PROGRAMS: [(&str, &[&str]); 9] = [
    ("docker.io", &["usr/sbin/dockerd", "usr/sbin/docker-proxy"]),
    ("docker-cli", &["usr/bin/docker"]),
    (
        "docker-buildx",
        &["usr/libexec/docker/cli-plugins/docker-buildx"],
    ),
    (
        "containerd",
        &["usr/bin/containerd", "usr/bin/containerd-shim-runc-v2"],
    ),
    ("runc", &["usr/sbin/runc"]),
    ("iptables", &["usr/sbin/xtables-nft-multi"]),
    ("tini", &["usr/bin/tini-static"]),
    ("slirp4netns", &["usr/bin/slirp4netns"]),
    (
        "qemu-user",
        &["usr/bin/qemu-aarch64", "usr/bin/qemu-x86_64"],
    ),
];

/// Libraries of `iptables` and `slirp4netns`, which the host may lack.
const LIBRARIES: [&str; 9] = [
    "libip4tc2",
    "libip6tc2",
    "libmnl0",
    "libnftnl11",
    "libxtables12",
    "libnetfilter-conntrack3",
    "libslirp0",
    "libseccomp2",
    "libpcre2-8-0",
];

/// All packages, but for the one whose name depends on the release.
pub(super) fn packages() -> impl Iterator<Item = &'static str> {
    let programs = PROGRAMS.iter().map(|(package, _)| *package);
    programs.chain(LIBRARIES)
}

/// The name of `GLib`, which slirp4netns needs: it has another name since its times have 64 bits everywhere.
fn glib(release: &str) -> &'static str {
    if release == "bookworm" {
        "libglib2.0-0"
    } else {
        "libglib2.0-0t64"
    }
}

impl Engine<'_> {
    /// Fetches and unpacks the programs, once. The last step puts the finished directory under its name.
    pub(super) fn install(&self, terminal: &Terminal) -> Result<()> {
        // An earlier version of this program may have fetched less.
        let files = || PROGRAMS.iter().flat_map(|(_, files)| *files);
        let is_there = |file: &str| {
            Path::new(file)
                .file_name()
                .is_some_and(|name| self.bin().join(name).exists())
        };
        if self.config().is_dir() && files().all(|file| is_there(file)) {
            return Ok(());
        }
        remove(&self.config())?;
        let _wait = terminal.wait_for("Fetching", "Docker Engine, buildx and QEMU from Debian's packages; nothing is installed on this system");
        let directory = self.directory();
        let work = directory.join("work");
        remove(&work)?;
        remove(&self.bin())?;
        fs::create_dir_all(&work)
            .with_context(|| format!("failed to create `{}`", work.display()))?;
        let debian = host_architecture()?;
        let theirs = host_release().unwrap_or_else(|| apt::RELEASE.to_owned());
        let own = if theirs == "bookworm" {
            "bookworm"
        } else {
            apt::RELEASE
        };
        let mut releases = vec![apt::RELEASE, own];
        releases.dedup();
        let apt = Apt::prepare(&work.join("apt"), &debian, &releases)?;
        let release_of = |package: &str| {
            let is_of_host = matches!(package, "runc" | "iptables" | "slirp4netns");
            if is_of_host || LIBRARIES.contains(&package) || package == glib(own) {
                own
            } else {
                apt::RELEASE
            }
        };
        let wanted: Vec<String> = packages()
            .chain([glib(own)])
            .map(|package| format!("{package}/{}", release_of(package)))
            .collect();
        apt.download(
            &wanted.iter().map(String::as_str).collect::<Vec<_>>(),
            &work.join("packages"),
        )?;
        let root = work.join("root");
        let mut newer = Vec::new();
        for package in apt::packages_in(&work.join("packages"))? {
            if !pinned::is_tried(&package)? {
                newer.push(package.file_stem().unwrap_or_default().to_owned());
            }
            apt::unpack(&package, &root)?;
        }
        if !newer.is_empty() {
            let names: Vec<_> = newer.iter().map(|name| name.to_string_lossy()).collect();
            terminal.note(&format!(
                "Debian has released newer packages than those that this was tried with, and its signature alone vouches for them: {}",
                names.join(", ")
            ));
        }
        self.arrange(&root)?;
        remove(&work)
    }

    fn arrange(&self, root: &Path) -> Result<()> {
        let bin = self.bin();
        fs::create_dir_all(&bin)
            .with_context(|| format!("failed to create `{}`", bin.display()))?;
        for file in PROGRAMS.iter().flat_map(|(_, files)| *files) {
            let name = Path::new(file)
                .file_name()
                .context("a program without a name")?;
            fs::rename(root.join(file), bin.join(name))
                .with_context(|| format!("Debian's packages have no `{file}`"))?;
        }
        let libraries = self.directory().join("lib");
        remove(&libraries)?;
        let found =
            fs::read_dir(root.join("usr/lib")).context("failed to read the unpacked libraries")?;
        let multiarch = found
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.join("xtables").is_dir());
        fs::rename(
            multiarch.context("Debian's iptables has no libraries")?,
            &libraries,
        )
        .context("failed to move the libraries")?;
        for name in ["iptables", "iptables-save", "iptables-restore", "ip6tables"] {
            let script = format!(
                "#!/bin/sh\nLD_LIBRARY_PATH='{0}' XTABLES_LIBDIR='{0}/xtables' exec '{1}/xtables-nft-multi' {name} \"$@\"\n",
                libraries.display(),
                bin.display()
            );
            let file = bin.join(name);
            fs::write(&file, script)
                .with_context(|| format!("failed to write `{}`", file.display()))?;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755))
                .context("failed to make iptables executable")?;
        }
        let next = self.directory().join("config.next");
        remove(&next)?;
        fs::create_dir_all(next.join("cli-plugins"))
            .context("failed to create docker's configuration")?;
        symlink(
            bin.join("docker-buildx"),
            next.join("cli-plugins/docker-buildx"),
        )
        .context("failed to link buildx")?;
        fs::write(next.join("config.json"), "{}")
            .context("failed to write docker's configuration")?;
        fs::rename(&next, self.config()).context("failed to finish docker's configuration")
    }
}

fn host_architecture() -> Result<String> {
    Tool::new("dpkg").read(&["--print-architecture"])
}

fn host_release() -> Option<String> {
    let text = fs::read_to_string("/etc/os-release").ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .map(str::to_owned)
}
