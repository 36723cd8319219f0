//! What is wrong in a file that somebody wrote: every problem with its place and its cure, shown together.

use std::{
    fmt,
    ops::Range,
    path::{Path, PathBuf},
};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use dockerfile_rules::Finding;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::report::terminal::{harmless, printable};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The bytes of the file that it is about.
    pub span: Range<usize>,
    /// What is wrong, naming the key and the value.
    pub title: String,
    /// What to write instead.
    pub cure: String,
}

impl From<Finding> for Problem {
    fn from(finding: Finding) -> Self {
        let title = match finding.rule {
            Some(rule) => format!("{rule}: {}", finding.what),
            None => finding.what,
        };
        Self {
            span: finding.span,
            title,
            cure: finding.cure,
        }
    }
}

/// A file with everything that is wrong in it.
#[derive(Debug)]
pub struct Problems {
    path: PathBuf,
    source: String,
    problems: Vec<Problem>,
}

/// One problem as a program reads it.
#[derive(Debug, Serialize)]
pub struct ProblemReport {
    /// The file, as people call it.
    pub file: String,
    /// From 1.
    pub line: usize,
    column: usize,
    /// What is wrong.
    pub problem: String,
    /// What to write instead.
    pub cure: String,
}

/// One line, as compilers print it.
impl fmt::Display for ProblemReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            problem,
            cure,
            ..
        } = self;
        write!(f, "{file}:{line}: {problem}; {cure}")
    }
}

impl ProblemReport {
    /// Where it is, as a program reads it.
    pub fn fields(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        fields.insert("file".to_owned(), json!(self.file));
        fields.insert("line".to_owned(), json!(self.line));
        fields
    }
}

/// How many problems people are shown. Nobody mends more at once, and each shows its lines of the file.
const SHOWN: usize = 50;

impl Problems {
    /// Puts the problems in the file's order.
    pub fn new(path: PathBuf, source: String, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| (problem.span.start, problem.span.end));
        problems.dedup();
        Self {
            path,
            source,
            problems,
        }
    }

    /// The problems as a person reads them, each with the lines it is about.
    pub fn render(&self) -> String {
        let path = printable(&self.path.display().to_string());
        // As many bytes as before, so that the places stay.
        let source = harmless(&self.source);
        let renderer = Renderer::styled();
        let shown = self.problems.iter().take(SHOWN).map(|problem| {
            let (title, cure) = (printable(&problem.title), printable(&problem.cure));
            let snippet = Snippet::source(source.as_str())
                .path(path.as_str())
                .annotation(AnnotationKind::Primary.span(self.visible(&problem.span)));
            let report = [Level::ERROR
                .primary_title(title)
                .element(snippet)
                .element(Level::HELP.message(cure))];
            renderer.render(&report)
        });
        let more = self
            .problems
            .len()
            .checked_sub(SHOWN)
            .filter(|more| *more > 0);
        shown
            .chain(more.map(|more| format!("… and {more} more")))
            .collect::<Vec<_>>()
            .join("\n\n")
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The problems as a program reads them.
    pub fn report(&self) -> Vec<ProblemReport> {
        let report = |problem: &Problem| {
            let before = &self.source[..self.visible(&problem.span).start];
            ProblemReport {
                file: self.path.display().to_string(),
                line: before.matches('\n').count() + 1,
                column: before.chars().rev().take_while(|c| *c != '\n').count() + 1,
                problem: problem.title.clone(),
                cure: problem.cure.clone(),
            }
        };
        self.problems.iter().map(report).collect()
    }

    /// The first line of a span: a whole table is too much to show, and a span never ends inside a character.
    fn visible(&self, span: &Range<usize>) -> Range<usize> {
        let floor = |at: usize| {
            (0..=at.min(self.source.len()))
                .rev()
                .find(|at| self.source.is_char_boundary(*at))
                .unwrap_or(0)
        };
        let start = floor(span.start);
        let end = floor(span.end).max(start);
        let line_end = self.source[start..]
            .find('\n')
            .map_or(self.source.len(), |length| start + length);
        start..end.min(line_end).max(start)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.problems.len();
        write!(
            f,
            "`{}` is refused: {count} {}",
            self.path.display(),
            if count == 1 { "problem" } else { "problems" }
        )
    }
}

impl std::error::Error for Problems {}
