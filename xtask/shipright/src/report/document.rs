//! The one JSON document on standard output.

use std::{
    io::{ErrorKind, Write},
    sync::atomic::{AtomicBool, Ordering},
};

use serde::Serialize;

use super::{
    name::as_typed,
    terminal::{Terminal, Verbosity},
};

/// Prints a document. A reader that has gone away is no error of ours.
pub fn print(document: &impl Serialize) {
    let text = serde_json::to_string_pretty(document)
        .unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"));
    text_line(&as_typed(&text));
}

/// Prints text that was asked for by name, such as a schema or a script. A reader that has gone away has read enough; any
/// other failure is the command's.
pub fn text_line(text: &str) {
    let mut out = std::io::stdout().lock();
    let written = writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush());
    if let Err(error) =
        written.map_err(|error| (error.kind() != ErrorKind::BrokenPipe).then_some(error))
        && let Some(error) = error
    {
        LOST.store(true, Ordering::Relaxed);
        Terminal::new(Verbosity::Normal)
            .error(format!("failed to write to standard output: {error}"));
    }
}

/// Whether something that was to be printed could not be.
pub fn was_lost() -> bool {
    LOST.load(Ordering::Relaxed)
}

static LOST: AtomicBool = AtomicBool::new(false);
