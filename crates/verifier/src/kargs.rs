//! Arguments of functions of the kernel: what each takes, by its type and the ending of its name
//! (`get_kfunc_ptr_arg_type`, `Documentation/bpf/kfuncs.rst`).

use skep_btf::{Kind as Type, TypeId};
use skep_isa::{AttachType, ProgType};

use crate::kcall::{self, Call, Told};
use crate::memory::Access;
use crate::reg::{Hold, Kind, Reg, Trust};
use crate::reject::{Reason, Step, Stop};
use crate::rules::{self, Rule};
use crate::search::Verifier;
use crate::state::State;
use crate::types::{self, Field, FieldKind};

/// What an argument that is a pointer takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Context,
    Object,
    Counted,
    Null,
    Dynptr,
    Iterator,
    Interrupts,
    Root(FieldKind),
    Node(FieldKind),
    Text,
    Map,
    Work,
    Struct,
    Callback,
    Memory,
    SizedMemory,
}

/// One argument.
struct Argument<'c> {
    reg: u8,
    name: &'c str,
    /// What it points to.
    target: TypeId,
    /// The name of that.
    target_name: &'c str,
    /// The name of the next argument.
    next: &'c str,
    value: Reg,
}

impl Argument<'_> {
    fn ends(&self, ending: &str) -> bool {
        self.name.ends_with(ending)
    }
}

fn broken(rule: &'static Rule) -> Stop {
    Stop::Reject(Reason::Rule(rule))
}

