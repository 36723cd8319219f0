//! The problems of a deploy.toml that were found so far.

use std::ops::Range;

use super::raw;
use crate::problem::Problem;

/// The problems found so far.
pub(super) struct Finding<'p> {
    problems: &'p mut Vec<Problem>,
}

impl<'p> Finding<'p> {
    /// Adds to these.
    pub(super) fn new(problems: &'p mut Vec<Problem>) -> Self {
        Self { problems }
    }

    /// Adds a problem, unless it is about something that the file does not say.
    pub(super) fn problem(
        &mut self,
        span: &Range<usize>,
        title: impl Into<String>,
        cure: impl Into<String>,
    ) {
        if *span != raw::NOWHERE {
            self.problems.push(Problem {
                span: span.clone(),
                title: title.into(),
                cure: cure.into(),
            });
        }
    }
}
