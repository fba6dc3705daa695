//! Selection of memory accesses, and of copies and fills of constant size.

use skep_ir::{Function, InstData, Memory, Type, Value, Width as Bytes};
use skep_isa::ebpf::{AluOp, Cpu, JmpOp, Size, Width};

use super::Selector;
use crate::mir::{Base, Inst, Rhs, VReg};

/// The longest copy or fill, in bytes, that is not a loop.
const LONGEST_UNROLLED: u32 = 128;

/// A place: a pointer and a distance.
#[derive(Clone, Copy)]
struct Place {
    ptr: Value,
    off: i64,
}

impl Selector<'_> {
    pub(super) fn memory(&mut self, data: &InstData, result: Option<Value>) {
        match *data {
            InstData::Load { width, signed, ptr, off, .. } => self.load(width, signed, ptr, off, result),
            InstData::Store { width, ptr, off, value, .. } => {
                let src = self.stored(width, ptr, value);
                let (base, off) = self.place_or_member(ptr, off);
                self.emit(Inst::Store { size: width.size(), base, off, src });
            }
            InstData::Atomic { op, width, ptr, off, value } => {
                let src = self.reg(value);
                let (base, off) = self.place(ptr, off);
                let read = result.filter(|&value| self.needs.used(value));
                // An exchange returns what was there whether or not somebody reads it.
                let dst = (read.is_some() || op == skep_ir::AtomicOp::Xchg).then(|| self.result(result));
                self.emit(Inst::Atomic { width: register_width(width), op: op.isa(), base, off, src, dst });
            }
            InstData::CompareExchange { width, ptr, off, expected, value } => {
                let (expected, src) = (self.reg(expected), self.reg(value));
                let (base, off) = self.place(ptr, off);
                let dst = self.result(result);
                self.emit(Inst::CompareExchange { width: register_width(width), base, off, expected, src, dst });
            }
            InstData::Copy { to, from, len, align } => self.copy_bytes(to, from, len, align),
            InstData::Fill { to, len, byte, align } => self.fill_bytes(to, len, byte, align),
            InstData::PacketLoad { width, base, k } => {
                let ctx = match context(self.func) {
                    Some(ctx) => self.reg(ctx),
                    None => self.number(0),
                };
                let base = base.map(|base| self.reg(base));
                let dst = self.result(result);
                self.emit(Inst::PacketLoad { size: width.size(), ctx, base, k, dst });
                self.symbols.clear();
            }
            _ => {}
        }
    }

    fn load(&mut self, bytes: Bytes, signed: bool, ptr: Value, off: i16, result: Option<Value>) {
        let (base, off) = self.place_or_member(ptr, off);
        let size = bytes.size();
        let narrow = result.is_none_or(|value| self.is_narrow(value));
        // Of 32 bits that are read, the extension changes only the upper half.
        let whole = bytes == Bytes::W32 && (narrow || !self.is_wide(result));
        let extends = signed && bytes != Bytes::W64 && !whole;
        // The instruction extends to 64 bits, always, and not all memory can be read by it.
        let by_load = self.has(Cpu::V4) && !matches!(self.memory_of(ptr), Some(Memory::Context | Memory::Arena));
        if !extends || by_load && !(narrow && self.is_wide(result)) {
            let dst = self.result(result);
            self.emit(Inst::Load { size, signed: extends, dst, base, off });
            return;
        }
        let dst = self.new_reg();
        self.emit(Inst::Load { size, signed: false, dst, base, off });
        let dst = self.extend_from(dst, size, if narrow { Width::W32 } else { Width::W64 });
        self.bind(result, dst);
    }

    fn memory_of(&self, ptr: Value) -> Option<Memory> {
        self.func.ty(ptr).pointer().map(|pointer| pointer.to)
    }

    /// What is stored: a constant if the instruction can hold it. Stores of constants to the context are refused before
    /// Linux 6.4.
    fn stored(&mut self, bytes: Bytes, ptr: Value, value: Value) -> Rhs {
        let imm = match (bytes, self.constant(value)) {
            _ if self.memory_of(ptr) == Some(Memory::Context) => None,
            (Bytes::W64, Some(number)) => i32::try_from(number).ok(),
            (Bytes::W32, Some(number)) => Some(number as i32),
            (Bytes::W16, Some(number)) => Some(i32::from(number as u16)),
            (Bytes::W8, Some(number)) => Some(i32::from(number as u8)),
            (_, None) => None,
        };
        imm.map_or_else(|| Rhs::Reg(self.reg(value)), Rhs::Imm)
    }

    /// What an address is known to be a multiple of, 1 to 8: objects of the frame begin at multiples of 8.
    fn alignment(&self, place: Place, claimed: u8) -> u32 {
        let (root, sum) = self.pointer(place.ptr);
        if matches!(self.func.def_inst(root), Some(InstData::SlotAddr(_))) {
            let zeros = (sum + place.off).trailing_zeros().min(3);
            return u32::from(claimed).max(1 << zeros);
        }
        claimed.into()
    }

    fn copy_bytes(&mut self, to: Value, from: Value, len: u32, align: u8) {
        let (to, from) = (Place { ptr: to, off: 0 }, Place { ptr: from, off: 0 });
        let align = self.alignment(to, align).min(self.alignment(from, align));
        // A context has no places that are found at run time.
        let unrolls = len <= LONGEST_UNROLLED || self.memory_of(from.ptr) == Some(Memory::Context);
        let looped = if unrolls { 0 } else { len / align * align };
        if looped > 0 {
            let size = size_of_move(align);
            let (to, from) = (self.reg(to.ptr), self.reg(from.ptr));
            self.count_to(looped, align, |selector, index| {
                let [source, target] =
                    [from, to].map(|ptr| selector.emit_alu(Width::W64, AluOp::Add, ptr, Rhs::Reg(index)));
                let dst = selector.new_reg();
                selector.emit(Inst::Load { size, signed: false, dst, base: Base::Reg(source), off: 0 });
                selector.emit(Inst::Store { size, base: Base::Reg(target), off: 0, src: Rhs::Reg(dst) });
            });
        }
        let mut at = looped;
        while at < len {
            let unit = unit(align, len - at);
            let (base, off) = self.place_at(from, at);
            let dst = self.new_reg();
            self.emit(Inst::Load { size: size_of_move(unit), signed: false, dst, base, off });
            let (base, off) = self.place_at(to, at);
            self.emit(Inst::Store { size: size_of_move(unit), base, off, src: Rhs::Reg(dst) });
            at += unit;
        }
    }

    fn fill_bytes(&mut self, to: Value, len: u32, byte: u8, align: u8) {
        let to = Place { ptr: to, off: 0 };
        let align = self.alignment(to, align);
        let pattern = i64::from_ne_bytes([byte; 8]);
        let fits = i32::try_from(pattern).is_ok();
        let looped = if len <= LONGEST_UNROLLED { 0 } else { len / align * align };
        // One register for all stores that no constant serves: eight bytes that differ from their sign.
        let wide = (len >= 8 && align == 8 && !fits).then(|| self.number(pattern));
        let to_context = self.memory_of(to.ptr) == Some(Memory::Context);
        let any = to_context.then(|| self.number(pattern));
        let src = |unit: u32| match (any.or(if unit == 8 { wide } else { None }), unit) {
            (Some(reg), _) => Rhs::Reg(reg),
            (None, 1) => Rhs::Imm((pattern as u8).into()),
            (None, 2) => Rhs::Imm((pattern as u16).into()),
            (None, _) => Rhs::Imm(pattern as i32),
        };
        if looped > 0 {
            let ptr = self.reg(to.ptr);
            self.count_to(looped, align, |selector, index| {
                let target = selector.emit_alu(Width::W64, AluOp::Add, ptr, Rhs::Reg(index));
                let size = size_of_move(align);
                selector.emit(Inst::Store { size, base: Base::Reg(target), off: 0, src: src(align) });
            });
        }
        let mut at = looped;
        while at < len {
            let unit = unit(align, len - at);
            let (base, off) = self.place_at(to, at);
            self.emit(Inst::Store { size: size_of_move(unit), base, off, src: src(unit) });
            at += unit;
        }
    }

    fn place_at(&mut self, place: Place, at: u32) -> (Base, i16) {
        let off = place.off + i64::from(at);
        match i16::try_from(off) {
            Ok(off) => self.place(place.ptr, off),
            Err(_) => {
                let base = self.reg(place.ptr);
                let imm = i32::try_from(off).unwrap_or(i32::MAX);
                (Base::Reg(self.emit_alu(Width::W64, AluOp::Add, base, Rhs::Imm(imm))), 0)
            }
        }
    }

    /// A loop whose register counts from 0 in steps, and leaves at `end`, which is a multiple of the step.
    fn count_to(&mut self, end: u32, step: u32, body: impl FnOnce(&mut Self, VReg)) {
        let (head, exit, again) = (self.new_block(), self.new_block(), self.new_block());
        let index = self.new_reg();
        self.out.blocks[head.index()].params.push(index);
        let zero = self.number(0);
        self.emit(Inst::Jump(head, vec![zero]));
        self.switch_to(head);
        body(self, index);
        let next = self.emit_alu(Width::W64, AluOp::Add, index, Rhs::Imm(step as i32));
        let end = i32::try_from(end).unwrap_or(i32::MAX);
        self.branch(Width::W64, JmpOp::Ne, next, Rhs::Imm(end), [None; 2], [again, exit]);
        self.switch_to(again);
        self.emit(Inst::Jump(head, vec![next]));
        self.switch_to(exit);
    }
}

const fn register_width(width: Bytes) -> Width {
    if matches!(width, Bytes::W64) { Width::W64 } else { Width::W32 }
}

/// The largest move of at most `align` and at most `left` bytes.
const fn unit(align: u32, left: u32) -> u32 {
    let mut unit = align;
    while unit > left {
        unit /= 2;
    }
    unit
}

fn size_of_move(bytes: u32) -> Size {
    Bytes::from_bytes(bytes).map_or(Size::B, Bytes::size)
}

/// The parameter that is the context of the program.
pub fn context(func: &Function) -> Option<Value> {
    func.params().iter().copied().find(|&param| func.ty(param) == Type::ptr(Memory::Context))
}
