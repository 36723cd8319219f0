//! The end of a push or a build: a table for people, and the same for the workflow that it is a step of.

use std::fmt::Write as _;

use anyhow::Result;

use super::{
    result::{ImageReport, Report},
    size,
    table::table,
    terminal::github,
};
use crate::{
    model::tags::TagKind,
    plan::{Plan, PlannedImage, TagAction, status::short_digest},
};

/// What came of each image.
pub struct Summary {
    head: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

const PUSHED: [&str; 8] = [
    "image",
    "platform",
    "size",
    "new layers",
    "digest",
    "tag",
    "runs",
    "time",
];

const BUILT: [&str; 4] = ["image", "platform", "name", "time"];

impl Summary {
    /// Puts together what there is to say.
    pub fn of(plan: &Plan, report: &Report) -> Self {
        let images = || plan.images.iter().zip(&report.images);
        if report.place.is_none() {
            let row = |(_, image): (_, &ImageReport)| built(image);
            return Self {
                head: &BUILT,
                rows: images().map(row).collect(),
            };
        }
        let mut rows: Vec<Vec<String>> = images()
            .map(|(planned, image)| pushed(planned, image))
            .collect();
        for index in &report.image_indexes {
            let tag = index.tags.last().cloned().unwrap_or_default();
            let platform = "index for both CPUs".to_owned();
            let none = || "-".to_owned();
            let digest = short(&index.digest);
            rows.push(vec![
                index.name.clone(),
                platform,
                none(),
                none(),
                digest,
                tag,
                none(),
                none(),
            ]);
        }
        Self {
            head: &PUSHED,
            rows,
        }
    }

    /// The table, for a terminal of so many columns.
    pub fn text(&self, width: Option<usize>) -> String {
        table(self.head, &self.rows, width)
    }

    /// Adds the table to the summary of a job of GitHub Actions, and the images to the outputs of its step. Elsewhere nothing is done.
    ///
    /// # Errors
    /// A file that the runner names and that cannot be written.
    pub fn for_github(&self, report: &Report) -> Result<()> {
        github::add_summary(&self.markdown(report))?;
        github::add_outputs(&outputs(report))
    }

    fn markdown(&self, report: &Report) -> String {
        let line = |cells: &[String]| {
            let cells: Vec<_> = cells.iter().map(|cell| escaped(cell)).collect();
            format!("| {} |\n", cells.join(" | "))
        };
        let head: Vec<_> = self.head.iter().map(|cell| (*cell).to_owned()).collect();
        let rule = vec!["---".to_owned(); head.len()];
        let title = report.place.as_ref().map_or_else(
            || "### Images\n\n".to_owned(),
            |place| format!("### Images for {}\n\n", escaped(&place.environment)),
        );
        let mut text = title + &line(&head) + &line(&rule);
        self.rows.iter().for_each(|row| text.push_str(&line(row)));
        for image in &report.images {
            if let Some(error) = &image.error {
                let (name, error) = (escaped(&image.name), escaped(error));
                let _ = write!(text, "\n- **{name}** failed: {error}\n");
            }
        }
        text
    }
}

/// A cell of a table in Markdown in which nothing is markup.
fn escaped(text: &str) -> String {
    let mut cell = String::new();
    for c in super::terminal::one_line(text).chars() {
        match c {
            '<' => cell.push_str("&lt;"),
            '&' => cell.push_str("&amp;"),
            '|' | '`' | '*' | '_' | '[' | ']' | '\\' | '~' | '#' | '!' => {
                cell.push('\\');
                cell.push(c);
            }
            c => cell.push(c),
        }
    }
    cell
}

fn built(image: &ImageReport) -> Vec<String> {
    let name = image.local_names.first().cloned();
    vec![
        named(image),
        image.arch.platform(),
        name.unwrap_or_else(|| "-".to_owned()),
        size::seconds(image.seconds),
    ]
}

/// The algorithm is always the same.
fn short(digest: &str) -> String {
    let short = short_digest(digest);
    short.strip_prefix("sha256:").unwrap_or(short).to_owned()
}

/// The image's name, and how it ended where that was not well. One that nothing was wrong with goes nowhere where another has failed.
fn named(image: &ImageReport) -> String {
    let name = &image.name;
    match &image.error {
        None => name.clone(),
        Some(_) if image.seconds.is_zero() => format!("{name} (not pushed)"),
        Some(_) => format!("{name} (failed)"),
    }
}

fn pushed(planned: &PlannedImage, image: &ImageReport) -> Vec<String> {
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let layers = image.new_layers.zip(image.layers);
    let unchanged = || (!image.built && image.error.is_none()).then(|| "none".to_owned());
    let layers = layers
        .map(|(new, all)| format!("{new} of {all}"))
        .or_else(unchanged);
    let digest = image.digest.as_deref().map(short);
    vec![
        named(image),
        image.arch.platform(),
        or_none(image.size.map(size::shown)),
        or_none(layers),
        or_none(digest),
        or_none(moving_tag(planned, image)),
        or_none(runs(planned, image)),
        size::seconds(image.seconds),
    ]
}

/// The plain tag that moves: the others are made of it.
fn moving_tag(planned: &PlannedImage, image: &ImageReport) -> Option<String> {
    let tags = &planned.publication.as_ref()?.tags;
    let moving = tags.iter().filter(|tag| {
        tag.kind == TagKind::Moving
            && tag.action != TagAction::Kept
            && image.tags.contains_key(&tag.name)
    });
    let shortest = moving.min_by_key(|tag| tag.name.len())?;
    Some(shortest.name.clone())
}

/// What runs now. A push does not change that.
fn runs(planned: &PlannedImage, image: &ImageReport) -> Option<String> {
    let function = planned
        .function
        .as_ref()
        .filter(|function| function.exists)?;
    let digest = function.digest.as_deref()?;
    if Some(digest) == image.digest.as_deref() {
        Some("this image".to_owned())
    } else {
        Some(format!("still {}", short(digest)))
    }
}

/// `digest-api`, `image-api`, `tags-api`, of images and indexes.
fn outputs(report: &Report) -> Vec<(String, String)> {
    let Some(place) = &report.place else {
        return Vec::new();
    };
    let images = report.images.iter().filter(|image| image.error.is_none());
    let images = images.filter_map(|image| {
        let tags: Vec<&str> = image.tags.keys().map(String::as_str).collect();
        Some((
            &image.name,
            image.repository.as_ref()?,
            image.digest.as_ref()?,
            tags,
        ))
    });
    let indexes = report.image_indexes.iter().map(|index| {
        let tags = index.tags.iter().map(String::as_str).collect();
        (&index.name, &index.repository, &index.digest, tags)
    });
    let outputs = images
        .chain(indexes)
        .flat_map(|(name, repository, digest, tags)| {
            [
                (format!("digest-{name}"), digest.clone()),
                (
                    format!("image-{name}"),
                    format!("{}/{repository}@{digest}", place.registry),
                ),
                (format!("tags-{name}"), tags.join("\n")),
            ]
        });
    outputs.collect()
}
