//! Images that one call of BuildKit makes: whoever comes first makes the call, and the others wait for what is theirs.

use std::sync::{
    Arc, Mutex, PoisonError,
    mpsc::{self, Receiver, Sender},
};

use anyhow::{Context as _, Result, anyhow};

use super::{Executor, make::tell, stage::Job};
use crate::{
    docker::{BuildStep, Built, LoginSession, Part},
    plan::{Output, PlannedImage, bake},
    store::ContentStore,
};

/// What an image hears of the call.
enum Heard {
    Step(BuildStep),
    /// It is over. `None`: nothing is known of this image.
    End(Option<Result<Built>>),
}

/// A call that makes several images.
struct Call<'p> {
    images: Vec<&'p PlannedImage>,
    /// What tells each image. Whoever takes them makes the call.
    tell: Mutex<Option<Vec<Sender<Heard>>>>,
}

/// An image's place in a call.
pub(super) struct Seat<'p> {
    call: Arc<Call<'p>>,
    place: usize,
    heard: Receiver<Heard>,
}

/// Gives each image its place that is made together with others.
pub(super) fn take_seats<'p>(images: &'p [PlannedImage], jobs: &mut [Job<'p>], at_a_time: usize) {
    let calls = bake::together(images);
    // No more are built at a time than somebody wants.
    let calls = calls
        .iter()
        .flat_map(|places| places.chunks(at_a_time.max(1)));
    for places in calls.filter(|places| places.len() > 1) {
        let together = places.iter().filter_map(|place| images.get(*place));
        let (tell, heard): (Vec<_>, Vec<_>) = places.iter().map(|_| mpsc::channel()).unzip();
        let call = Arc::new(Call {
            images: together.collect(),
            tell: Mutex::new(Some(tell)),
        });
        for (place, (image, heard)) in places.iter().zip(heard).enumerate() {
            if let Some(job) = jobs.get_mut(*image) {
                let call = call.clone();
                job.seat = Some(Seat { call, place, heard });
            }
        }
    }
}

impl Executor<'_> {
    /// What a call that makes several images has made of this one. `None` where it is to be built alone. A build that has failed is an error,
    /// and so is one that was given up because another one of the call has failed.
    pub(super) fn build_together(
        &self,
        job: &Job<'_>,
        seat: &Seat<'_>,
        session: Option<&LoginSession>,
        store: &ContentStore,
    ) -> Option<Result<Built>> {
        let call = &seat.call;
        let first = call
            .tell
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let activity = self.begin_build(job);
        if let Some(others) = first {
            let made = self.make_call(job, seat, &others, session, store);
            return made.map_or_else(
                |error| Some(Err(error)),
                |made| seat.deal_out(made, &others),
            );
        }
        while let Ok(heard) = seat.heard.recv() {
            match heard {
                Heard::Step(step) => tell(activity, step),
                Heard::End(end) => return end,
            }
        }
        None
    }

    /// Makes the call, and tells the others where it is.
    fn make_call(
        &self,
        job: &Job<'_>,
        seat: &Seat<'_>,
        others: &[Sender<Heard>],
        session: Option<&LoginSession>,
        store: &ContentStore,
    ) -> Result<Vec<Option<Result<Built>>>> {
        let images = &seat.call.images;
        let activity = self.activity(job);
        let logs: Vec<_> = images
            .iter()
            .map(|image| self.logs.map(|logs| logs.file(&image.name)))
            .collect();
        let mut layouts = Vec::new();
        let mut parts = Vec::new();
        for (place, image) in images.iter().enumerate() {
            let build = image.build().context("an image of the call has no build")?;
            let layout = store.layout()?;
            let directory = layout.path().to_owned();
            layouts.push(layout);
            parts.push(Part {
                build: build.to(Output::ContentStore { directory }),
                log: logs[place].as_deref(),
                tell: if place == seat.place {
                    Box::new(|step| tell(activity, step))
                } else {
                    let other = &others[place];
                    Box::new(|step| drop(other.send(Heard::Step(step))))
                },
            });
        }
        self.docker.build_together(parts, session)
    }
}

impl Seat<'_> {
    /// Gives each of the others what was made of it, and returns what is this image's. What was not made is given up where another one has
    /// failed.
    fn deal_out(
        &self,
        mut made: Vec<Option<Result<Built>>>,
        others: &[Sender<Heard>],
    ) -> Option<Result<Built>> {
        let is_failed = |end: &Option<Result<Built>>| matches!(end, Some(Err(_)));
        if let Some(failed) = made.iter().position(is_failed) {
            let name = &self.call.images[failed].name;
            for end in made.iter_mut().filter(|end| end.is_none()) {
                let given_up = anyhow!("the build was given up, because that of {name} has failed");
                *end = Some(Err(given_up));
            }
        }
        let mut own = None;
        for (place, end) in made.into_iter().enumerate() {
            if place == self.place {
                own = end;
            } else {
                // Nobody waits any more where an interrupt was first.
                let _ = others[place].send(Heard::End(end));
            }
        }
        own
    }
}
