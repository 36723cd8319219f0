//! Skaffold files. Source: "skaffold.yaml" reference, `build.artifacts`.

use serde_json::Value;

use super::{File, last_name, places, secret, yaml};
use crate::plan::init::{BuildSource, FoundBuild};

pub(super) fn read(file: &File<'_>, text: &str) -> Result<Vec<FoundBuild>, String> {
    let mut builds = Vec::new();
    for document in yaml::documents(text)? {
        let build = document.get("build");
        let artifacts = build
            .and_then(|build| build.get("artifacts"))
            .and_then(Value::as_array);
        let platforms = build
            .and_then(|build| build.get("platforms"))
            .map(yaml::list);
        for artifact in artifacts.into_iter().flatten() {
            // What is built by something else (Jib, Buildpacks, ko, Bazel) has no Dockerfile.
            let others = ["jib", "buildpacks", "ko", "bazel", "custom"];
            if others.iter().any(|other| artifact.get(other).is_some()) {
                continue;
            }
            builds.push(artifact_build(
                file,
                artifact,
                platforms.clone().unwrap_or_default(),
            ));
        }
    }
    Ok(builds)
}

fn artifact_build(file: &File<'_>, artifact: &Value, platforms: Vec<String>) -> FoundBuild {
    let text = |value: &Value, key: &str| value.get(key).and_then(yaml::text);
    let image = text(artifact, "image").unwrap_or_default();
    let mut found = file.build(BuildSource::Skaffold, format!("artifact `{image}`"));
    found.name = last_name(&image);
    found.repository.clone_from(&found.name);
    let nothing = Value::Null;
    let docker = ["docker", "kaniko"]
        .iter()
        .find_map(|key| artifact.get(key));
    let docker = docker.unwrap_or(&nothing);
    let context = text(artifact, "context").unwrap_or_else(|| ".".to_owned());
    let dockerfile = text(docker, "dockerfile");
    found.places = places(&[file.directory], &context, dockerfile.as_deref(), true);
    found.stage = text(docker, "target");
    for (name, value) in docker.get("buildArgs").map(yaml::pairs).unwrap_or_default() {
        if value.contains("{{") {
            found.leave_out_arg("buildArgs", &name, &value);
        } else {
            found.args.insert(name, value);
        }
    }
    found.ssh = docker.get("ssh").is_some();
    let secrets = docker.get("secrets").and_then(Value::as_array);
    let secrets = secrets.into_iter().flatten().filter_map(|one| {
        let fields = yaml::pairs(one)
            .into_iter()
            .map(|(key, value)| format!("{key}={value}"));
        secret(&fields.collect::<Vec<_>>().join(","))
    });
    found.secrets = secrets.collect();
    let own = artifact.get("platforms").map(yaml::list);
    found.platforms = own.filter(|own| !own.is_empty()).unwrap_or(platforms);
    found
}
