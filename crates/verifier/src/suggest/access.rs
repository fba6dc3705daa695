//! Accesses: tests of pointers, packets and indices.

use skep_isa::ebpf::{JmpOp, Op, Reg as Register, Size, Src};
use skep_isa::programs;

use super::{Scene, add, copy, sized, subject};
use crate::precision::Place;
use crate::reg::{Kind, Reg};
use crate::reject::Reason;

/// Helper `probe_read_kernel`.
const PROBE_READ_KERNEL: i32 = 113;

impl Scene<'_, '_> {
    /// A pointer is tested before it is used.
    pub(super) fn test_null(&mut self, reason: &Reason) {
        let Some(reg) = subject(reason, self.op, Some(self.state)) else { return };
        let Some(pointer) = Register::new(reg) else { return };
        if !self.value(reg).nullable {
            return;
        }
        let words = format!("compare {pointer} with null first");
        let test = (JmpOp::Ne, pointer, Src::Imm(0));
        self.leave_unless(self.at, self.state.depth(), &[], test, &words);
        self.skip_unless(test, &words);
    }

    /// The end of an access is compared with the end of the packet.
    pub(super) fn test_packet(&mut self, off: i64, size: u32) {
        let (base, beyond) = match self.op {
            Op::Load { base, off, size, .. } | Op::Store { base, off, size, .. } => {
                (base, i64::from(off) + i64::from(size.bytes()))
            }
            Op::Call(_) => {
                // Which argument it is the reason does not say in all words: the packet that ends too early.
                let packet = (1..6).find(|reg| {
                    let value = self.value(*reg);
                    value.kind.is_packet() && i64::from(value.off) == off
                });
                let Some(base) = packet.and_then(Register::new) else { return };
                (base, i64::from(size))
            }
            _ => return,
        };
        let Ok(beyond) = i32::try_from(beyond) else { return };
        let known = self.register_with(|value| value.kind == Kind::PacketEnd);
        // What is not read later may still hold what is needed here.
        let mut free = self.free(self.at).filter(|reg| Some(*reg) != known);
        let mut ops = Vec::new();
        let depth = self.state.depth();
        let end = match known {
            Some(end) => end,
            None => {
                let Some(second) = free.next() else { return };
                let Some(load) = self.load_end(second) else { return };
                ops.extend(load);
                second
            }
        };
        let Some(scratch) = free.next() else { return };
        ops.extend([copy(scratch, base), add(scratch, beyond)]);
        let words = format!("compare {base} + {beyond} with the end of the packet first");
        self.leave_unless(self.at, depth, &ops, (JmpOp::Le, scratch, Src::Reg(end)), &words);
    }

    /// A register of the running function with such a value.
    fn register_with(&self, is: impl Fn(&Reg) -> bool) -> Option<Register> {
        let registers = self.state.current().regs.iter().take(10).enumerate();
        let mut found = registers.filter(|(_, value)| is(value)).filter_map(|(reg, _)| u8::try_from(reg).ok());
        found.find_map(Register::new)
    }

    /// Loads the end of the packet from the stack, or from the context.
    fn load_end(&self, into: Register) -> Option<Vec<Op>> {
        let whole = |base, off| Op::Load { size: Size::DW, signed: false, dst: into, base, off };
        let spilled = |kind: Kind| {
            let slots = self.state.current().stack.iter().enumerate();
            let mut found = slots.filter(|(_, slot)| slot.is_spill() && slot.value.kind == kind);
            found.find_map(|(slot, _)| i16::try_from(slot).ok()).map(|slot| -8 * (slot + 1))
        };
        if let Some(off) = spilled(Kind::PacketEnd) {
            return Some(vec![whole(Register::R10, off)]);
        }
        let context = programs::facts(self.verifier.program.prog_type).context?;
        let field = context.field("data_end")?;
        let off = i16::try_from(field.offset).ok()?;
        let size = sized(field.size)?;
        let load = |base| Op::Load { size, signed: false, dst: into, base, off };
        let is_context = |value: &Reg| value.kind == Kind::Context && value.fixed_offset() == Some(0);
        match self.register_with(is_context) {
            Some(base) => Some(vec![load(base)]),
            None => Some(vec![whole(Register::R10, spilled(Kind::Context)?), load(into)]),
        }
    }

    /// Bytes of what a pointer points into.
    fn size_of(&self, kind: Kind) -> Option<i64> {
        let map = |map: u32| self.verifier.maps.get(map as usize);
        match kind {
            Kind::Value(index) => map(index).map(|map| map.value_size.into()),
            Kind::Key(index) => map(index).map(|map| map.key_size.into()),
            Kind::Memory(size) => Some(size.into()),
            Kind::FlowKeys => Some(56),
            Kind::Stack(_) => Some(0),
            _ => None,
        }
    }

    /// The number that was added to the pointer is bounded before.
    pub(super) fn bound_index(&mut self, reg: u8, kind: Kind) {
        let Some((index, number)) = self.trail.addition(reg) else { return };
        let depth = self.trail.entries[index].depth;
        let pointer = *self.value(reg);
        let Some(total) = self.size_of(kind) else { return self.bound_in_packet(index, number, kind) };
        let width = match self.op {
            Op::Load { size, off, .. } | Op::Store { size, off, .. } => i64::from(size.bytes()) + i64::from(off),
            Op::Atomic { width, off, .. } => i64::from(width.size().bytes()) + i64::from(off),
            _ => 1,
        };
        // What else was added than this number.
        let before = self.trail.before(index).and_then(|state| state.frames.get(usize::from(depth)));
        let added = before.map_or(0, |frame| frame.regs[number.index()].num.u64().max);
        let others = pointer.num.u64().max.wrapping_sub(added).cast_signed();
        let others = if (0..total.max(1)).contains(&others) { others } else { 0 };
        let most = total - width - i64::from(pointer.off) - others;
        if let Some(most) = i32::try_from(most).ok().filter(|most| *most >= 0) {
            self.bound(self.trail.entries[index].at, depth, number, most);
        }
    }

