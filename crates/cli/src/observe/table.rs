//! Aligned columns.

/// A table: headings with their sides, and rows of as many cells.
#[derive(Debug, Default)]
pub struct Table {
    headings: Vec<(&'static str, Side)>,
    rows: Vec<Vec<String>>,
}

/// Where the text of a column stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Left,
    Right,
}

impl Table {
    /// A table with these columns.
    pub fn new(headings: &[(&'static str, Side)]) -> Self {
        Self { headings: headings.to_vec(), rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The text. Columns that are empty in all rows are left out.
    pub fn text(&self) -> String {
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let kept: Vec<(usize, usize)> = (0..self.headings.len())
            .map(|column| (column, width(column)))
            .filter(|(_, width)| *width > 0)
            .map(|(column, width)| (column, width.max(self.headings[column].0.len())))
            .collect();
        let headings: Vec<String> = self.headings.iter().map(|(name, _)| (*name).to_owned()).collect();
        let mut text = String::new();
        for row in std::iter::once(&headings).chain(&self.rows) {
            let mut line = String::new();
            for (column, width) in &kept {
                let cell = &row[*column];
                match self.headings[*column].1 {
                    Side::Left => line.push_str(&format!("{cell:width$}  ")),
                    Side::Right => line.push_str(&format!("{cell:>width$}  ")),
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns() {
        let mut table = Table::new(&[("ID", Side::Right), ("EMPTY", Side::Left), ("NAME", Side::Left)]);
        table.row(["7".to_owned(), String::new(), "a".to_owned()]);
        table.row(["1234".to_owned(), String::new(), "bé".to_owned()]);
        assert_eq!(table.text(), "  ID  NAME\n   7  a\n1234  bé\n");
    }
}
