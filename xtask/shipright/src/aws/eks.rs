//! EKS: the machines of a cluster.

use anyhow::Result;

use super::{Reader, error::explain};
use crate::{model::nodes::Nodes, plan::nodes};

impl Reader<'_> {
    /// The node groups of an EKS cluster.
    ///
    /// # Errors
    /// A cluster that does not exist, or a call that fails.
    pub fn node_groups(&self, cluster: &str) -> Result<Vec<Nodes>> {
        let about = format!("cluster `{cluster}`");
        self.0.runtime.block_on(async {
            let mut pages = self
                .0
                .eks
                .list_nodegroups()
                .cluster_name(cluster)
                .into_paginator()
                .items()
                .send();
            let mut groups = Vec::new();
            while let Some(name) = pages.next().await {
                let name = name.map_err(|e| explain("eks:ListNodegroups", &about, &e))?;
                let call = self
                    .0
                    .eks
                    .describe_nodegroup()
                    .cluster_name(cluster)
                    .nodegroup_name(&name)
                    .send();
                let answer = call.await.map_err(|e| {
                    explain("eks:DescribeNodegroup", &format!("`{name}` of {about}"), &e)
                })?;
                let Some(group) = answer.nodegroup() else {
                    continue;
                };
                let ami_type = group.ami_type().map_or("CUSTOM", |kind| kind.as_str());
                groups.push(nodes::of_group(&name, ami_type, group.instance_types()));
            }
            Ok(groups)
        })
    }
}
