//! What the nodes of an environment's cluster are: the EKS API, `kubectl` and Terraform files, which say what they will be, are
//! each asked where they can be reached.

use super::kubectl;
use crate::{facts::terraform, model::target::Target, plan::nodes::NodeReport, session::Session};

/// Reads what the nodes are, and compares them with images for one CPU; image indexes run on every node.
pub fn look(session: &Session<'_>, images: Vec<String>, image_indexes: Vec<String>) -> NodeReport {
    let environment = session.environment;
    let wanted = session.config.arch(Target::Eks);
    let mut report = NodeReport::new(&environment.name, wanted, images, image_indexes);
    match &environment.cluster {
        Some(cluster) => match session.aws.reader().node_groups(cluster) {
            Ok(groups) => report.nodes.extend(groups),
            Err(error) => report
                .notes
                .push(format!("the EKS API cannot be asked: {error:#}")),
        },
        None => {
            let name = &environment.name;
            report.notes.push(format!(
                "`cluster` of [environments.{name}] is not set: the EKS API was not asked"
            ));
        }
    }
    match kubectl::nodes(
        environment.kube_context.as_deref(),
        environment.cluster.as_deref(),
    ) {
        Some(found) => report.nodes.extend(found),
        None => report
            .notes
            .push("kubectl reaches no cluster: nodes were not listed".to_owned()),
    }
    let (mentions, unread) = terraform::instance_types(&session.config.root);
    report.notes.extend(
        unread
            .into_iter()
            .map(|file| format!("this Terraform file cannot be read: {file}")),
    );
    report.terraform = mentions;
    report.judge();
    report
}
