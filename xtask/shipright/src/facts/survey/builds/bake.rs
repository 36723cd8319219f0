//! Bake files, in HCL and JSON. Source: "Bake file reference" of Docker.

use std::collections::BTreeMap;

use hcl::{
    Body, Expression, Structure,
    template::{Element, Template},
};
use serde_json::{Map, Value, json};

use super::{File, LONGEST, last_name, named_context, places, secret, yaml};
use crate::plan::init::{BuildSource, FoundBuild};

/// Values of variables: none, for one that has no default.
type Variables = BTreeMap<String, Option<String>>;

/// A target that takes what another says may be a chain, but no long one.
const DEEPEST: usize = 10;

pub(super) fn read(file: &File<'_>, text: &str, is_json: bool) -> Result<Vec<FoundBuild>, String> {
    let targets = if is_json {
        let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        value
            .get("target")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default()
    } else {
        targets(&hcl::parse(text).map_err(|error| yaml::first_line(&error.to_string()))?)
    };
    // A target that others take from, and that names no Dockerfile or context of its own, is no image.
    let is_taken = |name: &String| {
        let mut all = targets.values();
        all.any(|other| list(other, "inherits").contains(name))
    };
    let own = |target: &Value| {
        ["context", "dockerfile", "tags"]
            .iter()
            .any(|key| target.get(key).is_some())
    };
    let images = targets
        .iter()
        .filter(|(name, target)| own(target) || !is_taken(name));
    Ok(images
        .map(|(name, _)| build(file, name, &whole(&targets, name, DEEPEST)))
        .collect())
}

fn list(target: &Value, key: &str) -> Vec<String> {
    target.get(key).map(yaml::list).unwrap_or_default()
}

/// A target with what it takes from others.
fn whole(targets: &Map<String, Value>, name: &str, depth: usize) -> Map<String, Value> {
    let Some(own) = targets.get(name).and_then(Value::as_object) else {
        return Map::new();
    };
    let mut all = Map::new();
    let parents = own.get("inherits").map(yaml::list).unwrap_or_default();
    for parent in parents.iter().filter(|_| depth > 0) {
        merge(&mut all, whole(targets, parent, depth - 1));
    }
    merge(&mut all, own.clone());
    all
}

/// Tables are merged, and everything else is replaced.
fn merge(into: &mut Map<String, Value>, from: Map<String, Value>) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Object(old)), Value::Object(new)) => old.extend(new),
            (_, value) => drop(into.insert(key, value)),
        }
    }
}

fn build(file: &File<'_>, name: &str, target: &Map<String, Value>) -> FoundBuild {
    let mut found = file.build(BuildSource::Bake, format!("target `{name}`"));
    found.name = Some(name.to_owned());
    let text = |key: &str| target.get(key).and_then(yaml::text);
    let context = text("context").unwrap_or_else(|| ".".to_owned());
    // Bake is typed at the root of the repository, or beside its file.
    let bases = [file.directory, ""];
    found.places = places(&bases, &context, text("dockerfile").as_deref(), true);
    if found.places.is_empty() {
        found.leave_out("context", &context);
    }
    found.stage = text("target");
    let args = target.get("args").and_then(Value::as_object);
    for (name, value) in args.into_iter().flatten() {
        match yaml::text(value) {
            Some(value) => drop(found.args.insert(name.clone(), value)),
            // A variable without a value sets no argument.
            None if value.is_null() => {}
            None => found.leave_out_arg("args", name, "an expression"),
        }
    }
    for (name, path) in target.get("contexts").map(yaml::pairs).unwrap_or_default() {
        match named_context(file.directory, &path) {
            Some(path) => drop(found.contexts.insert(name, path)),
            None => found.leave_out(&format!("contexts.{name}"), &path),
        }
    }
    found.platforms = target.get("platforms").map(yaml::list).unwrap_or_default();
    found.ssh = target.get("ssh").is_some();
    let secrets = target.get("secret").and_then(Value::as_array);
    let secrets = secrets.into_iter().flatten().filter_map(|one| match one {
        Value::String(text) => secret(text),
        table => {
            let fields = yaml::pairs(table)
                .into_iter()
                .map(|(key, value)| format!("{key}={value}"));
            secret(&fields.collect::<Vec<_>>().join(","))
        }
    });
    found.secrets = secrets.collect();
    let tags = target.get("tags").map(yaml::list).unwrap_or_default();
    found.repository = tags.first().and_then(|tag| last_name(tag));
    for key in ["matrix", "dockerfile-inline"] {
        if target.contains_key(key) {
            found.places.clear();
            found
                .left_out
                .push(format!("it has `{key}`, which deploy.toml cannot say"));
        }
    }
    found
}

/// The targets of a file in HCL, as the same in JSON would have them. What cannot be told without bake is left out.
fn targets(body: &Body) -> Map<String, Value> {
    let mut variables = Variables::new();
    for block in body
        .blocks()
        .filter(|block| block.identifier() == "variable")
    {
        let name = block
            .labels()
            .first()
            .map(|label| label.as_str().to_owned());
        let default = block.body().attributes().find(|one| one.key() == "default");
        let value = default.map_or(Some(Value::Null), |one| value(one.expr(), &variables));
        if let Some((name, value)) = name.zip(value) {
            variables.insert(name, yaml::text(&value));
        }
    }
    let blocks = body.blocks().filter(|block| block.identifier() == "target");
    let target = |block: &hcl::Block| {
        let name = block.labels().first()?.as_str().to_owned();
        let mut target = Map::new();
        for structure in block.body() {
            if let Structure::Attribute(attribute) = structure {
                let said = value(attribute.expr(), &variables);
                target.insert(
                    attribute.key().to_owned(),
                    said.unwrap_or_else(|| json!(null)),
                );
            }
        }
        Some((name, Value::Object(target)))
    };
    blocks.filter_map(target).collect()
}

/// Stands for what only bake can tell.
fn unknown() -> Value {
    json!([])
}

fn value(expression: &Expression, variables: &Variables) -> Option<Value> {
    match expression {
        Expression::String(text) => Some(json!(text)),
        Expression::Number(number) => Some(json!(number.to_string())),
        Expression::Bool(flag) => Some(json!(flag)),
        Expression::Null => Some(Value::Null),
        Expression::Variable(name) => Some(json!(variables.get(name.as_str())?)),
        Expression::Parenthesis(inner) => value(inner, variables),
        Expression::Array(items) => Some(
            items
                .iter()
                .filter_map(|item| value(item, variables))
                .collect(),
        ),
        Expression::Object(object) => {
            let pair = |(key, one): (&hcl::ObjectKey, &Expression)| {
                let value = value(one, variables).unwrap_or_else(unknown);
                Some((key.to_string(), value))
            };
            Some(Value::Object(object.iter().filter_map(pair).collect()))
        }
        Expression::TemplateExpr(template) => {
            let template = Template::from_expr(template).ok()?;
            let part = |element: &Element| match element {
                Element::Literal(text) => Some(text.clone()),
                Element::Interpolation(one) => yaml::text(&value(&one.expr, variables)?),
                Element::Directive(_) => None,
            };
            let parts: Option<String> = template.elements().iter().map(part).collect();
            // A variable of variables grows without bound.
            Some(json!(parts.filter(|text| text.len() <= LONGEST)?))
        }
        _ => None,
    }
}
