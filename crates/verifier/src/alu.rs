//! Arithmetic with numbers and pointers (`check_alu_op`, `adjust_ptr_min_max_vals`).

use skep_domain as domain;
use skep_domain::Scalar;
use skep_isa::ebpf::{AluOp, Reg as Register, Size, Src, Width};

use crate::profile::Kernel;
use crate::reg::{Kind, Reg};
use crate::reject::{Reason, Step, Stop};
use crate::rules;
use crate::search::Verifier;
use crate::state::State;

/// How far a pointer may be moved (`BPF_MAX_VAR_OFF`).
pub const MAX_OFFSET: i64 = 1 << 29;

/// An arithmetic instruction.
#[derive(Debug, Clone, Copy)]
pub struct Arithmetic {
    /// Its slot.
    pub at: u32,
    /// Bits.
    pub width: Width,
    /// What is done.
    pub op: AluOp,
    /// The register that is written.
    pub dst: Register,
    /// The operand.
    pub src: Src,
}

/// The width in the abstract domain.
pub fn width_of(width: Width) -> domain::Width {
    match width {
        Width::W32 => domain::Width::W32,
        Width::W64 => domain::Width::W64,
    }
}

fn operation(op: AluOp) -> Option<domain::Op> {
    Some(match op {
        AluOp::Add => domain::Op::Add,
        AluOp::Sub => domain::Op::Sub,
        AluOp::Mul => domain::Op::Mul,
        AluOp::Div => domain::Op::Div,
        AluOp::Mod => domain::Op::Mod,
        AluOp::SDiv => domain::Op::SDiv,
        AluOp::SMod => domain::Op::SMod,
        AluOp::And => domain::Op::And,
        AluOp::Or => domain::Op::Or,
        AluOp::Xor => domain::Op::Xor,
        AluOp::Lsh => domain::Op::Lsh,
        AluOp::Rsh => domain::Op::Rsh,
        AluOp::Arsh => domain::Op::Arsh,
        AluOp::Mov => return None,
    })
}

/// The constant as a number of the width.
fn constant(width: Width, imm: i32) -> Reg {
    Reg::constant(match width {
        Width::W64 => i64::from(imm).cast_unsigned(),
        Width::W32 => u64::from(imm.cast_unsigned()),
    })
}

