//! The text of a script, and places in it.

use skep_diag::Span;

/// A text that knows where its lines begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text<'a> {
    text: &'a str,
    /// Offsets of the first bytes of lines.
    lines: Vec<u32>,
}

impl<'a> Text<'a> {
    /// A text of less than 4 GiB; lines behind that are taken for one.
    pub fn new(text: &'a str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = std::iter::once(0).chain(ends.filter_map(|(at, _)| u32::try_from(at + 1).ok())).collect();
        Self { text, lines }
    }

    /// The text itself.
    pub const fn as_str(&self) -> &'a str {
        self.text
    }

    /// Line and column, from 1, of the start of a span; columns are bytes.
    pub fn place(&self, span: Span) -> (u32, u32) {
        let line = self.lines.partition_point(|start| *start <= span.start);
        let start = self.lines.get(line.wrapping_sub(1)).copied().unwrap_or(0);
        (u32::try_from(line).unwrap_or(u32::MAX), (span.start - start).saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_bytes() {
        let text = Text::new("ab\n\ncü!\n");
        let place = |at| text.place(Span::new(at, at));
        assert_eq!([0, 2, 3, 4, 7, 9].map(place), [(1, 1), (1, 3), (2, 1), (3, 1), (3, 4), (4, 1)]);
    }
}
