//! Arithmetic operands and relations.
//!
//! Operators are reduced as tcpdump's grammar does it: by precedence, to the left among equals, except that `%` and
//! `^` have no precedence there, so that next to one of them the operator on the right always binds first:
//! `10 % 7 + 3` is `10 % (7 + 3)`.

use super::{Fallible, Operand, Parser};
use crate::ast::{Accessor, Arith, Id, Kind, MetaWord, NodeKind, Primitive};
use crate::lex::{Tok, words::Word};
use crate::suggest;
use skep_diag::{Diagnostic, Span};
use skep_isa::classic::AluOp;

/// How deep an arithmetic expression may be nested, counted in operators, brackets and parentheses.
pub(crate) const MAX_DEPTH: u32 = 200;

/// An operand that has been read.
pub(super) struct Value {
    pub(super) arith: Arith,
    span: Span,
    depth: u32,
    /// A number or named constant, perhaps in parentheses: may also be an id.
    plain: bool,
}

#[derive(Clone, Copy)]
enum Op {
    Binary(AluOp),
    Negate,
}

impl Op {
    /// `None` for the operators that always let the next one go first.
    fn precedence(self) -> Option<u8> {
        Some(match self {
            Self::Binary(AluOp::Mod | AluOp::Xor) => return None,
            Self::Binary(AluOp::Or) => 1,
            Self::Binary(AluOp::And) => 2,
            Self::Binary(AluOp::Lsh | AluOp::Rsh) => 3,
            Self::Binary(AluOp::Add | AluOp::Sub) => 4,
            Self::Binary(AluOp::Mul | AluOp::Div) => 5,
            Self::Negate => 6,
        })
    }

    /// Whether `self`, standing left of `right`, is computed before it.
    fn goes_before(self, right: Self) -> bool {
        matches!((self.precedence(), right.precedence()), (Some(left), Some(right)) if left >= right)
    }
}

/// The kernel's words about a packet.
// TABLE
const META_WORDS: &[(&str, MetaWord)] = &[
    ("mark", MetaWord::Mark),
    ("queue", MetaWord::Queue),
    ("rxhash", MetaWord::Rxhash),
    ("cpu", MetaWord::Cpu),
    ("hatype", MetaWord::Hatype),
    ("random", MetaWord::Random),
];

/// Accessors of ours that are not protocol words.
// TABLE
const ACCESSORS: &[(&str, Accessor)] =
    &[("tcp6", Accessor::Tcp6), ("udp6", Accessor::Udp6), ("sctp6", Accessor::Sctp6)];

pub(super) fn meta_word(text: &str) -> Option<MetaWord> {
    META_WORDS.iter().find(|(name, _)| *name == text).map(|&(_, word)| word)
}

fn accessor(text: &str) -> Option<Accessor> {
    ACCESSORS.iter().find(|(name, _)| *name == text).map(|&(_, accessor)| accessor)
}

