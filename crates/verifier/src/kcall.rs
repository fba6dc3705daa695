//! Calls of functions of the kernel (`check_kfunc_call`, `check_kfunc_args`).

use skep_btf::{Btf, FuncProto, Kind as Type, TypeId};
use skep_isa::{AttachType, ProgType};

use crate::kfuncs::{self, Kfunc};
use crate::precision::{Place, Wanted};
use crate::reg::{DynptrKind, Hold, Kind, Reg, Trust};
use crate::reject::{Reason, Step, Stop};
use crate::rules;
use crate::search::{Flow, Verifier};
use crate::special::{self, Given};
use crate::state::State;
use crate::types::{self, Field, FieldKind};

/// Functions that can be called with a lock held.
const WITH_LOCK: &[&str] = &[
    "bpf_list_push_front_impl",
    "bpf_list_push_back_impl",
    "bpf_list_pop_front",
    "bpf_list_pop_back",
    "bpf_list_front",
    "bpf_list_back",
    "bpf_rbtree_add_impl",
    "bpf_rbtree_remove",
    "bpf_rbtree_first",
    "bpf_rbtree_root",
    "bpf_rbtree_left",
    "bpf_rbtree_right",
    "bpf_refcount_acquire_impl",
];
/// The same, since 6.14.
const WITH_LOCK_LATER: &[&str] = &["bpf_iter_num_new", "bpf_iter_num_next", "bpf_iter_num_destroy"];

/// A function that is called.
pub struct Call<'b> {
    /// Its name.
    pub name: &'b str,
    /// What its registration says.
    pub kfunc: &'static Kfunc,
    /// The types of the kernel.
    pub btf: &'b Btf,
    /// Its prototype.
    pub proto: FuncProto<'b>,
    /// Where it is called.
    pub at: u32,
}

/// What the arguments have told.
#[derive(Debug, Default)]
pub struct Told {
    /// The reference of an argument.
    pub reference: u32,
    /// The register whose reference is given back.
    pub released: Option<u8>,
    /// A constant.
    pub constant: Option<u64>,
    /// The size of the memory that is given back.
    pub size: Option<u32>,
    /// Whether that memory is only read.
    pub read_only: bool,
    /// The type of the object.
    pub object: Option<u32>,
    /// Whether the object is owned.
    pub owned: bool,
    /// The dynptr that is read.
    pub dynptr: Option<Given>,
    /// The iterator.
    pub iterator: Option<special::Place>,
    /// The head of the list or root of the tree.
    pub root: Option<Field>,
    /// The callback.
    pub callback: Option<u32>,
    /// The map.
    pub map: Option<u32>,
}

