//! Package URLs: the names by which other tools know a package.
//!
//! Source: the package URL specification (ECMA-427) and its types `deb`, `apk`, `pypi`, `npm` and `oci`.

use std::fmt::Write as _;

use crate::proof::{Installed, Manager, System};

/// The URL of a package that is installed in an image of a distribution.
pub(super) fn of(package: &Installed, system: Option<&System>) -> String {
    let Installed {
        manager,
        name,
        version,
        architecture,
    } = package;
    let distribution = |usual: &'static str| system.map_or(usual, |system| system.id.as_str());
    let path = match manager {
        Manager::Debian => format!("deb/{}/{}", distribution("debian"), lower(name)),
        Manager::Alpine => format!("apk/{}/{}", distribution("alpine"), lower(name)),
        Manager::Python => format!("pypi/{}", lower(&name.replace('_', "-"))),
        Manager::Npm => match scoped(name) {
            Some((scope, name)) => format!("npm/{}/{}", encoded(scope), encoded(name)),
            None => format!("npm/{}", encoded(name)),
        },
    };
    let is_of_system = matches!(manager, Manager::Debian | Manager::Alpine);
    let arch = architecture.as_deref().filter(|_| is_of_system);
    let distro = system.filter(|_| is_of_system).map(|system| {
        let version = system.version.as_deref();
        version.map_or_else(
            || system.id.clone(),
            |version| format!("{}-{version}", system.id),
        )
    });
    let qualifiers = [("arch", arch), ("distro", distro.as_deref())];
    format!("pkg:{path}@{}{}", encoded(version), query(&qualifiers))
}

/// The URL of an image by its digest.
pub(super) fn of_image(name: &str, digest: &str, arch: &str) -> String {
    let arch = Some(arch).filter(|arch| !arch.is_empty());
    format!(
        "pkg:oci/{}@{}{}",
        lower(name),
        encoded(digest),
        query(&[("arch", arch)])
    )
}

/// The scope of an npm package, with its `@`, and the name in it.
pub(super) fn scoped(name: &str) -> Option<(&str, &str)> {
    name.split_once('/')
        .filter(|(scope, _)| scope.starts_with('@'))
}

fn query(qualifiers: &[(&str, Option<&str>)]) -> String {
    let said = qualifiers
        .iter()
        .filter_map(|(key, value)| Some((key, (*value)?)));
    let said: Vec<_> = said
        .map(|(key, value)| format!("{key}={}", encoded(value)))
        .collect();
    if said.is_empty() {
        String::new()
    } else {
        format!("?{}", said.join("&"))
    }
}

fn lower(text: &str) -> String {
    encoded(&text.to_lowercase())
}

/// Percent-encoded but for letters, digits, `.`, `-`, `_`, `~` and the colon.
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b".-_~:".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_have_the_urls_of_their_types() {
        let system = |id: &str, version: Option<&str>| System {
            id: id.into(),
            version: version.map(str::to_owned),
        };
        let debian = system("debian", Some("12"));
        let wolfi = system("wolfi", None);
        let cases = [
            (
                Manager::Debian,
                "libstdc++6",
                "1:12.2.0-14+b1",
                Some("arm64"),
                Some(&debian),
                "pkg:deb/debian/libstdc%2B%2B6@1:12.2.0-14%2Bb1?arch=arm64&distro=debian-12",
            ),
            (
                Manager::Debian,
                "tzdata",
                "2024a",
                Some("all"),
                None,
                "pkg:deb/debian/tzdata@2024a?arch=all",
            ),
            (
                Manager::Alpine,
                "musl",
                "1.2.5-r0",
                Some("aarch64"),
                Some(&wolfi),
                "pkg:apk/wolfi/musl@1.2.5-r0?arch=aarch64&distro=wolfi",
            ),
            (
                Manager::Python,
                "Flask_SQLAlchemy",
                "3.0",
                None,
                Some(&debian),
                "pkg:pypi/flask-sqlalchemy@3.0",
            ),
            (
                Manager::Npm,
                "@types/node",
                "20.1.0",
                None,
                None,
                "pkg:npm/%40types/node@20.1.0",
            ),
            (
                Manager::Npm,
                "a/b\u{202e}",
                "1?x#y@z",
                None,
                None,
                "pkg:npm/a%2Fb%E2%80%AE@1%3Fx%23y%40z",
            ),
        ];
        for (manager, name, version, architecture, system, expected) in cases {
            let package = Installed {
                manager,
                name: name.into(),
                version: version.into(),
                architecture: architecture.map(str::to_owned),
            };
            assert_eq!(of(&package, system), expected);
        }
        assert_eq!(
            of_image("Backend", "sha256:ab", "arm64"),
            "pkg:oci/backend@sha256:ab?arch=arm64"
        );
    }
}
