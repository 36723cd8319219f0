//! What is in a repository that has no deploy.toml yet: its Dockerfiles, the build context of each, the builds that files of other
//! tools describe, what Terraform files run, and the files that name ECR.

mod builds;
mod dockerfile;
mod ecr;
mod terraform;

use std::{
    fs,
    path::{Path, PathBuf},
};

use dockerfile::dockerfile;

use crate::{
    facts::git,
    plan::init::{FoundRepository, Survey},
};

/// Larger files are data and not configuration, in bytes.
const LARGEST: u64 = 1 << 20;

/// Directories of other people's code, which some repositories have committed, and of what no registry gets.
const FOREIGN: [&str; 6] = [
    "node_modules",
    "vendor",
    "third_party",
    "testdata",
    "fixtures",
    ".devcontainer",
];

/// Ends of files of code and of documents: an account in one is an example, or a test's.
const NO_SOURCE: [&str; 17] = [
    "rs", "go", "java", "kt", "ts", "tsx", "jsx", "cs", "c", "h", "cpp", "scala", "swift", "md",
    "rst", "adoc", "txt",
];

/// Files of other build tools that are not read.
const NOT_READ: [&str; 3] = ["Tiltfile", "earthly.yml", "Earthfile"];

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
    let listed = files(root)?;
    for path in &listed {
        let file = root.join(path);
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
        let Ok(found) = fs::symlink_metadata(&file) else {
            continue;
        };
        if found.len() > LARGEST {
            if builds::is_known(path) {
                let text = format!("`{path}` has more than {LARGEST} bytes, and was not read");
                survey.left_out.push(text);
            }
            continue;
        }
        let text = found.is_file().then(|| fs::read_to_string(&file).ok());
        let Some(text) = text.flatten() else {
            continue;
        };
        if is_dockerfile(name) {
            match dockerfile(root, directory, path, &text) {
                Ok(found) => survey.dockerfiles.push(found),
                Err(why) => survey.left_out.push(format!("`{path}`: {why}")),
            }
        } else {
            // What git does not track, and ignores, may be secret.
            let is_listed = |path: &str| listed.iter().any(|one| one == path);
            other(&mut survey, root, path, &text, is_listed);
        }
        if survey.kubernetes.is_none() && is_kubernetes(name, &text) {
            survey.kubernetes = Some(format!("`{path}`"));
        }
        let is_no_source = path
            .rsplit_once('.')
            .is_some_and(|(_, end)| NO_SOURCE.contains(&end));
        if is_no_source {
            continue;
        }
        let named = ecr::repositories(&text).map(|(account, region, name)| FoundRepository {
            account,
            region,
            name,
            file: format!("`{path}`"),
        });
        survey.repositories.extend(named);
    }
    terraform::finish(&mut survey.terraform);
    survey.repositories.sort();
    survey.repositories.dedup_by(|one, other| {
        (&one.account, &one.region, &one.name) == (&other.account, &other.region, &other.name)
    });
    Ok(survey)
}

/// A file that is no Dockerfile.
fn other(
    survey: &mut Survey,
    root: &Path,
    path: &str,
    text: &str,
    is_listed: impl Fn(&str) -> bool,
) {
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    let beside = |name: &str| {
        let path = if directory.is_empty() {
            name.to_owned()
        } else {
            format!("{directory}/{name}")
        };
        is_listed(&path).then(|| fs::read_to_string(root.join(&path)).ok())?
    };
    if let Some(found) = builds::builds(path, text, beside) {
        match found {
            Ok(found) => survey.builds.extend(found),
            Err(why) => survey
                .left_out
                .push(format!("`{path}` cannot be read: {why}")),
        }
    } else if NOT_READ.contains(&name) {
        survey.left_out.push(format!(
            "`{path}` was not read for builds: compare its build contexts, stages and arguments"
        ));
    } else if path.rsplit_once('.').is_some_and(|(_, end)| end == "tf")
        && let Err(why) = terraform::read(&mut survey.terraform, path, text)
    {
        survey
            .left_out
            .push(format!("`{path}` cannot be read: {why}"));
    }
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
    name == "Dockerfile" || crate::plan::init::suffix(name).is_some_and(is_told)
}

fn is_kubernetes(name: &str, text: &str) -> bool {
    let is_yaml = [".yaml", ".yml"].iter().any(|end| name.ends_with(end));
    let has = |wanted: &str| text.lines().any(|line| line.trim_end() == wanted);
    name == "Chart.yaml" || is_yaml && has("kind: Deployment") && has("apiVersion: apps/v1")
}
