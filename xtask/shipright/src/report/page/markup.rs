//! HTML in the making, in which nothing from elsewhere can be anything but text.
//!
//! Tags and names of attributes are written in this program, as their types say; everything else is escaped here, and there is no way
//! around. Compared with `maud` 0.27, which escapes as well: it costs a build of two more crates, and what escapes `<` and no more leaves
//! characters in that turn the direction of a line around or cannot be seen, so every value would need a second wrapper that can be
//! forgotten.

use std::fmt::Write as _;

use crate::report::terminal::is_obeyed;

/// Attributes: a name, and its value before it is escaped.
pub(super) type Attributes<'a> = &'a [(&'static str, &'a str)];

/// HTML in the making.
#[derive(Default)]
pub(super) struct Html(String);

/// The most characters of one text. What is longer comes from nobody who means well.
const LONGEST: usize = 4000;

impl Html {
    /// A document, with what has to stand at its very beginning.
    pub(super) fn document() -> Self {
        Self("<!doctype html>\n".to_owned())
    }

    /// An element with what is in it.
    pub(super) fn element(
        &mut self,
        tag: &'static str,
        attributes: Attributes<'_>,
        content: impl FnOnce(&mut Self),
    ) {
        self.void(tag, attributes);
        content(self);
        self.0.extend(["</", tag, ">"]);
        if is_block(tag) {
            self.0.push('\n');
        }
    }

    /// An element with a text in it.
    pub(super) fn leaf(&mut self, tag: &'static str, attributes: Attributes<'_>, text: &str) {
        self.element(tag, attributes, |html| html.text(text));
    }

    /// An element that has nothing in it, and no end.
    pub(super) fn void(&mut self, tag: &'static str, attributes: Attributes<'_>) {
        self.0.extend(["<", tag]);
        for (name, value) in attributes {
            self.0.extend([" ", name, "=\""]);
            self.escaped(value);
            self.0.push('"');
        }
        self.0.push('>');
    }

    /// A text.
    pub(super) fn text(&mut self, text: &str) {
        self.escaped(text);
    }

    /// The style sheet, as it stands in this program: its digest allows it, so not a character may change.
    pub(super) fn style(&mut self, sheet: &'static str) {
        self.0.extend(["<style>", sheet, "</style>\n"]);
    }

    /// The whole.
    pub(super) fn finish(self) -> String {
        self.0
    }

    fn escaped(&mut self, text: &str) {
        for (place, c) in text.chars().enumerate() {
            if place == LONGEST {
                self.0.push('…');
                return;
            }
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                c if is_hidden(c) => {
                    let _ = write!(self.0, "\\u{{{:x}}}", u32::from(c));
                }
                c => self.0.push(c),
            }
        }
    }
}

/// Whether a character cannot be seen, or turns the direction of what stands around it: it is shown by its number, as two names that
/// look alike would be two names.
fn is_hidden(c: char) -> bool {
    is_obeyed(c)
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

fn is_block(tag: &str) -> bool {
    !matches!(
        tag,
        "a" | "b" | "code" | "span" | "strong" | "small" | "time" | "svg" | "rect" | "abbr" | "i"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(work: impl FnOnce(&mut Html)) -> String {
        let mut html = Html::default();
        work(&mut html);
        html.finish()
    }

    #[test]
    fn nothing_that_is_put_in_is_markup() {
        let hostile = "</code><script>alert(1)</script>\"' onload='x' &amp; \u{202e}gnp.exe\u{0}\u{1b}[31m\u{200b}";
        let text = made(|html| html.leaf("code", &[("title", hostile)], hostile));
        let shown = "&lt;/code&gt;&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39; onload=&#39;x&#39; &amp;amp; \
                     \\u{202e}gnp.exe\\u{0}\\u{1b}[31m\\u{200b}";
        assert_eq!(text, format!("<code title=\"{shown}\">{shown}</code>"));
    }

    #[test]
    fn texts_have_an_end() {
        let text = made(|html| html.text(&"<".repeat(LONGEST + 1)));
        assert_eq!(text, format!("{}…", "&lt;".repeat(LONGEST)));
    }

    #[test]
    fn letters_of_any_script_stay_as_they_are() {
        let text = "é 日本 שלום 👩\n\tx";
        assert_eq!(made(|html| html.text(text)), text);
    }
}
