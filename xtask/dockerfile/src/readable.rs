//! A Dockerfile as `parse-dockerfile` can read it, every byte at its old place.
//!
//! Two things that BuildKit takes and that parser does not: a heredoc that does not begin the instruction (`RUN cat <<EOF`),
//! and an empty `ENTRYPOINT []`.

use std::borrow::Cow;

/// Turns the bodies of such heredocs into comments, and an empty `ENTRYPOINT` into an empty `CMD`. What a heredoc says is lost
/// to the rules.
pub(crate) fn readable(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut in_instruction = false;
    let mut waiting: Vec<Heredoc> = Vec::new();
    let mut is_changed = false;
    for line in text.split_inclusive('\n') {
        if let Some(Heredoc {
            end,
            strips_tabs,
            is_kept,
        }) = waiting.first()
        {
            let plain = line.trim_end_matches(['\n', '\r']);
            let is_end = if *strips_tabs {
                plain.trim_start_matches('\t') == end
            } else {
                plain == end
            };
            if *is_kept {
                out.push_str(line);
            } else {
                out.push_str(&commented(line));
                is_changed = true;
            }
            if is_end {
                waiting.remove(0);
            }
            continue;
        }
        let word = line
            .split_whitespace()
            .next()
            .unwrap_or_default()
            .to_ascii_uppercase();
        let is_comment = line.trim_start().starts_with('#');
        if !in_instruction && word == "RUN" {
            waiting = heredocs(line);
            let command = line
                .split_whitespace()
                .skip(1)
                .find(|word| !word.starts_with("--"));
            // That one the parser reads by itself.
            if let (Some(first), true) = (
                waiting.first_mut(),
                command.is_some_and(|word| word.starts_with("<<")),
            ) {
                first.is_kept = true;
            }
        }
        let bare: String = line.split_whitespace().collect();
        if !in_instruction && bare.eq_ignore_ascii_case("ENTRYPOINT[]") {
            out.push_str(
                &line
                    .to_ascii_uppercase()
                    .replacen("ENTRYPOINT", "CMD       ", 1),
            );
            is_changed = true;
        } else {
            out.push_str(line);
        }
        if !is_comment {
            in_instruction = line.trim_end().ends_with('\\');
        }
    }
    if is_changed {
        Cow::Owned(out)
    } else {
        Cow::Borrowed(text)
    }
}

/// A heredoc that a line begins.
struct Heredoc {
    /// The line that ends it.
    end: String,
    /// Whether tabs before that count for nothing.
    strips_tabs: bool,
    /// Whether its body stays as it is.
    is_kept: bool,
}

/// The heredocs that a line begins. `<<<` is another thing, and so
/// is `<<` before a space or a number, as in arithmetic.
fn heredocs(line: &str) -> Vec<Heredoc> {
    let mut found = Vec::new();
    for (at, _) in line.match_indices("<<") {
        let after = &line[at + 2..];
        if after.starts_with('<') || line[..at].ends_with('<') {
            continue;
        }
        let (strips_tabs, after) = after
            .strip_prefix('-')
            .map_or((false, after), |rest| (true, rest));
        let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''));
        let after = quote.map_or(after, |_| &after[1..]);
        let end = after
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .unwrap_or(after.len());
        let word = &after[..end];
        if word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            found.push(Heredoc {
                end: word.to_owned(),
                strips_tabs,
                is_kept: false,
            });
        }
    }
    found
}

/// A line of as many bytes that says nothing.
fn commented(line: &str) -> String {
    let end = line.len() - line.trim_end_matches(['\n', '\r']).len();
    let (body, end) = line.split_at(line.len() - end);
    let blank = if body.is_empty() {
        String::new()
    } else {
        format!("#{}", " ".repeat(body.len() - 1))
    };
    blank + end
}