impl Parser<'_> {
    /// Whether the name that comes next is an arithmetic operand of ours: `mark` before an operator, `tcp6` before
    /// `[`. Everywhere else these stay names of hosts.
    pub(super) fn name_is_arithmetic(&self) -> bool {
        let name = self.text(self.token(0).span);
        match self.peek_at(1) {
            Tok::Rel(_) | Tok::Alu(_) => meta_word(name).is_some(),
            Tok::OpenBracket => accessor(name).is_some(),
            _ => false,
        }
    }

    /// `A relop B`; or a number alone, which is a bare id.
    ///
    /// A parenthesis that was opened just before may turn out to enclose only the left part of `A`; then it is taken
    /// off the stack of the boolean layer again.
    pub(super) fn relation_or_number(&mut self) -> Fallible<Operand> {
        let mut left = self.arithmetic(None, 0)?;
        loop {
            match self.peek() {
                Tok::Rel(op) => {
                    self.next();
                    let right = self.arithmetic(None, 0)?;
                    let span = left.span.to(right.span);
                    let relation = Primitive::Relation(op, left.arith, right.arith);
                    let node = self.push(NodeKind::Primitive(relation), span);
                    return Ok(Operand { node, span, is_id: false, quals: None });
                }
                Tok::Close if self.level_is_fresh() => {
                    let close = self.next().span;
                    let open = self.levels.pop().map_or(close, |level| level.open);
                    left.span = open.to(close);
                    left = self.arithmetic(Some(left), 0)?;
                }
                _ => return self.number_as_id(left),
            }
        }
    }

    /// Whether the innermost parenthesis contains nothing yet but the operand being read.
    fn level_is_fresh(&self) -> bool {
        self.levels.len() > 1
            && self.levels.last().is_some_and(|level| level.left.is_none() && level.nots == self.nots.len())
    }

    fn number_as_id(&mut self, value: Value) -> Fallible<Operand> {
        let inherited = self.level().inherited;
        if let Some(quals) = inherited.filter(|quals| quals.kind == Kind::Net)
            && let Some(prefix) = self.short_prefix(&value)?
        {
            return self.bare_id(quals, prefix, value.span);
        }
        let Arith::Number(number) = value.arith else {
            return Err(self.missing_relop(value.span));
        };
        match inherited {
            Some(quals) if value.plain => {
                self.check_number(quals, number, value.span)?;
                self.bare_id(quals, Id::Number(number), value.span)
            }
            _ if value.plain && !matches!(self.peek(), Tok::Bad) => {
                Err(Box::new(self.site().bare_number(self.text(value.span), value.span)))
            }
            _ => Err(self.missing_relop(value.span)),
        }
    }

    /// `10/8` after `net` is a prefix although it looks like a division.
    fn short_prefix(&self, value: &Value) -> Fallible<Option<Id>> {
        match &value.arith {
            Arith::Binary(AluOp::Div, net, len, _) => match (net.as_ref(), len.as_ref()) {
                (&Arith::Number(net), &Arith::Number(len)) => self.prefix_of_number(net, len, value.span).map(Some),
                _ => Ok(None),
            },
            _ => Ok(None),
        }
    }

    fn missing_relop(&mut self, left: Span) -> Box<Diagnostic> {
        let left = suggest::shorten(self.text(left));
        let bad = self.peek() == Tok::Bad;
        let error = self.expected("a comparison (= != < > <= >=)");
        if bad {
            return error;
        }
        Box::new(error.with_help(format!("compare the value with something: `{left} != 0`")))
    }

    /// An arithmetic expression, or the rest of one whose first operand was read already.
    fn arithmetic(&mut self, first: Option<Value>, depth: u32) -> Fallible<Value> {
        let mut values = Vec::new();
        let mut ops: Vec<(Op, Span)> = Vec::new();
        let mut first = first;
        loop {
            if let Some(first) = first.take() {
                values.push(first);
            } else {
                while self.peek() == Tok::Alu(AluOp::Sub) {
                    ops.push((Op::Negate, self.next().span));
                }
                values.push(self.arithmetic_operand(depth)?);
            }
            let Tok::Alu(next) = self.peek() else { break };
            let next = Op::Binary(next);
            while ops.last().is_some_and(|(op, _)| op.goes_before(next)) {
                self.reduce(&mut values, &mut ops)?;
            }
            ops.push((next, self.next().span));
        }
        while !ops.is_empty() {
            self.reduce(&mut values, &mut ops)?;
        }
        values.pop().ok_or_else(|| self.expected("a number or a value of the packet"))
    }

    /// Applies the last operator to the last one or two values.
    fn reduce(&mut self, values: &mut Vec<Value>, ops: &mut Vec<(Op, Span)>) -> Fallible<()> {
        let (Some((op, op_span)), Some(right)) = (ops.pop(), values.pop()) else { return Ok(()) };
        let value = match op {
            Op::Negate => {
                let span = op_span.to(right.span);
                Value { depth: right.depth + 1, arith: Arith::Neg(Box::new(right.arith)), span, plain: false }
            }
            Op::Binary(op) => {
                let Some(left) = values.pop() else { return Ok(()) };
                check_constant(op, &right)?;
                let span = left.span.to(right.span);
                let arith = Arith::Binary(op, Box::new(left.arith), Box::new(right.arith), span);
                Value { arith, span, depth: left.depth.max(right.depth) + 1, plain: false }
            }
        };
        if value.depth > MAX_DEPTH {
            return Err(too_deep(value.span));
        }
        values.push(value);
        Ok(())
    }

    fn arithmetic_operand(&mut self, depth: u32) -> Fallible<Value> {
        let token = self.token(0);
        if depth > MAX_DEPTH {
            return Err(too_deep(token.span));
        }
        let leaf = |arith, plain| Ok(Value { arith, span: token.span, depth: 1, plain });
        match token.tok {
            Tok::Num(number) => {
                self.next();
                leaf(Arith::Number(number), true)
            }
            Tok::Word(Word::Len) => {
                self.next();
                leaf(Arith::Len, false)
            }
            Tok::Word(Word::Proto(proto)) => {
                self.next();
                self.load(Accessor::Proto(proto), token.span, depth)
            }
            Tok::Name => {
                let name = self.text(token.span);
                if let Some(accessor) = accessor(name) {
                    self.next();
                    return self.load(accessor, token.span, depth);
                }
                let Some(word) = meta_word(name) else {
                    let help = suggest::instead_of_value(name);
                    let error = self.expected("a number or a value of the packet");
                    return Err(Box::new(error.with_help(help)));
                };
                self.next();
                leaf(Arith::Meta(word, token.span), false)
            }
            Tok::Open => {
                self.next();
                let mut value = self.arithmetic(None, depth + 1)?;
                if self.peek() != Tok::Close {
                    return Err(self.expected("`)` or an arithmetic operator"));
                }
                value.span = token.span.to(self.next().span);
                Ok(value)
            }
            _ => {
                let bad = token.tok == Tok::Bad;
                let error = self.expected("a number or a value of the packet");
                Err(if bad { error } else { Box::new(error.with_help(suggest::VALUES)) })
            }
        }
    }

    /// The part `[offset:size]` after a protocol.
    fn load(&mut self, proto: Accessor, start: Span, depth: u32) -> Fallible<Value> {
        if self.peek() != Tok::OpenBracket {
            let name = self.text(start).to_owned();
            let error = self.expected("`[` and an offset");
            return Err(Box::new(error.with_help(format!("`{name}[0]` is the first byte of that header"))));
        }
        let open = self.next().span;
        let offset = self.arithmetic(None, depth + 1)?;
        let mut size = 1;
        if self.peek() == Tok::Colon {
            self.next();
            let Tok::Num(bytes) = self.peek() else { return Err(self.expected("1, 2 or 4, the number of bytes")) };
            let token = self.next();
            if !matches!(bytes, 1 | 2 | 4) {
                let error =
                    Diagnostic::error(token.span, "the data size must be 1, 2 or 4").with_label("number of bytes");
                return Err(Box::new(error.with_help("combine loads of these sizes for other fields")));
            }
            size = bytes;
        }
        if self.peek() != Tok::CloseBracket {
            let error = self.expected("`]`, or `:` and a size");
            return Err(Box::new(error.with_help(format!("the bracket was opened at byte {}", open.start))));
        }
        let span = start.to(self.next().span);
        let depth = offset.depth + 1;
        if depth > MAX_DEPTH {
            return Err(too_deep(span));
        }
        let arith = Arith::Load { proto, offset: Box::new(offset.arith), size, span };
        Ok(Value { arith, span, depth, plain: false })
    }
}

/// Refuses what can never be computed. Only literal operands are looked at, as tcpdump does.
fn check_constant(op: AluOp, right: &Value) -> Fallible<()> {
    let Arith::Number(number) = right.arith else { return Ok(()) };
    let (message, help) = match op {
        AluOp::Div if number == 0 => ("division by zero", "divide by another number"),
        AluOp::Mod if number == 0 => ("modulus by zero", "take the remainder of another number"),
        AluOp::Lsh | AluOp::Rsh if number > 31 => ("shift by more than 31 bits", "values have 32 bits"),
        _ => return Ok(()),
    };
    Err(Box::new(Diagnostic::error(right.span, message).with_help(help)))
}

fn too_deep(span: Span) -> Box<Diagnostic> {
    let message = format!("the arithmetic expression is nested more than {MAX_DEPTH} levels deep");
    Box::new(Diagnostic::error(span, message).with_help("split it into several comparisons joined by `and`"))
}
