//! What a cluster's nodes are, as `kubectl` and the EKS API tell.

use serde::{Deserialize, Serialize};

use crate::{arch::Arch, plan::instance, process::Tool};

/// A group of nodes, or one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Nodes {
    /// Where this was read.
    pub source: String,
    /// Its name.
    pub name: String,
    /// The CPU, where it can be told.
    pub arch: Option<Arch>,
    /// What it was told from.
    pub evidence: String,
}

/// How `kubectl` is told which cluster is meant: a context says the cluster and the user; the cluster alone is looked up with
/// the current user.
pub fn kubectl_flag(context: Option<&str>, cluster: Option<&str>) -> Option<String> {
    context.map(|name| format!("--context={name}")).or_else(|| cluster.map(|name| format!("--cluster={name}")))
}

/// Nodes as `kubectl` lists them. `None` where there is no `kubectl`, or no cluster answers.
pub fn from_kubectl(context: Option<&str>, cluster: Option<&str>) -> Option<Vec<Nodes>> {
    #[derive(Deserialize)]
    struct List {
        items: Vec<Item>,
    }
    #[derive(Deserialize)]
    struct Item {
        metadata: Metadata,
        status: Status,
    }
    #[derive(Deserialize)]
    struct Metadata {
        name: String,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Status {
        node_info: Info,
    }
    #[derive(Deserialize)]
    struct Info {
        architecture: String,
    }
    let which = kubectl_flag(context, cluster);
    let words = ["get", "nodes", "--output=json", "--request-timeout=10s"].into_iter().chain(which.as_deref());
    let said = Tool::new("kubectl").read(&words.collect::<Vec<_>>()).ok()?;
    let list: List = serde_json::from_str(&said).ok()?;
    let node = |item: Item| Nodes {
        source: "kubectl".to_owned(),
        name: item.metadata.name,
        arch: item.status.node_info.architecture.parse().ok(),
        evidence: format!("architecture {}", item.status.node_info.architecture),
    };
    Some(list.items.into_iter().map(node).collect())
}

/// A node group as the EKS API describes it: by its machine image's type, or by its instance types where that is custom.
pub fn from_group(name: &str, ami_type: &str, instance_types: &[String]) -> Nodes {
    // `AL2023_ARM_64_STANDARD`, `AL2023_x86_64_STANDARD`, `BOTTLEROCKET_ARM_64_FIPS` …
    let by_image = match (ami_type.contains("ARM_64"), ami_type.contains(Arch::Amd64.uname())) {
        (true, _) => Some(Arch::Arm64),
        (_, true) => Some(Arch::Amd64),
        _ => None,
    };
    let mut by_type: Vec<_> = instance_types.iter().filter_map(|name| instance::arch(name)).collect();
    by_type.dedup();
    let arch = by_image.or(if let [only] = by_type.as_slice() { Some(*only) } else { None });
    let evidence = format!(
        "{ami_type}, {}",
        if instance_types.is_empty() { "no instance types".to_owned() } else { instance_types.join(", ") }
    );
    Nodes { source: "EKS".to_owned(), name: name.to_owned(), arch, evidence }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_told_by_its_image_type_first() {
        let arch =
            |ami: &str, types: &[&str]| from_group("g", ami, &types.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>()).arch;
        assert_eq!(arch("AL2023_ARM_64_STANDARD", &[]), Some(Arch::Arm64));
        assert_eq!(arch("AL2_x86_64", &["t4g.large"]), Some(Arch::Amd64));
        assert_eq!(arch("BOTTLEROCKET_ARM_64", &[]), Some(Arch::Arm64));
        assert_eq!(arch("CUSTOM", &["m7g.large", "m6g.large"]), Some(Arch::Arm64));
        assert_eq!(arch("CUSTOM", &["m7g.large", "m5.large"]), None);
        assert_eq!(arch("CUSTOM", &[]), None);
    }
}
