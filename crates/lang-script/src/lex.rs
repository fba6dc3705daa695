//! Tokens of a script, made one at a time as the parser asks for them.
//!
//! What a `/` or a `:` means depends on where it stands: attach points are not made of tokens. The parser therefore owns
//! the position and lets [`Lexer::point`] read an attach point where one is expected.

use std::sync::Arc;

use skep_diag::{Diagnostic, Span};

mod literal;

pub(crate) use literal::number;

/// What a token is. Names have their text in the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A name or keyword.
    Word,
    /// A number.
    Int {
        /// Its value; durations are in nanoseconds.
        value: u64,
        /// Whether it was a duration or had a `u` behind it.
        unsigned: bool,
    },
    /// A text in quotes, without them, escapes resolved.
    Text(Arc<str>),
    /// `$name`
    Variable,
    /// `@name` or `@`
    Map,
    /// `$1`
    Positional(u32),
    /// `$#`
    PositionalCount,
    /// Punctuation, the longest that fits.
    Punct(&'static str),
    /// Something that is no token; a diagnostic has been made.
    Bad,
    /// The end of the text.
    End,
}

/// A token with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Where it is.
    pub span: Span,
}

/// A comment, kept for the formatter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// Where it is, without the end of its line.
    pub span: Span,
    /// Whether something stands before it in the same line.
    pub trailing: bool,
}

// TABLE
/// Punctuation, longer ones first where one begins like the other.
const PUNCTUATION: &[&str] = &[
    "<<=", ">>=", "...", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "++", "--", "->", "..", "+=", "-=", "*=",
    "/=", "%=", "&=", "|=", "^=", "+", "-", "*", "/", "%", "&", "|", "^", "~", "!", "=", "<", ">", "?", ":", ";", ",",
    ".", "(", ")", "[", "]", "{", "}", "#",
];

/// Reads tokens from a text.
#[derive(Debug, Clone)]
pub struct Lexer<'t> {
    text: &'t str,
    at: usize,
    /// What was wrong with the tokens so far.
    pub diagnostics: Vec<Diagnostic>,
    /// The comments so far, if they are wanted.
    pub comments: Option<Vec<Comment>>,
}

impl<'t> Lexer<'t> {
    /// Begins at the start of a text of less than 4 GiB.
    pub fn new(text: &'t str) -> Self {
        let mut lexer = Self { text, at: 0, diagnostics: Vec::new(), comments: None };
        if text.starts_with("#!") {
            lexer.at = text.find('\n').unwrap_or(text.len());
        }
        lexer
    }

    /// A second reader that begins at an offset, for looking ahead: what it finds wrong is found again later.
    pub fn fork(&self, at: u32) -> Self {
        Self { text: self.text, at: at as usize, diagnostics: Vec::new(), comments: None }
    }

    /// Where the next token is looked for.
    pub fn offset(&self) -> u32 {
        place(self.at)
    }

