//! What was most likely meant by a word that names nothing.

/// The name in `known` that was most likely meant.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored = known.into_iter().map(|name| {
        (
            strsim::jaro_winkler(&word.to_lowercase(), &name.to_lowercase()),
            name,
        )
    });
    scored
        .filter(|(score, _)| *score > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// How many names a suggestion lists.
const SUGGESTED: usize = 20;

/// "did you mean `x`?" where something is near, otherwise the whole list.
pub fn suggestion<'a>(word: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(name) = nearest(word, known.clone()) {
        return format!("did you mean `{name}`?");
    }
    let all: Vec<_> = known
        .into_iter()
        .take(SUGGESTED)
        .map(|name| format!("`{}`", name.escape_debug()))
        .collect();
    match all.as_slice() {
        [] => "remove it: nothing can stand here".to_owned(),
        [only] => format!("write {only}"),
        several => format!("write one of {}", several.join(", ")),
    }
}
