//! Several builds in one call: the file and the arguments of `docker buildx bake`, a target for each build.
//!
//! Source: "Bake file reference" in Docker's manuals. The file is JSON of HCL, whose strings are templates.

use serde_json::{Map, Value, json};

use crate::{
    Build, Export, Output, PlannedImage, arch::Arch, build::OF_PLATFORM, command,
    model::config::Network,
};

/// The name of a build's target.
pub fn target(place: usize) -> String {
    format!("build-{place}")
}

/// The arguments of `docker buildx` for a call that makes everything in a bake file. They have one builder.
pub fn words(file: &str, builds: &[&Build]) -> Vec<String> {
    let mut words: Vec<String> = ["bake", "--file", file].map(str::to_owned).into();
    let first = builds.first();
    words.extend(
        first
            .into_iter()
            .flat_map(|build| command::named_builder(build)),
    );
    words.extend(command::NO_ATTESTATION.map(str::to_owned));
    words.push(command::PROGRESS.to_owned());
    words
}

/// The bake file.
pub fn file(builds: &[&Build]) -> Value {
    let named = builds.iter().enumerate();
    let targets: Map<_, _> = named
        .map(|(place, build)| (target(place), of(build)))
        .collect();
    let names: Vec<_> = targets.keys().collect();
    json!({ "group": { "default": { "targets": names } }, "target": targets })
}

/// Whether one call can make images of which each alone takes one: on one builder, and into the content store. What a bake file has to
/// be given leave for on the command line, in some versions of buildx and not in others, is built alone.
pub fn is_possible(build: &Build) -> bool {
    let is_stored = matches!(build.output, Output::ContentStore { .. });
    let is_exported = build.export != Some(Export::DockerSave);
    is_stored && is_exported && build.ssh.is_empty() && build.network != Some(Network::Host)
}

/// The images of a plan that are made by one call, by their places: one Dockerfile for several CPUs or several targets. Each other image
/// is made by a call of its own, so that it can be proven while others are built, and its failure is no other's.
pub fn together(images: &[PlannedImage]) -> Vec<Vec<usize>> {
    let mut calls: Vec<(&Build, Vec<usize>)> = Vec::new();
    for (place, image) in images.iter().enumerate() {
        let Some(build) = image.build().filter(|build| is_possible(build)) else {
            continue;
        };
        match calls.iter_mut().find(|(first, _)| is_like(first, build)) {
            Some((_, places)) => places.push(place),
            None => calls.push((build, vec![place])),
        }
    }
    let all = calls.into_iter().map(|(_, places)| places);
    all.filter(|places| places.len() > 1).collect()
}

/// Whether two builds differ in their CPU alone, and in where their steps are kept.
fn is_like(one: &Build, other: &Build) -> bool {
    let key = |build: &Build| {
        let mut key = build.clone();
        key.arch = Arch::Arm64;
        key.mode = None;
        key.cache = None;
        key.args
            .retain(|name, _| !OF_PLATFORM.contains(&name.as_str()));
        key
    };
    key(one) == key(other)
}

fn of(build: &Build) -> Value {
    let mut target = Map::new();
    let mut put = |key: &str, value: Value| target.insert(key.to_owned(), value);
    put("context", literal(&build.context.display().to_string()));
    put(
        "dockerfile",
        literal(&build.dockerfile.display().to_string()),
    );
    put("platforms", json!([build.arch.platform()]));
    put("args", map(&build.args));
    put("labels", map(&build.labels));
    let contexts = build
        .contexts
        .iter()
        .map(|(name, context)| (name, context.to_string()));
    put("contexts", map(contexts));
    put("secret", list(command::secrets(build)));
    if let Some(stage) = &build.stage {
        put("target", literal(stage));
    }
    if let Some(network) = build.network {
        put("network", json!(network.name()));
    }
    if let Some(cache) = &build.cache {
        let (from, to) = cache.ends();
        put("cache-from", list([from]));
        put("cache-to", list([to]));
    }
    if let Output::ContentStore { directory } = &build.output {
        put("output", list([command::oci_layout(directory)]));
    }
    Value::Object(target)
}

