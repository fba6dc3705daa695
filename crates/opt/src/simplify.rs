//! Rewrites single instructions: constants, algebra, comparisons, cheaper operators, address arithmetic.
//!
//! Rules look at an instruction and those that define its operands, and never at where else a value was compared: a
//! refined name stays what it is. What is left alone on purpose: sums of pointers and variables, the width and the
//! operands of comparisons, constants that depend on the kernel's types, subtraction of constants.

mod integers;

use skep_ir::analysis::use_counts;
use skep_ir::{Binary, Cond, Entity, Function, Inst, InstData, Loc, Type, Unary, Value};

use crate::Ctx;
use crate::effects;
use crate::fold;
use crate::util::{Renames, constant, normal};

/// Rounds in which every rule may fire anywhere; each round makes the function smaller or more uniform.
const ROUNDS: usize = 16;

/// What becomes of an instruction.
enum New {
    /// Its result is another value.
    Value(Value),
    /// Its result is a number.
    Const(i64),
    /// Another instruction with the same results.
    Data(InstData),
}

/// The function while its instructions are gone through.
struct Rewriter<'f> {
    function: &'f mut Function,
    ctx: &'f Ctx<'f>,
    uses: Vec<u32>,
    /// The instructions in front of the one that is looked at.
    out: Vec<Inst>,
    loc: Loc,
}

impl Rewriter<'_> {
    /// Adds an instruction in front.
    fn emit(&mut self, data: InstData, ty: Type) -> Value {
        let inst = self.function.make_inst(data, &[ty], self.loc);
        self.out.push(inst);
        self.function[inst].results[0]
    }

    fn number(&mut self, number: i64, ty: Type) -> Value {
        self.emit(InstData::Const(normal(number, ty)), ty)
    }

    fn binary(&mut self, op: Binary, left: Value, right: i64) -> InstData {
        let ty = self.function.ty(left);
        InstData::Binary(op, [left, self.number(right, ty)])
    }

    fn constant(&self, value: Value) -> Option<i64> {
        constant(self.function, value)
    }

    /// What defines a value.
    fn def(&self, value: Value) -> Option<&InstData> {
        self.function.def_inst(value)
    }

    /// The address that a pointer was made of by adding constants, whatever it was called, and their sum.
    fn steps(&self, pointer: Value) -> (Value, i64) {
        let (mut base, mut sum) = (pointer, 0_i64);
        loop {
            match self.def(base) {
                Some(InstData::PtrAddConst(from, step)) => (base, sum) = (*from, sum.wrapping_add((*step).into())),
                Some(InstData::Cast(from)) => base = *from,
                Some(InstData::PtrAdd(from, step)) => match self.constant(*step) {
                    Some(step) => (base, sum) = (*from, sum.wrapping_add(step)),
                    None => return (base, sum),
                },
                _ => return (base, sum),
            }
        }
    }

    /// Whether one instruction reads a value. Values made in this round count as read once.
    fn used_once(&self, value: Value) -> bool {
        self.uses.get(value.index()).is_none_or(|&count| count <= 1)
    }
}

/// The pass.
pub fn simplify(function: &mut Function, ctx: &Ctx) -> bool {
    let mut changed = false;
    for _ in 0..ROUNDS {
        if !round(function, ctx) {
            break;
        }
        changed = true;
    }
    changed
}

fn round(function: &mut Function, ctx: &Ctx) -> bool {
    let mut renames = Renames::new(function);
    let uses = use_counts(function);
    let mut changed = false;
    let mut rewriter = Rewriter { function, ctx, uses, out: Vec::new(), loc: Loc::default() };
    for block in rewriter.function.blocks.clone() {
        for inst in std::mem::take(&mut rewriter.function[block].insts) {
            renames.apply_to(&mut rewriter.function[inst].data);
            rewriter.loc = rewriter.function[inst].loc;
            match rule(&mut rewriter, inst) {
                None => {}
                Some(New::Value(value)) => {
                    changed = true;
                    renames.set(rewriter.function[inst].results[0], value);
                    continue;
                }
                Some(New::Const(number)) => {
                    changed = true;
                    rewriter.function[inst].data = InstData::Const(number);
                }
                Some(New::Data(data)) => {
                    changed = true;
                    rewriter.function[inst].data = data;
                }
            }
            rewriter.out.push(inst);
        }
        rewriter.function[block].insts = std::mem::take(&mut rewriter.out);
    }
    renames.apply(function);
    changed
}

