//! Pages for terminals: wrapped text, aligned columns.

use super::{Page, Table};

/// Columns in front of the values of facts.
const LABEL: usize = 14;

pub(super) fn render(page: &Page, columns: usize) -> String {
    let mut out = format!("{}\n\n", page.title);
    for line in wrap(&page.about, columns) {
        out.push_str(&line);
        out.push('\n');
    }
    out.push('\n');
    for (label, value) in &page.facts {
        let room = columns.saturating_sub(LABEL).max(20);
        for (index, line) in wrap(value, room).iter().enumerate() {
            let label = if index == 0 { *label } else { "" };
            out.push_str(format!("{label:LABEL$}{line}").trim_end());
            out.push('\n');
        }
    }
    for table in &page.tables {
        out.push_str(&format!("\n{}\n", table.title));
        out.push_str(&aligned(table, columns));
    }
    out
}

/// The rows with aligned columns; the last column is wrapped.
fn aligned(table: &Table, columns: usize) -> String {
    let last = table.columns.len().saturating_sub(1);
    let width = |column: usize| {
        let cells = table.rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..last).map(width).collect();
    let before: usize = 2 + widths.iter().map(|width| width + 2).sum::<usize>();
    let room = columns.saturating_sub(before).max(24);
    let mut out = String::new();
    for row in &table.rows {
        let mut start = String::from("  ");
        for (cell, width) in row.iter().zip(&widths) {
            start.push_str(&format!("{cell:width$}  "));
        }
        for (index, line) in wrap(&row[last], room).iter().enumerate() {
            let start = if index == 0 { start.clone() } else { " ".repeat(before) };
            out.push_str(format!("{start}{line}").trim_end());
            out.push('\n');
        }
    }
    out
}

/// Lines of at most `columns` characters, words longer than that on lines of their own. At least one line.
fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > columns {
            lines.push(String::new());
            used = 0;
        }
        if let Some(line) = lines.last_mut() {
            if used > 0 {
                line.push(' ');
                used += 1;
            }
            line.push_str(word);
            used += length;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_wrapped_between_words() {
        assert_eq!(wrap("a bc def", 4), ["a bc", "def"]);
        assert_eq!(wrap("abcdefgh ij", 4), ["abcdefgh", "ij"]);
        assert_eq!(wrap("", 4), [""]);
    }
}
