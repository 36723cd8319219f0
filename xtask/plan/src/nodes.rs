//! Whether a cluster's nodes are of the CPU that the images are for.

use serde::Serialize;

use crate::{
    arch::Arch,
    instance,
    model::nodes::{Mention, Nodes},
};

/// What was found out about the nodes, and what is wrong with them.
#[derive(Debug, Clone, Serialize)]
pub struct NodeReport {
    /// The architecture that the images are for.
    pub wanted: Arch,
    /// The images that are for it alone.
    pub images: Vec<String>,
    /// Images that have one for each CPU: every node runs them.
    pub image_indexes: Vec<String>,
    /// Nodes and groups of them.
    pub nodes: Vec<Nodes>,
    /// Instance types in Terraform files.
    pub terraform: Vec<Mention>,
    /// What is worth knowing.
    pub notes: Vec<String>,
    /// What is wrong.
    pub mismatches: Vec<String>,
}

impl NodeReport {
    /// A report before anything was read. `environment` is its name.
    pub fn new(
        environment: &str,
        wanted: Arch,
        images: Vec<String>,
        image_indexes: Vec<String>,
    ) -> Self {
        let mut notes: Vec<String> = image_indexes
            .iter()
            .map(|name| format!("{name} is for both CPUs: every node runs it"))
            .collect();
        if images.is_empty() && image_indexes.is_empty() {
            notes.push(format!("no image of `{environment}` is for EKS"));
        }
        let (nodes, terraform, mismatches) = (Vec::new(), Vec::new(), Vec::new());
        Self {
            wanted,
            images,
            image_indexes,
            nodes,
            terraform,
            notes,
            mismatches,
        }
    }

    /// Compares what was read with what is wanted.
    pub fn judge(&mut self) {
        self.judge_nodes();
        self.judge_terraform();
    }

    fn judge_nodes(&mut self) {
        let wanted = self.wanted;
        let some_right = self.nodes.iter().any(|nodes| nodes.arch == Some(wanted));
        for nodes in &self.nodes {
            let text = nodes.shown();
            match nodes.arch {
                Some(arch) if arch == wanted => {}
                // Beside right ones, wrong nodes need a selector and are no mismatch by themselves.
                Some(_) if some_right && !self.images.is_empty() => {
                    self.notes.push(format!(
                        "{text}: pods need `nodeSelector: {{kubernetes.io/arch: {wanted}}}`"
                    ));
                }
                Some(_) if !self.images.is_empty() => {
                    self.mismatches
                        .push(format!("{text}, and the images are for {wanted}"));
                }
                Some(_) | None => self.notes.push(text),
            }
        }
    }

    fn judge_terraform(&mut self) {
        let wanted = self.wanted;
        for mention in &self.terraform {
            let name = &mention.instance_type;
            let Some(arch) = instance::arch(name).filter(|arch| *arch != wanted) else {
                continue;
            };
            let instead = instance::counterpart(name, wanted);
            let instead = instead.map_or_else(String::new, |name| format!("; use `{name}`"));
            let (file, path) = (mention.file.display(), &mention.path);
            let text = format!(
                "{file}: {path} has `{name}`, which is {arch}, and the images are for {wanted}{instead}"
            );
            let is_nodes = path.ends_with("instance_types");
            if is_nodes && !self.images.is_empty() {
                self.mismatches.push(text);
            } else {
                self.notes.push(text);
            }
        }
    }
}

