//! What pods of a deployment tell: the images that they run, and why they do not start.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::Value;

use super::kubectl::Kubectl;
use crate::model::kubernetes::Deployment;

impl Kubectl {
    /// The digests that a container of a deployment's pods was pulled as: what a tag named then.
    ///
    /// # Errors
    /// A cluster that cannot be reached, or an answer that is none.
    pub fn pulled(&self, deployment: &Deployment, container: &str) -> Result<BTreeSet<String>> {
        let pods = self.pods(deployment)?;
        let statuses = pods.get("items").and_then(Value::as_array);
        let statuses = statuses.into_iter().flatten().filter_map(|pod| {
            let all = pod.pointer("/status/containerStatuses")?;
            all.as_array()
        });
        let is_it = |status: &&Value| status.get("name").is_some_and(|name| name == container);
        let of = |status: &Value| {
            let (_, digest) = status.get("imageID")?.as_str()?.split_once('@')?;
            Some(digest.to_owned())
        };
        Ok(statuses.flatten().filter(is_it).filter_map(of).collect())
    }

    fn pods(&self, deployment: &Deployment) -> Result<Value> {
        let labels = deployment.labels();
        let words = [
            "get",
            "pods",
            "--selector",
            &labels,
            "--output=json",
            "--request-timeout=20s",
        ];
        serde_json::from_str(&self.read(&words)?).context("kubectl lists no pods")
    }

    /// Why pods of a deployment do not start, where they tell.
    pub fn trouble(&self, deployment: &Deployment) -> Option<String> {
        let pods = self.pods(deployment).ok()?;
        pods.get("items")?.as_array()?.iter().find_map(|pod| {
            let name = pod.pointer("/metadata/name")?.as_str()?;
            self.crash(name, pod).or_else(|| unscheduled(name, pod))
        })
    }

    fn crash(&self, name: &str, pod: &Value) -> Option<String> {
        let statuses = pod.pointer("/status/containerStatuses")?.as_array()?;
        let (reason, message) = statuses.iter().find_map(waiting)?;
        let log = self
            .read(&[
                "logs",
                name,
                "--tail=5",
                "--previous",
                "--request-timeout=20s",
            ])
            .unwrap_or_default();
        Some(explained(name, reason, &format!("{message} {log}")))
    }
}

/// Why a container waits for more than its creation.
fn waiting(status: &Value) -> Option<(&str, &str)> {
    let waiting = status.pointer("/state/waiting")?;
    let reason = waiting.get("reason")?.as_str()?;
    let message = waiting
        .get("message")
        .and_then(Value::as_str)
        .unwrap_or_default();
    (!matches!(reason, "ContainerCreating" | "PodInitializing")).then_some((reason, message))
}

fn unscheduled(name: &str, pod: &Value) -> Option<String> {
    let conditions = pod.pointer("/status/conditions")?.as_array()?;
    let is_unscheduled = |one: &&Value| {
        one.get("reason")
            .is_some_and(|reason| reason == "Unschedulable")
    };
    let unscheduled = conditions.iter().find(is_unscheduled)?;
    let message = unscheduled
        .get("message")
        .and_then(Value::as_str)
        .unwrap_or_default();
    Some(format!(
        "pod {name} finds no node: {message}; is there a node of its CPU? cargo xtask verify eks"
    ))
}

/// What a pod's state means.
fn explained(pod: &str, reason: &str, text: &str) -> String {
    let text = text.trim();
    if text.contains("exec format error") {
        return format!(
            "pod {pod} is in {reason}: exec format error. Its node is of the other CPU: cargo xtask verify eks"
        );
    }
    match reason {
        "ErrImagePull" | "ImagePullBackOff" => {
            format!(
                "pod {pod} cannot pull its image ({reason}): {text}; may the node's role read the repository?"
            )
        }
        _ => format!("pod {pod} is in {reason}: {text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_is_explained() {
        assert!(
            explained("p", "CrashLoopBackOff", "exec /app: exec format error")
                .contains("other CPU")
        );
        assert!(explained("p", "ImagePullBackOff", "denied").contains("role"));
    }
}
