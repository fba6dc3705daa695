//! 32-bit numbers whose bits are functions of the packet, and the arithmetic of the classic machine on them.
//!
//! An operation whose diagrams grow too large is not an error: its result is left open (see [`Open`]), which keeps
//! proofs sound and may only cost a decision.

use std::collections::HashMap;
use std::sync::Arc;

use skep_isa::classic::{AluOp, JmpOp};

use super::bdd::{Bdd, Bounded, Exhausted, Ref};
use super::inputs::{Inputs, LEN_BITS, Open, len_level};

/// An interned number: equal ids mean equal numbers on every packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct WordId(u32);

/// The bits of a number, least significant first.
pub(super) type Bits = [Ref; 32];

/// Most nodes that one operation may add before its result is left open.
const OPERATION_NODES: usize = 150_000;
/// Most values of an address that are told apart.
const MAX_VALUES: usize = 64;

/// The values that a number can have, each with the condition under which it has it.
type Values = Arc<[(u32, Ref)]>;

/// All numbers of one comparison.
#[derive(Debug)]
pub(super) struct Words {
    pub(super) bdd: Bdd,
    pub(super) inputs: Inputs,
    table: Vec<Bits>,
    ids: HashMap<Bits, WordId>,
    alu: HashMap<(AluOp, WordId, WordId), WordId>,
    /// The operands of differences that were left open: `x - y` and `x ^ y` are 0 exactly where `x` equals `y`.
    differences: HashMap<WordId, (WordId, WordId)>,
    values: HashMap<WordId, Option<Values>>,
}

impl Words {
    /// The number 0.
    pub(super) const ZERO: WordId = WordId(0);

    /// No numbers but 0.
    pub(super) fn new(bdd: Bdd) -> Self {
        let zero = [Ref::FALSE; 32];
        Self {
            bdd,
            inputs: Inputs::default(),
            table: vec![zero],
            ids: HashMap::from([(zero, Self::ZERO)]),
            alu: HashMap::new(),
            differences: HashMap::new(),
            values: HashMap::new(),
        }
    }

    /// The bits of a number.
    pub(super) fn bits(&self, id: WordId) -> Bits {
        self.table[id.0 as usize]
    }

    /// The number with these bits.
    pub(super) fn intern(&mut self, bits: Bits) -> Bounded<WordId> {
        if let Some(&id) = self.ids.get(&bits) {
            return Ok(id);
        }
        let id = WordId(u32::try_from(self.table.len()).map_err(|_| Exhausted)?);
        self.table.push(bits);
        self.ids.insert(bits, id);
        Ok(id)
    }

    /// A number that is the same on every packet.
    pub(super) fn constant(&mut self, k: u32) -> Bounded<WordId> {
        self.intern(std::array::from_fn(|i| Ref::of(k >> i & 1 == 1)))
    }

    /// The value of a number that is the same on every packet.
    pub(super) fn as_const(&self, id: WordId) -> Option<u32> {
        let bits = self.table[id.0 as usize];
        bits.iter().rev().try_fold(0, |k, bit| Some(k << 1 | u32::from(bit.as_bool()?)))
    }

    /// A number that no value of `id` exceeds.
    pub(super) fn max(&self, id: WordId) -> u32 {
        let bits = self.table[id.0 as usize];
        bits.iter().rev().fold(0, |k, &bit| k << 1 | u32::from(bit != Ref::FALSE))
    }

    /// The length of the packet.
    pub(super) fn packet_len(&mut self) -> Bounded<WordId> {
        let mut bits = [Ref::FALSE; 32];
        for (i, bit) in (0..LEN_BITS).zip(&mut bits) {
            *bit = self.bdd.var(len_level(i))?;
        }
        self.intern(bits)
    }

    /// The value of `id` on the packet whose variables `bit` tells.
    pub(super) fn eval(&self, id: WordId, bit: &dyn Fn(u32) -> bool) -> u32 {
        let bits = self.table[id.0 as usize];
        bits.iter().rev().fold(0, |k, &f| k << 1 | u32::from(self.bdd.eval(f, bit)))
    }

    /// Every function that the tables hold: none of them may be collected.
    pub(super) fn roots(&self) -> impl Iterator<Item = Ref> {
        let in_values = self.values.values().flatten().flat_map(|values| values.iter().map(|v| v.1));
        self.table.iter().flatten().copied().chain(in_values)
    }

