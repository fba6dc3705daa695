//! Texts: reading, comparing, searching.

use skep_ir::{Binary, Block, Cond, Type as IrType, Unary, Value, Width};

use super::body::Body;
use super::helpers;
use super::memory::At;
use crate::check::tree::{Expr, Kind};
use crate::types::{Space, Type};

/// Words that are compared one after the other; more are compared in a loop.
const MOST_WORDS: u32 = 16;

impl Body<'_, '_, '_> {
    /// Reads a text into so many bytes, of which the last is zero at most. `len` is its length if that is given. What
    /// cannot be read is empty.
    pub fn read_text(&mut self, to: At, size: u32, len: Option<Value>, address: Value, space: Space, clean: bool) {
        let helper = match space {
            Space::Kernel => helpers::PROBE_READ_KERNEL_STR,
            Space::User => helpers::PROBE_READ_USER_STR,
            Space::Unknown => helpers::PROBE_READ_STR,
        };
        if clean {
            self.fill(to, size);
        }
        let size = match len {
            Some(len) => {
                // One byte more, for the zero.
                let len = self.at_most(len, size - 1);
                self.b.binary_const(Binary::Add, len, 1)
            }
            None => self.b.i64(size.into()),
        };
        let to = self.addr(to);
        self.call_reader(helper, &[to, size, address]);
    }

    /// On to `same` if two values are equal in so many bytes, or as whole texts, else to `other`.
    pub fn equal(&mut self, left: &Expr, right: &Expr, len: Option<u32>, same: Block, other: Block) {
        let sizes = [self.size(&left.ty), self.size(&right.ty)];
        // A text that is known: only its own bytes and the zero behind them count.
        for (known, value) in [(left, right), (right, left)] {
            if let Kind::Text(text) = &known.kind {
                let own = u32::try_from(text.len()).unwrap_or(u32::MAX).saturating_add(1);
                let len = len.map_or(own, |len| len.min(own));
                return self.equal_constant(value, text, len, same, other);
            }
        }
        let is_text = matches!(left.ty, Type::Text(_));
        let len = match len {
            Some(len) => len.min(sizes[0].max(sizes[1])),
            None => sizes[0].max(sizes[1]),
        };
        let (a, b) = (self.bytes_of(left), self.bytes_of(right));
        let shorter = len.min(sizes[0]).min(sizes[1]);
        // What the longer one has besides must be zero where the shorter one ends.
        if is_text && len > shorter {
            let longer = if sizes[0] > sizes[1] { a } else { b };
            let next = self.b.block(&[]);
            let byte = self.load(Width::W8, false, longer.plus(shorter));
            let zero = self.b.i64(0);
            self.b.branch(Cond::Eq, byte, zero, next, other);
            self.b.switch_to(next);
        }
        self.compare_bytes(a, b, shorter, same, other);
    }

    fn equal_constant(&mut self, value: &Expr, text: &str, len: u32, same: Block, other: Block) {
        let size = self.size(&value.ty);
        let at = self.bytes_of(value);
        let mut wanted = text.as_bytes().to_vec();
        wanted.push(0);
        wanted.truncate(len as usize);
        if len > size {
            // The text does not fit, unless only the zero is missing: then it was cut and is not equal either.
            self.b.jump(other, &[]);
            return;
        }
        let mut differs: Option<Value> = None;
        let mut done = 0;
        while done < len {
            let mut width = at.plus(done).aligned();
            while width > 1 && done + width > size {
                width /= 2;
            }
            let part = &wanted[done as usize..(done + width).min(len) as usize];
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            let mut found = self.load(Width::from_bytes(width).unwrap_or(Width::W8), false, at.plus(done));
            if part.len() < width as usize {
                found = self.b.binary_const(Binary::And, found, (1 << (8 * part.len())) - 1);
            }
            let difference = self.b.binary_const(Binary::Xor, found, i64::from_le_bytes(word));
            differs = Some(match differs {
                Some(before) => self.b.binary(Binary::Or, before, difference),
                None => difference,
            });
            done += width;
        }
        let differs = differs.unwrap_or_else(|| self.b.i64(0));
        let zero = self.b.i64(0);
        self.b.branch(Cond::Eq, differs, zero, same, other);
    }

    /// On to `same` if so many bytes are equal.
    fn compare_bytes(&mut self, a: At, b: At, len: u32, same: Block, other: Block) {
        let step = a.aligned().min(b.aligned());
        let words = len / step;
        let differs = if words > MOST_WORDS {
            self.compare_loop(a, b, words, step)
        } else {
            let mut differs = self.b.i64(0);
            for word in 0..words {
                differs = self.difference(a.plus(word * step), b.plus(word * step), step, differs);
            }
            differs
        };
        let mut differs = differs;
        let mut done = words * step;
        while done < len {
            let mut width = step;
            while done + width > len {
                width /= 2;
            }
            differs = self.difference(a.plus(done), b.plus(done), width, differs);
            done += width;
        }
        let zero = self.b.i64(0);
        self.b.branch(Cond::Eq, differs, zero, same, other);
    }

    fn difference(&mut self, a: At, b: At, bytes: u32, before: Value) -> Value {
        let width = Width::from_bytes(bytes).unwrap_or(Width::W8);
        let left = self.load(width, false, a);
        let right = self.load(width, false, b);
        let both = self.b.binary(Binary::Xor, left, right);
        self.b.binary(Binary::Or, before, both)
    }

    fn compare_loop(&mut self, a: At, b: At, words: u32, step: u32) -> Value {
        let (left, right) = (self.addr(a), self.addr(b));
        let none = self.b.i64(0);
        let align = step;
        self.counted(words, None, &[none], |body, index, values| {
            let distance = body.b.binary_const(Binary::Mul, index, step.into());
            let left = At { ptr: body.b.ptr_add(left, distance), off: 0, align };
            let right = At { ptr: body.b.ptr_add(right, distance), off: 0, align };
            vec![body.difference(left, right, step, values[0])]
        })[0]
    }

    /// A loop that runs so many times, or as often as a value says if that is less, with values that change. What it gives
    /// are their last ones.
    pub fn counted(
        &mut self,
        times: u32,
        most: Option<Value>,
        values: &[Value],
        step: impl FnOnce(&mut Self, Value, &[Value]) -> Vec<Value>,
    ) -> Vec<Value> {
        let types = vec![IrType::I64; values.len() + 1];
        let head = self.b.block(&types);
        let (run, after) = (self.b.block(&[]), self.b.block(&[]));
        let zero = self.b.i64(0);
        let mut first = vec![zero];
        first.extend(values);
        self.b.jump(head, &first);
        self.b.switch_to(head);
        let index = self.b.param(head, 0);
        let current: Vec<Value> = (1..types.len()).map(|number| self.b.param(head, number)).collect();
        let limit = self.b.i64(times.into());
        let index = self.b.branch_refining(Cond::Ult, index, limit, run, after);
        self.b.switch_to(run);
        if let Some(most) = most {
            let more = self.b.block(&[]);
            self.b.branch(Cond::Ult, index, most, more, after);
            self.b.switch_to(more);
        }
        let mut next = step(self, index, &current);
        let following = self.b.binary_const(Binary::Add, index, 1);
        next.insert(0, following);
        self.b.jump(head, &next);
        self.b.switch_to(after);
        current
    }

    /// Bytes of a text in front of its zero.
    pub fn text_length(&mut self, text: &Expr) -> Value {
        let size = self.size(&text.ty);
        let at = self.bytes_of(text);
        self.length_at(at, size)
    }

    /// Bytes that are not zero among so many.
    pub fn length_at(&mut self, at: At, size: u32) -> Value {
        let start = self.addr(at);
        // Texts end in zeros only: the length is the number of bytes that are none.
        let none = self.b.i64(0);
        self.counted(size, None, &[none], |body, index, values| {
            let byte = At { ptr: body.b.ptr_add(start, index), off: 0, align: 1 };
            let byte = body.load(Width::W8, false, byte);
            // 1 for 1..=255, 0 for 0.
            let some = body.b.binary_const(Binary::Add, byte, 255);
            let some = body.b.binary_const(Binary::Lshr, some, 8);
            vec![body.b.binary(Binary::Add, values[0], some)]
        })[0]
    }

    /// Whether a text has another one in it: the last bytes that were seen are kept in words, and compared at each byte.
    pub fn text_contains(&mut self, text: &Expr, part: &str) -> Value {
        let size = self.size(&text.ty);
        let at = self.bytes_of(text);
        let start = self.addr(at);
        let part = part.as_bytes();
        // The wanted bytes as numbers, the last byte in the lowest place; the first word may be short.
        let words: Vec<i64> = part
            .rchunks(8)
            .map(|chunk| chunk.iter().fold(0u64, |word, &byte| word << 8 | u64::from(byte)).cast_signed())
            .collect();
        let short = part.len() % 8;
        let zero = self.b.i64(0);
        let mut values = vec![zero; words.len() + 1];
        values[0] = self.b.i64(0);
        let results = self.counted(size, None, &values, |body, index, values| {
            let byte = At { ptr: body.b.ptr_add(start, index), off: 0, align: 1 };
            let mut carry = body.load(Width::W8, false, byte);
            let mut next = vec![values[0]];
            let mut differs: Option<Value> = None;
            for (number, &wanted) in words.iter().enumerate() {
                let above = body.b.binary_const(Binary::Lshr, values[number + 1], 56);
                let moved = body.b.binary_const(Binary::Shl, values[number + 1], 8);
                let mut word = body.b.binary(Binary::Or, moved, carry);
                carry = above;
                next.push(word);
                if number + 1 == words.len() && short != 0 {
                    word = body.b.binary_const(Binary::And, word, (1 << (8 * short)) - 1);
                }
                let difference = body.b.binary_const(Binary::Xor, word, wanted);
                differs = Some(match differs {
                    Some(before) => body.b.binary(Binary::Or, before, difference),
                    None => difference,
                });
            }
            let differs = differs.unwrap_or(carry);
            // 1 if nothing differs, without a branch: x | -x has its sign bit for all but 0.
            let negative = body.b.unary(Unary::Neg, differs);
            let sign = body.b.binary(Binary::Or, differs, negative);
            let some = body.b.binary_const(Binary::Lshr, sign, 63);
            let here = body.b.binary_const(Binary::Xor, some, 1);
            next[0] = body.b.binary(Binary::Or, values[0], here);
            next
        });
        results[0]
    }
}
