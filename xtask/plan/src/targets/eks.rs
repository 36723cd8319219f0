//! What has to be done so that a Kubernetes deployment runs an image.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{
    Choice, Workload,
    pulled::{before, way_back},
};
use crate::{
    arch::Arch,
    model::{
        config::Environment, function::Code, kubernetes::Deployment, refusal::Refusal,
        shell::quoted,
    },
    nodes::NodeReport,
};

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
    /// The image that it runs, as it was pulled, where `from` is a tag: what a failed deployment goes back to.
    pub pinned: Option<String>,
    /// Why what runs could not be restored, where that is so: somebody has to want it all the same.
    pub no_way_back: Option<String>,
    /// What it is to run.
    pub to: Code,
    /// The architectures that it can run on.
    pub archs: Vec<Arch>,
    /// Whether it runs that already, and its rollout has ended.
    pub is_done: bool,
    /// Whether the deployment's pods are kept on nodes of their CPU.
    pub selects: Option<Arch>,
}

/// Whether `kubectl` may be used at all: a protected environment says which cluster it is.
///
/// # Errors
/// A protected environment without a context.
pub fn guard(environment: &Environment) -> Result<(), Refusal> {
    if !environment.protected || environment.kube_context.is_some() {
        return Ok(());
    }
    let name = &environment.name;
    Err(Refusal::new(
        format!("`{name}` is protected, and nothing says which cluster kubectl is to change"),
        format!("set `kube-context` in [environments.{name}]"),
    ))
}

/// Decides. `name` is the deployment's, `found` is missing where it does not exist.
///
/// # Errors
/// A deployment that does not exist, whose rollouts are paused, or whose container is not told.
pub fn decide(
    choice: &Choice<'_>,
    environment: &Environment,
    name: &str,
    found: Option<&Deployment>,
) -> Result<EksPlan, Refusal> {
    let namespace = &environment.namespace;
    let Some(deployment) = found else {
        let line = quoted([
            "create",
            "deployment",
            name,
            &format!("--image={}", choice.code.image),
        ]);
        return Err(Refusal::new(
            format!("there is no deployment {name} in the namespace {namespace}"),
            format!("make it: kubectl --namespace={namespace} {line}"),
        ));
    };
    if deployment.is_paused() {
        return Err(Refusal::new(
            format!("somebody has paused the rollouts of deployment {name}"),
            format!("kubectl --namespace={namespace} rollout resume deployment/{name}"),
        ));
    }
    let (container, image) = deployment.container(choice.selected.image.container.as_deref())?;
    Ok(EksPlan {
        image: choice.selected.name(),
        container: container.to_owned(),
        from: Some(image.to_owned()),
        pinned: None,
        no_way_back: None,
        is_done: image == choice.code.image && deployment.is_rolled_out(),
        to: choice.code.clone(),
        archs: choice.archs.clone(),
        selects: deployment.selects(),
        deployment: name.to_owned(),
    })
}

/// Whether pods land on nodes of their CPU.
pub fn node_refusals(
    environment: &Environment,
    workloads: &[Workload],
    nodes: &NodeReport,
) -> Vec<Refusal> {
    let cure = "add nodes of that CPU first: cargo xtask verify eks shows them all";
    let mismatches = nodes
        .mismatches
        .iter()
        .map(|mismatch| Refusal::new(mismatch.clone(), cure));
    let known: Vec<Arch> = nodes.nodes.iter().filter_map(|nodes| nodes.arch).collect();
    let plans = workloads.iter().filter_map(|workload| match workload {
        Workload::Eks(plan) => Some(plan),
        Workload::Lambda(_) | Workload::AppRunner(_) | Workload::Ecs(_) => None,
    });
    mismatches
        .chain(plans.filter_map(|plan| plan.selector_refusal(&environment.namespace, &known)))
        .collect()
}

impl EksPlan {
    /// Takes in which digests its containers have pulled, or why that is not known.
    pub fn note_pulled(&mut self, pulled: Result<&BTreeSet<String>, &str>) {
        let from = self.from.clone().unwrap_or_default();
        let workload = format!("deployment {}", self.deployment);
        let told = before(&workload, &from, pulled);
        (self.pinned, self.no_way_back) = (told.pinned, told.no_way_back);
    }

    /// What it is to run, for people.
    pub fn shown(&self) -> String {
        let archs: Vec<_> = self.archs.iter().map(|arch| arch.oci()).collect();
        format!("{} on {}", self.to.digest, archs.join(" and "))
    }

    /// The plan for people.
    pub fn lines(&self) -> Vec<String> {
        let (name, container, to) = (&self.deployment, &self.container, &self.to.image);
        let now = self.from.as_deref().unwrap_or("nothing");
        let then = if self.is_done {
            "nothing to do".to_owned()
        } else {
            format!("kubectl set image deployment/{name} {container}={to}, wait for the rollout")
        };
        let mut lines = vec![format!("deployment {name} runs {now}"), then];
        lines.extend(way_back(
            self.pinned.as_deref(),
            self.no_way_back.as_deref(),
        ));
        lines
    }

