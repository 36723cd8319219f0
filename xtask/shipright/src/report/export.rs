//! What other tools read: images by their digests, builds as a bake file, old make targets as new commands.

use std::collections::BTreeMap;

use hcl::{Body, Expression, Value, expr::TemplateExpr};
use serde_json::json;

use crate::{
    arch::Arch,
    model::{
        config::{Config, NamedContext, Secret, SecretSource},
        path,
    },
    plan::{self, Selected},
};

/// An image by its digest.
#[derive(Debug, Clone)]
pub struct Exported {
    /// What people call it.
    pub name: String,
    /// Registry and repository.
    pub repository: String,
    /// The digest.
    pub digest: String,
}

impl Exported {
    /// `REPOSITORY@DIGEST`.
    pub fn reference(&self) -> String {
        format!("{}@{}", self.repository, self.digest)
    }
}

/// Variables for a shell: `IMAGE_API='…@sha256:…'`.
pub fn env(images: &[Exported]) -> String {
    let line = |image: &Exported| {
        let name: String = image
            .name
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() {
                    c.to_ascii_uppercase()
                } else {
                    '_'
                }
            })
            .collect();
        format!("IMAGE_{name}='{}'\n", image.reference())
    };
    images.iter().map(line).collect()
}

/// A `.tfvars` file with one map: `images = { "api" = "…@sha256:…" }`.
pub fn tfvars(images: &[Exported]) -> String {
    let map: BTreeMap<_, _> = images
        .iter()
        .map(|image| (image.name.clone(), image.reference()))
        .collect();
    hcl::to_string(&json!({ "images": map })).unwrap_or_default()
}

/// The `images` of a kustomization. Source: Kustomize's reference, "images".
pub fn kustomize(images: &[Exported]) -> String {
    let entry = |image: &Exported| {
        let (name, repository, digest) = (
            json!(image.name),
            json!(image.repository),
            json!(image.digest),
        );
        format!("  - name: {name}\n    newName: {repository}\n    digest: {digest}\n")
    };
    format!("images:\n{}", images.iter().map(entry).collect::<String>())
}

/// Values for a Helm chart, one key for each image.
pub fn helm_values(images: &[Exported]) -> String {
    let entry = |image: &Exported| {
        let (name, repository, digest) = (
            json!(image.name),
            json!(image.repository),
            json!(image.digest),
        );
        format!("  {name}:\n    repository: {repository}\n    digest: {digest}\n")
    };
    format!("images:\n{}", images.iter().map(entry).collect::<String>())
}

/// A `docker-bake.hcl` with the same builds, each for the CPU that its target runs. Source: docker's "Bake file reference".
pub fn bake(config: &Config) -> String {
    let mut body = Body::builder();
    let mut names = Vec::new();
    let mut reads_home = false;
    for selected in plan::all(config) {
        let (name, secrets) = (bake_name(selected), &selected.image.secrets);
        let mut target = hcl::Block::builder("target").add_label(&name);
        for (key, value) in bake_target(config, selected) {
            target = target.add_attribute((key, expression(&value)));
        }
        if !secrets.is_empty() {
            let all = secrets.iter().map(secret);
            target = target.add_attribute(("secret", Expression::Array(all.collect())));
            reads_home |= secrets.iter().any(is_at_home);
        }
        body = body.add_block(target.build());
        names.push(name);
    }
    if reads_home {
        // A variable of bake's has the value of the environment's variable of its name.
        let home = hcl::Block::builder("variable").add_label("HOME");
        body = body.add_block(home.add_attribute(("default", "")).build());
    }
    let group = hcl::Block::builder("group").add_label("default");
    let group = group
        .add_attribute(("targets", expression(&json!(names))))
        .build();
    let all = Body::builder()
        .add_block(group)
        .build()
        .into_iter()
        .chain(body.build());
    hcl::to_string(&all.collect::<Body>()).unwrap_or_default()
}

fn expression(value: &serde_json::Value) -> Expression {
    let value: Value = serde_json::from_value(value.clone()).unwrap_or(Value::Null);
    Expression::from(value)
}

