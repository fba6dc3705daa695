//! Sources, spans and diagnostics.
//!
//! A [`Diagnostic`] says what is wrong, where (a [`Span`] into the source text) and what to do about it;
//! [`render`] draws it with the line and a caret.
//!
//! ```
//! use skep_diag::{Diagnostic, Span, render};
//!
//! let error = Diagnostic::error(Span::new(5, 9), "unknown host 'nope'")
//!     .with_label("not found")
//!     .with_help("check the spelling");
//! let text = render(&error, "filter", "host nope", false);
//! assert!(text.starts_with("error: unknown host 'nope'"));
//! ```
//!
//! Guarantees: rendering never panics, whatever the span and the text; its output holds no control characters but
//! line ends (and colours, if asked for); and a long source text is cut around the span.

mod render;

pub use render::{render, render_from};

use std::ops::Range;

/// A range of byte offsets in the source text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Offset after the last byte.
    pub end: u32,
}

impl Span {
    /// The span `start..end`.
    pub const fn new(start: u32, end: u32) -> Self {
        Self { start, end }
    }
    /// The smallest span that covers both.
    pub fn to(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
    /// As a range of `usize`, to slice the source with.
    pub const fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// How grave a diagnostic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// Nothing was produced.
    Error,
    /// A result was produced that may not be what was meant.
    Warning,
}

/// One message about a source text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How grave it is.
    pub severity: Severity,
    /// One sentence: what is wrong.
    pub message: String,
    /// Where.
    pub span: Span,
    /// Text printed at the carets; may be empty.
    pub label: String,
    /// Remedies and remarks, one sentence each.
    pub help: Vec<String>,
}

impl Diagnostic {
    /// An error at `span`.
    pub fn error(span: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, message: message.into(), span, label: String::new(), help: Vec::new() }
    }
    /// A warning at `span`.
    pub fn warning(span: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(span, message) }
    }
    /// With a text at the carets.
    #[must_use]
    pub fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }
    /// With one more remedy or remark.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }
}
