//! What a `prune` would delete and keep, and what came of it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};

use super::terminal::{Terminal, one_line};
use crate::{
    model::{inventory::StoredImage, place::Place},
    plan::{
        age,
        prune::{Decided, monthly_cost},
        status::short_digest,
    },
};

/// What was decided about a repository.
pub struct Pruned<'p> {
    /// Where it is.
    pub place: &'p Place,
    /// Its name.
    pub repository: &'p str,
    /// Its images.
    pub images: Vec<Decided>,
}

/// An image that was deleted.
#[derive(Debug, Serialize)]
pub struct Deleted {
    /// The repository.
    pub repository: String,
    /// The region, where the environment has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The digest.
    pub digest: String,
    /// Bytes, also of layers that other images have.
    pub size: u64,
}

/// An image that was to be deleted and is still there.
#[derive(Debug, Serialize)]
pub struct Left {
    /// The repository.
    pub repository: String,
    /// The region, where the environment has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The digest.
    pub digest: String,
    /// Why.
    pub why: String,
}

/// What came of a `prune`.
#[derive(Debug, Default, Serialize)]
pub struct Outcome {
    /// What is gone.
    pub deleted: Vec<Deleted>,
    /// What was left alone, because it has changed since it was shown.
    pub left: Vec<Left>,
    /// What ECR did not delete.
    pub failed: Vec<Left>,
    /// Whether it was interrupted.
    pub interrupted: bool,
}

impl Outcome {
    /// Shows it.
    pub fn show(&self, terminal: &Terminal) {
        let line = |one: &Left| format!("{}@{}: {}", one.repository, one.digest, one.why);
        for one in &self.left {
            terminal.warning(&format!("left alone: {}", line(one)));
        }
        for one in &self.failed {
            terminal.error(format!("not deleted: {}", line(one)));
        }
        let bytes = self.deleted.iter().map(|one| one.size).sum();
        terminal.status(
            "Pruned",
            &format!(
                "{} images, {} and at most {} a month",
                self.deleted.len(),
                shown_size(bytes),
                shown_cost(bytes)
            ),
        );
        if self.interrupted {
            terminal.note("interrupted; the same command goes on from what is there");
        }
    }
}

