//! The steps of a build, and its log in the form that docker's plain progress has.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::{
    BuildStep, FailedStep,
    rawjson::{Event, Log, Status, Vertex},
};
use crate::report::size;

/// The steps of a build, in the order in which BuildKit came to know them.
#[derive(Debug, Default)]
pub(super) struct Steps {
    all: Vec<Step>,
    /// How many have begun.
    begun: usize,
    /// The place of each by its digest.
    places: BTreeMap<String, usize>,
    /// What plain progress says is done, of a buildx that has no other.
    plain: Option<String>,
    /// The number of the step that exports the cache, in plain progress.
    plain_export: Option<String>,
    plain_cache_error: Option<String>,
}

#[derive(Debug, Default)]
struct Step {
    name: String,
    /// Its number in the log: the place in the order in which steps began.
    number: usize,
    started: Option<DateTime<Utc>>,
    is_done: bool,
    is_cached: bool,
    error: Option<String>,
    /// What was printed since the last end of a line.
    rest: Vec<u8>,
    /// What it has printed.
    log: Vec<String>,
    /// Bytes that are there, and all of them, of each part.
    parts: BTreeMap<String, (i64, i64)>,
}

impl Step {
    /// Whether the Dockerfile has it: `[stage 2/5] RUN …`.
    fn is_instruction(&self) -> bool {
        self.name.starts_with('[') && !self.name.starts_with("[internal]")
    }

    fn exports_cache(&self) -> bool {
        self.name.starts_with("exporting cache to ")
    }

    /// The instruction without its stage's number.
    fn instruction(&self) -> &str {
        let after = self
            .name
            .strip_prefix('[')
            .and_then(|rest| rest.split_once("] "));
        after
            .filter(|_| self.is_instruction())
            .map_or(self.name.as_str(), |(_, instruction)| instruction)
    }

    /// What is shown of it while it runs.
    fn shown(&self) -> String {
        let name = self.instruction();
        let (have, all) = self
            .parts
            .values()
            .filter(|(_, total)| *total > 0)
            .fold((0, 0), |(have, all), (current, total)| {
                (have + current, all + total)
            });
        if all > 0 {
            format!("{name} {}/{} MB", megabytes(have), megabytes(all))
        } else {
            name.to_owned()
        }
    }
}

/// Megabytes, rounded.
fn megabytes(bytes: i64) -> i64 {
    bytes.saturating_add(500_000) / 1_000_000
}

impl Steps {
    /// Takes an event, and returns the lines that it adds to the log.
    pub(super) fn take(&mut self, event: Event) -> Vec<String> {
        let mut lines = Vec::new();
        for vertex in event.vertexes {
            self.vertex(&vertex, &mut lines);
        }
        for status in event.statuses {
            self.status(&status, &mut lines);
        }
        for log in event.logs {
            self.log(&log, &mut lines);
        }
        lines
    }

    fn step(&mut self, digest: &str) -> &mut Step {
        let place = *self.places.entry(digest.to_owned()).or_insert_with(|| {
            self.all.push(Step::default());
            self.all.len() - 1
        });
        &mut self.all[place]
    }

    /// The same step, which has begun: it has a number.
    fn begun(&mut self, digest: &str) -> (usize, &mut Step) {
        let next = self.begun + 1;
        if self.step(digest).number == 0 {
            self.step(digest).number = next;
            self.begun = next;
        }
        let step = self.step(digest);
        (step.number, step)
    }

    fn vertex(&mut self, vertex: &Vertex, lines: &mut Vec<String>) {
        let known = self.step(&vertex.digest);
        if !vertex.name.is_empty() {
            known.name.clone_from(&vertex.name);
        }
        if vertex.started.is_none() && vertex.completed.is_none() {
            return;
        }
        let (number, step) = self.begun(&vertex.digest);
        if step.started.is_none() {
            lines.push(format!("#{number} {}", step.name));
        }
        step.started = step.started.or(vertex.started);
        if !vertex.error.is_empty() {
            step.error = Some(vertex.error.clone());
        }
        // A step may be begun again: BuildKit looks into a part of it first.
        step.is_done = vertex.completed.is_some();
        step.is_cached |= vertex.cached;
        let Some(completed) = vertex.completed else {
            return;
        };
        let ending = if let Some(error) = &step.error {
            format!("ERROR: {error}")
        } else if step.is_cached {
            "CACHED".to_owned()
        } else {
            let time = vertex.started.map(|started| completed - started);
            format!("DONE {:.1}s", seconds(time))
        };
        lines.push(format!("#{number} {ending}"));
    }

