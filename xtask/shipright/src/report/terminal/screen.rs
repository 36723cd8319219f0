//! Standard error, of which a process has one: who watches it, and what they can see there.
#![expect(
    clippy::disallowed_macros,
    reason = "this is the room that speaks to people"
)]

use std::{
    borrow::Cow,
    io::{IsTerminal, Write},
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Map, Value, json};

use super::{github, margin::WithMargin};
use crate::facts::host;

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object for each line
    Json,
}

/// Who reads standard error.
pub(super) enum Audience {
    /// A person at a terminal whose lines can be drawn again.
    Person(MultiProgress),
    /// A file, a pipe, or a terminal that can only go on.
    Log,
    /// The runner of GitHub Actions, which obeys commands in it.
    GitHub,
    /// A program.
    Program,
}

/// Standard error.
pub(super) struct Screen {
    pub(super) audience: Audience,
    unicode: bool,
}

static SCREEN: OnceLock<Screen> = OnceLock::new();

impl Screen {
    /// The screen. Before somebody says more of it, it is a log.
    pub(super) fn the() -> &'static Self {
        static UNTOLD: Screen = Screen {
            audience: Audience::Log,
            unicode: true,
        };
        SCREEN.get().unwrap_or(&UNTOLD)
    }

    /// How many columns it has, where it is a terminal.
    pub(super) fn width(&self) -> Option<usize> {
        match self.audience {
            Audience::Person(_) => terminal_width(),
            Audience::Log | Audience::GitHub | Audience::Program => None,
        }
    }

    /// Writes lines, above whatever is drawn.
    pub(super) fn print(&self, text: &str) {
        let text = self.shown(text);
        match &self.audience {
            Audience::Person(live) if !ALONE.load(Ordering::SeqCst) => {
                live.suspend(|| anstream::eprintln!("{text}"));
            }
            Audience::Person(_) => anstream::eprintln!("{text}"),
            Audience::Log | Audience::GitHub => anstream::eprintln!("{text}"),
            Audience::Program => {}
        }
    }

    /// Writes an event for a program: its name, where it has one, and what else there is to say. Nobody else sees it, and for nobody else
    /// that is put together.
    pub(super) fn event(
        &self,
        level: &str,
        name: Option<&str>,
        message: &str,
        more: impl FnOnce() -> Map<String, Value>,
    ) {
        if !matches!(self.audience, Audience::Program) {
            return;
        }
        let mut event = Map::new();
        event.insert("time".to_owned(), json!(host::precise_timestamp()));
        event.insert("level".to_owned(), json!(level));
        if let Some(name) = name {
            event.insert("event".to_owned(), json!(name.to_lowercase()));
        }
        event.extend(more());
        event.insert("message".to_owned(), json!(message));
        let mut line = Value::Object(event).to_string();
        line.push('\n');
        // One write, so that no other process's words come between.
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }

    /// A text that this screen can show.
    pub(super) fn shown<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.unicode || text.is_ascii() {
            return Cow::Borrowed(text);
        }
        Cow::Owned(text.replace('…', "...").replace('→', "->"))
    }

    /// A line for a person that is drawn again and again, until somebody takes it away. `template` is indicatif's.
    pub(super) fn draw(&self, template: &str) -> Option<ProgressBar> {
        let Audience::Person(live) = &self.audience else {
            return None;
        };
        let signs = if self.unicode {
            "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ "
        } else {
            "-\\|/ "
        };
        let style = ProgressStyle::with_template(template);
        let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
        let line = ProgressBar::new_spinner().with_style(style.tick_chars(signs));
        let line = live.add(line);
        line.enable_steady_tick(Duration::from_millis(100));
        Some(line)
    }
}

/// Finds out who reads standard error. Once for a process: the first that says it is heard.
pub(crate) fn prepare(format: LogFormat, is_quiet: bool) {
    let audience = if format == LogFormat::Json {
        Audience::Program
    } else if github::runs() {
        Audience::GitHub
    } else if !is_quiet && can_be_drawn_on() {
        Audience::Person(MultiProgress::with_draw_target(
            ProgressDrawTarget::term_like_with_hz(Box::new(WithMargin::stderr()), 10),
        ))
    } else {
        Audience::Log
    };
    // A file does not say how it will be read.
    let unicode = speaks_unicode().unwrap_or(!matches!(audience, Audience::Person(_)));
    let _ = SCREEN.set(Screen { audience, unicode });
}

/// Does something that speaks with the user itself: nothing is drawn meanwhile.
pub(super) fn aside<T>(work: impl FnOnce() -> T) -> T {
    match &Screen::the().audience {
        Audience::Person(live) => live.suspend(work),
        Audience::Log | Audience::GitHub | Audience::Program => work(),
    }
}

/// Whether nothing is drawn any more.
static ALONE: AtomicBool = AtomicBool::new(false);

/// Says last words: whatever is drawn is taken away first, and nothing is drawn again.
pub(crate) fn last_words<T>(words: impl FnOnce() -> T) -> T {
    match &Screen::the().audience {
        Audience::Person(live) => live.suspend(|| {
            ALONE.store(true, Ordering::SeqCst);
            words()
        }),
        Audience::Log | Audience::GitHub | Audience::Program => words(),
    }
}

fn can_be_drawn_on() -> bool {
    std::io::stderr().is_terminal() && host::variable("TERM").is_none_or(|term| term != "dumb")
}

/// What the locale says of characters. Source: POSIX, "Environment Variables", the precedence of `LC_ALL`, `LC_CTYPE` and `LANG`.
fn speaks_unicode() -> Option<bool> {
    let said = ["LC_ALL", "LC_CTYPE", "LANG"].map(host::variable);
    let said = said.into_iter().flatten().next()?.to_ascii_lowercase();
    Some(said.contains("utf-8") || said.contains("utf8"))
}

fn terminal_width() -> Option<usize> {
    let size = terminal_size::terminal_size_of(std::io::stderr());
    size.map(|(width, _)| usize::from(width.0))
}
