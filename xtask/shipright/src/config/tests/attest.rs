//! `sbom`, `provenance`, `sign` and its arguments.

use super::*;
use crate::model::attest::SigningTool;

fn with(keys: &str) -> String {
    let known = "region = \"eu-west-1\"";
    let text = MINIMAL.replacen(known, &format!("{known}\n{keys}"), 1);
    assert_ne!(text, MINIMAL);
    text
}

#[test]
fn nothing_is_attached_where_nothing_is_said() {
    let attest = |keys: &str| {
        let config = parsed(&with(keys)).unwrap();
        config.environments["dev"].attest.clone()
    };
    assert!(attest("").is_nothing());
    let found = attest("sbom = true\nsign = \"notation\"\nsign-args = [\"--key\", \"a b\"]");
    assert!(found.sbom && !found.provenance);
    let signing = found.sign.unwrap();
    assert_eq!(
        (signing.tool, signing.sign_args[1].as_str()),
        (SigningTool::Notation, "a b")
    );
    assert_eq!(signing.verify_args, Vec::<String>::new());
}

#[test]
fn every_mistake_is_told() {
    let cases = [
        (
            "sign = \"cosing\"",
            vec!["`cosing`, which is no program that signs"],
        ),
        ("sign = \"cosign\"", vec!["and no `verify-args`"]),
        (
            "sign-args = [\"x\"]\nverify-args = [\"y\"]",
            vec!["sign-args` is for a `sign`", "verify-args` is for a `sign`"],
        ),
        (
            "sign = \"notation\"\nsign-args = [\"\", \"a\\nb\"]",
            vec!["has ``", "has `a\\nb`"],
        ),
        ("sbom = \"yes\"", vec!["sbom"]),
    ];
    for (keys, expected) in cases {
        let found = problems(&with(keys));
        assert_eq!(found.len(), expected.len(), "{keys}: {found:?}");
        for words in expected {
            assert!(
                found.iter().any(|one| one.contains(words)),
                "{words}: {found:?}"
            );
        }
    }
}
