//! Services and environments: what each tag names, what runs, and whether that is the same.

use super::{
    data::{Cell, Page, Place, Service},
    digest,
    markup::Html,
    words::short,
};
use crate::plan::status::Row;

/// As many environments stand beside each other; more become cards at any width.
const MOST_COLUMNS: usize = 5;

/// What is to be said of an image in an environment, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// What the tag names runs.
    InStep,
    /// What runs is not what the tag names, or not on the CPU of the policy.
    Drift,
    /// Something cannot be told.
    Unread,
    /// There is an image, and nothing runs.
    Idle,
    /// There is no image.
    Empty,
}

impl State {
    /// Nothing, where the image does not go.
    pub(super) fn of_cell(cell: &Cell) -> Option<Self> {
        match cell {
            Cell::Found(row) => Some(Self::of(row)),
            Cell::Unread => Some(Self::Unread),
            Cell::Absent => None,
        }
    }

    fn of(row: &Row) -> Self {
        match (&row.tag_digest, &row.workload, &row.runs) {
            _ if !row.drift.is_empty() => Self::Drift,
            _ if row.is_unread => Self::Unread,
            (None, ..) => Self::Empty,
            (Some(_), None, _) => Self::Idle,
            (Some(_), Some(_), None) => Self::Unread,
            (Some(_), Some(_), Some(_)) => Self::InStep,
        }
    }

    /// How it is coloured. The words say it as well.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::InStep => "good",
            Self::Drift => "warn",
            Self::Unread => "bad",
            Self::Idle | Self::Empty => "faint",
        }
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::InStep => ("●", "in step"),
            Self::Drift => ("▲", "drift"),
            Self::Unread => ("?", "not read"),
            Self::Idle => ("○", "nothing runs"),
            Self::Empty => ("○", "never pushed"),
        }
    }
}

pub(super) fn section(html: &mut Html, page: &Page) {
    html.element("section", &[], |html| {
        html.leaf("h2", &[], "Services and environments");
        if page.services.is_empty() {
            html.leaf("p", &[], "Nothing could be read.");
            return;
        }
        let class = if page.places.len() > MOST_COLUMNS {
            "matrix cards"
        } else {
            "matrix"
        };
        html.element("table", &[("class", class)], |html| {
            html.element("thead", &[], |html| heads(html, page));
            html.element("tbody", &[], |html| {
                for service in &page.services {
                    row(html, page, service);
                }
            });
        });
    });
}

fn heads(html: &mut Html, page: &Page) {
    html.element("tr", &[], |html| {
        html.leaf("th", &[("scope", "col")], "Service");
        for place in &page.places {
            html.leaf("th", &[("scope", "col")], &place.name);
        }
    });
}

fn row(html: &mut Html, page: &Page, service: &Service) {
    html.element("tr", &[], |html| {
        html.element("th", &[("scope", "row")], |html| {
            html.text(&service.name);
            html.leaf("small", &[], service.target.title());
        });
        for (place, found) in page.places.iter().zip(&service.cells) {
            cell(html, page, place, found);
        }
    });
}

fn cell(html: &mut Html, page: &Page, place: &Place, cell: &Cell) {
    let class = match cell {
        Cell::Found(_) => "cell",
        Cell::Unread | Cell::Absent => "cell empty",
    };
    html.element("td", &[("class", class)], |html| {
        html.leaf("strong", &[("class", "place")], &place.name);
        match cell {
            Cell::Found(row) => found(html, page, row),
            Cell::Unread => word(html, State::Unread),
            Cell::Absent => html.leaf("span", &[("class", "faint")], "does not go here"),
        }
    });
}

fn word(html: &mut Html, state: State) {
    let (sign, words) = state.words();
    let class = format!("word {}", state.class());
    html.element("span", &[("class", &class)], |html| {
        html.leaf("span", &[("aria-hidden", "true")], sign);
        html.text(" ");
        html.text(words);
    });
}

fn found(html: &mut Html, page: &Page, row: &Row) {
    let state = State::of(row);
    word(html, state);
    if state != State::Empty {
        html.element("dl", &[("class", "facts")], |html| {
            facts(html, page, row, state);
        });
    }
    for drift in &row.drift {
        html.leaf("p", &[("class", "warn")], drift);
    }
    for unknown in &row.unknown {
        html.leaf("p", &[("class", "faint")], &shortened(unknown));
    }
}

fn facts(html: &mut Html, page: &Page, row: &Row, state: State) {
    fact(html, "tag names", |html| match &row.tag_digest {
        Some(named) => {
            digest(html, page, &row.image, named);
            if !row.listed.is_empty() {
                html.text(&format!(", an index of {}", row.listed.len()));
            }
        }
        None => html.text("no image"),
    });
    if state != State::Idle {
        fact(html, "runs", |html| runs(html, page, row));
    }
    let named = row.tag_digest.as_ref().or(row.runs.as_ref());
    let platforms = named.and_then(|named| page.platforms(&row.image, named));
    let cpu = row.arch.map(|arch| arch.to_string());
    for (name, value) in [
        ("platform", platforms.as_deref()),
        ("CPU", cpu.as_deref()),
        ("revision", row.revision.as_deref()),
        ("age", row.age.as_deref()),
    ] {
        if let Some(value) = value {
            fact(html, name, |html| html.text(value));
        }
    }
}

fn runs(html: &mut Html, page: &Page, row: &Row) {
    match &row.runs {
        Some(running) if row.tag_digest.as_ref() == Some(running) => html.text("the same"),
        Some(running) => {
            digest(html, page, &row.image, running);
            if let Some(revision) = &row.runs_revision {
                html.text(&format!(" of {}", short(revision)));
            }
        }
        None if row.is_unread => html.text("not read"),
        None if row.workload.is_some() => html.text("not told"),
        None => html.text("nothing"),
    }
}

/// The beginning of what other programs say of a failure: the command itself has said all of it.
fn shortened(text: &str) -> String {
    const SHOWN: usize = 200;
    let mut short: String = text.chars().take(SHOWN).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// A name and what stands beside it.
pub(super) fn fact(html: &mut Html, name: &'static str, value: impl FnOnce(&mut Html)) {
    html.leaf("dt", &[], name);
    html.element("dd", &[], value);
}