    /// Runs `work` with room for only [`OPERATION_NODES`] new nodes; `None` if that was not enough.
    pub(super) fn sparingly<T>(&mut self, work: impl FnOnce(&mut Self) -> Bounded<T>) -> Bounded<Option<T>> {
        let here = self.bdd.node_count() + OPERATION_NODES;
        let outer = self.bdd.set_limit(usize::MAX);
        self.bdd.set_limit(outer.min(here));
        let result = work(self);
        self.bdd.set_limit(outer);
        match result {
            Ok(value) => Ok(Some(value)),
            Err(Exhausted) if here < outer => Ok(None),
            Err(Exhausted) => Err(Exhausted),
        }
    }

    /// An open quantity of `bits` bits.
    pub(super) fn open(&mut self, open: Open, bits: u32) -> Bounded<WordId> {
        let mut word = [Ref::FALSE; 32];
        for (i, bit) in (0..bits).zip(&mut word) {
            let level = self.inputs.open_level(open, bits, i)?;
            *bit = self.bdd.var(level)?;
        }
        self.intern(word)
    }

    /// An open truth value.
    pub(super) fn open_bit(&mut self, open: Open) -> Bounded<Ref> {
        let level = self.inputs.open_level(open, 1, 0)?;
        self.bdd.var(level)
    }

    /// `a OP b`, where `b` is not 0 for a division or modulus (the result for 0 is unspecified).
    pub(super) fn alu(&mut self, op: AluOp, a: WordId, b: WordId) -> Bounded<WordId> {
        if let (Some(x), Some(y)) = (self.as_const(a), self.as_const(b)) {
            return self.constant(op.eval(x, y).unwrap_or(0));
        }
        let key = (op, a, b);
        if let Some(&known) = self.alu.get(&key) {
            return Ok(known);
        }
        let result = match self.sparingly(|words| words.compute(op, a, b))? {
            Some(bits) => self.intern(bits)?,
            None => {
                let result = self.open(Open::Alu(op, a, b), 32)?;
                if matches!(op, AluOp::Sub | AluOp::Xor) {
                    self.differences.insert(result, (a, b));
                }
                result
            }
        };
        self.alu.insert(key, result);
        Ok(result)
    }

    fn compute(&mut self, op: AluOp, a: WordId, b: WordId) -> Bounded<Bits> {
        let (x, y) = (self.bits(a), self.bits(b));
        match op {
            AluOp::Add => self.add(x, y, Ref::FALSE),
            AluOp::Sub => self.add(x, y.map(Ref::not), Ref::TRUE),
            AluOp::Mul => self.multiply(x, y),
            AluOp::Div => Ok(self.divide(x, y)?.0),
            AluOp::Mod => Ok(self.divide(x, y)?.1),
            AluOp::And => self.zip(x, y, Bdd::and),
            AluOp::Or => self.zip(x, y, Bdd::or),
            AluOp::Xor => self.zip(x, y, Bdd::xor),
            AluOp::Lsh => self.shift(x, y, |bits, n| std::array::from_fn(|i| bit_or_zero(bits, i.checked_sub(n)))),
            AluOp::Rsh => self.shift(x, y, |bits, n| std::array::from_fn(|i| bit_or_zero(bits, Some(i + n)))),
        }
    }

    fn zip(&mut self, x: Bits, y: Bits, f: fn(&mut Bdd, Ref, Ref) -> Bounded<Ref>) -> Bounded<Bits> {
        let mut out = x;
        for (bit, other) in out.iter_mut().zip(y) {
            *bit = f(&mut self.bdd, *bit, other)?;
        }
        Ok(out)
    }

    fn add(&mut self, x: Bits, y: Bits, mut carry: Ref) -> Bounded<Bits> {
        let mut out = x;
        for (bit, other) in out.iter_mut().zip(y) {
            let half = self.bdd.xor(*bit, other)?;
            let sum = self.bdd.xor(half, carry)?;
            // Where the two differ the carry passes through, otherwise it is what both are.
            carry = self.bdd.ite(half, carry, *bit)?;
            *bit = sum;
        }
        Ok(out)
    }

    fn multiply(&mut self, x: Bits, y: Bits) -> Bounded<Bits> {
        let constants = |bits: &Bits| bits.iter().filter(|bit| bit.as_bool().is_some()).count();
        let (x, y) = if constants(&y) >= constants(&x) { (x, y) } else { (y, x) };
        let mut sum = [Ref::FALSE; 32];
        for (shift, &factor) in y.iter().enumerate() {
            if factor != Ref::FALSE {
                let shifted: Bits = std::array::from_fn(|i| bit_or_zero(&x, i.checked_sub(shift)));
                let part = self.zip(shifted, [factor; 32], Bdd::and)?;
                sum = self.add(sum, part, Ref::FALSE)?;
            }
        }
        Ok(sum)
    }

