//! Command lines that people can paste into a shell.

/// A command line, quoted for a POSIX shell.
pub fn quoted<'w>(words: impl IntoIterator<Item = &'w str>) -> String {
    let quote = |word: &'w str| {
        shlex::try_quote(word).map_or_else(|_| "''".into(), std::borrow::Cow::into_owned)
    };
    words
        .into_iter()
        .map(quote)
        .collect::<Vec<String>>()
        .join(" ")
}
