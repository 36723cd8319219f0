//! Names inside an image.

use std::{collections::BTreeMap, ops::Bound};

use sha2::{Digest as _, Sha256};

/// A path without a leading slash and without `.`: `usr/bin/python3`. The root is empty.
///
/// # Errors
/// A path with `..`, which no layer that a builder made contains.
pub(crate) fn normal(raw: &[u8]) -> Result<String, &'static str> {
    if raw.len() > LONGEST {
        return Err("a name has more than 4096 bytes, and Linux takes none of these");
    }
    let text = text(raw);
    let mut parts = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => return Err("a name leads out of the image with `..`"),
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

/// The most bytes of a path. Source: `PATH_MAX` of Linux.
pub(crate) const LONGEST: usize = 4096;

/// A name as text. Bytes that are no text are written as numbers, so that two names stay two.
pub(crate) fn text(raw: &[u8]) -> String {
    let part = |chunk: std::str::Utf8Chunk<'_>| {
        let invalid = chunk
            .invalid()
            .iter()
            .fold(String::new(), |text, byte| text + &format!("\\x{byte:02x}"));
        chunk.valid().replace('\\', "\\\\") + &invalid
    };
    raw.utf8_chunks().map(part).collect()
}

/// Whether some name is in a directory. `start` is its path with a slash at the end.
pub(crate) fn any_below<V>(names: &BTreeMap<String, V>, start: &str) -> bool {
    let mut sorted = names.range::<str, _>((Bound::Included(start), Bound::Unbounded));
    sorted
        .next()
        .is_some_and(|(name, _)| name.starts_with(start))
}

/// The directory of a path, and its last part.
pub(crate) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// The path of a name in a directory. The root's is empty.
pub(crate) fn below(directory: &str, name: &str) -> String {
    if directory.is_empty() {
        name.to_owned()
    } else {
        format!("{directory}/{name}")
    }
}

/// The directories above a path, nearest first, without the root.
pub(crate) fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(split(path).0), |above| {
        (!above.is_empty()).then(|| split(above).0)
    })
    .filter(|above| !above.is_empty())
}

/// A short stand-in for a path: a summary that kept every name would be as long as the image's list of files. Cut from a
/// cryptographic hash, so that nobody can make two names that are taken for one.
pub(crate) fn mark(path: &str) -> u128 {
    let hash = Sha256::digest(path.as_bytes());
    hash.iter()
        .take(16)
        .fold(0, |mark, byte| mark << 8 | u128::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_brought_into_one_form() {
        assert_eq!(normal(b"./usr//bin/./x/"), Ok("usr/bin/x".into()));
        assert_eq!(normal(b"/etc/passwd"), Ok("etc/passwd".into()));
        assert_eq!(normal(b"./"), Ok(String::new()));
        assert!(normal(b"a/../../b").is_err());
        assert_eq!(ancestors("a/b/c").collect::<Vec<_>>(), ["a/b", "a"]);
        assert_eq!(ancestors("a").count(), 0);
    }
}
