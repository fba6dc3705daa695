//! Global functions: verified by their types alone, each by itself, and called by their types (`btf_prepare_func_args`,
//! `btf_check_func_arg_match`).

use skep_btf::{Btf, Kind as Type, TypeId};
use skep_isa::ProgType;
use skep_isa::ebpf::{Callee, Op};

use crate::profile::Kernel;
use crate::reg::{DynptrKind, Kind, Reg, Trust};
use crate::reject::{Reason, Step, Stop};
use crate::rules;
use crate::search::Verifier;
use crate::state::{Frame, Role, State};
use crate::types;

/// What an argument of a global function is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Argument {
    /// A number.
    Number,
    /// The context.
    Context,
    /// Memory of a size, and whether null is allowed.
    Memory(u32, bool),
    /// A dynptr.
    Dynptr,
    /// A pointer into an arena, or the number that it is.
    Arena,
    /// A structure of the kernel that can be relied on, and whether null is allowed.
    Trusted(u32, bool),
}

// TABLE
/// Names of structures that are the context of a type of programs without being declared for it.
const CONTEXTS: &[(ProgType, &str)] = &[
    (ProgType::Kprobe, "bpf_user_pt_regs_t"),
    (ProgType::Kprobe, "pt_regs"),
    (ProgType::RawTracepoint, "bpf_raw_tracepoint_args"),
    (ProgType::RawTracepointWritable, "bpf_raw_tracepoint_args"),
];

