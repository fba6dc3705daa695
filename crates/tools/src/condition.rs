//! Conditions about rows: what `--where` takes.
//!
//! ```text
//! condition = term { "||" term }        term = factor { "&&" factor }
//! factor    = "!" factor | "(" condition ")" | field [ operator value | "in" "(" value { "," value } ")" ]
//! operator  = "==" | "!=" | "<" | "<=" | ">" | ">=" | "~" | "!~"
//! value     = number [unit] | "text" | 'text' | word
//! ```
//!
//! `~` compares with a pattern in which `*` stands for anything; without a `*` it asks whether the text contains it. Units
//! are `us`, `ms`, `s` (as nanoseconds), `KB`, `MB`, `GB` (as bytes). A field alone holds if it is neither empty, 0 nor
//! false. An empty cell fits no comparison but `!=` and `!~`.

use std::cmp::Ordering;
use std::fmt;

use crate::row::Cell;

/// Levels of parentheses and negations.
const DEEPEST: u32 = 64;

/// Units of numbers and what they multiply by.
// TABLE
const UNITS: &[(&str, i128)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("B", 1),
    ("KB", 1 << 10),
    ("MB", 1 << 20),
    ("GB", 1 << 30),
];

/// A condition about rows with certain columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition(Node);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Any(Vec<Node>),
    All(Vec<Node>),
    Not(Box<Node>),
    Holds(usize),
    Compare(usize, Operator, Literal),
    In(usize, Vec<Literal>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    Unequal,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Like,
    Unlike,
}

/// How operators are written; longer ones come first.
// TABLE
const OPERATORS: &[(&str, Operator)] = &[
    ("==", Operator::Equal),
    ("!=", Operator::Unequal),
    ("<=", Operator::LessEqual),
    (">=", Operator::GreaterEqual),
    ("!~", Operator::Unlike),
    ("<", Operator::Less),
    (">", Operator::Greater),
    ("~", Operator::Like),
    ("=", Operator::Equal),
];

#[derive(Debug, Clone, PartialEq, Eq)]
struct Literal {
    text: String,
    number: Option<i128>,
}

/// Why a condition cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionError {
    /// Characters in front of the place.
    pub at: usize,
    /// The problem and what was expected.
    pub problem: String,
}

impl fmt::Display for ConditionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at character {}: {}", self.at + 1, self.problem)
    }
}

impl std::error::Error for ConditionError {}

impl Condition {
    /// Reads a condition about these fields.
    ///
    /// # Errors
    /// [`ConditionError`].
    pub fn parse(text: &str, fields: &[&str]) -> Result<Self, ConditionError> {
        let mut parser = Parser { text, at: 0, fields, depth: 0 };
        let node = parser.any()?;
        parser.blank();
        if parser.rest().is_empty() { Ok(Self(node)) } else { Err(parser.error("expected `&&`, `||` or the end")) }
    }

    /// Whether a row fits; its cells are those of the fields.
    pub fn fits(&self, row: &[Cell]) -> bool {
        self.0.fits(row)
    }

    /// The fields that it is about.
    pub fn fields(&self) -> Vec<usize> {
        let mut found = Vec::new();
        self.0.fields(&mut found);
        found
    }

    /// A condition in the language of scripts that holds for all rows that fit, and perhaps for others; `value` is what a
    /// field is there. `None` if there is none that tells anything.
    pub fn in_script(&self, value: &dyn Fn(usize) -> Option<String>) -> Option<String> {
        self.0.in_script(value, false)
    }
}

impl Node {
    fn fields(&self, found: &mut Vec<usize>) {
        match self {
            Self::Any(nodes) | Self::All(nodes) => nodes.iter().for_each(|node| node.fields(found)),
            Self::Not(node) => node.fields(found),
            Self::Holds(index) | Self::Compare(index, ..) | Self::In(index, _) => found.push(*index),
        }
    }

    /// `exact`: whether it has to hold for no others.
    fn in_script(&self, value: &dyn Fn(usize) -> Option<String>, exact: bool) -> Option<String> {
        match self {
            Self::All(nodes) => {
                let parts: Vec<String> = nodes.iter().filter_map(|node| node.in_script(value, exact)).collect();
                let enough = if exact { parts.len() == nodes.len() } else { !parts.is_empty() };
                enough.then(|| format!("({})", parts.join(" && ")))
            }
            Self::Any(nodes) => {
                let parts: Option<Vec<String>> = nodes.iter().map(|node| node.in_script(value, exact)).collect();
                Some(format!("({})", parts?.join(" || ")))
            }
            Self::Not(node) => Some(format!("!{}", node.in_script(value, true)?)),
            Self::Holds(_) => None,
            Self::Compare(index, operator, literal) => {
                let sign = match operator {
                    Operator::Like | Operator::Unlike => return None,
                    other => OPERATORS.iter().find(|(_, operator)| operator == other)?.0,
                };
                Some(format!("(({}) {sign} {})", value(*index)?, literal.in_script()?))
            }
            Self::In(index, literals) => {
                let value = value(*index)?;
                let part = |literal: &Literal| Some(format!("({value}) == {}", literal.in_script()?));
                let parts: Option<Vec<String>> = literals.iter().map(part).collect();
                Some(format!("({})", parts?.join(" || ")))
            }
        }
    }