impl Verifier<'_> {
    /// `call KFUNC`
    pub fn kfunc(&mut self, state: &mut State, at: u32, id: i32, module: i16) -> Step<Flow> {
        if module != 0 {
            return Err(Stop::Undecided("functions of modules of the kernel"));
        }
        if self.kernel < crate::Kernel::V6_12 {
            return Err(Stop::Undecided("kernel functions"));
        }
        let Some(types) = self.types.kernel.clone() else { return Err(Stop::Undecided("kernel functions")) };
        let Some(id) = u32::try_from(id).ok().filter(|id| *id > 0) else {
            return Err(Stop::Undecided("a kernel function that does not exist"));
        };
        let (Ok(name), Ok(Type::Func { proto, .. })) = (types.name(TypeId(id)), types.kind(TypeId(id))) else {
            return Err(Stop::Undecided("a kernel function that does not exist"));
        };
        let Ok(Type::FuncProto(proto)) = types.kind(proto) else {
            return Err(Stop::Undecided("a kernel function without a type"));
        };
        if self.program.prog_type == ProgType::Xdp && name.starts_with("bpf_xdp_metadata_rx_") {
            return Err(Reason::Rule(&rules::DEVICE_ONLY).into());
        }
        let Some(kfunc) = kfuncs::by_name(name) else { return Err(Stop::Undecided("this function of the kernel")) };
        let call = Call { name, kfunc, btf: &types, proto, at };
        self.call_kfunc(state, &call)
    }

    fn call_kfunc(&mut self, state: &mut State, call: &Call<'_>) -> Step<Flow> {
        self.may_call(state, call)?;
        let mut told = Told::default();
        self.kfunc_arguments(state, call, &mut told)?;
        self.call_back(state, call, &told)?;
        self.regions(state, call)?;
        if let Some(reg) = told.released {
            let reference = state.reg(reg.into()).reference;
            if reference == 0 || !state.release(reference, self.lost()) {
                return Err(Reason::NotHeld(reg).into());
            }
        }
        if adds_node(call.name) {
            self.hand_over(state)?;
        }
        if call.name == "bpf_throw" {
            return self.throw(state);
        }
        let result = self.kfunc_result(state, call, &told)?;
        for reg in 0..6 {
            state.set(reg, Reg::UNSET);
        }
        state.set(0, result);
        if call.kfunc.next
            && let Some(place) = told.iterator
        {
            self.next_element(state, call.at, place)?;
        }
        Ok(Flow::Next(call.at + 1))
    }

    /// Whether the program may call it here.
    fn may_call(&self, state: &State, call: &Call<'_>) -> Step<()> {
        match call.kfunc.is_for(self.program.prog_type) {
            Some(true) => {}
            Some(false) => return Err(Reason::KfuncRefused(call.name.into()).into()),
            None => self.passes_filter(call.name)?,
        }
        if call.kfunc.destructive {
            return Err(Stop::Undecided("destructive kernel functions"));
        }
        if call.kfunc.sleeps && !state.sleeps {
            return Err(Reason::Rule(&rules::SLEEPS_PROGRAM).into());
        }
        if state.lock.is_some()
            && !WITH_LOCK.contains(&call.name)
            && !(self.kernel >= crate::Kernel::V6_18 && WITH_LOCK_LATER.contains(&call.name))
        {
            return Err(Reason::Rule(&rules::LOCK_CALL).into());
        }
        Ok(())
    }

    /// Functions for which the kernel asks more about a program than its type.
    fn passes_filter(&self, name: &str) -> Step<()> {
        let session = [AttachType::TraceKprobeSession, AttachType::TraceUprobeSession];
        let attached = |places: &[AttachType]| self.program.attach_type.is_some_and(|attach| places.contains(&attach));
        let (prog_type, places, rule) = match name {
            "bpf_session_cookie" | "bpf_session_is_return" => (ProgType::Kprobe, &session[..], &rules::SESSION_ONLY),
            "bpf_sock_destroy" => (ProgType::Tracing, &[AttachType::TraceIter][..], &rules::ITERATOR_ONLY),
            _ => return Err(Stop::Undecided("a kernel function that asks more about the program")),
        };
        if self.program.prog_type != prog_type {
            return Err(Reason::KfuncRefused(name.into()).into());
        }
        if attached(places) { Ok(()) } else { Err(Reason::Rule(rule).into()) }
    }

    /// Callbacks that the function makes.
    fn call_back(&mut self, state: &mut State, call: &Call<'_>, told: &Told) -> Step<()> {
        let Some(function) = told.callback else { return Ok(()) };
        match call.name {
            "bpf_rbtree_add_impl" => {
                let Some(root) = told.root.and_then(|root| root.ty) else {
                    return Err(Reason::Rule(&rules::OBJECT_FIELD).into());
                };
                let node = told.root.map_or(0, |root| root.node);
                let off = i32::try_from(node).unwrap_or(0);
                let argument = Reg { off, ..Reg::pointer(Kind::Object(root.0, Hold::Shared)) };
                self.push_compare(state, call.at, function, argument)
            }
            "bpf_wq_set_callback_impl" => {
                let map = told.map.ok_or(Stop::Undecided("a work item without a map"))?;
                self.push_later(state, call.at, function, map, true)
            }
            _ => Err(Stop::Undecided("callbacks of this function of the kernel")),
        }
    }

    /// Locks and regions that the function enters and leaves.
    fn regions(&mut self, state: &mut State, call: &Call<'_>) -> Step<()> {
        let sleeps = call.kfunc.sleeps;
        match call.name {
            "bpf_rcu_read_lock" => {
                if state.rcu {
                    return Err(Reason::Rule(&rules::RCU_NESTED).into());
                }
                state.rcu = true;
            }
            "bpf_rcu_read_unlock" => {
                if !state.rcu {
                    return Err(Reason::Rule(&rules::RCU_NOT_HELD).into());
                }
                state.leave_rcu();
            }
            "bpf_preempt_disable" => state.preempt += 1,
            "bpf_preempt_enable" => {
                let Some(less) = state.preempt.checked_sub(1) else {
                    return Err(Reason::Rule(&rules::PREEMPT_NOT_OFF).into());
                };
                state.preempt = less;
            }
            _ if sleeps && (state.rcu || state.preempt > 0 || !state.interrupts.is_empty()) => {
                return Err(Reason::Rule(&rules::SLEEPS_HERE).into());
            }
            _ => {}
        }
        Ok(())
    }

    /// The node that was added belongs to the list or tree: the program's pointers to it are not owners any more.
    fn hand_over(&mut self, state: &mut State) -> Step<()> {
        let reference = state.reg(2).reference;
        if reference == 0 {
            return Err(Reason::NotHeld(2).into());
        }
        for value in state.values() {
            if value.reference == reference
                && let Kind::Object(ty, Hold::Owned) = value.kind
            {
                value.kind = Kind::Object(ty, Hold::Shared);
                value.reference = 0;
            }
        }
        if !state.release(reference, self.lost()) {
            return Err(Reason::NotHeld(2).into());
        }
        Ok(())
    }

    /// What is in register 0 behind the call.
    fn kfunc_result(&mut self, state: &mut State, call: &Call<'_>, told: &Told) -> Step<Reg> {
        let Ok(result) = call.btf.resolved(call.proto.result) else {
            return Err(Stop::Undecided("a kernel function without a type"));
        };
        let mut value = match result {
            Type::Void => return Ok(Reg::UNSET),
            Type::Int(_) | Type::Enum(_) | Type::Enum64(_) => return Ok(Reg::UNKNOWN),
            Type::Ptr(target) => self.pointer_result(state, call, told, target)?,
            _ => return Err(Stop::Undecided("results of this type")),
        };
        if !value.is_pointer() {
            return Ok(value);
        }
        // A copy of an object that the program owns always succeeds.
        let null = call.kfunc.may_be_null && !(call.name == "bpf_refcount_acquire_impl" && told.owned);
        if null {
            value.nullable = true;
            value.id = self.id();
        }
        if call.kfunc.acquires {
            let id = self.id();
            state.acquire(id, call.at);
            if null {
                value.id = id;
            }
            value.reference = id;
        }
        if let (Kind::Object(ty, _), 0) = (value.kind, value.id) {
            let fields = self.fields_of(TypeId(ty));
            if fields.iter().any(|field| field.kind == FieldKind::SpinLock) {
                value.id = self.id();
            }
        }
        Ok(value)
    }

    fn pointer_result(&mut self, state: &State, call: &Call<'_>, told: &Told, target: TypeId) -> Step<Reg> {
        let node = |root: Option<Field>, hold| {
            let root = root.ok_or(Stop::Reject(Reason::Rule(&rules::OBJECT_FIELD)))?;
            let ty = root.ty.ok_or(Stop::Reject(Reason::Rule(&rules::OBJECT_FIELD)))?;
            let off = i32::try_from(root.node).unwrap_or(0);
            Ok(Reg { off, ..Reg::pointer(Kind::Object(ty.0, hold)) })
        };
        match call.name {
            "bpf_obj_new_impl" | "bpf_percpu_obj_new_impl" => return self.new_object(call, told),
            "bpf_refcount_acquire_impl" => {
                let ty = told.object.ok_or(Stop::Undecided("an object without a type"))?;
                return Ok(Reg::pointer(Kind::Object(ty, Hold::Owned)));
            }
            "bpf_list_pop_front" | "bpf_list_pop_back" | "bpf_rbtree_remove" => return node(told.root, Hold::Owned),
            "bpf_rbtree_first" | "bpf_rbtree_root" | "bpf_list_front" | "bpf_list_back" => {
                return node(told.root, Hold::Shared);
            }
            "bpf_rbtree_left" | "bpf_rbtree_right" => return Err(Stop::Undecided("walks through trees")),
            "bpf_cast_to_kern_ctx" => {
                let ty = self.kernel_context(call.btf).ok_or(Stop::Undecided("the context as the kernel has it"))?;
                return Ok(Reg::pointer(Kind::Struct(ty.0, Trust::Trusted)));
            }
            "bpf_session_cookie" => return Ok(Reg::pointer(Kind::Memory(8))),
            "bpf_rdonly_cast" => {
                let ty = told.constant.and_then(|ty| u32::try_from(ty).ok()).map(TypeId);
                let ty = ty.ok_or(Stop::Reject(Reason::Rule(&rules::KFUNC_CONSTANT)))?;
                return match call.btf.kind(ty) {
                    Ok(Type::Struct(_) | Type::Union(_)) => Ok(Reg::pointer(Kind::Struct(ty.0, Trust::Untrusted))),
                    Ok(Type::Void) => Err(Stop::Undecided("casts to memory of the kernel")),
                    _ => Err(Reason::Rule(&rules::OBJECT_TYPE).into()),
                };
            }
            "bpf_dynptr_slice" | "bpf_dynptr_slice_rdwr" => return self.slice(call, told),
            _ => {}
        }
        let ty = call.btf.resolve(target).map_err(|_| Stop::Undecided("results of this type"))?;
        match call.btf.kind(ty) {
            Ok(Type::Void) => Ok(Reg::UNKNOWN),
            Ok(Type::Struct(_)) => {
                let trust = match told.iterator.and_then(|place| Self::iterator_state(state, place)) {
                    Some((_, Trust::Rcu)) if call.kfunc.next => Trust::Rcu,
                    Some(_) if call.kfunc.next => Trust::Trusted,
                    _ => Trust::Plain,
                };
                Ok(Reg::pointer(Kind::Struct(ty.0, trust)))
            }
            _ => {
                let own = call.btf.size_of(ty).ok();
                let size = told.size.or(own).ok_or(Stop::Undecided("results of this type"))?;
                let read_only = told.read_only || told.size.is_none();
                Ok(Reg { read_only, reference: told.reference, ..Reg::pointer(Kind::Memory(size)) })
            }
        }
    }

    /// The structure that the context of the program is inside of the kernel (`get_kern_ctx_btf_id`).
    fn kernel_context(&self, kernel: &Btf) -> Option<TypeId> {
        let pairs = types::composite(kernel, structure(kernel, "bpf_ctx_convert")?)?;
        let wanted = format!("BPF_PROG_TYPE_{}_kern", self.program.prog_type.name().to_uppercase());
        let found = pairs.members().find(|pair| kernel.string(pair.name).is_ok_and(|one| one == wanted))?;
        let ty = kernel.resolve(found.ty).ok()?;
        matches!(kernel.kind(ty), Ok(Type::Struct(_))).then_some(ty)
    }

    /// `bpf_obj_new`
    fn new_object(&mut self, call: &Call<'_>, told: &Told) -> Step<Reg> {
        let wrong = || Stop::Reject(Reason::Rule(&rules::OBJECT_TYPE));
        let ty = told.constant.and_then(|ty| u32::try_from(ty).ok()).ok_or_else(wrong)?;
        let own = self.types.own.as_ref().ok_or_else(wrong)?;
        let Ok(Type::Struct(this)) = own.kind(TypeId(ty)) else { return Err(wrong()) };
        let percpu = call.name == "bpf_percpu_obj_new_impl";
        if percpu {
            if this.size > 512 || !self.fields_of(TypeId(ty)).is_empty() || !is_plain(own, TypeId(ty), 4) {
                return Err(Reason::Rule(&rules::OBJECT_TYPE).into());
            }
            return Ok(Reg::pointer(Kind::Object(ty, Hold::PerCpu)));
        }
        Ok(Reg::pointer(Kind::Object(ty, Hold::Owned)))
    }

    /// `bpf_dynptr_slice`
    fn slice(&self, call: &Call<'_>, told: &Told) -> Step<Reg> {
        let size = told.constant.and_then(|size| u32::try_from(size).ok());
        let size = size.ok_or(Stop::Reject(Reason::Rule(&rules::KFUNC_CONSTANT)))?;
        let given = told.dynptr.ok_or(Stop::Reject(Reason::Rule(&rules::DYNPTR_UNINITIALIZED)))?;
        let read_only = call.name == "bpf_dynptr_slice";
        if !read_only && !self.writes_packet() {
            return Err(Reason::Rule(&rules::READ_ONLY).into());
        }
        Ok(Reg { read_only, slice: given.id, ..Reg::pointer(Kind::Memory(size)) })
    }

    /// The next element of an iterator: there is one, or it is at its end (`process_iter_next_call`).
    fn next_element(&mut self, state: &mut State, at: u32, place: special::Place) -> Step<()> {
        let Some((drained, _)) = Self::iterator_state(state, place) else { return Ok(()) };
        if !drained {
            let mut more = state.clone();
            *more.iterators.entry(place).or_default() += 1;
            if let Some(before) = self.entry_before(at, state, true) {
                self.widen(before, &mut more);
            }
            let element = &mut more.top().regs[0];
            element.nullable = false;
            element.id = 0;
            self.push(more, at + 1)?;
        }
        Self::drain_iterator(state, place);
        state.set(0, Reg::constant(0));
        Ok(())
    }

    /// A register has to be a constant.
    pub fn kfunc_constant(&mut self, state: &State, reg: u8) -> Step<u64> {
        let value = state.reg(reg.into()).as_constant().ok_or(Reason::Rule(&rules::KFUNC_CONSTANT))?;
        self.mark_precise(Wanted::of(&[Place::Reg(state.depth(), reg)]), 1);
        Ok(value)
    }

    /// What a new dynptr stands for.
    pub fn kind_of_dynptr(call: &Call<'_>, told: &Told) -> Step<(DynptrKind, u32)> {
        Ok(match call.name {
            "bpf_dynptr_from_skb" => (DynptrKind::Packet, 0),
            "bpf_dynptr_from_xdp" => (DynptrKind::Frame, 0),
            "bpf_dynptr_from_skb_meta" => (DynptrKind::Metadata, 0),
            "bpf_dynptr_clone" => {
                let from = told.dynptr.ok_or(Stop::Reject(Reason::Rule(&rules::DYNPTR_UNINITIALIZED)))?;
                (from.kind, from.reference)
            }
            _ => return Err(Stop::Undecided("dynptrs that this function makes")),
        })
    }
}

