//! A deployment as `kubectl` describes it.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{arch::Arch, refusal::Refusal};

/// The label that says a node's CPU. Source: Kubernetes' "Well-Known Labels".
const ARCH_LABEL: &str = "kubernetes.io/arch";

/// A deployment as `kubectl` describes it.
#[derive(Debug, Clone, Deserialize)]
pub struct Deployment {
    spec: DeploymentSpec,
    #[serde(default)]
    status: Status,
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Metadata {
    #[serde(default)]
    generation: u64,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    observed_generation: u64,
    replicas: u64,
    updated_replicas: u64,
    available_replicas: u64,
}

#[derive(Debug, Clone, Deserialize)]
struct DeploymentSpec {
    #[serde(default = "one")]
    replicas: u64,
    #[serde(default)]
    paused: bool,
    #[serde(default)]
    selector: Selector,
    template: Template,
}

fn one() -> u64 {
    1
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Selector {
    match_labels: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Deserialize)]
struct Template {
    spec: PodSpec,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodSpec {
    containers: Vec<Container>,
    #[serde(default)]
    node_selector: BTreeMap<String, String>,
    #[serde(default)]
    affinity: serde_json::Value,
}

#[derive(Debug, Clone, Deserialize)]
struct Container {
    name: String,
    #[serde(default)]
    image: String,
}

impl Deployment {
    /// The container that is meant, and its image.
    ///
    /// # Errors
    /// A deployment with several where none is named, or without the one that is.
    pub fn container(&self, name: Option<&str>) -> Result<(&str, &str), Refusal> {
        let all = &self.spec.template.spec.containers;
        let found = match name {
            Some(name) => all.iter().find(|container| container.name == name),
            None => all.first().filter(|_| all.len() == 1),
        };
        found
            .map(|found| (found.name.as_str(), found.image.as_str()))
            .ok_or_else(|| {
                let names: Vec<_> = all
                    .iter()
                    .map(|container| container.name.as_str())
                    .collect();
                let problem = format!("the deployment has the containers {}", names.join(", "));
                Refusal::new(problem, "set `container` on the image in deploy.toml")
            })
    }

    /// The CPU that the pods' node selector or affinity asks for, where it asks for one.
    pub fn selects(&self) -> Option<Arch> {
        let spec = &self.spec.template.spec;
        let label = spec.node_selector.get(ARCH_LABEL).map(String::as_str);
        let terms = spec.affinity.pointer(
            "/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms",
        );
        let expressions = terms
            .and_then(|terms| terms.as_array())
            .into_iter()
            .flatten();
        let expressions = expressions
            .filter_map(|term| term.get("matchExpressions")?.as_array())
            .flatten();
        let required = expressions
            .filter(|one| one.get("key").is_some_and(|key| key == ARCH_LABEL))
            .find_map(|one| match one.get("values")?.as_array()?.as_slice() {
                [only] if one.get("operator")? == "In" => only.as_str(),
                _ => None,
            });
        label.or(required).and_then(|word| word.parse().ok())
    }

    /// Whether every pod is of the newest template and takes calls.
    pub fn is_rolled_out(&self) -> bool {
        let status = &self.status;
        status.observed_generation >= self.metadata.generation
            && status.updated_replicas == self.spec.replicas
            && status.replicas == self.spec.replicas
            && status.available_replicas == self.spec.replicas
    }

    /// Whether somebody has paused its rollouts.
    pub fn is_paused(&self) -> bool {
        self.spec.paused
    }

    /// Whether pods of the newest template are still to come.
    pub fn is_on_its_way(&self) -> bool {
        self.status.observed_generation < self.metadata.generation
            || self.status.updated_replicas < self.spec.replicas
    }

    /// The selector of its pods, as `kubectl --selector` takes it.
    pub fn labels(&self) -> String {
        let labels = self
            .spec
            .selector
            .match_labels
            .iter()
            .map(|(key, value)| format!("{key}={value}"));
        labels.collect::<Vec<_>>().join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(spec: &str) -> Deployment {
        serde_json::from_str(&format!(r#"{{"spec":{{"template":{{"spec":{spec}}}}}}}"#)).unwrap()
    }

    #[test]
    fn a_selector_and_an_affinity_both_keep_pods_on_their_cpu() {
        let selector =
            deployment(r#"{"containers":[],"nodeSelector":{"kubernetes.io/arch":"arm64"}}"#);
        assert_eq!(selector.selects(), Some(Arch::Arm64));
        let affinity = deployment(
            r#"{"containers":[],"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[
                {"matchExpressions":[{"key":"kubernetes.io/arch","operator":"In","values":["amd64"]}]}]}}}}"#,
        );
        assert_eq!(affinity.selects(), Some(Arch::Amd64));
        assert_eq!(deployment(r#"{"containers":[]}"#).selects(), None);
    }

    #[test]
    fn the_only_container_needs_no_name() {
        let one = deployment(r#"{"containers":[{"name":"api","image":"x"}]}"#);
        assert_eq!(one.container(None).unwrap(), ("api", "x"));
        let two = deployment(
            r#"{"containers":[{"name":"api","image":"x"},{"name":"proxy","image":"y"}]}"#,
        );
        assert!(
            two.container(None)
                .unwrap_err()
                .problem
                .contains("api, proxy")
        );
        assert_eq!(two.container(Some("proxy")).unwrap(), ("proxy", "y"));
        assert!(two.container(Some("gone")).is_err());
    }
}
