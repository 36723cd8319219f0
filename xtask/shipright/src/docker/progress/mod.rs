//! What a build says while it runs: which step it is at, its whole log, and why it failed.

mod rawjson;
mod steps;
mod targets;

use std::{fs::File, io::Write as _, path::Path};

use rawjson::{Piece, Reader};
use steps::Steps;
use targets::Targets;

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
    /// What BuildKit says of it.
    pub error: String,
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
    /// Whether buildx has named this build as the one that failed.
    pub is_named: bool,
    /// Steps that there are, and those of them that were in the cache.
    pub steps: (usize, usize),
}

impl Said {
    /// Whether buildx ends with the error of this build or of its step. A step that was stopped because another build's has failed has an error too.
    pub(super) fn is_the_reason(&self) -> bool {
        let error = self.failed.as_ref().map(|step| step.error.as_str());
        let mut ends = self.text.iter().filter(|line| line.starts_with("ERROR: "));
        self.is_named || error.is_some_and(|error| ends.any(|line| line.contains(error)))
    }

    /// Everything that says why the build has failed.
    pub(super) fn reasons(&self) -> String {
        let log = self.failed.iter().flat_map(|step| &step.log);
        let lines: Vec<_> = log.chain(&self.text).map(String::as_str).collect();
        lines.join("\n")
    }
}

/// Listens to a call that makes one image or several.
pub(super) struct Listener<'l> {
    reader: Reader,
    targets: Option<Targets>,
    builds: Vec<OfBuild<'l>>,
}

/// Where a build tells where it is.
pub(super) type Tell<'l> = Box<dyn FnMut(BuildStep) + 'l>;

/// What is heard of one build.
struct OfBuild<'l> {
    steps: Steps,
    text: Vec<String>,
    log: Option<File>,
    tell: Tell<'l>,
    shown: Option<BuildStep>,
}

impl<'l> Listener<'l> {
    /// Listens to a call that makes one image, and keeps the log in a file. A file that cannot be written keeps nobody from building.
    pub(super) fn new(log: Option<&Path>, tell: Tell<'l>) -> Self {
        Self {
            reader: Reader::default(),
            targets: None,
            builds: vec![OfBuild::new(log, tell)],
        }
    }

    /// Listens to a call that makes targets of these names, each with its log.
    pub(super) fn of_targets(targets: Vec<(String, Option<&Path>, Tell<'l>)>) -> Self {
        let names = targets.iter().map(|(name, ..)| name.clone());
        Self {
            reader: Reader::default(),
            targets: Some(Targets::new(names.collect())),
            builds: targets
                .into_iter()
                .map(|(_, log, tell)| OfBuild::new(log, tell))
                .collect(),
        }
    }

    /// Hears a line.
    pub(super) fn hear(&mut self, line: &str) {
        let pieces = self.reader.read(line);
        self.take(pieces);
    }

    /// What was said of each build, all in all.
    pub(super) fn end(mut self) -> Vec<Said> {
        let pieces = self.reader.end();
        self.take(pieces);
        let named = self.targets.map(Targets::named).unwrap_or_default();
        let said = self.builds.into_iter().map(OfBuild::end).enumerate();
        let said = said.map(|(place, said)| Said {
            is_named: named.contains(&place),
            ..said
        });
        said.collect()
    }

    fn take(&mut self, pieces: Vec<Piece>) {
        for piece in pieces {
            let heard = match &mut self.targets {
                Some(targets) => targets.take(piece),
                None => vec![(0, piece)],
            };
            for (place, piece) in heard {
                if let Some(build) = self.builds.get_mut(place) {
                    build.take(piece);
                }
            }
        }
    }
}

impl<'l> OfBuild<'l> {
    fn new(log: Option<&Path>, tell: Tell<'l>) -> Self {
        Self {
            steps: Steps::default(),
            text: Vec::new(),
            log: log.and_then(|path| File::create(path).ok()),
            tell,
            shown: None,
        }
    }

    fn end(mut self) -> Said {
        let lines = self.steps.end();
        self.write(&lines);
        Said {
            failed: self.steps.failed(),
            cache_error: self.steps.cache_error().map(str::to_owned),
            is_named: false,
            steps: self.steps.count(),
            text: self.text,
        }
    }

    fn take(&mut self, piece: Piece) {
        /// Of a builder that talks without end, the last lines are kept.
        const MOST: usize = 10_000;
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
                (self.tell)(step);
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
