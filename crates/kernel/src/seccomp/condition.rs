//! Values that depend on the arguments of a system call, and conditions on them.

use std::fmt;
use std::rc::Rc;

use skep_isa::classic::{AluOp, JmpOp};

/// A 32-bit value during a symbolic run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Value {
    /// A number.
    Known(u32),
    /// The word at this offset of `struct seccomp_data`: 8 and 12 are the instruction pointer, 16 to 60 the halves of
    /// the six arguments.
    Word(u32),
    /// Computed from others.
    Computed(AluOp, Rc<Value>, Rc<Value>),
}

impl Value {
    /// The value of an operation; `None` where the program ends (division by zero).
    pub(super) fn compute(op: AluOp, left: Self, right: Self) -> Option<Self> {
        match (left, right) {
            (Self::Known(left), Self::Known(right)) => op.eval(left, right).map(Self::Known),
            (_, Self::Known(0)) if op == AluOp::And => Some(Self::Known(0)),
            (left, Self::Known(u32::MAX)) if op == AluOp::And => Some(left),
            (left, right) => Some(Self::Computed(op, Rc::new(left), Rc::new(right))),
        }
    }

    /// Argument and half (0 low, 1 high) of a word, on a little-endian machine.
    const fn argument(&self) -> Option<(u32, u32)> {
        match *self {
            Self::Word(offset) if offset >= 16 => Some(((offset - 16) / 8, (offset - 16) / 4 % 2)),
            _ => None,
        }
    }
}

const fn symbol(op: AluOp) -> &'static str {
    match op {
        AluOp::Add => "+",
        AluOp::Sub => "-",
        AluOp::Mul => "*",
        AluOp::Div => "/",
        AluOp::Mod => "%",
        AluOp::And => "&",
        AluOp::Or => "|",
        AluOp::Xor => "^",
        AluOp::Lsh => "<<",
        AluOp::Rsh => ">>",
    }
}

/// Small numbers in decimal, others in hexadecimal.
struct Number(u64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 256 { write!(f, "{}", self.0) } else { write!(f, "{:#x}", self.0) }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(number) => Number((*number).into()).fmt(f),
            Self::Word(8) => f.write_str("low(instruction pointer)"),
            Self::Word(12) => f.write_str("high(instruction pointer)"),
            Self::Word(offset) => match self.argument() {
                Some((argument, 0)) => write!(f, "low(arg{argument})"),
                Some((argument, _)) => write!(f, "high(arg{argument})"),
                None => write!(f, "word at {offset}"),
            },
            Self::Computed(op, left, right) => write!(f, "({left} {} {right})", symbol(*op)),
        }
    }
}

/// Something that a path through a filter takes for granted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Condition {
    /// What is compared.
    pub left: Value,
    /// How.
    pub op: JmpOp,
    /// With what.
    pub right: Value,
    /// Whether the comparison holds.
    pub holds: bool,
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { left, op, right, holds } = self;
        let symbol = match (op, holds) {
            (JmpOp::Set, true) => return write!(f, "{left} & {right} != 0"),
            (JmpOp::Set, false) => return write!(f, "{left} & {right} == 0"),
            (JmpOp::Eq, true) => "==",
            (JmpOp::Eq, false) => "!=",
            (JmpOp::Gt, true) => ">",
            (JmpOp::Gt, false) => "<=",
            (JmpOp::Ge, true) => ">=",
            (JmpOp::Ge, false) => "<",
        };
        write!(f, "{left} {symbol} {right}")
    }
}

impl Condition {
    /// What this one and `other`, on halves of the same argument, say about the whole: `arg0 == 0x500000001`.
    fn joined(&self, other: &Self) -> Option<String> {
        let equal = self.op == JmpOp::Eq && other.op == JmpOp::Eq && self.holds && other.holds;
        let ((argument, half), (same, other_half)) = (self.left.argument()?, other.left.argument()?);
        let (&Value::Known(number), &Value::Known(other_number)) = (&self.right, &other.right) else { return None };
        if !equal || argument != same || half == other_half {
            return None;
        }
        let (low, high) = if half == 0 { (number, other_number) } else { (other_number, number) };
        Some(format!("arg{argument} == {}", Number(u64::from(high) << 32 | u64::from(low))))
    }
}

/// Conditions joined by "and", halves of arguments brought together.
pub(super) fn all_of(conditions: &[Condition]) -> String {
    let mut texts = Vec::new();
    let mut used = vec![false; conditions.len()];
    for (at, condition) in conditions.iter().enumerate() {
        if std::mem::replace(&mut used[at], true) {
            continue;
        }
        let partner = (at + 1..conditions.len())
            .filter(|&other| !used[other])
            .find_map(|other| Some((other, condition.joined(&conditions[other])?)));
        texts.push(match partner {
            Some((other, text)) => {
                used[other] = true;
                text
            }
            None => condition.to_string(),
        });
    }
    texts.join(" and ")
}

/// What the conditions of a path imply about a comparison with a number; `None` if nothing.
pub(super) fn implied(path: &[Condition], left: &Value, op: JmpOp, right: &Value) -> Option<bool> {
    if let Some(same) = path.iter().find(|known| known.left == *left && known.op == op && known.right == *right) {
        return Some(same.holds);
    }
    let &Value::Known(number) = right else { return None };
    let (mut low, mut high, mut zeros, mut not) = (0u32, u32::MAX, 0u32, Vec::new());
    for known in path.iter().filter(|known| known.left == *left) {
        let Value::Known(bound) = known.right else { continue };
        match (known.op, known.holds) {
            (JmpOp::Eq, true) => return Some(op.eval(bound, number)),
            (JmpOp::Eq, false) => not.push(bound),
            (JmpOp::Gt, true) => low = low.max(bound.saturating_add(1)),
            (JmpOp::Ge, true) => low = low.max(bound),
            (JmpOp::Gt, false) => high = high.min(bound),
            (JmpOp::Ge, false) => high = high.min(bound.saturating_sub(1)),
            (JmpOp::Set, false) => zeros |= bound,
            (JmpOp::Set, true) => {}
        }
    }
    match op {
        JmpOp::Eq => (not.contains(&number) || number < low || number > high || number & zeros != 0).then_some(false),
        JmpOp::Gt if low > number => Some(true),
        JmpOp::Gt if high <= number => Some(false),
        JmpOp::Ge if low >= number => Some(true),
        JmpOp::Ge if high < number => Some(false),
        JmpOp::Set if number & !zeros == 0 => Some(false),
        _ => None,
    }
}
