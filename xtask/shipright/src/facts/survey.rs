//! What is in a repository that has no deploy.toml yet: its Dockerfiles, the build context of each, and the files that name ECR.

use std::{
    fs,
    path::{Path, PathBuf},
};

use dockerfile_rules::Model;

use crate::{
    facts::git,
    model::name,
    plan::init::{FoundDockerfile, FoundRepository, Survey, suffix},
};

/// Larger files are data and not configuration, in bytes.
const LARGEST: u64 = 1 << 20;

/// Directories of other people's code, which some repositories have committed.
const FOREIGN: [&str; 5] = [
    "node_modules",
    "vendor",
    "third_party",
    "testdata",
    "fixtures",
];

/// Directories for Dockerfiles alone: what they copy is elsewhere.
const FOR_DOCKERFILES: [&str; 3] = ["docker", "dockerfiles", ".docker"];

/// What builds images, and is not read.
const NOT_READ: [&str; 10] = [
    "docker-compose.yml",
    "docker-compose.yaml",
    "compose.yml",
    "compose.yaml",
    "docker-bake.hcl",
    "docker-bake.json",
    "skaffold.yaml",
    "Makefile",
    "Tiltfile",
    "buildspec.yml",
];

/// Looks through a directory of a git repository: what git tracks, and what is new there and not ignored.
///
/// # Errors
/// A directory that lies in no repository, and a repository that cannot be read.
pub fn survey(root: &Path) -> Result<Survey, git2::Error> {
    let mut survey = Survey {
        directory: root
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default()
            .to_owned(),
        ..Survey::default()
    };
    for path in files(root)? {
        let file = root.join(&path);
        let is_small_file = fs::symlink_metadata(&file)
            .is_ok_and(|found| found.is_file() && found.len() <= LARGEST);
        let Some(text) = is_small_file
            .then(|| fs::read_to_string(&file).ok())
            .flatten()
        else {
            continue;
        };
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", &path));
        if is_dockerfile(name) {
            match dockerfile(root, directory, &path, &text) {
                Ok(found) => survey.dockerfiles.push(found),
                Err(why) => survey.left_out.push(format!("`{path}`: {why}")),
            }
        } else if NOT_READ.contains(&name) || is_workflow_that_builds(directory, &text) {
            let what = format!(
                "`{path}` was not read for builds: compare its build contexts, stages and arguments"
            );
            survey.left_out.push(what);
        }
        if survey.kubernetes.is_none() && is_kubernetes(name, &text) {
            survey.kubernetes = Some(format!("`{path}`"));
        }
        let named = repositories(&text).map(|(account, region, name)| FoundRepository {
            account,
            region,
            name,
            file: format!("`{path}`"),
        });
        survey.repositories.extend(named);
    }
    survey.repositories.sort();
    survey.repositories.dedup_by(|one, other| {
        (&one.account, &one.region, &one.name) == (&other.account, &other.region, &other.name)
    });
    Ok(survey)
}

/// The files below a directory, by path from it, with `/`. A name that is no UTF-8 or has a control character is none that a
/// deploy.toml could have.
fn files(root: &Path) -> Result<Vec<String>, git2::Error> {
    let real = fs::canonicalize(root).unwrap_or_else(|_| root.to_path_buf());
    let inner = |path: &PathBuf| {
        let path = path.strip_prefix(&real).ok()?.to_str()?;
        let is_ours = path.split('/').all(|part| !FOREIGN.contains(&part));
        (is_ours && !path.contains(char::is_control)).then(|| path.to_owned())
    };
    let mut inner: Vec<String> = git::files(root)?.iter().filter_map(inner).collect();
    inner.sort();
    Ok(inner)
}

fn is_dockerfile(name: &str) -> bool {
    let is_told = |suffix: &str| !suffix.is_empty() && suffix != "dockerignore";
    name == "Dockerfile" || suffix(name).is_some_and(is_told)
}

fn dockerfile(
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
        base: model.base(None, &std::collections::BTreeMap::new()),
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

fn is_kubernetes(name: &str, text: &str) -> bool {
    let is_yaml = [".yaml", ".yml"].iter().any(|end| name.ends_with(end));
    let has = |wanted: &str| text.lines().any(|line| line.trim_end() == wanted);
    name == "Chart.yaml" || is_yaml && has("kind: Deployment") && has("apiVersion: apps/v1")
}

fn is_workflow_that_builds(directory: &str, text: &str) -> bool {
    directory == ".github/workflows" && text.contains("docker/build-push-action")
}

/// The repositories of ECR that a text names: account, region, and the name where it is written out.
fn repositories(text: &str) -> impl Iterator<Item = (String, String, Option<String>)> {
    text.match_indices(".dkr.ecr.").filter_map(|(at, middle)| {
        let account = text.get(at.checked_sub(12)?..at)?;
        let rest = text.get(at + middle.len()..)?;
        let (region, rest) = rest.split_once(".amazonaws.com")?;
        if !name::is_account(account) || !name::is_region(region) {
            return None;
        }
        let rest = rest.strip_prefix(".cn").unwrap_or(rest);
        let written = rest.strip_prefix('/').map(|rest| {
            let end = rest
                .find(|c: char| {
                    !(c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/".contains(c))
                })
                .unwrap_or(rest.len());
            rest.split_at(end)
        });
        let is_whole = |(found, rest): &(&str, &str)| {
            name::is_repository(found) && !rest.starts_with(['$', '{', '<'])
        };
        let found = written.filter(is_whole).map(|(found, _)| found.to_owned());
        Some((account.to_owned(), region.to_owned(), found))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_read_with_what_is_written_out_of_them() {
        let text = "image: 111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop/api:latest\n\
                    REG=444455556666.dkr.ecr.us-east-1.amazonaws.com\n\
                    444455556666.dkr.ecr.us-east-1.amazonaws.com/${NAME}\n\
                    444455556666.dkr.ecr.us-east-1.amazonaws.com/shop-$NAME\n\
                    $ACCOUNT.dkr.ecr.us-east-1.amazonaws.com/x é.dkr.ecr.x 12.dkr.ecr.";
        let found: Vec<_> = repositories(text).collect();
        let row = |account: &str, region: &str, name: Option<&str>| {
            (
                account.to_owned(),
                region.to_owned(),
                name.map(str::to_owned),
            )
        };
        let expected = [
            row("111122223333", "eu-west-1", Some("shop/api")),
            row("444455556666", "us-east-1", None),
            row("444455556666", "us-east-1", None),
            row("444455556666", "us-east-1", None),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn of_a_copied_path_the_part_before_a_pattern_has_to_exist() {
        let parts = ["./src/", "/a/b", ".", "package*.json", "a/*.txt", "../x"].map(fixed_part);
        let expected = [Some("src"), Some("a/b"), None, None, Some("a"), None];
        assert_eq!(parts, expected.map(|part| part.map(str::to_owned)));
    }
}
