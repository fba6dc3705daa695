//! What is known about integers, by going through the function until nothing new is learnt.

use std::collections::HashMap;

use skep_domain::{Cond, Op, Scalar, Width};
use skep_ir::analysis::{Dominators, inst_blocks};
use skep_ir::{Binary, Block, Entity, Function, Inst, InstData, Type, Unary, Value, ValueDef};

use crate::util::{Hashing, normal};

/// Rounds after which the analysis gives up. Parameters are widened long before.
const ROUNDS: u32 = 64;
/// Changes of a parameter after which it is widened.
const PATIENCE: u32 = 3;

/// What is known about the integers of a function.
#[derive(Debug)]
pub struct Facts {
    /// About each value where it is defined; `None` if it was not reached.
    base: Vec<Option<Scalar>>,
    /// What a branch says about its results in the block that one of its edges leads to.
    refined: HashMap<(Block, Value), Scalar, Hashing>,
    reached: Vec<bool>,
    changes: Vec<u32>,
    dominators: Dominators,
    /// The first place of those before the one that is looked at about which something new was learnt.
    again: Option<usize>,
    homes: Vec<Option<Block>>,
    cpu: u8,
}

impl Facts {
    /// The facts for a function, `None` if they did not settle. `cpu` says how extensions by the sign are made.
    pub fn new(function: &Function, cpu: u8) -> Option<Self> {
        let mut facts = Self {
            base: vec![None; function.value_count()],
            refined: HashMap::default(),
            reached: vec![false; function.block_count()],
            changes: vec![0; function.value_count()],
            dominators: Dominators::new(function),
            again: None,
            homes: inst_blocks(function),
            cpu,
        };
        facts.reached[function.entry().index()] = true;
        for &param in function.params() {
            facts.base[param.index()] = Some(Scalar::UNKNOWN);
        }
        let predecessors = function.predecessors();
        let order = facts.dominators.order().to_vec();
        let mut start = 0;
        for _ in 0..ROUNDS {
            for &block in &order[start..] {
                facts.block(function, block, &predecessors);
            }
            // What was learnt about a block is read there and behind it, and only an edge that leads back can come late.
            let Some(again) = facts.again.take() else { return Some(facts) };
            start = again;
        }
        None
    }

    /// Whether a block can be reached.
    pub fn is_reached(&self, block: Block) -> bool {
        self.reached[block.index()]
    }

    /// What is known about an integer in a block. Of a result of a branch more is known on either side.
    pub fn at(&self, function: &Function, block: Block, value: Value) -> Option<Scalar> {
        let base = self.base[value.index()]?;
        let ValueDef::Result(inst, _) = function.def(value) else { return Some(base) };
        if !matches!(function[inst].data, InstData::Branch { .. }) {
            return Some(base);
        }
        let home = self.homes[inst.index()];
        let mut at = Some(block);
        while let Some(here) = at.filter(|_| at != home) {
            if let Some(&known) = self.refined.get(&(here, value)) {
                return Some(known);
            }
            at = self.dominators.immediate(here);
        }
        Some(base)
    }

    fn set(&mut self, value: Value, new: Scalar) -> bool {
        let entry = &mut self.base[value.index()];
        let joined = entry.map_or(new, |old| if old.includes(new) { old } else { old.union(new) });
        if *entry == Some(joined) {
            return false;
        }
        let count = &mut self.changes[value.index()];
        *count += 1;
        *entry = Some(match *entry {
            Some(old) if *count > PATIENCE => old.widen(joined),
            _ => joined,
        });
        true
    }

    fn block(&mut self, function: &Function, block: Block, predecessors: &[Vec<Block>]) {
        if !self.reached[block.index()] {
            return;
        }
        for &inst in &function[block].insts {
            let data = &function[inst].data;
            if data.is_terminator() {
                self.end(function, block, inst, predecessors);
                continue;
            }
            for &result in &function[inst].results {
                if let Some(known) = self.evaluate(function, block, data, function.ty(result)) {
                    self.set(result, known);
                }
            }
        }
    }

