//! One stage of a plan: the same step for every image, some at a time. Only when all have done it, the next may begin.

use std::sync::{
    Mutex, OnceLock, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use anyhow::{Result, bail};

use super::{Executor, together::Seat};
use crate::{
    docker::{Base, BuildFailed},
    interrupt,
    plan::PlannedImage,
    report::{result::ImageReport, terminal::Activity},
};

/// An image of the plan, and its row of the report.
pub(super) struct Job<'p> {
    /// The image.
    pub image: &'p PlannedImage,
    /// What is known of it so far.
    pub report: ImageReport,
    /// The base images that its build has read.
    pub bases: Vec<Base>,
    /// Its place in a call that makes several images, until that call was made.
    pub seat: Option<Seat<'p>>,
    /// What people see of it, once something is done.
    activity: OnceLock<Activity>,
}

impl<'p> Job<'p> {
    /// An image to which nothing was done yet.
    pub(super) fn of(image: &'p PlannedImage) -> Self {
        Self {
            image,
            report: ImageReport::planned(image),
            bases: Vec::new(),
            seat: None,
            activity: OnceLock::new(),
        }
    }

    /// Takes its line away, with all that was said.
    pub(super) fn take_activity(&mut self) -> Option<Activity> {
        self.activity.take()
    }
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
                            Err(error) => self.fail(job, &error),
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

    /// What people see of an image.
    pub(super) fn activity<'j>(&self, job: &'j Job<'_>) -> &'j Activity {
        job.activity.get_or_init(|| {
            let (name, platform) = (&job.image.name, job.image.arch.platform());
            self.terminal.activity(name, &platform, self.width)
        })
    }

    /// Says why an image has failed: of a build with what the step has printed, whole and once.
    fn fail(&self, job: &mut Job<'_>, error: &anyhow::Error) {
        interrupt::let_end();
        let name = &job.image.name;
        self.activity(job).give_up();
        let failed = error.downcast_ref::<BuildFailed>();
        if let Some(failed) = failed {
            let log = failed.log();
            let file = self.logs.map(|logs| logs.shown(name));
            let whole = file.map_or_else(String::new, |file| {
                format!("{name}: the whole log of the build is {}\n", file.display())
            });
            if !log.is_empty() {
                self.terminal.log(&format!("{name}: {log}\n{whole}"));
            }
        }
        let build = job.image.build();
        let line = failed.and_then(|failed| failed.line);
        let place = build.map(|build| build.dockerfile.as_path()).zip(line);
        match place {
            Some(place) => self.terminal.failed_at(place, name, error),
            None => self.terminal.failed(name, error),
        }
        job.report.error = Some(format!("{error:#}"));
        job.report.seconds = self.activity(job).elapsed();
    }
}
