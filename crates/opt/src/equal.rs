//! Compares what was loaded for equality without extending it by its sign, where nothing else reads it: two numbers are equal
//! if their bytes are. Without this, each comparison of characters takes two shifts for each side.

use skep_ir::analysis::use_counts;
use skep_ir::{Cond, Entity, Function, Inst, InstData, Value, ValueDef, Width};

use crate::Ctx;
use crate::util::insert;

/// One side of a comparison.
#[derive(Clone, Copy)]
enum Side {
    /// A load that extends by the sign and that only the comparison reads.
    Load(Inst, Width),
    Number(i64),
}

/// The pass.
pub fn equal(function: &mut Function, _ctx: &Ctx) -> bool {
    let mut changed = false;
    let uses = use_counts(function);
    let count = |value: Value| uses.get(value.index()).copied().unwrap_or(0);
    for block in function.blocks.clone() {
        let mut at = 0;
        while at < function[block].insts.len() {
            let inst = function[block].insts[at];
            at += 1;
            let Some(args) = compared(function, inst, &count) else { continue };
            let [Some(left), Some(right)] = args.map(|value| side(function, value, &count)) else { continue };
            let (loads, number) = match (left, right) {
                (Side::Load(one, width), Side::Load(other, same)) if width == same && one != other => {
                    (vec![one, other], None)
                }
                (Side::Load(one, width), Side::Number(number)) => {
                    let bits = 8 * width.bytes();
                    let signed =
                        if function.ty(args[0]) == skep_ir::Type::I32 { i64::from(number as i32) } else { number };
                    if signed << (64 - bits) >> (64 - bits) != signed {
                        continue;
                    }
                    (vec![one], Some(signed & ((1 << bits) - 1)))
                }
                _ => continue,
            };
            for load in loads {
                if let InstData::Load { signed, .. } = &mut function[load].data {
                    *signed = false;
                }
            }
            if let Some(number) = number.filter(|number| function.constant(args[1]) != Some(*number)) {
                let (ty, loc) = (function.ty(args[1]), function[inst].loc);
                let made = insert(function, block, at - 1, InstData::Const(number), ty, loc);
                at += 1;
                match &mut function[inst].data {
                    InstData::Branch { args, .. } | InstData::Compare(_, args) => args[1] = made,
                    InstData::Select(_, args) => args[1] = made,
                    _ => {}
                }
            }
            changed = true;
        }
    }
    changed
}

/// The operands of a comparison for equality, if nothing behind it reads them under other names.
fn compared(function: &Function, inst: Inst, count: &impl Fn(Value) -> u32) -> Option<[Value; 2]> {
    match function[inst].data {
        InstData::Branch { cond: Cond::Eq | Cond::Ne, args, .. } => {
            function[inst].results.iter().all(|&name| count(name) == 0).then_some(args)
        }
        InstData::Compare(Cond::Eq | Cond::Ne, args) => Some(args),
        InstData::Select(Cond::Eq | Cond::Ne, [left, right, ..]) => Some([left, right]),
        _ => None,
    }
}

fn side(function: &Function, value: Value, count: &impl Fn(Value) -> u32) -> Option<Side> {
    if let Some(number) = function.constant(value) {
        return Some(Side::Number(number));
    }
    let ValueDef::Result(inst, 0) = function.def(value) else { return None };
    match function[inst].data {
        InstData::Load { signed: true, width, volatile: false, .. } if width != Width::W64 && count(value) == 1 => {
            Some(Side::Load(inst, width))
        }
        _ => None,
    }
}
