//! Lines of the source: the addresses at which their code begins.

use std::collections::{BTreeMap, BTreeSet};

use gimli::{ColumnType, Unit};

use super::{DebugInfo, Slice};
use crate::error::SymError;

/// Code of a line and a column of it.
#[derive(Clone, Copy)]
struct Row {
    address: u64,
    /// Where the code of another row begins.
    end: u64,
    column: u64,
}

impl DebugInfo {
    /// The addresses at which the code of a line begins: one for each function that has code of it, and one for each
    /// place where such a function was copied to (inlined). `file` is a path or the end of one: `main.c`, `src/main.c`.
    ///
    /// # Errors
    /// [`SymError::Missing`] if no source file is called so, or the line has no code; then with the nearest lines that have.
    pub fn line(&self, file: &str, line: u32, column: Option<u32>) -> Result<Vec<u64>, SymError> {
        let mut known = false;
        let mut near = BTreeSet::new();
        let mut addresses = BTreeSet::new();
        for number in 0..self.parts[0].count {
            let Some(unit) = self.unit(0, number) else { continue };
            let mut found = Vec::new();
            known |= self.rows(&unit, file, line, &mut found, &mut near);
            found.retain(|row| column.is_none_or(|column| u64::from(column) == row.column));
            if !found.is_empty() {
                found.sort_unstable_by_key(|row| row.address);
                self.split(&unit, &mut found);
                addresses.extend(self.one_each(&unit, &found));
            }
        }
        if !addresses.is_empty() {
            return Ok(addresses.into_iter().collect());
        }
        let place = format!("the debug information of `{}`", self.binary.display());
        if !known {
            let remedy = "give the name as the compiler got it, or the end of its path".to_owned();
            return Err(SymError::Missing { what: "source file", name: file.to_owned(), place, remedy });
        }
        let before = near.range(..u64::from(line)).next_back();
        let after = near.range(u64::from(line) + 1..).next();
        let lines: Vec<String> = before.into_iter().chain(after).map(u64::to_string).collect();
        let remedy = match (column, near.contains(&u64::from(line))) {
            (Some(_), true) => "the line has code, but in other columns: leave the column out".to_owned(),
            _ => match lines.as_slice() {
                [] => "no line of the file has code".to_owned(),
                [one] => format!("the nearest line with code is {one}"),
                several => format!("the nearest lines with code are {}", several.join(" and ")),
            },
        };
        let name = column.map_or_else(|| format!("{file}:{line}"), |column| format!("{file}:{line}:{column}"));
        Err(SymError::Missing { what: "code of the line", name, place, remedy })
    }

    /// Adds the rows of a line, and all lines of the file that have code. Says whether the unit knows the file.
    fn rows(&self, unit: &Unit<Slice>, file: &str, line: u32, found: &mut Vec<Row>, near: &mut BTreeSet<u64>) -> bool {
        let Some(program) = unit.line_program.clone() else { return false };
        let mut known = BTreeMap::new();
        let mut rows = program.rows();
        // Whether the last row of the list ends where the next one of the program begins.
        let mut open = false;
        while let Ok(Some((header, row))) = rows.next_row() {
            if let Some(last) = found.last_mut().filter(|_| open) {
                last.end = row.address();
            }
            // Rows of the same line that are no place to stop at belong to the one before.
            let same = row.line().is_some_and(|here| here.get() == u64::from(line));
            open &= same && !row.is_stmt() && !row.end_sequence();
            if row.end_sequence() || !row.is_stmt() {
                continue;
            }
            let index = row.file_index();
            if !*known.entry(index).or_insert_with(|| self.is_file(unit, header, index, file)) {
                continue;
            }
            let here = row.line().map_or(0, std::num::NonZero::get);
            near.insert(here);
            if here == u64::from(line) {
                let column = match row.column() {
                    ColumnType::LeftEdge => 0,
                    ColumnType::Column(column) => column.get(),
                };
                open = true;
                found.push(Row { address: row.address(), end: row.address(), column });
            }
        }
        known.values().any(|fits| *fits)
    }

    /// Whether a file of a line program is the one that was named.
    fn is_file(&self, unit: &Unit<Slice>, header: &gimli::LineProgramHeader<Slice>, index: u64, wanted: &str) -> bool {
        let Some(entry) = header.file(index) else { return false };
        let text = |value| self.text(0, unit, value).unwrap_or_default();
        let name = text(entry.path_name());
        let mut whole = name.clone();
        if !name.starts_with('/') {
            let directory = entry.directory(header).map(text).unwrap_or_default();
            if !directory.is_empty() {
                whole = format!("{directory}/{whole}");
            }
        }
        let wanted = wanted.trim_start_matches("./");
        whole == wanted
            || whole.strip_suffix(wanted).is_some_and(|front| front.ends_with('/') || wanted.starts_with('/'))
    }

    /// Adds a row for each copy of a function that begins inside of one: compilers write one row for copies that follow
    /// one another. The rows are sorted.
    fn split(&self, unit: &Unit<Slice>, found: &mut Vec<Row>) {
        let mut more = Vec::new();
        let mut entries = unit.entries();
        while let Ok(Some(entry)) = entries.next_dfs() {
            if entry.tag() != gimli::DW_TAG_inlined_subroutine {
                continue;
            }
            let Ok(mut ranges) = self.parts[0].dwarf.die_ranges(unit, entry) else { continue };
            while let Ok(Some(range)) = ranges.next() {
                let before = found.partition_point(|row| row.address < range.begin);
                if let Some(row) = found[..before].last().filter(|row| range.begin < row.end) {
                    more.push(Row { address: range.begin, ..*row });
                }
            }
        }
        found.append(&mut more);
        found.sort_unstable_by_key(|row| row.address);
    }

    /// The first of the addresses, which are sorted, in each function or copy of one.
    fn one_each(&self, unit: &Unit<Slice>, found: &[Row]) -> Vec<u64> {
        let dwarf = &self.parts[0].dwarf;
        // For each address the innermost entry that holds it: its depth and offset.
        let mut inside = vec![(-1, 0); found.len()];
        let mut entries = unit.entries();
        while let Ok(Some(entry)) = entries.next_dfs() {
            if !matches!(entry.tag(), gimli::DW_TAG_subprogram | gimli::DW_TAG_inlined_subroutine) {
                continue;
            }
            let Ok(mut ranges) = dwarf.die_ranges(unit, entry) else { continue };
            while let Ok(Some(range)) = ranges.next() {
                let first = found.partition_point(|row| row.address < range.begin);
                for (row, inner) in found.iter().zip(&mut inside).skip(first) {
                    if row.address >= range.end {
                        break;
                    }
                    if entry.depth() > inner.0 {
                        *inner = (entry.depth(), entry.offset().0);
                    }
                }
            }
        }
        let mut first: BTreeMap<usize, u64> = BTreeMap::new();
        for (row, inner) in found.iter().zip(inside) {
            let address = first.entry(inner.1).or_insert(row.address);
            *address = (*address).min(row.address);
        }
        first.into_values().collect()
    }
}
