//! Tags of images, written and read back.

use anyhow::{Result, bail};

use super::{Executor, publish::Published, stage::Job};
use crate::{
    model::tags::TagKind, parallel::side_by_side, plan::TagAction, repositories::Repositories,
};

/// Which tags are written: those that never move come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// Those that never move.
    Lasting,
    /// Those that move.
    Moving,
}

impl Which {
    /// Whether a tag is one of these.
    pub(super) fn includes(self, kind: TagKind) -> bool {
        (kind == TagKind::Moving) == (self == Self::Moving)
    }
}

impl Executor<'_> {
    /// Writes the tags of an image that are to be written.
    pub(super) fn tag(
        &self,
        job: &mut Job<'_>,
        repositories: Repositories<'_>,
        image: &Published<'_>,
        which: Which,
    ) -> Result<()> {
        // ECR takes ten in a second, of all that is pushed at the time.
        const AT_ONCE: usize = 4;
        let repository = &image.publication.repository;
        let tags = image.publication.tags.iter();
        let mut written = Vec::new();
        for tag in tags.filter(|tag| which.includes(tag.kind)) {
            match tag.action {
                TagAction::Write => written.push(&tag.name),
                TagAction::Present => {}
                TagAction::Kept => {
                    let text =
                        "stays on an earlier image: the repository lets only other tags move";
                    self.terminal.note(&format!("`{}` {text}", tag.name));
                }
            }
        }
        job.report.changed |= !written.is_empty();
        self.activity(job).phase("tag", repository);
        side_by_side(AT_ONCE, &written, |name| {
            self.terminal.detail(&format!("tag {repository}:{name}"));
            repositories.writer().tag(repository, &image.manifest, name)
        })?;
        Ok(())
    }

    /// Reads every tag once more. Another run may have written a moving tag since, and then this one must not say that
    /// the environment has its image.
    pub(super) fn confirm(
        &self,
        job: &mut Job<'_>,
        repositories: Repositories<'_>,
        image: &Published<'_>,
    ) -> Result<()> {
        self.activity(job).phase("verify", "tags");
        let names: Vec<_> = expected(image).cloned().collect();
        let current = repositories.manifests(&image.publication.repository, &names)?;
        let digest = &image.manifest.digest;
        let mut wrong = Vec::new();
        for name in names {
            match current.get(&name) {
                Some(manifest) if manifest.digest == *digest => {
                    job.report.tags.insert(name, digest.clone());
                }
                Some(manifest) => wrong.push(format!("`{name}` is {}", manifest.digest)),
                None => wrong.push(format!("`{name}` is missing")),
            }
        }
        if !wrong.is_empty() {
            let wrong = wrong.join(", ");
            bail!(
                "tags do not name {digest}, perhaps because another push ran at the same time: {wrong}"
            );
        }
        let count = job.report.tags.len();
        let text = format!("{}: {count} tags name {digest}", job.image.name);
        self.terminal.detail(&text);
        Ok(())
    }
}

/// Reports the tags as they were read for the plan: where nothing at all is to be made or written, that was a moment ago.
pub(super) fn as_read(job: &mut Job<'_>, image: &Published<'_>) {
    let read = expected(image).map(|name| (name.clone(), image.manifest.digest.clone()));
    job.report.tags.extend(read);
}

/// The tags that are to name an image in the end.
fn expected<'i>(image: &'i Published<'_>) -> impl Iterator<Item = &'i String> {
    let tags = image.publication.tags.iter();
    let tags = tags.filter(|tag| tag.action != TagAction::Kept);
    tags.map(|tag| &tag.name)
}
