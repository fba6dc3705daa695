//! Tokens within the preprocessor: copyable, with their spelling as a number.

use super::token::{Punct, TokenFlags};
use crate::source::{Loc, Sources, Sym};

/// What a token of the preprocessor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RawKind {
    /// An identifier or keyword.
    Ident(Sym),
    /// A number, as it is spelled.
    Number(Sym),
    /// A character constant with its prefix and quotes.
    Char(Sym),
    /// A string literal with its prefix and quotes.
    Str(Sym),
    /// A mark.
    Punct(Punct),
    /// A mark that is spelled in the other way, such as `<:`.
    Digraph(Punct),
    /// Any other character.
    Other(char),
    /// The place of an empty argument next to `##`.
    Placemarker,
    /// A pragma that goes to the parser: its number in the preprocessor's table.
    Pragma(u32),
    /// The end.
    Eof,
}

/// One token of the preprocessor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawToken {
    /// What it is.
    pub kind: RawKind,
    /// Its place.
    pub loc: Loc,
    /// What is in front of it.
    pub flags: TokenFlags,
}

impl RawToken {
    /// True for this mark, in either spelling.
    pub fn is(self, punct: Punct) -> bool {
        matches!(self.kind, RawKind::Punct(p) | RawKind::Digraph(p) if p == punct)
    }

    /// The name, if it is an identifier.
    pub const fn name(self) -> Option<Sym> {
        match self.kind {
            RawKind::Ident(name) => Some(name),
            _ => None,
        }
    }

    /// True at the beginning of a line.
    pub const fn starts_line(self) -> bool {
        self.flags.has(TokenFlags::LINE_START)
    }

    /// True at the end of the text.
    pub fn is_eof(self) -> bool {
        self.kind == RawKind::Eof
    }

    /// Appends how it is written.
    pub fn spell(self, sources: &Sources, out: &mut String) {
        match self.kind {
            RawKind::Ident(sym) | RawKind::Number(sym) | RawKind::Char(sym) | RawKind::Str(sym) => {
                out.push_str(sources.text(sym));
            }
            RawKind::Punct(punct) => out.push_str(punct.spelling()),
            RawKind::Digraph(punct) => {
                let other = Punct::ALL.iter().filter(|(p, _)| *p == punct).nth(1);
                out.push_str(other.map_or(punct.spelling(), |(_, text)| text));
            }
            RawKind::Other(c) => out.push(c),
            RawKind::Placemarker | RawKind::Pragma(_) | RawKind::Eof => {}
        }
    }
}
