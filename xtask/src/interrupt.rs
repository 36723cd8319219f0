//! What happens on Ctrl-C, and on a polite request to end: children are ended, secrets are removed, exit code 130.
//!
//! Architecture Invariant: a run that is interrupted anywhere can be run again and ends like one that was not. So there is
//! nothing to undo here: a moving tag is written last, and is either old or new.
#![expect(clippy::disallowed_methods, reason = "an interrupt ends the program")]

use std::{
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

use crate::{
    process,
    report::{
        document,
        terminal::{Terminal, Verbosity},
    },
};

/// The exit code of an interrupted run, as shells have it for `SIGINT`.
pub const EXIT_CODE: i32 = 130;

/// Whether standard output has to be a JSON document, however the run ends.
pub static JSON: AtomicBool = AtomicBool::new(false);

/// Folders that must not outlive the run.
static FOLDERS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Starts to listen. Without a place for the handler the program runs on, and an interrupt ends it as usual.
pub fn listen() {
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM, SIGHUP]) else { return };
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            process::end_children();
            for folder in FOLDERS.lock().map(|folders| folders.clone()).unwrap_or_default() {
                let _ = std::fs::remove_dir_all(folder);
            }
            Terminal::new(Verbosity::Normal).error("interrupted; the same command goes on from what is there");
            if JSON.load(Ordering::Relaxed) {
                document::print(&serde_json::json!({ "failed": "interrupted" }));
            }
            std::process::exit(EXIT_CODE);
        }
    });
}

/// A folder that is removed when this ends, however it ends short of `SIGKILL`.
#[derive(Debug)]
pub struct Transient(PathBuf);

impl Transient {
    /// Takes care of a folder.
    pub fn new(folder: PathBuf) -> Self {
        if let Ok(mut folders) = FOLDERS.lock() {
            folders.push(folder.clone());
        }
        Self(folder)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Transient {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
        if let Ok(mut folders) = FOLDERS.lock() {
            folders.retain(|folder| *folder != self.0);
        }
    }
}
