//! What is held: references that are given back, locks that are taken around calls.

use skep_isa::ebpf::{Callee, JmpOp, Op, Reg as Register, Size, Src};
use skep_isa::helpers;

use super::{Scene, add, copy, jump, set};
use crate::reg::{Kind, Reg};
use crate::rules::{self, Rule};
use crate::types::{Field, FieldKind};

// TABLE
/// What gives back what a helper takes, and whether it takes flags in register 2.
const GIVES_BACK: &[(&str, &str, bool)] = &[
    ("ringbuf_reserve", "ringbuf_discard", true),
    ("sk_lookup_tcp", "sk_release", false),
    ("sk_lookup_udp", "sk_release", false),
    ("skc_lookup_tcp", "sk_release", false),
];

/// Places on the way where a reference is tried to be given back.
const PLACES: usize = 12;

fn helper(name: &str) -> Option<Op> {
    let found = helpers::HELPERS.iter().find(|helper| helper.name == name)?;
    Some(Op::Call(Callee::Helper(i32::try_from(found.id).ok()?)))
}

fn spill(reg: Register, off: i16) -> Op {
    Op::Store { size: Size::DW, base: Register::R10, off, src: Src::Reg(reg) }
}

fn fill(reg: Register, off: i16) -> Op {
    Op::Load { size: Size::DW, signed: false, dst: reg, base: Register::R10, off }
}

impl Scene<'_, '_> {
    /// What was taken at an instruction is given back, at the last place on the way where a pointer to it is known.
    pub(super) fn give_back(&mut self, taken: u32) {
        let Some(Op::Call(Callee::Helper(id))) = self.verifier.code.op(taken) else { return };
        let name = u32::try_from(id).ok().and_then(helpers::by_id).map_or("", |helper| helper.name);
        let Some((_, back, flags)) = GIVES_BACK.iter().find(|(takes, ..)| *takes == name) else { return };
        let (Some(call), Some(place)) = (helper(back), self.spare_stack()) else { return };
        let Some((reference, _)) = self.state.references.iter().find(|(_, at)| *at == taken).copied() else { return };
        let count = self.trail.entries.len();
        let mut tried = 0;
        for index in (0..count).rev() {
            let (entry, Some(state)) = (&self.trail.entries[index], self.trail.before(index)) else { break };
            let (held, Some(frame)) = (state.references.iter().any(|(id, _)| *id == reference), state.frames.last())
            else {
                break;
            };
            if !held || tried >= PLACES {
                break;
            }
            let is_it = |value: &Reg| value.reference == reference && value.fixed_offset() == Some(0);
            let registers = frame.regs.iter().take(10).position(is_it).and_then(|reg| u8::try_from(reg).ok());
            let slots = frame.stack.iter().position(|slot| slot.is_spill() && is_it(&slot.value));
            let (value, get) = if let Some(reg) = registers.and_then(Register::new) {
                (frame.regs[reg.index()], copy(Register::R1, reg))
            } else if let Some(slot) = slots {
                let off = i16::try_from(slot).map_or(-8, |slot| -8 * (slot + 1));
                (frame.stack[slot].value, fill(Register::R1, off))
            } else {
                continue;
            };
            tried += 1;
            let at = entry.at;
            let live = self.verifier.live.get(at as usize).copied().unwrap_or(u16::MAX);
            let lost = (0..6).filter_map(Register::new).filter(|reg| {
                let holds = frame.regs[reg.index()];
                live & (1 << reg.index()) != 0 && !is_it(&holds) && holds.kind != Kind::Unset
            });
            let lost: Vec<(Register, i16)> = lost.zip(1..).map(|(reg, number)| (reg, place - 8 * number)).collect();
            let mut ops: Vec<Op> = lost.iter().map(|(reg, off)| spill(*reg, *off)).collect();
            ops.push(get);
            let mut last = vec![call];
            if *flags {
                last.insert(0, set(Register::R2, 0));
            }
            if value.nullable {
                let off = i16::try_from(last.len()).unwrap_or(1);
                ops.push(jump(JmpOp::Eq, Register::R1, Src::Imm(0), off));
            }
            ops.extend(last);
            ops.extend(lost.iter().map(|(reg, off)| fill(*reg, *off)));
            self.offer(at, &ops, format!("give it back here with {back}"));
        }
    }

