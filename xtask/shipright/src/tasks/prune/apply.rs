//! Deletes what was shown, a call at a time, after one more look at each image.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};

use super::ground::Ground;
use crate::{
    context::Context,
    interrupt,
    model::inventory::{ImageUse, StoredImage, UsedImage},
    plan::prune::{Step, batches},
    record::Record,
    report::prune::{Deleted, Left, Outcome, Pruned},
    session::Session,
    targets::Users,
};

/// Deletes all of it.
///
/// # Errors
/// What cannot be read any more, and a call that fails: what was deleted until then is in the record.
pub(super) fn apply(
    context: &Context,
    ground: &Ground<'_>,
    users: &Users<'_>,
    pruned: &[Pruned<'_>],
    who: &str,
) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    for one in pruned {
        let is_its = |place: &&super::ground::Place<'_>| {
            place.repository == one.repository && ground.session(place).place == *one.place
        };
        let place = ground.places.iter().find(is_its);
        let place = place.context("a repository is in a place")?;
        let images = one.images.iter().map(|decided| &decided.image);
        let deletion = Deletion {
            context,
            session: ground.session(place),
            users,
            repository: one.repository,
            images: images.map(|image| (image.digest.as_str(), image)).collect(),
            who,
        };
        for batch in batches(&one.images) {
            if interrupt::requested() {
                outcome.interrupted = true;
                return Ok(outcome);
            }
            let count = outcome.deleted.len();
            let told = format!(
                "stopped after {count} images were deleted; the same command goes on from there"
            );
            deletion.carry_out(&batch, &mut outcome).context(told)?;
        }
    }
    Ok(outcome)
}

/// The deletions of one repository.
struct Deletion<'d> {
    context: &'d Context,
    session: &'d Session<'d>,
    users: &'d Users<'d>,
    repository: &'d str,
    /// The images as they were shown.
    images: BTreeMap<&'d str, &'d StoredImage>,
    who: &'d str,
}

impl Deletion<'_> {
    fn carry_out(&self, batch: &[Step], outcome: &mut Outcome) -> Result<()> {
        // From here on an interrupt waits until what is deleted is written down.
        let _deferral = interrupt::defer();
        let free = self.without_what_is_needed(batch, outcome);
        let digests: Vec<String> = free.iter().map(|step| step.digest.clone()).collect();
        if digests.is_empty() {
            return Ok(());
        }
        let uses = self.users.read()?;
        let reader = self.session.aws.reader();
        let now = reader.tags_of(self.repository, &digests)?;
        let mut wanted = Vec::new();
        for digest in digests {
            // What somebody else has deleted is gone as it should be.
            let Some(tags) = now.get(&digest) else {
                continue;
            };
            match self.why_left(&digest, tags, &uses) {
                Some(why) => outcome.left.push(self.left(&digest, why)),
                None => wanted.push(digest),
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        self.delete(&wanted, outcome)
    }

    /// Of a call what may still go: an index that is there keeps its images, and an image its signatures.
    fn without_what_is_needed<'s>(
        &self,
        batch: &'s [Step],
        outcome: &mut Outcome,
    ) -> Vec<&'s Step> {
        let still_there: BTreeSet<String> = outcome
            .left
            .iter()
            .chain(&outcome.failed)
            .filter(|one| one.repository == self.repository)
            .map(|one| one.digest.clone())
            .collect();
        let mut free = Vec::new();
        for step in batch {
            match step.after.iter().find(|one| still_there.contains(*one)) {
                Some(other) => {
                    let why = format!("{other} is still there");
                    outcome.left.push(self.left(&step.digest, why));
                }
                None => free.push(step),
            }
        }
        free
    }

    /// Why an image is left alone that was to be deleted.
    fn why_left(&self, digest: &str, tags: &BTreeSet<String>, uses: &[ImageUse]) -> Option<String> {
        let shown = self.images.get(digest).map(|image| &image.tags);
        let is_new = |tag: &&String| shown.is_none_or(|shown| !shown.contains(*tag));
        if let Some(tag) = tags.iter().find(is_new) {
            return Some(format!("it has got the tag `{tag}` meanwhile"));
        }
        let is_it = |one: &&ImageUse| match &one.image {
            UsedImage::Digest(used) => used == digest,
            UsedImage::Tag { repository, tag } => {
                repository == self.repository && tags.contains(tag)
            }
            UsedImage::Untold { repository } => repository
                .as_ref()
                .is_none_or(|name| name == self.repository),
        };
        let used = uses.iter().find(is_it);
        used.map(|used| format!("{} has it now", used.by))
    }

    fn delete(&self, digests: &[String], outcome: &mut Outcome) -> Result<()> {
        let writer = self.session.aws.writer();
        let failures = writer.delete_images(self.repository, digests)?;
        let mut records = Vec::new();
        for digest in digests {
            if let Some(failure) = failures.iter().find(|one| one.digest == *digest) {
                let why = format!("{}: {}", failure.code, failure.reason);
                outcome.failed.push(self.left(digest, why));
                continue;
            }
            let image = self.images.get(digest.as_str());
            let size = image.map_or(0, |image| image.size);
            records.push(self.record(digest));
            outcome.deleted.push(Deleted {
                repository: self.repository.to_owned(),
                region: self.session.region(),
                digest: digest.clone(),
                size,
            });
        }
        let terminal = &self.context.terminal;
        let text = format!("{} images of {}", records.len(), self.repository);
        terminal.status("Deleted", &text);
        self.context.record(self.session.config, &records);
        Ok(())
    }

    fn left(&self, digest: &str, why: String) -> Left {
        Left {
            repository: self.repository.to_owned(),
            region: self.session.region(),
            digest: digest.to_owned(),
            why,
        }
    }

    fn record(&self, digest: &str) -> Record {
        let tags = self.images.get(digest).map(|image| image.tags.join(" "));
        Record {
            who: self.who.to_owned(),
            action: "prune",
            environment: self.session.environment.name.clone(),
            image: tags
                .filter(|tags| !tags.is_empty())
                .unwrap_or_else(|| "untagged".to_owned()),
            workload: self.repository.to_owned(),
            from: None,
            to: digest.to_owned(),
            commit: None,
            outcome: "deleted",
        }
    }
}
