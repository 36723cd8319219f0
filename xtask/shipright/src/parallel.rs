//! What goes on side by side: the same step for many things, and two things that do not wait for each other.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use anyhow::Result;

/// Does a step for each of some things, so many at a time, and returns what came of each in their order. After one that fails no
/// other is begun.
///
/// # Errors
/// The first failure.
pub(crate) fn side_by_side<T: Sync, O: Send>(
    at_once: usize,
    all: &[T],
    step: impl Fn(&T) -> Result<O> + Sync,
) -> Result<Vec<O>> {
    if let [one] = all {
        return Ok(vec![step(one)?]);
    }
    let (next, failure) = (AtomicUsize::new(0), Mutex::new(None));
    let outputs: Vec<_> = all.iter().map(|_| Mutex::new(None)).collect();
    let has_failed = || {
        let failure = failure.lock().unwrap_or_else(PoisonError::into_inner);
        Option::is_some(&*failure)
    };
    let work = || {
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let (Some(one), false) = (all.get(place), has_failed()) else {
                return;
            };
            match step(one) {
                Ok(output) => {
                    *outputs[place]
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner) = Some(output);
                }
                Err(error) => {
                    let mut failure = failure.lock().unwrap_or_else(PoisonError::into_inner);
                    failure.get_or_insert(error);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..at_once.min(all.len()) {
            scope.spawn(work);
        }
    });
    if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    let done = outputs
        .into_iter()
        .filter_map(|output| output.into_inner().unwrap_or_else(PoisonError::into_inner));
    Ok(done.collect())
}

/// Does two things at once, the first in a thread of its own, and returns what came of each. A panic of the first is one of the caller.
pub(crate) fn both<A: Send, B>(
    first: impl FnOnce() -> A + Send,
    second: impl FnOnce() -> B,
) -> (A, B) {
    std::thread::scope(|scope| {
        let first = scope.spawn(first);
        let second = second();
        let first = first
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (first, second)
    })
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn two_things_wait_for_each_other_only_at_the_end() {
        // Either alone would wait for ever.
        let barrier = std::sync::Barrier::new(2);
        let step = |name| {
            barrier.wait();
            name
        };
        assert_eq!(both(|| step("one"), || step("two")), ("one", "two"));
    }

    #[test]
    fn outputs_keep_their_order_and_a_failure_stops_the_rest() {
        let all: Vec<usize> = (0..100).collect();
        let twice = side_by_side(7, &all, |one| Ok(one * 2)).unwrap();
        assert_eq!(twice, all.iter().map(|one| one * 2).collect::<Vec<_>>());
        let begun = AtomicUsize::new(0);
        let failed = side_by_side(1, &all, |one| {
            begun.fetch_add(1, Ordering::Relaxed);
            if *one == 3 {
                bail!("three");
            }
            Ok(())
        });
        assert_eq!(failed.unwrap_err().to_string(), "three");
        assert_eq!(begun.into_inner(), 4);
    }
}
