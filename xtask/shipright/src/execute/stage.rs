//! One stage of a plan: the same step for every image, some at a time. Only when all have done it, the next may begin.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use anyhow::{Result, bail};

use super::Executor;
use crate::{plan::PlannedImage, report::result::ImageReport};

/// An image of the plan, and its row of the report.
pub(super) struct Job<'p> {
    /// The image.
    pub image: &'p PlannedImage,
    /// What is known of it so far.
    pub report: ImageReport,
}

impl Executor<'_> {
    /// Does a step for every image with what the stage before has made of it. `stopped` is what did not happen when one fails.
    ///
    /// # Errors
    /// One that fails; why is in its report.
    pub(super) fn stage<'p, I: Send, O: Send>(
        &self,
        jobs: &mut [Job<'p>],
        inputs: Vec<I>,
        stopped: &str,
        step: impl Fn(&mut Job<'p>, I) -> Result<O> + Sync,
    ) -> Result<Vec<O>> {
        let count = jobs.len();
        let done: Vec<O> = self
            .each(jobs, inputs, step)
            .into_iter()
            .flatten()
            .collect();
        if done.len() < count {
            bail!("{stopped}, because another image failed");
        }
        Ok(done)
    }

    /// Does a step for every image, whatever becomes of the others. One that fails has why in its report.
    pub(super) fn each<'p, I: Send, O: Send>(
        &self,
        jobs: &mut [Job<'p>],
        inputs: Vec<I>,
        step: impl Fn(&mut Job<'p>, I) -> Result<O> + Sync,
    ) -> Vec<Option<O>> {
        let slots: Vec<_> = jobs
            .iter_mut()
            .zip(inputs)
            .map(|(job, input)| Mutex::new((job, Some(input), None)))
            .collect();
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..self.jobs.clamp(1, slots.len().max(1)) {
                scope.spawn(|| {
                    while let Some(slot) = slots.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
                        let (job, input, output) = &mut *slot;
                        let Some(input) = input.take() else { continue };
                        match step(job, input) {
                            Ok(done) => *output = Some(done),
                            Err(error) => {
                                self.terminal.failed(&job.image.name, &error);
                                job.report.error = Some(format!("{error:#}"));
                            }
                        }
                    }
                });
            }
        });
        let outputs = slots
            .into_iter()
            .map(|slot| slot.into_inner().unwrap_or_else(PoisonError::into_inner).2);
        outputs.collect()
    }
}