    /// Rules about locks.
    pub(super) fn lock(&mut self, rule: &'static Rule) {
        if std::ptr::eq(rule, &rules::LOCK_NEEDED) {
            self.lock_argument(1, rule);
        } else if std::ptr::eq(rule, &rules::LOCK_OTHER) {
            self.same_lock();
        } else if [&rules::LOCK_NOT_HELD, &rules::LOCK_CALL, &rules::LOCK_TWICE].contains(&rule) {
            self.leave_out("without this call");
        }
    }

    fn lock_of(&self, kind: Kind) -> Option<i32> {
        let find = |fields: &[Field]| {
            fields
                .iter()
                .find(|field| field.kind == FieldKind::SpinLock)
                .and_then(|field| i32::try_from(field.off).ok())
        };
        match kind {
            Kind::Value(map) => find(self.verifier.fields.get(map as usize)?),
            Kind::Object(ty, _) => find(&self.verifier.fields_of(skep_btf::TypeId(ty))),
            _ => None,
        }
    }

    /// The lock beside a head is taken before the call and given back behind it.
    pub(super) fn lock_argument(&mut self, reg: u8, rule: &'static Rule) {
        if !std::ptr::eq(rule, &rules::LOCK_NEEDED) {
            return;
        }
        let (Some(root), value) = (Register::new(reg), *self.value(reg)) else { return };
        let (Some(lock), Some(off)) = (self.lock_of(value.kind), value.fixed_offset()) else { return };
        let (Some(place), Ok(off)) = (self.spare_stack(), i32::try_from(off)) else { return };
        let (Some(takes), Some(gives)) = (helper("spin_lock"), helper("spin_unlock")) else { return };
        let arguments = (1..6).filter(|reg| self.value(*reg).kind != Kind::Unset);
        let arguments: Vec<(Register, i16)> =
            arguments.filter_map(Register::new).zip(0..).map(|(reg, number)| (reg, place - 8 * number)).collect();
        let Some((_, home)) = arguments.iter().find(|(reg, _)| *reg == root).copied() else { return };
        let below = place - 8 * 6;
        let mut ops: Vec<Op> = arguments.iter().map(|(reg, off)| spill(*reg, *off)).collect();
        ops.extend([copy(Register::R1, root), add(Register::R1, lock - off), takes]);
        ops.extend(arguments.iter().map(|(reg, off)| fill(*reg, *off)));
        ops.extend([
            self.op,
            spill(Register::R0, below),
            fill(Register::R1, home),
            add(Register::R1, lock - off),
            gives,
        ]);
        ops.push(fill(Register::R0, below));
        self.offer_instead(self.at, &ops, "take the lock before this call, and give it back behind it".to_owned());
    }

    /// The lock that is held is given back in place of another one.
    fn same_lock(&mut self) {
        let Some(held) = self.state.lock else { return };
        let Some(lock) = self.lock_of(held.kind) else { return };
        let frame = self.state.current();
        let is_it = |value: &Reg| value.kind == held.kind && value.id == held.id && value.is_pointer();
        for (number, value) in frame.regs.iter().enumerate().take(10).filter(|(_, value)| is_it(value)) {
            let register = u8::try_from(number).ok().and_then(Register::new);
            let off = value.fixed_offset().and_then(|off| i32::try_from(off).ok());
            if let (Some(register), Some(off)) = (register, off) {
                let ops = [copy(Register::R1, register), add(Register::R1, lock - off)];
                self.offer(self.at, &ops, format!("give back the lock that was taken at instruction {}", held.at));
            }
        }
        for (slot, value) in frame.stack.iter().enumerate().filter(|(_, slot)| slot.is_spill() && is_it(&slot.value)) {
            let place = i16::try_from(slot).map(|slot| -8 * (slot + 1));
            let off = value.value.fixed_offset().and_then(|off| i32::try_from(off).ok());
            if let (Ok(place), Some(off)) = (place, off) {
                let ops = [fill(Register::R1, place), add(Register::R1, lock - off)];
                self.offer(self.at, &ops, format!("give back the lock that was taken at instruction {}", held.at));
            }
        }
    }
}
