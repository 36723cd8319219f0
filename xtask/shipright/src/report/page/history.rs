//! What was pushed and moved from this machine, newest first.

use super::{
    data::Page,
    digest,
    markup::Html,
    time,
    words::{count, short},
};
use crate::record::{FILE, Past};

pub(super) fn section(html: &mut Html, page: &Page) {
    html.element("section", &[], |html| {
        html.leaf("h2", &[], "Pushes and moves");
        if let Some(reason) = &page.history_unread {
            html.leaf("p", &[("class", "bad")], reason);
        } else if page.history.lines.is_empty() {
            html.leaf("p", &[("class", "faint")], "None from this machine.");
        } else {
            tables(html, page);
        }
        rest(html, page);
    });
}

/// So many lines are seen without unfolding anything.
const SEEN: usize = 20;

fn tables(html: &mut Html, page: &Page) {
    let lines = &page.history.lines;
    let (seen, folded) = lines.split_at(lines.len().min(SEEN));
    table(html, page, seen);
    if folded.is_empty() {
        return;
    }
    html.element("details", &[("class", "more")], |html| {
        html.leaf("summary", &[], &format!("{} more", folded.len()));
        table(html, page, folded);
    });
}

fn table(html: &mut Html, page: &Page, lines: &[Past]) {
    html.element("table", &[("class", "list history")], |html| {
        html.element("thead", &[], |html| {
            html.element("tr", &[], |html| {
                for name in ["When", "What", "Where", "Image", "From", "To", "By"] {
                    html.leaf("th", &[("scope", "col")], name);
                }
            });
        });
        html.element("tbody", &[], |html| {
            for past in lines {
                row(html, page, past);
            }
        });
    });
}

fn row(html: &mut Html, page: &Page, past: &Past) {
    let cell = |html: &mut Html, name: &str, content: &dyn Fn(&mut Html)| {
        html.element("td", &[("data-name", name)], content);
    };
    html.element("tr", &[], |html| {
        cell(html, "when", &|html| time(html, &past.when));
        cell(html, "what", &|html| {
            let is_done = past.outcome == "moved";
            html.text(&past.action);
            if !is_done {
                html.text(" ");
                html.leaf("strong", &[("class", "warn")], &past.outcome);
            }
        });
        cell(html, "where", &|html| html.text(&past.environment));
        cell(html, "image", &|html| html.text(&past.image));
        cell(html, "from", &|html| origin(html, page, past));
        cell(html, "to", &|html| {
            digest(html, page, &past.image, &past.to);
        });
        cell(html, "by", &|html| html.text(who(&past.who)));
    });
}

/// What was there before: a digest, an environment, or a version with a digest in it.
fn origin(html: &mut Html, page: &Page, past: &Past) {
    let Some(from) = &past.from else {
        html.text("–");
        return;
    };
    for (place, word) in from.split(' ').enumerate() {
        if place > 0 {
            html.text(" ");
        }
        // Digests stand in references too.
        match word.rsplit_once('@') {
            Some((_, named)) if named.starts_with("sha256:") => {
                digest(html, page, &past.image, named);
            }
            _ if word.starts_with("sha256:") => digest(html, page, &past.image, word),
            _ => html.text(short(word)),
        }
    }
}

/// A role and its session without account and partition: `assumed-role/Deployer/anna`.
fn who(arn: &str) -> &str {
    let parts: Vec<_> = arn.splitn(6, ':').collect();
    match parts.as_slice() {
        ["arn", _, _, _, _, resource] => resource,
        _ => arn,
    }
}

/// What the table leaves out.
fn rest(html: &mut Html, page: &Page) {
    let history = &page.history;
    let mut parts = Vec::new();
    if history.older > 0 || history.is_cut {
        let older = count(history.older, "older line", "older lines");
        let more = if history.is_cut { " and more" } else { "" };
        parts.push(format!("{older}{more} in target/{FILE} on that machine."));
    }
    if history.unreadable > 0 {
        let lines = count(history.unreadable, "line", "lines");
        parts.push(format!("{lines} of the record cannot be read."));
    }
    if !parts.is_empty() {
        html.leaf("p", &[("class", "faint")], &parts.join(" "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_it_was_is_told_without_the_account() {
        for (arn, expected) in [
            (
                "arn:aws:sts::111122223333:assumed-role/Deployer/anna",
                "assumed-role/Deployer/anna",
            ),
            ("arn:aws:iam::111122223333:root", "root"),
            ("anna at ghcr.io", "anna at ghcr.io"),
            ("", ""),
        ] {
            assert_eq!(who(arn), expected);
        }
    }
}
