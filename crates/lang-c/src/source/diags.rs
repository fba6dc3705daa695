//! Messages about the source, and how they are drawn.

use std::fmt::Write;

use skep_diag::{Diagnostic, Span, render};

use super::{Loc, Sources};

/// How grave a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// No result.
    Error,
    /// A result that may not be what was meant.
    Warning,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diag {
    /// How grave.
    pub severity: Severity,
    /// Where.
    pub loc: Loc,
    /// What is wrong, in one line.
    pub message: String,
    /// A word at the caret.
    pub label: Option<String>,
    /// What to do about it.
    pub help: Vec<String>,
    /// Other places that matter, with why.
    pub notes: Vec<(Loc, String)>,
}

impl Diag {
    /// An error.
    pub fn error(loc: Loc, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, loc, message.into())
    }

    /// A warning.
    pub fn warning(loc: Loc, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, loc, message.into())
    }

    const fn new(severity: Severity, loc: Loc, message: String) -> Self {
        Self { severity, loc, message, label: None, help: Vec::new(), notes: Vec::new() }
    }

    /// With a word at the caret.
    #[must_use]
    pub fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// With a line of advice.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// With another place.
    #[must_use]
    pub fn with_note(mut self, loc: Loc, text: impl Into<String>) -> Self {
        self.notes.push((loc, text.into()));
        self
    }
}

/// The messages of a compilation, as many as people read.
#[derive(Debug, Default)]
pub struct Diags {
    list: Vec<Diag>,
    errors: usize,
    left_out: usize,
}

/// Errors after which compiling has no point, and warnings that are kept.
const MAX_ERRORS: usize = 20;
const MAX_WARNINGS: usize = 100;

impl Diags {
    /// Without messages.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a message. What is past the limits, or a second error at the same place, is only counted.
    pub fn push(&mut self, diag: Diag) {
        let is_error = diag.severity == Severity::Error;
        let count = if is_error { self.errors } else { self.list.len() - self.errors.min(self.list.len()) };
        let limit = if is_error { MAX_ERRORS } else { MAX_WARNINGS };
        let again = self.list.iter().any(|other| other.loc == diag.loc && other.severity == diag.severity);
        if count >= limit || (again && diag.loc != Loc::default()) {
            self.left_out += usize::from(!again);
            self.errors += usize::from(is_error && self.errors == 0);
            return;
        }
        self.errors += usize::from(is_error);
        self.list.push(diag);
    }

    /// Adds an error.
    pub fn error(&mut self, loc: Loc, message: impl Into<String>) {
        self.push(Diag::error(loc, message));
    }

    /// Adds a warning.
    pub fn warning(&mut self, loc: Loc, message: impl Into<String>) {
        self.push(Diag::warning(loc, message));
    }

    /// True if there is an error.
    pub const fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// True after so many errors that going on has no point.
    pub const fn is_full(&self) -> bool {
        self.errors >= MAX_ERRORS
    }

    /// The messages in the order in which they came.
    pub fn list(&self) -> &[Diag] {
        &self.list
    }

    /// All messages drawn, with the chains of macros that their places came through.
    pub fn render(&self, sources: &Sources, colour: bool) -> String {
        let mut out = String::new();
        for diag in &self.list {
            out.push_str(&draw(diag, sources, colour));
            if !out.ends_with('\n') {
                out.push('\n');
            }
        }
        if self.left_out > 0 {
            let _ = writeln!(out, "({} more messages are not shown)", self.left_out);
        }
        out
    }
}

/// The uses of macros that are listed for one message.
const MAX_CHAIN: usize = 6;

fn draw(diag: &Diag, sources: &Sources, colour: bool) -> String {
    let mut help = diag.help.clone();
    let mut loc = diag.loc;
    let mut chain = 0;
    while let Some((parent, name)) = sources.parent(loc) {
        if chain < MAX_CHAIN
            && let Some(place) = sources.spelling_place(loc)
        {
            let name = sources.text(name);
            help.push(format!("in the expansion of macro '{name}' ({}:{}:{})", place.name, place.line, place.column));
        }
        chain += 1;
        loc = parent;
    }
    for (at, text) in &diag.notes {
        match sources.place(*at) {
            Some(place) => help.push(format!("{text} ({}:{}:{})", place.name, place.line, place.column)),
            None => help.push(text.clone()),
        }
    }
    let Some(place) = sources.place(diag.loc) else {
        let word = if diag.severity == Severity::Error { "error" } else { "warning" };
        let mut out = format!("{word}: {}\n", diag.message);
        for line in help {
            let _ = writeln!(out, "  help: {line}");
        }
        return out;
    };
    let text = sources.text_of(place.file);
    let end = token_end(&text, place.offset as usize);
    let span = Span::new(place.offset, end as u32);
    let mut drawn = match diag.severity {
        Severity::Error => Diagnostic::error(span, diag.message.clone()),
        Severity::Warning => Diagnostic::warning(span, diag.message.clone()),
    };
    if let Some(label) = &diag.label {
        drawn = drawn.with_label(label.clone());
    }
    for line in help {
        drawn = drawn.with_help(line);
    }
    render(&drawn, place.name, &text, colour)
}

/// The end of the word or mark at an offset.
fn token_end(text: &str, start: usize) -> usize {
    let rest = text.get(start..).unwrap_or("");
    let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    let one = rest.chars().next().map_or(0, char::len_utf8);
    start + word.max(one)
}