    /// A node selector that keeps the pods from every node that could run them, or that lacks where nodes differ.
    fn selector_refusal(&self, namespace: &str, known: &[Arch]) -> Option<Refusal> {
        let (name, wanted) = (&self.deployment, self.to.arch);
        let problem = match self.selects {
            Some(arch) if !self.archs.contains(&arch) => {
                format!(
                    "deployment {name} keeps its pods on {arch} nodes, and its image is for {wanted}"
                )
            }
            None if known.iter().any(|arch| !self.archs.contains(arch))
                && known.contains(&wanted) =>
            {
                format!(
                    "the cluster has nodes of both CPUs, and deployment {name} does not say which its pods need"
                )
            }
            Some(_) | None => return None,
        };
        let selector = format!("{{\"nodeSelector\":{{\"kubernetes.io/arch\":\"{wanted}\"}}}}");
        let patch = format!("{{\"spec\":{{\"template\":{{\"spec\":{selector}}}}}}}");
        Some(Refusal::new(
            problem,
            format!("kubectl --namespace={namespace} patch deployment {name} --patch '{patch}'"),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixtures::{choice, environment, image, service},
        model::target::Target,
    };

    fn deployment(image: &str, more: &str, updated: u8) -> Deployment {
        let text = format!(
            r#"{{"metadata":{{"generation":1}},"spec":{{"replicas":1{more},"template":{{"spec":{{"containers":[{{"name":"api","image":"{image}"}}]}}}}}},
                "status":{{"observedGeneration":1,"replicas":1,"updatedReplicas":{updated},"availableReplicas":1}}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_deployment_is_done_when_it_runs_the_image_and_its_rollout_has_ended() {
        let service = service(image(Target::Eks));
        let decided = |found: Option<&Deployment>| {
            decide(
                &choice(&service, Arch::Arm64, &[Arch::Arm64]),
                &environment("dev"),
                "api",
                found,
            )
        };
        let is_done = |image, updated| {
            decided(Some(&deployment(image, "", updated)))
                .unwrap()
                .is_done
        };
        assert!(is_done("r/x@sha256:new", 1));
        assert!(!is_done("r/x@sha256:new", 0), "pods are still to come");
        assert!(!is_done("r/x@sha256:old", 1));
        assert!(
            decided(None)
                .unwrap_err()
                .cure
                .contains("kubectl --namespace=shop create deployment api")
        );
        let paused = decided(Some(&deployment("old", ",\"paused\":true", 1))).unwrap_err();
        assert!(
            paused.cure.contains("rollout resume deployment/api"),
            "{}",
            paused.cure
        );
        let plan = decided(Some(&deployment("old", "", 1))).unwrap();
        assert_eq!(plan.lines()[0], "deployment api runs old");
        assert!(plan.lines()[1].contains("set image deployment/api api=r/x@sha256:new"));
    }

    #[test]
    fn a_protected_environment_says_which_cluster_it_is() {
        let of = |protected, context: Option<&str>| {
            let kube_context = context.map(str::to_owned);
            guard(&Environment {
                protected,
                kube_context,
                ..environment("prod")
            })
        };
        assert!(of(false, None).is_ok() && of(true, Some("prod")).is_ok());
        assert!(of(true, None).unwrap_err().cure.contains("kube-context"));
    }

    #[test]
    fn pods_are_kept_on_nodes_that_can_run_them_where_nodes_differ() {
        let service = service(image(Target::Eks));
        let (arm, amd) = (Arch::Arm64, Arch::Amd64);
        let refused = |archs: &[Arch], selects: Option<Arch>, known: &[Arch]| {
            let found = deployment("old", "", 1);
            let plan = decide(
                &choice(&service, Arch::Arm64, archs),
                &environment("dev"),
                "api",
                Some(&found),
            )
            .unwrap();
            let workload = Workload::Eks(Box::new(EksPlan { selects, ..plan }));
            let mut report = NodeReport::new("dev", arm, vec!["api".into()], Vec::new());
            report.nodes = known
                .iter()
                .map(|arch| crate::model::nodes::Nodes {
                    source: "EKS".into(),
                    name: "g".into(),
                    arch: Some(*arch),
                    evidence: String::new(),
                })
                .collect();
            let refusals = node_refusals(&environment("dev"), &[workload], &report);
            refusals.into_iter().map(|refusal| refusal.problem).next()
        };
        assert_eq!(refused(&[arm], None, &[arm]), None);
        assert_eq!(refused(&[arm], Some(arm), &[arm, amd]), None);
        assert_eq!(
            refused(&[arm, amd], None, &[arm, amd]),
            None,
            "every node runs an index"
        );
        assert!(
            refused(&[arm], None, &[arm, amd])
                .unwrap()
                .contains("nodes of both CPUs")
        );
        assert!(
            refused(&[arm], Some(amd), &[arm])
                .unwrap()
                .contains("keeps its pods on amd64 nodes")
        );
        assert_eq!(
            refused(&[arm], None, &[amd]),
            None,
            "that is a mismatch of its own"
        );
    }
}
