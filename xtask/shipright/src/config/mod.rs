//! deploy.toml: which service becomes which images, for what, in which environments.
//!
//! [`load`] reads the one file and returns a finished [`Config`], or every problem in it at once. Nothing in a `Config`
//! still needs checking: names are legal where they will be used, and every image has its target and architecture.

mod builders;
mod check;
mod finding;
mod located;
mod raw;
mod raw_attest;
mod raw_scan;
mod resolve;
mod tag_clash;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

pub use raw::schema;

use crate::{
    model::config::Config,
    problem::{Problem, Problems},
};

/// The file's name, looked for in the current directory and those above it.
pub const FILE: &str = "deploy.toml";

/// Finds deploy.toml in `from` or the nearest directory above it.
pub fn find(from: &Path) -> Option<PathBuf> {
    from.ancestors()
        .map(|directory| directory.join(FILE))
        .find(|file| file.is_file())
}

/// Reads and checks a deploy.toml.
///
/// # Errors
/// A file that cannot be read, or [`Problems`] with everything that is wrong in it.
pub fn load(file: &Path) -> Result<Config> {
    const LONGEST: usize = 1024 * 1024;
    let bytes =
        std::fs::read(file).with_context(|| format!("failed to read `{}`", file.display()))?;
    let whole = |title: String| {
        let problem = Problem {
            span: 0..0,
            title,
            cure: "write it as TOML, in UTF-8".to_owned(),
        };
        Problems::new(shortened(file), String::new(), vec![problem])
    };
    if bytes.len() > LONGEST {
        return Err(whole(format!(
            "the file has {} bytes, and more than {LONGEST} are not read",
            bytes.len()
        ))
        .into());
    }
    let source = String::from_utf8(bytes).map_err(|error| {
        let line = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()])
            .matches('\n')
            .count()
            + 1;
        whole(format!("line {line} is not UTF-8 text"))
    })?;
    let absolute = std::path::absolute(file)
        .with_context(|| format!("failed to resolve `{}`", file.display()))?;
    parse(&source, &absolute)
        .map_err(|problems| Problems::new(shortened(file), source, problems).into())
}

/// Checks the text of a deploy.toml. `file` is where it lies; nothing is read.
fn parse(source: &str, file: &Path) -> Result<Config, Vec<Problem>> {
    let (table, mistakes) = toml::de::DeTable::parse_recoverable(source);
    if !mistakes.is_empty() {
        return Err(mistakes.iter().map(syntax).collect());
    }
    let (mut problems, wrong_types) = check::structure(&table, &schema());
    let read = if wrong_types.is_empty() {
        raw::Root::deserialize(toml::de::Deserializer::from(table))
    } else {
        // They are in `problems` already; without them the rest can be checked as well.
        toml::from_str(&check::without_wrong_types(source, &table, &wrong_types))
    };
    let resolved = match read {
        Ok(root) => Some(resolve::resolve(root, file, &mut problems)),
        Err(error) if problems.is_empty() => {
            problems.push(syntax(&error));
            None
        }
        Err(_) => None,
    };
    match resolved {
        Some(config) if problems.is_empty() => Ok(config),
        _ => Err(problems),
    }
}

fn syntax(error: &toml::de::Error) -> Problem {
    Problem {
        span: error.span().unwrap_or(0..0),
        title: error.message().to_owned(),
        cure: "correct the TOML at this place".to_owned(),
    }
}

/// The path as the user most likely thinks of it.
fn shortened(file: &Path) -> PathBuf {
    let current = std::env::current_dir().ok();
    current
        .and_then(|here| file.strip_prefix(here).ok().map(Path::to_path_buf))
        .unwrap_or_else(|| file.to_path_buf())
}

#[cfg(test)]
mod tests;
