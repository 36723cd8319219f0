//! The page of `status --html`, as a person sees it.

use std::fs;

use serde_json::json;

use super::{browser::Browser, clone::Clone};
use crate::status_page::Fleet;

/// Real images of the real registry, proven on this machine a moment ago.
pub(super) fn the_sandbox_has_a_page(clone: &Clone) {
    println!("--- the page of status");
    clone
        .run("status dev --sandbox --html status.html")
        .expect(0);
    let file = clone.directory.path().join("status.html");
    let page = fs::read_to_string(&file).unwrap();
    fs::remove_file(file).unwrap();
    for part in [
        "● proven",
        "none of this is in AWS",
        "base image",
        "packages</summary>",
    ] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
    look("status", &page);
}

#[test]
#[ignore = "needs a browser: `cargo xtask ci` runs it"]
fn the_page_of_a_fleet_is_readable_on_a_phone_and_a_desk_by_day_and_by_night() {
    let fleet = Fleet::new();
    fleet.record();
    look("fleet", &fleet.page("status --html page.html --prove"));
}

fn look(name: &str, page: &str) {
    let Some(browser) = Browser::find() else {
        println!("no browser is here: nobody looks at the page");
        return;
    };
    let (heading, state, pictures) = browser.look(name, page);
    assert_eq!(heading, "backend");
    assert!(state.contains("in step"), "{state}");
    assert_eq!(pictures, json!([]), "the page asks nobody for pictures");
}
