//! Values that a filter computes from a packet, as an interned graph of pure expressions.
//!
//! Equal computations have equal ids, so that common sub-expressions are found by comparing numbers. Evaluating a
//! value may *fail* - a load beyond the captured bytes, a division by zero - which ends the filter with "reject".

use crate::hash::FastMap;

use skep_isa::classic::{AluOp, SKF_AD_OFF, Size};

use crate::ranges::RangeSet;

/// An interned value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValId(u32);

/// A memory word set by [`Formula::Set`](crate::formula::Formula::Set): an offset that depends on the path taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Var(pub u8);

/// How a value is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Val {
    /// A number.
    Const(u32),
    /// Length of the packet on the wire.
    Len,
    /// Bytes at a fixed offset, or a word of the kernel's at `SKF_AD_OFF + n`.
    Abs(Size, u32),
    /// Bytes at `base + k`.
    Ind(Size, ValId, u32),
    /// Two operands.
    Bin(AluOp, ValId, ValId),
    /// `-x`
    Neg(ValId),
    /// A memory word.
    Var(Var),
    /// What a table says about a state (0 without one) and a value; 0 for what is not in it. 64-bit programs only.
    Table(TableId, Option<ValId>, ValId),
}

/// A table of a 64-bit program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableId(pub u32);

/// All values of one compilation.
#[derive(Debug, Default)]
pub struct Values {
    list: Vec<Val>,
    ids: FastMap<Val, ValId>,
}

impl Values {
    /// How `id` is computed.
    pub fn get(&self, id: ValId) -> Val {
        self.list[id.0 as usize]
    }

    fn intern(&mut self, val: Val) -> ValId {
        *self.ids.entry(val).or_insert_with(|| {
            self.list.push(val);
            ValId(u32::try_from(self.list.len() - 1).unwrap_or(u32::MAX))
        })
    }

    /// A number.
    pub fn constant(&mut self, k: u32) -> ValId {
        self.intern(Val::Const(k))
    }
    /// The packet's length.
    pub fn len(&mut self) -> ValId {
        self.intern(Val::Len)
    }
    /// A memory word.
    pub fn var(&mut self, var: Var) -> ValId {
        self.intern(Val::Var(var))
    }
    /// The answer of a table.
    pub fn table(&mut self, table: TableId, state: Option<ValId>, value: ValId) -> ValId {
        self.intern(Val::Table(table, state, value))
    }
    /// The id of a value that has been used already.
    pub fn find(&self, val: Val) -> Option<ValId> {
        self.ids.get(&val).copied()
    }
    /// The number that `id` is, if it is one.
    pub fn as_const(&self, id: ValId) -> Option<u32> {
        match self.get(id) {
            Val::Const(k) => Some(k),
            _ => None,
        }
    }
    /// Bytes at the fixed offset `k`.
    pub fn abs(&mut self, size: Size, k: u32) -> ValId {
        self.intern(Val::Abs(size, k))
    }
    /// Bytes at `base + k`, or at `k` without base. Constant parts of the base move into `k` where no wrap-around can
    /// make a difference.
    pub fn load(&mut self, size: Size, base: Option<ValId>, k: u32) -> ValId {
        let Some(base) = base else { return self.abs(size, k) };
        match self.get(base) {
            Val::Const(c) => match c.checked_add(k) {
                Some(sum) if sum < SKF_AD_OFF => self.abs(size, sum),
                _ => self.intern(Val::Ind(size, base, k)),
            },
            Val::Bin(AluOp::Add, a, b)
                if self.as_const(b).and_then(|c| c.checked_add(k)).is_some_and(|sum| {
                    sum < SKF_AD_OFF && self.max(a).checked_add(sum).is_some_and(|m| m < SKF_AD_OFF)
                }) =>
            {
                let sum = self.as_const(b).unwrap_or(0) + k;
                self.load(size, Some(a), sum)
            }
            _ => self.intern(Val::Ind(size, base, k)),
        }
    }
    /// The length in bytes of the IPv4 header that begins at `base + k`.
    pub fn ip_header_len(&mut self, base: Option<ValId>, k: u32) -> ValId {
        let byte = self.load(Size::Byte, base, k);
        let nibble = self.bin_k(AluOp::And, byte, 0xf);
        self.bin_k(AluOp::Lsh, nibble, 2)
    }
    /// `a OP k`
    pub fn bin_k(&mut self, op: AluOp, a: ValId, k: u32) -> ValId {
        let k = self.constant(k);
        self.bin(op, a, k)
    }
    /// `-a`
    pub fn neg(&mut self, a: ValId) -> ValId {
        match self.get(a) {
            Val::Const(k) => self.constant(k.wrapping_neg()),
            Val::Neg(x) => x,
            _ => self.intern(Val::Neg(a)),
        }
    }

