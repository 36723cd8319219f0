//! Finds in a Dockerfile what makes an image for the wrong CPU, before there is an image.
//!
//! [`Model`] is the file as rules see it, [`check`] is every rule over it.

mod dialect;
mod execution;
mod model;
mod readable;
mod rules;

use std::ops::Range;

pub use model::{Model, Platform, Stage, Step, StepKind};
pub use rules::check;

/// Why the rules have nothing to say about a file: it is for Windows containers, or a template. `None` for other Dockerfiles.
pub fn left_alone(text: &str) -> Option<&'static str> {
    dialect::Dialect::of(text).map(|(dialect, _)| dialect.note().0)
}

/// One thing that is wrong, or worth knowing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule that found it. `None` where the file, or an allowance in it, cannot be understood.
    pub rule: Option<&'static str>,
    /// The bytes of the file that it is about.
    pub span: Range<usize>,
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub cure: String,
    /// Whether it is worth knowing and not wrong.
    pub is_note: bool,
}

#[cfg(test)]
mod tests;
