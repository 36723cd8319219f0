//! What Terraform files say of AWS: repositories, and what runs images, with names and CPUs.

use hcl::{
    Block, Body, Expression,
    template::{Element, Template},
};

use super::builds::first_line;
use crate::{
    arch::Arch,
    model::target::Target,
    plan::init::{FoundTerraform, FoundWorkload},
};

/// Adds what one file says.
///
/// # Errors
/// What is no HCL, in one line.
pub(super) fn read(found: &mut FoundTerraform, path: &str, text: &str) -> Result<(), String> {
    let body: Body = hcl::parse(text).map_err(|error| first_line(&error.to_string()))?;
    for block in body.blocks() {
        let labels: Vec<_> = block.labels().iter().map(hcl::BlockLabel::as_str).collect();
        match (block.identifier(), labels.as_slice()) {
            ("provider", ["aws"]) => provider(found, path, block.body()),
            ("resource", [kind, label]) => resource(found, path, (kind, label), block.body()),
            _ => {}
        }
    }
    Ok(())
}

fn provider(found: &mut FoundTerraform, path: &str, body: &Body) {
    let file = path.to_owned();
    if let Some(region) = literal(body, "region") {
        found.region.get_or_insert((region, file.clone()));
    }
    let accounts = attribute(body, "allowed_account_ids");
    if let Some(Expression::Array(all)) = accounts
        && let [Expression::String(only)] = all.as_slice()
    {
        found.account.get_or_insert((only.clone(), file));
    }
}

fn resource(found: &mut FoundTerraform, path: &str, (kind, label): (&str, &str), body: &Body) {
    let file = path.to_owned();
    let name = |key: &str| attribute(body, key).and_then(pattern);
    let workload = |target, name: Option<String>, arch| FoundWorkload {
        target,
        label: format!("{kind}.{label}"),
        name,
        arch,
        file: file.clone(),
    };
    match kind {
        "aws_ecr_repository" => {
            let name = literal(body, "name");
            found.repositories.extend(name.map(|name| (name, file)));
        }
        "aws_ecs_cluster" => {
            if let Some(name) = name("name").filter(|name| !name.contains("{service}")) {
                found.cluster.get_or_insert((name, file));
            }
        }
        "aws_lambda_function" if literal(body, "package_type").as_deref() == Some("Image") => {
            let arch = match attribute(body, "architectures") {
                Some(Expression::Array(all)) => all.first().and_then(arch),
                // Source: `architectures` of aws_lambda_function, "Defaults to ["x86_64"]".
                _ => Some(Arch::Amd64),
            };
            found
                .workloads
                .push(workload(Target::Lambda, name("function_name"), arch));
        }
        "aws_ecs_service" => found
            .workloads
            .push(workload(Target::Ecs, name("name"), None)),
        "aws_ecs_task_definition" => task_definition(found, label, body),
        "aws_apprunner_service" => {
            let name = name("service_name");
            found
                .workloads
                .push(workload(Target::AppRunner, name, None));
        }
        _ => {}
    }
}

/// Source: `runtime_platform` of `aws_ecs_task_definition`; where it is left out, tasks run on `X86_64`.
fn task_definition(found: &mut FoundTerraform, label: &str, body: &Body) {
    let platform = body
        .blocks()
        .find(|block| block.identifier() == "runtime_platform");
    let of = |block: &Block| attribute(block.body(), "cpu_architecture").and_then(arch);
    let arch = platform.map_or(Some(Arch::Amd64), of);
    found.definitions.push((label.to_owned(), arch));
}

/// Gives each service of ECS the CPU of its task definition: of the one that is called alike, or of the only one.
pub(super) fn finish(found: &mut FoundTerraform) {
    let definitions = &found.definitions;
    for service in &mut found.workloads {
        let Some(label) = service.label.strip_prefix("aws_ecs_service.") else {
            continue;
        };
        let alike = definitions.iter().find(|(other, _)| other == label);
        let ((Some(its), _) | (None, [its])) = (alike, definitions.as_slice()) else {
            continue;
        };
        service.arch = its.1;
    }
}

fn attribute<'b>(body: &'b Body, key: &str) -> Option<&'b Expression> {
    body.attributes()
        .find(|one| one.key() == key)
        .map(hcl::Attribute::expr)
}

fn literal(body: &Body, key: &str) -> Option<String> {
    match attribute(body, key)? {
        Expression::String(text) => Some(text.clone()),
        _ => None,
    }
}

fn arch(expression: &Expression) -> Option<Arch> {
    match expression {
        Expression::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// A name, with `{env}` and `{project}` in place of variables that are called so. `None` where it has others.
fn pattern(expression: &Expression) -> Option<String> {
    match expression {
        Expression::String(text) => Some(text.clone()),
        Expression::TemplateExpr(template) => {
            let template = Template::from_expr(template).ok()?;
            let part = |element: &Element| match element {
                Element::Literal(text) => Some(text.clone()),
                Element::Interpolation(one) => variable(&one.expr),
                Element::Directive(_) => None,
            };
            template.elements().iter().map(part).collect()
        }
        _ => None,
    }
}

fn variable(expression: &Expression) -> Option<String> {
    let Expression::Traversal(traversal) = expression else {
        return None;
    };
    let hcl::TraversalOperator::GetAttr(last) = traversal.operators.last()? else {
        return None;
    };
    let name = last.as_str().to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
    if has(&["env", "stage", "workspace"]) {
        return Some("{env}".to_owned());
    }
    has(&["project", "app"]).then(|| "{project}".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_images_is_read_with_names_and_cpus() {
        let text = r#"
            provider "aws" {
              region              = "eu-west-1"
              allowed_account_ids = ["111122223333"]
            }
            resource "aws_ecr_repository" "api" { name = "shop/api" }
            resource "aws_ecs_cluster" "main" { name = "shop-${var.environment}" }
            resource "aws_ecs_service" "api" {
              name            = "${var.project}-${var.env}-api"
              task_definition = aws_ecs_task_definition.api.arn
            }
            resource "aws_ecs_task_definition" "api" {
              family = "api"
              runtime_platform { cpu_architecture = "ARM64" }
            }
            resource "aws_lambda_function" "zip" { function_name = "zip" }
            resource "aws_lambda_function" "worker" {
              function_name = "worker-${random_id.x.hex}"
              package_type  = "Image"
            }
            resource "aws_apprunner_service" "web" { service_name = "web" }
        "#;
        let mut found = FoundTerraform::default();
        read(&mut found, "main.tf", text).unwrap();
        finish(&mut found);
        let rows: Vec<_> = found
            .workloads
            .iter()
            .map(|one| (one.target, one.name.as_deref(), one.arch))
            .collect();
        assert_eq!(
            rows,
            [
                (Target::Ecs, Some("{project}-{env}-api"), Some(Arch::Arm64)),
                (Target::Lambda, None, Some(Arch::Amd64)),
                (Target::AppRunner, Some("web"), None),
            ]
        );
        let file = || "main.tf".to_owned();
        assert_eq!(found.cluster, Some(("shop-{env}".to_owned(), file())));
        assert_eq!(found.region, Some(("eu-west-1".to_owned(), file())));
        assert_eq!(found.account, Some(("111122223333".to_owned(), file())));
        assert_eq!(found.repositories, [("shop/api".to_owned(), file())]);
        assert!(read(&mut found, "main.tf", "resource {").is_err());
    }
}