impl Verifier<'_> {
    /// Checks all arguments.
    pub fn kfunc_arguments(&mut self, state: &mut State, call: &Call<'_>, told: &mut Told) -> Step<()> {
        let params: Vec<_> = call.proto.params().collect();
        if params.len() > 5 {
            return Err(Stop::Undecided("kernel functions with more than 5 arguments"));
        }
        let name_of = |index: usize| params.get(index).and_then(|param| call.btf.string(param.name).ok()).unwrap_or("");
        let mut index = 0;
        while index < params.len() {
            let reg = u8::try_from(index + 1).unwrap_or(5);
            let name = name_of(index);
            let ty = params[index].ty;
            index += 1;
            if name.ends_with("__ign") || name.ends_with("__prog") {
                continue;
            }
            let value = *state.reg(reg.into());
            if value.kind == Kind::Unset {
                return Err(Reason::Unwritten(reg).into());
            }
            if kcall::is_number(call.btf, ty) {
                self.number_argument(state, call, reg, name, told)?;
                continue;
            }
            let Some((target, target_name)) = types::pointee(call.btf, ty) else {
                return Err(Stop::Undecided("arguments of this type"));
            };
            let argument = Argument { reg, name, target, target_name, next: name_of(index), value };
            if self.pointer_argument(state, call, &argument, told)? {
                index += 1;
            }
        }
        if call.kfunc.releases && told.released.is_none() {
            return Err(broken(&rules::KFUNC_RELEASE));
        }
        Ok(())
    }

    fn number_argument(&mut self, state: &State, call: &Call<'_>, reg: u8, name: &str, told: &mut Told) -> Step<()> {
        if !state.reg(reg.into()).is_number() {
            return Err(Reason::KfuncArgument(call.name.into(), reg, &rules::KFUNC_NUMBER).into());
        }
        let constant = name.ends_with("__k");
        let (read_only, writable) = (name == "rdonly_buf_size", name == "rdwr_buf_size");
        if constant || read_only || writable {
            let number = self.kfunc_constant(state, reg)?;
            if constant {
                told.constant = Some(number);
            } else {
                told.size = Some(u32::try_from(number).map_err(|_| broken(&rules::KFUNC_CONSTANT))?);
                told.read_only = read_only;
            }
        }
        Ok(())
    }

    /// Checks a pointer; true if the argument behind it was its size.
    fn pointer_argument(
        &mut self,
        state: &mut State,
        call: &Call<'_>,
        arg: &Argument<'_>,
        told: &mut Told,
    ) -> Step<bool> {
        let value = arg.value;
        let bad = |rule: &'static Rule| Stop::Reject(Reason::KfuncArgument(call.name.into(), arg.reg, rule));
        let nullable = arg.ends("__nullable") || (arg.ends("__opt") && self.kernel >= crate::Kernel::V6_18);
        if (call.kfunc.trusted || call.kfunc.rcu) && (value.is_zero() || value.nullable) && !nullable {
            return Err(bad(&rules::KFUNC_NULL));
        }
        if value.reference != 0 && value.is_pointer() {
            told.reference = value.reference;
            if call.kfunc.releases {
                told.released = Some(arg.reg);
            }
        }
        let wanted = self.wanted(call, arg)?;
        if matches!(wanted, Wanted::Map | Wanted::Object | Wanted::Struct) && (call.kfunc.trusted || call.kfunc.rcu) {
            let enough = kcall::is_trusted(&value) || (call.kfunc.rcu && kcall::is_rcu(&value));
            if !enough {
                return Err(bad(&rules::KFUNC_TRUST));
            }
        }
        if call.kfunc.releases && value.reference != 0 && value.fixed_offset() != Some(0) {
            let node = matches!(value.kind, Kind::Object(..));
            if !node || value.fixed_offset().is_none() || value.off != 0 {
                return Err(bad(&rules::POINTER_MOVED));
            }
        }
        if wanted != Wanted::Null && value.num.as_constant() != Some(0) && is_fixed(value.kind) {
            return Err(bad(&rules::POINTER_MOVED));
        }
        if value.nullable && wanted != Wanted::Null && !matches!(wanted, Wanted::Memory | Wanted::SizedMemory) {
            // A pointer that may be null is of another type than all that are taken.
            return Err(bad(&rules::KFUNC_NULL));
        }
        match wanted {
            Wanted::Null => Ok(false),
            Wanted::Context => {
                if value.kind != Kind::Context || value.fixed_offset() != Some(0) {
                    return Err(bad(&rules::KFUNC_TYPE));
                }
                Ok(false)
            }
            Wanted::Object => Self::owned_object(call, arg, told).map(|()| false),
            Wanted::Counted => self.counted(&value, call, arg, told).map(|()| false),
            Wanted::Dynptr => self.dynptr_argument(state, call, arg, told).map(|()| false),
            Wanted::Iterator => self.iterator_argument(state, call, arg, told).map(|()| false),
            Wanted::Interrupts => {
                if call.name == "bpf_local_irq_save" {
                    self.save_interrupts(state, call.at, &value)?;
                } else {
                    self.restore_interrupts(state, &value)?;
                }
                Ok(false)
            }
            Wanted::Root(kind) => self.root_argument(state, &value, kind, told).map(|()| false),
            Wanted::Node(kind) => self.node_argument(state, call, &value, kind, told).map(|()| false),
            Wanted::Text => self.text(&value).map(|()| false),
            Wanted::Map => Self::map_argument(call, arg, told).map(|()| false),
            Wanted::Work => self.work(&value, told).map(|()| false),
            Wanted::Struct => {
                let unsafe_pointer = matches!(value.kind, Kind::Struct(_, Trust::Untrusted | Trust::Elsewhere));
                let known = matches!(value.kind, Kind::Struct(..)) || kcall::structure_of(value.kind).is_some();
                let strict = call.kfunc.acquires || (call.kfunc.releases && value.reference != 0);
                if unsafe_pointer || !known || !kcall::fits(call.btf, &value, arg.target, strict) {
                    return Err(bad(&rules::KFUNC_TYPE));
                }
                Ok(false)
            }
            Wanted::Callback => match value.kind {
                Kind::Function(function) => {
                    told.callback = Some(function);
                    Ok(false)
                }
                _ => Err(bad(&rules::CALLBACK_TYPE)),
            },
            Wanted::Memory => {
                let size = call.btf.size_of(arg.target).map_err(|_| Stop::Undecided("arguments of this type"))?;
                self.given_memory(state, arg.reg, size, true)?;
                Ok(false)
            }
            Wanted::SizedMemory => self.sized_memory(state, arg, told).map(|()| true),
        }
    }

    /// What the argument takes.
    fn wanted(&self, call: &Call<'_>, arg: &Argument<'_>) -> Step<Wanted> {
        let value = &arg.value;
        let bad = |rule: &'static Rule| Stop::Reject(Reason::KfuncArgument(call.name.into(), arg.reg, rule));
        let context = skep_isa::programs::facts(self.program.prog_type).context;
        let is_context = call.name == "bpf_cast_to_kern_ctx"
            || (!arg.target_name.is_empty() && context.is_some_and(|context| context.name == arg.target_name));
        if is_context {
            return Ok(Wanted::Context);
        }
        if arg.ends("__alloc") {
            return Ok(Wanted::Object);
        }
        if arg.ends("__refcounted_kptr") {
            return Ok(Wanted::Counted);
        }
        if (arg.ends("__nullable")) && value.is_zero() {
            return Ok(Wanted::Null);
        }
        let is_struct = types::composite(call.btf, arg.target).is_some();
        let known = match arg.target_name {
            "bpf_dynptr" | "bpf_dynptr_kern" => Some(Wanted::Dynptr),
            name if name.starts_with("bpf_iter_") && (call.kfunc.begins || call.kfunc.next || call.kfunc.ends) => {
                (arg.reg == 1).then_some(Wanted::Iterator)
            }
            "bpf_list_head" => Some(Wanted::Root(FieldKind::ListHead)),
            "bpf_list_node" => Some(Wanted::Node(FieldKind::ListNode)),
            "bpf_rb_root" => Some(Wanted::Root(FieldKind::TreeRoot)),
            "bpf_rb_node" => Some(Wanted::Node(FieldKind::TreeNode)),
            "bpf_wq" => Some(Wanted::Work),
            "bpf_res_spin_lock" | "bpf_task_work" => return Err(Stop::Undecided("locks and work of newer kernels")),
            _ if arg.ends("__irq_flag") => Some(Wanted::Interrupts),
            _ if arg.ends("__str") => Some(Wanted::Text),
            _ if arg.ends("__map") => Some(Wanted::Map),
            _ if arg.ends("__iter") || arg.ends("__prog") => return Err(Stop::Undecided("arguments of this kind")),
            _ => None,
        };
        if let Some(known) = known {
            return Ok(known);
        }
        let typed = matches!(value.kind, Kind::Struct(..) | Kind::Object(..) | Kind::Typed);
        if typed || kcall::structure_of(value.kind).is_some() {
            if value.kind == Kind::Typed {
                return Err(Stop::Undecided("structures of the kernel as arguments"));
            }
            return if is_struct { Ok(Wanted::Struct) } else { Err(bad(&rules::KFUNC_TYPE)) };
        }
        if matches!(call.btf.kind(arg.target), Ok(Type::FuncProto(_))) {
            return Ok(Wanted::Callback);
        }
        let sized = arg.next.ends_with("__sz") || arg.next.ends_with("__szk");
        let void = matches!(call.btf.kind(arg.target), Ok(Type::Void));
        let plain = kcall::is_number(call.btf, arg.target) || kcall::is_plain(call.btf, arg.target, 4);
        if !(plain || sized && void) {
            return Err(bad(&rules::KFUNC_TYPE));
        }
        Ok(if sized { Wanted::SizedMemory } else { Wanted::Memory })
    }

    /// An object that is given back.
    fn owned_object(call: &Call<'_>, arg: &Argument<'_>, told: &mut Told) -> Step<()> {
        let hold = if call.name == "bpf_percpu_obj_drop_impl" { Hold::PerCpu } else { Hold::Owned };
        match arg.value.kind {
            Kind::Object(ty, found) if found == hold && arg.value.reference != 0 => {
                told.object = Some(ty);
                Ok(())
            }
            _ => Err(Reason::KfuncArgument(call.name.into(), arg.reg, &rules::OBJECT_OWNED).into()),
        }
    }

    /// A map, the one that was passed before if there was one.
    fn map_argument(call: &Call<'_>, arg: &Argument<'_>, told: &mut Told) -> Step<()> {
        let bad = |rule: &'static Rule| Stop::Reject(Reason::KfuncArgument(call.name.into(), arg.reg, rule));
        match arg.value.kind {
            Kind::Map(map) if told.map.is_some_and(|other| other != map) => Err(bad(&rules::TIMER_MAP)),
            Kind::Map(map) => {
                told.map = Some(map);
                Ok(())
            }
            Kind::Struct(..) => {
                let wanted = kcall::structure(call.btf, "bpf_map").ok_or(Stop::Undecided("the types of the kernel"))?;
                if kcall::fits(call.btf, &arg.value, wanted, false) { Ok(()) } else { Err(bad(&rules::KFUNC_TYPE)) }
            }
            _ => Err(bad(&rules::KFUNC_TYPE)),
        }
    }

    fn counted(&self, value: &Reg, call: &Call<'_>, arg: &Argument<'_>, told: &mut Told) -> Step<()> {
        let bad = |rule: &'static Rule| Stop::Reject(Reason::KfuncArgument(call.name.into(), arg.reg, rule));
        let Kind::Object(ty, hold) = value.kind else { return Err(bad(&rules::OBJECT_OWNED)) };
        if matches!(hold, Hold::Untrusted | Hold::PerCpu) {
            return Err(bad(&rules::OBJECT_OWNED));
        }
        told.owned = hold == Hold::Owned && value.reference != 0;
        if !self.fields_of(TypeId(ty)).iter().any(|field| field.kind == FieldKind::RefCount) {
            return Err(bad(&rules::OBJECT_FIELD));
        }
        told.object = Some(ty);
        Ok(())
    }

    fn dynptr_argument(&mut self, state: &mut State, call: &Call<'_>, arg: &Argument<'_>, told: &mut Told) -> Step<()> {
        if arg.ends("__uninit") {
            if matches!(arg.value.kind, Kind::Dynptr(_)) {
                return Err(broken(&rules::DYNPTR_CONSTANT));
            }
            let (kind, reference) = Self::kind_of_dynptr(call, told)?;
            return self.new_dynptr(state, call.at, &arg.value, kind, reference);
        }
        told.dynptr = Some(self.dynptr(state, &arg.value)?);
        Ok(())
    }

    fn iterator_argument(
        &mut self,
        state: &mut State,
        call: &Call<'_>,
        arg: &Argument<'_>,
        told: &mut Told,
    ) -> Step<()> {
        let size = call.btf.size_of(arg.target).map_err(|_| Stop::Undecided("this iterator"))?;
        let (ty, pointer) = (arg.target.0, &arg.value);
        let iterates = self.program.attach_type == Some(AttachType::TraceIter);
        if call.name == "bpf_iter_css_task_new" && !iterates && !state.sleeps && self.program.prog_type != ProgType::Lsm
        {
            return Err(broken(&rules::ITER_PROGRAM));
        }
        if call.kfunc.begins {
            let trust = match (call.kfunc.rcu_protected, state.in_rcu()) {
                (true, true) => Trust::Rcu,
                (true, false) => Trust::Untrusted,
                _ => Trust::Trusted,
            };
            return self.begin_iterator(state, call.at, pointer, ty, size, trust);
        }
        if call.kfunc.ends {
            return self.end_iterator(state, pointer, ty, size);
        }
        told.iterator = Some(self.iterator(state, pointer, ty, size)?);
        Ok(())
    }

    /// The head of a list or root of a tree in a map value or object; its lock has to be held.
    fn root_argument(&mut self, state: &State, value: &Reg, kind: FieldKind, told: &mut Told) -> Step<()> {
        let off = value.fixed_offset().ok_or(Reason::Rule(&rules::OBJECT_PLACE))?;
        let fields = match value.kind {
            Kind::Value(map) => self.fields[map as usize].clone(),
            Kind::Object(ty, Hold::Owned) if value.reference != 0 => self.fields_of(TypeId(ty)),
            _ => return Err(broken(&rules::OBJECT_PLACE)),
        };
        let field = fields.iter().find(|field| field.kind == kind && i64::from(field.off) == off);
        let field = *field.ok_or(Reason::Rule(&rules::OBJECT_PLACE))?;
        if !holds_lock(state, value) {
            return Err(broken(&rules::LOCK_NEEDED));
        }
        told.root = Some(field);
        Ok(())
    }

    /// A node in an object.
    fn node_argument(
        &mut self,
        state: &State,
        call: &Call<'_>,
        value: &Reg,
        kind: FieldKind,
        told: &mut Told,
    ) -> Step<()> {
        let Kind::Object(ty, hold) = value.kind else { return Err(broken(&rules::OBJECT_OWNED)) };
        if call.name.starts_with("bpf_rbtree_") && call.name != "bpf_rbtree_add_impl" {
            if hold != Hold::Shared || value.reference != 0 || in_compare(state) {
                return Err(broken(&rules::OBJECT_OWNED));
            }
        } else if hold != Hold::Owned || value.reference == 0 {
            return Err(broken(&rules::OBJECT_OWNED));
        }
        let off = value.fixed_offset().ok_or(Reason::Rule(&rules::OBJECT_PLACE))?;
        let fields = self.fields_of(TypeId(ty));
        if !fields.iter().any(|field| field.kind == kind && i64::from(field.off) == off) {
            return Err(broken(&rules::OBJECT_PLACE));
        }
        let root = told.root.ok_or(Reason::Rule(&rules::OBJECT_PLACE))?;
        let same = root.ty.is_some_and(|wanted| match &self.types.own {
            Some(own) => types::reaches(own, TypeId(ty), 0, wanted),
            None => false,
        });
        if !same || i64::from(root.node) != off {
            return Err(broken(&rules::OBJECT_OTHER_TYPE));
        }
        told.object = Some(ty);
        Ok(())
    }

    /// A text in a map that nobody writes (`check_reg_const_str`).
    pub fn text(&self, value: &Reg) -> Step<()> {
        let Kind::Value(map) = value.kind else { return Err(broken(&rules::TEXT_PLACE)) };
        let spec = self.maps[map as usize];
        let constant = spec.frozen && spec.flags.contains(skep_object::MapFlags::READ_ONLY_FOR_PROGRAMS);
        let off = value.fixed_offset().and_then(|off| usize::try_from(off).ok());
        let (Some(off), true, false) = (off, constant, value.nullable) else { return Err(broken(&rules::TEXT_PLACE)) };
        let bytes = spec.contents.first().and_then(|(_, bytes)| bytes.get(off..));
        if bytes.is_some_and(|bytes| bytes.contains(&0)) { Ok(()) } else { Err(broken(&rules::TEXT_END)) }
    }

    /// A work item in a map value.
    fn work(&self, value: &Reg, told: &mut Told) -> Step<()> {
        let Kind::Value(map) = value.kind else { return Err(broken(&rules::OBJECT_PLACE)) };
        self.field_at(value, map, FieldKind::Work)?;
        told.map = Some(map);
        Ok(())
    }

    /// The field of a kind that a map value has at the place of a pointer.
    pub fn field_at(&self, value: &Reg, map: u32, kind: FieldKind) -> Step<Field> {
        let off = value.fixed_offset().ok_or(Reason::Rule(&rules::OBJECT_PLACE))?;
        let fields = &self.fields[map as usize];
        let field = fields.iter().find(|field| field.kind == kind && i64::from(field.off) == off);
        field.copied().ok_or_else(|| broken(&rules::OBJECT_PLACE))
    }

    fn sized_memory(&mut self, state: &mut State, arg: &Argument<'_>, told: &mut Told) -> Step<()> {
        let (reg, size_reg) = (arg.reg, arg.reg + 1);
        let size = *state.reg(size_reg.into());
        if size.kind == Kind::Unset {
            return Err(Reason::Unwritten(size_reg).into());
        }
        if !size.is_number() {
            return Err(broken(&rules::KFUNC_NUMBER));
        }
        let optional = arg.ends("__opt") || arg.ends("__nullable");
        if !(arg.value.is_zero() && optional) {
            if size.num.s64().min < 0 {
                return Err(Reason::Size { reg: size_reg, negative: true }.into());
            }
            let most = u32::try_from(size.num.u64().max).ok().filter(|most| *most < 1 << 29);
            let most = most.ok_or(Reason::Size { reg: size_reg, negative: false })?;
            // No memory has no bytes (`check_mem_size_reg`).
            match arg.value.is_zero() {
                true if most > 0 => return Err(Reason::NumberAsAddress(reg).into()),
                true => {}
                false => self.given_memory(state, reg, most, true)?,
            }
            self.precise(state, size_reg);
        }
        if arg.next.ends_with("__szk") {
            told.constant = Some(self.kfunc_constant(state, size_reg)?);
        }
        Ok(())
    }

    /// Memory of a size that the kernel reads and perhaps writes (`check_mem_reg`).
    pub fn given_memory(&mut self, state: &mut State, reg: u8, size: u32, writes: bool) -> Step<()> {
        let value = Reg { nullable: false, ..*state.reg(reg.into()) };
        if value.is_zero() {
            return Ok(());
        }
        match value.kind {
            Kind::Stack(_) => {
                let extent = self.stack_extent(state, &value, 0, size)?;
                self.stack_range(state, extent, size, writes)
            }
            Kind::Packet | Kind::PacketMeta => self.packet(&value, reg, 0, size),
            Kind::Value(_) | Kind::Memory(_) => {
                self.no_fields(&value, Access { reg, off: 0, size, write: false })?;
                self.region(&value, Access { reg, off: 0, size, write: false })?;
                if writes { self.region(&value, Access { reg, off: 0, size, write: true }) } else { Ok(()) }
            }
            Kind::Number => Err(Reason::NumberAsAddress(reg).into()),
            Kind::Key(_) => Err(Stop::Undecided("keys as arguments")),
            Kind::Typed | Kind::FlowKeys | Kind::Struct(..) | Kind::Object(..) => {
                Err(Stop::Undecided("structures of the kernel as arguments"))
            }
            kind => Err(Reason::NoAccess(reg, kind).into()),
        }
    }
}

/// Whether pointers of a kind may only be passed at a constant distance.
fn is_fixed(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Struct(..)
            | Kind::Object(..)
            | Kind::Context
            | Kind::Map(_)
            | Kind::Socket
            | Kind::SockCommon
            | Kind::TcpSock
    )
}

/// Whether the lock in the same map value or object is held.
fn holds_lock(state: &State, value: &Reg) -> bool {
    state.lock.is_some_and(|lock| same_owner(lock.kind, value.kind) && lock.id == value.id)
}

/// Whether pointers point into the same map or type.
pub fn same_owner(left: Kind, right: Kind) -> bool {
    match (left, right) {
        (Kind::Value(left), Kind::Value(right)) => left == right,
        (Kind::Object(..), Kind::Object(..)) => true,
        _ => false,
    }
}

/// Whether the function that runs compares nodes.
fn in_compare(state: &State) -> bool {
    state.current().role == crate::state::Role::Compare
}
