//! Reads the tokens of a text: lines that end with `\` are joined, comments are white space.
//!
//! Total: every text gives tokens. What is no token of C becomes [`RawKind::Other`], which is an error only if it reaches
//! the parser, because skipped parts and the arguments of `#error` may hold anything.

use std::borrow::Cow;

use super::raw::{RawKind, RawToken};
use super::token::{Punct, TokenFlags};
use crate::source::{FileId, Loc, Sources};

/// A comment that does not end: where it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unterminated(pub Loc);

/// Reads all tokens of a file, with [`RawKind::Eof`] as the last.
pub fn lex(sources: &mut Sources, file: FileId) -> (Vec<RawToken>, Option<Unterminated>) {
    let text = sources.text_of(file);
    let mut lexer = Lexer { bytes: text.as_bytes(), text: &text, at: 0, unterminated: None };
    let mut tokens = Vec::with_capacity(text.len() / 6);
    let mut line_start = true;
    loop {
        let (space, new_line) = lexer.skip_space();
        line_start |= new_line;
        let mut flags = TokenFlags::NONE;
        if space {
            flags = flags.with(TokenFlags::SPACE);
        }
        if line_start {
            flags = flags.with(TokenFlags::LINE_START);
        }
        line_start = false;
        let loc = sources.loc(file, lexer.at);
        if lexer.at >= text.len() {
            tokens.push(RawToken { kind: RawKind::Eof, loc, flags: flags.with(TokenFlags::LINE_START) });
            break;
        }
        let kind = lexer.token(sources);
        tokens.push(RawToken { kind, loc, flags });
    }
    let unterminated = lexer.unterminated.map(|at| Unterminated(sources.loc(file, at)));
    (tokens, unterminated)
}

/// Reads the tokens of a short text that has no file of its own, all at `loc`. Without the end.
pub fn lex_text(sources: &mut Sources, text: &str, loc: Loc) -> Vec<RawToken> {
    let mut lexer = Lexer { bytes: text.as_bytes(), text, at: 0, unterminated: None };
    let mut tokens = Vec::new();
    loop {
        let (space, _) = lexer.skip_space();
        if lexer.at >= text.len() {
            return tokens;
        }
        let flags = if space { TokenFlags::SPACE } else { TokenFlags::NONE };
        let kind = lexer.token(sources);
        tokens.push(RawToken { kind, loc, flags });
    }
}

struct Lexer<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    unterminated: Option<usize>,
}

/// True for bytes that begin an identifier. Bytes of characters outside ASCII do.
const fn begins_name(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte == b'$' || byte >= 0x80
}

const fn continues_name(byte: u8) -> bool {
    begins_name(byte) || byte.is_ascii_digit()
}

