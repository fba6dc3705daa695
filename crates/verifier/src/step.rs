//! One instruction: which rule applies to it.

use skep_isa::ebpf::{Callee, Imm64, Op, Src};
use skep_isa::{AttachType, ProgType};

use crate::alu::Arithmetic;
use crate::code::Next;
use crate::needs;
use crate::precision::{Place, Wanted};
use crate::profile::Kernel;
use crate::reg::{Kind, Reg};
use crate::reject::{Reason, Step, Stop};
use crate::rules;
use crate::search::{Flow, Verifier};
use crate::state::{Role, State};

impl Verifier<'_> {
    /// Executes the instruction at a slot.
    ///
    /// # Errors
    /// Why it cannot be executed.
    pub fn step(&mut self, state: &mut State, at: u32, op: Op) -> Step<Flow> {
        if let Some(error) = self.code.malformed.get(&at) {
            return Err(Reason::Malformed(*error).into());
        }
        if self.old
            && let Some(need) = needs::unmet_on_path(op, at, self.kernel.release())
        {
            return Err(Reason::Later { what: need.what, since: need.since }.into());
        }
        let next = at + op.slots();
        match op {
            Op::Alu { width, op, dst, src } => self.alu(state, Arithmetic { at, width, op, dst, src })?,
            Op::MovSx { width, from, dst, src } => self.move_signed(state, width, from, dst, src)?,
            Op::Neg { width, dst } => self.negate(state, width, dst)?,
            Op::Swap { size, dst, .. } => self.swap(state, size, dst)?,
            Op::AddrSpaceCast { dst, src, to_arena } => self.cast(state, dst, src, to_arena)?,
            Op::Load { size, signed, dst, base, off } => self.load(state, at, size, signed, dst, base, off)?,
            Op::Store { size, base, off, src } => self.store(state, at, size, base, off, src)?,
            Op::Atomic { width, op, fetch, base, off, src } => {
                self.atomic(state, at, width, op, fetch, base, off, src)?
            }
            Op::LoadAcquire { size, dst, base, off } => {
                self.takes_atomic(state, base)?;
                self.load(state, at, size, false, dst, base, off)?;
            }
            Op::StoreRelease { size, base, off, src } => {
                self.takes_atomic(state, base)?;
                self.store(state, at, size, base, off, Src::Reg(src))?;
            }
            Op::LoadImm { dst, value } => {
                let loaded = self.immediate(at, value)?;
                self.writable(dst)?;
                state.set(dst.index(), loaded);
            }
            Op::LdAbs { .. } => self.legacy(state, None)?,
            Op::LdInd { src, .. } => self.legacy(state, Some(src))?,
            Op::Goto { .. } | Op::GotoLong { .. } => {
                return match self.code.next(at).map_err(|error| error.reason)? {
                    crate::code::Next::To(target) => Ok(Flow::Next(target)),
                    _ => Ok(Flow::Next(next)),
                };
            }
            Op::JumpIf { width, op, dst, src, .. } => return self.branch(state, at, width, op, dst, src),
            Op::MayGoto { .. } => return self.may_goto(state, at),
            Op::Call(Callee::Helper(id)) => self.helper(state, at, id)?,
            Op::Call(Callee::Local(_)) => return self.local(state, at),
            Op::Call(Callee::Kfunc { id, module }) => return self.kfunc(state, at, id, module),
            // Refused before any path is followed.
            Op::Call(Callee::Reg(_)) => return Err(Stop::Undecided("calls of registers")),
            Op::Exit => return self.exit(state, at),
        }
        Ok(Flow::Next(next))
    }

    /// The register may be written.
    pub fn writable(&self, reg: skep_isa::ebpf::Reg) -> Step<()> {
        if reg.index() == 10 { Err(Reason::FramePointer.into()) } else { Ok(()) }
    }

    /// A register that was written.
    pub fn read(&self, state: &State, reg: skep_isa::ebpf::Reg) -> Step<Reg> {
        let value = *state.reg(reg.index());
        if value.kind == Kind::Unset {
            return Err(Reason::Unwritten(reg.number()).into());
        }
        Ok(value)
    }

    fn immediate(&mut self, at: u32, value: Imm64) -> Step<Reg> {
        let map = |index: i32| u32::try_from(index).ok().filter(|map| (*map as usize) < self.maps.len());
        Ok(match value {
            Imm64::Value(number) => Reg::constant(number),
            Imm64::MapFd(index) => match map(index) {
                Some(index) => Reg::pointer(Kind::Map(index)),
                None => return Err(Stop::Undecided("maps that the object does not have")),
            },
            Imm64::MapFdValue { fd, .. } if map(fd).is_some_and(|map| self.is_arena(map)) => Reg::UNKNOWN,
            Imm64::MapFdValue { fd, offset } => match map(fd) {
                Some(index) => Reg { off: offset.cast_signed(), ..Reg::pointer(Kind::Value(index)) },
                None => return Err(Stop::Undecided("maps that the object does not have")),
            },
            Imm64::Func(distance) => {
                let target = i64::from(at) + 1 + i64::from(distance);
                let function = u32::try_from(target).ok().and_then(|target| self.code.function_at(target));
                let function = function.ok_or(Reason::JumpOutside)?;
                self.named[function as usize].get_or_insert(at);
                Reg::pointer(Kind::Function(function))
            }
            Imm64::BtfVar { id, fd: 0 } => self.address_in_kernel(id)?,
            _ => return Err(Stop::Undecided("variables of the kernel")),
        })
    }

    /// The loads of classic programs (`check_ld_abs`).
    fn legacy(&mut self, state: &mut State, src: Option<skep_isa::ebpf::Reg>) -> Step<()> {
        let allowed =
            matches!(self.program.prog_type, ProgType::SocketFilter | ProgType::SchedCls | ProgType::SchedAct);
        if !allowed {
            return Err(Stop::Undecided("absolute loads in this type of program"));
        }
        self.holds_nothing(state)?;
        let context = self.read(state, skep_isa::ebpf::Reg::R6)?;
        if context.kind != Kind::Context {
            return Err(Reason::NoAccess(6, context.kind).into());
        }
        self.unmoved(&context)?;
        if let Some(src) = src {
            self.read(state, src)?;
        }
        if state.frames.len() > 1 {
            self.leave_function(state)?;
        }
        for reg in 0..6 {
            state.set(reg, Reg::UNSET);
        }
        state.set(0, Reg::UNKNOWN);
        Ok(())
    }

    /// A load that fails ends the function that runs with 0.
    fn leave_function(&mut self, state: &State) -> Step<()> {
        let function = state.current().function as usize;
        let types = self.types.own.as_ref();
        let ty = self.program.functions.get(function).and_then(|function| function.ty).map(skep_btf::TypeId);
        let (Some(types), Some(ty), Kernel::V6_18, Role::Function) = (types, ty, self.kernel, state.current().role)
        else {
            return Err(Stop::Undecided("absolute loads in functions"));
        };
        let Ok(skep_btf::Kind::Func { proto, .. }) = types.kind(ty) else {
            return Err(Stop::Undecided("absolute loads in functions"));
        };
        match types.kind(proto) {
            Ok(skep_btf::Kind::FuncProto(proto)) if crate::kcall::is_number(types, proto.result) => {}
            _ => return Err(Reason::Rule(&rules::LOADS_IN_FUNCTION).into()),
        }
        let mut left = state.clone();
        let Some(frame) = left.frames.pop() else { return Ok(()) };
        left.set(0, Reg::constant(0));
        self.push(left, frame.call.map_or(0, |call| call + 1))
    }

    /// The end of a function, or of the program.
    fn exit(&mut self, state: &mut State, at: u32) -> Step<Flow> {
        let role = state.current().role;
        if matches!(role, Role::Callback | Role::Compare) {
            return self.return_from_callback(state, at);
        }
        if state.frames.len() > 1 {
            if state.lock.is_some() && self.kernel < Kernel::V6_12 {
                return Err(Reason::Rule(&rules::LOCK_KEPT).into());
            }
            let result = *state.reg(0);
            if matches!(result.kind, Kind::Stack(_)) {
                return Err(Reason::ReturnsStack.into());
            }
            let Some(frame) = state.frames.pop() else { return Ok(Flow::End) };
            state.set(0, result);
            return Ok(Flow::Next(frame.call.map_or(0, |call| call + 1)));
        }
        self.holds_nothing(state)?;
        if role == Role::Function && self.returns_nothing() {
            return Ok(Flow::End);
        }
        let result = self.read(state, skep_isa::ebpf::Reg::R0)?;
        self.hides(&result)?;
        match role {
            Role::Later(_) => self.check_later_result(state, 0)?,
            Role::Global if self.exceptions == Some(state.current().function) => {
                self.check_result(state, &result, 0)?
            }
            Role::Global if !result.is_number() => return Err(Reason::Rule(&rules::GLOBAL_RESULT).into()),
            Role::Global => {}
            _ => self.check_result(state, &result, 0)?,
        }
        Ok(Flow::End)
    }

    /// `may_goto`: the loop ends, or goes on.
    fn may_goto(&mut self, state: &mut State, at: u32) -> Step<Flow> {
        if self.kernel < Kernel::V6_12 {
            return Err(Stop::Undecided("may_goto"));
        }
        let Next::Branch(behind, target) = self.code.next(at).map_err(|error| error.reason)? else {
            return Err(Reason::JumpOutside.into());
        };
        let mut more = state.clone();
        more.rounds += 1;
        if let Some(before) = self.entry_before(at, state, true) {
            self.widen(before, &mut more);
        }
        self.push(more, behind)?;
        Ok(Flow::Next(target))
    }

    /// The result of the program, in a register, is one that counts.
    pub fn check_result(&mut self, state: &State, result: &Reg, reg: u8) -> Step<()> {
        let session = [AttachType::TraceKprobeSession, AttachType::TraceUprobeSession];
        let of_session = self.program.attach_type.is_some_and(|attach| session.contains(&attach));
        if self.program.prog_type == ProgType::StructOps && !result.is_number() {
            return Err(Stop::Undecided("operations that return pointers"));
        }
        // Whether the end of the function is wanted too.
        let allowed = if of_session { Some(&[0, 1][..]) } else { self.hook.results.as_deref() };
        if let Some(allowed) = allowed {
            if !result.is_number() {
                return Err(Reason::ResultKind(result.kind).into());
            }
            let (least, most) =
                (allowed.iter().min().copied().unwrap_or(0), allowed.iter().max().copied().unwrap_or(0));
            let range = result.num.s64();
            if range.min < least || range.max > most {
                return Err(Reason::Result { least: range.min, most: range.max }.into());
            }
            self.mark_precise(Wanted::of(&[Place::Reg(state.depth(), reg)]), 1);
        }
        Ok(())
    }

    /// A call of a function of the program (`check_func_call`).
    fn local(&mut self, state: &mut State, at: u32) -> Step<Flow> {
        let Some(Op::Call(Callee::Local(distance))) = self.code.op(at) else { return Err(Reason::JumpOutside.into()) };
        let target = u32::try_from(i64::from(at) + 1 + i64::from(distance)).map_err(|_| Reason::JumpOutside)?;
        let function = self.code.function_at(target).ok_or(Reason::JumpOutside)?;
        if self.is_global(function) {
            self.call_global(state, function)?;
            return Ok(Flow::Next(at + 1));
        }
        if state.lock.is_some() && self.kernel < Kernel::V6_12 {
            return Err(Reason::Rule(&rules::LOCK_CALL).into());
        }
        if state.frames.len() >= crate::state::MAX_FRAMES {
            return Err(Reason::TooDeep.into());
        }
        if state.frames.iter().any(|frame| frame.function == function) {
            return Err(Reason::Recursion.into());
        }
        let depth = u8::try_from(state.frames.len()).unwrap_or(u8::MAX);
        let mut frame = crate::state::Frame::new(function, Some(at), depth);
        for reg in 1..6 {
            frame.regs[reg] = *state.reg(reg);
        }
        for reg in 0..6 {
            state.set(reg, Reg::UNSET);
        }
        state.frames.push(frame);
        Ok(Flow::Next(target))
    }

    /// Whether a function is verified by itself: its type in BTF says that other objects may call it.
    fn is_global(&self, function: u32) -> bool {
        self.globals.get(function as usize).copied().unwrap_or(false)
    }
}
