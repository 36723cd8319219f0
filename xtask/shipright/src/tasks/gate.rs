//! The gate of a promotion: images are scanned where they have arrived, before a moving tag names one.

use anyhow::{Result, bail};

use super::transfer::{Image, Transfer};
use crate::{
    context::Context,
    plan::scan::{self, Gate},
    refused::Refused,
    scan::{GateKeeper, installed, leave_out_in_sandbox},
    session::Session,
};

/// What the environment that gets the images asks of them.
///
/// # Errors
/// A refusal, where nothing can scan.
pub(super) fn of(context: &Context, regions: &[Session<'_>]) -> Result<Option<Gate>> {
    let Some(to) = regions.first() else {
        return Ok(None);
    };
    let mut gate = scan::gate(to.environment, &to.place, &installed()).map_err(Refused::from)?;
    leave_out_in_sandbox(&mut gate, to, &context.terminal);
    Ok(gate)
}

/// Scans every image that is to get a moving tag. What has the same digest in several regions is scanned in the first.
///
/// # Errors
/// Images that do not pass; why is said of each.
pub(super) fn pass<'i>(
    all: impl Iterator<Item = (&'i Transfer<'i>, &'i Image<'i>)>,
    keeper: &GateKeeper<'_>,
) -> Result<()> {
    let mut has_stopped = false;
    for (transfer, image) in all.filter(|(_, image)| image.gets_moving_tag()) {
        let service = &image.selected.service.name;
        for manifest in image.images() {
            let subject = transfer.subject(image, manifest);
            if let Err(error) = keeper.require(service, &subject) {
                transfer.terminal.failed(&image.image, &error);
                has_stopped = true;
            }
        }
    }
    if has_stopped {
        bail!("no moving tag was written, because an image did not pass the scan");
    }
    Ok(())
}