/// Whether a function adds a node to a list or tree.
fn adds_node(name: &str) -> bool {
    matches!(name, "bpf_list_push_front_impl" | "bpf_list_push_back_impl" | "bpf_rbtree_add_impl")
}

/// Whether a type is a number, or a structure of numbers (`__btf_type_is_scalar_struct`).
pub fn is_plain(btf: &Btf, ty: TypeId, depth: u32) -> bool {
    let Some(depth) = depth.checked_sub(1) else { return false };
    let Ok(Type::Struct(this) | Type::Union(this)) = btf.resolved(ty) else { return false };
    let number = |ty: TypeId| matches!(btf.resolved(ty), Ok(Type::Int(_) | Type::Enum(_) | Type::Enum64(_)));
    this.members().all(|member| match btf.resolved(member.ty) {
        Ok(Type::Struct(_) | Type::Union(_)) => is_plain(btf, member.ty, depth),
        Ok(Type::Array(array)) => array.len > 0 && number(array.element),
        _ => number(member.ty),
    })
}

/// Whether a type is a number.
pub fn is_number(btf: &Btf, ty: TypeId) -> bool {
    matches!(btf.resolved(ty), Ok(Type::Int(_) | Type::Enum(_) | Type::Enum64(_)))
}

/// The name of the structure that stands for a kind of pointer that has no type of its own.
pub fn structure_of(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::Socket => "sock",
        Kind::SockCommon => "sock_common",
        Kind::TcpSock => "tcp_sock",
        Kind::Map(_) => "bpf_map",
        _ => return None,
    })
}

