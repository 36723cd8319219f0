//! Tags of the user's own, besides the six: patterns whose words are filled in at each push.

mod fits;

use serde::{Serialize, Serializer};

use crate::{arch::Arch, name, revision::Revision};

/// A word of a pattern, in braces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Word {
    /// The environment's name.
    Env,
    /// The service's name.
    Service,
    /// The architecture, as OCI spells it.
    Arch,
    /// The whole commit.
    Sha,
    /// The shortened commit.
    ShortSha,
    /// When it was pushed, `YYYYMMDD-HHMMSS`.
    Timestamp,
    /// The git branch.
    Branch,
    /// A git tag of the commit.
    Tag,
    /// The version: of a file, or of a git tag of the commit.
    Version,
}

impl Word {
    /// Every word, in the order in which people are told of them.
    pub const ALL: [Self; 9] = [
        Self::Env,
        Self::Service,
        Self::Arch,
        Self::Sha,
        Self::ShortSha,
        Self::Timestamp,
        Self::Branch,
        Self::Tag,
        Self::Version,
    ];

    /// As it stands in braces.
    pub fn name(self) -> &'static str {
        match self {
            Self::Env => "env",
            Self::Service => "service",
            Self::Arch => "arch",
            Self::Sha => "sha",
            Self::ShortSha => "short-sha",
            Self::Timestamp => "timestamp",
            Self::Branch => "branch",
            Self::Tag => "tag",
            Self::Version => "version",
        }
    }

    /// Whether it stands for one content for ever.
    fn is_fixed(self) -> bool {
        match self {
            Self::Sha | Self::ShortSha | Self::Timestamp | Self::Tag | Self::Version => true,
            Self::Env | Self::Service | Self::Arch | Self::Branch => false,
        }
    }

    /// What stands for it where its value is not known yet: signs that no tag can have.
    fn symbol(self) -> String {
        format!("<{}>", self.name())
    }
}

/// Text between words, and words.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Word(Word),
}

/// A tag with words in braces: `{env}-{branch}`, `v{version}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagPattern {
    parts: Vec<Part>,
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mistake {
    /// A brace without its other half.
    Brace,
    /// Braces around something that is no word.
    Unknown(String),
    /// What no tag can be, whatever the words say.
    Illegal,
}

impl TagPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`Mistake`].
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find(['{', '}']) {
            let (before, braced) = rest.split_at(start);
            let inner = braced.strip_prefix('{').ok_or(Mistake::Brace)?;
            let (word, after) = inner.split_once('}').ok_or(Mistake::Brace)?;
            let found = Word::ALL.into_iter().find(|known| known.name() == word);
            let found = found.ok_or_else(|| Mistake::Unknown(word.to_owned()))?;
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(Part::Word(found));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        let pattern = Self { parts };
        let sample = pattern.fill(|_| Some("0".to_owned()));
        if sample.is_ok_and(|sample| name::is_tag(&sample)) {
            Ok(pattern)
        } else {
            Err(Mistake::Illegal)
        }
    }

    fn words(&self) -> impl Iterator<Item = Word> {
        self.parts.iter().filter_map(|part| match part {
            Part::Word(word) => Some(*word),
            Part::Text(_) => None,
        })
    }

    /// Whether a tag of it may name one image today and another tomorrow.
    pub fn moves(&self) -> bool {
        !self.words().any(Word::is_fixed)
    }

    /// Whether it names the architecture.
    pub fn names_arch(&self) -> bool {
        self.words().any(|word| word == Word::Arch)
    }

    /// Whether it asks for the version.
    pub fn names_version(&self) -> bool {
        self.words().any(|word| word == Word::Version)
    }

    /// The tag, or the first word that has no value.
    ///
    /// # Errors
    /// That word.
    pub fn fill(&self, value: impl Fn(Word) -> Option<String>) -> Result<String, Word> {
        let part = |part: &Part| match part {
            Part::Text(text) => Ok(text.clone()),
            Part::Word(word) => value(*word).ok_or(*word),
        };
        self.parts.iter().map(part).collect()
    }

    /// The tag where it is not known yet what its words say, but for the environment, the service and the architecture.
    pub fn symbolic(&self, environment: &str, service: &str, arch: Arch) -> String {
        let value = |word| {
            Some(match word {
                Word::Env => environment.to_owned(),
                Word::Service => service.to_owned(),
                Word::Arch => arch.to_string(),
                other => other.symbol(),
            })
        };
        self.fill(value).unwrap_or_default()
    }

    /// A wildcard that fits its tags, of at most two `*`: as many as a filter of ECR may have.
    pub fn wildcard(&self, prefix: &str, environment: &str, service: &str) -> String {
        let mut stars = prefix.matches('*').count();
        let mut text = prefix.to_owned();
        for part in &self.parts {
            match part {
                _ if stars == 2 => {}
                Part::Text(one) => text.push_str(one),
                Part::Word(Word::Env) => text.push_str(environment),
                Part::Word(Word::Service) => text.push_str(service),
                Part::Word(_) => {
                    stars += 1;
                    text.push('*');
                }
            }
        }
        text
    }
}

impl std::fmt::Display for TagPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.parts.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(text),
            Part::Word(word) => write!(f, "{{{}}}", word.name()),
        })
    }
}

impl Serialize for TagPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Where a version is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum VersionSource {
    /// A git tag of the commit, without a leading `v`.
    Git,
    /// A file of a package, from the directory of deploy.toml.
    File(String),
}

