//! How an image came to be, as a statement of in-toto with SLSA's provenance.
//!
//! Two kinds, told apart by `buildType`:
//!
//! * [`BUILT`]: this run has built the image. `externalParameters` are what a person chose: the source, its commit and whether the tree
//!   had more than that, the environment, the Dockerfile, the build context (both from the directory of deploy.toml), the stage, the
//!   platform, and the names of build arguments and secrets. Values of deploy.toml's build arguments are not among them: whoever may
//!   read the repository has them at that commit, and a registry has other readers. `internalParameters` has the values of the
//!   arguments that this tool makes itself. `resolvedDependencies` are the commit, and the base images with the digests that BuildKit
//!   found, or the reference of the Dockerfile where it tells none.
//! * [`FOUND`]: the image was in a registry, and nobody has seen its build. The statement has what the image says of itself, its source,
//!   commit and platform, and its builder is unknown: whoever asks for a builder that they trust does not accept it.
//!
//! No time of the run is in it: a run has its address, and what is built twice of one commit is one image.
//!
//! Source: in-toto's attestation framework, "Statement v1"; SLSA 1.0, "Provenance".

use std::collections::BTreeMap;

use image_oci::{Config, Manifest};
use serde_json::{Value, json};

use super::{builder::BuilderId, json::canonical};
use crate::{
    docker::Base,
    facts::git::without_credentials,
    model::{label, revision::Revision},
    plan::Build,
};

/// The kind of build that this tool has done.
pub const BUILT: &str = "urn:shipright:build:1";

/// No build: an image that was found.
pub const FOUND: &str = "urn:shipright:found:1";

/// The builder of what was found.
const UNKNOWN: &str = "urn:shipright:builder:unknown";

/// What the statement is about. Source: SLSA 1.0, "Provenance".
pub const PREDICATE: &str = "https://slsa.dev/provenance/v1";

/// Build arguments that this tool makes: nothing in them is a secret.
const OWN: [&str; 5] = [
    "REVISION",
    "SERVICE_FOLDER",
    "SOURCE_DATE_EPOCH",
    "TARGETARCH",
    "TARGETPLATFORM",
];

/// A build of this run.
#[derive(Debug, Clone)]
pub struct BuildRun<'b> {
    /// The build.
    pub build: &'b Build,
    /// The commit.
    pub revision: &'b Revision,
    /// The environment that it is for.
    pub environment: &'b str,
    /// The Dockerfile, from the directory of deploy.toml.
    pub dockerfile: String,
    /// The build context, likewise.
    pub context: String,
    /// The base images that BuildKit has read.
    pub bases: &'b [Base],
    /// The base image that the Dockerfile names.
    pub base: Option<String>,
    /// Who has built it.
    pub builder: &'b BuilderId,
}

/// The statement of a build.
pub(super) fn built(manifest: &Manifest, run: &BuildRun<'_>) -> Vec<u8> {
    let Build {
        args,
        secrets,
        stage,
        ssh,
        arch,
        labels,
        ..
    } = run.build;
    let source = source(labels);
    let (own, theirs): (BTreeMap<_, _>, BTreeMap<_, _>) = args
        .iter()
        .partition(|(name, _)| OWN.contains(&name.as_str()));
    let secrets: Vec<_> = secrets.iter().map(|secret| &secret.id).collect();
    let mut chosen = json!({
        "commit": run.revision.commit,
        "dirty": run.revision.dirty,
        "environment": run.environment,
        "dockerfile": run.dockerfile,
        "context": run.context,
        "platform": arch.platform(),
        "buildArguments": theirs.keys().collect::<Vec<_>>(),
        "secrets": secrets,
        "ssh": ssh,
    });
    if let Some(source) = &source {
        chosen["source"] = json!(source);
    }
    if let Some(stage) = stage {
        chosen["stage"] = json!(stage);
    }
    let mut dependencies = vec![commit(source.as_deref(), &run.revision.commit)];
    dependencies.extend(bases(run));
    let definition = json!({
        "buildType": BUILT,
        "externalParameters": chosen,
        "internalParameters": { "buildArguments": own },
        "resolvedDependencies": dependencies,
    });
    let mut details = json!({ "builder": { "id": run.builder.id } });
    if let Some(invocation) = &run.builder.invocation {
        details["metadata"] = json!({ "invocationId": invocation });
    }
    statement(manifest, source.as_deref(), &definition, &details)
}

/// The statement of an image whose build nobody has seen.
pub(super) fn found(manifest: &Manifest, config: &Config) -> Vec<u8> {
    let labels = config.config.labels.clone().unwrap_or_default();
    let source = source(&labels);
    let mut said = json!({ "platform": format!("{}/{}", config.os, config.architecture) });
    let mut dependencies = Vec::new();
    if let Some(revision) = labels.get(label::REVISION) {
        let clean = revision.strip_suffix("-dirty");
        let id = clean.unwrap_or(revision);
        said["commit"] = json!(id);
        said["dirty"] = json!(clean.is_some());
        dependencies.push(commit(source.as_deref(), id));
    }
    if let Some(source) = &source {
        said["source"] = json!(source);
    }
    let definition = json!({
        "buildType": FOUND,
        "externalParameters": said,
        "resolvedDependencies": dependencies,
    });
    let details = json!({ "builder": { "id": UNKNOWN } });
    statement(manifest, source.as_deref(), &definition, &details)
}

