//! Waiting for something that takes AWS or a cluster its time.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::interrupt;

/// How long an update of a function, or a deployment of a service, may take.
pub(super) const LONG: Duration = Duration::from_mins(15);

/// Whether an interrupt ends a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heed {
    /// It does.
    Interrupts,
    /// It does not: something is being restored.
    Nothing,
}

/// The error of a run that was asked to end.
#[derive(Debug)]
pub(super) struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// Asks until there is an answer, a fifth of a second apart at first and five seconds later. AWS's own waiters space their questions
/// up to five minutes.
///
/// # Errors
/// A question that fails, an interrupt, and more time than `limit`.
pub(super) fn until<T>(
    what: &str,
    limit: Duration,
    heed: Heed,
    mut ask: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    const LONGEST: Duration = Duration::from_secs(5);
    let start = Instant::now();
    let mut pause = Duration::from_millis(200);
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if start.elapsed() > limit {
            bail!("{what} took more than {} minutes", limit.as_secs() / 60);
        }
        sleep(pause, heed)?;
        pause = (pause * 3 / 2).min(LONGEST);
    }
}

/// Sleeps, in short naps so that an interrupt is noticed.
///
/// # Errors
/// An interrupt.
pub(crate) fn sleep(time: Duration, heed: Heed) -> Result<()> {
    const NAP: Duration = Duration::from_millis(100);
    let end = Instant::now() + time;
    loop {
        check(heed)?;
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(NAP));
    }
}

/// Whether the run has been asked to end.
///
/// # Errors
/// [`Interrupted`], when it has.
pub(super) fn check(heed: Heed) -> Result<()> {
    if heed == Heed::Interrupts && interrupt::requested() {
        Err(Interrupted.into())
    } else {
        Ok(())
    }
}
