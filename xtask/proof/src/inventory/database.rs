//! The files in which package managers write down what they have installed, and what these say.
//!
//! Source: dpkg-query(1) and the Debian policy, "Control files and their fields"; apk's `installed` database; the Python packaging
//! guide, "Core metadata" and "Recording installed projects"; npm's documentation of `package.json` and `node_modules`.

use serde::Deserialize;

use super::{Installed, Manager};
use crate::path;

/// A file in which a package manager writes down what it has installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Database {
    /// Paragraphs of fields, of all packages or of one.
    Debian,
    /// Paragraphs of lines with a letter each.
    Alpine,
    /// The metadata of one distribution.
    Python,
    /// The `package.json` of one package.
    Npm,
    /// One that is not read.
    Rpm,
    /// What the distribution says of itself.
    Release,
}

impl Database {
    /// The database that a file is, by its path.
    pub(crate) fn of(path: &str) -> Option<Self> {
        let (directory, name) = path::split(path);
        match (directory, name) {
            ("var/lib/dpkg", "status") => return Some(Self::Debian),
            // Images without a shell have a file for each package.
            ("var/lib/dpkg/status.d", name) => {
                return (!name.ends_with(".md5sums")).then_some(Self::Debian);
            }
            ("lib/apk/db" | "usr/lib/apk/db", "installed") => return Some(Self::Alpine),
            (
                "var/lib/rpm" | "usr/lib/sysimage/rpm" | "usr/share/rpm",
                "rpmdb.sqlite" | "Packages" | "Packages.db",
            ) => return Some(Self::Rpm),
            ("etc" | "usr/lib", "os-release") => return Some(Self::Release),
            _ => {}
        }
        let is_python = match name {
            "METADATA" => directory.ends_with(".dist-info"),
            "PKG-INFO" => directory.ends_with(".egg-info"),
            _ => name.ends_with(".egg-info"),
        };
        let is_npm = || name == "package.json" && is_module(directory);
        is_python
            .then_some(Self::Python)
            .or_else(|| is_npm().then_some(Self::Npm))
    }

    /// The packages that it names.
    pub(super) fn packages(self, text: &str) -> Vec<Installed> {
        match self {
            Self::Debian => all(text, debian),
            Self::Alpine => all(text, alpine),
            Self::Python => paragraphs(text)
                .next()
                .and_then(|first| python(&first))
                .into_iter()
                .collect(),
            Self::Npm => npm(text).into_iter().collect(),
            Self::Rpm | Self::Release => Vec::new(),
        }
    }
}

/// Whether a directory is that of a package: right below `node_modules`, or below a scope there.
fn is_module(directory: &str) -> bool {
    let (above, name) = path::split(directory);
    let (top, scope) = path::split(above);
    let is_modules = |path: &str| path::split(path).1 == "node_modules";
    !name.starts_with(['@', '.'])
        && (is_modules(above) || scope.starts_with('@') && is_modules(top))
}

fn all(text: &str, package: fn(&[&str]) -> Option<Installed>) -> Vec<Installed> {
    let named = paragraphs(text).filter_map(|paragraph| package(&paragraph));
    named.collect()
}

/// The lines between empty ones.
fn paragraphs(text: &str) -> impl Iterator<Item = Vec<&str>> {
    let mut lines = text.lines().peekable();
    std::iter::from_fn(move || {
        while lines.next_if(|line| line.trim().is_empty()).is_some() {}
        let paragraph: Vec<_> =
            std::iter::from_fn(|| lines.next_if(|line| !line.trim().is_empty())).collect();
        (!paragraph.is_empty()).then_some(paragraph)
    })
}

/// The value of a field, `Name: value`. Lines that go on with the field above begin with white space.
fn field<'t>(paragraph: &[&'t str], name: &str) -> Option<&'t str> {
    let value = |line: &&'t str| line.strip_prefix(name)?.strip_prefix(':');
    let value = paragraph.iter().find_map(value)?.trim();
    (!value.is_empty()).then_some(value)
}

fn package(
    manager: Manager,
    name: Option<&str>,
    version: Option<&str>,
    architecture: Option<&str>,
) -> Option<Installed> {
    Some(Installed {
        manager,
        name: name?.to_owned(),
        version: version?.to_owned(),
        architecture: architecture.map(str::to_owned),
    })
}

