//! Rows in columns; where the columns are wider than the terminal, each row as a paragraph.

use comfy_table::{ContentArrangement, Table, presets::NOTHING};

use super::terminal::one_line;

/// Rows below a head. The first column says what a row is about.
pub fn table<R: AsRef<[String]>>(head: &[&str], rows: &[R], width: Option<usize>) -> String {
    let columns = in_columns(head, rows);
    let widest = columns.lines().map(|line| line.chars().count()).max();
    if width.is_none_or(|width| widest.unwrap_or(0) <= width) {
        columns
    } else {
        let paragraph = |row: &R| paragraph(head, row.as_ref(), width.unwrap_or(usize::MAX));
        let paragraphs: Vec<_> = rows.iter().map(paragraph).collect();
        paragraphs.join("\n")
    }
}

fn in_columns<R: AsRef<[String]>>(head: &[&str], rows: &[R]) -> String {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(head.iter().copied());
    for row in rows {
        table.add_row(row.as_ref().iter().map(|cell| one_line(cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<_> = table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    lines.join("\n")
}

/// `api: platform linux/arm64, size 35 MB`, broken between its parts, with the lines after the first one indented.
fn paragraph(head: &[&str], row: &[String], width: usize) -> String {
    let said = head
        .iter()
        .zip(row)
        .skip(1)
        .filter(|(_, cell)| *cell != "-" && !cell.is_empty());
    let parts: Vec<_> = said
        .map(|(head, cell)| format!("{head} {}", one_line(cell)))
        .collect();
    let mut text = format!("{}:", row.first().map_or("", String::as_str));
    let mut column = text.chars().count();
    for (place, part) in parts.iter().enumerate() {
        let comma = if place + 1 < parts.len() { "," } else { "" };
        let length = part.chars().count() + comma.len();
        if column + 1 + length > width {
            text.push_str("\n   ");
            column = 3;
        }
        text.push(' ');
        text.push_str(part);
        text.push_str(comma);
        column += 1 + length;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> [[String; 3]; 2] {
        [["api", "35 MB", "2/9"], ["worker-long", "7 MB", "-"]].map(|row| row.map(str::to_owned))
    }

    #[test]
    fn columns_are_as_wide_as_their_cells() {
        let text = table(&["image", "size", "layers"], &rows(), None);
        assert_eq!(
            text,
            "image        size   layers\napi          35 MB  2/9\nworker-long  7 MB   -"
        );
    }

    #[test]
    fn a_narrow_terminal_gets_a_paragraph_for_each_row() {
        let text = table(&["image", "size", "layers"], &rows(), Some(20));
        assert_eq!(
            text,
            "api: size 35 MB,\n    layers 2/9\nworker-long:\n    size 7 MB"
        );
        assert!(text.lines().all(|line| line.chars().count() <= 20));
    }

    #[test]
    fn a_cell_is_one_line_whatever_is_in_it() {
        let rows = [["a\nb", "\x1b[31mred"].map(str::to_owned)];
        assert_eq!(table(&["x", "y"], &rows, None), "x    y\na b  red");
    }
}
