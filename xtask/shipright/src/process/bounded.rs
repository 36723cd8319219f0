//! A program whose answer has a bound, in bytes and in time: one that may be anybody's.

use std::{
    io::Read,
    process::{Child, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::{Registered, Tool};

/// How much of what a program says on standard error is kept: its last words.
const LAST_WORDS: usize = 4096;

/// How long is waited for a program that has said all.
const NAP: Duration = Duration::from_millis(20);

impl Tool {
    /// Runs it and returns what it printed on standard output: `limit` bytes at most, within `time`.
    ///
    /// # Errors
    /// A program that is missing or fails, with the end of what it said; one that says more, or takes longer, is ended.
    pub fn bounded(&self, args: &[&str], limit: u64, time: Duration) -> Result<Vec<u8>> {
        let end = Instant::now() + time;
        let mut command = self.command(args);
        command.stdin(Stdio::null());
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.map_err(|error| self.not_started(&error))?;
        let registered = Registered::new(&child);
        let stdout = child.stdout.take().context("no standard output")?;
        let stderr = child.stderr.take().context("no standard error")?;
        let output = beside(move || {
            let mut bytes = Vec::new();
            stdout
                .take(limit + 1)
                .read_to_end(&mut bytes)
                .map(|_| bytes)
        });
        let words = beside(move || last_words(stderr));
        let name = self.program.display();
        let output = output.recv_timeout(end.saturating_duration_since(Instant::now()));
        let is_whole = matches!(&output, Ok(Ok(bytes)) if bytes.len() as u64 <= limit);
        let status = if is_whole {
            ended(&mut child, end)?
        } else {
            None
        };
        if status.is_none() {
            let _ = child.kill();
            let _ = child.wait();
        }
        registered.tell(&self.shown(args), status);
        match (output, status) {
            (Ok(Ok(bytes)), Some(status)) if status.success() => Ok(bytes),
            (Ok(Ok(_)), Some(status)) => {
                let words = words
                    .recv_timeout(Duration::from_secs(1))
                    .unwrap_or_default();
                let words = if words.is_empty() {
                    "it said nothing"
                } else {
                    &words
                };
                bail!("`{name}` failed ({status}): {words}")
            }
            (Ok(Ok(bytes)), None) if bytes.len() as u64 > limit => {
                bail!("`{name}` said more than {limit} bytes, and was ended")
            }
            (Ok(Err(error)), _) => {
                Err(error).with_context(|| format!("failed to read what `{name}` says"))
            }
            (_, _) => bail!(
                "`{name}` took more than {}, and was ended",
                humantime::format_duration(time)
            ),
        }
    }
}

/// Does something in a thread of its own. Nobody waits for the thread: a pipe may stay open in a program's own children.
fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Receiver<T> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(work()));
    receiver
}

/// How a program ended that has said all. `None` where it does not end in time.
fn ended(child: &mut Child, end: Instant) -> Result<Option<ExitStatus>> {
    loop {
        let status = child.try_wait().context("failed to wait for a program")?;
        if status.is_some() || Instant::now() > end {
            return Ok(status);
        }
        std::thread::sleep(NAP);
    }
}

fn last_words(mut stderr: impl Read) -> String {
    let (mut kept, mut part) = (Vec::new(), [0; 1024]);
    while let Ok(count @ 1..) = stderr.read(&mut part) {
        kept.extend_from_slice(&part[..count]);
        let more = kept.len().saturating_sub(LAST_WORDS);
        kept.drain(..more);
    }
    // Each line is indented: none of it can be taken for a line of ours.
    let text = String::from_utf8_lossy(&kept);
    let lines: Vec<_> = text.trim().lines().map(str::trim_end).collect();
    lines.join("\n    ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: u64, time: Duration) -> Result<String, String> {
        let answer = Tool::new("sh").bounded(&["-c", script], limit, time);
        answer
            .map(|bytes| String::from_utf8(bytes).unwrap())
            .map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn an_answer_has_a_bound_in_bytes_and_in_time_and_a_failure_has_its_last_words() {
        let long = Duration::from_mins(1);
        assert_eq!(shell("echo answer", 100, long).unwrap(), "answer\n");
        assert_eq!(shell("printf 12345", 5, long).unwrap(), "12345");
        assert_eq!(shell(":", 5, long).unwrap(), "");
        let cases = [
            ("printf 123456", 5, long, "more than 5 bytes"),
            ("yes", 5, long, "more than 5 bytes"),
            ("echo wrong >&2; exit 3", 5, long, "(exit status: 3): wrong"),
            (
                "printf 'one\nerror: two\n' >&2; exit 3",
                5,
                long,
                "one\n    error: two",
            ),
            ("exit 3", 5, long, "it said nothing"),
            ("exec sleep 600", 5, Duration::ZERO, "took more than 0s"),
            (
                "exec >&-; exec sleep 600",
                5,
                Duration::ZERO,
                "took more than 0s",
            ),
        ];
        for (script, limit, time, words) in cases {
            let error = shell(script, limit, time).unwrap_err();
            assert!(error.contains(words), "{script}: {error}");
        }
        let missing = Tool::new("no-such-program").bounded(&[], 5, long);
        assert!(missing.unwrap_err().to_string().contains("not installed"));
    }
}
