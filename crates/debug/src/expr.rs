//! Expressions over registers and memory: `r1`, `packet + 12`, `be16[packet + 12]`, `(struct key *)(r10 - 16)`.

/// Levels of brackets and signs in an expression.
const MAX_DEPTH: u32 = 64;

/// What expressions are made of, for help.
pub const NAMES: &str = "registers r0 to r10; stack, context, packet and maps by name: the address of the first byte; \
numbers; + - * / % & | ^ << >>; u8[ADDRESS] u16[] u32[] u64[] and be16[] be32[] be64[] for what is in memory; \
(struct NAME *) ADDRESS";

/// What expressions ask.
pub trait Source {
    /// The value of a register.
    fn register(&self, number: usize) -> Option<u64>;
    /// The address of a part of memory.
    fn part(&self, name: &str) -> Option<u64>;
    /// Bytes of memory.
    fn bytes(&self, address: u64, size: usize) -> Option<&[u8]>;
}

/// An expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    /// A number.
    Number(Node),
    /// What is of a type at an address.
    Typed(String, Node),
}

/// An expression whose value is a number of 64 bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A constant.
    Constant(u64),
    /// A register.
    Register(usize),
    /// The address of a part of memory.
    Part(String),
    /// The negative of another.
    Negative(Box<Node>),
    /// Two operands.
    Binary(char, Box<Node>, Box<Node>),
    /// So many bytes of memory, and whether they are in network byte order.
    Memory(usize, bool, Box<Node>),
}

impl Expr {
    /// Reads an expression.
    ///
    /// # Errors
    /// What is wrong, in a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser { tokens: tokens(text)?, next: 0, depth: 0 };
        let typed = parser.type_name();
        let node = parser.binary(0)?;
        match parser.tokens.get(parser.next) {
            None => Ok(typed.map_or(Self::Number(node.clone()), |name| Self::Typed(name, node))),
            Some(token) => Err(format!("`{}` is not expected there", token.text())),
        }
    }
}

impl Node {
    /// Its value.
    ///
    /// # Errors
    /// Memory that cannot be read, a name that is not known, a division by 0.
    pub fn value(&self, source: &dyn Source) -> Result<u64, String> {
        Ok(match self {
            Self::Constant(value) => *value,
            Self::Register(number) => source.register(*number).ok_or_else(|| format!("there is no r{number}"))?,
            Self::Part(name) => source.part(name).ok_or_else(|| format!("there is no `{name}`; there are {NAMES}"))?,
            Self::Negative(node) => node.value(source)?.wrapping_neg(),
            Self::Binary(operator, left, right) => {
                let (left, right) = (left.value(source)?, right.value(source)?);
                let shift = u32::try_from(right).unwrap_or(u32::MAX);
                match operator {
                    '+' => left.wrapping_add(right),
                    '-' => left.wrapping_sub(right),
                    '*' => left.wrapping_mul(right),
                    '/' => left.checked_div(right).ok_or("a division by 0")?,
                    '%' => left.checked_rem(right).ok_or("a division by 0")?,
                    '&' => left & right,
                    '|' => left | right,
                    '^' => left ^ right,
                    '<' => left.checked_shl(shift).unwrap_or(0),
                    _ => left.checked_shr(shift).unwrap_or(0),
                }
            }
            Self::Memory(size, big, address) => {
                let address = address.value(source)?;
                let bytes = source.bytes(address, *size);
                let bytes = bytes.ok_or_else(|| format!("{size} bytes at {address:#x} are not in memory"))?;
                let mut value = 0;
                for at in 0..*size {
                    let byte = if *big { bytes[at] } else { bytes[size - 1 - at] };
                    value = value << 8 | u64::from(byte);
                }
                value
            }
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Number(u64),
    Word(String),
    Sign(char),
}

impl Token {
    fn text(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Word(word) => word.clone(),
            Self::Sign('<') => "<<".to_owned(),
            Self::Sign('>') => ">>".to_owned(),
            Self::Sign(sign) => sign.to_string(),
        }
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let is_word = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '.');
        let length = if is_word(first) {
            rest.find(|character| !is_word(character)).unwrap_or(rest.len())
        } else if rest.starts_with("<<") || rest.starts_with(">>") {
            2
        } else {
            first.len_utf8()
        };
        let (word, behind) = rest.split_at(length);
        tokens.push(match first {
            '0'..='9' => {
                let number = match word.strip_prefix("0x") {
                    Some(digits) => u64::from_str_radix(digits, 16),
                    None => word.parse(),
                };
                Token::Number(number.map_err(|_| format!("`{word}` is not a number of 64 bits"))?)
            }
            _ if is_word(first) => Token::Word(word.to_owned()),
            '<' | '>' if length == 2 => Token::Sign(first),
            '+' | '-' | '*' | '/' | '%' | '&' | '|' | '^' | '(' | ')' | '[' | ']' => Token::Sign(first),
            _ => return Err(format!("`{first}` means nothing here; there are {NAMES}")),
        });
        rest = behind.trim_start();
    }
    Ok(tokens)
}

// TABLE
/// Operators, those that bind least first.
const LEVELS: &[&[char]] = &[&['|'], &['^'], &['&'], &['<', '>'], &['+', '-'], &['*', '/', '%']];

struct Parser {
    tokens: Vec<Token>,
    next: usize,
    depth: u32,
}

impl Parser {
    fn takes(&mut self, sign: char) -> bool {
        let found = self.tokens.get(self.next) == Some(&Token::Sign(sign));
        self.next += usize::from(found);
        found
    }

