//! Expressions with operators, from the weakest to the strongest. What follows an operand is in `postfix`.

use super::ast::{BinOp, Expr, ExprKind};
use super::{Parsed, Parser};
use crate::lex::{Keyword, Punct, TokenKind};
use crate::source::{Diag, Loc};
use crate::types::{Int, Types};

/// Highest tree of one expression.
const HIGHEST: u16 = 300;

const fn assign_op(punct: Punct) -> Option<BinOp> {
    Some(match punct {
        Punct::StarAssign => BinOp::Mul,
        Punct::SlashAssign => BinOp::Div,
        Punct::PercentAssign => BinOp::Rem,
        Punct::PlusAssign => BinOp::Add,
        Punct::MinusAssign => BinOp::Sub,
        Punct::ShlAssign => BinOp::Shl,
        Punct::ShrAssign => BinOp::Shr,
        Punct::AmpAssign => BinOp::And,
        Punct::CaretAssign => BinOp::Xor,
        Punct::PipeAssign => BinOp::Or,
        _ => return None,
    })
}

/// An infix operator.
#[derive(Clone, Copy)]
enum Infix {
    Op(BinOp),
    And,
    Or,
}

/// How strongly an operator binds, and what it is.
const fn infix(punct: Punct) -> Option<(u8, Infix)> {
    Some(match punct {
        Punct::OrOr => (1, Infix::Or),
        Punct::AndAnd => (2, Infix::And),
        Punct::Pipe => (3, Infix::Op(BinOp::Or)),
        Punct::Caret => (4, Infix::Op(BinOp::Xor)),
        Punct::Amp => (5, Infix::Op(BinOp::And)),
        Punct::EqEq => (6, Infix::Op(BinOp::Eq)),
        Punct::Ne => (6, Infix::Op(BinOp::Ne)),
        Punct::Lt => (7, Infix::Op(BinOp::Lt)),
        Punct::Le => (7, Infix::Op(BinOp::Le)),
        Punct::Gt => (7, Infix::Op(BinOp::Gt)),
        Punct::Ge => (7, Infix::Op(BinOp::Ge)),
        Punct::Shl => (8, Infix::Op(BinOp::Shl)),
        Punct::Shr => (8, Infix::Op(BinOp::Shr)),
        Punct::Plus => (9, Infix::Op(BinOp::Add)),
        Punct::Minus => (9, Infix::Op(BinOp::Sub)),
        Punct::Star => (10, Infix::Op(BinOp::Mul)),
        Punct::Slash => (10, Infix::Op(BinOp::Div)),
        Punct::Percent => (10, Infix::Op(BinOp::Rem)),
        _ => return None,
    })
}

