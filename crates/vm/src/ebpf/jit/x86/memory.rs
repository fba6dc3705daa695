//! Accesses: of the stack without checks, of everything else inside the cage.

use skep_isa::ebpf::{AtomicOp, Op, Reg as BpfReg, Size, Src, Width};

use super::lower::{ADDRESS, BASE, Lower, VALUE, field, host};
use super::{Cond, LockedAlu, Mem, Reg, Scale};
use crate::ebpf::facts::{Fact, SMALL_LIMIT};
use crate::ebpf::interpreter::inside_frame;
use crate::ebpf::jit::{AccessSite, Place, Reason};
use crate::ebpf::space::Access;

/// A memory operand, and where to find the address if the access faults.
#[derive(Clone, Copy)]
pub(super) struct Operand {
    pub(super) mem: Mem,
    /// `None`: it cannot fault.
    pub(super) place: Option<Place>,
}

/// `base + index`
fn sum(base: Reg, index: Reg, off: i32) -> Mem {
    match Mem::indexed(base, index, Scale::One, off) {
        Some(mem) => mem,
        None => unreachable!("no register of the program is rsp"),
    }
}

impl Lower<'_> {
    /// The operand for an access at a distance from a register. May use the register for addresses.
    pub(super) fn operand(&mut self, at: usize, base: BpfReg, off: i16, size: Size, _: Access) -> Operand {
        if let Some(distance) = self.plan.in_frame(at, off, size) {
            return Operand { mem: Self::frame_slot(distance), place: None };
        }
        let off = i32::from(off);
        let fact = self.plan.address(at);
        if let Fact::Number(number) = fact
            && let Some(address) = number.checked_add_signed(off.into())
            && let Ok(disp) = i32::try_from(address)
            && number < SMALL_LIMIT
        {
            return Operand { mem: Mem::new(BASE, disp), place: Some(Place::Fixed(disp.cast_unsigned())) };
        }
        let reg = host(base);
        if fact.bound().is_some() || self.plan.options.proved {
            let place = Some(Place::Register { number: reg.number(), off });
            return Operand { mem: sum(BASE, reg, off), place };
        }
        if off == 0 {
            self.asm.mov(Width::W32, ADDRESS, reg);
        } else {
            self.asm.lea(Width::W32, ADDRESS, Mem::new(reg, off));
        }
        let place = Some(Place::Register { number: ADDRESS.number(), off: 0 });
        Operand { mem: sum(BASE, ADDRESS, 0), place }
    }

    /// The operand at a constant and an index of any size.
    pub(super) fn indexed(&mut self, index: Reg, constant: i32) -> Operand {
        if self.plan.options.proved {
            let place = Some(Place::Register { number: index.number(), off: constant });
            return Operand { mem: sum(BASE, index, constant), place };
        }
        self.asm.lea(Width::W32, ADDRESS, Mem::new(index, constant));
        let place = Some(Place::Register { number: ADDRESS.number(), off: 0 });
        Operand { mem: sum(BASE, ADDRESS, 0), place }
    }

    /// Notes the access that was emitted at `start`.
    pub(super) fn note(&mut self, at: usize, start: usize, operand: Operand, size: Size, access: Access) {
        self.note_with(at, start, operand, size, access, None);
    }

    /// As [`note`](Self::note), for an instruction that also writes, for the step `writer`.
    pub(super) fn note_with(
        &mut self,
        at: usize,
        start: usize,
        operand: Operand,
        size: Size,
        access: Access,
        writer: Option<u32>,
    ) {
        let Some(place) = operand.place else { return };
        let (at, step) = (start as u32, at as u32);
        self.note_access(AccessSite { at, step, place, size: size.bytes(), access, writer });
    }

    /// Stops when an access at a distance from the frame pointer is certain to be outside of the frame.
    fn outside_frame(&mut self, at: usize, base: BpfReg, off: i16, size: Size, access: Access) -> bool {
        let outside = base == BpfReg::R10 && !inside_frame(off, size);
        if outside {
            self.asm.store(Size::DW, field!(stop_registers), Reg::Rbp);
            self.stop(at, Reason::OutsideFrame { off, size: size.bytes(), access });
        }
        outside
    }

    /// Loads and stores that are not read-modify-writes.
    pub(super) fn access(&mut self, at: usize, op: Op) {
        match op {
            Op::Load { size, signed, dst, base, off } => {
                if self.outside_frame(at, base, off, size, Access::Read) {
                    return;
                }
                let operand = self.operand(at, base, off, size, Access::Read);
                let start = self.asm.position();
                if signed && size != Size::DW {
                    self.asm.movsx(Width::W64, size, host(dst), operand.mem);
                } else {
                    self.asm.movzx(size, host(dst), operand.mem);
                }
                self.note(at, start, operand, size, Access::Read);
            }
            Op::Store { size, base, off, src } => {
                if self.outside_frame(at, base, off, size, Access::Write) {
                    return;
                }
                self.store(at, size, base, off, src);
            }
            // Loads and stores of this processor have acquire and release order already.
            Op::LoadAcquire { size, dst, base, off } => {
                let operand = self.aligned(at, base, off, size, Access::Read);
                let start = self.asm.position();
                self.asm.movzx(size, host(dst), operand.mem);
                self.note(at, start, operand, size, Access::Read);
            }
            Op::StoreRelease { size, base, off, src } => {
                let operand = self.aligned(at, base, off, size, Access::Write);
                let start = self.asm.position();
                self.asm.store(size, operand.mem, host(src));
                self.note(at, start, operand, size, Access::Write);
            }
            _ => unreachable!("not a load or store"),
        }
    }

    fn store(&mut self, at: usize, size: Size, base: BpfReg, off: i16, src: Src) {
        let imm = match src {
            Src::Imm(imm) if self.plan.plain() => Some(imm),
            _ => None,
        };
        // A blinded constant takes both scratch registers, so it comes before the address.
        let value = if imm.is_none() { Some(self.in_register(src)) } else { None };
        let operand = self.operand(at, base, off, size, Access::Write);
        let start = self.asm.position();
        match (value, imm) {
            (Some(value), _) => self.asm.store(size, operand.mem, value),
            (None, imm) => self.asm.store_imm(size, operand.mem, imm.unwrap_or(0)),
        }
        self.note(at, start, operand, size, Access::Write);
    }

    /// As [`operand`](Self::operand), stopping where the address is no multiple of the size.
    fn aligned(&mut self, at: usize, base: BpfReg, off: i16, size: Size, access: Access) -> Operand {
        let operand = self.operand(at, base, off, size, access);
        if self.plan.options.proved || self.plan.is_aligned(at, off, size) {
            return operand;
        }
        let bytes = size.bytes();
        let stop = Reason::Misaligned { size: bytes };
        // The base of the cage is the start of a page.
        self.asm.lea(Width::W64, VALUE, operand.mem);
        self.asm.test_imm(Size::B, VALUE, bytes as i32 - 1);
        self.stop_if(at, Cond::Ne, stop, Some(VALUE));
        operand
    }

    /// An atomic read-modify-write.
    pub(super) fn atomic(&mut self, at: usize, op: Op) {
        let Op::Atomic { width, op, fetch, base, off, src } = op else { unreachable!("not an atomic operation") };
        let size = width.size();
        let operand = self.aligned(at, base, off, size, Access::Write);
        let src = host(src);
        let locked = match op {
            AtomicOp::Add => Some(LockedAlu::Add),
            AtomicOp::And => Some(LockedAlu::And),
            AtomicOp::Or => Some(LockedAlu::Or),
            AtomicOp::Xor => Some(LockedAlu::Xor),
            AtomicOp::Xchg | AtomicOp::CmpXchg => None,
        };
        let start = self.asm.position();
        match (op, locked) {
            (_, Some(locked)) if !fetch => self.asm.lock_alu(locked, width, operand.mem, src),
            (AtomicOp::Add, _) => self.asm.lock_xadd(width, operand.mem, src),
            (AtomicOp::Xchg, _) => self.asm.xchg(size, operand.mem, src),
            (AtomicOp::CmpXchg, _) => {
                self.asm.lock_cmpxchg(width, operand.mem, src);
                if width == Width::W32 {
                    // If they were equal the processor has left the upper half alone.
                    self.asm.mov(Width::W32, Reg::Rax, Reg::Rax);
                }
            }
            (_, Some(locked)) => return self.fetch_loop(at, locked, width, operand, src),
            _ => unreachable!("all operations are listed"),
        }
        self.note(at, start, operand, size, Access::Write);
    }

    /// `src = old value`, with the operation done by comparing and exchanging: there is no instruction for it.
    fn fetch_loop(&mut self, at: usize, op: LockedAlu, width: Width, operand: Operand, src: Reg) {
        let size = width.size();
        // rax is needed for the old value; the address may be based on it, and the source may be it. The address is
        // made absolute first, in the register for addresses.
        self.asm.lea(Width::W64, ADDRESS, operand.mem);
        let memory = Mem::new(ADDRESS, 0);
        let place = operand.place.map(|_| Place::Host { number: ADDRESS.number() });
        let operand = Operand { mem: memory, place };
        self.asm.push(Reg::Rax);
        if src != Reg::Rax {
            self.asm.push(src);
        }
        let pushed_src = Mem::new(Reg::Rsp, 0);
        let start = self.asm.position();
        self.asm.movzx(size, Reg::Rax, memory);
        self.note(at, start, operand, size, Access::Write);
        let again = self.asm.position();
        self.asm.mov(width, VALUE, Reg::Rax);
        self.asm.alu(op.alu(), size, VALUE, pushed_src);
        let start = self.asm.position();
        self.asm.lock_cmpxchg(width, memory, VALUE);
        self.note(at, start, operand, size, Access::Write);
        let back = self.asm.jcc8(Cond::Ne);
        let patched = self.asm.patch_rel8(back, again);
        debug_assert!(patched.is_ok());
        // The old value, with a clear upper half.
        self.asm.mov(width, VALUE, Reg::Rax);
        if src != Reg::Rax {
            self.asm.pop(src);
        }
        self.asm.pop(Reg::Rax);
        self.asm.mov(width, src, VALUE);
    }
}
