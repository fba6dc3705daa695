//! The texts of a script and its imports as one, in which places count.

use skep_diag::{Diagnostic, Span, render};

/// The texts of all files, one behind the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    files: Vec<(String, u32, String)>,
}

impl Sources {
    /// Adds a file and gives the offset at which it starts; `None` if all together would exceed 4 GiB.
    pub fn add(&mut self, name: &str, text: &str) -> Option<u32> {
        let start = self.files.last().map_or(0, |(_, start, text)| u64::from(*start) + text.len() as u64 + 1);
        u32::try_from(start + text.len() as u64 + 1).ok()?;
        let start = u32::try_from(start).ok()?;
        self.files.push((name.to_owned(), start, text.to_owned()));
        Some(start)
    }

    /// The file that a place is in: its name, its text, and the place within it.
    pub fn locate(&self, span: Span) -> Option<(&str, &str, Span)> {
        let index = self.files.partition_point(|(_, start, _)| *start <= span.start).checked_sub(1)?;
        let (name, start, text) = &self.files[index];
        Some((name, text, Span::new(span.start - start, span.end.saturating_sub(*start))))
    }

    /// Line and column of a place, both from 1; columns count characters.
    pub fn position(&self, span: Span) -> (u32, u32) {
        let Some((_, text, span)) = self.locate(span) else { return (1, 1) };
        let before = text.get(..span.start as usize).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
    }

    /// Draws a diagnostic with the line that it is about.
    pub fn render(&self, diagnostic: &Diagnostic, colour: bool) -> String {
        let Some((name, text, span)) = self.locate(diagnostic.span) else {
            return render(diagnostic, "script", "", colour);
        };
        render(&Diagnostic { span, ..diagnostic.clone() }, name, text, colour)
    }
}