    fn status(&mut self, status: &Status, lines: &mut Vec<String>) {
        let (number, step) = self.begun(&status.vertex);
        step.parts
            .insert(status.id.clone(), (status.current, status.total));
        if status.completed.is_some() {
            let bytes = u64::try_from(status.current).unwrap_or_default();
            let bytes = match bytes {
                0 => String::new(),
                _ => format!("{} ", size::shown(bytes)),
            };
            lines.push(format!("#{number} {} {bytes}done", status.id));
        }
    }

    fn log(&mut self, log: &Log, lines: &mut Vec<String>) {
        /// Of a step that prints without end, the last lines are kept; the file has all of them.
        const MOST: usize = 10_000;
        /// A longer line is taken for two.
        const LONGEST: usize = 64 * 1024;
        let (number, step) = self.begun(&log.vertex);
        let time = log
            .timestamp
            .zip(step.started)
            .map(|(now, then)| now - then);
        step.rest.extend_from_slice(&log.data);
        let rest = std::mem::take(&mut step.rest);
        for line in rest.split_inclusive(|byte| *byte == b'\n') {
            if !line.ends_with(b"\n") && line.len() < LONGEST {
                step.rest = line.to_vec();
                break;
            }
            let line = last_shown(line);
            lines.push(format!("#{number} {:.3} {line}", seconds(time)));
            if step.log.len() >= MOST {
                step.log.drain(..MOST / 2);
            }
            step.log.push(line);
        }
    }

    /// Nothing more will be said: lines that have no end are lines too.
    pub(super) fn end(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        for step in &mut self.all {
            let rest = std::mem::take(&mut step.rest);
            if !rest.is_empty() {
                let line = last_shown(&rest);
                lines.push(format!("#{} {line}", step.number));
                step.log.push(line);
            }
        }
        lines
    }

    /// Takes a line of plain progress, as a buildx prints it that knows no other: `#7 [wheels 2/4] RUN …`.
    pub(super) fn take_plain(&mut self, line: &str) {
        let Some((number, said)) = line
            .strip_prefix('#')
            .and_then(|rest| rest.split_once(' '))
            .filter(|(number, _)| number.bytes().all(|byte| byte.is_ascii_digit()))
        else {
            return;
        };
        if said.starts_with('[') {
            self.plain = Some(said.to_owned());
        } else if said.starts_with("exporting cache to ") {
            self.plain_export = Some(number.to_owned());
        } else if let (Some(error), true) = (
            said.strip_prefix("ERROR: "),
            self.plain_export.as_deref() == Some(number),
        ) {
            self.plain_cache_error = Some(error.to_owned());
        }
    }

    /// Where the build is: the step that was begun last of those that run.
    pub(super) fn now(&self) -> Option<BuildStep> {
        let is_running = |step: &&Step| step.started.is_some() && !step.is_done;
        let mut running = self.all.iter().filter(is_running);
        let name = running
            .next_back()
            .map(Step::shown)
            .or_else(|| self.plain.clone())?;
        let instructions = || self.all.iter().filter(|step| step.is_instruction());
        Some(BuildStep {
            done: instructions().filter(|step| step.is_done).count(),
            total: instructions().count(),
            name,
        })
    }

    /// How many instructions there are, and how many of them were in the cache.
    /// A base image is fetched, and is no step of one's own.
    pub(super) fn count(&self) -> (usize, usize) {
        let is_own =
            |step: &&Step| step.is_instruction() && !step.instruction().starts_with("FROM ");
        let own = || self.all.iter().filter(is_own);
        let cached = own().filter(|step| step.is_cached).count();
        (own().count(), cached)
    }

    /// The step that has failed. What failed because another did is none.
    pub(super) fn failed(&self) -> Option<FailedStep> {
        let is_reason = |step: &&Step| {
            let error = step.error.as_deref();
            error.is_some_and(|error| !error.contains("context canceled")) && !step.exports_cache()
        };
        let step = self.all.iter().find(is_reason)?;
        Some(FailedStep {
            name: step.instruction().to_owned(),
            error: step.error.clone().unwrap_or_default(),
            log: step.log.clone(),
        })
    }

    /// Why the cache was not written.
    pub(super) fn cache_error(&self) -> Option<&str> {
        let mut exports = self.all.iter().filter(|step| step.exports_cache());
        exports
            .find_map(|step| step.error.as_deref())
            .or(self.plain_cache_error.as_deref())
    }
}

