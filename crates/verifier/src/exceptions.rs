//! Exceptions: who throws them, and the function that they end in (`bpf_find_exception_callback_insn_off`,
//! `check_kfunc_call` for `bpf_throw`).

use skep_btf::{Btf, Kind as Type, Linkage, TypeId};
use skep_isa::ebpf::{Callee, Op};
use skep_object::Program;

use crate::global::Argument;
use crate::profile::Kernel;
use crate::reject::{Reason, Step, Stop};
use crate::rules;
use crate::search::{Flow, Verifier};
use crate::state::{Role, State};

/// The first slot of the function that exceptions of a program end in, if its declaration names one.
///
/// # Errors
/// If it names several, or one that the program does not have or that is not global.
pub fn callback(own: Option<&Btf>, program: &Program, kernel: Kernel) -> Result<Option<u32>, Reason> {
    let main = program.functions.first().and_then(|function| function.ty).map(TypeId);
    let (Some(own), Some(main), true) = (own, main, kernel >= Kernel::V6_12) else { return Ok(None) };
    let tags = skep_object::exception_callbacks(own);
    let mut names = tags.iter().filter(|(target, _)| *target == main).map(|(_, name)| *name);
    let Some(name) = names.next() else { return Ok(None) };
    let wrong = || Reason::Rule(&rules::THROW_CALLBACK);
    if names.next().is_some() {
        return Err(wrong());
    }
    let ty = own.find_function(name).ok_or_else(wrong)?;
    if !matches!(own.kind(ty), Ok(Type::Func { linkage: Linkage::Global, .. })) {
        return Err(wrong());
    }
    let found = program.functions.iter().rfind(|function| function.ty == Some(ty.0)).ok_or_else(wrong)?;
    u32::try_from(found.at.index()).ok().filter(|at| *at > 0).map(Some).ok_or_else(wrong)
}

impl Verifier<'_> {
    /// `bpf_throw`: all functions on the way end. Without a function for exceptions its argument becomes the result of the
    /// program.
    ///
    /// # Errors
    /// If something is held, or the result is none.
    pub fn throw(&mut self, state: &mut State) -> Step<Flow> {
        self.holds_nothing(state)?;
        let cookie = *state.reg(1);
        if !cookie.is_number() {
            return Err(Reason::ResultKind(cookie.kind).into());
        }
        if self.exceptions.is_none() && !self.returns_nothing() {
            match state.frames.first().map(|frame| frame.role) {
                Some(Role::Function) => self.check_result(state, &cookie, 1)?,
                Some(Role::Later(_)) => self.check_later_result(state, 1)?,
                _ => {}
            }
        }
        Ok(Flow::End)
    }

    /// The first instruction of a function that throws an exception.
    pub fn throw_in(&self, function: u32) -> Option<u32> {
        let kernel = self.types.kernel.as_ref()?;
        let throws = |id: i32| u32::try_from(id).is_ok_and(|id| kernel.name(TypeId(id)) == Ok("bpf_throw"));
        let (start, end) = self.code.extent(function);
        (start..end).find(|at| match self.code.op(*at) {
            Some(Op::Call(Callee::Kfunc { id, module: 0 })) => throws(id),
            _ => false,
        })
    }

    /// What holds for the function that exceptions end in: it takes one number, the kernel alone calls it, and what it
    /// returns is the result of the program.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn check_exceptions(&mut self) -> Result<(), (u32, Stop)> {
        let Some(callback) = self.exceptions else { return Ok(()) };
        let (start, end) = self.code.extent(callback);
        if self.arguments_of(callback).map_err(|stop| (start, stop))? != [Argument::Number] {
            return Err((start, Reason::Rule(&rules::THROW_ARGUMENT).into()));
        }
        for at in 0..self.code.slots() {
            let Some(Op::Call(Callee::Local(distance))) = self.code.op(at) else { continue };
            let target = u32::try_from(i64::from(at) + 1 + i64::from(distance)).unwrap_or(u32::MAX);
            if self.code.function_at(target) == Some(callback) {
                return Err((at, Reason::Rule(&rules::THROW_CALLED).into()));
            }
        }
        let tail_calls = (start..end).find(|at| match self.code.op(*at) {
            Some(Op::Call(Callee::Helper(id))) => {
                let helper = u32::try_from(id).ok().and_then(skep_isa::helpers::by_id);
                helper.is_some_and(|helper| helper.name == "tail_call")
            }
            _ => false,
        });
        if let Some(at) = tail_calls {
            return Err((at, Stop::Undecided("tail calls where exceptions end")));
        }
        // It is looked at whether something is thrown or not.
        self.called[callback as usize] = true;
        self.later[callback as usize] = true;
        self.called_back[callback as usize] = true;
        Ok(())
    }
}
