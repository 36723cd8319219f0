//! A Dockerfile, under every rule.
#![no_main]

use std::collections::BTreeMap;

use dockerfile_rules::{Model, check};

libfuzzer_sys::fuzz_target!(|text: &str| {
    for finding in check(text) {
        assert!(text.get(finding.span).is_some(), "a finding lies outside the file");
    }
    if let Ok(model) = Model::parse(text) {
        let _ = model.base(None, &BTreeMap::from([("A".to_owned(), "b".to_owned())]));
    }
});
