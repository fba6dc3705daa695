//! Branches: which way they go and what is known behind them (`check_cond_jmp_op`).

use skep_domain::Cond;
use skep_isa::ebpf::{JmpOp, Reg as Register, Src, Width};

use crate::alu::width_of;
use crate::code::Next;
use crate::precision::Place;
use crate::profile::Kernel;
use crate::reg::{AT_END, BEYOND_END, Kind, Reg};
use crate::reject::{Reason, Step};
use crate::rules;
use crate::search::{Flow, Verifier};
use crate::state::State;
use crate::types::{Field, FieldKind};

/// The farthest place in a packet that is proved (`MAX_PACKET_OFF`).
const MAX_PACKET: u64 = 0xffff;
/// Copies that are refined together (`LINKED_REGS_MAX`).
const MAX_LINKED: usize = 6;

fn condition(op: JmpOp) -> Cond {
    match op {
        JmpOp::Eq => Cond::Eq,
        JmpOp::Ne => Cond::Ne,
        JmpOp::Lt => Cond::Lt,
        JmpOp::Le => Cond::Le,
        JmpOp::Gt => Cond::Gt,
        JmpOp::Ge => Cond::Ge,
        JmpOp::SLt => Cond::SLt,
        JmpOp::SLe => Cond::SLe,
        JmpOp::SGt => Cond::SGt,
        JmpOp::SGe => Cond::SGe,
        JmpOp::Set => Cond::Set,
    }
}

/// The same comparison with its operands exchanged.
fn mirrored(cond: Cond) -> Cond {
    match cond {
        Cond::Gt => Cond::Lt,
        Cond::Lt => Cond::Gt,
        Cond::Ge => Cond::Le,
        Cond::Le => Cond::Ge,
        other => other,
    }
}

/// The operands of a comparison.
#[derive(Debug, Clone, Copy)]
struct Test {
    width: Width,
    dst: Register,
    src: Src,
}

