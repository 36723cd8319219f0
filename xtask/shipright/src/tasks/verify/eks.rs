//! `verify eks`: whether the nodes are of the CPU that the images are for.
//!
//! Three places tell: the EKS API, `kubectl`, and Terraform files, which say what the nodes will be. Each is asked where it
//! can be reached.

use std::process::ExitCode;

use anyhow::Result;
use serde::Serialize;

use super::super::{Context, reach::Reached};
use crate::{
    arch::Arch,
    cli::VerifyEnvironment,
    facts::{
        nodes::{self, Nodes},
        terraform::{self, Mention},
    },
    model::target::Target,
    plan::{Selected, instance},
    report::document,
};

/// What `--json` prints.
#[derive(Serialize)]
pub struct Document {
    wanted: Arch,
    images: Vec<String>,
    /// Images that have one for each CPU: every node runs them.
    image_indexes: Vec<String>,
    /// Nodes and groups of them.
    pub nodes: Vec<Nodes>,
    terraform: Vec<Mention>,
    /// What is worth knowing.
    pub notes: Vec<String>,
    /// What is wrong.
    pub mismatches: Vec<String>,
}

/// Compares nodes with the images meant for them.
pub fn eks(context: &Context, arguments: &VerifyEnvironment) -> Result<ExitCode> {
    let reached = Reached::open(context, &arguments.environment)?;
    let selected = reached.selected(&arguments.service)?;
    let all = selected.iter().filter(|one| one.image.target.runs_on_nodes());
    let (lists, images): (Vec<_>, Vec<_>) = all.partition(|one| one.image.multi_arch);
    let names = |all: Vec<&Selected<'_>>| all.into_iter().map(Selected::name).collect();
    Ok(show(context, &look(&reached, names(images), names(lists))))
}

/// Reads what the nodes are, and compares them with images for one CPU; image indexes run on every node.
pub fn look(reached: &Reached, images: Vec<String>, image_indexes: Vec<String>) -> Document {
    let environment = &reached.environment;
    let wanted = reached.config.arch(Target::Eks);
    let mut document = Document {
        wanted,
        images,
        image_indexes,
        nodes: Vec::new(),
        terraform: Vec::new(),
        notes: Vec::new(),
        mismatches: Vec::new(),
    };
    document.notes.extend(document.image_indexes.iter().map(|name| format!("{name} is for both CPUs: every node runs it")));
    if document.images.is_empty() && document.image_indexes.is_empty() {
        document.notes.push(format!("no image of `{}` is for EKS", environment.name));
    }
    match &environment.cluster {
        Some(cluster) => match reached.aws.reader().node_groups(cluster) {
            Ok(groups) => document.nodes.extend(groups),
            Err(error) => document.notes.push(format!("the EKS API cannot be asked: {error:#}")),
        },
        None => {
            document
                .notes
                .push(format!("`cluster` of [environments.{}] is not set: the EKS API was not asked", environment.name));
        }
    }
    match nodes::from_kubectl(environment.kube_context.as_deref(), environment.cluster.as_deref()) {
        Some(found) => document.nodes.extend(found),
        None => document.notes.push("kubectl reaches no cluster: nodes were not listed".to_owned()),
    }
    let (mentions, unread) = terraform::instance_types(&reached.config.root);
    document.notes.extend(unread.into_iter().map(|file| format!("this Terraform file cannot be read: {file}")));
    document.terraform = mentions;
    judge(&mut document);
    document
}

fn judge(document: &mut Document) {
    let wanted = document.wanted;
    let is_right = |nodes: &&Nodes| nodes.arch == Some(wanted);
    let some_right = document.nodes.iter().any(|nodes| is_right(&nodes));
    for nodes in &document.nodes {
        let text = format!("{} {} is {} ({})", nodes.source, nodes.name, named(nodes.arch), nodes.evidence);
        match nodes.arch {
            Some(arch) if arch == wanted => {}
            // Beside right ones, wrong nodes need a selector and are no mismatch by themselves.
            Some(_) if some_right && !document.images.is_empty() => {
                document.notes.push(format!("{text}: pods need `nodeSelector: {{kubernetes.io/arch: {wanted}}}`"));
            }
            Some(_) if !document.images.is_empty() => {
                document.mismatches.push(format!("{text}, and the images are for {wanted}"));
            }
            Some(_) | None => document.notes.push(text),
        }
    }
    for mention in &document.terraform {
        let Some(arch) = instance::arch(&mention.instance_type).filter(|arch| *arch != wanted) else { continue };
        let instead =
            instance::counterpart(&mention.instance_type, wanted).map_or_else(String::new, |name| format!("; use `{name}`"));
        let text = format!(
            "{}: {} has `{}`, which is {arch}, and the images are for {wanted}{instead}",
            mention.file.display(),
            mention.path,
            mention.instance_type
        );
        let is_nodes = mention.path.ends_with("instance_types");
        if is_nodes && !document.images.is_empty() { document.mismatches.push(text) } else { document.notes.push(text) }
    }
}

fn named(arch: Option<Arch>) -> String {
    arch.map_or_else(|| "of an unknown CPU".to_owned(), |arch| arch.to_string())
}

fn show(context: &Context, document: &Document) -> ExitCode {
    if context.global.json {
        document::print(document);
    }
    let terminal = &context.terminal;
    for nodes in document.nodes.iter().filter(|nodes| nodes.arch == Some(document.wanted)) {
        terminal.status("Looked at", &format!("{} {} is {} ({})", nodes.source, nodes.name, named(nodes.arch), nodes.evidence));
    }
    terminal.status(
        "Looked at",
        &format!("{} nodes or groups, {} instance types in Terraform", document.nodes.len(), document.terraform.len()),
    );
    for note in &document.notes {
        terminal.note(note);
    }
    for mismatch in &document.mismatches {
        terminal.error(mismatch);
    }
    if document.mismatches.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