fn bake_target(config: &Config, selected: Selected<'_>) -> Vec<(&'static str, serde_json::Value)> {
    let Selected { service, image } = selected;
    let platforms = config.archs(image).into_iter().map(Arch::platform);
    let platforms: Vec<_> = platforms.collect();
    let context = config.shown(&image.context);
    let mut args = image.build_args.clone();
    args.insert("SERVICE_FOLDER".to_owned(), service.folder.clone());
    let mut labels = config.labels.clone();
    labels.extend(image.labels.clone());
    let contexts: BTreeMap<_, _> = image
        .contexts
        .iter()
        .map(|(name, context)| (name, place(config, context)))
        .collect();
    // From the context, as bake looks it up; above it, by its way back.
    let dockerfile = path::relative(config.shown(&image.file), context);
    let attest = ["type=provenance,disabled=true", "type=sbom,disabled=true"];
    let tag = format!("{}:{}", config.project, selected.name());
    let all = [
        ("context", json!(context)),
        ("dockerfile", json!(dockerfile)),
        ("target", json!(image.stage)),
        ("platforms", json!(platforms)),
        ("contexts", json!(contexts)),
        ("args", json!(args)),
        ("labels", json!(labels)),
        ("ssh", json!(image.ssh)),
        (
            "network",
            json!(image.network.map(|network| network.name())),
        ),
        ("tags", json!([tag])),
        ("attest", json!(attest)),
    ];
    let is_said = |value: &serde_json::Value| match value {
        serde_json::Value::Null => false,
        serde_json::Value::Array(items) => !items.is_empty(),
        serde_json::Value::Object(items) => !items.is_empty(),
        _ => true,
    };
    all.into_iter()
        .filter(|(_, value)| is_said(value))
        .collect()
}

fn place(config: &Config, context: &NamedContext) -> String {
    match context {
        NamedContext::Directory(path) => config.shown(path).display().to_string(),
        NamedContext::Address(address) => address.clone(),
    }
}

/// The name of a target: bake takes letters, digits, `_` and `-`.
fn bake_name(selected: Selected<'_>) -> String {
    selected.name().replace('.', "_")
}

fn is_at_home(secret: &Secret) -> bool {
    matches!(&secret.source, SecretSource::File(file) if file.starts_with("~/"))
}

/// A secret's value is in no file: bake reads it as `docker buildx build` does.
fn secret(secret: &Secret) -> Expression {
    let id = &secret.id;
    match &secret.source {
        SecretSource::Env(variable) => Expression::from(format!("id={id},env={variable}")),
        SecretSource::File(file) => match file.strip_prefix("~/") {
            Some(rest) => {
                let rest = rest.replace("${", "$${").replace("%{", "%%{");
                let text = format!("id={id},src=${{HOME}}/{rest}");
                Expression::from(TemplateExpr::QuotedString(text))
            }
            None => Expression::from(format!("id={id},src={file}")),
        },
    }
}

/// A Makefile of which the old targets call the new commands.
pub fn makefile(config: &Config) -> String {
    let mut rules = vec![
        (
            "docker-build".to_owned(),
            "docker-build $(SELECTED) $(if $(ARCH),--arch $(ARCH))".to_owned(),
        ),
        (
            "docker-build-amd64".to_owned(),
            "docker-build-amd64 $(SELECTED)".to_owned(),
        ),
    ];
    for name in config.environments.keys() {
        rules.push((
            format!("docker-push-{name}"),
            format!("push {name} $(SELECTED)"),
        ));
        rules.push((
            format!("deploy-{name}"),
            format!("deploy {name} $(if $(SERVICE),--service $(SERVICE))"),
        ));
        rules.push((
            format!("rollback-{name}"),
            format!("rollback {name} $(if $(SERVICE),--service $(SERVICE))"),
        ));
    }
    let names: Vec<_> = rules.iter().map(|(name, _)| name.as_str()).collect();
    let rule = |(name, command): &(String, String)| format!("\n{name}:\n\t$(XTASK) {command}\n");
    format!(
        "# Made by `cargo xtask export makefile`: the old targets call the new commands.\n\
         XTASK ?= cargo xtask\n\
         SELECTED = $(if $(SERVICE),--service $(SERVICE)) $(if $(DOCKERFILE),--dockerfile $(DOCKERFILE))\n\
         \n.PHONY: {}\n{}",
        names.join(" "),
        rules.iter().map(rule).collect::<String>()
    )
}
