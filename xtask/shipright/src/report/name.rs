//! What people type to start this program. All texts say `cargo xtask`; who typed something else reads that.

use std::{borrow::Cow, sync::OnceLock};

/// The words that all texts have.
const WRITTEN: &str = "cargo xtask";

static TYPED: OnceLock<String> = OnceLock::new();

/// Says how this program is started. The first that says it is heard.
pub(crate) fn say(name: &str) {
    let _ = TYPED.set(name.to_owned());
}

/// What was typed to start this program.
pub fn typed() -> &'static str {
    TYPED.get().map_or(WRITTEN, String::as_str)
}

/// A text with the words that were typed.
pub fn as_typed(text: &str) -> Cow<'_, str> {
    replaced(text, typed())
}

fn replaced<'t>(text: &'t str, typed: &str) -> Cow<'t, str> {
    if typed == WRITTEN || !text.contains(WRITTEN) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.replace(WRITTEN, typed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_say_what_was_typed() {
        let text = "try `cargo xtask push dev --dry-run`";
        assert_eq!(
            replaced(text, "shipright"),
            "try `shipright push dev --dry-run`"
        );
        assert_eq!(replaced(text, WRITTEN), text);
    }
}