impl Verifier<'_> {
    /// A nullable pointer and its copies turn out to be null or not.
    fn settle(&self, state: &mut State, pointer: &Reg, is_null: bool) {
        let id = pointer.id;
        if id == 0 {
            return;
        }
        if is_null && pointer.reference == id {
            // Nothing was taken.
            state.references.retain(|(held, _)| *held != pointer.reference);
        }
        // Which lock it is that a value or object has is told by the name of its pointer.
        let keeps = self.may_have_lock(pointer.kind);
        for value in state.values() {
            if value.id == id && value.nullable {
                if is_null {
                    *value = Reg::constant(0);
                } else {
                    value.nullable = false;
                    if !keeps {
                        value.id = 0;
                    }
                }
            }
        }
    }

    fn may_have_lock(&self, kind: Kind) -> bool {
        let has_lock = |fields: &[Field]| fields.iter().any(|field| field.kind == FieldKind::SpinLock);
        match kind {
            Kind::Value(map) => has_lock(&self.fields[map as usize]),
            Kind::Object(ty, _) => has_lock(&self.fields_of(skep_btf::TypeId(ty))),
            _ => false,
        }
    }

    /// `if dst OP src goto ...`
    pub fn branch(
        &mut self,
        state: &mut State,
        at: u32,
        width: Width,
        op: JmpOp,
        dst: Register,
        src: Src,
    ) -> Step<Flow> {
        let Next::Branch(behind, target) = self.code.next(at).map_err(|error| error.reason)? else {
            return Err(Reason::JumpOutside.into());
        };
        let left = self.read(state, dst)?;
        let right = match src {
            Src::Reg(reg) => self.read(state, reg)?,
            Src::Imm(imm) => Reg::constant(match width {
                Width::W64 => i64::from(imm).cast_unsigned(),
                Width::W32 => u64::from(imm.cast_unsigned()),
            }),
        };
        let cond = condition(op);
        if right.is_pointer() && !(is_of_packet(&left) && is_of_packet(&right)) {
            self.compares()?;
        }
        if let Some(taken) = self.decided(&left, &right, cond, width) {
            if left.is_number() {
                self.precise(state, dst.number());
            }
            if let (Src::Reg(reg), true) = (src, right.is_number()) {
                self.precise(state, reg.number());
            }
            let (next, other) = if taken { (target, behind) } else { (behind, target) };
            match src {
                Src::Reg(reg) => self.push_guess(state, other, &[dst, reg])?,
                Src::Imm(_) => self.push_guess(state, other, &[dst])?,
            }
            return Ok(Flow::Next(next));
        }
        let linked = self.linked(state, dst, src);
        self.note_linked(&linked);
        let mut other = state.clone();
        let test = Test { width, dst, src };
        if left.is_number() && right.is_number() {
            self.refine(&mut other, test, cond, &right, &linked);
            self.refine(state, test, cond.negated(), &right, &linked);
        } else if matches!(src, Src::Imm(0))
            && left.nullable
            && width == Width::W64
            && matches!(cond, Cond::Eq | Cond::Ne)
        {
            self.settle(&mut other, &left, cond == Cond::Eq);
            self.settle(state, &left, cond == Cond::Ne);
        } else if !self.compare_pointers(state, &mut other, cond, test, &left, &right) && left.is_pointer() {
            self.compares()?;
        }
        self.push(other, target)?;
        Ok(Flow::Next(behind))
    }

    /// Which way a comparison of a packet pointer with the packet's end goes, if an earlier one has told
    /// (`is_pkt_ptr_branch_taken`).
    fn decided_by_end(left: &Reg, right: &Reg, cond: Cond) -> Option<bool> {
        let (range, cond) = match (left.kind, right.kind) {
            (Kind::Packet, Kind::PacketEnd) => (left.range, cond),
            (Kind::PacketEnd, Kind::Packet) => (right.range, mirrored(cond)),
            _ => return None,
        };
        match cond {
            Cond::Gt | Cond::Le if range == BEYOND_END => Some(cond == Cond::Gt),
            Cond::Ge | Cond::Lt if range >= AT_END => Some(cond == Cond::Ge),
            _ => None,
        }
    }

    fn decided(&self, left: &Reg, right: &Reg, cond: Cond, width: Width) -> Option<bool> {
        match (left.is_number(), right.is_number()) {
            (true, true) => left.num.decide(cond, right.num, width_of(width)),
            (false, false) if width == Width::W64 => Self::decided_by_end(left, right, cond),
            // The kernel says so of the lower half of a pointer too.
            (false, true) if right.is_zero() && !left.nullable && is_never_null(left, self.kernel) => match cond {
                Cond::Eq => Some(false),
                Cond::Ne => Some(true),
                _ => None,
            },
            _ => None,
        }
    }

    fn refine(&self, state: &mut State, test: Test, cond: Cond, right: &Reg, linked: &[Place]) {
        let Test { width, dst, src } = test;
        let left = *state.reg(dst.index());
        let Some((first, second)) = left.num.refine(cond, right.num, width_of(width)) else { return };
        state.top().regs[dst.index()].num = first;
        if let Src::Reg(reg) = src {
            state.top().regs[reg.index()].num = second;
        }
        self.spread(state, dst.index(), linked);
        if let Src::Reg(reg) = src {
            self.spread(state, reg.index(), linked);
        }
    }

    /// The copies of the operands of a branch, the operands included.
    fn linked(&self, state: &State, dst: Register, src: Src) -> Vec<Place> {
        let mut places = Vec::new();
        let operands = [Some(dst), if let Src::Reg(reg) = src { Some(reg) } else { None }];
        for operand in operands.into_iter().flatten() {
            let value = state.reg(operand.index());
            if !value.is_number() || value.id == 0 {
                continue;
            }
            for (depth, frame) in state.frames.iter().enumerate() {
                let depth = u8::try_from(depth).unwrap_or(u8::MAX);
                let regs = frame.regs.iter().enumerate().filter(|(_, reg)| reg.is_number() && reg.id == value.id);
                let regs = regs.map(|(reg, _)| Place::Reg(depth, u8::try_from(reg).unwrap_or(0)));
                let slots = frame.stack.iter().enumerate();
                let slots =
                    slots.filter(|(_, slot)| slot.is_spill() && slot.value.is_number() && slot.value.id == value.id);
                let slots = slots.map(|(slot, _)| Place::Slot(depth, u8::try_from(slot).unwrap_or(0)));
                for place in regs.chain(slots) {
                    if places.len() < MAX_LINKED && !places.contains(&place) {
                        places.push(place);
                    }
                }
            }
        }
        places
    }

    /// What was found out about a number holds for its copies (`sync_linked_regs`).
    fn spread(&self, state: &mut State, reg: usize, linked: &[Place]) {
        let known = *state.reg(reg);
        if known.id == 0 || linked.len() < 2 {
            return;
        }
        for place in linked {
            let value = match *place {
                Place::Reg(depth, reg) => &mut state.frames[usize::from(depth)].regs[usize::from(reg)],
                Place::Slot(depth, slot) => &mut state.frames[usize::from(depth)].stack[usize::from(slot)].value,
            };
            if !value.is_number() || value.id != known.id {
                continue;
            }
            if value.delta == known.delta {
                value.num = known.num;
            } else {
                let distance = i64::from(value.delta.unwrap_or(0)) - i64::from(known.delta.unwrap_or(0));
                let by = skep_domain::Scalar::constant(distance.cast_unsigned());
                value.num = known.num.alu(skep_domain::Op::Add, by, skep_domain::Width::W64);
            }
        }
    }

    /// Pointers are compared.
    fn compares(&self) -> Step<()> {
        if self.loader.perfmon { Ok(()) } else { Err(Reason::Rule(&rules::POINTER_COMPARED).into()) }
    }

    /// What is known behind a comparison with a pointer. False if it is none of a packet with its end.
    fn compare_pointers(
        &mut self,
        state: &mut State,
        other: &mut State,
        cond: Cond,
        test: Test,
        left: &Reg,
        right: &Reg,
    ) -> bool {
        if test.width != Width::W64 {
            return false;
        }
        // A pointer that equals one that is not null is not null either: the register that was compared, and none of its
        // copies (`mark_ptr_not_null_reg`).
        if left.is_pointer() && right.is_pointer() && matches!(cond, Cond::Eq | Cond::Ne) && self.kernel > Kernel::V6_1
        {
            let equal = if cond == Cond::Eq { &mut *other } else { &mut *state };
            let sure = match (left.nullable, right.nullable, test.src) {
                (true, false, _) if is_sure(right.kind) => Some((test.dst, left.kind)),
                (false, true, Src::Reg(register)) if is_sure(left.kind) => Some((register, right.kind)),
                _ => None,
            };
            if let Some((register, kind)) = sure {
                let keeps = self.may_have_lock(kind);
                let value = &mut equal.top().regs[register.index()];
                value.nullable = false;
                if !keeps {
                    value.id = 0;
                }
            }
        }
        let is_end = |reg: &Reg, of: &Reg| {
            reg.kind == Kind::PacketEnd && of.kind == Kind::Packet
                || reg.kind == Kind::Packet
                    && reg.fixed_offset() == Some(0)
                    && reg.id == 0
                    && of.kind == Kind::PacketMeta
        };
        // Whether the packet pointer is on the left, on which side the check holds, and whether the end is excluded.
        let (pointer, cond, register) = if left.kind.is_packet() && is_end(right, left) {
            (left, cond, test.dst)
        } else if right.kind.is_packet() && is_end(left, right) {
            let Src::Reg(register) = test.src else { return false };
            (right, mirrored(cond), register)
        } else {
            return false;
        };
        let (inside, outside, open) = match cond {
            Cond::Gt => (state, other, false),
            Cond::Lt => (other, state, true),
            Cond::Ge => (state, other, true),
            Cond::Le => (other, state, false),
            _ => return false,
        };
        prove(inside, pointer, open);
        if self.kernel >= Kernel::V5_15 {
            // The register that was compared, and none of its copies.
            let end = if open { AT_END } else { BEYOND_END };
            let compared = &mut outside.top().regs[register.index()];
            if compared.kind == Kind::Packet {
                compared.range = end;
            }
        }
        true
    }
}

