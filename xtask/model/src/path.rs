//! Paths as they are written.

use std::path::{Component, Path, PathBuf};

/// A path without `.` and `..`; links are not looked at.
pub fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                normal.pop();
            }
            Component::CurDir => {}
            other => normal.push(other),
        }
    }
    normal
}

/// A path with `/` between its parts; nothing is `.`.
pub fn slashed(path: &Path) -> String {
    let parts = path
        .components()
        .map(|part| part.as_os_str().to_string_lossy());
    let whole = parts.collect::<Vec<_>>().join("/");
    if whole.is_empty() {
        ".".to_owned()
    } else {
        whole
    }
}

/// A path as it is named from a directory; both are from the same place, without `..`.
pub fn relative(path: &Path, directory: &Path) -> String {
    if let Ok(inner) = path.strip_prefix(directory) {
        return inner.display().to_string();
    }
    let is_real = |part: &Component<'_>| *part != Component::CurDir;
    let depth = directory.components().filter(is_real).count();
    format!("{}{}", "../".repeat(depth), path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_named_from_a_directory() {
        for (path, directory, expected) in [
            ("src/cart/Dockerfile", "src/cart", "Dockerfile"),
            (
                "docker/cart.Dockerfile",
                "src/cart",
                "../../docker/cart.Dockerfile",
            ),
            (
                "src/cartoon/Dockerfile",
                "src/cart",
                "../../src/cartoon/Dockerfile",
            ),
            ("docker/cart.Dockerfile", ".", "docker/cart.Dockerfile"),
        ] {
            let found = relative(Path::new(path), Path::new(directory));
            assert_eq!(found, expected, "{path} from {directory}");
        }
    }
}
