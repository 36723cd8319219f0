//! What this program asks of others, each with its time: programs that it starts, and requests that it sends. `-v` shows them.
//!
//! They go through `log`, so that no room has to know the terminal.

use std::{fmt::Display, time::Instant};

use crate::report::{
    size,
    terminal::{Terminal, Verbosity},
};

const TARGET: &str = "shipright::calls";

/// Tells of a call that has ended.
pub(crate) fn ended(what: impl Display, began: Instant, outcome: impl Display) {
    log::debug!(target: TARGET, "{what}: {outcome}, {}", size::precise(began.elapsed()));
}

/// Shows calls from here on.
pub(crate) fn show() {
    static SHOWN: Shown = Shown;
    // A task's own logger keeps its place.
    if log::set_logger(&SHOWN).is_ok() {
        log::set_max_level(log::LevelFilter::Debug);
    }
}

struct Shown;

impl log::Log for Shown {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.target() == TARGET
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            Terminal::new(Verbosity::Verbose).detail(&record.args().to_string());
        }
    }

    fn flush(&self) {}
}