fn rule(rewriter: &mut Rewriter, inst: Inst) -> Option<New> {
    let node = &rewriter.function[inst];
    let result = node.results.first().map(|&value| rewriter.function.ty(value));
    match node.data {
        InstData::Unary(op, value) => integers::unary(rewriter, op, value, result?),
        InstData::Binary(op, args) => integers::binary(rewriter, op, args, result?),
        InstData::Compare(cond, args) => compare(rewriter, cond, args),
        InstData::Select(cond, args) => select(rewriter, cond, args),
        InstData::Branch { cond, args, .. } if node.results.is_empty() => branch(rewriter, inst, cond, args),
        InstData::Load { volatile: false, .. } => match constant_load(rewriter, inst) {
            Some(number) => Some(New::Const(number)),
            None => address(rewriter, inst),
        },
        InstData::PtrAdd(..)
        | InstData::PtrAddConst(..)
        | InstData::PtrDiff(..)
        | InstData::Load { .. }
        | InstData::Store { .. }
        | InstData::Atomic { .. }
        | InstData::CompareExchange { .. } => address(rewriter, inst),
        _ => None,
    }
}

/// The number that a load of bytes gives which nobody changes.
fn constant_load(rewriter: &Rewriter, inst: Inst) -> Option<i64> {
    let function = &*rewriter.function;
    let node = &function[inst];
    let InstData::Load { width, signed, ptr, off, .. } = node.data else { return None };
    let ty = function.ty(*node.results.first()?);
    let (base, offset, _) = effects::origin(function, ptr);
    let InstData::GlobalAddr(global) = *function.def_inst(base)? else { return None };
    let global = rewriter.ctx.globals.get(global.index()).filter(|global| global.is_read_only() && ty.is_int())?;
    let start = usize::try_from(offset + i64::from(off)).ok()?;
    let bytes = global.bytes.get(start..start.checked_add(width.bytes() as usize)?)?;
    let join = |word: u64, byte: &u8| word << 8 | u64::from(*byte);
    let big = rewriter.ctx.options.big_endian;
    let word = if big { bytes.iter().fold(0, join) } else { bytes.iter().rev().fold(0, join) };
    let above = 64 - 8 * width.bytes();
    let number = if signed { (word << above).cast_signed() >> above } else { word.cast_signed() };
    Some(normal(number, ty))
}

fn compare(rewriter: &mut Rewriter, cond: Cond, args: [Value; 2]) -> Option<New> {
    if let Some(known) = decided(rewriter, cond, args) {
        return Some(New::Const(known.into()));
    }
    let (cond, args, negate) = canonical(rewriter, cond, args)?;
    let cond = if negate { cond.negated()? } else { cond };
    Some(New::Data(InstData::Compare(cond, args)))
}

fn select(rewriter: &mut Rewriter, cond: Cond, [left, right, yes, no]: [Value; 4]) -> Option<New> {
    if yes == no {
        return Some(New::Value(yes));
    }
    if let Some(known) = decided(rewriter, cond, [left, right]) {
        return Some(New::Value(if known { yes } else { no }));
    }
    let (cond, [left, right], negate) = canonical(rewriter, cond, [left, right])?;
    let (yes, no) = if negate { (no, yes) } else { (yes, no) };
    Some(New::Data(InstData::Select(cond, [left, right, yes, no])))
}

fn branch(rewriter: &mut Rewriter, inst: Inst, cond: Cond, args: [Value; 2]) -> Option<New> {
    // Decided ones are for `blocks`, which then removes what cannot be reached.
    let (cond, args, negate) = canonical(rewriter, cond, args)?;
    let InstData::Branch { yes, no, .. } = rewriter.function[inst].data.clone() else { return None };
    let (yes, no) = if negate { (no, yes) } else { (yes, no) };
    Some(New::Data(InstData::Branch { cond, args, yes, no }))
}

