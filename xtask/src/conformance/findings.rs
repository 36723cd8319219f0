//! What AWS was asked, what it should answer, and what it did.

use std::error::Error;

use aws_sdk_ecr::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};
use serde_json::{Value, json};
use shipright::report::table::table;

/// What a call that was carried out is called.
pub(super) const DONE: &str = "done";

/// One answer.
struct Finding {
    what: String,
    expected: String,
    found: String,
}

impl Finding {
    fn agrees(&self) -> bool {
        self.expected == self.found
    }
}

/// All answers, in the order of the questions.
#[derive(Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    /// Keeps an answer. Returns whether it is the expected one.
    pub(super) fn hold(&mut self, what: &str, expected: &str, found: impl Into<String>) -> bool {
        let finding = Finding {
            what: what.to_owned(),
            expected: expected.to_owned(),
            found: found.into(),
        };
        let agrees = finding.agrees();
        self.0.push(finding);
        agrees
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// How many are not as expected.
    pub(super) fn differences(&self) -> usize {
        self.0.iter().filter(|one| !one.agrees()).count()
    }

    /// For people: those that differ.
    pub(super) fn shown(&self, width: Option<usize>) -> String {
        let differing = self.0.iter().filter(|one| !one.agrees());
        let row = |one: &Finding| [one.what.clone(), one.expected.clone(), one.found.clone()];
        let rows: Vec<_> = differing.map(row).collect();
        table(&["what", "the tests' AWS", "this AWS"], &rows, width)
    }

    /// For programs: all of them.
    pub(super) fn json(&self) -> Value {
        let one = |one: &Finding| json!({ "what": one.what, "expected": one.expected, "found": one.found, "agrees": one.agrees() });
        self.0.iter().map(one).collect()
    }
}

/// What came of a call, as a word: [`DONE`], AWS's error code, or why there is no answer.
pub(super) fn outcome<T, E>(answer: &Result<T, SdkError<E, HttpResponse>>) -> String
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match answer {
        Ok(_) => DONE.to_owned(),
        Err(error) => match error.code() {
            Some(code) => code.to_owned(),
            None => format!("no answer: {error}"),
        },
    }
}
