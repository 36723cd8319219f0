//! A Dockerfile, and the build context that it seems to have.

use std::{collections::BTreeMap, fs, path::Path};

use dockerfile_rules::Model;

use crate::plan::init::FoundDockerfile;

/// Directories for Dockerfiles alone: what they copy is elsewhere.
const FOR_DOCKERFILES: [&str; 3] = ["docker", "dockerfiles", ".docker"];

/// Reads a Dockerfile.
///
/// # Errors
/// Why it is left alone, or cannot be read.
pub(super) fn dockerfile(
    root: &Path,
    directory: &str,
    path: &str,
    text: &str,
) -> Result<FoundDockerfile, String> {
    if let Some(why) = dockerfile_rules::left_alone(text) {
        return Err(why.to_owned());
    }
    let model = Model::parse(text).map_err(|(why, line)| format!("line {line}: {why}"))?;
    let (context, because) = context(root, directory, &model);
    Ok(FoundDockerfile {
        path: path.to_owned(),
        context,
        because,
        base: model.base(None, &BTreeMap::new()),
        stages: model.stage_names().map(str::to_owned).collect(),
    })
}

/// The nearest directory that has everything that a Dockerfile copies, from its own upwards.
fn context(root: &Path, directory: &str, model: &Model) -> (String, String) {
    let sources: Vec<String> = model.context_sources().filter_map(fixed_part).collect();
    let missing = |candidate: &str| {
        sources
            .iter()
            .find(|source| fs::symlink_metadata(root.join(candidate).join(source)).is_err())
    };
    let shown = |candidate: &str| {
        if candidate.is_empty() {
            ".".to_owned()
        } else {
            candidate.to_owned()
        }
    };
    let own = directory.rsplit('/').next().unwrap_or_default();
    let is_apart = sources.is_empty() && FOR_DOCKERFILES.contains(&own);
    let mut candidate = directory;
    loop {
        if missing(candidate).is_none() && !(is_apart && candidate == directory) {
            let because = match (missing(directory), sources.is_empty()) {
                (Some(source), _) => format!(
                    "The nearest directory that has all that its Dockerfile copies: `{source}` is not in `{directory}`."
                ),
                (None, false) => "Its Dockerfile copies what is in this directory.".to_owned(),
                (None, true) if is_apart => {
                    format!("TODO: or another? `{directory}` is a directory for Dockerfiles.")
                }
                (None, true) => "The directory of its Dockerfile.".to_owned(),
            };
            return (shown(candidate), because);
        }
        if candidate.is_empty() {
            break;
        }
        candidate = candidate.rsplit_once('/').map_or("", |(above, _)| above);
    }
    let because = format!(
        "TODO: which? Its Dockerfile copies `{}`, which is neither here nor in a directory above.",
        missing(directory).map_or("", String::as_str)
    );
    (shown(directory), because)
}

/// The part of a copied path that has to exist: without what a pattern stands for. `None` for all of the context.
fn fixed_part(source: &str) -> Option<String> {
    let parts = source.split('/').filter(|part| !matches!(*part, "" | "."));
    let fixed: Vec<&str> = parts
        .take_while(|part| !part.contains(['*', '?', '[', '\\']) && *part != "..")
        .collect();
    (!fixed.is_empty()).then(|| fixed.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_copied_path_the_part_before_a_pattern_has_to_exist() {
        let parts = ["./src/", "/a/b", ".", "package*.json", "a/*.txt", "../x"].map(fixed_part);
        let expected = [Some("src"), Some("a/b"), None, None, Some("a"), None];
        assert_eq!(parts, expected.map(|part| part.map(str::to_owned)));
    }
}
