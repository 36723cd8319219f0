//! A screen as an SVG image: what a person sees in a terminal, to be shown on a page.
//!
//! The image has its own dark background, so that it can be read on a light page and on a dark one, and asks nobody for anything.
//! Each piece of text has its column and its width, so that columns stay columns whatever monospaced font there is.

use std::fmt::Write as _;

/// Text of one look in a row, from this column on.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Piece {
    /// The first column, from 0.
    pub column: usize,
    /// What is shown there.
    pub text: String,
    /// Its look.
    pub look: Look,
}

/// How text looks.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct Look {
    /// The colour of the terminal's palette, where it has one.
    pub colour: Option<u8>,
    /// Whether it is bold.
    pub is_bold: bool,
    /// Whether it is faint.
    pub is_faint: bool,
}

/// Hundredths of a pixel, so that the same screen has the same bytes everywhere.
const CHARACTER: usize = 780;
const LINE: usize = 1950;
const MARGIN: usize = 1800;
const TITLE: usize = 3600;
const BASELINE: usize = 1400;

/// Draws rows of a terminal of so many columns. `title` says what is to be seen, to people who do not see it.
pub(crate) fn svg(title: &str, columns: usize, rows: &[Vec<Piece>]) -> String {
    let width = pixels(2 * MARGIN + columns * CHARACTER);
    let height = pixels(TITLE + rows.len() * LINE + MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" \
         aria-labelledby=\"title\">\n\
         <title id=\"title\">{}</title>\n\
         <style>\n\
         text {{ font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, \"DejaVu Sans Mono\", monospace; fill: #d1d7e0; white-space: pre }}\n\
         .bold {{ font-weight: 700 }} .faint {{ fill: #9198a1 }}\n\
         .red {{ fill: #ff7b72 }} .green {{ fill: #56d364 }} .yellow {{ fill: #e3b341 }} .cyan {{ fill: #56d4dd }}\n\
         </style>\n\
         <rect x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"9.5\" fill=\"#151b23\" stroke=\"#3d444d\"/>\n\
         <circle cx=\"20\" cy=\"18\" r=\"5.5\" fill=\"#ff5f57\"/><circle cx=\"38\" cy=\"18\" r=\"5.5\" fill=\"#febc2e\"/>\
         <circle cx=\"56\" cy=\"18\" r=\"5.5\" fill=\"#28c840\"/>\n",
        escaped(title),
        pixels(2 * MARGIN + columns * CHARACTER - 100),
        pixels(TITLE + rows.len() * LINE + MARGIN - 100),
    );
    for (number, row) in rows.iter().enumerate() {
        let y = pixels(TITLE + number * LINE + BASELINE);
        for piece in row.iter().flat_map(words) {
            let x = pixels(MARGIN + piece.column * CHARACTER);
            let length = pixels(piece.text.chars().count() * CHARACTER);
            let class = class(piece.look);
            let text = escaped(&piece.text);
            let _ = writeln!(
                svg,
                "<text x=\"{x}\" y=\"{y}\" textLength=\"{length}\"{class}>{text}</text>"
            );
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// A piece without the gaps between its columns: each part keeps its place.
fn words(piece: &Piece) -> Vec<Piece> {
    let mut parts = Vec::new();
    let mut column = piece.column;
    for part in piece.text.split_inclusive("  ") {
        let text = part.trim();
        let before = part.chars().count() - part.trim_start().chars().count();
        if !text.is_empty() {
            parts.push(Piece {
                column: column + before,
                text: text.to_owned(),
                look: piece.look,
            });
        }
        column += part.chars().count();
    }
    parts
}

fn class(look: Look) -> String {
    let colour = look.colour.and_then(|colour| match colour % 8 {
        1 => Some("red"),
        2 => Some("green"),
        3 => Some("yellow"),
        6 => Some("cyan"),
        _ => None,
    });
    let bold = look.is_bold.then_some("bold");
    let faint = look.is_faint.then_some("faint");
    let classes: Vec<_> = [colour, bold, faint].into_iter().flatten().collect();
    if classes.is_empty() {
        return String::new();
    }
    format!(" class=\"{}\"", classes.join(" "))
}

fn pixels(hundredths: usize) -> String {
    let (whole, part) = (hundredths / 100, hundredths % 100);
    match (part, part % 10) {
        (0, _) => whole.to_string(),
        (_, 0) => format!("{whole}.{}", part / 10),
        _ => format!("{whole}.{part:02}"),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