    /// Quotient and remainder by long division.
    fn divide(&mut self, x: Bits, y: Bits) -> Bounded<(Bits, Bits)> {
        let (mut quotient, mut rest) = ([Ref::FALSE; 32], [Ref::FALSE; 32]);
        for i in (0..32).rev() {
            let overflow = rest[31];
            rest = std::array::from_fn(|j| if j == 0 { x[i] } else { rest[j - 1] });
            let below = self.less(rest, y)?;
            let fits = self.bdd.or(overflow, below.not())?;
            let reduced = self.add(rest, y.map(Ref::not), Ref::TRUE)?;
            rest = self.choose(fits, reduced, rest)?;
            quotient[i] = fits;
        }
        Ok((quotient, rest))
    }

    /// Shifts by the lowest five bits of `y`, as [`AluOp::eval`] does.
    fn shift(&mut self, mut x: Bits, y: Bits, by: fn(&Bits, usize) -> Bits) -> Bounded<Bits> {
        for (stage, &bit) in y.iter().take(5).enumerate() {
            x = self.choose(bit, by(&x, 1 << stage), x)?;
        }
        Ok(x)
    }

    /// `if condition then x else y`, bit by bit.
    pub(super) fn choose(&mut self, condition: Ref, x: Bits, y: Bits) -> Bounded<Bits> {
        let mut out = x;
        for (bit, other) in out.iter_mut().zip(y) {
            *bit = self.bdd.ite(condition, *bit, other)?;
        }
        Ok(out)
    }

    /// `x < y`
    fn less(&mut self, x: Bits, y: Bits) -> Bounded<Ref> {
        let mut less = Ref::FALSE;
        for (&p, q) in x.iter().zip(y) {
            let differ = self.bdd.xor(p, q)?;
            less = self.bdd.ite(differ, q, less)?;
        }
        Ok(less)
    }

    /// The condition `a OP b`.
    pub(super) fn test(&mut self, op: JmpOp, a: WordId, b: WordId) -> Bounded<Ref> {
        if a == b && op != JmpOp::Set {
            return Ok(Ref::of(op.eval(0, 0)));
        }
        if op == JmpOp::Eq
            && b == Self::ZERO
            && let Some(&(x, y)) = self.differences.get(&a)
        {
            return self.test(op, x, y);
        }
        let (op, a, b, flip) = match op {
            // One key for the comparisons that mean the same.
            JmpOp::Ge => (JmpOp::Gt, b, a, true),
            JmpOp::Eq | JmpOp::Set => (op, a.min(b), a.max(b), false),
            JmpOp::Gt => (op, a, b, false),
        };
        let key = Open::Test(op, a, b);
        let known = if self.inputs.is_open(&key) { None } else { self.sparingly(|w| w.compute_test(op, a, b))? };
        let result = match known {
            Some(f) => f,
            None => self.open_bit(key)?,
        };
        Ok(if flip { result.not() } else { result })
    }

    fn compute_test(&mut self, op: JmpOp, a: WordId, b: WordId) -> Bounded<Ref> {
        let (x, y) = (self.bits(a), self.bits(b));
        let mut result = Ref::of(op == JmpOp::Eq);
        match op {
            JmpOp::Gt => return self.less(y, x),
            JmpOp::Ge => return Ok(self.less(x, y)?.not()),
            // From the least significant bit: that one is lowest in the diagram, so it grows at the top only.
            JmpOp::Eq => {
                for (p, q) in x.into_iter().zip(y) {
                    let differ = self.bdd.xor(p, q)?;
                    result = self.bdd.and(result, differ.not())?;
                }
            }
            JmpOp::Set => {
                for (p, q) in x.into_iter().zip(y) {
                    let both = self.bdd.and(p, q)?;
                    result = self.bdd.or(result, both)?;
                }
            }
        }
        Ok(result)
    }

    /// The values that `id` can have, if they are not too many.
    pub(super) fn values(&mut self, id: WordId) -> Bounded<Option<Values>> {
        if let Some(known) = self.values.get(&id) {
            return Ok(known.clone());
        }
        let bits = self.bits(id);
        let found = self.sparingly(|words| words.enumerate(bits))?.flatten().map(Arc::from);
        self.values.insert(id, found.clone());
        Ok(found)
    }

