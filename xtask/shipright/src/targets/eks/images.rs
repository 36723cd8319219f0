//! The images of everything that a cluster runs, or could go back to.

use anyhow::{Context, Result};
use serde_json::Value;

use super::kubectl;
use crate::{
    model::{config::Environment, inventory::ImageUse},
    plan::targets::eks,
    refused::Refused,
    report::terminal::Terminal,
};

/// What has pods, and what remembers the pods that it had: replica sets are a deployment's, controller revisions those of stateful
/// and daemon sets.
const KINDS: &str =
    "deployments,replicasets,statefulsets,daemonsets,controllerrevisions,jobs,cronjobs,pods";

/// The images of all namespaces, or of the environment's where the others may not be read.
///
/// # Errors
/// A protected environment that does not say which cluster is its own, and a cluster that cannot be read.
pub(in crate::targets) fn images(
    environment: &Environment,
    terminal: &Terminal,
) -> Result<Vec<ImageUse>> {
    eks::guard(environment).map_err(Refused::from)?;
    let kubectl = kubectl(environment);
    let words = ["get", KINDS, "--output=json", "--request-timeout=60s"];
    let everywhere: Vec<_> = words.into_iter().chain(["--all-namespaces"]).collect();
    let said = kubectl.read(&everywhere).or_else(|error| {
        let said = kubectl.read(&words)?;
        terminal.warning(&format!(
            "kubectl may read no other namespace than `{}`: what others run is not known ({error:#})",
            environment.namespace
        ));
        anyhow::Ok(said)
    })?;
    let list: Value = serde_json::from_str(&said).context("kubectl lists no workloads")?;
    let items = list.get("items").and_then(Value::as_array);
    let items = items.context("kubectl lists no workloads")?;
    Ok(items.iter().flat_map(of_item).collect())
}

fn of_item(item: &Value) -> Vec<ImageUse> {
    let text = |pointer: &str| item.pointer(pointer).and_then(Value::as_str);
    let (kind, name) = (text("/kind"), text("/metadata/name"));
    let by = format!(
        "{} {}",
        kind.unwrap_or("workload"),
        name.unwrap_or_default()
    );
    let mut references = Vec::new();
    collect(item, &mut references);
    let uses = references.into_iter();
    uses.filter_map(|one| ImageUse::of_reference(by.clone(), one))
        .collect()
}

/// Every image that is named, wherever it stands: of containers of each kind, and in the status of pods, where it has the digest that
/// was pulled.
fn collect<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                match member {
                    Value::String(text) if matches!(key.as_str(), "image" | "imageID") => {
                        found.push(text);
                    }
                    other => collect(other, found),
                }
            }
        }
        Value::Array(all) => all.iter().for_each(|one| collect(one, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::inventory::UsedImage;

    #[test]
    fn images_of_all_containers_and_of_the_status_are_found() {
        let pod = json!({ "kind": "Pod", "metadata": { "name": "api-1" },
            "spec": { "initContainers": [{ "image": "host/a@sha256:1" }], "containers": [{ "image": "host/a:tag" }] },
            "status": { "containerStatuses": [{ "image": "host/a:tag", "imageID": "host/a@sha256:2" }] } });
        let uses = of_item(&pod);
        assert!(uses.iter().all(|one| one.by == "Pod api-1"), "{uses:?}");
        let images: Vec<_> = uses.into_iter().map(|one| one.image).collect();
        let tag = UsedImage::Tag {
            repository: "a".into(),
            tag: "tag".into(),
        };
        for image in [
            UsedImage::Digest("sha256:1".into()),
            UsedImage::Digest("sha256:2".into()),
            tag,
        ] {
            assert!(images.contains(&image), "{images:?}");
        }
    }
}