/// What words say of a commit.
#[derive(Debug, Clone, Copy)]
pub struct Said<'s> {
    /// The environment's name.
    pub environment: &'s str,
    /// The service's name.
    pub service: &'s str,
    /// The architecture.
    pub arch: Arch,
    /// When it is pushed, as tags have it.
    pub timestamp: &'s str,
    /// The commit.
    pub revision: &'s Revision,
    /// Characters of a shortened commit.
    pub revision_length: usize,
    /// Where the version is read.
    pub version: &'s VersionSource,
}

impl Said<'_> {
    /// What a word says, in letters that a tag can have. `None` where it says nothing.
    pub fn value(&self, word: Word) -> Option<String> {
        let revision = self.revision;
        match word {
            Word::Env => Some(self.environment.to_owned()),
            Word::Service => Some(self.service.to_owned()),
            Word::Arch => Some(self.arch.to_string()),
            Word::Sha => Some(revision.commit.clone()),
            Word::ShortSha => Some(revision.short(self.revision_length).to_owned()),
            Word::Timestamp => Some(self.timestamp.to_owned()),
            Word::Branch => revision.branch.as_deref().map(in_a_tag),
            Word::Tag => revision.tags.first().map(|tag| in_a_tag(tag)),
            Word::Version => match self.version {
                VersionSource::Git => git_version(&revision.tags),
                VersionSource::File(file) => revision.versions.get(file).map(|text| in_a_tag(text)),
            },
        }
    }

    /// Why a word says nothing.
    pub fn why_not(&self, word: Word) -> &'static str {
        match (word, self.version) {
            (Word::Branch, _) => "the commit is on no branch",
            (Word::Version, VersionSource::Git) => {
                "no git tag with a version names this commit; `version = \"package.json\"` would take it from a file"
            }
            (Word::Version, VersionSource::File(_)) => {
                "it is known for the commit of this checkout alone"
            }
            _ => "no git tag names this commit",
        }
    }
}

/// The version of the first tag that has one: `1.4.0` of `v1.4.0`, and of `api/v1.4.0`.
fn git_version(tags: &[String]) -> Option<String> {
    let version = |tag: &String| {
        let last = tag.rsplit('/').next().unwrap_or_default();
        let number = last.strip_prefix('v').unwrap_or(last);
        let is_version = number.starts_with(|c: char| c.is_ascii_digit());
        is_version.then(|| in_a_tag(number))
    };
    tags.iter().find_map(version)
}

/// The text with `-` in place of what no tag can have: `feature/x` is `feature-x`, `1.0.0+build` is `1.0.0-build`.
fn in_a_tag(text: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    text.chars()
        .map(|c| if fits(c) { c } else { '-' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(revision: &Revision) -> Said<'_> {
        Said {
            environment: "dev",
            service: "api",
            arch: Arch::Arm64,
            timestamp: "20260101-000000",
            revision,
            revision_length: 7,
            version: &VersionSource::Git,
        }
    }

    #[test]
    fn a_pattern_is_filled_in_and_says_whether_it_moves() {
        let revision = Revision {
            branch: Some("feature/Übung+1".into()),
            tags: vec!["latest-good".into(), "api/v1.4.0+b2".into()],
            ..Revision::of_label("abcdef0123456789", false)
        };
        let filled = |text: &str| {
            let pattern = TagPattern::parse(text).unwrap();
            assert_eq!(pattern.to_string(), text);
            (
                pattern.fill(|word| said(&revision).value(word)).unwrap(),
                pattern.moves(),
            )
        };
        let cases = [
            ("{env}-{branch}", "dev-feature--bung-1", true),
            ("v{version}", "v1.4.0-b2", false),
            ("{tag}", "latest-good", false),
            ("{service}_{arch}", "api_arm64", true),
            ("{sha}", "abcdef0123456789", false),
            ("{short-sha}.{timestamp}", "abcdef0.20260101-000000", false),
            ("stable", "stable", true),
        ];
        for (text, tag, moves) in cases {
            assert_eq!(filled(text), (tag.to_owned(), moves), "{text}");
        }
    }

    #[test]
    fn a_word_without_a_value_is_named() {
        let detached = Revision::of_label("abcdef0", false);
        let missing = |text: &str| {
            let pattern = TagPattern::parse(text).unwrap();
            pattern
                .fill(|word| said(&detached).value(word))
                .unwrap_err()
        };
        assert_eq!(missing("{env}-{branch}"), Word::Branch);
        assert_eq!(missing("v{version}"), Word::Version);
        assert_eq!(missing("{tag}"), Word::Tag);
    }

    #[test]
    fn what_is_no_pattern_is_told_apart() {
        for text in ["{env", "env}", "{{env}}"] {
            assert!(
                matches!(
                    TagPattern::parse(text),
                    Err(Mistake::Brace | Mistake::Unknown(_))
                ),
                "{text}"
            );
        }
        assert_eq!(
            TagPattern::parse("{brunch}"),
            Err(Mistake::Unknown("brunch".into()))
        );
        for text in ["", "-{env}", "a b", "{env}:x"] {
            assert_eq!(TagPattern::parse(text), Err(Mistake::Illegal), "{text}");
        }
    }

    #[test]
    fn a_filter_of_ecr_fits_its_tags() {
        let wildcard = |text: &str| {
            TagPattern::parse(text)
                .unwrap()
                .wildcard("api-", "dev", "api")
        };
        assert_eq!(wildcard("{env}-{branch}"), "api-dev-*");
        assert_eq!(wildcard("{branch}-{arch}-{branch}-x"), "api-*-*");
        assert_eq!(wildcard("stable"), "api-stable");
    }
}
