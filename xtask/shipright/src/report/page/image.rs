//! Each image: what it is, its layers, what its bytes say, and what is installed in it.

use super::{
    data::{Image, Layer, Page, Proven, Role, Variant},
    markup::Html,
    matrix::fact,
    time,
    words::{count, short, size},
};
use crate::proof::{Installed, Inventory, Proof};

/// The most groups of findings that are shown of an image.
const MOST_FINDINGS: usize = 50;

/// The most packages that are shown of an image.
const MOST_PACKAGES: usize = 3000;

/// What leads to an image of the page.
pub(super) fn anchor(place: usize) -> String {
    format!("image-{}", place + 1)
}

pub(super) fn section(html: &mut Html, page: &Page) {
    if page.images.is_empty() {
        return;
    }
    html.element("section", &[], |html| {
        html.leaf("h2", &[], "Images");
        for (place, image) in page.images.iter().enumerate() {
            one(html, place, image);
        }
    });
}

fn one(html: &mut Html, place: usize, image: &Image) {
    let id = anchor(place);
    let (class, verdict) = verdict(image);
    let mut attributes = vec![("id", id.as_str()), ("class", "image")];
    // What somebody has to look at is open from the start.
    if class == "warn" {
        attributes.push(("open", ""));
    }
    html.element("details", &attributes, |html| {
        html.element("summary", &[], |html| {
            html.leaf("strong", &[], &image.name);
            html.text(" ");
            html.leaf("code", &[], short(&image.digest));
            html.text(" ");
            let platforms = image.variants.iter().map(|one| {
                let size = size(one.size());
                format!("{} {size}", one.platform)
            });
            let platforms: Vec<_> = platforms.collect();
            html.leaf("span", &[], &platforms.join(", "));
            html.text(" ");
            html.leaf("span", &[("class", "faint")], &places(image));
            html.text(" ");
            html.leaf("span", &[("class", class)], verdict);
        });
        body(html, image);
    });
}

/// What is to be said of an image in a word.
fn verdict(image: &Image) -> (&'static str, &'static str) {
    let proofs: Vec<_> = image.variants.iter().map(|one| &one.proof).collect();
    let any = |what: fn(&Proven) -> bool| proofs.iter().any(|proof| what(proof));
    let lies =
        |proven: &Proven| matches!(proven, Proven::Here { proof, .. } if !proof.verdict.holds());
    let is_proven = |proven: &Proven| matches!(proven, Proven::Here { .. });
    if any(lies) {
        ("warn", "▲ for another CPU")
    } else if any(|proven| matches!(proven, Proven::Failed(_))) {
        ("bad", "? cannot be proven")
    } else if proofs.is_empty() || !proofs.iter().all(|proof| is_proven(proof)) {
        ("faint", "○ not proven here")
    } else {
        ("good", "● proven")
    }
}

/// Where an image is named and where it runs, each environment once: `dev tagged and running`.
fn places(image: &Image) -> String {
    let mut places: Vec<(&str, Vec<&str>)> = Vec::new();
    for one in &image.used {
        let role = match one.role {
            Role::Tag(_) => "tagged",
            Role::Runs(_) => "running",
        };
        match places.iter_mut().find(|(place, _)| *place == one.place) {
            Some((_, roles)) if roles.contains(&role) => {}
            Some((_, roles)) => roles.push(role),
            None => places.push((&one.place, vec![role])),
        }
    }
    let places = places
        .iter()
        .map(|(place, roles)| format!("{place} {}", roles.join(" and ")));
    places.collect::<Vec<_>>().join(", ")
}

fn body(html: &mut Html, image: &Image) {
    for reason in &image.unread {
        html.leaf("p", &[("class", "bad")], reason);
    }
    html.element("dl", &[("class", "facts wide")], |html| {
        fact(html, "digest", |html| html.leaf("code", &[], &image.digest));
        html.leaf("dt", &[], "reference");
        for reference in &image.references {
            html.element("dd", &[], |html| html.leaf("code", &[], reference));
        }
        html.leaf("dt", &[], "used as");
        for used in &image.used {
            let (what, name) = match &used.role {
                Role::Tag(tag) => ("tag", tag),
                Role::Runs(workload) => ("runs in", workload),
            };
            html.leaf("dd", &[], &format!("{}: {what} {name}", used.place));
        }
        if let ([only], false) = (image.variants.as_slice(), image.is_index) {
            facts(html, only);
        }
    });
    for variant in &image.variants {
        if image.is_index {
            html.element("h3", &[], |html| {
                html.text(&variant.platform);
                html.text(" ");
                html.leaf(
                    "code",
                    &[("title", &variant.digest)],
                    short(&variant.digest),
                );
            });
            html.element("dl", &[("class", "facts wide")], |html| {
                facts(html, variant);
            });
        }
        proof(html, &variant.proof);
        layers(html, variant);
        if let Proven::Here { inventory, .. } = &variant.proof {
            packages(html, inventory);
        }
    }
}

fn facts(html: &mut Html, variant: &Variant) {
    fact(html, "platform", |html| html.text(&variant.platform));
    if let Some(revision) = &variant.revision {
        fact(html, "revision", |html| html.leaf("code", &[], revision));
    }
    if let Some(created) = &variant.created {
        fact(html, "committed", |html| time(html, created));
    }
    if let Some(cost) = variant.cost {
        fact(html, "cost", |html| html.text(cost));
    }
}

