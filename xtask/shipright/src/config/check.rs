//! The structure of deploy.toml against its schema: unknown keys, missing keys and values of the wrong type.
//!
//! serde stops at the first of these. This walk finds them all, each with its place, and it needs no list of its own:
//! what is allowed is read from the schema that the types generate.

use std::ops::Range;

use serde_json::{Map, Value};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{model::suggestion::suggestion, problem::Problem};

/// Compares a parsed file with the schema. Returns everything that does not fit, and the places of values that have the
/// wrong type.
pub(super) fn structure(
    table: &Spanned<DeTable<'_>>,
    schema: &Value,
) -> (Vec<Problem>, Vec<Range<usize>>) {
    let mut walk = Walk {
        definitions: schema.get("$defs"),
        problems: Vec::new(),
        wrong_types: Vec::new(),
    };
    walk.table(table.get_ref(), table.span(), schema, "");
    (walk.problems, walk.wrong_types)
}

/// The file with every pair whose value has the wrong type blanked out; all other bytes keep their places.
pub(super) fn without_wrong_types(
    source: &str,
    table: &Spanned<DeTable<'_>>,
    wrong_types: &[Range<usize>],
) -> String {
    let mut pairs = Vec::new();
    pairs_of(table.get_ref(), &mut pairs);
    let wrong = pairs
        .into_iter()
        .filter(|(_, value)| wrong_types.contains(value));
    let mut bytes = source.as_bytes().to_vec();
    for (key, value) in wrong {
        for byte in bytes[key.start.min(value.start)..value.end]
            .iter_mut()
            .filter(|byte| **byte != b'\n')
        {
            *byte = b' ';
        }
    }
    // Blanking whole tokens leaves whole characters; where it does not, the unchanged file is checked.
    String::from_utf8(bytes).unwrap_or_else(|_| source.to_owned())
}

fn pairs_of(table: &DeTable<'_>, pairs: &mut Vec<(Range<usize>, Range<usize>)>) {
    for (key, value) in table {
        pairs.push((key.span(), value.span()));
        if let DeValue::Table(inner) = value.get_ref() {
            pairs_of(inner, pairs);
        }
    }
}

struct Walk<'s> {
    definitions: Option<&'s Value>,
    problems: Vec<Problem>,
    wrong_types: Vec<Range<usize>>,
}

impl<'s> Walk<'s> {
    fn table(&mut self, table: &DeTable<'_>, span: Range<usize>, schema: &'s Value, path: &str) {
        let schema = resolve(schema, self.definitions);
        let properties = schema.get("properties").and_then(Value::as_object);
        let additional = schema
            .get("additionalProperties")
            .filter(|rest| rest.is_object());
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let inner = if path.is_empty() {
                name.to_owned()
            } else {
                format!("{path}.{name}")
            };
            match properties.and_then(|all| all.get(name)).or(additional) {
                Some(schema) => self.value(value, schema, &inner),
                None => self.problems.push(Problem {
                    span: key.span(),
                    title: unknown_key(name, path),
                    cure: suggestion(
                        name,
                        properties
                            .into_iter()
                            .flat_map(Map::keys)
                            .map(String::as_str),
                    ),
                }),
            }
        }
        let required = schema
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str);
        for key in required.filter(|key| !table.contains_key(*key)) {
            let place = if path.is_empty() {
                "the file".to_owned()
            } else {
                format!("`[{path}]`")
            };
            let about = properties
                .and_then(|all| all.get(key))
                .and_then(|p| p.get("description"))
                .and_then(Value::as_str)
                .unwrap_or_default();
            self.problems.push(Problem {
                span: span.clone(),
                title: format!("{place} lacks the key `{key}`"),
                cure: format!("add `{key} = …`: {}", first_sentence(about)),
            });
        }
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>, schema: &'s Value, path: &str) {
        let definitions = self.definitions;
        let expected = expected_types(schema, definitions);
        let schema = resolve(schema, definitions);
        let found = type_name(value.get_ref());
        if !expected.is_empty() && !expected.contains(&found) {
            let wanted = expected.join(" or ");
            self.wrong_types.push(value.span());
            self.problems.push(Problem {
                span: value.span(),
                title: format!(
                    "`{path}` must be {}, not {}",
                    with_article(&wanted),
                    with_article(found)
                ),
                cure: wrong_type_cure(path, &wanted, value.get_ref()),
            });
            return;
        }
        match value.get_ref() {
            DeValue::Table(table) => self.table(table, value.span(), schema, path),
            DeValue::Array(array) => {
                for (index, item) in array.iter().enumerate() {
                    if let Some(items) = schema.get("items") {
                        self.value(item, items, &format!("{path}[{index}]"));
                    }
                }
            }
            _ => {}
        }
    }
}