/// Whether it is a pointer into a packet, or to its end.
fn is_of_packet(value: &Reg) -> bool {
    value.kind.is_packet() || value.kind == Kind::PacketEnd
}

/// Kinds of pointers that are never null once they are not nullable (`reg_not_null`).
fn is_never_null(pointer: &Reg, kernel: Kernel) -> bool {
    match pointer.kind {
        Kind::Socket | Kind::TcpSock | Kind::Value(_) | Kind::SockCommon | Kind::Memory(_) => true,
        Kind::Struct(..) | Kind::Object(..) => crate::kcall::is_trusted(pointer),
        Kind::Key(_) => true,
        Kind::Map(_) => kernel >= Kernel::V6_18,
        _ => false,
    }
}

/// Whether a pointer of a kind that is not nullable is surely not null: those to structures of the kernel may be.
fn is_sure(kind: Kind) -> bool {
    !matches!(kind, Kind::Typed | Kind::Struct(..))
}

/// The bytes in front of a packet pointer, and with `more` the one it points to, are in the packet.
fn prove(state: &mut State, pointer: &Reg, more: bool) {
    let off = i64::from(pointer.off);
    if off < 0 || (off == 0 && more) {
        return;
    }
    let most = pointer.num.u64().max;
    if most > MAX_PACKET || most + off.unsigned_abs() > MAX_PACKET {
        return;
    }
    let range = u32::try_from(off).unwrap_or(0) + u32::from(more);
    for value in state.values() {
        if value.kind == pointer.kind && value.id == pointer.id {
            value.range = value.known_bytes().max(range);
        }
    }
}