/// Whether a comparison is known to hold, or not to.
fn decided(rewriter: &Rewriter, cond: Cond, [left, right]: [Value; 2]) -> Option<bool> {
    if left == right
        && let Some(known) = fold::compare_same(cond)
    {
        return Some(known);
    }
    let (left_number, right_number) = (rewriter.constant(left)?, rewriter.constant(right)?);
    Some(fold::compare(cond, left_number, right_number, rewriter.function.ty(left)))
}

/// A comparison in its usual form, `None` if it has that already: numbers on the right; `== 0` and `!= 0` for unsigned
/// ones at the end of the range; the comparison itself for a test of its result. The flag says that the opposite is meant.
fn canonical(rewriter: &mut Rewriter, cond: Cond, [left, right]: [Value; 2]) -> Option<(Cond, [Value; 2], bool)> {
    if rewriter.constant(left).is_some() && rewriter.constant(right).is_none() {
        return Some((cond.swapped(), [right, left], false));
    }
    let number = rewriter.constant(right)?;
    if rewriter.constant(left).is_some() {
        return None;
    }
    if let Some(found) = tested(rewriter, cond, left, number) {
        return Some(found);
    }
    let ty = rewriter.function.ty(left);
    let equal = match (cond, number) {
        (Cond::Ult, 1) | (Cond::Ule, 0) => Cond::Eq,
        (Cond::Ugt, 0) | (Cond::Uge, 1) => Cond::Ne,
        _ => return None,
    };
    let zero = rewriter.number(0, ty);
    Some((equal, [left, zero], false))
}

/// The comparison that made the number which is tested here.
fn tested(rewriter: &Rewriter, cond: Cond, value: Value, number: i64) -> Option<(Cond, [Value; 2], bool)> {
    let mut value = value;
    while let Some(InstData::Unary(Unary::Extend | Unary::Truncate, from)) = rewriter.function.def_inst(value) {
        value = *from;
    }
    let Some(InstData::Compare(inner, args)) = rewriter.function.def_inst(value) else { return None };
    let negate = match (cond, number) {
        (Cond::Ne | Cond::Ugt | Cond::Sgt, 0) | (Cond::Eq | Cond::Uge | Cond::Sge | Cond::Set, 1) => false,
        (Cond::Eq, 0) | (Cond::Ne | Cond::Ult | Cond::Slt, 1) => true,
        _ => return None,
    };
    Some((*inner, *args, negate))
}

/// Addresses: constant steps are added up, and go into the offset of accesses.
fn address(rewriter: &Rewriter, inst: Inst) -> Option<New> {
    match rewriter.function[inst].data {
        InstData::PtrAdd(ptr, offset) => {
            let step = i32::try_from(rewriter.constant(offset)?).ok()?;
            Some(New::Data(InstData::PtrAddConst(ptr, step)))
        }
        InstData::PtrAddConst(ptr, 0) => Some(New::Value(ptr)),
        InstData::PtrAddConst(ptr, step) => {
            let Some(InstData::PtrAddConst(base, first)) = rewriter.def(ptr) else { return None };
            Some(New::Data(InstData::PtrAddConst(*base, first.checked_add(step)?)))
        }
        InstData::PtrDiff(left, right) => {
            let (one, other) = (rewriter.steps(left), rewriter.steps(right));
            (one.0 == other.0).then(|| New::Const(one.1.wrapping_sub(other.1)))
        }
        InstData::Load { ptr, off, .. }
        | InstData::Store { ptr, off, .. }
        | InstData::Atomic { ptr, off, .. }
        | InstData::CompareExchange { ptr, off, .. } => {
            let Some(&InstData::PtrAddConst(base, step)) = rewriter.def(ptr) else { return None };
            let sum = i16::try_from(i32::from(off).checked_add(step)?).ok()?;
            let mut access = rewriter.function[inst].data.clone();
            if let InstData::Load { ptr, off, .. }
            | InstData::Store { ptr, off, .. }
            | InstData::Atomic { ptr, off, .. }
            | InstData::CompareExchange { ptr, off, .. } = &mut access
            {
                (*ptr, *off) = (base, sum);
            }
            Some(New::Data(access))
        }
        _ => None,
    }
}
