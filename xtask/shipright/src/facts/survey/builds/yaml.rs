//! YAML, as far as builds are in it.

use serde_json::Value;

/// The documents of a file.
///
/// # Errors
/// What is no YAML, in one line.
pub(super) fn documents(text: &str) -> Result<Vec<Value>, String> {
    // Aliases of one anchor by the hundred are usual; what they expand to stays bounded by the other limits.
    let options = serde_saphyr::options! {
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        budget: serde_saphyr::budget! { enforce_alias_anchor_ratio: false },
    };
    serde_saphyr::from_multiple_with_options(text, options)
        .map_err(|error| first_line(&error.to_string()))
}

/// A scalar as text.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Names and values: of a table, or of a list of `NAME=VALUE`.
pub(super) fn pairs(value: &Value) -> Vec<(String, String)> {
    match value {
        Value::Object(table) => table
            .iter()
            .filter_map(|(key, value)| Some((key.clone(), text(value)?)))
            .collect(),
        Value::Array(items) => items.iter().filter_map(|item| pair(&text(item)?)).collect(),
        _ => Vec::new(),
    }
}

fn pair(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=')?;
    Some((name.to_owned(), value.to_owned()))
}

/// Texts: of a list, or of one with a line or a comma between them.
pub(super) fn list(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().filter_map(text).collect(),
        Value::String(text) => text
            .split(['\n', ','])
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect(),
        _ => Vec::new(),
    }
}

/// What an error says, in one line: parsers draw a picture around it.
pub(in crate::facts::survey) fn first_line(said: &str) -> String {
    let is_said = |line: &&str| line.starts_with(|c: char| c.is_alphabetic() || c == '`');
    let mut lines = said
        .lines()
        .map(|line| line.trim_start_matches([' ', '=', '-', '>', '|']));
    lines
        .find(is_said)
        .unwrap_or("it cannot be parsed")
        .trim_start_matches("error: ")
        .to_owned()
}
