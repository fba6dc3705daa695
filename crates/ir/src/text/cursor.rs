//! A position among the tokens, with the small readers that the grammar is built from.

use super::ParseError;
use super::lex::{Position, Token, tokens};
use crate::entity::{Block, Entity, Value};
use crate::function::Loc;
use crate::types::{Memory, Pointer, Type};

/// Something that a text refers to by its number, to be looked for when everything is read.
#[derive(Debug, Clone, Copy)]
pub struct Reference {
    pub prefix: &'static str,
    pub index: usize,
    pub at: Position,
}

/// The rest of the tokens.
pub struct Cursor {
    tokens: Vec<(Token, Position)>,
    next: usize,
    /// Values and blocks that were used since this was last taken.
    pub locals: Vec<Reference>,
    /// Everything else that was used.
    pub globals: Vec<Reference>,
}

impl Cursor {
    pub fn new(text: &str) -> Result<Self, ParseError> {
        Ok(Self { tokens: tokens(text)?, next: 0, locals: Vec::new(), globals: Vec::new() })
    }

    pub fn peek(&self) -> &Token {
        self.tokens.get(self.next).map_or(&Token::End, |token| &token.0)
    }

    pub fn position(&self) -> Position {
        let last = self.tokens.len().saturating_sub(1);
        self.tokens.get(self.next.min(last)).map_or(Position { line: 1, column: 1 }, |token| token.1)
    }

    /// Says what was expected in place of the next token.
    pub fn expected<T>(&self, what: &str) -> Result<T, ParseError> {
        let found = match self.peek() {
            Token::Word(word) => format!("`{word}`"),
            Token::Number(number) => format!("`{number}`"),
            Token::Name(name) => format!("`@{name}`"),
            Token::Text(_) => "a text in quotes".to_owned(),
            Token::Arrow => "`->`".to_owned(),
            Token::Sign(sign) => format!("`{sign}`"),
            Token::Loc(_) => "a location".to_owned(),
            Token::Line => "the end of the line".to_owned(),
            Token::End => "the end of the text".to_owned(),
        };
        Err(self.position().error(format!("expected {what}, found {found}")))
    }

    /// Passes a sign if it comes next.
    pub fn eat(&mut self, sign: char) -> bool {
        let found = *self.peek() == Token::Sign(sign);
        self.next += usize::from(found);
        found
    }

