//! What can be deleted from an environment's repositories: images that nothing runs, nothing names and nobody goes back to.
//!
//! Architecture Invariants: what is not understood stays. An image is deleted only with a reason, and stays with one; nothing is
//! deleted before an image index or a subject that names it.

mod decide;
mod lifecycle;
mod order;
mod reason;
mod scheme;
#[cfg(test)]
mod tests;

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

pub use decide::decide;
pub use lifecycle::{LifecyclePolicy, difference, lifecycle_policy};
pub use order::{Step, batches};
pub use reason::{Kept, Needless};
pub use scheme::Scheme;

use crate::model::inventory::{ImageUse, StoredImage};

/// The push of an image that is younger may still be under way: it has a digest before it has tags.
pub const UNDER_WAY: Duration = Duration::from_hours(1);

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Of each image in each environment, so many of the newest.
    pub keep: usize,
    /// Everything that was pushed since then.
    pub older: Duration,
}

/// Everything that a decision about a repository is made from.
pub struct Facts<'f> {
    /// The repository's name.
    pub repository: &'f str,
    /// Everything in it.
    pub images: Vec<StoredImage>,
    /// What runs, or could run again, wherever its images may be.
    pub uses: &'f [ImageUse],
    /// What tags in it say.
    pub scheme: &'f Scheme<'f>,
    /// The services that it is about; none for all.
    pub services: &'f [String],
    /// How much is kept.
    pub bounds: Bounds,
    /// The time.
    pub now: DateTime<Utc>,
}

/// What becomes of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It stays.
    Keep(Kept),
    /// It is deleted.
    Delete(Needless),
}

/// An image, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// The image.
    pub image: StoredImage,
    /// What becomes of it.
    pub verdict: Verdict,
}

impl Decided {
    /// Why it is deleted, if it is.
    pub fn needless(&self) -> Option<&Needless> {
        match &self.verdict {
            Verdict::Delete(why) => Some(why),
            Verdict::Keep(_) => None,
        }
    }

    /// Why it stays, if it does.
    pub fn kept(&self) -> Option<&Kept> {
        match &self.verdict {
            Verdict::Keep(why) => Some(why),
            Verdict::Delete(_) => None,
        }
    }
}

/// What storage costs, in US dollars for a month and 10^9 bytes.
///
/// Source: "Amazon ECR pricing", private repositories, us-east-1: 0.10 USD for a GB and month. Layers that images share are stored
/// once, and here they count in each: it is the most that a deletion can save.
const MONTHLY: f64 = 0.10;

/// What so many bytes cost a month, in US dollars, at most.
pub fn monthly_cost(bytes: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a sum for people")]
    let gigabytes = bytes as f64 / 1e9;
    gigabytes * MONTHLY
}
