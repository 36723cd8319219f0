//! What package managers have written down in an image: names and versions, for people who ask what is in it.
//!
//! A package that no manager has written down (a binary that was copied in, a module inside a Go program) is not here, and an
//! RPM database is named as a gap: it is a database file of one of three kinds.

mod database;
mod system;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    io::Read,
};

use serde::{Deserialize, Serialize};

pub(crate) use database::Database;
pub use system::System;

use crate::{error::Error, layer::Layer, path, tree::hides};

/// Who has installed a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Manager {
    /// dpkg, of Debian and Ubuntu.
    Debian,
    /// apk, of Alpine and Wolfi.
    Alpine,
    /// pip, uv and their like.
    Python,
    /// npm, pnpm and Yarn, in `node_modules`.
    Npm,
}

impl fmt::Display for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Debian => "Debian",
            Self::Alpine => "Alpine",
            Self::Python => "Python",
            Self::Npm => "npm",
        })
    }
}

/// A package that is installed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Installed {
    /// By whom.
    pub manager: Manager,
    /// What it is called. As it stands in the image: it may hold anything.
    pub name: String,
    /// Its version, as it stands in the image.
    pub version: String,
    /// The CPU that it is for, in the manager's own spelling, where it says one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
}

/// What an image has installed, in the order of managers and names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Inventory {
    /// The distribution that it is made of, where it says so.
    pub system: Option<System>,
    /// The packages, each once.
    pub packages: Vec<Installed>,
    /// Databases that are there and were not read, by their paths.
    pub unread: Vec<String>,
    /// Whether there are more than were kept.
    pub is_cut: bool,
}

/// What a layer has written down.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Databases {
    /// Packages, by the path of the file that names them.
    packages: BTreeMap<String, Vec<Installed>>,
    /// What a distribution says of itself, by the path of the file.
    systems: BTreeMap<String, System>,
    /// Files that name packages and were not read.
    unread: BTreeSet<String>,
    /// Whether the layer has more packages than are kept.
    is_cut: bool,
    /// How many bytes are kept.
    #[serde(skip)]
    kept: usize,
}

/// The most bytes of a file that is read. Debian's own list of all that a machine has is a tenth of that.
pub(crate) const LARGEST: u64 = 16 * 1024 * 1024;

/// The most bytes of packages that a layer keeps: 60,000 of them. More are left out, and that is said.
const KEPT: usize = 4 * 1024 * 1024;

/// The most bytes of a name or version. Real ones have fewer than a hundred.
const LONGEST: usize = 256;

impl Databases {
    /// Reads a file of so many bytes, of which the first were read already.
    ///
    /// # Errors
    /// A file that ends too early.
    pub(crate) fn read(
        &mut self,
        path: String,
        database: Database,
        (head, size): (Vec<u8>, u64),
        rest: impl Read,
    ) -> Result<(), Error> {
        if database == Database::Rpm || size > LARGEST {
            self.leave(path);
            return Ok(());
        }
        let mut bytes = head;
        rest.take(LARGEST).read_to_end(&mut bytes)?;
        self.enter(path, database, &String::from_utf8_lossy(&bytes));
        Ok(())
    }

    /// Keeps what a file says.
    fn enter(&mut self, path: String, database: Database, text: &str) {
        if database == Database::Release {
            self.systems
                .extend(System::read(text).map(|system| (path, system)));
            return;
        }
        let mut packages = database.packages(text);
        let all = packages.len();
        packages.retain(|package| package.lengths().all(|length| length <= LONGEST));
        self.is_cut |= packages.len() < all;
        let bytes = |package: &Installed| 64 + package.lengths().sum::<usize>();
        let size = path.len() + packages.iter().map(bytes).sum::<usize>();
        if packages.is_empty() {
            return;
        }
        if self.kept + size > KEPT {
            self.is_cut = true;
            return;
        }
        self.kept += size;
        self.packages.insert(path, packages);
    }

    /// Names a file that was not read.
    fn leave(&mut self, path: String) {
        if self.kept + path.len() > KEPT {
            self.is_cut = true;
            return;
        }
        self.kept += path.len();
        self.unread.insert(path);
    }

    /// Whether something in a directory names packages. `start` is its path with a slash at the end.
    pub(crate) fn any_below(&self, start: &str) -> bool {
        path::any_below(&self.packages, start)
    }

    /// Forgets a file: a later entry of its name counts.
    pub(crate) fn forget(&mut self, path: &str) {
        self.packages.remove(path);
        self.systems.remove(path);
        self.unread.remove(path);
    }
}

impl Installed {
    fn lengths(&self) -> impl Iterator<Item = usize> {
        let architecture = self.architecture.iter();
        [&self.name, &self.version]
            .into_iter()
            .chain(architecture)
            .map(String::len)
    }
}

/// What the layers of an image, bottom first, have installed in the end.
pub fn inventory(layers: &[Layer]) -> Inventory {
    let (mut read, mut unread, mut systems) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
    for (place, layer) in layers.iter().enumerate() {
        if place > 0 {
            read.retain(|path: &&String, _| !hides(layer, path));
            unread.retain(|path: &&String| !hides(layer, path));
            systems.retain(|path: &&String, _| !hides(layer, path));
        }
        read.extend(&layer.databases.packages);
        unread.extend(&layer.databases.unread);
        systems.extend(&layer.databases.systems);
    }
    let packages: BTreeSet<&Installed> = read.into_values().flatten().collect();
    Inventory {
        // `/etc/os-release` comes first, and counts before the other. Source: os-release(5).
        system: systems.into_values().next().cloned(),
        packages: packages.into_iter().cloned().collect(),
        unread: unread.into_iter().cloned().collect(),
        is_cut: layers.iter().any(|layer| layer.databases.is_cut),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_has_bounds_and_what_is_beyond_them_is_said() {
        let mut databases = Databases::default();
        let text = format!("Name: {}\nVersion: 1\n", "x".repeat(LONGEST + 1));
        databases.enter("long".into(), Database::Python, &text);
        assert!(databases.is_cut && databases.packages.is_empty());
        let mut databases = Databases::default();
        for number in 0..60_000 {
            let path = format!("some/where/{number:05}.egg-info");
            databases.enter(path, Database::Python, "Name: package\nVersion: 1.0\n");
        }
        assert!(databases.is_cut && databases.kept <= KEPT);
        assert!(
            databases.packages.len() > 30_000,
            "{}",
            databases.packages.len()
        );
    }
}