/// What was removed and left its configuration stands in the list too.
fn debian(paragraph: &[&str]) -> Option<Installed> {
    let of = |name| field(paragraph, name);
    let is_installed = of("Status").is_none_or(|status| status.ends_with(" installed"));
    package(
        Manager::Debian,
        of("Package"),
        of("Version"),
        of("Architecture"),
    )
    .filter(|_| is_installed)
}

fn alpine(paragraph: &[&str]) -> Option<Installed> {
    let of = |name| field(paragraph, name);
    package(Manager::Alpine, of("P"), of("V"), of("A"))
}

fn python(paragraph: &[&str]) -> Option<Installed> {
    let of = |name| field(paragraph, name);
    package(Manager::Python, of("Name"), of("Version"), None)
}

fn npm(text: &str) -> Option<Installed> {
    #[derive(Deserialize)]
    struct Named {
        name: Option<String>,
        version: Option<String>,
    }
    let named: Named = serde_json::from_str(text.trim_start_matches('\u{feff}')).ok()?;
    package(
        Manager::Npm,
        named.name.as_deref(),
        named.version.as_deref(),
        None,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_are_known_by_their_paths() {
        for (path, expected) in [
            ("var/lib/dpkg/status", Some(Database::Debian)),
            ("var/lib/dpkg/status.d/base", Some(Database::Debian)),
            ("var/lib/dpkg/status.d/base.md5sums", None),
            ("opt/var/lib/dpkg/status", None),
            ("lib/apk/db/installed", Some(Database::Alpine)),
            ("usr/lib/apk/db/installed", Some(Database::Alpine)),
            ("var/lib/rpm/rpmdb.sqlite", Some(Database::Rpm)),
            ("x/numpy-2.3.1.dist-info/METADATA", Some(Database::Python)),
            ("x/METADATA", None),
            ("x/six-1.egg-info/PKG-INFO", Some(Database::Python)),
            ("x/six-1.egg-info", Some(Database::Python)),
            ("srv/node_modules/up/package.json", Some(Database::Npm)),
            ("srv/node_modules/@a/up/package.json", Some(Database::Npm)),
            ("srv/node_modules/up/lib/package.json", None),
            ("srv/node_modules/@a/package.json", None),
            ("srv/package.json", None),
            ("package.json", None),
            ("", None),
        ] {
            assert_eq!(Database::of(path), expected, "{path}");
        }
    }

    fn names(database: Database, text: &str) -> Vec<String> {
        let shown = |one: Installed| {
            let architecture = one.architecture.map(|arch| format!(" {arch}"));
            format!(
                "{} {}{}",
                one.name,
                one.version,
                architecture.unwrap_or_default()
            )
        };
        database.packages(text).into_iter().map(shown).collect()
    }

    #[test]
    fn packages_are_what_is_written_down_as_installed() {
        let status = "\n\nPackage: libc6\nStatus: install ok installed\nArchitecture: arm64\nVersion: 2.41-12\nDescription: x\n \
                      Version: 9\n .\n more\n\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 1\n\nPackage: half\n\r\n\
                      Package: base\nVersion: 13";
        assert_eq!(
            names(Database::Debian, status),
            ["libc6 2.41-12 arm64", "base 13"]
        );
        let installed =
            "C:Q1x=\nP:musl\nV:1.2.5-r9\nA:aarch64\nF:lib\nR:ld.so\n\nP:busybox\nV:1.37\n";
        assert_eq!(
            names(Database::Alpine, installed),
            ["musl 1.2.5-r9 aarch64", "busybox 1.37"]
        );
        let metadata = "Metadata-Version: 2.4\nName: numpy\nVersion: 2.3.1\n\nName: of the description\nVersion: none\n";
        assert_eq!(names(Database::Python, metadata), ["numpy 2.3.1"]);
        assert_eq!(
            names(
                Database::Npm,
                "\u{feff}{\"version\":\"1.0.0\",\"name\":\"@a/up\"}"
            ),
            ["@a/up 1.0.0"]
        );
        for text in [
            "",
            "{}",
            "[]",
            "{\"name\":1,\"version\":2}",
            "{\"name\":\"x\"}",
            "not json",
            "{\"name\":\"x\"",
        ] {
            assert_eq!(names(Database::Npm, text), [""; 0], "{text}");
        }
    }
}
