//! What happens on Ctrl-C, and on a polite request to end: children are ended, secrets are removed, exit code 130.
//!
//! Architecture Invariant: a run that is interrupted anywhere can be run again and ends like one that was not. A push has
//! nothing to undo: a moving tag is written last, and is either old or new. A deployment has: while a [`Deferral`] lives, the
//! first interrupt is only noted, and the deployment restores what is half done. A second one ends the program at once.
#![expect(clippy::disallowed_methods, reason = "an interrupt ends the program")]

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

use crate::{
    process,
    report::{
        document,
        terminal::{self, Terminal, Verbosity},
    },
};

/// The signals that ask this program to end.
const SIGNALS: [i32; 3] = [SIGINT, SIGTERM, SIGHUP];

/// The exit code of an interrupted run, as shells have it for `SIGINT`.
pub(crate) const INTERRUPTED: u8 = 130;

/// Whether standard output has to be a JSON document, however the run ends.
pub(crate) static JSON: AtomicBool = AtomicBool::new(false);

/// Directories that must not outlive the run.
static FOLDERS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// How many deferrals there are.
static DEFERRALS: AtomicUsize = AtomicUsize::new(0);

/// How many programs have the terminal.
static HANDED_OVER: AtomicUsize = AtomicUsize::new(0);

/// Whether a signal has come: it is known here before anybody acts on it.
static SIGNALLED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Whether somebody has asked this run to end.
static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Something during which an interrupt does not end the program: one more of what a number counts, until it is dropped.
#[derive(Debug)]
pub(crate) struct Counted(&'static AtomicUsize);

impl Counted {
    fn by(count: &'static AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// From here on an interrupt is only noted: something must be finished or restored before the program ends.
pub(crate) fn defer() -> Counted {
    Counted::by(&DEFERRALS)
}

/// From here on an interrupt is the affair of the program that has the terminal, and its end is waited for.
pub(crate) fn hand_over() -> Counted {
    Counted::by(&HANDED_OVER)
}

/// Whether somebody has asked this run to end while it could not.
pub(crate) fn requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}

/// Waits for the end where an interrupt has come that will bring it. A program that was started here may have had the same interrupt,
/// and that it failed is no news then.
pub(crate) fn let_end() {
    const NAP: Duration = Duration::from_millis(5);
    // On a busy machine the program that was started here can end before this one has so much as looked at the interrupt.
    let mut was_pending = false;
    for _ in 0..200 {
        let is_pending = is_pending();
        if !is_pending && !was_pending {
            break;
        }
        // Between taking a signal and noting it a thread can lose its turn.
        std::thread::sleep(NAP);
        was_pending = is_pending;
    }
    let is_ended = SIGNALLED
        .get()
        .is_some_and(|signalled| signalled.load(Ordering::SeqCst));
    let goes_on = [&DEFERRALS, &HANDED_OVER]
        .iter()
        .any(|count| count.load(Ordering::SeqCst) > 0);
    if is_ended && !goes_on {
        loop {
            std::thread::park();
        }
    }
}

/// Whether a signal has come that no thread has taken yet. Source: `proc_pid_status(5)`, `ShdPnd`; elsewhere than on Linux nobody
/// says so.
fn is_pending() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let pending = status.lines().find_map(|line| line.strip_prefix("ShdPnd:"));
    let pending = pending.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let pending = pending.unwrap_or_default();
    SIGNALS
        .iter()
        .any(|signal| pending >> (signal - 1) & 1 == 1)
}

/// Starts to listen. Without a place for the handler the program runs on, and an interrupt ends it as usual.
pub(crate) fn listen() {
    let Ok(mut signals) = Signals::new(SIGNALS) else {
        return;
    };
    let signalled = SIGNALLED.get_or_init(Arc::default);
    for signal in SIGNALS {
        let _ = signal_hook::flag::register(signal, Arc::clone(signalled));
    }
    std::thread::spawn(move || {
        for _ in signals.forever() {
            process::end_children();
            if HANDED_OVER.load(Ordering::SeqCst) > 0 {
                REQUESTED.store(true, Ordering::SeqCst);
                continue;
            }
            if DEFERRALS.load(Ordering::SeqCst) > 0 && !requested() {
                let text =
                    "interrupted: what is half done is restored first; once more ends this at once";
                Terminal::new(Verbosity::Normal).warning(text);
                // Whoever sees the request may end with its exit code: the words for it come first.
                REQUESTED.store(true, Ordering::SeqCst);
                continue;
            }
            for directory in FOLDERS
                .lock()
                .map(|directories| directories.clone())
                .unwrap_or_default()
            {
                let _ = std::fs::remove_dir_all(directory);
            }
            terminal::last_words(|| {
                Terminal::new(Verbosity::Normal)
                    .error("interrupted; the same command goes on from what is there");
                if JSON.load(Ordering::Relaxed) {
                    document::print(&serde_json::json!({ "failed": "interrupted" }));
                }
                std::process::exit(INTERRUPTED.into());
            });
        }
    });
}

/// A directory that is removed when this ends, however it ends short of `SIGKILL`.
#[derive(Debug)]
pub struct Transient(PathBuf);

impl Transient {
    /// Takes care of a directory.
    pub fn new(directory: PathBuf) -> Self {
        if let Ok(mut directories) = FOLDERS.lock() {
            directories.push(directory.clone());
        }
        Self(directory)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Transient {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
        if let Ok(mut directories) = FOLDERS.lock() {
            directories.retain(|directory| *directory != self.0);
        }
    }
}