/// What a terminal shows in the end of a line on which a program has written several times.
fn last_shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end_matches(['\n', '\r']);
    text.rsplit('\r').next().unwrap_or_default().to_owned()
}

fn seconds(time: Option<chrono::TimeDelta>) -> f64 {
    let time = time.and_then(|time| time.to_std().ok());
    time.unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    use serde_json::json;

    use super::*;

    fn event(value: serde_json::Value) -> Event {
        serde_json::from_value(value).unwrap()
    }

    fn begun(digest: &str, name: &str) -> Event {
        event(
            json!({ "vertexes": [{ "digest": digest, "name": name, "started": "2026-01-01T00:00:00Z" }] }),
        )
    }

    fn ended(digest: &str, name: &str, error: &str, cached: bool) -> Event {
        event(
            json!({ "vertexes": [{ "digest": digest, "name": name, "started": "2026-01-01T00:00:00Z",
            "completed": "2026-01-01T00:00:01.5Z", "error": error, "cached": cached }] }),
        )
    }

    fn printed(digest: &str, text: &str) -> Event {
        event(
            json!({ "logs": [{ "vertex": digest, "data": BASE64_STANDARD.encode(text), "timestamp": "2026-01-01T00:00:00.25Z" }] }),
        )
    }

    #[test]
    fn the_step_that_runs_is_told_with_how_many_are_done() {
        let mut steps = Steps::default();
        assert_eq!(steps.now(), None);
        steps.take(event(json!({ "vertexes": [
            { "digest": "i", "name": "[internal] load build definition" },
            { "digest": "a", "name": "[1/2] FROM docker.io/library/base" },
            { "digest": "b", "name": "[2/2] RUN make" },
        ] })));
        steps.take(ended("a", "[1/2] FROM docker.io/library/base", "", true));
        steps.take(begun("b", "[2/2] RUN make"));
        let now = steps.now().unwrap();
        assert_eq!((now.done, now.total, now.name.as_str()), (1, 2, "RUN make"));
        steps.take(event(json!({ "statuses": [
            { "id": "sha256:1", "vertex": "b", "current": 2_000_000, "total": 9_000_000 },
            { "id": "sha256:2", "vertex": "b", "current": 1_000_000, "total": 1_000_000 },
        ] })));
        assert_eq!(steps.now().unwrap().name, "RUN make 3/10 MB");
        assert_eq!(steps.count(), (1, 0));
    }

    #[test]
    fn the_log_reads_as_docker_s_plain_progress() {
        let mut steps = Steps::default();
        let mut lines = steps.take(begun("b", "[2/2] RUN make"));
        lines.extend(steps.take(printed("b", "10%\r50%\r100%\nwör")));
        lines.extend(steps.take(printed("b", "ld\nno end")));
        lines.extend(steps.take(ended("b", "[2/2] RUN make", "exit code: 3", false)));
        lines.extend(steps.end());
        let expected = [
            "#1 [2/2] RUN make",
            "#1 0.250 100%",
            "#1 0.250 wörld",
            "#1 ERROR: exit code: 3",
            "#1 no end",
        ];
        assert_eq!(lines, expected);
        let failed = steps.failed().unwrap();
        assert_eq!(failed.name, "RUN make");
        assert_eq!(failed.log, ["100%", "wörld", "no end"]);
    }

    #[test]
    fn a_step_that_another_s_failure_has_ended_is_not_the_reason() {
        let mut steps = Steps::default();
        steps.take(ended(
            "a",
            "[a 1/1] RUN sleep",
            "context canceled: context canceled",
            false,
        ));
        steps.take(ended("b", "[b 1/1] RUN false", "exit code: 1", false));
        assert_eq!(steps.failed().unwrap().name, "RUN false");
    }

    #[test]
    fn a_cache_that_was_not_written_is_told_in_both_forms() {
        let mut steps = Steps::default();
        steps.take(ended("c", "exporting cache to registry", "denied", false));
        assert_eq!(steps.cache_error(), Some("denied"));
        assert!(steps.failed().is_none(), "the build itself has not failed");
        let mut plain = Steps::default();
        for line in [
            "#14 exporting cache to registry",
            "#3 ERROR: not found",
            "nonsense",
            "#14",
        ] {
            plain.take_plain(line);
        }
        assert_eq!(plain.cache_error(), None);
        plain.take_plain("#14 ERROR: denied");
        assert_eq!(plain.cache_error(), Some("denied"));
    }
}