    fn fits(&self, row: &[Cell]) -> bool {
        let cell = |index: &usize| row.get(*index).unwrap_or(&Cell::Empty);
        match self {
            Self::Any(nodes) => nodes.iter().any(|node| node.fits(row)),
            Self::All(nodes) => nodes.iter().all(|node| node.fits(row)),
            Self::Not(node) => !node.fits(row),
            Self::Holds(index) => match cell(index) {
                Cell::Empty => false,
                Cell::Text(text) => !text.is_empty(),
                cell => cell.as_number() != Some(0),
            },
            Self::Compare(index, operator, literal) => compare(cell(index), *operator, literal),
            Self::In(index, literals) => literals.iter().any(|literal| compare(cell(index), Operator::Equal, literal)),
        }
    }
}

fn compare(cell: &Cell, operator: Operator, literal: &Literal) -> bool {
    let negative = matches!(operator, Operator::Unequal | Operator::Unlike);
    if *cell == Cell::Empty {
        return negative;
    }
    if matches!(operator, Operator::Like | Operator::Unlike) {
        let text = match cell {
            Cell::Text(text) => text.clone(),
            cell => cell.as_number().map(|number| number.to_string()).unwrap_or_default(),
        };
        return like(&literal.text, &text) != negative;
    }
    let order = match cell {
        Cell::Text(text) => Some(text.as_str().cmp(&literal.text)),
        Cell::Bool(value) => match literal.text.as_str() {
            "true" => Some(value.cmp(&true)),
            "false" => Some(value.cmp(&false)),
            _ => literal.number.map(|number| i128::from(*value).cmp(&number)),
        },
        cell => cell.as_number().zip(literal.number).map(|(a, b)| a.cmp(&b)),
    };
    // What cannot be compared is not equal.
    let Some(order) = order else { return negative };
    match operator {
        Operator::Equal | Operator::Like => order == Ordering::Equal,
        Operator::Unequal | Operator::Unlike => order != Ordering::Equal,
        Operator::Less => order == Ordering::Less,
        Operator::LessEqual => order != Ordering::Greater,
        Operator::Greater => order == Ordering::Greater,
        Operator::GreaterEqual => order != Ordering::Less,
    }
}

/// Whether a text fits a pattern.
fn like(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return text.contains(pattern) };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return text.ends_with(part);
        }
        let Some(at) = text.find(part) else { return false };
        text = &text[at + part.len()..];
    }
    true
}

impl Literal {
    /// A number from 0 on, as scripts have it: with others it would matter whether a value has a sign.
    fn in_script(&self) -> Option<String> {
        self.number.filter(|number| (0..=i128::from(i64::MAX)).contains(number)).map(|number| number.to_string())
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    fields: &'a [&'a str],
    depth: u32,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn blank(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    /// Takes a sign if it comes next.
    fn take(&mut self, sign: &str) -> bool {
        self.blank();
        let found = self.rest().starts_with(sign);
        if found {
            self.at += sign.len();
        }
        found
    }

    fn error(&self, problem: impl Into<String>) -> ConditionError {
        ConditionError { at: self.text[..self.at].chars().count(), problem: problem.into() }
    }

    fn any(&mut self) -> Result<Node, ConditionError> {
        let mut nodes = vec![self.all()?];
        while self.take("||") {
            nodes.push(self.all()?);
        }
        Ok(if nodes.len() == 1 { nodes.remove(0) } else { Node::Any(nodes) })
    }

    fn all(&mut self) -> Result<Node, ConditionError> {
        let mut nodes = vec![self.factor()?];
        while self.take("&&") {
            nodes.push(self.factor()?);
        }
        Ok(if nodes.len() == 1 { nodes.remove(0) } else { Node::All(nodes) })
    }

    fn factor(&mut self) -> Result<Node, ConditionError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.error(format!("more than {DEEPEST} levels of parentheses")));
        }
        let node = if self.take("!") {
            Node::Not(Box::new(self.factor()?))
        } else if self.take("(") {
            let node = self.any()?;
            if !self.take(")") {
                return Err(self.error("expected `)`"));
            }
            node
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(node)
    }

    fn comparison(&mut self) -> Result<Node, ConditionError> {
        self.blank();
        let start = self.at;
        let name = self.word();
        let Some(field) = self.fields.iter().position(|field| *field == name) else {
            self.at = start;
            let fields = self.fields.join(", ");
            let found =
                if name.is_empty() { "expected a field".to_owned() } else { format!("there is no field `{name}`") };
            return Err(self.error(format!("{found}; there are: {fields}")));
        };
        self.blank();
        if self.rest().starts_with("in") && !self.rest()[2..].starts_with(|next: char| next.is_alphanumeric()) {
            self.at += 2;
            return self.list(field);
        }
        let Some((sign, operator)) = OPERATORS.iter().find(|(sign, _)| self.rest().starts_with(sign)) else {
            return Ok(Node::Holds(field));
        };
        self.at += sign.len();
        Ok(Node::Compare(field, *operator, self.literal()?))
    }

    fn list(&mut self, field: usize) -> Result<Node, ConditionError> {
        if !self.take("(") {
            return Err(self.error("expected `(` behind `in`"));
        }
        let mut literals = vec![self.literal()?];
        while self.take(",") {
            literals.push(self.literal()?);
        }
        if self.take(")") { Ok(Node::In(field, literals)) } else { Err(self.error("expected `,` or `)`")) }
    }

    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let plain = |char: char| char.is_alphanumeric() || "_-./:@%+*?".contains(char);
        let word = &rest[..rest.find(|char| !plain(char)).unwrap_or(rest.len())];
        self.at += word.len();
        word
    }

    fn literal(&mut self) -> Result<Literal, ConditionError> {
        self.blank();
        let quote = self.rest().chars().next().filter(|char| matches!(char, '"' | '\''));
        if let Some(quote) = quote {
            let inner = &self.rest()[1..];
            let Some(end) = inner.find(quote) else { return Err(self.error("the text does not end")) };
            self.at += end + 2;
            return Ok(Literal { text: inner[..end].to_owned(), number: None });
        }
        let text = self.word();
        if text.is_empty() {
            return Err(self.error("expected a number or a text"));
        }
        Ok(Literal { text: text.to_owned(), number: number(text) })
    }
}

