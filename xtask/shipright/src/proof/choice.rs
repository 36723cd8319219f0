//! Which image of an index is meant.

use anyhow::{Result, bail};
use image_oci::{Descriptor, Document, digest_of};

use super::{blobs::Blobs, json};
use crate::arch::Arch;

/// How deep image indexes may lie in each other.
const DEEPEST: usize = 4;

/// Follows image indexes to the one image for an architecture: its manifest and that one's digest. `index` becomes the last of
/// them that has a name.
pub(super) fn choose(
    blobs: &mut dyn Blobs,
    bytes: Vec<u8>,
    arch: Option<Arch>,
    depth: usize,
    index: &mut Option<String>,
) -> Result<(Vec<u8>, String)> {
    let manifest = Document::parse(&bytes)?;
    if manifest.config.is_some() {
        let digest = digest_of(&bytes);
        return Ok((bytes, digest));
    }
    if depth == DEEPEST {
        bail!("image indexes lie in each other more than {DEEPEST} deep");
    }
    if depth > 0 || blobs.root_has_name() {
        *index = Some(digest_of(&bytes));
    }
    let images: Vec<_> = manifest
        .manifests
        .iter()
        .filter(|child| is_image(child))
        .collect();
    let only = only(&images, arch)?;
    let child = json(blobs, &only.digest, Some(only.size))?;
    choose(blobs, child, arch, depth + 1, index)
}

/// Attestations are entered as images for a platform named `unknown`; other things say what they are.
fn is_image(child: &Descriptor) -> bool {
    let os = child.platform.as_ref().map(|platform| platform.os.as_str());
    child.artifact_type.is_none() && os.is_none_or(|os| os == "linux" || os.is_empty())
}

/// The one image for an architecture. Of several variants the plain one runs everywhere.
fn only<'d>(images: &[&'d Descriptor], arch: Option<Arch>) -> Result<&'d Descriptor> {
    let is_wanted = |architecture: &str| arch.is_none_or(|arch| architecture.parse() == Ok(arch));
    let fits = |child: &&&Descriptor| {
        child
            .platform
            .as_ref()
            .is_none_or(|platform| is_wanted(&platform.architecture))
    };
    let mut fitting: Vec<&Descriptor> = images.iter().filter(fits).copied().collect();
    // An image with two names stands in an archive twice.
    fitting.sort_by_key(|child| &child.digest);
    fitting.dedup_by_key(|child| &child.digest);
    if arch.is_some() && fitting.iter().filter(|child| is_plain(child)).count() == 1 {
        fitting.retain(|child| is_plain(child));
    }
    match fitting.as_slice() {
        [only] => Ok(only),
        [] if images.is_empty() => bail!("the index lists no image"),
        [] => {
            let wanted = arch.map_or("this".to_owned(), Arch::platform);
            bail!(
                "the index has no image for {wanted}: it has {}",
                platforms(images)
            )
        }
        _ if arch.is_none() => {
            bail!(
                "the index has several images ({}): say which with `--arch`",
                platforms(images)
            )
        }
        several => {
            let digests = several
                .iter()
                .map(|child| child.digest.escape_debug().to_string());
            let digests: Vec<_> = digests.collect();
            bail!(
                "the index has several images for this CPU: name one by its digest, or save one alone: {}",
                digests.join(", ")
            )
        }
    }
}

fn is_plain(child: &Descriptor) -> bool {
    let variant = child
        .platform
        .as_ref()
        .and_then(|platform| platform.variant.as_deref());
    variant.is_none_or(|variant| matches!(variant, "v8" | "v1" | ""))
}

fn platforms(images: &[&Descriptor]) -> String {
    let platforms = images.iter().filter_map(|child| child.platform.as_ref());
    let name = |os: &str, arch: &str| format!("{}/{}", os.escape_debug(), arch.escape_debug());
    let names = platforms.map(|platform| name(&platform.os, &platform.architecture));
    names.collect::<Vec<_>>().join(", ")
}