/// How many images would be deleted, and their bytes.
pub fn total(pruned: &[Pruned<'_>]) -> (usize, u64) {
    let images = pruned.iter().flat_map(|one| &one.images);
    let deleted = images.filter(|one| one.needless().is_some());
    deleted.fold((0, 0), |(count, bytes), one| {
        (count + 1, bytes + one.image.size)
    })
}

/// The plan for programs.
pub fn document(pruned: &[Pruned<'_>]) -> Value {
    let image = |one: &Decided| {
        let StoredImage {
            digest,
            tags,
            pushed,
            size,
            is_index,
            children,
            subject,
            unread: _,
        } = &one.image;
        let pushed = pushed.and_then(|seconds| DateTime::<Utc>::from_timestamp(seconds, 0));
        let why = one.needless().map(ToString::to_string);
        let why = why.or_else(|| one.kept().map(ToString::to_string));
        json!({
            "digest": digest, "tags": tags, "pushed": pushed.map(|time| time.to_rfc3339()), "size": size,
            "monthly-usd": monthly_cost(*size), "index": is_index, "children": children, "subject": subject,
            "delete": one.needless().is_some(), "why": why,
        })
    };
    let repository = |one: &Pruned<'_>| {
        let images: Vec<_> = one.images.iter().map(image).collect();
        json!({ "registry": one.place.registry, "region": one.place.region, "repository": one.repository, "images": images })
    };
    let (count, bytes) = total(pruned);
    json!({
        "repositories": pruned.iter().map(repository).collect::<Vec<_>>(),
        "deletions": count, "size": bytes, "monthly-usd": monthly_cost(bytes),
    })
}

/// Shows what would be deleted, each, and what stays, counted by its reasons.
pub fn show(terminal: &Terminal, pruned: &[Pruned<'_>], now: DateTime<Utc>) {
    for one in pruned {
        let deleted: Vec<_> = one
            .images
            .iter()
            .filter(|image| image.needless().is_some())
            .collect();
        if !deleted.is_empty() {
            terminal.block(&table(one, &deleted, now));
        }
        stays(terminal, one);
    }
    let (count, bytes) = total(pruned);
    if count == 0 {
        terminal.status("Nothing", "is left to delete");
        return;
    }
    terminal.block(&format!(
        "\n{count} images, {}, at most {} a month: ECR's 0.10 USD a GB in us-east-1, and layers that images share are stored once",
        shown_size(bytes),
        shown_cost(bytes)
    ));
}

fn stays(terminal: &Terminal, one: &Pruned<'_>) {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    let kept = one
        .images
        .iter()
        .filter_map(|image| Some((image, image.kept()?)));
    for (image, why) in kept {
        *kinds.entry(why.kind()).or_default() += 1;
        terminal.detail(&format!(
            "stays: {} {}: {}",
            short_digest(&image.image.digest),
            named(&image.image),
            one_line(&why.to_string())
        ));
    }
    let count: usize = kinds.values().sum();
    let mut lines = vec![format!("\n{count} images of {} stay:", one.repository)];
    lines.extend(
        kinds
            .iter()
            .map(|(kind, count)| format!("  {count:>5} {kind}")),
    );
    terminal.block(&lines.join("\n"));
}

fn table(pruned: &Pruned<'_>, deleted: &[&Decided], now: DateTime<Utc>) -> String {
    let head = ["digest", "tags", "pushed", "size", "a month", "why"].map(str::to_owned);
    let rows = deleted.iter().map(|one| {
        let image = &one.image;
        let size = if image.is_index {
            "index".to_owned()
        } else {
            shown_size(image.size)
        };
        let why = one.needless().map(ToString::to_string);
        [
            short_digest(&image.digest).to_owned(),
            named(image),
            pushed(image, now),
            size,
            shown_cost(image.size),
            why.unwrap_or_default(),
        ]
    });
    let rows: Vec<_> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..6).map(width).collect();
    let line = |row: &[String; 6]| {
        let cells = row.iter().zip(&widths).enumerate();
        let cells = cells.map(|(column, (text, &width))| match column {
            3 | 4 => format!("{text:>width$}"),
            _ => format!("{text:<width$}"),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let lines: Vec<_> = rows.iter().map(line).collect();
    let name = format!("{}/{}", pruned.place.registry, pruned.repository);
    format!("\nto delete from {name}:\n{}", lines.join("\n"))
}

/// Its tags, shortened to the first: that is the most telling of those that a push writes.
fn named(image: &StoredImage) -> String {
    let shortest = image.tags.iter().min_by_key(|tag| tag.len());
    let time = image.tags.iter().find(|tag| tag.contains("-20"));
    match (time.or(shortest), image.tags.len()) {
        (None, _) => "-".to_owned(),
        (Some(tag), 1) => one_line(tag),
        (Some(tag), count) => format!("{} +{}", one_line(tag), count - 1),
    }
}

fn pushed(image: &StoredImage, now: DateTime<Utc>) -> String {
    let time = image
        .pushed
        .and_then(|seconds| DateTime::<Utc>::from_timestamp(seconds, 0));
    let age = time.and_then(|time| age::of(&time.to_rfc3339(), now));
    age.map_or_else(|| "-".to_owned(), |age| format!("{age} ago"))
}

fn shown_size(bytes: u64) -> String {
    let tenths = |unit: u64| {
        let tenths = bytes.saturating_mul(10) / unit;
        format!("{}.{}", tenths / 10, tenths % 10)
    };
    match bytes {
        1_000_000_000.. => format!("{} GB", tenths(1_000_000_000)),
        1_000_000.. => format!("{} MB", tenths(1_000_000)),
        _ => format!("{} kB", tenths(1_000)),
    }
}

fn shown_cost(bytes: u64) -> String {
    format!("{:.3} USD", monthly_cost(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_in_the_largest_unit() {
        for (bytes, expected) in [
            (0, "0.0 kB"),
            (999_949, "999.9 kB"),
            (1_500_000, "1.5 MB"),
            (12_340_000_000, "12.3 GB"),
        ] {
            assert_eq!(shown_size(bytes), expected);
        }
    }
}
