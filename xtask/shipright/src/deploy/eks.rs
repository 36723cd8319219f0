//! One Kubernetes deployment, with `kubectl` as users have it.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::{
    Hands, Move, Outcome,
    wait::{self, Heed},
};
use crate::{
    arch::Arch,
    facts::nodes,
    interrupt,
    model::{function::Code, target::Target},
    process::Tool,
};

/// How long a rollout may take, as `kubectl` takes it.
const TIMEOUT: &str = "--timeout=5m";

/// The label that says a node's CPU. Source: Kubernetes' "Well-Known Labels".
const ARCH_LABEL: &str = "kubernetes.io/arch";

/// `kubectl`, and which cluster it speaks to.
#[derive(Debug, Clone)]
pub struct Kubectl {
    flags: Vec<String>,
}

/// What is wanted of one deployment.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct EksPlan {
    /// What people call the image.
    pub image: String,
    /// The deployment.
    pub deployment: String,
    /// The container.
    pub container: String,
    /// What the container runs.
    pub from: Option<String>,
    /// What it is to run.
    pub to: Code,
    /// The CPUs that it can run on.
    pub archs: Vec<Arch>,
    /// Whether it runs that already, and its rollout has ended.
    pub is_done: bool,
    /// Whether the deployment's pods are kept on nodes of their CPU.
    pub selects: Option<Arch>,
}

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

impl EksPlan {
    /// What it is to run, for people.
    fn shown(&self) -> String {
        let archs: Vec<_> = self.archs.iter().map(|arch| arch.oci()).collect();
        format!("{} on {}", self.to.digest, archs.join(" and "))
    }
}

impl Deployment {
    /// The container that is meant.
    ///
    /// # Errors
    /// A deployment with several where none is named, or without the one that is.
    pub fn container(&self, name: Option<&str>) -> Result<(&str, &str)> {
        let all = &self.spec.template.spec.containers;
        let names = || all.iter().map(|container| container.name.as_str()).collect::<Vec<_>>().join(", ");
        let found = match name {
            Some(name) => all.iter().find(|container| container.name == name),
            None => all.first().filter(|_| all.len() == 1),
        };
        let found = found.with_context(|| {
            format!("the deployment has the containers {}: set `container` on the image in deploy.toml", names())
        })?;
        Ok((&found.name, &found.image))
    }