    fn end(&mut self, function: &Function, block: Block, inst: Inst, predecessors: &[Vec<Block>]) {
        let node = &function[inst];
        let mut sides: Option<[Option<(Scalar, Scalar)>; 2]> = None;
        if let InstData::Branch { cond: test, args, .. } = &node.data {
            for (&result, &operand) in node.results.iter().zip(args) {
                let known = self.at(function, block, operand).unwrap_or(Scalar::UNKNOWN);
                self.set(result, known);
            }
            let operands = args.map(|arg| self.at(function, block, arg));
            let [Some(left), Some(right)] = operands else { return };
            if function.ty(args[0]).is_int() && args[0] != args[1] {
                let width = width(function.ty(args[0]));
                sides = Some([cond(*test), cond(*test).negated()].map(|test| left.refine(test, right, width)));
            }
        }
        for (at, edge) in node.data.edges().enumerate() {
            let side = sides.and_then(|sides| sides.get(at).copied());
            if side == Some(None) {
                // The way cannot be taken.
                continue;
            }
            let mut changed = !std::mem::replace(&mut self.reached[edge.block.index()], true);
            for (&param, &arg) in function[edge.block].params.iter().zip(&edge.args) {
                if let Some(known) = self.at(function, block, arg) {
                    changed |= self.set(param, known);
                }
            }
            if let Some(Some((left, right))) = side
                && predecessors[edge.block.index()].len() == 1
            {
                for (&result, known) in node.results.iter().zip([left, right]) {
                    changed |= self.refined.insert((edge.block, result), known) != Some(known);
                }
            }
            let place = self.dominators.place(edge.block);
            if changed && place <= self.dominators.place(block) {
                self.again = self.again.min(place).or(place);
            }
        }
    }

    fn evaluate(&self, function: &Function, block: Block, data: &InstData, ty: Type) -> Option<Scalar> {
        let at = |value: Value| self.at(function, block, value);
        Some(match data {
            InstData::Const(number) => Scalar::constant(normal(*number, ty).cast_unsigned()),
            InstData::Unary(op, value) => self.unary(*op, at(*value)?, ty),
            InstData::Binary(op, [left, right]) => at(*left)?.alu(self::op(*op), at(*right)?, width(ty)),
            InstData::Compare(..) => Scalar::from_range(0, 1),
            InstData::Select(_, [_, _, yes, no]) => at(*yes)?.union(at(*no)?),
            InstData::Load { width: loaded, signed, .. } if ty.is_int() => {
                let bytes = loaded.bytes();
                match (ty, signed) {
                    (_, false) => Scalar::load(bytes, false),
                    (Type::I32, true) => self.sign_extended(Scalar::load(bytes, false), bytes, ty),
                    (_, true) => self.sign_extended(Scalar::load(bytes, false), bytes, ty),
                }
            }
            _ => Scalar::UNKNOWN,
        })
    }

    fn unary(&self, op: Unary, known: Scalar, ty: Type) -> Scalar {
        match op {
            // No instruction: the register stays what it is.
            Unary::Extend => known,
            Unary::Truncate => known.low_half(),
            Unary::Sext8 => self.sign_extended(known, 1, ty),
            Unary::Sext16 => self.sign_extended(known, 2, ty),
            Unary::Sext32 => self.sign_extended(known, 4, ty),
            // What becomes of these is known since 6.17, or not at all.
            Unary::Neg | Unary::Swap16 | Unary::Swap32 | Unary::Swap64 => Scalar::UNKNOWN,
        }
    }

    /// Extended by the sign as code is generated: two shifts below version 4 of the instruction set.
    fn sign_extended(&self, known: Scalar, bytes: u32, ty: Type) -> Scalar {
        let width = width(ty);
        if self.cpu >= 4 {
            return match width {
                Width::W32 => known.sign_extended32(bytes),
                Width::W64 => known.sign_extended(bytes),
            };
        }
        let count = Scalar::constant(u64::from(width.bits().saturating_sub(bytes * 8)));
        known.alu(Op::Lsh, count, width).alu(Op::Arsh, count, width)
    }
}

/// The width of operations on a type.
pub const fn width(ty: Type) -> Width {
    match ty {
        Type::I32 => Width::W32,
        Type::I64 | Type::Ptr(_) => Width::W64,
    }
}

/// A comparison of the representation in the domain.
pub const fn cond(cond: skep_ir::Cond) -> Cond {
    match cond {
        skep_ir::Cond::Eq => Cond::Eq,
        skep_ir::Cond::Ne => Cond::Ne,
        skep_ir::Cond::Ult => Cond::Lt,
        skep_ir::Cond::Ule => Cond::Le,
        skep_ir::Cond::Ugt => Cond::Gt,
        skep_ir::Cond::Uge => Cond::Ge,
        skep_ir::Cond::Slt => Cond::SLt,
        skep_ir::Cond::Sle => Cond::SLe,
        skep_ir::Cond::Sgt => Cond::SGt,
        skep_ir::Cond::Sge => Cond::SGe,
        skep_ir::Cond::Set => Cond::Set,
    }
}

const fn op(op: Binary) -> Op {
    match op {
        Binary::Add => Op::Add,
        Binary::Sub => Op::Sub,
        Binary::Mul => Op::Mul,
        Binary::Udiv => Op::Div,
        Binary::Urem => Op::Mod,
        Binary::Sdiv => Op::SDiv,
        Binary::Srem => Op::SMod,
        Binary::And => Op::And,
        Binary::Or => Op::Or,
        Binary::Xor => Op::Xor,
        Binary::Shl => Op::Lsh,
        Binary::Lshr => Op::Rsh,
        Binary::Ashr => Op::Arsh,
    }
}
