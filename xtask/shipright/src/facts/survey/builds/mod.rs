//! Builds of images that files of other tools describe: Compose, bake, Skaffold, workflows of GitHub, and `docker build` in Makefiles
//! and scripts.
//!
//! What stands in a file is read; nothing is run. A value that only its tool could fill in is left out, and said.

mod bake;
mod command;
mod compose;
mod script;
mod skaffold;
mod workflow;
mod yaml;

pub(super) use yaml::first_line;

use crate::plan::init::{BuildSource, FoundBuild, FoundSecret};

/// The builds that a file describes. `None` for a file of no such kind. `beside` reads a file of the same directory.
///
/// # Errors
/// Why a file of such a kind cannot be read.
pub(super) fn builds(
    path: &str,
    text: &str,
    beside: impl Fn(&str) -> Option<String>,
) -> Option<Result<Vec<FoundBuild>, String>> {
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    let file = File { path, directory };
    let found = match kind(directory, name, text)? {
        BuildSource::Compose => compose::read(&file, text, &beside(".env").unwrap_or_default()),
        BuildSource::Bake => bake::read(&file, text, ending(name) == "json"),
        BuildSource::Skaffold => skaffold::read(&file, text),
        BuildSource::Workflow => workflow::read(&file, text),
        BuildSource::Script => Ok(script::read(&file, text)),
    };
    Some(found)
}

/// Whether a file describes builds, by its name alone.
pub(super) fn is_known(path: &str) -> bool {
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    kind(directory, name, "").is_some()
}

/// What stands after the last dot of a name.
fn ending(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(_, end)| end)
}

/// The file that is read.
struct File<'f> {
    path: &'f str,
    directory: &'f str,
}

fn kind(directory: &str, name: &str, text: &str) -> Option<BuildSource> {
    let (stem, end) = name.rsplit_once('.').unwrap_or((name, ""));
    let is_yaml = matches!(end, "yml" | "yaml");
    let is_compose = ["docker-compose", "compose"].iter().any(|known| {
        stem == *known
            || stem
                .strip_prefix(known)
                .is_some_and(|rest| rest.starts_with('.'))
    });
    if is_yaml && is_compose {
        return Some(BuildSource::Compose);
    }
    if stem.starts_with("docker-bake") && matches!(end, "hcl" | "json") {
        return Some(BuildSource::Bake);
    }
    if is_yaml && stem.starts_with("skaffold") {
        return Some(BuildSource::Skaffold);
    }
    if is_yaml && directory == ".github/workflows" {
        return Some(BuildSource::Workflow);
    }
    let is_script = matches!(end, "sh" | "bash" | "mk")
        || matches!(
            name,
            "Makefile" | "makefile" | "GNUmakefile" | "justfile" | "Justfile" | "Jenkinsfile"
        )
        || is_yaml
            && matches!(
                stem,
                ".gitlab-ci" | "buildspec" | "Taskfile" | "bitbucket-pipelines"
            )
        || end.is_empty() && text.starts_with("#!");
    is_script.then_some(BuildSource::Script)
}

impl File<'_> {
    /// A build that this file describes. `what` says where in it.
    fn build(&self, source: BuildSource, what: impl Into<String>) -> FoundBuild {
        FoundBuild {
            source,
            file: self.path.to_owned(),
            what: what.into(),
            ..FoundBuild::default()
        }
    }
}

/// Context and Dockerfile of a build, for each directory that its paths may start from, the likeliest first. `is_inner` is a
/// Dockerfile from the context, and not from the directory that commands are typed in.
fn places(
    bases: &[&str],
    context: &str,
    dockerfile: Option<&str>,
    is_inner: bool,
) -> Vec<(String, String)> {
    let place = |base: &&str| {
        let context = inner(base, context)?;
        let dockerfile = match dockerfile {
            Some(file) if is_inner => inner(&context, file)?,
            Some(file) => inner(base, file)?,
            None => inner(&context, "Dockerfile")?,
        };
        Some((context, dockerfile))
    };
    bases.iter().filter_map(place).collect()
}

/// A path inside the repository: `path` from `base`, with `/`; `.` is the repository's directory. `None` where it leads out, is an
/// address, or is not written out.
fn inner(base: &str, path: &str) -> Option<String> {
    let is_plain = !path.contains(['$', '{', '`']) && !path.contains("://");
    if !is_plain || path.starts_with(['/', '~']) || path == "-" {
        return None;
    }
    let of_base = base.split('/').filter(|part| !matches!(*part, "" | "."));
    let mut parts: Vec<&str> = of_base.collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    let whole = parts.join("/");
    Some(if whole.is_empty() {
        ".".to_owned()
    } else {
        whole
    })
}

/// The longest value that is read, in bytes.
const LONGEST: usize = 4096;

/// A named context: a directory, or an address that BuildKit fetches by itself.
fn named_context(base: &str, path: &str) -> Option<String> {
    let is_address = ["docker-image://", "https://"]
        .iter()
        .any(|scheme| path.starts_with(scheme));
    if is_address && !path.contains('$') {
        return Some(path.to_owned());
    }
    let is_other = path.contains(':');
    inner(base, path).filter(|_| !is_other)
}

/// The name of the repository in an image reference: `api` of `host/team/api:tag`.
fn last_name(reference: &str) -> Option<String> {
    let path = reference.split('@').next()?;
    let last = path.rsplit('/').next()?;
    let name = last.split(':').next()?;
    let is_written = !name.is_empty() && !name.contains(['$', '{', '<']);
    is_written.then(|| name.to_owned())
}

/// A secret as docker's options have it: `id=npmrc,src=.npmrc`, `id=token,env=TOKEN`.
fn secret(text: &str) -> Option<FoundSecret> {
    let fields = text.split(',').filter_map(|field| field.split_once('='));
    let mut found = FoundSecret::default();
    for (key, value) in fields {
        match key.trim() {
            "id" => value.clone_into(&mut found.id),
            "src" | "source" => found.file = Some(value.to_owned()),
            "env" => found.env = Some(value.to_owned()),
            _ => {}
        }
    }
    let is_whole = !found.id.is_empty() && !text.contains('$');
    is_whole.then_some(found)
}
