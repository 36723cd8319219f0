//! `# xtask: allow RULE reason`: what somebody has looked at and wants to keep.

use std::ops::Range;

use super::{RULES, SYNTAX_DIRECTIVE};
use crate::Finding;

/// `# xtask: allow RULE reason`, above the instruction that it is about or inside it.
pub(super) struct Allowances(Vec<Allowance>);

struct Allowance {
    rule: String,
    reason: String,
    span: Range<usize>,
    /// Where the next line that is no comment begins.
    next: usize,
}

impl Allowances {
    pub(super) fn of(text: &str) -> Self {
        let mut found: Vec<Allowance> = Vec::new();
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            let trimmed = line.trim();
            if let Some(words) = trimmed
                .strip_prefix('#')
                .and_then(|rest| rest.trim_start().strip_prefix("xtask: allow"))
            {
                let (rule, reason) = words
                    .trim()
                    .split_once(char::is_whitespace)
                    .unwrap_or((words.trim(), ""));
                found.push(Allowance {
                    rule: rule.to_owned(),
                    reason: reason.trim().to_owned(),
                    span: at..at + line.trim_end().len(),
                    next: 0,
                });
            } else if !trimmed.is_empty() && !trimmed.starts_with('#') {
                found
                    .iter_mut()
                    .filter(|one| one.next == 0)
                    .for_each(|one| one.next = at.max(1));
            }
            at += line.len();
        }
        Self(found)
    }

    pub(super) fn silences(&self, rule: &str, span: &Range<usize>, text: &str) -> bool {
        let line = text[..span.start.min(text.len())]
            .rfind('\n')
            .map_or(0, |at| at + 1);
        self.0.iter().any(|one| {
            one.rule == rule
                && !one.reason.is_empty()
                && (one.next == line.max(1) || rule == SYNTAX_DIRECTIVE)
        })
    }

    /// Allowances that allow nothing.
    pub(super) fn mistakes(&self) -> Vec<Finding> {
        let known = |one: &&Allowance| RULES.iter().any(|rule| rule.name == one.rule);
        let nameless = self.0.iter().filter(|one| !known(one)).map(|one| Finding {
            rule: None,
            span: one.span.clone(),
            what: format!("`{}` is no rule", one.rule.escape_debug()),
            cure: format!("write one of {}", names().join(", ")),
            is_note: false,
        });
        let reasonless = self
            .0
            .iter()
            .filter(known)
            .filter(|one| one.reason.is_empty())
            .map(|one| Finding {
                rule: None,
                span: one.span.clone(),
                what: format!("`# xtask: allow {}` gives no reason", one.rule),
                cure: "say why after the rule's name".to_owned(),
                is_note: false,
            });
        nameless.chain(reasonless).collect()
    }
}

/// The names of all rules. A name may stand for a mistake and for a note.
fn names() -> Vec<&'static str> {
    let mut names = RULES.map(|rule| rule.name).to_vec();
    names.dedup();
    names
}