    /// Goes to an offset, which must be on the boundary of a character.
    pub fn seek(&mut self, at: u32) {
        self.at = at as usize;
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    /// Skips spaces and comments.
    pub fn skip_blank(&mut self) {
        loop {
            let rest = self.rest();
            let blank = rest.len() - rest.trim_start().len();
            self.at += blank;
            let rest = self.rest();
            if !(rest.starts_with("//") || rest.starts_with("/*")) {
                return;
            }
            self.comment();
        }
    }

    /// Skips a comment; the end of the line is not part of one that begins with `//`.
    fn comment(&mut self) {
        let start = self.at;
        let rest = self.rest();
        match rest.strip_prefix("/*").map(|inner| inner.find("*/")) {
            None => self.at += rest.find('\n').unwrap_or(rest.len()),
            Some(Some(end)) => self.at += end + 4,
            Some(None) => {
                self.at = self.text.len();
                let error = Diagnostic::error(Span::new(place(start), place(start + 2)), "this comment does not end");
                self.diagnostics.push(error.with_help("close it with `*/`"));
            }
        }
        self.note_comment(start);
    }

    fn note_comment(&mut self, start: usize) {
        let before = self.text[..start].trim_end_matches(|c: char| c.is_whitespace() && c != '\n');
        let trailing = !before.is_empty() && !before.ends_with('\n');
        let end = start + self.text[start..self.at].trim_end().len();
        let comment = Comment { span: Span::new(place(start), place(end)), trailing };
        if let Some(comments) = &mut self.comments
            && comments.last().is_none_or(|last| last.span.start < comment.span.start)
        {
            comments.push(comment);
        }
    }

    /// The next token.
    pub fn token(&mut self) -> Token {
        self.skip_blank();
        let start = self.at;
        let kind = self.kind();
        Token { kind, span: Span::new(place(start), place(self.at)) }
    }

    fn kind(&mut self) -> Kind {
        let rest = self.rest();
        let mut chars = rest.chars();
        match chars.next() {
            None => Kind::End,
            Some('"') => self.text_literal(),
            Some('0'..='9') => self.number_literal(),
            Some('$') => self.dollar(),
            Some('@') => {
                self.at += 1 + word_length(&rest[1..]);
                Kind::Map
            }
            Some(c) if c == '_' || c.is_ascii_alphabetic() => {
                self.at += word_length(rest);
                Kind::Word
            }
            Some(c) => {
                if let Some(punct) = PUNCTUATION.iter().find(|punct| rest.starts_with(**punct)) {
                    self.at += punct.len();
                    return Kind::Punct(punct);
                }
                let start = self.at;
                self.at += c.len_utf8();
                let error = self.error_from(start, format!("`{c}` means nothing here"));
                let error = if c == '\'' { error.with_help("texts stand in double quotes: \"text\"") } else { error };
                self.diagnostics.push(error);
                Kind::Bad
            }
        }
    }

    fn error_from(&self, start: usize, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(Span::new(place(start), place(self.at)), message)
    }

    fn dollar(&mut self) -> Kind {
        let start = self.at;
        let rest = &self.rest()[1..];
        if rest.starts_with('#') {
            self.at += 2;
            return Kind::PositionalCount;
        }
        let length = word_length(rest);
        if length > 0 {
            self.at += 1 + length;
            return Kind::Variable;
        }
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        self.at += 1 + digits;
        match rest[..digits].parse() {
            Ok(number) if number > 0 => Kind::Positional(number),
            _ => {
                let message =
                    if digits == 0 { "a `$` without a name" } else { "there is no such argument of the script" };
                let error = self.error_from(start, message);
                self.diagnostics
                    .push(error.with_help("variables are `$name`, arguments of the script `$1`, `$2`, ..."));
                Kind::Bad
            }
        }
    }

    fn number_literal(&mut self) -> Kind {
        let start = self.at;
        let rest = self.rest();
        let length = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
        self.at += length;
        match number(&rest[..length]) {
            Ok((value, unsigned)) => Kind::Int { value, unsigned },
            Err(reason) => {
                let error =
                    self.error_from(start, format!("`{}` is not a number", &rest[..length])).with_label(reason.0);
                self.diagnostics.push(error.with_help(reason.1));
                Kind::Bad
            }
        }
    }

    fn text_literal(&mut self) -> Kind {
        let start = self.at;
        let scanned = literal::text(&self.rest()[1..]);
        self.at += 1 + scanned.length;
        for (from, to, message, help) in scanned.errors {
            let span = Span::new(place(start + 1 + from), place(start + 1 + to));
            self.diagnostics.push(Diagnostic::error(span, message).with_help(help));
        }
        scanned.text.map_or(Kind::Bad, |text| Kind::Text(text.into()))
    }

    /// Reads one attach point: everything up to a space, a comma, a brace, or a slash that is not in the part that holds
    /// a path. `path` is told the text before the first colon and gives the number of that part, from 1.
    /// Gives the parts and the place of each.
    pub fn point(&mut self, path: impl Fn(&str) -> Option<usize>) -> (Vec<(String, Span)>, Span) {
        let start = self.at;
        let mut parts: Vec<(String, Span)> = Vec::new();
        let (mut part, mut part_start) = (String::new(), self.at);
        let mut path_part = None;
        while let Some(c) = self.rest().chars().next() {
            match c {
                '"' => match self.text_literal() {
                    Kind::Text(text) => part.push_str(&text),
                    _ => break,
                },
                ':' => {
                    parts.push((std::mem::take(&mut part), Span::new(place(part_start), place(self.at))));
                    if parts.len() == 1 {
                        path_part = path(&parts[0].0);
                    }
                    self.at += 1;
                    part_start = self.at;
                }
                '/' if path_part != Some(parts.len()) || parts.is_empty() => break,
                ',' | '{' | '}' | ';' => break,
                c if c.is_whitespace() => break,
                c => {
                    part.push(c);
                    self.at += c.len_utf8();
                }
            }
        }
        parts.push((part, Span::new(place(part_start), place(self.at))));
        (parts, Span::new(place(start), place(self.at)))
    }

    /// The rest of a preprocessor line, continued lines joined, without comments.
    pub fn line(&mut self) -> (String, Span) {
        let start = self.at;
        let (mut line, mut quoted) = (String::new(), false);
        while let Some(c) = self.rest().chars().next().filter(|c| *c != '\n') {
            let rest = self.rest();
            let continued = ["\\\n", "\\\r\n"].into_iter().find(|end| rest.starts_with(end));
            if let Some(end) = continued {
                line.push(' ');
                self.at += end.len();
            } else if !quoted && (rest.starts_with("//") || rest.starts_with("/*")) {
                line.push(' ');
                self.comment();
            } else {
                quoted ^= c == '"' && !(quoted && ends_with_escape(&line));
                line.push(c);
                self.at += c.len_utf8();
            }
        }
        let line = line.trim_end_matches(|c: char| c == '\\' || c.is_whitespace()).trim_start();
        (line.to_owned(), Span::new(place(start), place(self.at)))
    }
}

/// Whether a text ends with a backslash that is not escaped itself.
fn ends_with_escape(text: &str) -> bool {
    text.bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1
}

/// Length of the name at the start of the text; 0 if there is none.
fn word_length(text: &str) -> usize {
    match text.bytes().next() {
        Some(b) if b == b'_' || b.is_ascii_alphabetic() => {
            text.bytes().take_while(|b| *b == b'_' || b.is_ascii_alphanumeric()).count()
        }
        _ => 0,
    }
}

/// An offset as spans hold it.
fn place(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
