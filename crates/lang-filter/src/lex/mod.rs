//! Expression text to tokens.
//!
//! The rules are those of pcap-filter(7) as tcpdump applies them: the longest match wins, and among equally long ones
//! a keyword, then a hardware address, then a number. A name may contain `-`, `.` and `_` but not end in `-` or `_`,
//! so `len-14` is one name. What cannot be a token becomes a single [`Tok::Bad`] whose message the parser shows when
//! it gets there; nothing after it is read.
//!
//! Nothing here knows which token may follow which.

mod address;
pub(crate) mod words;

use self::words::Word;
use crate::ast::RelOp;
use crate::parse::Compat;
use skep_diag::{Diagnostic, Span};
use skep_isa::classic::AluOp;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tok {
    Word(Word),
    /// A name, escaped or not; the text stands in the source.
    Name,
    /// A number or a named constant.
    Num(u32),
    /// Two to four numbers with dots; not yet checked for range.
    Quad,
    V6([u8; 16]),
    Mac([u8; 6]),
    /// `$x`, an ARCnet address.
    Arcnet(u8),
    /// `@FILE`; the text stands in the source.
    Set,
    And,
    Or,
    Not,
    Open,
    Close,
    OpenBracket,
    CloseBracket,
    Colon,
    Rel(RelOp),
    Alu(AluOp),
    End,
    /// The lexer's error is here.
    Bad,
}

/// A token and its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) tok: Tok,
    pub(crate) span: Span,
}

/// All tokens; the last one is [`Tok::End`] or [`Tok::Bad`].
pub(crate) struct Lexed {
    pub(crate) tokens: Vec<Token>,
    /// Why the last token is [`Tok::Bad`].
    pub(crate) error: Option<Diagnostic>,
}

/// Cuts `source` into tokens. Its length must fit into 32 bits.
pub(crate) fn lex(source: &str, compat: Compat) -> Lexed {
    let mut lexer = Lexer { source, bytes: source.as_bytes(), at: 0, compat };
    let mut tokens = Vec::with_capacity(source.len() / 5 + 1);
    loop {
        lexer.skip_blanks();
        let start = lexer.at;
        match lexer.token() {
            Ok(tok) => {
                tokens.push(Token { tok, span: span(start, lexer.at) });
                if tok == Tok::End {
                    return Lexed { tokens, error: None };
                }
            }
            Err(error) => {
                tokens.push(Token { tok: Tok::Bad, span: error.span });
                return Lexed { tokens, error: Some(*error) };
            }
        }
    }
}

/// Offsets fit because the parser refuses longer sources.
fn span(start: usize, end: usize) -> Span {
    Span::new(u32::try_from(start).unwrap_or(u32::MAX), u32::try_from(end).unwrap_or(u32::MAX))
}

type LexResult = Result<Tok, Box<Diagnostic>>;

struct Lexer<'a> {
    source: &'a str,
    bytes: &'a [u8],
    at: usize,
    compat: Compat,
}

