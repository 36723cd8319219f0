//! `scan` of environments, and `[[scan.exceptions]]`.

use super::*;
use crate::model::severity::Severity;

fn with(exception: &str) -> String {
    format!("{MINIMAL}\n[[scan.exceptions]]\n{exception}")
}

#[test]
fn an_exception_has_a_date_of_toml_or_a_text() {
    for until in ["2026-12-31", "\"2026-12-31\""] {
        let text = format!("id = \"CVE-2024-1234\"\nreason = \" never called \"\nuntil = {until}");
        let config = parsed(&with(&text)).unwrap();
        let [exception] = config.scan_exceptions.as_slice() else {
            panic!("{:?}", config.scan_exceptions)
        };
        assert_eq!(exception.until.to_string(), "2026-12-31");
        assert_eq!(exception.reason, "never called");
        assert_eq!((&exception.package, &exception.service), (&None, &None));
    }
    // One that ran out long ago is no mistake of the file.
    let old =
        with("id = \"GHSA-7fh5-64p2-3v2j\"\nreason = \"x\"\nuntil = 2001-01-01\nservice = \"api\"");
    assert_eq!(problems(&old), Vec::<String>::new());
}

#[test]
fn every_mistake_of_an_exception_is_told() {
    let good = "id = \"CVE-2024-1234\"\nreason = \"x\"\nuntil = 2026-12-31\n";
    let cases = [
        (
            "",
            vec![
                "lacks the key `id`",
                "lacks the key `reason`",
                "lacks the key `until`",
            ],
        ),
        (
            "id = \"CVE-24-1\"\nreason = \"\"\nuntil = 2026-12-31",
            vec!["id `CVE-24-1`", "without a reason"],
        ),
        (
            "id = \"CVE-2024-1234\"\nreason = \"x\"\nuntil = \"tomorrow\"",
            vec!["`until = tomorrow`"],
        ),
        (
            "id = \"CVE-2024-1234\"\nreason = \"x\"\nuntil = \"2026-02-30\"",
            vec!["`until = 2026-02-30`"],
        ),
        (
            "id = \"CVE-2024-1234\"\nreason = \"x\"\nuntil = 2026-12-31T12:00:00Z",
            vec!["which is no day"],
        ),
        (
            "id = \"CVE-2024-1234\"\nreason = \"x\"\nuntil = 12:00:00",
            vec!["which is no day"],
        ),
        (
            "id = \"CVE-2024-1234\"\nreason = \"x\"\nuntil = 2026",
            vec!["a string or datetime, not an integer"],
        ),
        (
            &format!("{good}service = \"apy\"\npackage = \" \""),
            vec!["empty `package`", "is for `apy`"],
        ),
        (
            &format!("{good}reasons = \"y\""),
            vec!["unknown key `reasons`"],
        ),
        (
            &format!(
                "{good}[[scan.exceptions]]\nid = \"CVE-2024-1234\"\nreason = \"x\"\nuntil = 2027-12-31"
            ),
            vec!["`CVE-2024-1234` twice"],
        ),
    ];
    for (text, expected) in cases {
        let found = problems(&with(text));
        assert_eq!(found.len(), expected.len(), "{text}: {found:#?}");
        for words in expected {
            assert!(
                found.iter().any(|one| one.contains(words)),
                "{words}: {found:#?}"
            );
        }
    }
    let both = format!("{good}package = \"a\"\n[[scan.exceptions]]\n{good}package = \"b\"");
    assert_eq!(problems(&with(&both)), Vec::<String>::new());
}

#[test]
fn an_environment_s_level_is_a_severity() {
    let with = |level: &str| {
        let line = format!("region = \"eu-west-1\"\nscan = {level}");
        MINIMAL.replacen("region = \"eu-west-1\"", &line, 1)
    };
    let config = parsed(&with("\"high\"")).unwrap();
    assert_eq!(config.environments["dev"].scan, Some(Severity::High));
    for level in ["\"hihg\"", "\"HIGH\"", "\"\""] {
        let found = problems(&with(level));
        assert!(found[0].contains("which is no severity"), "{found:?}");
    }
    assert!(problems(&with("true"))[0].contains("must be a string"));
}