fn map<K: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (K, V)>) -> Value {
    let pairs = pairs.into_iter();
    Value::Object(
        pairs
            .map(|(key, value)| (escaped(key.as_ref()), literal(value.as_ref())))
            .collect(),
    )
}

fn list(words: impl IntoIterator<Item = String>) -> Value {
    Value::Array(words.into_iter().map(|word| literal(&word)).collect())
}

fn literal(text: &str) -> Value {
    Value::String(escaped(text))
}

/// A text that stands for itself. Source: "Template Expressions" in HCL's native syntax specification.
fn escaped(text: &str) -> String {
    text.replace("${", "$${").replace("%{", "%%{")
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, path::PathBuf};

    use super::*;
    use crate::model::{builder::Builder, cache::Cache};

    fn build(arch: Arch) -> Build {
        let args = OF_PLATFORM.map(|name| (name.to_owned(), arch.to_string()));
        Build {
            dockerfile: PathBuf::from("/p/Dockerfile"),
            context: PathBuf::from("/p"),
            arch,
            builder: None,
            mode: None,
            export: None,
            stage: None,
            contexts: BTreeMap::new(),
            secrets: Vec::new(),
            ssh: Vec::new(),
            network: None,
            args: args.into(),
            labels: BTreeMap::new(),
            cache: None,
            output: Output::ContentStore {
                directory: PathBuf::from("/s/a,b"),
            },
            ca_bundle: None,
            pushed: true,
        }
    }

    #[test]
    fn both_cpus_of_one_dockerfile_are_alike_and_nothing_else_is() {
        let (arm64, amd64) = (build(Arch::Arm64), build(Arch::Amd64));
        assert!(is_like(&arm64, &amd64));
        let changes: [fn(&mut Build); 5] = [
            |build| build.stage = Some("web".into()),
            |build| build.args.extend([("A".to_owned(), "1".to_owned())]),
            |build| build.labels.extend([("a".to_owned(), "1".to_owned())]),
            |build| build.context = PathBuf::from("/q"),
            |build| {
                build.builder = Some(Builder {
                    name: "graviton".into(),
                    address: None,
                });
            },
        ];
        for change in changes {
            let mut other = build(Arch::Amd64);
            change(&mut other);
            assert!(!is_like(&arm64, &other), "{other:?}");
        }
        let mut cached = build(Arch::Amd64);
        cached.cache = Some(Cache::GitHub { scope: "s".into() });
        assert!(is_like(&arm64, &cached), "each has a cache of its own");
    }

    #[test]
    fn what_needs_leave_or_has_no_exporter_is_built_alone() {
        assert!(is_possible(&build(Arch::Arm64)));
        let changes: [fn(&mut Build); 4] = [
            |build| build.ssh = vec!["default".into()],
            |build| build.network = Some(Network::Host),
            |build| build.export = Some(Export::DockerSave),
            |build| build.output = Output::Engine { names: Vec::new() },
        ];
        for change in changes {
            let mut other = build(Arch::Arm64);
            change(&mut other);
            assert!(!is_possible(&other), "{other:?}");
        }
    }

    #[test]
    fn every_text_of_a_bake_file_stands_for_itself() {
        let mut odd = build(Arch::Arm64);
        let text = "${HOME} %{ if true } $${x} \"";
        odd.args.insert("A".into(), text.into());
        odd.labels.insert("${k}".into(), text.into());
        odd.cache = Some(Cache::GitHub { scope: "s".into() });
        let file = file(&[&build(Arch::Amd64), &odd]);
        assert_eq!(
            file["group"]["default"]["targets"],
            json!(["build-0", "build-1"])
        );
        let target = &file["target"]["build-1"];
        let escaped = "$${HOME} %%{ if true } $$${x} \"";
        assert_eq!(target["args"]["A"], escaped);
        assert_eq!(target["labels"]["$${k}"], escaped);
        assert_eq!(target["platforms"], json!(["linux/arm64"]));
        assert_eq!(
            target["output"],
            json!(["type=oci,\"dest=/s/a,b\",tar=false"])
        );
        assert_eq!(target["cache-from"], json!(["type=gha,scope=s"]));
    }
}