    fn enumerate(&mut self, bits: Bits) -> Bounded<Option<Vec<(u32, Ref)>>> {
        let mut cases = vec![(0, Ref::TRUE)];
        for &bit in bits.iter().rev() {
            let mut next = Vec::with_capacity(cases.len() * 2);
            for (value, condition) in cases {
                for set in [false, true] {
                    let holds = self.bdd.and(condition, if set { bit } else { bit.not() })?;
                    if holds != Ref::FALSE {
                        next.push((value << 1 | u32::from(set), holds));
                    }
                }
            }
            if next.len() > MAX_VALUES {
                return Ok(None);
            }
            cases = next;
        }
        Ok(Some(cases))
    }
}

fn bit_or_zero(bits: &Bits, index: Option<usize>) -> Ref {
    index.and_then(|i| bits.get(i)).copied().unwrap_or(Ref::FALSE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diff::inputs::{Base, packet_level};

    /// A byte of the packet at `offset`, in the bits from `low` on.
    fn byte(words: &mut Words, offset: u32, low: usize) -> WordId {
        let mut bits = [Ref::FALSE; 32];
        for i in 0..8 {
            bits[low + i as usize] = words.bdd.var(packet_level(offset, i)).unwrap();
        }
        words.intern(bits).unwrap()
    }

    #[test]
    fn arithmetic_agrees_with_the_instruction_set() {
        let mut words = Words::new(Bdd::new(1 << 20, None));
        for low in [0, 24] {
            let (a, b) = (byte(&mut words, 0, low), byte(&mut words, 1, 0));
            // The quotient of two bytes far apart is one of the things that are left open.
            let mut operands = if low == 0 { vec![b] } else { Vec::new() };
            for k in [0, 1, 3, 7, 10, 0xf0, 0x8000_0001, u32::MAX] {
                operands.push(words.constant(k).unwrap());
            }
            for other in operands {
                let results = AluOp::ALL.map(|op| words.alu(op, a, other).unwrap());
                let tests = JmpOp::ALL.map(|op| words.test(op, a, other).unwrap());
                for (p, q) in [(0u32, 0u32), (1, 2), (255, 255), (0x45, 3), (200, 31), (16, 0), (99, 7), (128, 254)] {
                    let at = |level: u32| match words.inputs.input(level) {
                        Some(super::super::inputs::Input::Packet(0, bit)) => p >> bit & 1 == 1,
                        Some(super::super::inputs::Input::Packet(_, bit)) => q >> bit & 1 == 1,
                        _ => false,
                    };
                    let (x, y) = (p << low, words.eval(other, &at));
                    for (op, id) in AluOp::ALL.into_iter().zip(results) {
                        if let Some(expected) = op.eval(x, y) {
                            assert_eq!(words.eval(id, &at), expected, "{x} {op:?} {y}");
                        }
                    }
                    for (op, f) in JmpOp::ALL.into_iter().zip(tests) {
                        assert_eq!(words.bdd.eval(f, &at), op.eval(x, y), "{x} {op:?} {y}");
                    }
                }
            }
        }
        assert!(!words.inputs.has_open(), "bytes are small enough to compute with");
    }

    #[test]
    fn values_of_a_header_length() {
        let mut words = Words::new(Bdd::new(1 << 20, None));
        let first = byte(&mut words, 14, 0);
        let (mask, two) = (words.constant(0xf).unwrap(), words.constant(2).unwrap());
        let nibble = words.alu(AluOp::And, first, mask).unwrap();
        let header = words.alu(AluOp::Lsh, nibble, two).unwrap();
        let values: Vec<u32> = words.values(header).unwrap().unwrap().iter().map(|v| v.0).collect();
        assert_eq!(values, (0..16).map(|n| n * 4).collect::<Vec<_>>());
        assert_eq!(words.max(header), 60);
    }

    #[test]
    fn what_is_too_large_is_left_open_and_stays_the_same() {
        let mut words = Words::new(Bdd::new(1 << 20, None));
        let a = words.open(Open::Attribute(0, Words::ZERO, Words::ZERO), 32).unwrap();
        let b = words.open(Open::Byte(Base::Network, 9), 32).unwrap();
        let product = words.alu(AluOp::Mul, a, b).unwrap();
        assert_eq!(words.alu(AluOp::Mul, a, b).unwrap(), product);
        let equal = words.test(JmpOp::Eq, a, b).unwrap();
        assert_eq!(words.test(JmpOp::Eq, b, a).unwrap(), equal);
        let (gt, ge) = (words.test(JmpOp::Gt, a, b).unwrap(), words.test(JmpOp::Ge, b, a).unwrap());
        assert_eq!(gt, ge.not());
    }
}
