//! A terminal on which lines are drawn with a margin: on an interrupt it shows `^C` where the cursor is, and in a full line that would
//! begin another, of which nobody who takes the lines away knows.
//!
//! indicatif 0.18 ends each line with as many spaces as make it full, and leaves it to the terminal to go to the next. Here such spaces
//! clear the rest of the line, and the next line is begun by its first word.

use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
};

use console::Term;
use indicatif::TermLike;

/// Columns that stay free.
const MARGIN: u16 = 3;

/// Standard error, a little narrower than it is.
#[derive(Debug)]
pub(super) struct WithMargin {
    terminal: Term,
    /// Whether what is written next belongs on another line.
    line_is_full: AtomicBool,
}

impl WithMargin {
    /// Standard error, which draws what is written when it is told to.
    pub(super) fn stderr() -> Self {
        Self {
            terminal: Term::buffered_stderr(),
            line_is_full: AtomicBool::new(false),
        }
    }
}

impl TermLike for WithMargin {
    fn width(&self) -> u16 {
        self.terminal.size().1.saturating_sub(MARGIN).max(1)
    }

    fn height(&self) -> u16 {
        self.terminal.size().0
    }

    fn move_cursor_up(&self, lines: usize) -> io::Result<()> {
        self.terminal.move_cursor_up(lines)
    }

    fn move_cursor_down(&self, lines: usize) -> io::Result<()> {
        self.terminal.move_cursor_down(lines)
    }

    fn move_cursor_right(&self, columns: usize) -> io::Result<()> {
        self.terminal.move_cursor_right(columns)
    }

    fn move_cursor_left(&self, columns: usize) -> io::Result<()> {
        self.terminal.move_cursor_left(columns)
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.line_is_full.store(false, Ordering::Relaxed);
        self.terminal.write_line(text)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        if text.bytes().all(|byte| byte == b' ') {
            self.line_is_full.store(true, Ordering::Relaxed);
            return self.terminal.write_str("\x1b[K");
        }
        if self.line_is_full.swap(false, Ordering::Relaxed) {
            self.terminal.write_line("")?;
        }
        self.terminal.write_str(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.line_is_full.store(false, Ordering::Relaxed);
        self.terminal.clear_line()
    }

    fn flush(&self) -> io::Result<()> {
        self.terminal.flush()
    }
}