/// Where the source is, by an image's labels. A path on somebody's disk says nothing to others.
fn source(labels: &BTreeMap<String, String>) -> Option<String> {
    let said = without_credentials(labels.get(label::SOURCE)?);
    git_address(&said).is_some().then_some(said)
}

fn statement(
    manifest: &Manifest,
    source: Option<&str>,
    definition: &Value,
    details: &Value,
) -> Vec<u8> {
    let digest = &manifest.digest;
    let hash = digest.strip_prefix("sha256:").unwrap_or(digest);
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{ "name": source.unwrap_or("image"), "digest": { "sha256": hash } }],
        "predicateType": PREDICATE,
        "predicate": { "buildDefinition": definition, "runDetails": details },
    });
    canonical(&statement).into_bytes()
}

/// The kind of a statement of ours about an image.
pub(super) fn kind(bytes: &[u8], manifest: &Manifest) -> Option<&'static str> {
    let said: Value = serde_json::from_slice(bytes).ok()?;
    let digest = said["subject"][0]["digest"]["sha256"].as_str()?;
    let kind = said["predicate"]["buildDefinition"]["buildType"].as_str()?;
    let is_its = manifest.digest.strip_prefix("sha256:") == Some(digest);
    let is_provenance = said["predicateType"] == PREDICATE;
    let mut kinds = [BUILT, FOUND].into_iter();
    kinds.find(|known| is_its && is_provenance && *known == kind)
}

fn commit(source: Option<&str>, id: &str) -> Value {
    let mut commit = json!({ "digest": { "gitCommit": id } });
    if let Some(address) = source.and_then(git_address) {
        commit["uri"] = json!(format!("git+{address}@{id}"));
    }
    commit
}

/// A URL of a repository, also of one that is written as `git@host:path`. A path on somebody's disk is none.
fn git_address(source: &str) -> Option<String> {
    if source.contains("://") {
        return (!source.starts_with("file:")).then(|| source.to_owned());
    }
    let (host, path) = source.split_once(':')?;
    let is_host = !host.is_empty() && !host.contains('/');
    is_host.then(|| format!("ssh://{host}/{}", path.trim_start_matches('/')))
}

fn bases(run: &BuildRun<'_>) -> Vec<Value> {
    if !run.bases.is_empty() {
        let known = run.bases.iter();
        return known
            .map(|base| json!({ "uri": base.uri, "digest": { "sha256": base.sha256 } }))
            .collect();
    }
    let named = run.base.as_ref().map(|reference| {
        let mut base = json!({ "uri": format!("docker-image://{reference}") });
        if let Some((_, hash)) = reference.split_once("@sha256:") {
            base["digest"] = json!({ "sha256": hash });
        }
        base
    });
    named.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use image_oci::IMAGE_MANIFEST_TYPES;

    use super::*;

    #[test]
    fn a_found_image_has_what_it_says_of_itself_and_no_builder() {
        let manifest = Manifest::new("{}".into(), IMAGE_MANIFEST_TYPES[0]);
        let config = r#"{"architecture":"arm64","os":"linux","config":{"Labels":{
            "org.opencontainers.image.source":"git@git.example.com:team/backend.git",
            "org.opencontainers.image.revision":"abc-dirty"}}}"#;
        let config = Config::parse(config.as_bytes()).unwrap();
        let bytes = found(&manifest, &config);
        assert_eq!(bytes, found(&manifest, &config));
        let said: Value = serde_json::from_slice(&bytes).unwrap();
        let definition = &said["predicate"]["buildDefinition"];
        let expected = json!([{ "digest": { "gitCommit": "abc" }, "uri": "git+ssh://git@git.example.com/team/backend.git@abc" }]);
        assert_eq!(definition["resolvedDependencies"], expected);
        assert_eq!(definition["externalParameters"]["dirty"], true);
        assert_eq!(said["predicate"]["runDetails"]["builder"]["id"], UNKNOWN);
        assert_eq!(kind(&bytes, &manifest), Some(FOUND));
        let other = Manifest::new("{ }".into(), IMAGE_MANIFEST_TYPES[0]);
        assert_eq!(kind(&bytes, &other), None);
        let theirs = String::from_utf8(bytes)
            .unwrap()
            .replace("urn:shipright:", "urn:theirs:");
        assert_eq!(kind(theirs.as_bytes(), &manifest), None);
    }

    #[test]
    fn a_repository_s_address_is_a_url_and_a_path_is_none() {
        for (source, address) in [
            (
                "https://git.example.com/x.git",
                Some("https://git.example.com/x.git"),
            ),
            ("git@host:team/x.git", Some("ssh://git@host/team/x.git")),
            ("host:/srv/x", Some("ssh://host/srv/x")),
            ("/srv/git/x", None),
            ("../x:y", None),
            ("file:///srv/x", None),
        ] {
            assert_eq!(git_address(source).as_deref(), address, "{source}");
        }
    }
}
