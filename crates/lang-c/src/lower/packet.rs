//! Headers of packets in the dialect of BCC: `ip->ttl` is read from the packet of the context by the instructions for that,
//! and written by a helper. Addresses are offsets in the packet, numbers are in the order of networks, and the first
//! bit-field has the highest bits. What lies behind the packet ends the program with 0 when it is read.

use skep_ir::{Binary, Callee, InstData, Type, Unary, Value, Width};

use super::Lower;
use super::func::Home;
use super::place::Addr;
use crate::parse::Parsed;
use crate::source::Diag;
use crate::types::QTy;

/// `bpf_skb_store_bytes`
const SKB_STORE_BYTES: u32 = 9;

/// Bits of a packet.
struct Field {
    /// Where the first byte is: a variable part, and the bytes behind it.
    base: Option<Value>,
    at: i64,
    /// Bytes that hold the bits, 1 to 8.
    bytes: i64,
    /// Bits in front of it in the first byte, and its own.
    before: i64,
    width: i64,
}

impl Lower<'_> {
    /// Where a member is in the packet.
    fn field(&mut self, addr: &Addr, ty: QTy) -> Parsed<Field> {
        let size = self.types.size(ty).unwrap_or(8).cast_signed();
        let (bit, width) = addr.bits.map_or((0, 8 * size), |(bit, width)| (bit.cast_signed(), i64::from(width)));
        let (before, at) = (bit % 8, addr.off + bit / 8);
        let bytes = (before + width + 7) / 8;
        if bytes > 8 {
            let loc = self.place_now;
            return self.error(loc, "a field of a packet that spans more than eight bytes cannot be read as a number");
        }
        let start = self.f().make_int(addr.base);
        let (base, at) = match self.f().constant(start) {
            Some(start) => (None, start.wrapping_add(at)),
            None => (Some(start), at),
        };
        Ok(Field { base, at, bytes, before, width })
    }

    /// The offset of a field plus some bytes.
    fn packet_offset(&mut self, field: &Field, more: i64) -> Value {
        match field.base {
            Some(base) => self.f().binary_number(Binary::Add, base, field.at.wrapping_add(more)),
            None => self.f().number(field.at.wrapping_add(more), Type::I64),
        }
    }

    /// The bytes that hold a field as a number of 64 bits. Nothing behind them is read.
    fn packet_bytes(&mut self, field: &Field) -> Value {
        let mut sum: Option<Value> = None;
        let mut done = 0;
        while done < field.bytes {
            let width = match field.bytes - done {
                4.. => Width::W32,
                2.. => Width::W16,
                _ => Width::W8,
            };
            let offset = self.packet_offset(field, done);
            let piece = self.packet_load(width, offset);
            let bytes = i64::from(width.bytes());
            sum = Some(match sum {
                None => piece,
                Some(sum) => {
                    let high = self.f().binary_number(Binary::Shl, sum, 8 * bytes);
                    self.f().binary(Binary::Or, high, piece)
                }
            });
            done += bytes;
        }
        match sum {
            Some(sum) => sum,
            None => self.f().number(0, Type::I64),
        }
    }

    /// Reads a member of a header.
    pub fn load_from_packet(&mut self, addr: &Addr, ty: QTy) -> Parsed<Value> {
        let field = self.field(addr, ty)?;
        let bytes = self.packet_bytes(&field);
        let up = self.f().binary_number(Binary::Shl, bytes, 64 - 8 * field.bytes + field.before);
        let int = self.types.as_int(ty);
        let op = if int.is_some_and(|int| int.signed()) { Binary::Ashr } else { Binary::Lshr };
        let value = self.f().binary_number(op, up, 64 - field.width);
        Ok(match self.register(ty) {
            Type::I32 => self.f().unary(Unary::Truncate, value),
            Type::I64 => value,
            _ => self.f().make_ptr(value),
        })
    }

    /// Writes a member of a header; the bits around it stay.
    pub fn store_to_packet(&mut self, addr: &Addr, ty: QTy, value: Value) -> Parsed<()> {
        let field = self.field(addr, ty)?;
        let Some(context) = self.packet_context() else {
            let loc = self.place_now;
            return self.push(
                Diag::error(loc, "the function that writes to a header has no packet")
                    .with_help("its first parameter is `struct __sk_buff *skb`"),
            );
        };
        let mut value = self.f().make_int(value);
        if self.f().ty(value) == Type::I32 {
            value = self.f().unary(Unary::Extend, value);
        }
        let behind = 8 * field.bytes - field.before - field.width;
        if field.before != 0 || behind != 0 {
            let mask = (((1_u64 << field.width) - 1) << behind).cast_signed();
            let new = self.f().binary_number(Binary::Shl, value, behind);
            let new = self.f().binary_number(Binary::And, new, mask);
            let old = self.packet_bytes(&field);
            let old = self.f().binary_number(Binary::And, old, !mask);
            value = self.f().binary(Binary::Or, old, new);
        }
        let room = self.slot("", field.bytes.cast_unsigned(), 1);
        let room = self.f().value(InstData::SlotAddr(room), Type::ptr(skep_ir::Memory::Stack));
        for at in 0..field.bytes {
            let piece = self.f().binary_number(Binary::Lshr, value, 8 * (field.bytes - 1 - at));
            let store = InstData::Store { width: Width::W8, ptr: room, off: at as i16, value: piece, volatile: false };
            self.f().inst(store, &[]);
        }
        let offset = self.packet_offset(&field, 0);
        let room = self.f().make_ptr(room);
        let [bytes, flags] = [field.bytes, 0].map(|number| self.f().number(number, Type::I64));
        let args = vec![context, offset, room, bytes, flags];
        self.f().value(InstData::Call(Callee::Helper(SKB_STORE_BYTES), args), Type::I64);
        Ok(())
    }

    /// The packet that the function being lowered is about: its first parameter.
    fn packet_context(&mut self) -> Option<Value> {
        let program = std::rc::Rc::clone(&self.program);
        let frames = self.f().frames.iter().rev().map(|frame| (frame.func, frame.homes.clone())).collect::<Vec<_>>();
        frames.into_iter().find_map(|(func, homes)| {
            let first = *program.func(func).params.first()?;
            let record = self.types.as_record(self.types.pointee(program.var(first).ty)?)?;
            let Home::Value(local) = *homes.get(&first)? else { return None };
            (*self.types.record(record).tag == *"__sk_buff").then(|| self.f().read(local))
        })
    }

    /// Says that a header cannot be copied as a whole.
    pub fn refuse_packet_copy(&mut self) {
        let loc = self.place_now;
        self.diags.push(
            Diag::error(loc, "a header in a packet is read and written member by member")
                .with_help("`bpf_skb_load_bytes(skb, (u64)header, &copy, sizeof(copy))` copies all of it"),
        );
        self.failed = true;
    }
}
