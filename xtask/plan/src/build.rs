//! What all builds have in common: arguments, labels, and the reason for the architecture.

use std::{collections::BTreeMap, path::PathBuf};

use chrono::DateTime;

use crate::{
    Build, Plan,
    arch::Arch,
    model::{
        config::{Config, Environment, Image, Service, TargetRule},
        label,
        refusal::Refusal,
        revision::Revision,
        target::Target,
    },
};

/// The plan, unless there is a reason not to.
pub(super) fn finish(refusals: Vec<Refusal>, plan: Plan) -> Result<Plan, Vec<Refusal>> {
    if refusals.is_empty() {
        Ok(plan)
    } else {
        Err(refusals)
    }
}

/// A build that lacks its Dockerfile or context.
pub(super) fn missing_paths(config: &Config, build: &Build, missing: &[PathBuf]) -> Vec<Refusal> {
    let wanted = [&build.context, &build.dockerfile];
    wanted
        .into_iter()
        .find_map(|path| missing_path(config, path, missing))
        .into_iter()
        .collect()
}

/// A file or directory that is not there.
pub(super) fn missing_path(
    config: &Config,
    path: &PathBuf,
    missing: &[PathBuf],
) -> Option<Refusal> {
    missing.contains(path).then(|| {
        Refusal::new(
            format!(
                "`{}` is no file (or directory) inside the build context",
                config.shown(path).display()
            ),
            "correct `context` or `dockerfile` in deploy.toml, or create the file",
        )
    })
}

/// Why an image is for its architecture.
pub fn because(config: &Config, target: Target, rule: Option<TargetRule>) -> String {
    let arch = config.arch(target);
    let decided = match rule {
        Some(TargetRule::Said) => format!("`target = \"{target}\"` in deploy.toml"),
        Some(TargetRule::Suffix) | None => format!("the Dockerfile's suffix `.{target}`"),
    };
    format!(
        "{decided} says {}, which runs {arch} by `[targets]`: {}",
        target.title(),
        target.why()
    )
}

/// The target's platform is among them: an `ARG TARGETPLATFORM` before the first `FROM` hides BuildKit's own value from that
/// `FROM` in the versions that Debian 13 and Docker 26 have, and the build fails with an empty platform.
pub(super) fn build_args(
    service: &Service,
    image: Option<&Image>,
    arch: Arch,
    environment: Option<&Environment>,
    revision: Option<&Revision>,
) -> BTreeMap<String, String> {
    let mut args = environment
        .map(|environment| environment.build_args.clone())
        .unwrap_or_default();
    args.extend(image.into_iter().flat_map(|image| image.build_args.clone()));
    let platform = [
        ("TARGETPLATFORM", arch.platform()),
        ("TARGETARCH", arch.oci().to_owned()),
    ];
    args.extend(platform.map(|(key, value)| (key.to_owned(), value)));
    args.insert("SERVICE_FOLDER".to_owned(), service.folder.clone());
    if let Some(revision) = revision {
        args.insert("SOURCE_DATE_EPOCH".to_owned(), revision.time.to_string());
        args.insert("REVISION".to_owned(), revision_name(revision));
    }
    args
}

/// The commit, and whether the image has more than it.
fn revision_name(revision: &Revision) -> String {
    format!(
        "{}{}",
        revision.commit,
        if revision.dirty { "-dirty" } else { "" }
    )
}

/// The labels of a revision's image.
pub(super) fn labels(config: &Config, revision: Option<&Revision>) -> BTreeMap<String, String> {
    let Some(revision) = revision else {
        return BTreeMap::new();
    };
    let source = config.source.clone().or_else(|| revision.origin.clone());
    let created = DateTime::from_timestamp(revision.time, 0)
        .map(|time| time.format("%Y-%m-%dT%H:%M:%SZ").to_string());
    let version = revision
        .description
        .chars()
        .filter(|c| !c.is_control())
        .collect();
    let all = [
        (label::REVISION, Some(revision_name(revision))),
        (label::CREATED, created),
        (label::SOURCE, source),
        (label::VERSION, Some(version)),
    ];
    all.into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}
