//! The gate before moving tags: an image that has what the environment does not let through stops all of them.

use anyhow::Result;

use super::{
    Executor,
    publish::{Destination, Published},
    stage::Job,
};
use crate::{model::tags::TagKind, plan::TagAction};

impl Executor<'_> {
    /// Scans every image that a moving tag is to name, where the plan asks for it. All of them are in the registry by now, proven
    /// and under their lasting tags.
    ///
    /// # Errors
    /// An image that does not pass: no moving tag may be written then, of none.
    pub(super) fn scan_before_moving_tags(
        &self,
        destination: &Destination<'_>,
        jobs: &mut [Job<'_>],
        there: &[Published<'_>],
    ) -> Result<()> {
        let Some(gate) = self.gate else {
            return Ok(());
        };
        let images = there.iter().enumerate().collect();
        self.stage(
            jobs,
            images,
            "no moving tag was written",
            |job, (place, image)| {
                let in_index = destination
                    .plan
                    .indexes
                    .iter()
                    .any(|index| index.images.contains(&place));
                let mut tags = image.publication.tags.iter();
                let moves =
                    tags.any(|tag| tag.kind == TagKind::Moving && tag.action == TagAction::Write);
                if !moves && !in_index {
                    return Ok(());
                }
                let Destination {
                    registry,
                    repositories,
                    ..
                } = destination;
                let subject = image.subject(&job.image.name, registry, *repositories);
                job.report.scan = Some(gate.require(&job.image.service, &subject)?);
                Ok(())
            },
        )?;
        Ok(())
    }
}
