//! The text form of values: JSON with fewer quotes.

use std::iter::Peekable;
use std::str::CharIndices;

use crate::encode::EncodeError;

/// Deepest nesting.
const DEPTH: usize = 64;

/// A value as it was written, before its type is known.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Notation {
    /// A whole number.
    Number { magnitude: u128, negative: bool },
    /// A number with a fraction or an exponent.
    Float(f64),
    /// A character in apostrophes.
    Char(u8),
    /// A text in quotes.
    Text(String),
    /// A word without quotes.
    Word(String),
    /// Elements in brackets.
    List(Vec<Self>),
    /// Members in braces.
    Record(Vec<(String, Self)>),
}

/// Reads a text in whole.
pub(crate) fn parse(text: &str) -> Result<Notation, EncodeError> {
    let mut reader = Reader { text, chars: text.char_indices().peekable() };
    let value = reader.value(0)?;
    match reader.peek() {
        None => Ok(value),
        Some(_) => Err(reader.unexpected("the end")),
    }
}

struct Reader<'a> {
    text: &'a str,
    chars: Peekable<CharIndices<'a>>,
}

impl Reader<'_> {
    /// The next character that is no space.
    fn peek(&mut self) -> Option<char> {
        while self.chars.next_if(|(_, char)| char.is_whitespace()).is_some() {}
        self.chars.peek().map(|(_, char)| *char)
    }

    /// Takes the next character if it is this one.
    fn take(&mut self, wanted: char) -> bool {
        self.peek() == Some(wanted) && self.chars.next().is_some()
    }

    fn unexpected(&mut self, expected: &str) -> EncodeError {
        let rest = self.chars.peek().map_or("", |(at, _)| &self.text[*at..]);
        let found: String = rest.chars().take(12).collect();
        match found.as_str() {
            "" => EncodeError::new(format!("the text ends where {expected} is expected")),
            found => EncodeError::new(format!("`{found}` stands where {expected} is expected")),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Notation, EncodeError> {
        if depth > DEPTH {
            return Err(EncodeError::new("the text is nested too deeply"));
        }
        match self.peek() {
            Some('{') => {
                let mut members = Vec::new();
                self.items('}', |reader| {
                    let name = reader.name()?;
                    if !reader.take(':') && !reader.take('=') {
                        return Err(reader.unexpected("`:` after the name"));
                    }
                    members.push((name, reader.value(depth + 1)?));
                    Ok(())
                })?;
                Ok(Notation::Record(members))
            }
            Some('[') => {
                let mut elements = Vec::new();
                self.items(']', |reader| {
                    elements.push(reader.value(depth + 1)?);
                    Ok(())
                })?;
                Ok(Notation::List(elements))
            }
            Some('"') => self.quoted('"').map(Notation::Text),
            Some('\'') => {
                let text = self.quoted('\'')?;
                match text.as_bytes() {
                    [byte] => Ok(Notation::Char(*byte)),
                    _ => Err(EncodeError::new(format!("'{text}' is not one character of ASCII"))),
                }
            }
            _ => self.word(),
        }
    }

    /// What stands between the next character and the closing one, with commas in between.
    fn items(
        &mut self,
        close: char,
        mut item: impl FnMut(&mut Self) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        self.chars.next();
        loop {
            if self.take(close) {
                return Ok(());
            }
            item(self)?;
            if !self.take(',') && self.peek() != Some(close) {
                return Err(self.unexpected(&format!("`,` or `{close}`")));
            }
        }
    }

    /// The name of a member; C's `.name` is understood as well.
    fn name(&mut self) -> Result<String, EncodeError> {
        if self.peek() == Some('"') {
            return self.quoted('"');
        }
        self.take('.');
        match self.bare() {
            name if name.is_empty() => Err(self.unexpected("the name of a member")),
            name => Ok(name),
        }
    }

    fn quoted(&mut self, quote: char) -> Result<String, EncodeError> {
        self.chars.next();
        let mut text = String::new();
        loop {
            let Some((_, char)) = self.chars.next() else { return Err(self.unexpected("the closing quote")) };
            match char {
                char if char == quote => return Ok(text),
                '\\' => text.push(self.escape()?),
                char => text.push(char),
            }
        }
    }

    fn escape(&mut self) -> Result<char, EncodeError> {
        let hex = |reader: &mut Self, digits: usize| {
            let text: String = (0..digits).filter_map(|_| reader.chars.next()).map(|(_, char)| char).collect();
            u32::from_str_radix(&text, 16).ok().and_then(char::from_u32)
        };
        let found = match self.chars.next().map(|(_, char)| char) {
            Some('n') => Some('\n'),
            Some('t') => Some('\t'),
            Some('r') => Some('\r'),
            Some('0') => Some('\0'),
            Some('u') => hex(self, 4),
            Some(char @ ('"' | '\'' | '\\' | '/')) => Some(char),
            _ => None,
        };
        found.ok_or_else(|| EncodeError::new("an unknown escape stands behind a backslash"))
    }

    /// Letters, digits and what else numbers and names consist of.
    fn bare(&mut self) -> String {
        let mut word = String::new();
        while let Some((_, char)) =
            self.chars.next_if(|(_, char)| char.is_alphanumeric() || matches!(char, '_' | '-' | '+' | '.' | '$'))
        {
            word.push(char);
        }
        word
    }

    fn word(&mut self) -> Result<Notation, EncodeError> {
        let word = self.bare();
        if word.is_empty() {
            return Err(self.unexpected("a value"));
        }
        let (negative, digits) = word.strip_prefix('-').map_or((false, word.as_str()), |rest| (true, rest));
        if !digits.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
            return if negative {
                Err(EncodeError::new(format!("`{word}` is no number")))
            } else {
                Ok(Notation::Word(word))
            };
        }
        let magnitude = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
            Some(hex) => u128::from_str_radix(hex, 16),
            None => digits.parse(),
        };
        if let Ok(magnitude) = magnitude {
            return Ok(Notation::Number { magnitude, negative });
        }
        match word.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(Notation::Float(value)),
            _ => Err(EncodeError::new(format!("`{word}` is no number"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(magnitude: u128, negative: bool) -> Notation {
        Notation::Number { magnitude, negative }
    }

    #[test]
    fn texts() {
        assert_eq!(parse(" 0x1F "), Ok(number(31, false)));
        assert_eq!(parse("-5"), Ok(number(5, true)));
        assert_eq!(parse("1.5"), Ok(Notation::Float(1.5)));
        assert_eq!(parse("'a'"), Ok(Notation::Char(b'a')));
        assert_eq!(parse("\"a\\n\\u00e9\""), Ok(Notation::Text("a\né".to_owned())));
        let record = Notation::Record(vec![
            ("a".to_owned(), number(1, false)),
            ("b".to_owned(), Notation::List(vec![Notation::Word("TCP".to_owned())])),
        ]);
        for text in ["{a: 1, b: [TCP]}", "{\"a\":1,\"b\":[TCP,],}", "{.a = 1, .b = [ TCP ]}"] {
            assert_eq!(parse(text).as_ref(), Ok(&record), "{text}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (text, problem) in [
            ("", "the text ends where a value is expected"),
            ("{a 1}", "`1}` stands where `:` after the name is expected"),
            ("[1 2]", "`2]` stands where `,` or `]` is expected"),
            ("1 2", "`2` stands where the end is expected"),
            ("\"a", "the text ends where the closing quote is expected"),
            ("-x", "`-x` is no number"),
            ("12ab", "`12ab` is no number"),
            ("'ab'", "'ab' is not one character of ASCII"),
            ("\"\\q\"", "an unknown escape stands behind a backslash"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), problem, "{text}");
        }
        assert!(parse(&"[".repeat(100)).is_err());
    }
}