    fn bound_in_packet(&mut self, index: usize, number: Register, kind: Kind) {
        if kind.is_packet() {
            let entry = &self.trail.entries[index];
            self.bound(entry.at, entry.depth, number, 0xfff);
        }
    }

    /// A number is not above a bound behind this.
    fn bound(&mut self, at: u32, depth: u8, number: Register, most: i32) {
        let words = format!("compare {number} with {most} before it is added");
        self.leave_unless(at, depth, &[], (JmpOp::Le, number, Src::Imm(most)), &words);
        let ones = (most.unsigned_abs() + 1).checked_next_power_of_two().map_or(0, |power| power - 1);
        let mask = if ones > most.unsigned_abs() { ones >> 1 } else { ones };
        let mask = i32::try_from(mask).unwrap_or(0);
        let and = Op::Alu {
            width: skep_isa::ebpf::Width::W64,
            op: skep_isa::ebpf::AluOp::And,
            dst: number,
            src: Src::Imm(mask),
        };
        self.offer(at, &[and], format!("mask {number} with {mask:#x} before it is added"));
    }

    /// An operand of an addition that is not bounded.
    pub(super) fn bound_operand(&mut self, kind: Kind) {
        let Op::Alu { dst, src: Src::Reg(src), .. } = self.op else {
            let base = match self.op {
                Op::Load { base, .. } | Op::Store { base, .. } | Op::Atomic { base, .. } => base,
                _ => return,
            };
            return self.bound_index(base.number(), kind);
        };
        let (pointer, number) = if self.value(dst.number()).is_pointer() { (dst, src) } else { (src, dst) };
        let off = self.value(pointer.number()).fixed_offset().unwrap_or(0);
        let depth = self.state.depth();
        let total = self.size_of(kind).map_or(0xfff, |total| total - off);
        // How much is accessed is not known here.
        for width in [8, 4, 2, 1] {
            if let Some(most) = i32::try_from(total - width).ok().filter(|most| *most >= 0) {
                self.bound(self.at, depth, number, most);
            }
        }
    }

    /// As [`Self::bound_operand`], if the reason does not say what the pointer points to.
    pub(super) fn bound_moved(&mut self) {
        let Op::Alu { dst, src: Src::Reg(src), .. } = self.op else { return };
        let (left, right) = (self.value(dst.number()), self.value(src.number()));
        let kind = if left.is_pointer() { left.kind } else { right.kind };
        self.bound_operand(kind);
    }

    /// Memory of the kernel is read by the helper that may fail; a pointer that was cut to 32 bits is kept whole.
    pub(super) fn read_kernel(&mut self, reg: u8) {
        self.keep_whole(reg);
        let Op::Load { size, dst, base, off, signed: false } = self.op else {
            return self.leave_out("without this access");
        };
        let Some(place) = self.spare_stack() else { return };
        let live = self.verifier.live.get(self.at as usize).copied().unwrap_or(u16::MAX);
        let lost = (0..6).filter_map(Register::new).filter(|reg| live & (1 << reg.index()) != 0 && *reg != dst);
        let lost: Vec<(Register, i16)> = lost.zip(1..).map(|(reg, number)| (reg, place - 8 * number)).collect();
        let spill = |(reg, off): &(Register, i16)| Op::Store {
            size: Size::DW,
            base: Register::R10,
            off: *off,
            src: Src::Reg(*reg),
        };
        let fill = |(reg, off): &(Register, i16)| Op::Load {
            size: Size::DW,
            signed: false,
            dst: *reg,
            base: Register::R10,
            off: *off,
        };
        let mut ops: Vec<Op> = lost.iter().map(spill).collect();
        let bytes = i32::try_from(size.bytes()).unwrap_or(8);
        ops.extend([
            copy(Register::R3, base),
            add(Register::R3, off.into()),
            super::set(Register::R2, bytes),
            copy(Register::R1, Register::R10),
            add(Register::R1, place.into()),
            Op::Call(skep_isa::ebpf::Callee::Helper(PROBE_READ_KERNEL)),
        ]);
        ops.extend(lost.iter().map(fill));
        ops.push(Op::Load { size, signed: false, dst, base: Register::R10, off: place });
        self.offer_instead(self.at, &ops, format!("read the {bytes} bytes by probe_read_kernel"));
    }

    /// An operation of 32 bits that made a number of a pointer is done with 64 bits.
    fn keep_whole(&mut self, reg: u8) {
        let depth = self.state.depth();
        let Some(index) = self.trail.lost_pointer(Place::Reg(depth, reg)) else { return };
        let at = self.trail.entries[index].at;
        if let Some(Op::Alu { width: skep_isa::ebpf::Width::W32, op, dst, src }) = self.verifier.code.op(at) {
            let whole = Op::Alu { width: skep_isa::ebpf::Width::W64, op, dst, src };
            self.offer_instead(at, &[whole], "keep all 64 bits of the pointer".to_owned());
        }
    }
}
