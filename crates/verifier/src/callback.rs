//! Functions of the program that the kernel calls: again and again by helpers, or later by itself
//! (`push_callback_call`, `prepare_func_exit`).

use skep_isa::MapType;
use skep_isa::ebpf::{Callee, Op};
use skep_isa::helpers::Helper;

use crate::precision::{Place, Wanted};
use crate::profile::Kernel;
use crate::reg::{DynptrKind, Kind, Reg, Trust};
use crate::reject::{Reason, Step, Stop};
use crate::rules;
use crate::search::{Flow, Verifier};
use crate::state::{Frame, MAX_FRAMES, Role, State};

/// Helpers that call functions of the program before they return.
const CALLING: &[&str] = &["loop", "for_each_map_elem", "find_vma", "user_ringbuf_drain"];

/// Whether an instruction calls functions of the program before it goes on.
pub fn calls_back(op: Op) -> bool {
    helper(op).is_some_and(|helper| CALLING.contains(&helper.name))
}

/// Whether an instruction makes the kernel call a function of the program later: states are compared in front of it, or a
/// function that asks for itself again would be looked at without end.
pub fn calls_later(op: Op) -> bool {
    helper(op).is_some_and(|helper| helper.name == "timer_set_callback")
}

fn helper(op: Op) -> Option<&'static Helper> {
    let Op::Call(Callee::Helper(id)) = op else { return None };
    u32::try_from(id).ok().and_then(skep_isa::helpers::by_id)
}

