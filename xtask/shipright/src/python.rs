//! Environments of Python packages that are pinned by hash, for programs that are written in it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::process::Tool;

/// The Python of an environment with exactly these packages, which is made where it is not there. `lock` is what
/// `uv pip compile --universal --generate-hashes` writes, and `name` says what it is for. A half-made environment is made anew.
///
/// # Errors
/// A machine without Python 3.10 and its venv module, packages that cannot be fetched or are not the ones of the lock, and a
/// directory that cannot be written.
pub fn environment(directory: &Path, name: &str, lock: &str) -> Result<PathBuf> {
    let python = directory.join("bin/python");
    let stamp = directory.join("installed");
    if is_installed(directory, lock) {
        return Ok(python);
    }
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error)
                .with_context(|| format!("failed to remove `{}`", directory.display()));
        }
        _ => {}
    }
    let place = directory.display().to_string();
    Tool::new("python3").read(&["-m", "venv", &place]).context(
        "failed to make a Python environment: install Python 3.10 or newer with its venv module (Debian: apt-get install python3-venv)",
    )?;
    let requirements = directory.join("requirements.lock");
    write(&requirements, lock)?;
    let requirements = requirements.display().to_string();
    let words = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--require-hashes",
        "--requirement",
        &requirements,
    ];
    Tool::new(&python)
        .read(&words)
        .with_context(|| format!("failed to install {name} from the Python package index"))?;
    write(&stamp, lock)?;
    Ok(python)
}

/// Whether an environment has exactly these packages already.
pub fn is_installed(directory: &Path, lock: &str) -> bool {
    let is_of_lock = fs::read_to_string(directory.join("installed")).is_ok_and(|text| text == lock);
    is_of_lock && directory.join("bin/python").exists()
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("failed to write `{}`", file.display()))
}
