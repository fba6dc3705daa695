//! Buckets of histograms.

use skep_ir::{Binary, Block, Cond, Global, Type as IrType, Value, Width};

use super::body::Body;
use super::memory::At;

/// A sequence of 64 bits in which every six consecutive bits differ. Multiplied by a number that is ones from its highest
/// bit on, the highest six bits of the product say how many ones there were (de Bruijn sequences; a test tries them all).
const DE_BRUIJN: u64 = 0x03f7_9d71_b4cb_0a89;

/// The highest six bits of the product for a number whose highest bit has this place.
const fn place_in_table(power: u32) -> usize {
    ((u64::MAX >> (63 - power)).wrapping_mul(DE_BRUIJN) >> 58) as usize
}

/// For the highest six bits of the product the power.
fn powers() -> Vec<u8> {
    let mut table = vec![0; 64];
    for power in 0..64u8 {
        table[place_in_table(power.into())] = power;
    }
    table
}

impl Body<'_, '_, '_> {
    /// The bucket of a number in a histogram with powers of two, as [`Buckets::of`](crate::plan::Buckets::of) has it. There are no branches in it
    /// but for small numbers, so the verifier follows one path.
    pub fn log_bucket(&mut self, value: Value, bits: u32) -> Value {
        let join = self.b.block(&[IrType::I64]);
        let (negative, positive, small, large) =
            (self.b.block(&[]), self.b.block(&[]), self.b.block(&[]), self.b.block(&[]));
        let zero = self.b.i64(0);
        self.b.branch(Cond::Slt, value, zero, negative, positive);
        self.b.switch_to(negative);
        let zero = self.b.i64(0);
        self.b.jump(join, &[zero]);
        self.b.switch_to(positive);
        let limit = self.b.i64(1 << (bits + 1));
        self.b.branch(Cond::Ult, value, limit, small, large);
        self.b.switch_to(small);
        let bucket = self.b.binary_const(Binary::Add, value, 1);
        self.b.jump(join, &[bucket]);

        self.b.switch_to(large);
        let power = self.power(value);
        let shift = self.b.binary_const(Binary::Add, power, -i64::from(bits));
        let within = self.b.binary(Binary::Lshr, value, shift);
        let within = self.b.binary_const(Binary::And, within, (1 << bits) - 1);
        let above = self.b.binary_const(Binary::Add, shift, -1);
        let above = self.b.binary_const(Binary::Shl, above, bits.into());
        let bucket = self.b.binary(Binary::Add, above, within);
        let bucket = self.b.binary_const(Binary::Add, bucket, 1 + (1 << (bits + 1)));
        self.b.jump(join, &[bucket]);
        self.b.switch_to(join);
        self.b.param(join, 0)
    }

    /// The largest power of two in a number that is not zero.
    fn power(&mut self, value: Value) -> Value {
        let mut filled = value;
        for count in [1, 2, 4, 8, 16, 32] {
            let shifted = self.b.binary_const(Binary::Lshr, filled, count);
            filled = self.b.binary(Binary::Or, filled, shifted);
        }
        let product = self.b.binary_const(Binary::Mul, filled, DE_BRUIJN.cast_signed());
        let index = self.b.binary_const(Binary::Lshr, product, 58);
        let table = match self.cx.powers {
            Some(table) => table,
            None => {
                let table = Global {
                    name: "powers".to_owned(),
                    section: ".rodata".to_owned(),
                    bytes: powers(),
                    align: 8,
                    ty: 0,
                };
                let table = self.cx.module.add_global(table);
                self.cx.powers = Some(table);
                table
            }
        };
        let table = self.b.global_addr(table);
        let at = At { ptr: self.b.ptr_add(table, index), off: 0, align: 1 };
        self.load(Width::W8, false, at)
    }

    /// The bucket of a number in a linear histogram.
    pub fn linear_bucket(&mut self, value: Value, min: i64, max: i64, step: i64) -> Value {
        let join = self.b.block(&[IrType::I64]);
        let (below, not_below, above, inside) =
            (self.b.block(&[]), self.b.block(&[]), self.b.block(&[]), self.b.block(&[]));
        let start = self.b.i64(min);
        self.b.branch(Cond::Slt, value, start, below, not_below);
        self.b.switch_to(below);
        let zero = self.b.i64(0);
        self.b.jump(join, &[zero]);
        self.b.switch_to(not_below);
        let end = self.b.i64(max);
        self.b.branch(Cond::Sge, value, end, above, inside);
        self.b.switch_to(above);
        let last = self.b.i64(i64::from(super::linear_buckets(min, max, step)) - 1);
        self.b.jump(join, &[last]);
        self.b.switch_to(inside);
        let distance = self.b.binary_const(Binary::Sub, value, min);
        let number = self.b.binary_const(Binary::Udiv, distance, step);
        let number = self.b.binary_const(Binary::Add, number, 1);
        self.b.jump(join, &[number]);
        self.b.switch_to(join);
        self.b.param(join, 0)
    }

    /// Adds one to a counter, and goes on at `done`.
    pub fn count_bucket(&mut self, value: Value, bucket: Value, buckets: u32, done: Block) {
        // The verifier wants to see the bound right here.
        let (inside, outside) = (self.b.block(&[]), self.b.block(&[]));
        let limit = self.b.i64(buckets.into());
        let bucket = self.b.branch_refining(Cond::Ult, bucket, limit, inside, outside);
        self.b.switch_to(outside);
        self.b.jump(done, &[]);
        self.b.switch_to(inside);
        let distance = self.b.binary_const(Binary::Shl, bucket, 3);
        let at = At::start(self.b.ptr_add(value, distance));
        let old = self.load(Width::W64, false, at);
        let new = self.b.binary_const(Binary::Add, old, 1);
        self.store(Width::W64, at, new);
        self.b.jump(done, &[]);
        self.b.switch_to(done);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_are_told_apart() {
        let table = powers();
        for power in 0..64u32 {
            assert_eq!(u32::from(table[place_in_table(power)]), power);
        }
    }
}
