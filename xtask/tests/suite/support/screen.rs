//! A terminal of a chosen size with the real binary in it, as a person sees it.

use std::{
    fs::File,
    io::{Read, Write},
    num::NonZero,
    os::{fd::FromRawFd, unix::process::CommandExt},
    process::{Child, Command, Stdio},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use super::picture::{Look, Piece};

/// What is shown, and who waits for it to change.
type Shown = Arc<(Mutex<(vt100::Parser, bool)>, Condvar)>;

/// A terminal with a program in it.
pub(crate) struct Screen {
    child: Child,
    keyboard: File,
    shown: Shown,
}

impl Screen {
    /// Starts a program in a terminal of so many columns, high enough for all that it says.
    pub(crate) fn start(command: &mut Command, columns: u16) -> Self {
        const ROWS: u16 = 120;
        let (ours, theirs) = open(columns, ROWS);
        let copy = || Stdio::from(theirs.try_clone().unwrap());
        command
            .env("TERM", "xterm-256color")
            .env("LANG", "C.UTF-8")
            .stdin(copy())
            .stdout(copy())
            .stderr(copy());
        // SAFETY: `setsid` and `ioctl` are bare system calls, which are allowed between fork and exec.
        unsafe {
            command.pre_exec(|| {
                libc::setsid();
                libc::ioctl(0, libc::TIOCSCTTY, 0);
                Ok(())
            });
        }
        let child = command.spawn().unwrap();
        // The command has the terminal's other side as long as it lives.
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        drop(theirs);
        let parser = vt100::Parser::new(
            NonZero::new(ROWS).unwrap(),
            NonZero::new(columns).unwrap(),
            0,
        );
        let shown: Shown = Arc::new((Mutex::new((parser, false)), Condvar::new()));
        let mut screen = ours.try_clone().unwrap();
        let writer = Arc::clone(&shown);
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            loop {
                // The other side's end is an error on Linux.
                let count = screen.read(&mut bytes).unwrap_or(0);
                let mut now = writer.0.lock().unwrap_or_else(PoisonError::into_inner);
                now.0.process(&bytes[..count]);
                now.1 = count == 0;
                writer.1.notify_all();
                if count == 0 {
                    return;
                }
            }
        });
        Self {
            child,
            keyboard: ours,
            shown,
        }
    }

    /// Waits until the screen shows a text so many times, and returns all that it shows then.
    pub(crate) fn wait_for_count(&self, text: &str, count: usize) -> String {
        self.wait(text, |shown, _| shown.matches(text).count() == count)
    }

    /// Waits for the end, and returns the exit code with all that is shown then.
    pub(crate) fn end(mut self) -> (i32, String) {
        let shown = self.wait("the end", |_, has_ended| has_ended);
        (self.child.wait().unwrap().code().unwrap_or(-1), shown)
    }

    /// Waits for the end, and returns the exit code with all that is shown then, as it looks.
    pub(crate) fn end_as_painted(mut self) -> (i32, Vec<Vec<Piece>>) {
        self.wait("the end", |_, has_ended| has_ended);
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        let now = self.shown.0.lock().unwrap();
        let screen = now.0.screen();
        let mut rows: Vec<_> = (0..screen.size().0.get())
            .map(|row| pieces(screen, row))
            .collect();
        let used = rows.iter().rposition(|row| !row.is_empty());
        rows.truncate(used.map_or(0, |last| last + 1));
        (code, rows)
    }

    /// Types.
    pub(crate) fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    fn wait(&self, what: &str, is_there: impl Fn(&str, bool) -> bool) -> String {
        let deadline = Instant::now() + Duration::from_mins(2);
        let mut now = self.shown.0.lock().unwrap();
        loop {
            let rows: Vec<_> = now.0.screen().rows(0, columns(&now.0)).collect();
            let text = rows.join("\n").trim_end().to_owned();
            if is_there(&text, now.1) {
                return text;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero() && !now.1, "`{what}` never came:\n{text}");
            now = self.shown.1.wait_timeout(now, left).unwrap().0;
        }
    }
}

fn columns(parser: &vt100::Parser) -> u16 {
    parser.screen().size().1.get()
}

/// What is in a row, with its looks.
fn pieces(screen: &vt100::Screen, row: u16) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for column in 0..screen.size().1.get() {
        let Some(cell) = screen.cell(row, column) else {
            continue;
        };
        let look = Look {
            colour: match cell.fgcolor() {
                vt100::Color::Idx(colour) => Some(colour),
                vt100::Color::Default | vt100::Color::Rgb(..) => None,
            },
            is_bold: cell.bold(),
            is_faint: cell.dim(),
        };
        let text = if cell.has_contents() {
            cell.contents()
        } else {
            " "
        };
        match pieces.last_mut() {
            Some(last) if last.look == look => last.text.push_str(text),
            _ => pieces.push(Piece {
                column: column.into(),
                text: text.to_owned(),
                look,
            }),
        }
    }
    pieces.retain(|piece| !piece.text.trim().is_empty());
    pieces
}

/// Both sides of a new terminal.
fn open(columns: u16, rows: u16) -> (File, File) {
    let (mut ours, mut theirs) = (0, 0);
    let mut size = libc::winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: all pointers are to variables that outlive the call, or null where that is allowed.
    let opened = unsafe {
        libc::openpty(
            &raw mut ours,
            &raw mut theirs,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            &raw mut size,
        )
    };
    assert_eq!(opened, 0, "{}", std::io::Error::last_os_error());
    // A program that is started by another test at this moment must not keep the terminal open.
    for side in [ours, theirs] {
        // SAFETY: both are open, and touched by nobody else.
        unsafe { libc::fcntl(side, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    // SAFETY: both were opened above and belong to nobody else.
    unsafe { (File::from_raw_fd(ours), File::from_raw_fd(theirs)) }
}
