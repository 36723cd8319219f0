//! The packages of a private engine that were tried, by their hashes.
//!
//! apt has checked Debian's signature before. The hashes say that it is the very same package as when it was tried; Debian's next point
//! release takes old ones away from its mirrors, and brings newer ones that only the signature vouches for.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result, bail};
use image_oci::digest_of;

/// A line for each, as `sha256sum` writes it: of Debian 12 and 13, for amd64 and arm64. The hashes are those of the signed
/// `dists/RELEASE/main/binary-ARCH/Packages`.
const LOCK: &str = include_str!("packages.lock");

/// Whether a package is one that was tried. One of a newer version is none.
///
/// # Errors
/// A package that has the name of one that was tried, and other bytes; or one that cannot be read.
pub(super) fn is_tried(package: &Path) -> Result<bool> {
    let name = package.file_name().unwrap_or_default().to_string_lossy();
    let Some(expected) = hashes().get(name.as_ref()).copied() else {
        return Ok(false);
    };
    let bytes = fs::read(package)
        .with_context(|| format!("failed to read the package `{}`", package.display()))?;
    let found = digest_of(&bytes);
    if found.strip_prefix("sha256:") != Some(expected) {
        bail!(
            "the package `{name}` is not the one that Debian has released under this name: it has the digest {found}, and not \
             sha256:{expected}. Look at the mirror in this host's apt sources, or install Docker Engine and its buildx plugin yourself"
        );
    }
    Ok(true)
}

fn hashes() -> BTreeMap<&'static str, &'static str> {
    let lines = LOCK.lines().filter_map(|line| line.split_once("  "));
    lines.map(|(hash, name)| (name, hash)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_lock_is_a_package_and_its_hash() {
        let lines = LOCK.lines().count();
        assert_eq!(hashes().len(), lines, "two lines for one name");
        for (name, hash) in hashes() {
            let is_hash = image_oci::is_digest(&format!("sha256:{hash}"));
            let is_package = name.ends_with("_amd64.deb") || name.ends_with("_arm64.deb");
            assert!(is_hash && is_package, "{name} {hash}");
        }
    }

    #[test]
    fn both_releases_have_every_package_for_both_cpus() {
        for name in super::super::programs::packages() {
            for arch in ["amd64", "arm64"] {
                let is_it = |one: &&str| {
                    one.starts_with(&format!("{name}_")) && one.ends_with(&format!("_{arch}.deb"))
                };
                assert!(hashes().into_keys().any(|one| is_it(&one)), "{name} {arch}");
            }
        }
    }

    #[test]
    fn a_package_of_a_known_name_has_to_have_its_bytes() {
        let directory = tempfile::tempdir().unwrap();
        let known = hashes().into_keys().next().unwrap();
        let file = directory.path().join(known);
        fs::write(&file, "something else").unwrap();
        let error = is_tried(&file).unwrap_err().to_string();
        assert!(
            error.contains(known) && error.contains("sha256:"),
            "{error}"
        );
        let newer = directory.path().join("tini_99_amd64.deb");
        fs::write(&newer, "").unwrap();
        assert!(!is_tried(&newer).unwrap());
    }
}
