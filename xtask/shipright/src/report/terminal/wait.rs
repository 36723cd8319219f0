//! One thing that has to be waited for, and tells nothing on its way.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::{
    Terminal, Verbosity,
    screen::{Audience, Screen},
};
use crate::report::size;

/// Something that is waited for, until this is dropped.
#[derive(Debug)]
pub struct Wait {
    verb: &'static str,
    object: String,
    began: Instant,
    line: Option<ProgressBar>,
}

impl Terminal {
    /// Says what is waited for, with the time at a terminal.
    pub fn wait_for(&self, verb: &'static str, object: &str) -> Wait {
        let screen = Screen::the();
        let line = match &screen.audience {
            Audience::Person(live) if self.verbosity >= Verbosity::Normal => {
                let style =
                    ProgressStyle::with_template("{prefix:>12} {wide_msg} {spinner} {elapsed}");
                let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
                let line =
                    ProgressBar::new_spinner().with_style(style.tick_chars(screen.spinner()));
                let line = live.add(line.with_prefix(verb));
                line.set_message(screen.shown(&super::one_line(object)).into_owned());
                line.enable_steady_tick(Duration::from_millis(100));
                Some(line)
            }
            _ => {
                self.status(verb, object);
                None
            }
        };
        Wait {
            verb,
            object: object.to_owned(),
            began: Instant::now(),
            line,
        }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if let Some(line) = &self.line {
            line.finish_and_clear();
            let text = format!("{} ({})", self.object, size::seconds(self.began.elapsed()));
            Screen::the().print(&Terminal::status_line(self.verb, &text));
        }
    }
}
