//! Tokens of the text form.

use super::{ParseError, is_name_char};
use crate::function::Loc;

/// A token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// A word: letters, digits, `_` and `.`, not a number.
    Word(String),
    /// A number with its sign.
    Number(i128),
    /// `@name`
    Name(String),
    /// A text in quotes.
    Text(String),
    /// `->`
    Arrow,
    /// A sign.
    Sign(char),
    /// `; @source:line:column` at the end of a line.
    Loc(Loc),
    /// The end of a line.
    Line,
    /// The end of the text.
    End,
}

/// Where a token starts, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

impl Position {
    /// An error here.
    pub fn error(self, message: impl Into<String>) -> ParseError {
        ParseError { line: self.line, column: self.column, message: message.into() }
    }
}

/// Reads characters.
struct Lexer<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    at: Position,
}

/// All tokens of a text with their places; the last one is [`Token::End`].
pub fn tokens(text: &str) -> Result<Vec<(Token, Position)>, ParseError> {
    let mut lexer = Lexer { rest: text.chars().peekable(), at: Position { line: 1, column: 1 } };
    let mut tokens = Vec::new();
    loop {
        while lexer.rest.peek().is_some_and(|&c| c != '\n' && c.is_whitespace()) {
            lexer.next();
        }
        let at = lexer.at;
        let Some(token) = lexer.token()? else {
            tokens.push((Token::Line, at));
            tokens.push((Token::End, at));
            return Ok(tokens);
        };
        if let Some(token) = token {
            tokens.push((token, at));
        }
    }
}

impl Lexer<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.rest.next()?;
        if c == '\n' {
            self.at = Position { line: self.at.line + 1, column: 1 };
        } else {
            self.at.column += 1;
        }
        Some(c)
    }

    fn take_while(&mut self, keep: impl Fn(char) -> bool) -> String {
        let mut taken = String::new();
        while let Some(&c) = self.rest.peek() {
            if !keep(c) {
                break;
            }
            taken.push(c);
            self.next();
        }
        taken
    }

    /// The next token; `Some(None)` for a comment, `None` at the end.
    fn token(&mut self) -> Result<Option<Option<Token>>, ParseError> {
        let at = self.at;
        let Some(&c) = self.rest.peek() else { return Ok(None) };
        let token = match c {
            '\n' => {
                self.next();
                Token::Line
            }
            ';' => {
                let comment = self.take_while(|c| c != '\n');
                return Ok(Some(location(&comment[1..]).map(Token::Loc)));
            }
            '@' => {
                self.next();
                if self.rest.peek() == Some(&'"') { Token::Name(self.quoted()?) } else { self.name(at)? }
            }
            '"' => Token::Text(self.quoted()?),
            '-' => {
                self.next();
                match self.rest.peek() {
                    Some('>') => {
                        self.next();
                        Token::Arrow
                    }
                    Some(c) if c.is_ascii_digit() => Token::Number(-self.number(at)?),
                    _ => Token::Sign('-'),
                }
            }
            c if c.is_ascii_digit() => Token::Number(self.number(at)?),
            c if is_name_char(c) => Token::Word(self.take_while(is_name_char)),
            c if "(){}[]<>?,:=+".contains(c) => {
                self.next();
                Token::Sign(c)
            }
            c => return Err(at.error(format!("`{}` has no meaning here", c.escape_default()))),
        };
        Ok(Some(Some(token)))
    }

    fn name(&mut self, at: Position) -> Result<Token, ParseError> {
        let name = self.take_while(is_name_char);
        if name.is_empty() { Err(at.error("expected a name behind `@`")) } else { Ok(Token::Name(name)) }
    }

    /// Decimal, or hexadecimal behind `0x`; below 2^64.
    fn number(&mut self, at: Position) -> Result<i128, ParseError> {
        let digits = self.take_while(|c| c.is_ascii_alphanumeric());
        let number = match digits.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16),
            None => digits.parse(),
        };
        number.map(i128::from).map_err(|_| at.error(format!("`{digits}` is no number of at most 64 bits")))
    }

    fn quoted(&mut self) -> Result<String, ParseError> {
        let start = self.at;
        self.next();
        let mut text = String::new();
        loop {
            let at = self.at;
            match self.next() {
                None | Some('\n') => return Err(start.error("the text has no closing quote on its line")),
                Some('"') => return Ok(text),
                Some('\\') => text.push(self.escape(at)?),
                Some(c) => text.push(c),
            }
        }
    }

    /// What stands behind a backslash.
    fn escape(&mut self, at: Position) -> Result<char, ParseError> {
        match self.next() {
            Some('n') => Ok('\n'),
            Some('t') => Ok('\t'),
            Some(c @ ('"' | '\\')) => Ok(c),
            Some('u') => {
                let digits = self.take_while(|c| c == '{' || c.is_ascii_hexdigit());
                let closed = self.rest.next_if_eq(&'}').is_some();
                self.at.column += usize::from(closed);
                let code = digits.strip_prefix('{').filter(|_| closed);
                code.and_then(|code| u32::from_str_radix(code, 16).ok())
                    .and_then(char::from_u32)
                    .ok_or_else(|| at.error("expected a character code such as `\\u{1b}`"))
            }
            _ => Err(at.error("expected `n`, `t`, `u`, a quote or a backslash behind `\\`")),
        }
    }
}

/// The place that a comment of the form ` @source:line:column` names.
fn location(comment: &str) -> Option<Loc> {
    let mut numbers = comment.trim().strip_prefix('@')?.split(':');
    let source = numbers.next()?.parse().ok()?;
    let line = numbers.next()?.parse().ok()?;
    let column = numbers.next()?.parse().ok()?;
    numbers.next().is_none().then_some(Loc { source, line, column })
}
