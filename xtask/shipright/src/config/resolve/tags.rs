//! Tags of the user's own, and where their version is read.

use super::super::{finding::Finding, raw::Located};
use crate::model::{
    pattern::{Mistake, TagPattern, VersionSource, Word},
    suggestion::suggestion,
};

/// The files that say a version.
const FILES: [&str; 3] = ["Cargo.toml", "package.json", "pyproject.toml"];

impl Finding<'_> {
    pub(super) fn tags(
        &mut self,
        path: &str,
        said: Option<&Vec<Located<String>>>,
    ) -> Vec<TagPattern> {
        let mut patterns = Vec::new();
        for one in said.into_iter().flatten() {
            match TagPattern::parse(&one.value) {
                Ok(pattern) => patterns.push(pattern),
                Err(mistake) => self.no_pattern(path, one, &mistake),
            }
        }
        patterns
    }

    fn no_pattern(&mut self, path: &str, said: &Located<String>, mistake: &Mistake) {
        let words: Vec<_> = Word::ALL
            .into_iter()
            .map(|word| format!("`{{{}}}`", word.name()))
            .collect();
        let (what, cure) = match mistake {
            Mistake::Brace => (
                "has a brace without its other half".to_owned(),
                format!("words are {}", words.join(", ")),
            ),
            Mistake::Unknown(word) => (
                format!("has the word `{{{}}}`, which says nothing", word.escape_debug()),
                suggestion(word, Word::ALL.map(Word::name)),
            ),
            Mistake::Illegal => (
                "cannot be a tag".to_owned(),
                "use letters, digits, `.`, `_`, `-` and words such as `{env}-{branch}`, at most 128 characters in all"
                    .to_owned(),
            ),
        };
        let text = said.value.escape_debug();
        self.problem(&said.span, format!("`{path}.tags`: `{text}` {what}"), cure);
    }

    /// Where the version is read: of a file, or, where nobody says it, of a git tag.
    pub(super) fn version(
        &mut self,
        path: &str,
        said: Option<&Located<String>>,
        default: &VersionSource,
    ) -> VersionSource {
        let Some(said) = said else {
            return default.clone();
        };
        if said.value == "git" {
            return VersionSource::Git;
        }
        let key = format!("{path}.version");
        let inner = self.inner_path(&key, said);
        let name = inner.as_deref().and_then(|path| path.file_name());
        let is_known = name.is_some_and(|name| FILES.iter().any(|known| name == *known));
        if inner.is_some() && !is_known {
            let text = said.value.escape_debug();
            self.problem(
                &said.span,
                format!("`{key}` is `{text}`, and no version is read there"),
                format!(
                    "write `git` for a git tag, or the path of a {}",
                    FILES.join(", ")
                ),
            );
        }
        VersionSource::File(said.value.clone())
    }
}