impl Verifier<'_> {
    /// `dst = dst OP src`
    pub fn alu(&mut self, state: &mut State, what: Arithmetic) -> Step<()> {
        let Arithmetic { at, width, op, dst, src } = what;
        let operand = match src {
            Src::Reg(reg) => self.read(state, reg)?,
            Src::Imm(imm) => constant(width, imm),
        };
        let Some(operation) = operation(op) else { return self.assign(state, width, dst, src, operand) };
        let value = self.read(state, dst)?;
        self.writable(dst)?;
        if let Src::Imm(imm) = src {
            if imm == 0 && matches!(op, AluOp::Div | AluOp::Mod | AluOp::SDiv | AluOp::SMod) {
                return Err(Reason::DivisionByZero.into());
            }
            let shift = matches!(op, AluOp::Lsh | AluOp::Rsh | AluOp::Arsh);
            if shift && (imm < 0 || imm.cast_unsigned() >= width.bits()) {
                return Err(Reason::Shift(imm).into());
            }
        }
        if value.is_pointer() || operand.is_pointer() {
            let local = matches!((value.kind, op, width, src), (Kind::Stack(_), AluOp::Add, Width::W64, Src::Imm(_)));
            self.takes_pointer(local)?;
        }
        let result = match (value.is_pointer(), operand.is_pointer()) {
            _ if value.kind == Kind::Arena || operand.kind == Kind::Arena => Reg::pointer(Kind::Arena),
            (true, true) => {
                // The difference of two pointers is a number; nothing else is made of two.
                if op != AluOp::Sub || !self.loader.perfmon {
                    return Err(Reason::PointerOperation(op.symbol()).into());
                }
                Reg::UNKNOWN
            }
            (true, false) => {
                if let Src::Reg(reg) = src {
                    self.precise(state, reg.number());
                }
                self.moved(state, &value, &operand, what, true)?
            }
            (false, true) if width == Width::W32 && op == AluOp::Sub && self.loader.perfmon => Reg::UNKNOWN,
            // The kernel leaves the number as it is; here it is any.
            (false, true) if operand.kind == Kind::Foreign && width == Width::W64 && !operand.nullable => Reg::UNKNOWN,
            (false, true) => {
                if op != AluOp::Add {
                    return Err(Reason::PointerOperation(op.symbol()).into());
                }
                self.precise(state, dst.number());
                self.moved(state, &operand, &value, what, false)?
            }
            (false, false) => {
                if let (true, Src::Reg(reg)) = (value.precise, src) {
                    self.precise(state, reg.number());
                }
                self.mask_numbers(at, op, src)?;
                self.number(&value, &operand, width, op, operation)
            }
        };
        state.set(dst.index(), result);
        Ok(())
    }

    /// Two numbers.
    fn number(&self, value: &Reg, operand: &Reg, width: Width, op: AluOp, operation: domain::Op) -> Reg {
        let num = value.num.alu(operation, operand.num, width_of(width));
        let mut result = Reg { num, precise: value.precise, id: value.id, delta: value.delta, ..Reg::UNKNOWN };
        let added = operand.num.as_constant().and_then(|number| i32::try_from(number.cast_signed()).ok());
        let added = added.filter(|added| *added >= 0 && op == AluOp::Add && width == Width::W64);
        match added {
            Some(added)
                if result.id != 0 && result.delta.is_none() && self.kernel >= Kernel::V6_12 && self.loader.bpf =>
            {
                result.delta = Some(added)
            }
            _ => result.unlink(),
        }
        result
    }

    /// `dst = src`
    fn assign(&mut self, state: &mut State, width: Width, dst: Register, src: Src, operand: Reg) -> Step<()> {
        self.writable(dst)?;
        let Src::Reg(reg) = src else {
            state.set(dst.index(), Reg::number(operand.num));
            return Ok(());
        };
        match width {
            Width::W64 => {
                self.name(state, reg.index());
                let copy = *state.reg(reg.index());
                state.set(dst.index(), copy);
            }
            Width::W32 if operand.is_pointer() => {
                // Half of a pointer is some number.
                self.hides(&operand)?;
                self.takes_pointer(false)?;
                state.set(dst.index(), Reg::number(Scalar::UNKNOWN.zero_extended()));
            }
            Width::W32 => {
                let whole = operand.num.u64().max <= u64::from(u32::MAX);
                if whole {
                    self.name(state, reg.index());
                }
                let mut copy = *state.reg(reg.index());
                if !whole {
                    copy.unlink();
                }
                copy.num = copy.num.zero_extended();
                state.set(dst.index(), copy);
            }
        }
        Ok(())
    }

    /// A number that is going to be copied gets a name (`assign_scalar_id_before_mov`).
    pub fn name(&mut self, state: &mut State, reg: usize) {
        let value = *state.reg(reg);
        if !value.is_number() {
            return;
        }
        let fresh = (value.id == 0 || value.delta.is_some()) && value.num.as_constant().is_none();
        let mut named = value;
        if value.delta.is_some() {
            named.unlink();
        }
        if fresh {
            named.id = self.id();
        }
        state.set(reg, named);
    }

    /// `dst = (s8)src`
    pub fn move_signed(
        &mut self,
        state: &mut State,
        width: Width,
        from: Size,
        dst: Register,
        src: Register,
    ) -> Step<()> {
        let value = self.read(state, src)?;
        self.writable(dst)?;
        if value.is_pointer() {
            self.hides(&value)?;
            self.takes_pointer(false)?;
            state.set(dst.index(), Reg::UNKNOWN);
            return Ok(());
        }
        let num = match width {
            Width::W64 => value.num.sign_extended(from.bytes()),
            Width::W32 => value.num.sign_extended32(from.bytes()),
        };
        // A copy whose sign bit is known to be 0 stays one.
        let half = 1u64 << (from.bytes() * 8 - 1);
        let mut result = Reg { num, precise: value.precise, ..Reg::UNKNOWN };
        if width == Width::W64 && value.num.u64().max < half {
            self.name(state, src.index());
            let named = state.reg(src.index());
            (result.id, result.delta) = (named.id, named.delta);
        }
        state.set(dst.index(), result);
        Ok(())
    }

    /// `dst = -dst`
    pub fn negate(&mut self, state: &mut State, width: Width, dst: Register) -> Step<()> {
        let value = self.read(state, dst)?;
        self.writable(dst)?;
        if value.is_pointer() {
            self.hides(&value)?;
            self.takes_pointer(false)?;
            state.set(dst.index(), Reg::UNKNOWN);
            return Ok(());
        }
        let num = match self.kernel {
            Kernel::V6_18 => value.num.neg(width_of(width)),
            _ => match width {
                Width::W64 => Scalar::UNKNOWN,
                Width::W32 => Scalar::UNKNOWN.zero_extended(),
            },
        };
        state.set(dst.index(), Reg { num, precise: value.precise, ..Reg::UNKNOWN });
        Ok(())
    }

    /// `dst = be16 dst`
    pub fn swap(&mut self, state: &mut State, size: Size, dst: Register) -> Step<()> {
        let value = self.read(state, dst)?;
        self.writable(dst)?;
        if value.is_pointer() {
            self.hides(&value)?;
            self.takes_pointer(false)?;
            state.set(dst.index(), Reg::UNKNOWN);
            return Ok(());
        }
        let num = if size.bytes() == 8 { Scalar::UNKNOWN } else { Scalar::UNKNOWN.truncated(size.bytes()) };
        state.set(dst.index(), Reg { num, precise: value.precise, ..Reg::UNKNOWN });
        Ok(())
    }

    /// A pointer that is moved by a number.
    fn moved(&mut self, state: &State, pointer: &Reg, number: &Reg, what: Arithmetic, is_target: bool) -> Step<Reg> {
        let Arithmetic { at, width, op, .. } = what;
        let kind = pointer.kind;
        let by = number.num.s64();
        if width == Width::W32 {
            if op == AluOp::Sub && self.loader.perfmon {
                return Ok(Reg::UNKNOWN);
            }
            return Err(Reason::PointerOperation("32-bit arithmetic").into());
        }
        if pointer.nullable {
            return Err(Reason::NullableArithmetic(kind).into());
        }
        if kind == Kind::Foreign {
            // Loads from it may fail, so that it does not matter where it points to.
            return Ok(*pointer);
        }
        if matches!(kind, Kind::PerCpu(_)) {
            return Err(Stop::Undecided("arithmetic with variables of each processor"));
        }
        let known = number.num.as_constant().map(u64::cast_signed);
        let unmoved = matches!(kind, Kind::Map(_)) && known == Some(0) && op == AluOp::Add;
        if !(kind.takes_arithmetic() || unmoved) {
            return Err(Reason::PointerArithmetic(kind).into());
        }
        if kind == Kind::FlowKeys && known.is_none() {
            return Err(Reason::PointerArithmetic(kind).into());
        }
        self.sane_number(kind, number)?;
        self.sane_pointer(pointer)?;
        let window = self.open_window(state, what, pointer, number, is_target)?;
        let subtract = match op {
            AluOp::Add => false,
            AluOp::Sub if !matches!(kind, Kind::Stack(_)) => true,
            AluOp::Sub => return Err(Reason::PointerOperation("a subtraction from the stack").into()),
            _ => return Err(Reason::PointerOperation(op.symbol()).into()),
        };
        let mut result = *pointer;
        let fixed = known.and_then(|known| {
            let moved = if subtract {
                i64::from(pointer.off).checked_sub(known)
            } else {
                i64::from(pointer.off).checked_add(known)
            };
            moved.and_then(|moved| i32::try_from(moved).ok())
        });
        if let Some(off) = fixed {
            result.off = off;
        } else {
            let op = if subtract { domain::Op::Sub } else { domain::Op::Add };
            result.num = pointer.num.alu(op, number.num, domain::Width::W64);
            if kind.is_packet() {
                // Something was added: a new start, behind which nothing is known.
                result.id = self.id();
                if !subtract || by.min < 0 {
                    result.range = 0;
                }
            }
        }
        self.sane_pointer(&result)?;
        self.close_window(at, window, &result)?;
        Ok(result)
    }

    /// A number that pointers can be moved by (`check_reg_sane_offset`).
    fn sane_number(&self, kind: Kind, number: &Reg) -> Step<()> {
        let range = number.num.s64();
        if let Some(known) = number.num.as_constant().map(u64::cast_signed) {
            return if known.unsigned_abs() >= MAX_OFFSET.unsigned_abs() {
                Err(Reason::OffsetRange(known).into())
            } else {
                Ok(())
            };
        }
        if range.min == i64::MIN {
            return Err(Reason::Unbounded { kind, lower: true }.into());
        }
        if range.min >= MAX_OFFSET || range.min <= -MAX_OFFSET {
            return Err(Reason::OffsetRange(range.min).into());
        }
        Ok(())
    }

    fn sane_pointer(&self, pointer: &Reg) -> Step<()> {
        let off = i64::from(pointer.off);
        if off >= MAX_OFFSET || off <= -MAX_OFFSET {
            return Err(Reason::OffsetRange(off).into());
        }
        let number = Reg { num: pointer.num, ..Reg::UNKNOWN };
        self.sane_number(pointer.kind, &number)
    }

    /// Whether there may be arithmetic with a pointer; `local` if it only finds a place on the stack.
    pub fn takes_pointer(&self, local: bool) -> Step<()> {
        if self.no_pointer_arithmetic && !local {
            return Err(Reason::Rule(&rules::POINTER_ARITHMETIC).into());
        }
        Ok(())
    }

    /// A value becomes visible outside of the program (`is_pointer_value`).
    pub fn hides(&self, value: &Reg) -> Step<()> {
        if value.is_pointer() && !self.loader.perfmon { Err(Reason::Shown(value.kind).into()) } else { Ok(()) }
    }

    /// What pointers become that are of no use any more (`mark_reg_invalid`).
    pub fn lost(&self) -> Reg {
        if self.loader.perfmon { Reg::UNKNOWN } else { Reg::UNSET }
    }

    /// A context pointer that was not moved.
    pub fn unmoved(&self, pointer: &Reg) -> Step<()> {
        match pointer.fixed_offset() {
            Some(0) => Ok(()),
            _ => Err(Stop::Reject(Reason::MovedContext)),
        }
    }
}