impl Lexer<'_> {
    /// The offset after the joined lines at `at`, if any.
    #[inline(always)]
    fn skip_splices(&self, at: usize) -> usize {
        if self.bytes.get(at) == Some(&b'\\') { self.skip_joints(at) } else { at }
    }

    /// The same where a joint may begin.
    #[cold]
    fn skip_joints(&self, mut at: usize) -> usize {
        while self.bytes.get(at) == Some(&b'\\') {
            let mut end = at + 1;
            while matches!(self.bytes.get(end), Some(b' ' | b'\t' | b'\r')) {
                end += 1;
            }
            if self.bytes.get(end) != Some(&b'\n') {
                break;
            }
            at = end + 1;
        }
        at
    }

    /// The byte at `at` behind joined lines, with the offset after it. Zero at the end.
    #[inline(always)]
    fn byte(&self, at: usize) -> (u8, usize) {
        let at = self.skip_splices(at);
        (self.bytes.get(at).copied().unwrap_or(0), (at + 1).min(self.bytes.len()))
    }

    /// Skips white space and comments: whether there was any, and whether a line ended.
    fn skip_space(&mut self) -> (bool, bool) {
        let (mut space, mut line) = (false, false);
        loop {
            self.at = self.skip_splices(self.at);
            let Some(&byte) = self.bytes.get(self.at) else { return (space, line) };
            match byte {
                b'\n' => line = true,
                b' ' | b'\t' | b'\r' | 0x0b | 0x0c => {}
                b'/' => {
                    let (next, after) = self.byte(self.at + 1);
                    match next {
                        b'/' => self.skip_line(after),
                        b'*' => self.skip_comment(after),
                        _ => return (space, line),
                    }
                    space = true;
                    continue;
                }
                _ => return (space, line),
            }
            space = true;
            self.at += 1;
        }
    }

    fn skip_line(&mut self, mut at: usize) {
        loop {
            at = self.skip_splices(at);
            match self.bytes.get(at) {
                None | Some(b'\n') => break,
                Some(_) => at += 1,
            }
        }
        self.at = at.min(self.bytes.len());
    }

    fn skip_comment(&mut self, mut at: usize) {
        let start = self.at;
        loop {
            let (byte, after) = self.byte(at);
            if byte == b'*' {
                let (next, end) = self.byte(after);
                if next == b'/' {
                    self.at = end;
                    return;
                }
            }
            if after >= self.bytes.len() {
                self.unterminated = Some(start);
                self.at = self.bytes.len();
                return;
            }
            at = after;
        }
    }

    /// Reads one token; there is one.
    fn token(&mut self, sources: &mut Sources) -> RawKind {
        let start = self.at;
        let (first, after) = self.byte(start);
        if let Some(kind) = self.quoted(sources) {
            return kind;
        }
        if begins_name(first) {
            self.run(|byte, _| continues_name(byte));
            return RawKind::Ident(sources.intern(&self.spelling(start)));
        }
        if first.is_ascii_digit() || (first == b'.' && self.byte(after).0.is_ascii_digit()) {
            self.run(|byte, last| {
                continues_name(byte)
                    || byte == b'.'
                    || (matches!(byte, b'+' | b'-') && matches!(last, b'e' | b'E' | b'p' | b'P'))
            });
            return RawKind::Number(sources.intern(&self.spelling(start)));
        }
        if let Some(kind) = self.punct() {
            return kind;
        }
        let c = self.text.get(start..).and_then(|rest| rest.chars().next()).unwrap_or('\u{fffd}');
        self.at = start + c.len_utf8();
        RawKind::Other(c)
    }

    /// Moves over the bytes for which `more` holds, which is told the byte before as well.
    fn run(&mut self, more: impl Fn(u8, u8) -> bool) {
        let mut last = 0;
        loop {
            let at = self.skip_splices(self.at);
            match self.bytes.get(at) {
                Some(&byte) if more(byte, last) => {
                    last = byte;
                    self.at = at + 1;
                }
                _ => return,
            }
        }
    }

    /// The characters from `start` to here without joints of lines.
    fn spelling(&self, start: usize) -> Cow<'_, str> {
        let text = self.text.get(start..self.at).unwrap_or("");
        if !text.as_bytes().contains(&b'\\') {
            return text.into();
        }
        let mut bytes = Vec::with_capacity(text.len());
        let mut at = start;
        loop {
            at = self.skip_splices(at);
            if at >= self.at {
                return String::from_utf8_lossy(&bytes).into_owned().into();
            }
            bytes.push(self.bytes[at]);
            at += 1;
        }
    }

    /// A string or character constant with its prefix, if one begins here and ends on its line.
    fn quoted(&mut self, sources: &mut Sources) -> Option<RawKind> {
        let start = self.at;
        let mut at = self.skip_splices(start);
        let (first, after) = self.byte(at);
        match first {
            b'"' | b'\'' => {}
            b'L' | b'U' | b'u' => {
                at = self.skip_splices(after);
                if first == b'u' && self.bytes.get(at) == Some(&b'8') {
                    at = self.skip_splices(at + 1);
                }
            }
            _ => return None,
        }
        let quote = self.bytes.get(at).copied().filter(|byte| matches!(byte, b'"' | b'\''))?;
        at += 1;
        loop {
            at = self.skip_splices(at);
            match self.bytes.get(at).copied()? {
                b'\n' => return None,
                b'\\' => at = self.skip_splices(at + 1) + 1,
                byte => {
                    at += 1;
                    if byte == quote {
                        break;
                    }
                }
            }
            if at > self.bytes.len() {
                return None;
            }
        }
        self.at = at;
        let spelling = sources.intern(&self.spelling(start));
        Some(if quote == b'"' { RawKind::Str(spelling) } else { RawKind::Char(spelling) })
    }

    /// The longest mark that begins here.
    fn punct(&mut self) -> Option<RawKind> {
        let mut spelled = [0u8; 4];
        let mut ends = [self.at; 4];
        let mut at = self.at;
        for (byte, end) in spelled.iter_mut().zip(&mut ends) {
            let (next, after) = self.byte(at);
            *byte = next;
            *end = after;
            at = after;
        }
        let begun = MARKS.get(usize::from(spelled[0]))?;
        let marks = begun.iter().filter_map(|number| Punct::ALL.get(usize::from(*number)));
        let longest = marks.filter(|(_, spelling)| spelled.starts_with(spelling.as_bytes()));
        let (punct, spelling) = longest.max_by_key(|(_, spelling)| spelling.len())?;
        self.at = *ends.get(spelling.len().checked_sub(1)?)?;
        let usual = punct.spelling() == *spelling;
        Some(if usual { RawKind::Punct(*punct) } else { RawKind::Digraph(*punct) })
    }
}

/// Most marks that begin with one byte.
const MOST: usize = 8;

/// The numbers of the marks that begin with each byte, and numbers of none.
static MARKS: [[u8; MOST]; 128] = {
    let mut marks = [[u8::MAX; MOST]; 128];
    let mut number = 0;
    while number < Punct::ALL.len() {
        let row = &mut marks[Punct::ALL[number].1.as_bytes()[0] as usize];
        let mut place = 0;
        while row[place] != u8::MAX {
            place += 1;
        }
        row[place] = number as u8;
        number += 1;
    }
    marks
};