fn unknown_key(name: &str, path: &str) -> String {
    if path.is_empty() {
        format!("unknown key `{name}`")
    } else {
        format!("unknown key `{name}` in `{path}`")
    }
}

/// Follows `$ref`, and the one real branch of an optional value.
fn resolve<'a>(schema: &'a Value, definitions: Option<&'a Value>) -> &'a Value {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let name = reference.rsplit('/').next().unwrap_or_default();
        return definitions
            .and_then(|all| all.get(name))
            .map_or(schema, |found| resolve(found, definitions));
    }
    let branches = schema.get("anyOf").and_then(Value::as_array);
    let real = branches.and_then(|all| {
        all.iter()
            .find(|branch| branch.get("type").and_then(Value::as_str) != Some("null"))
    });
    real.map_or(schema, |branch| resolve(branch, definitions))
}

fn expected_types<'a>(schema: &'a Value, definitions: Option<&'a Value>) -> Vec<&'a str> {
    let branches = schema.get("anyOf").and_then(Value::as_array);
    if let Some(branches) = branches {
        let types = branches
            .iter()
            .flat_map(|branch| expected_types(branch, definitions));
        return types.collect();
    }
    let schema = resolve(schema, definitions);
    if schema.get("anyOf").is_some() {
        return expected_types(schema, definitions);
    }
    if schema.get("oneOf").is_some() || schema.get("enum").is_some() {
        return vec!["string"];
    }
    let words = match schema.get("type") {
        Some(Value::String(word)) => vec![word.as_str()],
        Some(Value::Array(words)) => words.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    // TOML has dates of its own, which JSON has not.
    let is_date = schema.get("format").and_then(Value::as_str) == Some("date");
    words
        .into_iter()
        .chain(is_date.then_some("datetime"))
        .filter(|word| *word != "null")
        .map(|word| match word {
            "object" => "table",
            other => other,
        })
        .collect()
}

fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "string",
        DeValue::Integer(_) => "integer",
        DeValue::Float(_) => "float",
        DeValue::Boolean(_) => "boolean",
        DeValue::Datetime(_) => "datetime",
        DeValue::Array(_) => "array",
        DeValue::Table(_) => "table",
    }
}

fn with_article(word: &str) -> String {
    let vowel = word.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {word}", if vowel { "an" } else { "a" })
}

fn wrong_type_cure(path: &str, wanted: &str, found: &DeValue<'_>) -> String {
    let key = path.rsplit('.').next().unwrap_or(path);
    let literal = match found {
        DeValue::Integer(number) => number.as_str().to_owned(),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::String(text) => text.to_string(),
        DeValue::Datetime(date) => date.to_string(),
        DeValue::Array(_) | DeValue::Table(_) => {
            return format!("write `{key}` as {}", with_article(wanted));
        }
    };
    match wanted {
        "string" => format!("write it in quotes: `{key} = \"{literal}\"`"),
        "string or datetime" => format!("write it as a date: `{key} = 2026-12-31`"),
        "boolean" => format!("write `{key} = true` or `{key} = false`, without quotes"),
        "integer" => format!("write `{key}` as a whole number without quotes"),
        "array" => format!("write it in brackets: `{key} = [\"{literal}\"]`"),
        "table" => format!("write `{key}` as a table: `[{path}]`"),
        other => format!("write `{key}` as {}", with_article(other)),
    }
}

fn first_sentence(text: &str) -> String {
    let line = text.replace('\n', " ");
    line.split_once(". ")
        .map_or(line.as_str(), |(first, _)| first)
        .trim_end_matches('.')
        .to_owned()
}