/// A node group as the EKS API describes it: by its machine image's type, or by its instance types where that is custom.
pub fn of_group(name: &str, ami_type: &str, instance_types: &[String]) -> Nodes {
    // `AL2023_ARM_64_STANDARD`, `AL2023_x86_64_STANDARD`, `BOTTLEROCKET_ARM_64_FIPS` …
    let by_image = match (
        ami_type.contains("ARM_64"),
        ami_type.contains(Arch::Amd64.uname()),
    ) {
        (true, _) => Some(Arch::Arm64),
        (_, true) => Some(Arch::Amd64),
        _ => None,
    };
    let mut by_type: Vec<_> = instance_types
        .iter()
        .filter_map(|name| instance::arch(name))
        .collect();
    by_type.dedup();
    let arch = by_image.or(if let [only] = by_type.as_slice() {
        Some(*only)
    } else {
        None
    });
    let evidence = format!(
        "{ami_type}, {}",
        if instance_types.is_empty() {
            "no instance types".to_owned()
        } else {
            instance_types.join(", ")
        }
    );
    Nodes {
        source: "EKS".to_owned(),
        name: name.to_owned(),
        arch,
        evidence,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_told_by_its_image_type_first() {
        let arch = |ami: &str, types: &[&str]| {
            of_group(
                "g",
                ami,
                &types.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>(),
            )
            .arch
        };
        assert_eq!(arch("AL2023_ARM_64_STANDARD", &[]), Some(Arch::Arm64));
        assert_eq!(arch("AL2_x86_64", &["t4g.large"]), Some(Arch::Amd64));
        assert_eq!(arch("BOTTLEROCKET_ARM_64", &[]), Some(Arch::Arm64));
        assert_eq!(
            arch("CUSTOM", &["m7g.large", "m6g.large"]),
            Some(Arch::Arm64)
        );
        assert_eq!(arch("CUSTOM", &["m7g.large", "m5.large"]), None);
        assert_eq!(arch("CUSTOM", &[]), None);
    }

    fn report(images: &[&str], archs: &[Option<Arch>], types: &[(&str, &str)]) -> NodeReport {
        let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let mut report = NodeReport::new("dev", Arch::Arm64, own(images), Vec::new());
        report.nodes = archs
            .iter()
            .map(|arch| Nodes {
                source: "EKS".into(),
                name: "g".into(),
                arch: *arch,
                evidence: "x".into(),
            })
            .collect();
        let mention = |(path, name): &(&str, &str)| Mention {
            file: "main.tf".into(),
            path: (*path).into(),
            instance_type: (*name).into(),
        };
        report.terraform = types.iter().map(mention).collect();
        report.judge();
        report
    }

    #[test]
    fn nodes_of_another_cpu_are_a_mismatch_where_none_is_right_and_a_note_beside_right_ones() {
        let (right, wrong) = (Some(Arch::Arm64), Some(Arch::Amd64));
        let counts = |report: &NodeReport| (report.mismatches.len(), report.notes.len());
        assert_eq!(counts(&report(&["api"], &[right], &[])), (0, 0));
        let alone = report(&["api"], &[wrong, None], &[]);
        assert_eq!(
            alone.mismatches,
            ["EKS g is amd64 (x), and the images are for arm64"]
        );
        assert_eq!(alone.notes, ["EKS g is of an unknown CPU (x)"]);
        let mixed = report(&["api"], &[wrong, right], &[]);
        assert_eq!(counts(&mixed), (0, 1));
        assert!(mixed.notes[0].contains("nodeSelector"), "{mixed:?}");
        let none = report(&[], &[wrong], &[]);
        assert_eq!(counts(&none), (0, 2), "no image is for them: {none:?}");
    }

    #[test]
    fn instance_types_of_node_groups_are_mismatches_and_others_are_notes() {
        let found = report(
            &["api"],
            &[],
            &[
                ("eks.instance_types", "t3.large"),
                ("web.instance_type", "m5.large"),
                ("eks.instance_types", "m7g.large"),
            ],
        );
        assert_eq!(
            found.mismatches,
            [
                "main.tf: eks.instance_types has `t3.large`, which is amd64, and the images are for arm64; use `t4g.large`"
            ]
        );
        assert!(
            found.notes.len() == 1 && found.notes[0].contains("web.instance_type"),
            "{found:?}"
        );
        assert_eq!(
            report(&[], &[], &[("eks.instance_types", "t3.large")]).mismatches,
            [""; 0]
        );
    }
}