impl Parser<'_> {
    /// An expression, commas included.
    pub(super) fn expression(&mut self) -> Parsed<Expr> {
        let mut left = self.assignment()?;
        while self.is(Punct::Comma) {
            let loc = self.loc();
            self.next();
            let right = self.assignment()?;
            let right = self.rvalue(right)?;
            let ty = right.ty;
            left = self.low(Expr::new(ExprKind::Comma(Box::new(left), Box::new(right)), ty, loc))?;
        }
        Ok(left)
    }

    /// An expression whose tree is not too high.
    pub(super) fn low(&mut self, expr: Expr) -> Parsed<Expr> {
        if expr.height <= HIGHEST {
            return Ok(expr);
        }
        self.fail(
            Diag::error(expr.loc, format!("this expression has more than {HIGHEST} operators in a row"))
                .with_help("put a part of it into a variable"),
        )
    }

    /// An expression without commas.
    pub(super) fn assignment(&mut self) -> Parsed<Expr> {
        self.deeper(|parser| {
            let left = parser.conditional_here()?;
            let TokenKind::Punct(punct) = *parser.peek() else { return Ok(left) };
            let loc = parser.loc();
            if punct == Punct::Assign {
                parser.next();
                let right = parser.assignment()?;
                return parser.assign(left, right, loc);
            }
            let Some(op) = assign_op(punct) else { return Ok(left) };
            parser.next();
            let right = parser.assignment()?;
            parser.assign_op(op, left, right, loc)
        })
    }

    /// `a ? b : c` and what binds more strongly.
    pub(super) fn conditional(&mut self) -> Parsed<Expr> {
        self.deeper(Self::conditional_here)
    }

    fn conditional_here(&mut self) -> Parsed<Expr> {
        let cond = self.operators(1)?;
        if !self.is(Punct::Question) {
            return Ok(cond);
        }
        let loc = self.loc();
        self.next();
        let yes = if self.is(Punct::Colon) { None } else { Some(self.deeper(Self::expression)?) };
        self.expect(Punct::Colon, "between the results of `?`")?;
        let no = self.conditional()?;
        let chosen = self.choose(cond, yes, no, loc)?;
        self.low(chosen)
    }

    fn operators(&mut self, weakest: u8) -> Parsed<Expr> {
        let mut left = self.cast()?;
        loop {
            let TokenKind::Punct(punct) = *self.peek() else { return Ok(left) };
            let Some((strength, op)) = infix(punct).filter(|(strength, _)| *strength >= weakest) else {
                return Ok(left);
            };
            let loc = self.loc();
            self.next();
            let right = self.operators(strength + 1)?;
            let made = match op {
                Infix::Op(op) => self.binary(op, left, right, loc)?,
                Infix::And | Infix::Or => self.logical(matches!(op, Infix::And), left, right, loc)?,
            };
            left = self.low(made)?;
        }
    }

    fn logical(&mut self, and: bool, left: Expr, right: Expr, loc: Loc) -> Parsed<Expr> {
        let (left, right) = (self.condition(left)?, self.condition(right)?);
        let ty = Types::int(Int::Int);
        let number = |value: bool| Expr::new(ExprKind::Int(value.into()), ty, loc);
        Ok(match (and, left.literal(), right.literal()) {
            (true, Some(0), _) => number(false),
            (false, Some(value), _) if value != 0 => number(true),
            (_, Some(_), Some(value)) => number(value != 0),
            (true, ..) => Expr::new(ExprKind::LogAnd(Box::new(left), Box::new(right)), ty, loc),
            (false, ..) => Expr::new(ExprKind::LogOr(Box::new(left), Box::new(right)), ty, loc),
        })
    }

    /// Casts, compound literals, and operators in front of their operand.
    fn cast(&mut self) -> Parsed<Expr> {
        if self.is(Punct::LParen) && self.begins_type_at(1) {
            return self.deeper(|parser| {
                let loc = parser.loc();
                parser.next();
                let ty = parser.type_name()?;
                parser.expect(Punct::RParen, "behind the type")?;
                if parser.is(Punct::LBrace) {
                    let literal = parser.compound_literal(ty, loc)?;
                    return parser.postfix_of(literal);
                }
                let operand = parser.cast()?;
                let made = parser.explicit_cast(operand, ty, loc)?;
                parser.low(made)
            });
        }
        self.prefix()
    }

    fn prefix(&mut self) -> Parsed<Expr> {
        let loc = self.loc();
        match *self.peek() {
            TokenKind::Punct(punct) => {
                let text = match punct {
                    Punct::Plus | Punct::Minus | Punct::Tilde | Punct::Bang => punct.spelling(),
                    Punct::Amp | Punct::Star | Punct::PlusPlus | Punct::MinusMinus => "",
                    Punct::AndAnd => return self.error(loc, "the address of a label cannot be taken in BPF"),
                    _ => return self.postfix(),
                };
                self.next();
                self.deeper(|parser| {
                    let operand = parser.cast()?;
                    let made = match punct {
                        Punct::Amp => parser.address_of(operand, loc),
                        Punct::Star => parser.deref(operand, loc),
                        Punct::PlusPlus => parser.step_by(operand, 1, false, loc),
                        Punct::MinusMinus => parser.step_by(operand, -1, false, loc),
                        _ => parser.unary(text, operand, loc),
                    }?;
                    parser.low(made)
                })
            }
            TokenKind::Keyword(Keyword::Sizeof) => self.size_or_align(true),
            TokenKind::Keyword(Keyword::Alignof) => self.size_or_align(false),
            TokenKind::Keyword(Keyword::Extension) => {
                self.next();
                self.deeper(Self::cast)
            }
            _ => self.postfix(),
        }
    }

    fn size_or_align(&mut self, size: bool) -> Parsed<Expr> {
        let loc = self.loc();
        self.next();
        let ty = if self.is(Punct::LParen) && self.begins_type_at(1) {
            self.next();
            let ty = self.type_name()?;
            self.expect(Punct::RParen, "behind the type")?;
            if self.is(Punct::LBrace) {
                self.unevaluated += 1;
                let literal = self.compound_literal(ty, loc).and_then(|literal| self.postfix_of(literal));
                self.unevaluated -= 1;
                literal?.ty
            } else {
                ty
            }
        } else {
            self.unevaluated += 1;
            let expr = self.deeper(Self::prefix);
            self.unevaluated -= 1;
            expr?.ty
        };
        self.settle(ty);
        let value = if !size {
            Some(self.types.align(ty))
        } else if self.types.is_void(ty) || self.types.as_func(ty).is_some() {
            Some(1)
        } else {
            self.types.size(ty)
        };
        let Some(value) = value else {
            let shown = self.types.show(ty);
            return self.error(loc, format!("the size of the incomplete type `{shown}` is not known"));
        };
        Ok(Expr::new(ExprKind::Int(value.cast_signed()), Types::int(Int::ULong), loc))
    }

    /// Whether what is parsed is not evaluated.
    pub fn is_unevaluated(&self) -> bool {
        self.unevaluated > 0
    }

    /// How many `__builtin_preserve_access_index` and their like are around.
    pub fn preserving_depth(&self) -> u32 {
        self.preserving
    }
}
