//! Which package a file came with: Python's `RECORD`, and dpkg's lists.

use std::collections::BTreeMap;

/// Where a package manager lists files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum List {
    /// A distribution's `RECORD`: names are from the folder that holds the `.dist-info`.
    Python {
        /// `numpy 2.3.1`.
        package: String,
        /// The folder, `…/site-packages`.
        folder: String,
    },
    /// A package's `.list`: names are from the root.
    Debian {
        /// `libc6`.
        package: String,
    },
}

/// The most bytes of lists that are kept until a layer's end.
pub const LIMIT: usize = 16 * 1024 * 1024;

impl List {
    /// The list that a file is, by its name.
    pub fn of(path: &str) -> Option<Self> {
        if let Some(rest) = path.strip_prefix("var/lib/dpkg/info/") {
            let package = rest.strip_suffix(".list")?;
            return Some(Self::Debian { package: package.split(':').next()?.to_owned() });
        }
        let (folder, distribution) = path.strip_suffix("/RECORD")?.rsplit_once('/')?;
        let package = distribution.strip_suffix(".dist-info")?.replacen('-', " ", 1);
        Some(Self::Python { package, folder: folder.to_owned() })
    }

    /// Enters the package of every file that `wanted` knows.
    pub fn enter(&self, text: &str, wanted: &mut BTreeMap<String, Option<String>>) {
        for line in text.lines() {
            let (path, package) = match self {
                Self::Python { package, folder } => {
                    let name = line.split(',').next().unwrap_or(line);
                    (format!("{folder}/{}", name.trim_matches('"')), format!("Python package {package}"))
                }
                Self::Debian { package } => (line.trim_start_matches('/').to_owned(), format!("Debian package {package}")),
            };
            if let Some(owner) = wanted.get_mut(&path) {
                *owner = Some(package);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_known_by_their_names() {
        let python = List::of("usr/lib/python3.13/site-packages/numpy-2.3.1.dist-info/RECORD").unwrap();
        assert_eq!(python, List::Python { package: "numpy 2.3.1".into(), folder: "usr/lib/python3.13/site-packages".into() });
        assert_eq!(List::of("var/lib/dpkg/info/libc6:arm64.list"), Some(List::Debian { package: "libc6".into() }));
        assert_eq!(List::of("etc/RECORD"), None);
        let path = "usr/lib/python3.13/site-packages/numpy/core.so".to_owned();
        let mut wanted = BTreeMap::from([(path.clone(), None)]);
        python.enter("numpy/__init__.py,sha256=x,1\nnumpy/core.so,sha256=x,1\n", &mut wanted);
        assert_eq!(wanted[&path].as_deref(), Some("Python package numpy 2.3.1"));
    }
}
