//! One thing that takes a while, as people watch it: a line that is drawn again and again at a terminal, and elsewhere a line for
//! each event.

use std::{
    io::{self, Read},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use indicatif::ProgressBar;
use serde_json::{Map, Value, json};

use super::{
    Terminal, Verbosity, github, one_line,
    screen::{Audience, Screen},
};
use crate::report::size;

/// One thing that takes a while.
#[derive(Debug)]
pub struct Activity {
    name: String,
    /// What is shown of it beside the name, as `linux/arm64`.
    platform: String,
    started: Instant,
    line: Option<ProgressBar>,
    is_verbose: bool,
    /// Whether anything but errors is said.
    is_heard: bool,
    phase: Mutex<String>,
    /// What has been said of it, for a group of lines.
    kept: Mutex<String>,
}

impl Terminal {
    /// Begins something that people watch. `width` is that of the longest name beside it.
    pub fn activity(&self, name: &str, platform: &str, width: usize) -> Activity {
        let line = self.draw("{spinner} {prefix}  {wide_msg} {elapsed}");
        if let Some(line) = &line {
            line.set_prefix(prefix(name, platform, width, self.width()));
        }
        Activity {
            name: name.to_owned(),
            platform: platform.to_owned(),
            started: Instant::now(),
            line,
            is_verbose: self.verbosity >= Verbosity::Verbose,
            is_heard: self.verbosity >= Verbosity::Normal,
            phase: Mutex::default(),
            kept: Mutex::default(),
        }
    }
}

/// On a narrow terminal what is done is worth more than the platform.
fn prefix(name: &str, platform: &str, width: usize, columns: Option<usize>) -> String {
    const NARROW: usize = 60;
    let name = one_line(name);
    let is_narrow = columns.is_some_and(|columns| columns < NARROW);
    if is_narrow || platform.is_empty() {
        // Half of the line is for what is done.
        let most = columns.map_or(usize::MAX, |columns| columns / 2);
        name.chars().take(most).collect()
    } else {
        format!("{name:width$} {platform}")
    }
}

impl Activity {
    /// What is done now, and to what: `build 7/14`, `RUN make`.
    pub fn phase(&self, phase: &str, detail: &str) {
        let detail = one_line(detail);
        if let Some(line) = &self.line {
            let text = format!("{phase} {detail}");
            line.set_message(Screen::the().shown(text.trim_end()).into_owned());
        }
        let word = phase.split(' ').next().unwrap_or_default();
        let mut before = self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        if *before != word {
            word.clone_into(&mut before);
            Screen::the().event("info", Some(word), &detail, || self.fields(&Map::new()));
        }
    }

    /// Something that has happened on the way. Where a line is drawn, only who asked for more reads it.
    pub fn said(&self, verb: &str, text: &str, fields: &Map<String, Value>) {
        let screen = Screen::the();
        let line = self.told(verb, text, fields);
        match screen.audience {
            Audience::GitHub => self.keep(&line),
            Audience::Log if self.is_heard => screen.print(&line),
            Audience::Person(_) if self.is_verbose => screen.print(&line),
            _ => {}
        }
    }

    /// A file with lines that belong to it: what a build has printed. It is read where lines can be folded.
    pub fn attach(&self, file: &Path) {
        if matches!(Screen::the().audience, Audience::GitHub) {
            let text = std::fs::read(file).unwrap_or_default();
            self.keep(String::from_utf8_lossy(&text).trim_end());
        }
    }

    fn keep(&self, text: &str) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_str(text);
        kept.push('\n');
    }

    /// Counts bytes that are read on its behalf, and shows how many there were.
    pub fn meter(&self, phase: &'static str) -> Meter {
        Meter {
            phase,
            bytes: Arc::default(),
            line: self.line.clone(),
        }
    }

    /// How long it has taken so far.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// It is done: one line stays.
    pub fn finish(self, verb: &str, text: &str, fields: &Map<String, Value>) {
        let line = self.told(verb, text, fields);
        self.give_up();
        if self.is_heard {
            Screen::the().print(&line);
        }
    }

    /// Tells a program of an event. Returns the line for people.
    fn told(&self, verb: &str, text: &str, fields: &Map<String, Value>) -> String {
        Screen::the().event("info", Some(verb), text, || self.fields(fields));
        Terminal::status_line(verb, &format!("{}: {text}", self.name))
    }

    /// It has failed: why is said by somebody else.
    pub fn give_up(&self) {
        if let Audience::GitHub = Screen::the().audience {
            self.fold();
        }
        self.clear();
    }

    fn fold(&self) {
        let kept = std::mem::take(&mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner));
        if self.is_heard && !kept.is_empty() {
            let title = format!("{} {}", self.name, self.platform);
            Screen::the().print(&github::group(title.trim_end(), &kept));
        }
    }

    fn clear(&self) {
        if let Some(line) = &self.line {
            line.finish_and_clear();
        }
    }

    fn fields(&self, more: &Map<String, Value>) -> Map<String, Value> {
        let mut fields = Map::new();
        fields.insert("image".to_owned(), json!(self.name));
        if !self.platform.is_empty() {
            fields.insert("platform".to_owned(), json!(self.platform));
        }
        fields.insert("seconds".to_owned(), json!(rounded(self.elapsed())));
        fields.extend(more.clone());
        fields
    }
}

/// Counts bytes.
#[derive(Debug, Clone)]
pub struct Meter {
    phase: &'static str,
    bytes: Arc<AtomicU64>,
    line: Option<ProgressBar>,
}

impl Meter {
    /// A reader whose bytes are counted.
    pub fn reading<R: Read>(&self, reader: R) -> impl Read + use<R> {
        Metered {
            reader,
            meter: self.clone(),
        }
    }

    fn count(&self, bytes: usize) {
        let more = u64::try_from(bytes).unwrap_or(u64::MAX);
        let all = self.bytes.fetch_add(more, Ordering::Relaxed) + more;
        if let Some(line) = &self.line {
            line.set_message(format!("{} {}", self.phase, size::shown(all)));
        }
    }
}

struct Metered<R> {
    reader: R,
    meter: Meter,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.reader.read(buffer)?;
        self.meter.count(bytes);
        Ok(bytes)
    }
}

/// Seconds with three digits after the point.
pub fn rounded(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

impl Drop for Activity {
    fn drop(&mut self) {
        self.clear();
    }
}
