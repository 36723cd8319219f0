//! What a build says while it runs: which step it is at, its whole log, and why it failed.

mod rawjson;
mod steps;

use std::{fs::File, io::Write as _, path::Path};

use rawjson::{Piece, Reader};
use steps::Steps;

/// Where a build is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildStep {
    /// How many steps are done, cached ones among them.
    pub done: usize,
    /// How many there are, as far as BuildKit knows.
    pub total: usize,
    /// The instruction that is executed, or what is fetched, with how far that is.
    pub name: String,
}

/// A step that has failed.
#[derive(Debug, Clone, Default)]
pub(super) struct FailedStep {
    /// The instruction.
    pub name: String,
    /// What it has printed.
    pub log: Vec<String>,
}

/// What a build has said, whole.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// The step that has failed.
    pub failed: Option<FailedStep>,
    /// What buildx has said beside the steps: the lines of the Dockerfile, and the error.
    pub text: Vec<String>,
    /// Why the build's cache could not be written: `ignore-error` keeps that from failing the build.
    pub cache_error: Option<String>,
    /// Steps that there are, and those of them that were in the cache.
    pub steps: (usize, usize),
}

impl Said {
    /// Everything that says why the build has failed.
    pub(super) fn reasons(&self) -> String {
        let log = self.failed.iter().flat_map(|step| &step.log);
        let lines: Vec<_> = log.chain(&self.text).map(String::as_str).collect();
        lines.join("\n")
    }
}

/// Listens to a build.
pub(super) struct Listener<'l> {
    reader: Reader,
    steps: Steps,
    text: Vec<String>,
    log: Option<File>,
    step: &'l mut dyn FnMut(BuildStep),
    shown: Option<BuildStep>,
}

impl<'l> Listener<'l> {
    /// Listens, and keeps the log in a file. A file that cannot be written keeps nobody from building.
    pub(super) fn new(log: Option<&Path>, step: &'l mut dyn FnMut(BuildStep)) -> Self {
        Self {
            reader: Reader::default(),
            steps: Steps::default(),
            text: Vec::new(),
            log: log.and_then(|path| File::create(path).ok()),
            step,
            shown: None,
        }
    }

    /// Hears a line.
    pub(super) fn hear(&mut self, line: &str) {
        let pieces = self.reader.read(line);
        self.take(pieces);
    }

    /// What was said, all in all.
    pub(super) fn end(mut self) -> Said {
        let pieces = self.reader.end();
        self.take(pieces);
        let lines = self.steps.end();
        self.write(&lines);
        Said {
            failed: self.steps.failed(),
            cache_error: self.steps.cache_error().map(str::to_owned),
            steps: self.steps.count(),
            text: self.text,
        }
    }

    fn take(&mut self, pieces: Vec<Piece>) {
        /// Of a builder that talks without end, the last lines are kept.
        const MOST: usize = 10_000;
        for piece in pieces {
            let lines = match piece {
                Piece::Event(event) => self.steps.take(event),
                Piece::Text(text) => {
                    self.steps.take_plain(&text);
                    if self.text.len() >= MOST {
                        self.text.drain(..MOST / 2);
                    }
                    self.text.push(text.clone());
                    vec![text]
                }
            };
            self.write(&lines);
            let now = self.steps.now();
            if now.is_some() && now != self.shown {
                self.shown.clone_from(&now);
                if let Some(step) = now {
                    (self.step)(step);
                }
            }
        }
    }

    fn write(&mut self, lines: &[String]) {
        if let Some(file) = &mut self.log {
            for line in lines {
                if writeln!(file, "{line}").is_err() {
                    self.log = None;
                    return;
                }
            }
        }
    }
}
