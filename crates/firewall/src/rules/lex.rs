//! Words of a rules file with their places.

use skep_diag::{Diagnostic, Span};

/// What a piece of text is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// A run of characters without space: word, number, address, `@name`.
    Word(String),
    /// A text in quotes, its escapes resolved.
    Text(String),
    /// `{ } ! = ,`
    Mark(char),
}

/// A piece and its place.
#[derive(Debug, Clone)]
pub struct Piece {
    /// What it is.
    pub token: Token,
    /// Where.
    pub span: Span,
}

/// Splits a text into statements: the pieces of one line each. In braces a line may end.
pub fn lines(text: &str, errors: &mut Vec<Diagnostic>) -> Vec<Vec<Piece>> {
    let mut lines = Vec::new();
    let mut line = Vec::new();
    let mut depth = 0usize;
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        match bytes[at] {
            b'\n' => {
                at += 1;
                if depth == 0 && !line.is_empty() {
                    lines.push(std::mem::take(&mut line));
                }
            }
            b'#' => at = text[at..].find('\n').map_or(bytes.len(), |end| at + end),
            byte if byte.is_ascii_whitespace() => at += 1,
            byte @ (b'{' | b'}' | b'!' | b'=' | b',') => {
                at += 1;
                match byte {
                    b'{' => depth += 1,
                    b'}' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                line.push(Piece { token: Token::Mark(byte.into()), span: span(start, at) });
            }
            b'"' => {
                let (value, end) = quoted(text, at, errors);
                at = end;
                line.push(Piece { token: Token::Text(value), span: span(start, at) });
            }
            _ => {
                let rest = &text[at..];
                let end = rest.find(|c: char| c.is_ascii_whitespace() || "{}!=,\"#".contains(c)).unwrap_or(rest.len());
                at += end.max(1);
                line.push(Piece { token: Token::Word(text[start..at].to_owned()), span: span(start, at) });
            }
        }
    }
    if depth > 0
        && let Some(open) = line.iter().rfind(|piece| piece.token == Token::Mark('{'))
    {
        errors.push(
            Diagnostic::error(open.span, "this brace is never closed").with_help("add `}` behind the last element"),
        );
        line.clear();
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

fn span(start: usize, end: usize) -> Span {
    Span::new(u32::try_from(start).unwrap_or(u32::MAX), u32::try_from(end).unwrap_or(u32::MAX))
}

/// A text in quotes that begins at `start`: `\"`, `\\`, `\n`, `\r`, `\t`, `\0` and `\xHH`, a byte up to 7f.
fn quoted(text: &str, start: usize, errors: &mut Vec<Diagnostic>) -> (String, usize) {
    let mut value = String::new();
    let mut chars = text[start + 1..].char_indices();
    while let Some((at, char)) = chars.next() {
        let at = start + 1 + at;
        match char {
            '"' => return (value, at + 1),
            '\n' => {
                errors.push(Diagnostic::error(span(start, at), "this text has no end").with_help("add `\"`"));
                return (value, at);
            }
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, 'r')) => value.push('\r'),
                Some((_, 't')) => value.push('\t'),
                Some((_, '0')) => value.push('\0'),
                Some((_, same @ ('"' | '\\'))) => value.push(same),
                Some((_, 'x')) => {
                    let digits: String = chars.by_ref().take(2).map(|(_, digit)| digit).collect();
                    match u8::from_str_radix(&digits, 16).ok().filter(u8::is_ascii) {
                        Some(byte) if digits.len() == 2 => value.push(byte.into()),
                        _ => errors.push(Diagnostic::error(
                            span(at, at + 2),
                            "`\\x` is followed by two digits of a byte from 00 to 7f",
                        )),
                    }
                }
                _ => errors.push(Diagnostic::error(
                    span(at, at + 1),
                    "no such escape; there are \\\" \\\\ \\n \\r \\t \\0 and \\xHH",
                )),
            },
            other => value.push(other),
        }
    }
    errors.push(Diagnostic::error(span(start, text.len()), "this text has no end").with_help("add `\"`"));
    (value, text.len())
}