impl Verifier<'_> {
    /// The arguments of a global function.
    pub fn arguments_of(&self, function: u32) -> Step<Vec<Argument>> {
        let own = self.types.own.as_ref().ok_or(Stop::Undecided("global functions without types"))?;
        let declared = self.program.functions.get(function as usize).and_then(|function| function.ty);
        let id = TypeId(declared.ok_or(Stop::Undecided("global functions without types"))?);
        let Ok(Type::Func { proto, .. }) = own.kind(id) else {
            return Err(Stop::Undecided("global functions without types"));
        };
        let Ok(Type::FuncProto(proto)) = own.kind(proto) else {
            return Err(Stop::Undecided("global functions without types"));
        };
        if !crate::kcall::is_number(own, proto.result) {
            return Err(Reason::Rule(&rules::GLOBAL_TYPE).into());
        }
        let context = skep_isa::programs::facts(self.program.prog_type).context.map(|context| context.name);
        let mut arguments = Vec::new();
        for (index, param) in proto.params().enumerate() {
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            if index >= 5 {
                return Err(Reason::Rule(&rules::GLOBAL_TYPE).into());
            }
            let tags = types::argument_tags(own, id, index);
            let tagged = |tag: &str| tags.contains(&tag);
            // Linux reads tags since 6.8; loaders write what `ctx` means into the types for those before.
            if self.kernel < Kernel::V6_12 && !tags.is_empty() {
                return Err(Stop::Undecided("arguments of global functions with these tags"));
            }
            if tagged("trusted") {
                arguments.push(self.trusted_argument(own, param.ty, &tags)?);
                continue;
            }
            if tags == ["arena"] && types::pointee(own, param.ty).is_some() {
                arguments.push(Argument::Arena);
                continue;
            }
            if tags.iter().any(|tag| !matches!(*tag, "ctx" | "nonnull")) {
                return Err(Stop::Undecided("arguments of global functions with these tags"));
            }
            if crate::kcall::is_number(own, param.ty) {
                arguments.push(Argument::Number);
                continue;
            }
            let Some((target, name)) = types::pointee(own, param.ty) else {
                return Err(Reason::Rule(&rules::GLOBAL_TYPE).into());
            };
            let is_context = tagged("ctx")
                || (!name.is_empty() && context == Some(name))
                || CONTEXTS.contains(&(self.program.prog_type, name));
            if !is_context && name == "user_pt_regs" {
                return Err(Stop::Undecided("the context as an argument of a global function"));
            }
            arguments.push(match own.size_of(target) {
                _ if is_context => Argument::Context,
                _ if name == "bpf_dynptr" && self.kernel < Kernel::V6_12 => {
                    return Err(Stop::Undecided("dynptrs as arguments of global functions"));
                }
                _ if name == "bpf_dynptr" => Argument::Dynptr,
                Ok(size) => Argument::Memory(size, !tagged("nonnull")),
                Err(_) => return Err(Reason::Rule(&rules::GLOBAL_TYPE).into()),
            });
        }
        Ok(arguments)
    }

    /// An argument with the tag `trusted`: the structure of the kernel of that name, without what follows `___`.
    fn trusted_argument(&self, own: &Btf, ty: TypeId, tags: &[&str]) -> Step<Argument> {
        let other = tags.iter().any(|tag| !matches!(*tag, "trusted" | "nullable"));
        let named = types::pointee(own, ty).filter(|(_, name)| !other && !name.is_empty());
        let (_, name) = named.ok_or(Stop::Undecided("arguments of global functions with these tags"))?;
        let name = name.split("___").next().unwrap_or(name);
        let kernel = self.types.kernel.as_ref().ok_or(Stop::Undecided("the types of the kernel"))?;
        let found = kernel.find_type(name, |kind| matches!(kind, Type::Struct(_)));
        let found = found.ok_or(Stop::Undecided("a structure that the kernel does not have"))?;
        Ok(Argument::Trusted(found.0, tags.contains(&"nullable")))
    }

    /// A call of a global function: the arguments have to be what its types say, and the result is some number.
    pub fn call_global(&mut self, state: &mut State, function: u32) -> Step<()> {
        if state.lock.is_some() || (state.preempt > 0 && self.kernel < Kernel::V6_18) {
            return Err(Reason::Rule(&rules::GLOBAL_LOCK).into());
        }
        if state.sleeps && (state.rcu || state.preempt > 0 || !state.interrupts.is_empty()) {
            return Err(Stop::Undecided("global functions where sleeping is impossible"));
        }
        let wrong = |reg| Stop::Reject(Reason::GlobalArgument(reg));
        for (index, argument) in self.arguments_of(function)?.into_iter().enumerate() {
            let reg = u8::try_from(index + 1).unwrap_or(5);
            let value = *state.reg(reg.into());
            if value.kind == Kind::Unset {
                return Err(Reason::Unwritten(reg).into());
            }
            match argument {
                Argument::Number if !value.is_number() => return Err(wrong(reg)),
                Argument::Number => {}
                Argument::Context if value.kind != Kind::Context || value.fixed_offset() != Some(0) => {
                    return Err(wrong(reg));
                }
                Argument::Context => {}
                Argument::Memory(size, null) => {
                    if !null && value.nullable {
                        return Err(wrong(reg));
                    }
                    if !null && value.is_zero() {
                        return Err(Stop::Undecided("null for an argument that is never null"));
                    }
                    self.given_memory(state, reg, size, true)?;
                }
                Argument::Arena if value.is_number() || value.kind == Kind::Arena => {}
                Argument::Arena => return Err(Reason::Rule(&rules::ARENA_ARGUMENT).into()),
                Argument::Dynptr => _ = self.dynptr(state, &value)?,
                Argument::Trusted(_, true) if value.is_zero() => {}
                Argument::Trusted(_, false) if value.is_number() || value.nullable => return Err(wrong(reg)),
                Argument::Trusted(ty, _) => {
                    let same = matches!(value.kind, Kind::Struct(given, _) if given == ty);
                    if !same || !crate::kcall::is_trusted(&value) || value.fixed_offset() != Some(0) {
                        return Err(Stop::Undecided("what is given for a trusted argument"));
                    }
                }
            }
        }
        if self.moves_packet(function) {
            state.forget_packet(self.lost());
        }
        self.called[function as usize] = true;
        for reg in 0..6 {
            state.set(reg, Reg::UNSET);
        }
        state.set(0, Reg::UNKNOWN);
        Ok(())
    }

    /// The state in which a global function begins.
    pub fn begin_global(&mut self, function: u32) -> Step<State> {
        let mut frame = Frame { role: Role::Global, ..Frame::new(function, None, 0) };
        for (index, argument) in self.arguments_of(function)?.into_iter().enumerate() {
            let id = self.id();
            frame.regs[index + 1] = match argument {
                Argument::Number | Argument::Arena => Reg::UNKNOWN,
                Argument::Context => Reg::pointer(Kind::Context),
                Argument::Memory(size, true) => Reg::nullable(Kind::Memory(size), id),
                Argument::Memory(size, false) => Reg::pointer(Kind::Memory(size)),
                Argument::Trusted(ty, true) => Reg::nullable(Kind::Struct(ty, Trust::Trusted), id),
                Argument::Trusted(ty, false) => Reg::pointer(Kind::Struct(ty, Trust::Trusted)),
                Argument::Dynptr => Reg { id, ..Reg::pointer(Kind::Dynptr(DynptrKind::Local)) },
            };
        }
        Ok(State::new(frame))
    }

    /// Whether a function, or one that it calls, may move the packet.
    fn moves_packet(&self, function: u32) -> bool {
        if self.kernel < Kernel::V6_18 {
            return false;
        }
        let mut seen = vec![false; self.code.functions.len()];
        let mut open = vec![function];
        while let Some(function) = open.pop() {
            if std::mem::replace(&mut seen[function as usize], true) {
                continue;
            }
            let (start, end) = self.code.extent(function);
            for at in start..end {
                match self.code.op(at) {
                    Some(Op::Call(Callee::Helper(id))) => {
                        let helper = u32::try_from(id).ok().and_then(skep_isa::helpers::by_id);
                        if helper.is_some_and(skep_isa::helpers::Helper::moves_packet) {
                            return true;
                        }
                    }
                    Some(Op::Call(Callee::Local(distance))) => {
                        let target = u32::try_from(i64::from(at) + 1 + i64::from(distance)).unwrap_or(u32::MAX);
                        open.extend(self.code.function_at(target));
                    }
                    _ => {}
                }
            }
        }
        false
    }
}
