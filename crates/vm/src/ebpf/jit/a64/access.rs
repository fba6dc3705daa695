//! Accesses: of the stack without checks, of everything else inside the cage.

use skep_isa::ebpf::{AtomicOp as BpfAtomic, Op, Reg as BpfReg, Size, Src};

use super::lower::{ADDRESS, BASE, EXTRA, FRAME, Lower, VALUE, field, host, size as host_size, width};
use super::{Address, AtomicOp, BitmaskImm, Cond, Extend, Index, Load, Reg, RegOrZr, Width, ZR};
use crate::ebpf::interpreter::inside_frame;
use crate::ebpf::jit::{AccessSite, Place, Reason};
use crate::ebpf::layout::FRAME_BYTES;
use crate::ebpf::space::Access;

/// An address for an instruction, and where to find the program's address if the access faults.
#[derive(Clone, Copy)]
pub(super) struct Operand {
    pub(super) address: Address,
    /// `None`: it cannot fault.
    pub(super) place: Option<Place>,
}

/// How a load of this size reads.
fn load(size: Size, signed: bool) -> Load {
    match size {
        Size::B if signed => Load::SignedByte(Width::X),
        Size::H if signed => Load::SignedHalf(Width::X),
        Size::W if signed => Load::SignedWord,
        size => Load::Unsigned(host_size(size)),
    }
}

impl Lower<'_> {
    /// The distance from the lowest address of the active frame, if the access is known to lie in it.
    fn in_frame(&self, at: usize, off: i16, size: Size) -> Option<i32> {
        self.plan.in_frame(at, off, size).map(|distance| distance + FRAME_BYTES as i32)
    }

    /// The operand for an access at a distance from a register. May use the registers for addresses and values.
    pub(super) fn operand(&mut self, at: usize, base: BpfReg, off: i16, size: Size) -> Operand {
        if let Some(distance) = self.in_frame(at, off, size) {
            // Distances that are no multiples of the size have 9 bits with a sign.
            if distance % size.bytes() as i32 == 0 || distance < 256 {
                return Operand { address: Address::Offset(FRAME.into(), distance), place: None };
            }
            self.add_constant(Width::X, ADDRESS, FRAME, distance.into());
            return Operand { address: Address::at(ADDRESS), place: None };
        }
        let index = if off == 0 { host(base) } else { ADDRESS };
        if off != 0 {
            self.add_offset(host(base), off);
        }
        let place = Some(Place::Register { number: index.number(), off: 0 });
        Operand { address: Address::Index(BASE.into(), Index::Uxtw(index.into())), place }
    }

    /// Adds an offset with 32 bits, into the register for addresses.
    fn add_offset(&mut self, base: Reg, off: i16) {
        if super::AddImm::new(off.unsigned_abs().into()).is_some() {
            self.add_constant(Width::W, ADDRESS, base, off.into());
        } else {
            // The register for values may hold what is to be stored.
            self.code.load_immediate(ADDRESS, i64::from(off).cast_unsigned());
            self.code.arith(super::Arith::Add, Width::W, ADDRESS, ADDRESS, base);
        }
    }

    /// As [`operand`](Self::operand), with the address of the host in the register for addresses, stopping where it is
    /// no multiple of the size. Gives where to find it if the access faults.
    fn aligned(&mut self, at: usize, base: BpfReg, off: i16, size: Size) -> Option<Place> {
        let place = match self.in_frame(at, off, size) {
            Some(distance) => {
                self.add_constant(Width::X, ADDRESS, FRAME, distance.into());
                None
            }
            None => {
                let index = if off == 0 { host(base) } else { ADDRESS };
                if off != 0 {
                    self.add_offset(host(base), off);
                }
                let result = self.code.add_extended(Width::X, ADDRESS, BASE, (index, Extend::Uxtw, 0));
                self.check(result);
                Some(Place::Host { number: ADDRESS.number() })
            }
        };
        // The base of the cage is the start of a page. There is no mask for single bytes, which are always aligned.
        if !self.plan.options.proved
            && !self.plan.is_aligned(at, off, size)
            && let Some(mask) = BitmaskImm::new(Width::X, u64::from(size.bytes()) - 1)
        {
            self.code.tst_imm(ADDRESS, mask);
            self.stop_if(at, Cond::Ne, Reason::Misaligned { size: size.bytes() }, Some(ADDRESS));
        }
        place
    }

    /// Notes that the instruction that comes next is an access.
    pub(super) fn note(&mut self, at: usize, place: Option<Place>, size: Size, access: Access) {
        let Some(place) = place else { return };
        let site = AccessSite { at: self.position(), step: at as u32, place, size: size.bytes(), access, writer: None };
        self.out.accesses.push(site);
    }

    /// Stops when an access at a distance from the frame pointer is certain to be outside of the frame.
    fn outside_frame(&mut self, at: usize, base: BpfReg, off: i16, size: Size, access: Access) -> bool {
        let outside = base == BpfReg::R10 && !inside_frame(off, size);
        if outside {
            self.store_field(host(BpfReg::R10), field!(stop_registers));
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
                let operand = self.operand(at, base, off, size);
                self.note(at, operand.place, size, Access::Read);
                let result = self.code.load(load(size, signed), host(dst), operand.address);
                self.check(result);
            }
            Op::Store { size, base, off, src } => {
                if self.outside_frame(at, base, off, size, Access::Write) {
                    return;
                }
                let value = match src {
                    Src::Imm(0) => ZR,
                    src => self.in_register(src).into(),
                };
                let operand = self.operand(at, base, off, size);
                self.note(at, operand.place, size, Access::Write);
                let result = self.code.store(host_size(size), value, operand.address);
                self.check(result);
            }
            Op::LoadAcquire { size, dst, base, off } => {
                let place = self.aligned(at, base, off, size);
                self.note(at, place, size, Access::Read);
                self.code.ldar(host_size(size), host(dst), ADDRESS);
            }
            Op::StoreRelease { size, base, off, src } => {
                let place = self.aligned(at, base, off, size);
                self.note(at, place, size, Access::Write);
                self.code.stlr(host_size(size), host(src), ADDRESS);
            }
            _ => unreachable!("not a load or store"),
        }
    }

    /// An atomic read-modify-write.
    pub(super) fn atomic(&mut self, at: usize, op: Op) {
        let Op::Atomic { width: bits, op, fetch, base, off, src } = op else { unreachable!("not an atomic operation") };
        let (size, width, src) = (bits.size(), width(bits), host(src));
        let place = self.aligned(at, base, off, size);
        // The old value goes nowhere if it is not asked for; not into the zero register, which would drop the acquire.
        let old = if fetch { src } else { EXTRA };
        let (op, operand): (_, RegOrZr) = match op {
            BpfAtomic::Add => (AtomicOp::Add, src.into()),
            BpfAtomic::Or => (AtomicOp::Set, src.into()),
            BpfAtomic::Xor => (AtomicOp::Xor, src.into()),
            BpfAtomic::And => {
                self.code.mvn(width, VALUE, src);
                (AtomicOp::Clear, VALUE.into())
            }
            BpfAtomic::Xchg => {
                self.note(at, place, size, Access::Write);
                self.code.atomic(AtomicOp::Swap, width, src, src, ADDRESS);
                return;
            }
            BpfAtomic::CmpXchg => {
                self.note(at, place, size, Access::Write);
                self.code.cas(width, host(BpfReg::R0), src, ADDRESS);
                return;
            }
        };
        self.note(at, place, size, Access::Write);
        self.code.atomic(op, width, operand, old, ADDRESS);
    }
}
