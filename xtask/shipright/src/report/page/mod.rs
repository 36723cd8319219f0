//! `status --html`: one page about everything that tags name and AWS runs, in one file that asks nobody for anything.
//!
//! It is made of [`Page`] alone. What people and images call things is hostile here: [`markup`] lets it be text and nothing else, and
//! the page's own policy forbids everything but its one style sheet, which is named by its digest.

mod data;
mod history;
mod image;
mod markup;
mod matrix;
#[cfg(test)]
mod tests;
mod words;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use sha2::{Digest as _, Sha256};

pub use data::{Cell, Image, Layer, Page, Place, Proven, Role, Service, Use, Variant};
use markup::Html;
use matrix::State;

use super::name::typed;
use crate::{arch::Arch, model::target::Target};

const STYLE: &str = include_str!("style.css");

/// The page, as HTML.
pub fn html(page: &Page) -> String {
    let mut html = Html::document();
    html.element("html", &[("lang", "en")], |html| {
        html.element("head", &[], |html| head(html, page));
        html.element("body", &[], |html| {
            html.element("header", &[], |html| header(html, page));
            html.element("main", &[], |html| {
                matrix::section(html, page);
                image::section(html, page);
                costs(html, page);
                history::section(html, page);
            });
            html.element("footer", &[], footer);
        });
    });
    html.finish()
}

fn head(html: &mut Html, page: &Page) {
    let style = BASE64_STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'"
    );
    html.void("meta", &[("charset", "utf-8")]);
    html.void(
        "meta",
        &[
            ("http-equiv", "Content-Security-Policy"),
            ("content", &policy),
        ],
    );
    let width = "width=device-width, initial-scale=1";
    for (name, content) in [
        ("viewport", width),
        ("color-scheme", "light dark"),
        ("referrer", "no-referrer"),
        ("robots", "noindex"),
    ] {
        html.void("meta", &[("name", name), ("content", content)]);
    }
    html.leaf("title", &[], &format!("{}: images", page.project));
    html.style(STYLE);
}

fn header(html: &mut Html, page: &Page) {
    html.leaf("h1", &[], &page.project);
    html.element("p", &[("class", "state")], |html| {
        let (state, summary) = summary(page);
        html.leaf("strong", &[("class", state.class())], &summary);
    });
    html.element("p", &[("class", "faint")], |html| {
        html.text("Made ");
        time(html, &page.made);
        html.text(&format!(" by {} status --html", typed()));
        if page.is_sandbox {
            html.text(", of the sandbox on this machine: none of this is in AWS");
        }
    });
    let unreached = page.places.iter().filter_map(|place| {
        let reason = place.unreached.as_deref()?;
        Some((place.name.as_str(), reason))
    });
    for (name, reason) in unreached {
        html.element("p", &[("class", "notice")], |html| {
            html.leaf("strong", &[("class", "bad")], name);
            html.text(" cannot be read: ");
            html.text(reason);
        });
    }
}

/// The worst that is to be told, and all of it in a line.
fn summary(page: &Page) -> (State, String) {
    let cells = page.services.iter().flat_map(|service| &service.cells);
    let states: Vec<_> = cells.filter_map(State::of_cell).collect();
    let number = |wanted: State| states.iter().filter(|state| **state == wanted).count();
    let unreached = page.places.iter().filter(|place| place.unreached.is_some());
    let (drift, unread, unreached) = (
        number(State::Drift),
        number(State::Unread),
        unreached.count(),
    );
    let mut parts = vec![format!(
        "{} of {} in step",
        number(State::InStep),
        states.len()
    )];
    let more = [
        (drift, "drift"),
        (number(State::Idle), "tagged, and nothing runs"),
        (number(State::Empty), "never pushed"),
        (unread, "not read"),
    ];
    let more = more.into_iter().filter(|(number, _)| *number > 0);
    parts.extend(more.map(|(number, what)| format!("{number} {what}")));
    if unreached > 0 {
        parts.push(words::count(
            unreached,
            "environment cannot be read",
            "environments cannot be read",
        ));
    }
    let worst = match (drift, unread + unreached) {
        (0, 0) => State::InStep,
        (0, _) => State::Unread,
        _ => State::Drift,
    };
    (worst, parts.join(" · "))
}

/// What each CPU costs on the targets that there are.
fn costs(html: &mut Html, page: &Page) {
    let is_there = |target: &Target| page.services.iter().any(|one| one.target == *target);
    let targets: Vec<_> = Target::ALL.into_iter().filter(is_there).collect();
    if targets.is_empty() {
        return;
    }
    html.element("section", &[], |html| {
        html.leaf("h2", &[], "Cost by CPU");
        html.element("table", &[("class", "list costs")], |html| {
            html.element("thead", &[], |html| {
                html.element("tr", &[], |html| {
                    html.leaf("th", &[("scope", "col")], "Target");
                    for arch in Arch::ALL {
                        html.leaf("th", &[("scope", "col")], &arch.to_string());
                    }
                });
            });
            html.element("tbody", &[], |html| {
                for target in targets {
                    cost(html, target);
                }
            });
        });
    });
}

fn cost(html: &mut Html, target: Target) {
    html.element("tr", &[], |html| {
        html.leaf("th", &[("scope", "row")], target.title());
        for arch in Arch::ALL {
            let text = if target.can_run(arch) {
                target.cost(arch)
            } else {
                "cannot run there"
            };
            html.element("td", &[("data-name", &arch.to_string())], |html| {
                html.text(text);
            });
        }
    });
}

fn footer(html: &mut Html) {
    html.leaf(
        "p",
        &[],
        "Sizes are those of the compressed layers, as they are stored and sent. Age is that of the commit that an image was made of. \
         Which layers come with the base image is told by the history in the image's config: everything up to the last CMD or \
         ENTRYPOINT below other layers. Packages are those that dpkg, apk, Python and npm have written down in the image; programs \
         that were copied in are not among them.",
    );
}

/// A moment for people and programs, or the text that was found in its place.
fn time(html: &mut Html, text: &str) {
    match words::moment(text) {
        Some(moment) => html.leaf("time", &[("datetime", text)], &moment),
        None => html.text(text),
    }
}

/// The beginning of a digest, which leads to the image where the page has it.
fn digest(html: &mut Html, page: &Page, name: &str, digest: &str) {
    let short = words::short(digest);
    match page.image(name, digest) {
        Some(place) => {
            let target = format!("#{}", image::anchor(place));
            html.element("a", &[("href", &target)], |html| {
                html.leaf("code", &[("title", digest)], short);
            });
        }
        None => html.leaf("code", &[("title", digest)], short),
    }
}