/// A number with or without a unit.
fn number(text: &str) -> Option<i128> {
    if let Some(digits) = text.strip_prefix("0x") {
        return i128::from_str_radix(digits, 16).ok();
    }
    let end = text.rfind(|char: char| char.is_ascii_digit())? + 1;
    let (digits, unit) = text.split_at(end);
    let factor = if unit.is_empty() { 1 } else { UNITS.iter().find(|(name, _)| *name == unit)?.1 };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    if part.len() > 9 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let scale = 10i128.pow(u32::try_from(part.len()).ok()?);
    let magnitude: i128 = format!("{whole}{part}").parse().ok()?;
    Some(magnitude.checked_mul(factor)? / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: &[&str] = &["pid", "comm", "ms", "ok", "none"];

    fn fits(condition: &str) -> bool {
        let row = [
            Cell::Number(42),
            Cell::Text("nginx: worker".into()),
            Cell::Number(2_500_000),
            Cell::Bool(true),
            Cell::Empty,
        ];
        Condition::parse(condition, FIELDS).unwrap_or_else(|error| panic!("{condition}: {error}")).fits(&row)
    }

    #[test]
    fn conditions() {
        // TABLE
        for (condition, expected) in [
            ("pid == 42", true),
            ("pid = 42 && ms > 2ms", true),
            ("ms > 2.5ms", false),
            ("ms >= 2.5ms", true),
            ("ms<3ms", true),
            ("pid != 42 || comm ~ worker", true),
            ("comm ~ 'nginx*'", true),
            ("comm ~ \"*: worker\"", true),
            ("comm == nginx", false),
            ("comm !~ nginx", false),
            ("!(pid == 42)", false),
            ("! !pid", true),
            ("ok", true),
            ("ok == false", false),
            ("none", false),
            ("none == 0", false),
            ("none != 0", true),
            ("pid in (1, 42)", true),
            ("pid in (1, 4)", false),
            ("comm in ('a', 'nginx: worker')", true),
            ("pid == 0x2a", true),
            ("pid < abc", false),
            ("pid ~ 4", true),
            ("(pid == 1 || pid == 42) && (ok)", true),
            ("comm < o", true),
        ] {
            assert_eq!(fits(condition), expected, "{condition}");
        }
    }

    #[test]
    fn mistakes() {
        // TABLE
        for (condition, at, part) in [
            ("", 0, "expected a field"),
            ("pidd == 1", 0, "no field `pidd`; there are: pid, comm"),
            ("pid ==", 6, "a number or a text"),
            ("pid == 1 comm", 9, "expected `&&`"),
            ("(pid == 1", 9, "expected `)`"),
            ("comm == 'x", 8, "does not end"),
            ("pid in 5", 7, "expected `(`"),
            ("pid in (5", 9, "expected `,`"),
        ] {
            let error = Condition::parse(condition, FIELDS).unwrap_err();
            assert!(error.problem.contains(part), "{condition}: {error}");
            assert_eq!(error.at, at, "{condition}: {error}");
        }
        let deep = format!("{}pid", "!".repeat(1000));
        assert!(Condition::parse(&deep, FIELDS).unwrap_err().problem.contains("levels"));
    }
}