fn proof(html: &mut Html, proven: &Proven) {
    match proven {
        Proven::Here { proof, .. } => verdict_of(html, proof),
        Proven::Unknown { bytes } => html.element("p", &[], |html| {
            html.leaf("strong", &[], "Not proven here");
            html.text(&format!(
                ": {} of its layers are not on the machine that made this page, which reads them with --prove.",
                size(*bytes)
            ));
        }),
        Proven::Failed(reason) => html.element("p", &[], |html| {
            html.leaf("strong", &[("class", "bad")], "Cannot be proven");
            html.text(": ");
            html.text(reason);
        }),
    }
}

fn verdict_of(html: &mut Html, proof: &Proof) {
    let verdict = &proof.verdict;
    let (class, word) = if verdict.holds() {
        ("good", "Proven")
    } else {
        ("warn", "Wrong")
    };
    html.element("p", &[], |html| {
        html.leaf("strong", &[("class", class)], word);
        html.text(": ");
        html.text(&verdict.summary());
    });
    let groups = verdict.groups();
    let notes = &verdict.notes;
    if groups.is_empty() && notes.is_empty() {
        return;
    }
    html.element("ul", &[("class", "findings")], |html| {
        for group in groups.iter().take(MOST_FINDINGS) {
            html.leaf("li", &[("class", "warn")], &group.to_string());
        }
        let more = groups.len().saturating_sub(MOST_FINDINGS);
        if more > 0 {
            html.leaf("li", &[], &format!("… and {more} more"));
        }
        for note in notes.iter().take(MOST_FINDINGS) {
            html.leaf("li", &[], note);
        }
    });
}

fn layers(html: &mut Html, variant: &Variant) {
    let total = variant.size();
    html.leaf(
        "h4",
        &[],
        &format!(
            "{}, {}",
            count(variant.layers.len(), "layer", "layers"),
            size(total)
        ),
    );
    if variant.layers.is_empty() {
        return;
    }
    html.element("table", &[("class", "list layers")], |html| {
        html.element("thead", &[], |html| {
            html.element("tr", &[], |html| {
                for name in ["Layer", "Size", "Kind", "Made by"] {
                    html.leaf("th", &[("scope", "col")], name);
                }
            });
        });
        html.element("tbody", &[], |html| {
            for layer in &variant.layers {
                row(html, layer, total);
            }
        });
    });
}

fn row(html: &mut Html, layer: &Layer, total: u64) {
    html.element("tr", &[], |html| {
        html.element("td", &[], |html| {
            html.leaf("code", &[("title", &layer.digest)], short(&layer.digest));
        });
        html.element("td", &[("class", "number")], |html| {
            html.text(&size(layer.size));
            bar(html, layer.size, total);
        });
        html.leaf("td", &[("class", "kind")], layer.made.kind.name());
        html.element("td", &[("class", "made")], |html| {
            html.leaf("code", &[], &layer.made.instruction);
        });
    });
}

/// A layer's part of the image. An attribute of SVG, as the page's policy lets no style stand beside an element.
fn bar(html: &mut Html, part: u64, total: u64) {
    // In thousandths: whole numbers have no locale and no rounding of their own.
    let share = u128::from(part) * 1000 / u128::from(total.max(1));
    html.element(
        "svg",
        &[
            ("class", "bar"),
            ("viewBox", "0 0 1000 10"),
            ("preserveAspectRatio", "none"),
            ("aria-hidden", "true"),
        ],
        |html| {
            html.element(
                "rect",
                &[("class", "track"), ("width", "1000"), ("height", "10")],
                |_| {},
            );
            let share = share.to_string();
            html.element("rect", &[("width", &share), ("height", "10")], |_| {});
        },
    );
}

fn packages(html: &mut Html, inventory: &Inventory) {
    for path in &inventory.unread {
        let text = format!("/{path} lists packages, and is not read here.");
        html.leaf("p", &[("class", "faint")], &text);
    }
    if inventory.packages.is_empty() {
        return;
    }
    let shown = &inventory.packages[..inventory.packages.len().min(MOST_PACKAGES)];
    html.element("details", &[("class", "packages")], |html| {
        let all = count(inventory.packages.len(), "package", "packages");
        html.leaf("summary", &[], &all);
        for of_one in shown.chunk_by(|one, other| one.manager == other.manager) {
            let manager = of_one.first().map(|one| one.manager.to_string());
            let title = format!("{} ({})", manager.unwrap_or_default(), of_one.len());
            html.leaf("h4", &[], &title);
            html.element("ul", &[], |html| {
                for package in of_one {
                    installed(html, package);
                }
            });
        }
        if inventory.is_cut || shown.len() < inventory.packages.len() {
            html.leaf("p", &[], "There are more packages than are shown.");
        }
    });
}

fn installed(html: &mut Html, package: &Installed) {
    html.element("li", &[], |html| {
        html.text(&package.name);
        html.text(" ");
        html.element("span", &[("class", "faint")], |html| {
            html.text(&package.version);
            if let Some(architecture) = &package.architecture {
                html.text(" ");
                html.text(architecture);
            }
        });
    });
}
