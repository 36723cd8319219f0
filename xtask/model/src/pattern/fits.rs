//! Whether a tag is one that a pattern has made.

use std::collections::BTreeSet;

use super::{Part, TagPattern, Word};
use crate::{arch::Arch, tags};

impl Word {
    /// Whether it may have said this.
    fn may_say(self, text: &str, environment: &str, service: &str) -> bool {
        let is_hexadecimal = || text.bytes().all(|byte| byte.is_ascii_hexdigit());
        match self {
            Self::Env => text == environment,
            Self::Service => text == service,
            Self::Arch => text.parse::<Arch>().is_ok(),
            Self::Sha => text.len() >= 40 && is_hexadecimal(),
            Self::ShortSha => text.len() >= 4 && is_hexadecimal(),
            Self::Timestamp => matches!(tags::moment(text), Some((_, None))),
            Self::Branch | Self::Tag | Self::Version => !text.is_empty(),
        }
    }
}

impl TagPattern {
    /// Whether it names a release: by a git tag, or by a version.
    pub fn names_release(&self) -> bool {
        self.words()
            .any(|word| matches!(word, Word::Tag | Word::Version))
    }

    /// Whether a tag, without the image's prefix, may be one of these.
    pub fn fits(&self, tag: &str, environment: &str, service: &str) -> bool {
        // Where in the tag the parts so far may have ended.
        let mut ends = BTreeSet::from([0]);
        for part in &self.parts {
            let starts = std::mem::take(&mut ends);
            for start in starts {
                let Some(rest) = tag.get(start..) else {
                    continue;
                };
                match part {
                    Part::Text(text) if rest.starts_with(text) => {
                        ends.insert(start + text.len());
                    }
                    Part::Text(_) => {}
                    Part::Word(word) => ends.extend((1..=rest.len()).filter_map(|length| {
                        let said = rest.get(..length)?;
                        word.may_say(said, environment, service)
                            .then_some(start + length)
                    })),
                }
            }
        }
        ends.contains(&tag.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_known_by_its_pattern() {
        let fits = |text: &str, tag: &str| TagPattern::parse(text).unwrap().fits(tag, "dev", "api");
        let sha = "0123456789abcdef0123456789abcdef01234567";
        for (text, tag) in [
            ("{env}-{branch}", "dev-feature-x"),
            ("v{version}", "v1.4.0"),
            ("{service}_{arch}", "api_arm64"),
            ("{short-sha}.{timestamp}", "abcdef0.20260101-000000"),
            ("{sha}", sha),
            ("stable", "stable"),
            ("{branch}-{branch}-end", "a-b-c-end"),
        ] {
            assert!(fits(text, tag), "{text} {tag}");
        }
        for (text, tag) in [
            ("{env}-{branch}", "prod-main"),
            ("{env}-{branch}", "dev-"),
            ("v{version}", "1.4.0"),
            ("{short-sha}.{timestamp}", "xyz.20260101-000000"),
            ("{short-sha}.{timestamp}", "abcdef0.20260101-00000"),
            ("{sha}", "abcdef0"),
            ("stable", "stable2"),
            ("{service}_{arch}", "api_mips"),
        ] {
            assert!(!fits(text, tag), "{text} {tag}");
        }
        let is_release = |text: &str| TagPattern::parse(text).unwrap().names_release();
        assert!(is_release("v{version}") && is_release("{tag}"));
        assert!(!is_release("{sha}-{branch}") && !is_release("stable"));
    }
}
