//! Computes in 32 bits what is cut to 32 bits, where that drops extensions.
//!
//! Operands of comparisons and of address arithmetic stay as they are: what is compared has to be what is used.

use skep_ir::analysis::use_counts;
use skep_ir::{Binary, Entity, Function, InstData, Type, Unary, Value};

use crate::Ctx;
use crate::util::{constant, insert, normal};

/// The pass.
pub fn narrow(function: &mut Function, _ctx: &Ctx) -> bool {
    let mut changed = false;
    let uses = use_counts(function);
    for block in function.blocks.clone() {
        let mut at = 0;
        while at < function[block].insts.len() {
            let inst = function[block].insts[at];
            if let InstData::Unary(Unary::Truncate, value) = function[inst].data
                && uses.get(value.index()) == Some(&1)
                && let Some((op, operands)) = halves(function, value)
            {
                let loc = function[inst].loc;
                let mut half = |operand: Half| match operand {
                    Half::Value(value) => value,
                    Half::Number(number) => {
                        at += 1;
                        insert(function, block, at - 1, InstData::Const(number), Type::I32, loc)
                    }
                };
                let [left, right] = operands;
                let args = [half(left), half(right)];
                function[inst].data = InstData::Binary(op, args);
                changed = true;
            }
            at += 1;
        }
    }
    changed
}

/// An operand in 32 bits.
enum Half {
    Value(Value),
    Number(i64),
}

/// The operation that defines a value, if its lower half follows from the lower halves of its operands, which are at
/// hand.
fn halves(function: &Function, value: Value) -> Option<(Binary, [Half; 2])> {
    let InstData::Binary(op, [left, right]) = *function.def_inst(value)? else { return None };
    let half = |value: Value| {
        if let Some(number) = constant(function, value) {
            return Some(Half::Number(normal(number, Type::I32)));
        }
        match function.def_inst(value)? {
            InstData::Unary(Unary::Extend | Unary::Sext32, source) if function.ty(*source) == Type::I32 => {
                Some(Half::Value(*source))
            }
            _ => None,
        }
    };
    let short = || constant(function, right).is_some_and(|count| (0..32).contains(&count));
    let fits = match op {
        Binary::Add | Binary::Sub | Binary::Mul | Binary::And | Binary::Or | Binary::Xor => true,
        Binary::Shl => short(),
        _ => false,
    };
    if !fits {
        return None;
    }
    Some((op, [half(left)?, half(right)?]))
}