    fn expects(&mut self, sign: char) -> Result<(), String> {
        if self.takes(sign) { Ok(()) } else { Err(format!("`{sign}` is missing")) }
    }

    /// `(struct NAME *)` at the start.
    fn type_name(&mut self) -> Option<String> {
        let Some([Token::Sign('('), Token::Word(first), rest @ ..]) = self.tokens.get(self.next..) else { return None };
        let (name, rest, length) = match rest {
            [Token::Word(name), rest @ ..] if matches!(first.as_str(), "struct" | "union" | "enum") => (name, rest, 5),
            rest => (first, rest, 4),
        };
        let [Token::Sign('*'), Token::Sign(')'), ..] = rest else { return None };
        let name = name.clone();
        self.next += length;
        Some(name)
    }

    fn binary(&mut self, level: usize) -> Result<Node, String> {
        let Some(operators) = LEVELS.get(level) else { return self.single() };
        let mut left = self.binary(level + 1)?;
        while let Some(operator) = operators.iter().copied().find(|operator| self.takes(*operator)) {
            let right = self.binary(level + 1)?;
            left = Node::Binary(operator, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn single(&mut self) -> Result<Node, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("more than {MAX_DEPTH} brackets and signs"));
        }
        let node = self.operand();
        self.depth -= 1;
        node
    }

    fn operand(&mut self) -> Result<Node, String> {
        if self.takes('-') {
            return Ok(Node::Negative(Box::new(self.single()?)));
        }
        if self.takes('(') {
            let node = self.binary(0)?;
            self.expects(')')?;
            return Ok(node);
        }
        let token = self.tokens.get(self.next).cloned();
        self.next += 1;
        match token {
            Some(Token::Number(number)) => Ok(Node::Constant(number)),
            Some(Token::Word(word)) => self.word(word),
            Some(token) => Err(format!("`{}` is not expected there", token.text())),
            None => Err(format!("an expression is missing; there are {NAMES}")),
        }
    }

    fn word(&mut self, word: String) -> Result<Node, String> {
        let bits = |prefix: &str| word.strip_prefix(prefix).and_then(|bits| bits.parse::<usize>().ok());
        let memory = match (bits("u"), bits("be")) {
            (Some(bits @ (8 | 16 | 32 | 64)), _) => Some((bits / 8, false)),
            (_, Some(bits @ (16 | 32 | 64))) => Some((bits / 8, true)),
            _ => None,
        };
        if let Some((size, big)) = memory
            && self.takes('[')
        {
            let address = self.binary(0)?;
            self.expects(']')?;
            return Ok(Node::Memory(size, big, Box::new(address)));
        }
        match bits("r") {
            Some(number) if number <= 10 => Ok(Node::Register(number)),
            _ => Ok(Node::Part(word)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;

    impl Source for Fixed {
        fn register(&self, number: usize) -> Option<u64> {
            Some(number as u64 * 10)
        }

        fn part(&self, name: &str) -> Option<u64> {
            (name == "packet").then_some(100)
        }

        fn bytes(&self, address: u64, size: usize) -> Option<&[u8]> {
            [1u8, 2, 3, 4].get(usize::try_from(address.checked_sub(100)?).ok()?..)?.get(..size).map(|_| {
                let start = (address - 100) as usize;
                &[1u8, 2, 3, 4][start..start + size]
            })
        }
    }

    #[test]
    fn values() {
        let value = |text: &str| match Expr::parse(text) {
            Ok(Expr::Number(node)) => node.value(&Fixed),
            other => panic!("{text}: {other:?}"),
        };
        let cases = [
            ("r1 + 2 * 3", 16),
            ("(r1 + 2) * 3", 36),
            ("1 | 6 & 12", 5),
            ("1 << 4 - 1", 8),
            ("0x10 >> 2", 4),
            ("u8[packet + 1]", 2),
            ("be16[packet]", 0x0102),
            ("u32[packet]", 0x0403_0201),
            ("-1 & 255", 255),
            ("7 % 4", 3),
        ];
        for (text, expected) in cases {
            assert_eq!(value(text), Ok(expected), "{text}");
        }
        assert!(value("u64[packet]").is_err_and(|why| why.contains("8 bytes at 0x64")));
        assert!(value("1 / 0").is_err() && value("nothing").is_err());
        for faulty in
            ["", "1 +", "(1", "u8[1", "1 2", "$", "99999999999999999999", &"(".repeat(100), "u8[(struct x *)1]"]
        {
            assert!(Expr::parse(faulty).is_err(), "{faulty}");
        }
        assert_eq!(
            Expr::parse("(struct ethhdr *) packet"),
            Ok(Expr::Typed("ethhdr".to_owned(), Node::Part("packet".to_owned())))
        );
    }
}