/// The structure that a pointer points to, by its name in the kernel.
pub fn structure(btf: &Btf, name: &str) -> Option<TypeId> {
    btf.find_type(name, |kind| matches!(kind, Type::Struct(_)))
}

/// Whether a pointer is valid for as long as the program runs, or its reference is held (`is_trusted_reg`).
pub fn is_trusted(value: &Reg) -> bool {
    match value.kind {
        _ if value.reference != 0 => true,
        Kind::Struct(_, trust) => trust == Trust::Trusted,
        Kind::Object(_, hold) => matches!(hold, Hold::Owned | Hold::Shared),
        kind => structure_of(kind).is_some(),
    }
}

/// Whether a pointer is valid under the RCU read lock (`is_rcu_reg`).
pub fn is_rcu(value: &Reg) -> bool {
    matches!(value.kind, Kind::Struct(_, Trust::Rcu) | Kind::Object(_, Hold::Rcu))
}

/// Whether a structure of the kernel is what an argument takes.
pub fn fits(btf: &Btf, value: &Reg, wanted: TypeId, strict: bool) -> bool {
    let ty = match value.kind {
        Kind::Struct(ty, _) => Some(TypeId(ty)),
        kind => structure_of(kind).and_then(|name| structure(btf, name)),
    };
    let (Some(ty), Some(off)) = (ty, value.fixed_offset().and_then(|off| u32::try_from(off).ok())) else {
        return false;
    };
    // A program's view of a packet stands for the kernel's.
    let named = |ty| btf.name(ty).unwrap_or("");
    if matches!((named(wanted), named(ty)), ("__sk_buff", "sk_buff") | ("xdp_md", "xdp_buff")) {
        return off == 0;
    }
    if strict {
        off == 0 && (ty == wanted || btf.name(ty) == btf.name(wanted))
    } else {
        types::reaches(btf, ty, off, wanted)
    }
}