impl Verifier<'_> {
    /// Callbacks that a helper makes: the paths through them are looked at, as often as something new comes of it.
    pub fn helper_callback(&mut self, state: &mut State, at: u32, helper: &Helper, function: u32) -> Step<()> {
        if self.kernel < Kernel::V6_12 {
            return Err(Stop::Undecided("callbacks"));
        }
        let (first, second, third, fourth) = (*state.reg(1), *state.reg(2), *state.reg(3), *state.reg(4));
        let mut args = [Reg::UNSET; 5];
        match helper.name {
            "loop" => {
                // The kernel cannot tell where a pointer as the number of rounds comes from, and gives up.
                if !first.is_number() {
                    return Err(Reason::Rule(&rules::LOOP_COUNT).into());
                }
                self.mark_precise(Wanted::of(&[Place::Reg(state.depth(), 1)]), 1);
                if u64::from(state.current().rounds) >= first.num.u64().max {
                    state.top().rounds = 0;
                    return Ok(());
                }
                args[0] = Reg::UNKNOWN;
                args[1] = third;
            }
            "for_each_map_elem" => {
                let Kind::Map(map) = first.kind else { return Err(Stop::Undecided("entries without a map")) };
                let takes = matches!(
                    self.maps[map as usize].map_type,
                    MapType::Array
                        | MapType::PercpuArray
                        | MapType::Hash
                        | MapType::PercpuHash
                        | MapType::LruHash
                        | MapType::LruPercpuHash
                );
                if !takes {
                    return Err(Reason::Rule(&rules::CALLBACK_MAP).into());
                }
                args = [first, Reg::pointer(Kind::Key(map)), Reg::pointer(Kind::Value(map)), third, Reg::UNSET];
            }
            "find_vma" => {
                let area = self.kernel_structure("vm_area_struct")?;
                args = [first, Reg::pointer(Kind::Struct(area, Trust::Plain)), fourth, Reg::UNSET, Reg::UNSET];
            }
            "user_ringbuf_drain" => {
                let id = self.id();
                args[0] = Reg { id, ..Reg::pointer(Kind::Dynptr(DynptrKind::Local)) };
                args[1] = third;
            }
            "timer_set_callback" => {
                let Kind::Value(map) = first.kind else { return Err(Stop::Undecided("a timer without a map")) };
                debug_assert!(second.is_pointer(), "the callback was checked");
                return self.push_later(state, at, function, map, false);
            }
            _ => return Err(Stop::Undecided("callbacks of this helper")),
        }
        self.push_call(state, at, function, args, Role::Callback)
    }

    /// A structure of the kernel by its name.
    pub fn kernel_structure(&self, name: &str) -> Step<u32> {
        let kernel = self.types.kernel.as_ref().ok_or(Stop::Undecided("the types of the kernel"))?;
        let found = crate::kcall::structure(kernel, name);
        found.map(|ty| ty.0).ok_or(Stop::Undecided("a structure that the kernel does not have"))
    }

    /// A function that compares nodes of a tree, with the lock held.
    pub fn push_compare(&mut self, state: &mut State, at: u32, function: u32, node: Reg) -> Step<()> {
        self.push_call(state, at, function, [node, node, Reg::UNSET, Reg::UNSET, Reg::UNSET], Role::Compare)
    }

    fn push_call(&mut self, state: &mut State, at: u32, function: u32, args: [Reg; 5], role: Role) -> Step<()> {
        if self.globals.get(function as usize).copied().unwrap_or(false) {
            return Err(Stop::Undecided("global functions as callbacks"));
        }
        if state.frames.len() >= MAX_FRAMES {
            return Err(Reason::TooDeep.into());
        }
        if state.frames.iter().any(|frame| frame.function == function) {
            return Err(Reason::Recursion.into());
        }
        self.called_back[function as usize] = true;
        let depth = u8::try_from(state.frames.len()).unwrap_or(u8::MAX);
        let mut inside = state.clone();
        let mut frame = Frame { role, ..Frame::new(function, Some(at), depth) };
        frame.regs[1..6].copy_from_slice(&args);
        inside.callbacks += 1;
        inside.top().rounds += 1;
        inside.frames.push(frame);
        state.top().rounds = 0;
        self.push(inside, self.code.extent(function).0)
    }

    /// A function that the kernel calls later: for a timer or a work item in a map value.
    pub fn push_later(&mut self, state: &State, at: u32, function: u32, map: u32, sleeps: bool) -> Step<()> {
        if self.globals.get(function as usize).copied().unwrap_or(false) {
            return Err(Stop::Undecided("global functions as callbacks"));
        }
        let before = state.frames.iter().map(|frame| if let Role::Later(count) = frame.role { count } else { 0 }).max();
        let count = before.unwrap_or(0) + 1;
        let mut frame = Frame { role: Role::Later(count), ..Frame::new(function, None, 0) };
        frame.regs[1] = Reg::pointer(Kind::Map(map));
        frame.regs[2] = Reg::pointer(Kind::Key(map));
        frame.regs[3] = Reg::pointer(Kind::Value(map));
        self.later[function as usize] = true;
        self.called_back[function as usize] = true;
        let mut later = State::new(frame);
        later.sleeps = sleeps;
        debug_assert!(self.code.op(at).is_some(), "it was executed");
        self.push_fresh(later, self.code.extent(function).0)
    }

    /// A callback returns: the helper goes on, and may call it again.
    pub fn return_from_callback(&mut self, state: &mut State, at: u32) -> Step<Flow> {
        let result = *state.reg(0);
        if result.kind == Kind::Unset {
            return Err(Reason::Unwritten(0).into());
        }
        if !result.is_number() {
            return Err(Reason::ResultKind(result.kind).into());
        }
        self.mark_precise(Wanted::of(&[Place::Reg(state.depth(), 0)]), 1);
        let range = result.num.s64();
        if range.min < 0 || range.max > 1 {
            return Err(Reason::Rule(&rules::CALLBACK_RESULT).into());
        }
        let Some(frame) = state.frames.pop() else { return Ok(Flow::End) };
        let call = frame.call.unwrap_or(at);
        if let Some(before) = self.entry_before(call, state, false) {
            self.widen(before, state);
        }
        Ok(Flow::Next(call))
    }

    /// A function that was called later returns what is in a register.
    pub fn check_later_result(&mut self, state: &State, reg: u8) -> Step<()> {
        let result = *state.reg(reg.into());
        if !result.is_number() {
            return Err(Reason::ResultKind(result.kind).into());
        }
        self.mark_precise(Wanted::of(&[Place::Reg(state.depth(), reg)]), 1);
        if result.num.s64().min != 0 || result.num.s64().max != 0 {
            return Err(Reason::Rule(&rules::CALLBACK_ASYNC_RESULT).into());
        }
        Ok(())
    }
}