impl Lexer<'_> {
    fn skip_blanks(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn error<T>(&self, end: usize, message: impl Into<String>, help: impl Into<String>) -> Result<T, Box<Diagnostic>> {
        Err(Box::new(Diagnostic::error(span(self.at, end), message).with_help(help)))
    }

    /// The token at the current place, which is not a blank.
    fn token(&mut self) -> LexResult {
        let Some(&first) = self.bytes.get(self.at) else { return Ok(Tok::End) };
        if first.is_ascii_alphanumeric() || (first == b':' && self.bytes.get(self.at + 1) == Some(&b':')) {
            return self.word_or_address();
        }
        match first {
            b'\\' => self.escaped(),
            b'@' => self.set(),
            b'$' => self.arcnet(),
            _ => self.operator(first),
        }
    }

    fn operator(&mut self, first: u8) -> LexResult {
        let second = self.bytes.get(self.at + 1).copied();
        let (tok, len) = match (first, second) {
            (b'&', Some(b'&')) => (Tok::And, 2),
            (b'|', Some(b'|')) => (Tok::Or, 2),
            (b'!', Some(b'=')) => (Tok::Rel(RelOp::Ne), 2),
            (b'=', Some(b'=')) => (Tok::Rel(RelOp::Eq), 2),
            (b'<', Some(b'=')) => (Tok::Rel(RelOp::Le), 2),
            (b'>', Some(b'=')) => (Tok::Rel(RelOp::Ge), 2),
            (b'<', Some(b'<')) => (Tok::Alu(AluOp::Lsh), 2),
            (b'>', Some(b'>')) => (Tok::Alu(AluOp::Rsh), 2),
            (b'!', _) => (Tok::Not, 1),
            (b'=', _) => (Tok::Rel(RelOp::Eq), 1),
            (b'<', _) => (Tok::Rel(RelOp::Lt), 1),
            (b'>', _) => (Tok::Rel(RelOp::Gt), 1),
            (b'(', _) => (Tok::Open, 1),
            (b')', _) => (Tok::Close, 1),
            (b'[', _) => (Tok::OpenBracket, 1),
            (b']', _) => (Tok::CloseBracket, 1),
            (b':', _) => (Tok::Colon, 1),
            (b'+', _) => (Tok::Alu(AluOp::Add), 1),
            (b'-', _) => (Tok::Alu(AluOp::Sub), 1),
            (b'*', _) => (Tok::Alu(AluOp::Mul), 1),
            (b'/', _) => (Tok::Alu(AluOp::Div), 1),
            (b'%', _) => (Tok::Alu(AluOp::Mod), 1),
            (b'&', _) => (Tok::Alu(AluOp::And), 1),
            (b'|', _) => (Tok::Alu(AluOp::Or), 1),
            (b'^', _) => (Tok::Alu(AluOp::Xor), 1),
            _ => return self.unknown_char(),
        };
        self.at += len;
        Ok(tok)
    }

    fn unknown_char(&self) -> LexResult {
        let found = self.source[self.at..].chars().next().unwrap_or(' ');
        let help = match found {
            ',' | ';' => "write `or` between alternatives, as in `port 80 or 443`",
            '"' | '\'' => "names need no quotes; a name that is also a keyword is written with a backslash: `\\tcp`",
            '_' => "a name begins with a letter or a digit and ends in one or in a dot",
            '#' => "there are no comments in an expression",
            '{' | '}' => "group with parentheses ( )",
            _ => "see pcap-filter(7) for the characters that an expression may contain",
        };
        self.error(self.at + found.len_utf8(), format!("unexpected character {found:?}"), help)
    }

    /// `\name`: everything up to a blank, `!` or a parenthesis, keyword or not.
    fn escaped(&mut self) -> LexResult {
        let rest = &self.bytes[self.at + 1..];
        let len = rest.iter().take_while(|c| !b" !()\n\t".contains(c)).count();
        if len == 0 {
            return self.error(
                self.at + 1,
                "nothing follows the backslash",
                "write the name directly after it: `\\tcp`",
            );
        }
        self.at += 1 + len;
        Ok(Tok::Name)
    }

    /// `@FILE`, `@"FILE"` or `@'FILE'`: a set of ids read from a file. Ours, not tcpdump's.
    fn set(&mut self) -> LexResult {
        let rest = &self.bytes[self.at + 1..];
        let quote = rest.first().copied().filter(|c| matches!(c, b'"' | b'\''));
        let len = match quote {
            Some(quote) => match rest[1..].iter().position(|&c| c == quote) {
                Some(end) => end + 2,
                None => return self.error(self.bytes.len(), "the quote is not closed", "close it after the file name"),
            },
            None => rest.iter().take_while(|c| !b" \t\r\n()".contains(c)).count(),
        };
        if len == 0 || (quote.is_some() && len == 2) {
            return self.error(
                self.at + 1 + len,
                "no file name after `@`",
                "write it directly after: `host @hosts.txt`",
            );
        }
        self.at += 1 + len;
        Ok(Tok::Set)
    }

    /// `$x` or `$xx`: an 8-bit ARCnet address in hexadecimal.
    fn arcnet(&mut self) -> LexResult {
        let len = self.bytes[self.at + 1..].iter().take(2).take_while(|c| c.is_ascii_hexdigit()).count();
        let digits = &self.source[self.at + 1..self.at + 1 + len];
        let Ok(value) = u8::from_str_radix(digits, 16) else {
            return self.error(
                self.at + 1,
                "`$` begins an ARCnet address",
                "write one or two hexadecimal digits: `$1f`",
            );
        };
        self.at += 1 + len;
        Ok(Tok::Arcnet(value))
    }

    /// Keyword, constant, name, number or address: the longest that matches.
    fn word_or_address(&mut self) -> LexResult {
        let rest = &self.bytes[self.at..];
        let name = name_len(rest);
        // All longer forms contain a colon, so that other keywords skip the matching below.
        let keyword = self.keyword(&self.source[self.at..self.at + name]);
        if let Some(tok) = keyword.filter(|_| rest.get(name) != Some(&b':')) {
            self.at += name;
            return Ok(tok);
        }
        // Without a colon directly after it, nothing longer than the name can match.
        let colon = name == 0 || rest.get(name) == Some(&b':');
        let may_be_mac = colon || (name >= address::MIN_MAC && rest[0].is_ascii_hexdigit());
        let (mac, mac_len) = if may_be_mac { address::mac(rest) } else { ([0; 6], 0) };
        let (v6_len, colons_len) = if colon { (address::v6_len(rest), address::colon_pairs_len(rest)) } else { (0, 0) };
        let longest = name.max(mac_len).max(v6_len).max(colons_len);
        let text = &self.source[self.at..self.at + longest];
        let end = self.at + longest;
        let tok = if let Some(tok) = keyword.filter(|_| name == longest) {
            tok
        } else if mac_len == longest {
            Tok::Mac(mac)
        } else if address::number_len(rest) == longest {
            self.number(text)?
        } else if address::quad_len(rest) == longest {
            Tok::Quad
        } else if v6_len == longest {
            match text.parse::<std::net::Ipv6Addr>() {
                Ok(v6) => Tok::V6(v6.octets()),
                Err(_) => {
                    return self.error(end, format!("`{text}` is not a valid IPv6 address"), address::V6_HELP);
                }
            }
        } else if colons_len == longest {
            return self.bogus_mac(end);
        } else {
            constant(text).map_or(Tok::Name, Tok::Num)
        };
        self.at = end;
        Ok(tok)
    }

    fn keyword(&self, text: &str) -> Option<Tok> {
        Some(match words::lookup(text)? {
            Word::And => Tok::And,
            Word::Or => Tok::Or,
            Word::Not => Tok::Not,
            Word::Vxlan if self.compat == Compat::V1_10 => return None,
            word => Tok::Word(word),
        })
    }

    fn number(&self, text: &str) -> LexResult {
        let end = self.at + text.len();
        let (digits, radix, name) = match text.as_bytes() {
            [b'0', b'x' | b'X', ..] => (&text[2..], 16, "hexadecimal number "),
            [b'0', _, ..] => (&text[1..], 8, "octal number "),
            _ => (text, 10, ""),
        };
        if radix == 8 && digits.bytes().any(|c| c > b'7') {
            return self.error(
                end,
                format!("number {text} contains a non-octal digit"),
                format!("a leading 0 means octal; write {} for the decimal number", text.trim_start_matches('0')),
            );
        }
        match u32::from_str_radix(digits, radix) {
            Ok(value) => Ok(Tok::Num(value)),
            Err(_) => self.error(
                end,
                format!("{name}{text} overflows 32 bits"),
                format!("the largest number is {} (0xffffffff)", u32::MAX),
            ),
        }
    }

    fn bogus_mac(&self, end: usize) -> LexResult {
        // The whole run is shown, not only the part that the matching stopped at.
        let more = self.bytes[end..].iter().take_while(|c| c.is_ascii_hexdigit() || **c == b':').count();
        let text = &self.source[self.at..end + more];
        self.error(
            end + more,
            format!("`{text}` is neither a hardware address nor an IPv6 address"),
            "a hardware address has six pairs of hexadecimal digits; an IPv6 address has eight words, or `::` once",
        )
    }
}

/// Length of a name: letters, digits, `-`, `.`, `_`, the last one not `-` or `_`. 0 if there is none.
fn name_len(rest: &[u8]) -> usize {
    if !rest.first().is_some_and(u8::is_ascii_alphanumeric) {
        return 0;
    }
    let run = rest.iter().take_while(|c| c.is_ascii_alphanumeric() || b"-._".contains(c)).count();
    let trail = rest[..run].iter().rev().take_while(|c| b"-_".contains(c)).count();
    run - trail
}

/// The value of a named constant such as `tcp-syn` or `icmptype`.
fn constant(text: &str) -> Option<u32> {
    // All of them begin so; other names need no look-up.
    if !text.starts_with("icmp") && !text.starts_with("tcp") {
        return None;
    }
    skep_proto::numbers::filter_constant(text)
}

#[cfg(test)]
mod tests;
