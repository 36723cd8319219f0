//! A call that AWS takes only so often: made at full speed until AWS says that it is too often, and from then on one after the other.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How often `PutImage` is taken, with a little room. Source: "Amazon ECR service quotas", ten in a second.
const GAP: Duration = Duration::from_millis(120);

/// How long nothing is asked once AWS has had enough.
const REST: Duration = Duration::from_secs(1);

/// When the next call may be made. It may at once, as long as AWS has not complained.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<Option<Instant>>);

impl Pace {
    /// Waits for the next call's turn.
    pub(super) fn wait(&self) {
        let turn = {
            let mut next = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(turn) = *next else { return };
            let turn = turn.max(Instant::now());
            *next = Some(turn + GAP);
            turn
        };
        std::thread::sleep(turn.saturating_duration_since(Instant::now()));
    }

    /// AWS has had enough for the moment.
    pub(super) fn slow_down(&self) {
        let mut next = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rested = Instant::now() + REST;
        *next = Some(next.map_or(rested, |turn| turn.max(rested)));
    }
}
