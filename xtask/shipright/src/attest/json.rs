//! JSON of which equal values are equal bytes, and which no terminal obeys: documents whose digest has to be the same each time, made
//! of texts that may be anybody's.

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::Value;

/// Writes a value: members in the order of their names, no spaces, nothing but printable ASCII.
pub(super) fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    text
}

fn write(value: &Value, text: &mut String) {
    match value {
        Value::Object(members) => {
            // Whether a map keeps the order of its members is decided by a feature that any crate may ask for.
            let members: BTreeMap<_, _> = members.iter().collect();
            text.push('{');
            for (place, (name, value)) in members.into_iter().enumerate() {
                text.push_str(if place == 0 { "" } else { "," });
                string(name, text);
                text.push(':');
                write(value, text);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (place, item) in items.iter().enumerate() {
                text.push_str(if place == 0 { "" } else { "," });
                write(item, text);
            }
            text.push(']');
        }
        Value::String(value) => string(value, text),
        Value::Null | Value::Bool(_) | Value::Number(_) => text.push_str(&value.to_string()),
    }
}

/// Marks that turn the direction of a text, and the control characters beyond ASCII, are escaped as those of ASCII are.
fn string(value: &str, text: &mut String) {
    let mut units = [0; 2];
    text.push('"');
    for c in value.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            ' '..='~' => text.push(c),
            _ => {
                for unit in c.encode_utf16(&mut units) {
                    let _ = write!(text, "\\u{unit:04x}");
                }
            }
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_is_the_same_after_it_was_written_and_is_plain_ascii() {
        let hostile = "a\"b\\c\u{1b}[31m\u{9b}1m\u{202e}\u{0}\n\u{1f980}\u{7f}é";
        let value = json!({ "b": [1, 2.5, null, true, {}], "a": hostile, hostile: [] });
        let text = canonical(&value);
        assert!(
            text.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        assert_eq!(
            canonical(&json!({ "b": 1, "a": { "d": 1, "c": "" } })),
            r#"{"a":{"c":"","d":1},"b":1}"#
        );
    }
}