    /// `a OP b`, folded where that loses no failure.
    pub fn bin(&mut self, op: AluOp, a: ValId, b: ValId) -> ValId {
        use AluOp::{Add, And, Div, Lsh, Mod, Mul, Or, Rsh, Sub, Xor};
        let (ka, kb) = (self.as_const(a), self.as_const(b));
        if let (Some(x), Some(y)) = (ka, kb)
            && let Some(folded) = op.eval(x, y)
        {
            return self.constant(folded);
        }
        if ka.is_some() && kb.is_none() && matches!(op, Add | Mul | And | Or | Xor) {
            return self.bin(op, b, a);
        }
        if let Some(k) = kb {
            let max = self.max(a);
            match (op, k) {
                (Add | Sub | Or | Xor | Lsh | Rsh, 0) | (Mul | Div, 1) => return a,
                (And, _) if k != 0 && max & !k == 0 && k.wrapping_add(1).is_power_of_two() => return a,
                (And, u32::MAX) => return a,
                (Mul, _) if k.is_power_of_two() => return self.bin_k(Lsh, a, k.trailing_zeros()),
                (Div, _) if k.is_power_of_two() => return self.bin_k(Rsh, a, k.trailing_zeros()),
                (Mod, _) if k.is_power_of_two() => return self.bin_k(And, a, k - 1),
                (Sub, _) => return self.bin_k(Add, a, k.wrapping_neg()),
                _ => {}
            }
            if let Val::Bin(inner, x, y) = self.get(a)
                && inner == op
                && let Some(j) = self.as_const(y)
            {
                match op {
                    Add => return self.bin_k(Add, x, j.wrapping_add(k)),
                    And => return self.bin_k(And, x, j & k),
                    Or => return self.bin_k(Or, x, j | k),
                    Xor => return self.bin_k(Xor, x, j ^ k),
                    Lsh | Rsh if j + k < 32 => return self.bin_k(op, x, j + k),
                    _ => {}
                }
            }
        }
        self.intern(Val::Bin(op, a, b))
    }

    /// The largest number that `id` can be.
    pub fn max(&self, id: ValId) -> u32 {
        match self.get(id) {
            Val::Const(k) => k,
            Val::Abs(size, _) | Val::Ind(size, ..) => match size {
                Size::Word => u32::MAX,
                Size::Half => 0xffff,
                Size::Byte => 0xff,
            },
            Val::Bin(op, a, b) => {
                let (ma, kb) = (self.max(a), self.as_const(b));
                match (op, kb) {
                    (AluOp::And, Some(k)) => ma.min(k),
                    (AluOp::And, None) => ma.min(self.max(b)),
                    (AluOp::Rsh, Some(k)) if k < 32 => ma >> k,
                    (AluOp::Lsh, Some(k)) if k < 32 && ma.leading_zeros() >= k => ma << k,
                    (AluOp::Add, Some(k)) => ma.saturating_add(k),
                    (AluOp::Add, None) => ma.saturating_add(self.max(b)),
                    (AluOp::Div, Some(k)) if k != 0 => ma / k,
                    (AluOp::Mod, Some(k)) if k != 0 => ma.min(k - 1),
                    (AluOp::Or | AluOp::Xor, _) => {
                        let bits = ma | self.max(b);
                        u32::MAX.checked_shr(bits.leading_zeros()).unwrap_or(0)
                    }
                    _ => u32::MAX,
                }
            }
            Val::Len | Val::Neg(_) | Val::Var(_) | Val::Table(..) => u32::MAX,
        }
    }

    /// Membership of `id` in `set`, stated on a simpler value where one exists: a masked or shifted value whose mask is
    /// a prefix of the value's width becomes ranges of the value itself.
    pub fn simplify_membership(&self, mut id: ValId, set: &RangeSet) -> (ValId, RangeSet) {
        let mut set = set.intersect(&RangeSet::range(0, self.max(id)));
        while let Val::Bin(op, a, b) = self.get(id) {
            let Some(k) = self.as_const(b) else { break };
            let max = self.max(a);
            let pulled = match op {
                AluOp::And => pull_back_mask(&set, k, max),
                AluOp::Rsh if k < 32 => Some(scale(&set, k, max)),
                _ => None,
            };
            let Some(pulled) = pulled else { break };
            set = pulled.intersect(&RangeSet::range(0, max));
            id = a;
        }
        (id, set)
    }

