//! `kubectl`, as users have it.

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::{
    model::{kubernetes::Deployment, nodes::Nodes},
    plan::targets::eks::EksPlan,
    process::Tool,
};

/// `kubectl`, and which cluster it speaks to.
#[derive(Debug, Clone)]
pub struct Kubectl {
    flags: Vec<String>,
}

impl Kubectl {
    /// Speaks to a context of the user's configuration, in a namespace.
    pub fn new(context: Option<&str>, cluster: Option<&str>, namespace: &str) -> Self {
        Self {
            flags: kubectl_flag(context, cluster)
                .into_iter()
                .chain([format!("--namespace={namespace}")])
                .collect(),
        }
    }

    fn words<'w>(&'w self, words: &[&'w str]) -> Vec<&'w str> {
        self.flags
            .iter()
            .map(String::as_str)
            .chain(words.iter().copied())
            .collect()
    }

    /// What `kubectl` prints when it is given these words.
    ///
    /// # Errors
    /// A `kubectl` that cannot be started, or ends with an error.
    pub fn read(&self, words: &[&str]) -> Result<String> {
        Tool::new("kubectl").read(&self.words(words))
    }

    /// A deployment, if it exists.
    ///
    /// # Errors
    /// A cluster that cannot be reached, or an answer that is none.
    pub fn deployment(&self, name: &str) -> Result<Option<Deployment>> {
        let said = self.read(&[
            "get",
            "deployment",
            name,
            "--output=json",
            "--ignore-not-found",
            "--request-timeout=20s",
        ])?;
        if said.trim().is_empty() {
            return Ok(None);
        }
        serde_json::from_str(&said)
            .map(Some)
            .with_context(|| format!("kubectl describes deployment {name} in words of its own"))
    }

    /// Gives the container of a deployment an image.
    ///
    /// # Errors
    /// A `kubectl` that ends with an error.
    pub fn set_image(&self, plan: &EksPlan, image: &str) -> Result<()> {
        let name = format!("deployment/{}", plan.deployment);
        self.read(&[
            "set",
            "image",
            &name,
            &format!("{}={image}", plan.container),
            "--request-timeout=1m",
        ])
        .map(drop)
    }
}

/// How `kubectl` is told which cluster is meant: a context says the cluster and the user; the cluster alone is looked up with
/// the current user.
fn kubectl_flag(context: Option<&str>, cluster: Option<&str>) -> Option<String> {
    context
        .map(|name| format!("--context={name}"))
        .or_else(|| cluster.map(|name| format!("--cluster={name}")))
}

/// Nodes as `kubectl` lists them. `None` where there is no `kubectl`, or no cluster answers.
pub(super) fn nodes(context: Option<&str>, cluster: Option<&str>) -> Option<Vec<Nodes>> {
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
    let words = ["get", "nodes", "--output=json", "--request-timeout=10s"]
        .into_iter()
        .chain(which.as_deref());
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
