//! Removes masks, extensions and branches that the verifier can see to be redundant.
//!
//! Facts come from `skep_domain`, which knows what the verifier knows, and only from places where every kernel from 6.1
//! on knows as much: nothing is concluded from negation, byte swaps, quotients, or bits that differ. The analysis knows
//! less than the verifier, which follows each way by itself.

mod analysis;

use skep_domain::{Range, Scalar, Width};
use skep_ir::{Binary, Block, Function, Inst, InstData, Type, Unary, Value};

use crate::Ctx;
use crate::util::{Renames, constant, make_jump};

pub use analysis::Facts;

/// The pass.
pub fn range(function: &mut Function, ctx: &Ctx) -> bool {
    let Some(facts) = Facts::new(function, ctx.options.cpu) else { return false };
    let mut renames = Renames::new(function);
    let mut changed = false;
    let mut decided = Vec::new();
    for block in function.blocks.clone() {
        if !facts.is_reached(block) {
            continue;
        }
        for inst in function[block].insts.clone() {
            match redundant(function, &facts, block, inst) {
                None => {}
                Some(New::Value(value)) => renames.set(function[inst].results[0], value),
                Some(New::Data(data)) => {
                    function[inst].data = data;
                    changed = true;
                }
                Some(New::Way(yes)) => decided.push((inst, yes)),
            }
        }
    }
    // Before results of branches disappear, which may be among the new names.
    let renamed = renames.apply(function);
    let mut operands = Renames::new(function);
    for &(inst, way) in &decided {
        if let InstData::Branch { yes, no, .. } = &function[inst].data {
            let edge = if way { yes.clone() } else { no.clone() };
            make_jump(function, inst, edge, &mut operands);
        }
    }
    operands.apply(function);
    if !decided.is_empty() {
        crate::blocks::remove_unreachable(function);
    }
    changed || renamed || !decided.is_empty()
}

enum New {
    Value(Value),
    Data(InstData),
    /// The branch always goes to `yes`, or always to `no`.
    Way(bool),
}

fn redundant(function: &Function, facts: &Facts, block: Block, inst: Inst) -> Option<New> {
    let at = |value| facts.at(function, block, value);
    match function[inst].data {
        InstData::Binary(Binary::And, [value, mask]) => {
            let mask = constant(function, mask)?.cast_unsigned();
            (at(value)?.bits().max() & !mask == 0).then_some(New::Value(value))
        }
        InstData::Binary(op @ (Binary::Sdiv | Binary::Srem), args) => {
            let ty = function.ty(args[0]);
            let positive = args.iter().all(|&arg| at(arg).is_some_and(|known| is_positive(known, ty)));
            let op = if op == Binary::Sdiv { Binary::Udiv } else { Binary::Urem };
            positive.then_some(New::Data(InstData::Binary(op, args)))
        }
        InstData::Binary(Binary::Ashr, args) => {
            is_positive(at(args[0])?, function.ty(args[0])).then_some(New::Data(InstData::Binary(Binary::Lshr, args)))
        }
        InstData::Unary(op @ (Unary::Sext8 | Unary::Sext16 | Unary::Sext32), value) => {
            extended(function, at(value)?, op, value, function.ty(function[inst].results[0]))
        }
        InstData::Compare(cond, args) => {
            let known = decided(function, facts, block, cond, args)?;
            Some(New::Data(InstData::Const(known.into())))
        }
        InstData::Branch { cond, args, .. } => decided(function, facts, block, cond, args).map(New::Way),
        _ => None,
    }
}

fn is_positive(known: Scalar, ty: Type) -> bool {
    match ty {
        Type::I32 => known.s32().min >= 0,
        _ => known.s64().min >= 0,
    }
}

/// An extension by the sign of a number that is small enough already.
fn extended(function: &Function, known: Scalar, op: Unary, value: Value, to: Type) -> Option<New> {
    let end = match op {
        Unary::Sext8 => 0x7f,
        Unary::Sext16 => 0x7fff,
        _ => 0x7fff_ffff,
    };
    // The whole register: what the verifier does not know about the upper half would be used.
    if !Range::new(0, end).includes(known.u64()) {
        return None;
    }
    let same = function.ty(value) == to;
    Some(if same { New::Value(value) } else { New::Data(InstData::Unary(Unary::Extend, value)) })
}

/// What a comparison gives, if every kernel sees that: one side is a number, and the ranges decide.
fn decided(function: &Function, facts: &Facts, block: Block, cond: skep_ir::Cond, args: [Value; 2]) -> Option<bool> {
    let [left, right] = args;
    let ty = function.ty(left);
    if !ty.is_int() || constant(function, left).is_none() && constant(function, right).is_none() {
        return None;
    }
    let (left, right) = (facts.at(function, block, left)?, facts.at(function, block, right)?);
    let width = analysis::width(ty);
    let known = left.decide(analysis::cond(cond), right, width)?;
    let equality = matches!(cond, skep_ir::Cond::Eq | skep_ir::Cond::Ne);
    if !equality || left.as_constant().is_some() && right.as_constant().is_some() {
        return Some(known);
    }
    let apart = match width {
        Width::W32 => left.u32().intersect(right.u32()).is_empty() || left.s32().intersect(right.s32()).is_empty(),
        Width::W64 => left.u64().intersect(right.u64()).is_empty() || left.s64().intersect(right.s64()).is_empty(),
    };
    apart.then_some(known)
}
