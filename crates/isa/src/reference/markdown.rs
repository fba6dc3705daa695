//! Pages as sections of Markdown documents.

use super::{Page, Table};

pub(super) fn render(page: &Page) -> String {
    let mut out = format!("## {}\n\n{}\n\n", page.title, cell(&page.about));
    for (label, value) in &page.facts {
        out.push_str(&format!("- **{label}**: {}\n", cell(value)));
    }
    for table in &page.tables {
        out.push_str(&format!("\n{}:\n\n", table.title));
        out.push_str(&rows(table));
    }
    out
}

/// A table alone.
pub(super) fn rows(table: &Table) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut out = line(table.columns.iter().map(|column| (*column).to_owned()).collect());
    out.push_str(&format!("|{}\n", "---|".repeat(table.columns.len())));
    for row in &table.rows {
        out.push_str(&line(row.iter().map(|text| cell(text)).collect()));
    }
    out
}

/// Text in which nothing is taken for markup.
fn cell(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if "\\`*_|<>[]#".contains(character) {
            out.push('\\');
        }
        out.push(character);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_escaped() {
        assert_eq!(cell("__sk_buff * | x"), "\\_\\_sk\\_buff \\* \\| x");
    }
}
