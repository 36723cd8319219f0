//! Debian packages without installing them: a private apt with its own lists and cache, which needs none of the host's
//! locks and changes nothing on the host.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::process::Tool;

/// The Debian release whose Docker is new enough (26.1, with buildx) and whose Python is 3.13.
pub(super) const RELEASE: &str = "trixie";

/// A private apt for one architecture.
pub(super) struct Apt {
    directory: PathBuf,
}

impl Apt {
    /// Prepares lists of these releases for `architecture`, Debian's name of it, from the host's own mirror.
    ///
    /// # Errors
    /// A host without a Debian mirror in its sources, or a mirror that does not answer.
    pub(super) fn prepare(directory: &Path, architecture: &str, releases: &[&str]) -> Result<Self> {
        for inner in ["parts", "lists/partial", "cache/archives/partial"] {
            let inner = directory.join(inner);
            fs::create_dir_all(&inner)
                .with_context(|| format!("failed to create `{}`", inner.display()))?;
        }
        let mirror = mirror()?;
        let lines = releases
            .iter()
            .map(|release| format!("deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {mirror} {release} main\n"));
        write(&directory.join("sources.list"), &lines.collect::<String>())?;
        write(&directory.join("status"), "")?;
        write(
            &directory.join("apt.conf"),
            &configuration(directory, architecture)?,
        )?;
        let apt = Self {
            directory: directory.to_path_buf(),
        };
        apt.tool()
            .read(&["update", "-q=2"])
            .context("failed to fetch the package lists")?;
        Ok(apt)
    }

    /// Fetches these packages, without what they depend on, into `directory`. A name may end in `/RELEASE`.
    ///
    /// # Errors
    /// A package that the mirror lacks.
    pub(super) fn download(&self, packages: &[&str], directory: &Path) -> Result<()> {
        fs::create_dir_all(directory)
            .with_context(|| format!("failed to create `{}`", directory.display()))?;
        let words: Vec<&str> = ["download", "-q=2"]
            .into_iter()
            .chain(packages.iter().copied())
            .collect();
        self.tool()
            .directory(directory)
            .read(&words)
            .context("failed to fetch packages")?;
        Ok(())
    }

    /// Fetches these packages with everything that they depend on, and returns the files.
    ///
    /// # Errors
    /// A package that the mirror lacks.
    pub(super) fn download_all(&self, packages: &[&str]) -> Result<Vec<PathBuf>> {
        let words = [
            "install",
            "-q=2",
            "--yes",
            "--no-install-recommends",
            "--download-only",
        ];
        let words: Vec<&str> = words.into_iter().chain(packages.iter().copied()).collect();
        self.tool()
            .read(&words)
            .context("failed to fetch packages")?;
        packages_in(&self.directory.join("cache/archives"))
    }

    fn tool(&self) -> Tool {
        Tool::new("apt-get")
            .env("APT_CONFIG", self.directory.join("apt.conf"))
            .env("LC_ALL", "C")
    }
}

/// The `.deb` files of a directory, in a fixed order.
pub(super) fn packages_in(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory)
        .with_context(|| format!("failed to read `{}`", directory.display()))?;
    let files = entries.flatten().map(|entry| entry.path());
    let mut packages: Vec<_> = files
        .filter(|file| file.extension().is_some_and(|end| end == "deb"))
        .collect();
    packages.sort();
    Ok(packages)
}

/// Unpacks a package without running any of its scripts.
///
/// # Errors
/// A file that is no package.
pub(super) fn unpack(package: &Path, into: &Path) -> Result<()> {
    fs::create_dir_all(into).with_context(|| format!("failed to create `{}`", into.display()))?;
    let (package, into) = (package.display().to_string(), into.display().to_string());
    Tool::new("dpkg-deb").read(&["--extract", &package, &into])?;
    Ok(())
}

/// The address of the Debian mirror that the host uses.
fn mirror() -> Result<String> {
    let listed = Tool::new("apt-get")
        .env("LC_ALL", "C")
        .read(&["--print-uris", "update"])?;
    let addresses = listed
        .lines()
        .filter_map(|line| line.strip_prefix('\'')?.split('\'').next());
    let mut mirrors =
        addresses.filter_map(|address| address.split_once("/dists/").map(|(mirror, _)| mirror));
    mirrors
        .find(|mirror| mirror.trim_end_matches('/').ends_with("debian"))
        .map(str::to_owned)
        .context("this host's apt sources name no Debian mirror: install Docker Engine and its buildx plugin yourself")
}

fn configuration(directory: &Path, architecture: &str) -> Result<String> {
    // The host's proxies and retries apply here too; its hooks must not.
    let theirs = Tool::new("apt-config").read(&["dump"])?;
    let kept = [
        "Acquire::http",
        "Acquire::https",
        "Acquire::Retries",
        "Acquire::ForceIPv",
    ];
    let kept = theirs
        .lines()
        .filter(|line| kept.iter().any(|start| line.starts_with(start)));
    let directory = directory.display();
    let ours = format!(
        "APT::Architecture \"{architecture}\";\nAPT::Architectures {{ \"{architecture}\"; }};\n\
         APT::Install-Recommends \"false\";\nAPT::Sandbox::User \"root\";\n\
         Acquire::Languages \"none\";\nAcquire::PDiffs \"false\";\nAcquire::Retries \"3\";\n\
         Dir::Etc::main \"/dev/null\";\nDir::Etc::parts \"{directory}/parts\";\n\
         Dir::Etc::sourcelist \"{directory}/sources.list\";\nDir::Etc::sourceparts \"{directory}/parts\";\n\
         Dir::Etc::preferences \"/dev/null\";\nDir::Etc::preferencesparts \"{directory}/parts\";\n\
         Dir::State \"{directory}\";\nDir::State::lists \"{directory}/lists\";\nDir::State::status \"{directory}/status\";\n\
         Dir::Cache \"{directory}/cache\";\nDir::Log \"{directory}\";\n"
    );
    Ok(kept.chain(ours.lines()).collect::<Vec<_>>().join("\n") + "\n")
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("failed to write `{}`", file.display()))
}
