//! Conditions: expressions that lead to one of two blocks.

use skep_ir::{Block, Cond};

use super::body::Body;
use crate::ast::BinaryOp;
use crate::check::tree::{Expr, Kind};

impl Body<'_, '_, '_> {
    /// On to one of two blocks.
    pub fn cond(&mut self, expr: &Expr, yes: Block, no: Block) {
        self.at(expr.span);
        match &expr.kind {
            Kind::Int(value) => self.b.jump(if *value == 0 { no } else { yes }, &[]),
            Kind::Not(inner) => self.cond(inner, no, yes),
            Kind::And(left, right) => {
                let next = self.b.block(&[]);
                self.cond(left, next, no);
                self.b.switch_to(next);
                self.cond(right, yes, no);
            }
            Kind::Or(left, right) => {
                let next = self.b.block(&[]);
                self.cond(left, yes, next);
                self.b.switch_to(next);
                self.cond(right, yes, no);
            }
            Kind::Compare(op, left, right, signed) => {
                let a = self.scalar(left);
                let b = self.scalar(right);
                self.at(expr.span);
                self.b.branch(condition(*op, *signed), a, b, yes, no);
            }
            Kind::Equal { left, right, len, negated } => {
                let (same, other) = if *negated { (no, yes) } else { (yes, no) };
                self.equal(left, right, *len, same, other);
            }
            _ => {
                let value = self.scalar(expr);
                let zero = self.b.i64(0);
                self.b.branch(Cond::Ne, value, zero, yes, no);
            }
        }
    }
}

const fn condition(op: BinaryOp, signed: bool) -> Cond {
    match (op, signed) {
        (BinaryOp::Eq, _) => Cond::Eq,
        (BinaryOp::Lt, true) => Cond::Slt,
        (BinaryOp::Lt, false) => Cond::Ult,
        (BinaryOp::Le, true) => Cond::Sle,
        (BinaryOp::Le, false) => Cond::Ule,
        (BinaryOp::Gt, true) => Cond::Sgt,
        (BinaryOp::Gt, false) => Cond::Ugt,
        (BinaryOp::Ge, true) => Cond::Sge,
        (BinaryOp::Ge, false) => Cond::Uge,
        _ => Cond::Ne,
    }
}