    /// Passes a word if it comes next.
    pub fn eat_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Token::Word(next) if next == word);
        self.next += usize::from(found);
        found
    }

    pub fn expect(&mut self, sign: char) -> Result<(), ParseError> {
        if self.eat(sign) { Ok(()) } else { self.expected(&format!("`{sign}`")) }
    }

    pub fn expect_word(&mut self, word: &str) -> Result<(), ParseError> {
        if self.eat_word(word) { Ok(()) } else { self.expected(&format!("`{word}`")) }
    }

    pub fn arrow(&mut self) -> Result<(), ParseError> {
        if *self.peek() == Token::Arrow {
            self.next += 1;
            return Ok(());
        }
        self.expected("`->`")
    }

    /// Passes the end of a line and empty lines.
    pub fn line_end(&mut self) -> Result<(), ParseError> {
        if !matches!(self.peek(), Token::Line | Token::End) {
            return self.expected("the end of the line");
        }
        self.skip_lines();
        Ok(())
    }

    /// Passes empty lines.
    pub fn skip_lines(&mut self) {
        while *self.peek() == Token::Line {
            self.next += 1;
        }
    }

    pub fn word(&mut self, what: &str) -> Result<String, ParseError> {
        match self.peek().clone() {
            Token::Word(word) => {
                self.next += 1;
                Ok(word)
            }
            _ => self.expected(what),
        }
    }

    /// A word that names one of a table.
    pub fn named<T>(&mut self, what: &str, find: impl Fn(&str) -> Option<T>) -> Result<T, ParseError> {
        let at = self.position();
        let word = self.word(what)?;
        find(&word).ok_or_else(|| at.error(format!("expected {what}, found `{word}`")))
    }

    pub fn name(&mut self) -> Result<String, ParseError> {
        match self.peek().clone() {
            Token::Name(name) => {
                self.next += 1;
                Ok(name)
            }
            _ => self.expected("a name such as `@main`"),
        }
    }

    pub fn text(&mut self) -> Result<String, ParseError> {
        match self.peek().clone() {
            Token::Text(text) => {
                self.next += 1;
                Ok(text)
            }
            _ => self.expected("a text in quotes"),
        }
    }

    /// Bytes as hexadecimal digits in quotes.
    pub fn hex(&mut self) -> Result<Vec<u8>, ParseError> {
        let at = self.position();
        let text = self.text()?;
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let bytes = text.as_bytes().chunks(2).map(|pair| match *pair {
            [high, low] => Some((digit(high)? << 4 | digit(low)?) as u8),
            _ => None,
        });
        bytes.collect::<Option<_>>().ok_or_else(|| at.error("expected pairs of hexadecimal digits"))
    }

    /// A number that fits a type.
    pub fn number<T: TryFrom<i128>>(&mut self, what: &str) -> Result<T, ParseError> {
        let at = self.position();
        match *self.peek() {
            Token::Number(number) => {
                self.next += 1;
                T::try_from(number).map_err(|_| at.error(format!("{number} is out of range for {what}")))
            }
            _ => self.expected(what),
        }
    }

    /// The number of an entity with a prefix: 3 for `v3`.
    pub fn index(&mut self, prefix: &'static str, what: &str) -> Result<usize, ParseError> {
        let digits = |word: &str| word.strip_prefix(prefix)?.parse::<u32>().ok();
        self.named(what, |word| digits(word).filter(|index| word == format!("{prefix}{index}"))).map(|n| n as usize)
    }

    /// Something of the module, which must exist at the end.
    pub fn global<T: Entity>(&mut self, prefix: &'static str, what: &str) -> Result<T, ParseError> {
        let at = self.position();
        let index = self.index(prefix, what)?;
        self.globals.push(Reference { prefix, index, at });
        Ok(T::new(index))
    }

    /// Something of the function, which must exist at its end.
    pub fn local<T: Entity>(&mut self, prefix: &'static str, what: &str) -> Result<T, ParseError> {
        let at = self.position();
        let index = self.index(prefix, what)?;
        self.locals.push(Reference { prefix, index, at });
        Ok(T::new(index))
    }

    pub fn value(&mut self) -> Result<Value, ParseError> {
        self.local(Value::PREFIX, "a value such as `v1`")
    }

    pub fn block(&mut self) -> Result<Block, ParseError> {
        self.local(Block::PREFIX, "a block such as `b1`")
    }

    /// A place, if one is written here.
    pub fn loc(&mut self) -> Loc {
        let Token::Loc(loc) = *self.peek() else { return Loc::default() };
        self.next += 1;
        loc
    }

    /// A type.
    pub fn ty(&mut self) -> Result<Type, ParseError> {
        const WHAT: &str = "a type: `i32`, `i64` or `ptr<...>`";
        if self.eat_word("i32") {
            return Ok(Type::I32);
        }
        if self.eat_word("i64") {
            return Ok(Type::I64);
        }
        if !self.eat_word("ptr") {
            return self.expected(WHAT);
        }
        self.expect('<')?;
        let to = self.memory()?;
        self.expect('>')?;
        Ok(Type::Ptr(Pointer { to, nullable: self.eat('?') }))
    }

    fn memory(&mut self) -> Result<Memory, ParseError> {
        let at = self.position();
        Ok(match self.word("a class of memory")?.as_str() {
            "ctx" => Memory::Context,
            "stack" => Memory::Stack,
            "value" => Memory::MapValue(self.global("m", "a map such as `m0`")?),
            "map" => Memory::Map(self.global("m", "a map such as `m0`")?),
            "inner" => Memory::InnerMap(self.global("m", "a map such as `m0`")?),
            "global" => Memory::Global(self.global("g", "a variable such as `g0`")?),
            "packet" => Memory::Packet,
            "meta" => Memory::PacketMeta,
            "end" => Memory::PacketEnd,
            "record" => Memory::Record,
            "kernel" => Memory::Kernel(self.number("the id of a type")?),
            "untrusted" => Memory::KernelUntrusted(self.number("the id of a type")?),
            "function" => Memory::Function,
            "arena" => Memory::Arena,
            "any" => Memory::Any,
            other => return Err(at.error(format!("`{other}` is no class of memory"))),
        })
    }
}
