//! The one JSON document on standard output.

use std::io::Write;

use serde::Serialize;

/// Prints a document. A reader that has gone away is no error of ours.
pub fn print(document: &impl Serialize) {
    let text = serde_json::to_string_pretty(document).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"));
    text_line(&text);
}

/// Prints text that was asked for by name, such as a schema or a script.
pub fn text_line(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{}", text.trim_end());
    let _ = out.flush();
}