    /// Calls `f` for every value that `id` is computed from, itself included, operands first.
    pub fn walk(&self, id: ValId, f: &mut impl FnMut(ValId, Val)) {
        let val = self.get(id);
        match val {
            Val::Ind(_, a, _) | Val::Neg(a) => self.walk(a, f),
            Val::Bin(_, a, b) => {
                self.walk(a, f);
                self.walk(b, f);
            }
            Val::Table(_, state, a) => {
                if let Some(state) = state {
                    self.walk(state, f);
                }
                self.walk(a, f);
            }
            Val::Const(_) | Val::Len | Val::Abs(..) | Val::Var(_) => {}
        }
        f(id, val);
    }

    /// Whether `id` is computed from the memory word `var`.
    pub fn reads_var(&self, id: ValId, var: Var) -> bool {
        let mut found = false;
        self.walk(id, &mut |_, val| found |= val == Val::Var(var));
        found
    }

    /// Whether evaluating `id` can end the program, when the first `len` captured bytes are known to be there.
    pub fn can_fail(&self, id: ValId, len: u32) -> bool {
        let mut fails = false;
        self.walk(id, &mut |_, val| {
            fails |= match val {
                Val::Abs(size, k) => k < SKF_AD_OFF && k.saturating_add(size.bytes()) > len,
                Val::Ind(..) => true,
                Val::Bin(AluOp::Div | AluOp::Mod, _, b) => self.as_const(b).is_none_or(|k| k == 0),
                _ => false,
            };
        });
        fails
    }
}

/// The numbers up to `max` whose masked value lies in `set`, if the mask keeps exactly the upper bits.
fn pull_back_mask(set: &RangeSet, mask: u32, max: u32) -> Option<RangeSet> {
    let dropped = !mask & u32::MAX.checked_shr(max.leading_zeros()).unwrap_or(0);
    if !dropped.wrapping_add(1).is_power_of_two() && dropped != u32::MAX {
        return None;
    }
    let shift = dropped.trailing_ones();
    if shift >= 32 {
        return None;
    }
    // Only multiples of the step are values of the masked expression.
    let step = dropped;
    let ranges = set.ranges().iter().filter_map(|&(lo, hi)| {
        let first = lo.checked_add(step)? & !step;
        let last = hi & !step;
        (first <= last).then_some((first, last | step))
    });
    Some(RangeSet::from_ranges(ranges.collect()))
}

/// The numbers up to `max` whose value shifted right by `k` lies in `set`.
fn scale(set: &RangeSet, k: u32, max: u32) -> RangeSet {
    let top = max >> k;
    let low = (1u32 << k) - 1;
    let ranges = set.ranges().iter().filter(|&&(lo, _)| lo <= top).map(|&(lo, hi)| (lo << k, hi.min(top) << k | low));
    RangeSet::from_ranges(ranges.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn membership_moves_through_masks_and_shifts() {
        let mut values = Values::default();
        let byte = values.abs(Size::Byte, 14);
        for (op, k) in [(AluOp::And, 0xf0), (AluOp::And, 0xe0), (AluOp::And, 0x0f), (AluOp::Rsh, 4), (AluOp::And, 0)] {
            let masked = values.bin_k(op, byte, k);
            for (lo, hi) in [(0, 0), (0x40, 0x40), (4, 4), (0x41, 0x4f), (0x3f, 0x81), (0xe0, 0xff), (1, 0xffff_ffff)] {
                let set = RangeSet::range(lo, hi);
                let (id, pulled) = values.simplify_membership(masked, &set);
                for v in 0..=255 {
                    let direct = set.contains(op.eval(v, k).unwrap_or(0));
                    let via = if id == byte { pulled.contains(v) } else { pulled.contains(op.eval(v, k).unwrap_or(0)) };
                    assert_eq!(direct, via, "{op:?} {k:#x} {set:?} {v:#x}");
                }
            }
        }
    }

    #[test]
    fn offsets_fold_only_where_nothing_wraps() {
        let mut values = Values::default();
        let header = values.ip_header_len(None, 14);
        let plus = values.bin_k(AluOp::Add, header, 2);
        assert_eq!(values.load(Size::Half, Some(plus), 14), values.load(Size::Half, Some(header), 16));
        let minus = values.bin_k(AluOp::Sub, header, 20);
        assert_ne!(values.load(Size::Half, Some(minus), 14), values.load(Size::Half, Some(header), 14 - 4));
    }
}
