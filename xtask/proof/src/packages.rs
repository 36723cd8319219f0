//! Which package a file came with: Python's `RECORD`, and dpkg's lists.
//!
//! Source: the Python packaging guide, "Recording installed projects" and "Binary distribution format".

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::platform::Name;

/// The package of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Package {
    /// What it is called, with its kind: `Python package numpy 2.3.1`.
    pub name: String,
    /// Python's directory about it, `…/numpy-2.3.1.dist-info`.
    pub about: Option<String>,
}

/// What a Python package says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wheel {
    /// Whether all its tags are for any platform: it is installed with the same files on every CPU.
    pub is_for_any: bool,
    /// The files that it was installed with and whose paths name a CPU.
    pub files: Vec<String>,
}

impl Wheel {
    /// Whether a `WHEEL` file has no tag but those for any platform.
    pub(crate) fn says_any(text: &str) -> bool {
        let mut tags = text
            .lines()
            .filter_map(|line| line.strip_prefix("Tag:"))
            .peekable();
        tags.peek().is_some() && tags.all(|tag| tag.trim().ends_with("-any"))
    }
}

/// Where a package manager lists files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum List {
    /// A distribution's `RECORD`: names are from the directory that holds the `.dist-info`.
    Python {
        /// `numpy 2.3.1`.
        package: String,
        /// The directory, `…/site-packages`.
        directory: String,
    },
    /// A package's `.list`: names are from the root.
    Debian {
        /// `libc6`.
        package: String,
    },
}

/// The most bytes of lists that are kept until a layer's end.
pub(crate) const LIMIT: usize = 16 * 1024 * 1024;

impl List {
    /// The list that a file is, by its name.
    pub(crate) fn of(path: &str) -> Option<Self> {
        if let Some(rest) = path.strip_prefix("var/lib/dpkg/info/") {
            let package = rest.strip_suffix(".list")?;
            return Some(Self::Debian {
                package: package.split(':').next()?.to_owned(),
            });
        }
        let (directory, distribution) = path.strip_suffix("/RECORD")?.rsplit_once('/')?;
        let package = distribution
            .strip_suffix(".dist-info")?
            .replacen('-', " ", 1);
        Some(Self::Python {
            package,
            directory: directory.to_owned(),
        })
    }

    /// Enters the package of every file that `wanted` knows.
    pub(crate) fn enter(&self, text: &str, wanted: &mut BTreeMap<String, Option<Package>>) {
        let package = self.package();
        for path in self.files(text) {
            if let Some(owner) = wanted.get_mut(&path) {
                *owner = Some(package.clone());
            }
        }
    }

    /// The package that it is the list of.
    pub(crate) fn package(&self) -> Package {
        match self {
            Self::Python { package, directory } => Package {
                name: format!("Python package {package}"),
                about: Some(format!(
                    "{directory}/{}.dist-info",
                    package.replacen(' ', "-", 1)
                )),
            },
            Self::Debian { package } => Package {
                name: format!("Debian package {package}"),
                about: None,
            },
        }
    }

    /// The files that it lists and whose names from the package's own directory on name a CPU.
    pub(crate) fn files_for_a_cpu(&self, text: &str) -> Vec<String> {
        let Self::Python { directory, .. } = self else {
            return Vec::new();
        };
        let names_cpu = |path: &String| {
            let inside = path.strip_prefix(directory.as_str()).unwrap_or(path);
            inside
                .split('/')
                .any(|name| Name::read(name).words.names_any_cpu())
        };
        self.files(text).filter(names_cpu).collect()
    }

    fn files<'t>(&'t self, text: &'t str) -> impl Iterator<Item = String> + 't {
        text.lines().map(move |line| match self {
            Self::Python { directory, .. } => {
                let name = line.split(',').next().unwrap_or(line);
                format!("{directory}/{}", name.trim_matches('"'))
            }
            Self::Debian { .. } => line.trim_start_matches('/').to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_known_by_their_names() {
        let python =
            List::of("usr/lib/python3.13/site-packages/numpy-2.3.1.dist-info/RECORD").unwrap();
        assert_eq!(
            python,
            List::Python {
                package: "numpy 2.3.1".into(),
                directory: "usr/lib/python3.13/site-packages".into()
            }
        );
        assert_eq!(
            List::of("var/lib/dpkg/info/libc6:arm64.list"),
            Some(List::Debian {
                package: "libc6".into()
            })
        );
        assert_eq!(List::of("etc/RECORD"), None);
        let path = "usr/lib/python3.13/site-packages/numpy/core.so".to_owned();
        let mut wanted = BTreeMap::from([(path.clone(), None)]);
        python.enter(
            "numpy/__init__.py,sha256=x,1\nnumpy/core.so,sha256=x,1\n",
            &mut wanted,
        );
        let package = wanted[&path].clone().unwrap();
        assert_eq!(package.name, "Python package numpy 2.3.1");
        assert_eq!(
            package.about.as_deref(),
            Some("usr/lib/python3.13/site-packages/numpy-2.3.1.dist-info")
        );
    }

    #[test]
    fn a_wheel_is_for_any_platform_when_all_its_tags_say_so() {
        assert!(Wheel::says_any(
            "Wheel-Version: 1.0\nTag: py2-none-any\nTag: py3-none-any\n"
        ));
        assert!(!Wheel::says_any(
            "Tag: py3-none-any\nTag: cp313-cp313-manylinux_2_28_x86_64\n"
        ));
        assert!(!Wheel::says_any("Root-Is-Purelib: true\n"));
    }
}