    /// The CPU that the pods' node selector or affinity asks for, where it asks for one.
    pub fn selects(&self) -> Option<Arch> {
        let spec = &self.spec.template.spec;
        let label = spec.node_selector.get(ARCH_LABEL).map(String::as_str);
        let terms = spec.affinity.pointer("/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms");
        let expressions = terms.and_then(|terms| terms.as_array()).into_iter().flatten();
        let expressions = expressions.filter_map(|term| term.get("matchExpressions")?.as_array()).flatten();
        let required = expressions.filter(|one| one.get("key").is_some_and(|key| key == ARCH_LABEL)).find_map(|one| {
            match one.get("values")?.as_array()?.as_slice() {
                [only] if one.get("operator")? == "In" => only.as_str(),
                _ => None,
            }
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
    fn is_on_its_way(&self) -> bool {
        self.status.observed_generation < self.metadata.generation || self.status.updated_replicas < self.spec.replicas
    }

    fn labels(&self) -> String {
        let labels = self.spec.selector.match_labels.iter().map(|(key, value)| format!("{key}={value}"));
        labels.collect::<Vec<_>>().join(",")
    }
}

impl Kubectl {
    /// Speaks to a context of the user's configuration, in a namespace.
    pub fn new(context: Option<&str>, cluster: Option<&str>, namespace: &str) -> Self {
        Self { flags: nodes::kubectl_flag(context, cluster).into_iter().chain([format!("--namespace={namespace}")]).collect() }
    }

    fn words<'w>(&'w self, words: &[&'w str]) -> Vec<&'w str> {
        self.flags.iter().map(String::as_str).chain(words.iter().copied()).collect()
    }

    fn read(&self, words: &[&str]) -> Result<String> {
        Tool::new("kubectl").read(&self.words(words))
    }

    /// A deployment, if it exists.
    ///
    /// # Errors
    /// A cluster that cannot be reached, or an answer that is none.
    pub fn deployment(&self, name: &str) -> Result<Option<Deployment>> {
        let said = self.read(&["get", "deployment", name, "--output=json", "--ignore-not-found", "--request-timeout=20s"])?;
        if said.trim().is_empty() {
            return Ok(None);
        }
        serde_json::from_str(&said).map(Some).with_context(|| format!("kubectl describes deployment {name} in words of its own"))
    }

    /// Why pods of a deployment do not start, where they tell.
    fn trouble(&self, deployment: &Deployment) -> Option<String> {
        let said =
            self.read(&["get", "pods", "--selector", &deployment.labels(), "--output=json", "--request-timeout=20s"]).ok()?;
        let pods: serde_json::Value = serde_json::from_str(&said).ok()?;
        let items = pods.get("items")?.as_array()?.iter();
        items.clone().find_map(|pod| {
            let name = pod.pointer("/metadata/name")?.as_str()?;
            let statuses = pod.pointer("/status/containerStatuses").and_then(|statuses| statuses.as_array());
            let waiting = statuses.into_iter().flatten().find_map(|status| {
                let waiting = status.pointer("/state/waiting")?;
                let reason = waiting.get("reason")?.as_str()?;
                (!matches!(reason, "ContainerCreating" | "PodInitializing")).then(|| {
                    let message = waiting.get("message").and_then(|message| message.as_str()).unwrap_or_default();
                    (reason.to_owned(), message.to_owned())
                })
            });
            if let Some((reason, message)) = waiting {
                let log = self.read(&["logs", name, "--tail=5", "--previous", "--request-timeout=20s"]).unwrap_or_default();
                return Some(explained(name, &reason, &format!("{message} {log}")));
            }
            let conditions = pod.pointer("/status/conditions")?.as_array()?;
            let unscheduled = conditions.iter().find(|one| one.get("reason").is_some_and(|reason| reason == "Unschedulable"))?;
            let message = unscheduled.get("message").and_then(|message| message.as_str()).unwrap_or_default();
            Some(format!("pod {name} finds no node: {message}; is there a node of its CPU? cargo xtask verify eks"))
        })
    }
}

/// What a pod's state means.
fn explained(pod: &str, reason: &str, text: &str) -> String {
    let text = text.trim();
    if text.contains("exec format error") {
        return format!("pod {pod} is in {reason}: exec format error. Its node is of the other CPU: cargo xtask verify eks");
    }
    match reason {
        "ErrImagePull" | "ImagePullBackOff" => {
            format!("pod {pod} cannot pull its image ({reason}): {text}; may the node's role read the repository?")
        }
        _ => format!("pod {pod} is in {reason}: {text}"),
    }
}

impl Hands<'_> {
    /// Gives a deployment its image, and waits for its pods. When they do not come, the rollout is undone.
    pub fn migrate_eks(&self, kubectl: &Kubectl, plan: &EksPlan) -> Move {
        let mut done = Move::new(&plan.image, Target::Eks, &plan.deployment, plan.from.clone(), &plan.to);
        if plan.is_done {
            return done;
        }
        let _deferral = interrupt::defer();
        let mut changed = false;
        match self.roll_out(kubectl, plan, &mut changed) {
            Ok(()) => done.outcome = Outcome::Moved,
            Err(error) => {
                self.terminal.failed(&plan.image, &error);
                let mut told = format!("{error:#}");
                done.outcome = match self.undo(kubectl, plan, changed) {
                    Ok(true) => Outcome::PutBack,
                    Ok(false) => Outcome::Failed,
                    Err(problem) => {
                        let text = format!("deployment {} could NOT be put back: {problem:#}", plan.deployment);
                        self.terminal.error(&text);
                        told = format!("{told}\n{text}");
                        Outcome::Failed
                    }
                };
                done.error = Some(told);
            }
        }
        done
    }

    fn roll_out(&self, kubectl: &Kubectl, plan: &EksPlan, changed: &mut bool) -> Result<()> {
        wait::check(Heed::Interrupts)?;
        let name = format!("deployment/{}", plan.deployment);
        if plan.from.as_deref() != Some(plan.to.image.as_str()) {
            self.terminal.status("Rolling out", &format!("{} to {}", plan.deployment, plan.shown()));
            *changed = true;
            kubectl.set_image(plan, &plan.to.image)?;
        }
        let waited = kubectl.read(&["rollout", "status", &name, TIMEOUT]);
        wait::check(Heed::Interrupts)?;
        if let Err(error) = waited {
            let why = kubectl.deployment(&plan.deployment).ok().flatten().and_then(|now| kubectl.trouble(&now));
            return Err(match why {
                Some(why) => error.context(why),
                None => error,
            });
        }
        let now = kubectl.deployment(&plan.deployment)?.context("the deployment is gone")?;
        let (_, image) = now.container(Some(&plan.container))?;
        if image != plan.to.image {
            bail!("deployment {} runs {image}, not {}: somebody else has changed it", plan.deployment, plan.to.image);
        }
        self.terminal.status("Checked", &format!("{} runs {}", plan.deployment, plan.shown()));
        Ok(())
    }

    /// Goes back to what ran before. `false` where there is nothing of ours to put back: a deployment that somebody else has
    /// changed meanwhile is theirs, and one whose pods are all of the image that is wanted has trouble of another kind.
    fn undo(&self, kubectl: &Kubectl, plan: &EksPlan, changed: bool) -> Result<bool> {
        let now = kubectl.deployment(&plan.deployment)?.context("the deployment is gone")?;
        let (_, image) = now.container(Some(&plan.container))?;
        if image != plan.to.image || !changed && !now.is_on_its_way() {
            return Ok(false);
        }
        let name = format!("deployment/{}", plan.deployment);
        self.terminal.status("Putting back", &plan.deployment);
        kubectl.read(&["rollout", "undo", &name, "--request-timeout=1m"])?;
        if let Some(from) = plan.from.as_deref().filter(|from| changed && *from != plan.to.image) {
            // Somebody may have changed something else of the deployment since: then the revision before is ours too.
            let now = kubectl.deployment(&plan.deployment)?.context("the deployment is gone")?;
            if now.container(Some(&plan.container))?.1 != from {
                kubectl.set_image(plan, from)?;
            }
        }
        kubectl.read(&["rollout", "status", &name, TIMEOUT])?;
        self.terminal.status("Put back", &format!("{} runs what it ran before", plan.deployment));
        Ok(true)
    }
}

impl Kubectl {
    fn set_image(&self, plan: &EksPlan, image: &str) -> Result<()> {
        let name = format!("deployment/{}", plan.deployment);
        self.read(&["set", "image", &name, &format!("{}={image}", plan.container), "--request-timeout=1m"]).map(drop)
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
        let selector = deployment(r#"{"containers":[],"nodeSelector":{"kubernetes.io/arch":"arm64"}}"#);
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
        let two = deployment(r#"{"containers":[{"name":"api","image":"x"},{"name":"proxy","image":"y"}]}"#);
        assert!(two.container(None).unwrap_err().to_string().contains("api, proxy"));
        assert_eq!(two.container(Some("proxy")).unwrap(), ("proxy", "y"));
        assert!(two.container(Some("gone")).is_err());
    }

    #[test]
    fn a_crash_is_explained() {
        assert!(explained("p", "CrashLoopBackOff", "exec /app: exec format error").contains("other CPU"));
        assert!(explained("p", "ImagePullBackOff", "denied").contains("role"));
    }
}
