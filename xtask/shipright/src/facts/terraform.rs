//! Instance types in Terraform files: what the nodes will be when somebody applies them.

use std::path::{Path, PathBuf};

use crate::model::nodes::Mention;

/// How deep directories are searched, and how many files are read.
const DEPTH: usize = 8;
const FILES: usize = 2000;

/// Every instance type in `instance_types` and `instance_type` of the Terraform files below a directory, and the files that
/// could not be read.
pub fn instance_types(root: &Path) -> (Vec<Mention>, Vec<String>) {
    let mut files = Vec::new();
    find(root, DEPTH, &mut files);
    files.sort();
    let (mut mentions, mut unread) = (Vec::new(), Vec::new());
    for file in files {
        let shown = file.strip_prefix(root).unwrap_or(&file).to_path_buf();
        let body = std::fs::read_to_string(&file)
            .map_err(|error| error.to_string())
            .and_then(|text| parse(&text));
        match body {
            Ok(found) => mentions.extend(found.into_iter().map(|(path, instance_type)| Mention {
                file: shown.clone(),
                path,
                instance_type,
            })),
            Err(reason) => unread.push(format!(
                "{}: {}",
                shown.display(),
                reason.lines().next().unwrap_or_default()
            )),
        }
    }
    (mentions, unread)
}

fn find(directory: &Path, depth: usize, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let (path, name) = (
            entry.path(),
            entry.file_name().to_string_lossy().into_owned(),
        );
        let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if files.len() >= FILES
            || name.starts_with('.')
            || matches!(name.as_str(), "target" | "node_modules")
        {
            continue;
        }
        if is_directory && depth > 0 {
            find(&path, depth - 1, files);
        } else if path.extension().is_some_and(|end| end == "tf") {
            files.push(path);
        }
    }
}

fn parse(text: &str) -> Result<Vec<(String, String)>, String> {
    let body: hcl::Body = hcl::parse(text).map_err(|error| error.to_string())?;
    let mut found = Vec::new();
    walk_body(&body, "", &mut found);
    Ok(found)
}

fn walk_body(body: &hcl::Body, path: &str, found: &mut Vec<(String, String)>) {
    for structure in body {
        match structure {
            hcl::Structure::Attribute(attribute) => {
                walk(&attribute.expr, &join(path, &attribute.key), found);
            }
            hcl::Structure::Block(block) => {
                let labels = block.labels.iter().map(hcl::BlockLabel::as_str);
                let name = std::iter::once(block.identifier.as_str())
                    .chain(labels)
                    .collect::<Vec<_>>()
                    .join(".");
                walk_body(&block.body, &join(path, &name), found);
            }
        }
    }
}

fn walk(expression: &hcl::Expression, path: &str, found: &mut Vec<(String, String)>) {
    let is_key = path.ends_with("instance_types") || path.ends_with("instance_type");
    match expression {
        hcl::Expression::String(text) if is_key => found.push((path.to_owned(), text.clone())),
        hcl::Expression::Array(items) => items.iter().for_each(|item| walk(item, path, found)),
        hcl::Expression::Object(object) => {
            for (key, value) in object {
                walk(value, &join(path, &key.to_string()), found);
            }
        }
        _ => {}
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instance_types_are_found_in_blocks_objects_and_modules() {
        let text = r#"
            module "eks" {
              node_groups = { main = { instance_types = ["t4g.medium", "t3.large"] } }
            }
            resource "aws_eks_node_group" "old" {
              instance_types = [var.type, "m5.large"]
            }
            resource "aws_launch_template" "x" { instance_type = "c7g.large" }
        "#;
        let found = parse(text).unwrap();
        let types: Vec<_> = found.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(types, ["t4g.medium", "t3.large", "m5.large", "c7g.large"]);
        assert!(
            found[0].0.contains("module.eks") && found[2].0.contains("aws_eks_node_group.old"),
            "{found:?}"
        );
        assert!(parse("this { is not").is_err());
    }
}
