//! What a classic program can reach, and which of A, X and `M[]` each point may still read.
//!
//! All jumps go forward, so one pass in each direction is exact.

use crate::classic::{Op, SKF_AD_OFF, Source, ancillary};

/// A set of A, X and the sixteen scratch words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Live(u32);

impl Live {
    /// The empty set.
    pub const NONE: Self = Self(0);
    /// The accumulator.
    pub const A: Self = Self(1 << 16);
    /// The index register.
    pub const X: Self = Self(1 << 17);

    /// Scratch word `k`, below 16.
    pub const fn word(k: u32) -> Self {
        Self(1 << (k & 15))
    }

    /// Whether all of `other` is in the set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// Whether each instruction can be reached. The program has a sound structure.
pub fn reachable(ops: &[Op]) -> Vec<bool> {
    let mut reached = vec![false; ops.len()];
    if let Some(first) = reached.first_mut() {
        *first = true;
    }
    for at in 0..ops.len() {
        if reached[at] {
            for next in successors(ops[at], at).into_iter().flatten() {
                if let Some(slot) = reached.get_mut(next) {
                    *slot = true;
                }
            }
        }
    }
    reached
}

/// For each instruction what may be read at or after it before being written.
pub fn live_sets(ops: &[Op]) -> Vec<Live> {
    let mut live = vec![Live::NONE; ops.len()];
    for at in (0..ops.len()).rev() {
        let after = successors(ops[at], at)
            .into_iter()
            .flatten()
            .filter_map(|next| live.get(next))
            .fold(Live::NONE, |all, set| all.or(*set));
        let (reads, writes) = effects(ops[at]);
        live[at] = after.without(writes).or(reads);
    }
    live
}

fn successors(op: Op, at: usize) -> [Option<usize>; 2] {
    let after = |distance: u32| Some(at + 1 + distance as usize);
    match op {
        Op::RetK(_) | Op::RetA => [None, None],
        Op::Ja(k) => [after(k), None],
        Op::JumpK { jt, jf, .. } | Op::JumpX { jt, jf, .. } => [after(jt.into()), after(jf.into())],
        _ => [after(0), None],
    }
}

/// What an instruction reads and what it certainly overwrites.
fn effects(op: Op) -> (Live, Live) {
    let (a, x, none) = (Live::A, Live::X, Live::NONE);
    match op {
        Op::LdAbs(_, k) if k >= SKF_AD_OFF => match ancillary(k).map(|word| word.source) {
            Some(Source::XorX) => (a.or(x), a),
            // A is the result if there is no device.
            Some(Source::FieldOfDevice(_)) => (a, a),
            _ => (none, a),
        },
        Op::LdAbs(..) | Op::LdImm(_) | Op::LdLen => (none, a),
        Op::LdInd(..) | Op::Txa => (x, a),
        Op::LdMem(k) => (Live::word(k), a),
        Op::LdxImm(_) | Op::LdxLen | Op::LdxMsh(_) => (none, x),
        Op::LdxMem(k) => (Live::word(k), x),
        Op::St(k) => (a, Live::word(k)),
        Op::Stx(k) => (x, Live::word(k)),
        Op::AluK(..) | Op::Neg => (a, a),
        Op::AluX(_) => (a.or(x), a),
        Op::Ja(_) | Op::RetK(_) => (none, none),
        Op::JumpK { .. } | Op::RetA => (a, none),
        Op::JumpX { .. } => (a.or(x), none),
        Op::Tax => (a, x),
    }
}
