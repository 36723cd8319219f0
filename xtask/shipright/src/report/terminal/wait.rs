//! One thing that has to be waited for, and tells nothing on its way.

use std::time::Instant;

use indicatif::ProgressBar;

use super::{Terminal, screen::Screen};
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
        let line = self.draw("{prefix:>12} {wide_msg} {spinner} {elapsed}");
        if let Some(line) = &line {
            line.set_prefix(verb);
            let object = super::one_line(object);
            line.set_message(Screen::the().shown(&object).into_owned());
        } else {
            self.status(verb, object);
        }
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
