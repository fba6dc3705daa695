//! Calls of helpers: arguments against what the helper takes, and what it leaves (`check_helper_call`).

use skep_domain::Scalar;
use skep_isa::helpers::{self, Access as Use, Arg, Helper, Ret};
use skep_isa::{AttachType, MapType, ProgType};

use crate::alu::MAX_OFFSET;
use crate::memory::Access;
use crate::precision::{Place, Wanted};
use crate::profile::Kernel;
use crate::reg::{DynptrKind, Kind, Reg, Trust};
use crate::reject::{Reason, Step, Stop};
use crate::rules;
use crate::search::Verifier;
use crate::special::Given;
use crate::state::State;
use crate::types::{Field, FieldKind};

/// What the arguments of a call have told.
#[derive(Debug, Default)]
pub struct Seen {
    /// The call.
    pub at: u32,
    /// The map of the timer that was passed.
    pub timer: Option<u32>,
    /// The map that was passed.
    pub map: Option<u32>,
    /// The key of it, if it is a constant.
    pub key: Option<u64>,
    /// Memory that waits for its size: register and use.
    pub memory: Option<(u8, Use)>,
    /// Memory that the helper fills: register and size.
    pub filled: Vec<(u8, u32)>,
    /// The greatest size that was passed.
    pub most: u64,
    /// A size that is a constant.
    pub constant: u32,
    /// A reference that ends here.
    pub released: Option<u32>,
    /// A reference that the result is a part of.
    pub reference: u32,
    /// The callback.
    pub callback: Option<u32>,
    /// A dynptr that was passed.
    pub dynptr: Option<Given>,
    /// A dynptr that ends here.
    pub ended: Option<Given>,
    /// A place on the stack that becomes a dynptr.
    pub made: Option<u8>,
    /// The field of a map value that is exchanged, and whether something is put there.
    pub field: Option<Field>,
}

impl Verifier<'_> {
    /// Whether the program is attached to a function of the kernel (`check_get_func_ip`).
    fn is_at_function(&self) -> bool {
        let typed = [AttachType::TraceFentry, AttachType::TraceFexit, AttachType::ModifyReturn];
        match self.program.prog_type {
            ProgType::Kprobe => true,
            ProgType::Tracing => self.program.attach_type.is_some_and(|attach| typed.contains(&attach)),
            _ => false,
        }
    }

    /// `call HELPER`
    pub fn helper(&mut self, state: &mut State, at: u32, id: i32) -> Step<()> {
        let number = u32::try_from(id).map_err(|_| Reason::NoHelper(id))?;
        let helper = helpers::by_id(number).ok_or(Reason::NoHelper(id))?;
        if !self.hook.has_helper(number) {
            if self.hook.may_have_helper(number) {
                return Err(Stop::Undecided("a helper of which it is not known when this hook got it"));
            }
            // Some are only there for programs that may sleep, or at hooks that were not asked.
            if helper.may_sleep || self.program.flags != skep_object::ProgFlags::default() {
                return Err(Stop::Undecided("helpers of programs that may sleep"));
            }
            return Err(Reason::HelperRefused(number).into());
        }
        if helper.name == "get_func_ip" && !self.is_at_function() {
            return Err(Reason::HelperRefused(number).into());
        }
        if helper.gpl_only && !self.gpl {
            return Err(Reason::Licence(number).into());
        }
        let Some(signature) = helper.signature(self.program.prog_type) else {
            return Err(Stop::Undecided("a helper without a signature"));
        };
        let mut seen = Seen { at, ..Seen::default() };
        for (index, arg) in signature.args.iter().enumerate() {
            let reg = u8::try_from(index + 1).unwrap_or(5);
            self.argument(state, helper, reg, *arg, &mut seen)?;
        }
        self.suits_map(helper, &seen)?;
        for (reg, size) in std::mem::take(&mut seen.filled) {
            self.fill_memory(state, reg, size)?;
        }
        self.check_regions(state, helper)?;
        if helper.name == "snprintf" {
            self.format(state)?;
        }
        if helper.name == "get_local_storage" && !state.reg(2).is_zero() {
            return Err(Reason::Rule(&rules::STORAGE_FLAGS).into());
        }
        if let Some(function) = seen.callback {
            self.helper_callback(state, at, helper, function)?;
        }
        self.helper_dynptrs(state, at, helper, &seen)?;
        if helper.name == "tail_call" {
            self.holds_nothing(state)?;
            self.tail_calls[state.current().function as usize] = true;
        }
        if let Some(reference) = seen.released
            && !state.release(reference)
        {
            return Err(Reason::NotHeld(1).into());
        }
        if helper.moves_packet() {
            state.forget_packet();
        }
        for reg in 0..6 {
            state.set(reg, Reg::UNSET);
        }
        let result = self.result(state, at, helper, signature.result, &seen)?;
        state.set(0, result);
        Ok(())
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each kind of argument")]
    fn argument(&mut self, state: &mut State, helper: &Helper, reg: u8, arg: Arg, seen: &mut Seen) -> Step<()> {
        let value = *state.reg(reg.into());
        if value.kind == Kind::Unset {
            return Err(Reason::Unwritten(reg).into());
        }
        let wrong = || {
            Stop::Reject(Reason::Argument {
                helper: helper.id,
                reg,
                wanted: arg,
                found: value.kind,
                nullable: value.nullable,
            })
        };
        let null = value.is_zero();
        match arg {
            Arg::Scalar => Ok(()),
            Arg::ContextOrNull if null => self.precise_ok(state, reg),
            Arg::Context | Arg::ContextOrNull => {
                if value.kind != Kind::Context {
                    return Err(wrong());
                }
                self.unmoved(&value)
            }
            Arg::Map => match value.kind {
                Kind::Map(map) if !value.nullable => {
                    if seen.timer.is_some_and(|other| other != map) {
                        return Err(Reason::Rule(&rules::TIMER_MAP).into());
                    }
                    seen.map = Some(map);
                    Ok(())
                }
                _ => Err(wrong()),
            },
            Arg::Key => {
                let map = seen.map.ok_or(Stop::Undecided("a key without a map"))?;
                let size = self.maps[map as usize].key_size;
                self.memory(state, helper, reg, arg, size, Use::Read)?;
                if size == 4 && self.kernel >= Kernel::V6_18 {
                    seen.key = self.constant_key(state, &value);
                }
                Ok(())
            }
            Arg::ValueOrNull if null => self.precise_ok(state, reg),
            Arg::Value(_) | Arg::ValueOrNull => {
                let map = seen.map.ok_or(Stop::Undecided("a value without a map"))?;
                if matches!(self.maps[map as usize].map_type, MapType::Sockmap | MapType::Sockhash) {
                    return self.argument(state, helper, reg, Arg::TypedSock, seen);
                }
                let size = self.maps[map as usize].value_size;
                let usage = if let Arg::Value(usage) = arg { usage } else { Use::Read };
                self.sized(state, helper, reg, arg, size, usage, seen)
            }
            Arg::MemoryOrNull(_) if null => {
                seen.memory = None;
                self.precise_ok(state, reg)
            }
            Arg::Memory(usage) | Arg::MemoryOrNull(usage) => {
                self.kind_of_memory(&value, helper, reg, arg)?;
                seen.memory = Some((reg, usage));
                Ok(())
            }
            Arg::FixedMemory(size, Use::Fill) => {
                self.aligned(&value, 0, size)?;
                self.sized(state, helper, reg, arg, size, Use::Fill, seen)
            }
            Arg::FixedMemory(size, Use::Write) => {
                self.aligned(&value, 0, size)?;
                self.sized(state, helper, reg, arg, size, Use::Write, seen)
            }
            Arg::FixedMemory(size, usage) => self.sized(state, helper, reg, arg, size, usage, seen),
            Arg::Size | Arg::SizeOrZero => self.size(state, helper, reg, &value, arg, seen),
            Arg::ConstantSize => {
                let size = value.as_constant().ok_or(Stop::Reject(Reason::Size { reg, negative: false }))?;
                self.precise(state, reg);
                seen.constant = u32::try_from(size).map_err(|_| Reason::Size { reg, negative: false })?;
                Ok(())
            }
            Arg::RingRecord => {
                if value.nullable
                    || !matches!(value.kind, Kind::Memory(_))
                    || value.reference == 0
                    || value.fixed_offset() != Some(0)
                {
                    return Err(wrong());
                }
                seen.released = Some(value.reference);
                Ok(())
            }
            Arg::ReleasedSocket if matches!(value.kind, Kind::Struct(..)) && value.reference != 0 => {
                seen.released = Some(value.reference);
                self.typed_argument(&value, "sock_common", &wrong())
            }
            Arg::ReleasedSocket => {
                if value.nullable || !matches!(value.kind, Kind::Socket | Kind::SockCommon | Kind::TcpSock) {
                    return Err(wrong());
                }
                if value.reference == 0 {
                    return Err(Reason::NotHeld(reg).into());
                }
                seen.released = Some(value.reference);
                Ok(())
            }
            Arg::SockCommon | Arg::TypedSock => {
                if value.nullable || !matches!(value.kind, Kind::Socket | Kind::SockCommon | Kind::TcpSock) {
                    return match value.kind {
                        Kind::Typed => Err(Stop::Undecided("typed sockets")),
                        Kind::Struct(..) if arg == Arg::TypedSock => {
                            seen.reference = value.reference;
                            self.typed_argument(&value, "sock_common", &wrong())
                        }
                        _ => Err(wrong()),
                    };
                }
                seen.reference = value.reference;
                Ok(())
            }
            Arg::SocketOrNull | Arg::TypedSockOrNull if null => self.precise_ok(state, reg),
            Arg::SocketOrNull | Arg::TypedSockOrNull => {
                let fits = value.kind == Kind::Socket
                    || (arg == Arg::TypedSockOrNull && matches!(value.kind, Kind::SockCommon | Kind::TcpSock));
                if fits {
                    seen.reference = value.reference;
                    return Ok(());
                }
                match value.kind {
                    Kind::Typed => Err(Stop::Undecided("typed sockets")),
                    Kind::Struct(..) if arg == Arg::TypedSockOrNull => {
                        seen.reference = value.reference;
                        self.typed_argument(&Reg { nullable: false, ..value }, "sock_common", &wrong())
                    }
                    _ => Err(wrong()),
                }
            }
            Arg::StackOrNull if null => self.precise_ok(state, reg),
            Arg::StackOrNull => {
                if matches!(value.kind, Kind::Stack(_)) {
                    Ok(())
                } else {
                    Err(wrong())
                }
            }
            Arg::Callback => match value.kind {
                Kind::Function(function) => {
                    seen.callback = Some(function);
                    Ok(())
                }
                _ => Err(wrong()),
            },
            Arg::SpinLock => self.spin_lock(state, seen.at, reg, helper.name == "spin_lock"),
            Arg::Timer => match value.kind {
                Kind::Value(map) if !value.nullable => {
                    self.field_at(&value, map, FieldKind::Timer)?;
                    seen.timer = Some(map);
                    Ok(())
                }
                _ => Err(wrong()),
            },
            Arg::KernelPointerSlot => match value.kind {
                Kind::Value(map) if !value.nullable => {
                    let off = value.fixed_offset().ok_or(Reason::Rule(&rules::KPTR_WHOLE))?;
                    let mut fields = self.fields[map as usize].iter();
                    let field = fields.find(|field| i64::from(field.off) == off && field.kind == FieldKind::Pointer);
                    seen.field = Some(*field.ok_or(Reason::Rule(&rules::KPTR_WHOLE))?);
                    Ok(())
                }
                Kind::Value(_) | Kind::Number => Err(wrong()),
                _ => Err(Stop::Undecided("pointers of the kernel in objects")),
            },
            Arg::KernelPointerOrNull if null => self.precise_ok(state, reg),
            Arg::KernelPointerOrNull => {
                self.exchanged(&value, seen).and_then(|fits| if fits { Ok(()) } else { Err(wrong()) })
            }
            Arg::Dynptr => {
                seen.dynptr = Some(self.dynptr(state, &value)?);
                Ok(())
            }
            Arg::NewDynptr => {
                seen.made = Some(reg);
                Ok(())
            }
            Arg::ReleasedDynptr => {
                let given = self.dynptr(state, &value)?;
                if given.reference == 0 || given.kind != DynptrKind::Record {
                    return Err(Reason::Rule(&rules::DYNPTR_RELEASE).into());
                }
                seen.ended = Some(given);
                Ok(())
            }
            Arg::ConstantText => self.text(&value),
            Arg::Typed(name) => self.typed_argument(&value, name, &wrong()),
            Arg::TypedOrNull(_) if null => self.precise_ok(state, reg),
            Arg::TypedOrNull(name) => self.typed_argument(&Reg { nullable: false, ..value }, name, &wrong()),
            Arg::PerCpuVariable => Err(Stop::Undecided("variables of the kernel")),
        }
    }

    fn precise_ok(&mut self, state: &State, reg: u8) -> Step<()> {
        self.precise(state, reg);
        Ok(())
    }

    /// Whether memory of this kind can be an argument.
    fn kind_of_memory(&self, value: &Reg, helper: &Helper, reg: u8, wanted: Arg) -> Step<()> {
        let fits =
            matches!(value.kind, Kind::Stack(_) | Kind::Packet | Kind::PacketMeta | Kind::Value(_) | Kind::Memory(_))
                || (matches!(value.kind, Kind::Key(_)) && self.types.kernel.is_some());
        if fits && !value.nullable {
            return Ok(());
        }
        if matches!(value.kind, Kind::Typed | Kind::FlowKeys | Kind::Struct(..) | Kind::Object(..)) {
            return Err(Stop::Undecided("structures of the kernel as arguments"));
        }
        Err(Reason::Argument { helper: helper.id, reg, wanted, found: value.kind, nullable: value.nullable }.into())
    }

    #[expect(clippy::too_many_arguments, reason = "what is known about an argument")]
    fn sized(
        &mut self,
        state: &mut State,
        helper: &Helper,
        reg: u8,
        arg: Arg,
        size: u32,
        usage: Use,
        seen: &mut Seen,
    ) -> Step<()> {
        self.memory(state, helper, reg, arg, size, usage)?;
        if usage == Use::Fill {
            seen.filled.push((reg, size));
        }
        Ok(())
    }

    /// Memory of a known size (`check_helper_mem_access`).
    fn memory(&mut self, state: &mut State, helper: &Helper, reg: u8, arg: Arg, size: u32, usage: Use) -> Step<()> {
        let value = *state.reg(reg.into());
        self.kind_of_memory(&value, helper, reg, arg)?;
        let writes = usage != Use::Read;
        match value.kind {
            Kind::Stack(_) => {
                let extent = self.stack_extent(state, &value, 0, size)?;
                if usage == Use::Fill {
                    if extent.min != extent.max {
                        return Err(Stop::Undecided("filled stack at a variable place"));
                    }
                    return Ok(());
                }
                self.stack_range(state, extent, size, writes)
            }
            Kind::Packet | Kind::PacketMeta => {
                if !self.writes_packet() {
                    return Err(Stop::Undecided("packets as arguments in programs that only read them"));
                }
                if !helper.packets {
                    return Err(Reason::Rule(&rules::PACKET_ARGUMENT).into());
                }
                self.packet(&value, reg, 0, size)
            }
            _ => {
                let access = Access { reg, off: 0, size, write: writes };
                self.region(&value, access)?;
                self.no_fields(&value, access)
            }
        }
    }

    /// The size of the memory before (`check_mem_size_reg`).
    fn size(
        &mut self,
        state: &mut State,
        helper: &Helper,
        reg: u8,
        value: &Reg,
        arg: Arg,
        seen: &mut Seen,
    ) -> Step<()> {
        if !value.is_number() {
            return Err(Reason::Argument {
                helper: helper.id,
                reg,
                wanted: arg,
                found: value.kind,
                nullable: value.nullable,
            }
            .into());
        }
        let (unsigned, signed) = (value.num.u64(), value.num.s64());
        seen.most = unsigned.max;
        let zero = arg == Arg::SizeOrZero;
        if seen.memory.is_none() {
            // Null has no bytes.
            if unsigned.max == 0 || zero {
                self.precise(state, reg);
                return if unsigned.max == 0 { Ok(()) } else { Err(Stop::Undecided("a size for null")) };
            }
            return Err(Reason::Size { reg, negative: false }.into());
        }
        if signed.min < 0 {
            return Err(Reason::Size { reg, negative: true }.into());
        }
        if unsigned.min == 0 && !zero {
            return Err(Reason::ZeroSize(reg).into());
        }
        if unsigned.max >= MAX_OFFSET.unsigned_abs() {
            return Err(Reason::Size { reg, negative: false }.into());
        }
        let Some((at, usage)) = seen.memory.take() else { return Ok(()) };
        let most = u32::try_from(unsigned.max).map_err(|_| Reason::Size { reg, negative: false })?;
        let known = value.num.as_constant().is_some();
        let memory_arg = Arg::Memory(usage);
        if most > 0 || self.kind_of_memory(state.reg(at.into()), helper, at, memory_arg).is_ok() {
            // Memory whose size is not known must be initialised: not all of it may be written.
            let usage = if usage == Use::Fill && !known { Use::Write } else { usage };
            self.memory(state, helper, at, memory_arg, most, usage)?;
            if usage == Use::Fill {
                seen.filled.push((at, most));
            }
        }
        self.mark_precise(Wanted::of(&[Place::Reg(state.depth(), reg)]), 1);
        Ok(())
    }

    fn fill_memory(&mut self, state: &mut State, reg: u8, size: u32) -> Step<()> {
        let value = *state.reg(reg.into());
        if let Kind::Stack(_) = value.kind {
            let extent = self.stack_extent(state, &value, 0, size)?;
            self.stack_fill(state, extent, size)?;
        }
        Ok(())
    }

    /// Whether the helper works on the map (`check_map_func_compatibility`).
    fn suits_map(&self, helper: &Helper, seen: &Seen) -> Step<()> {
        let Some(map) = seen.map else { return Ok(()) };
        let spec = self.maps[map as usize];
        let facts = skep_isa::maps::facts(spec.map_type);
        let any = helper.name.starts_with("timer_")
            || (helper.name == "map_delete_elem" && matches!(spec.map_type, MapType::Array | MapType::PercpuArray));
        let sockets = matches!(spec.map_type, MapType::Sockmap | MapType::Sockhash);
        let changes = matches!(helper.name, "map_update_elem" | "map_delete_elem");
        if sockets && changes && !self.may_change_sockets(helper) {
            return Err(Reason::MapKind { helper: helper.id, map }.into());
        }
        if !any && !facts.helpers.contains(&helper.name) {
            return Err(Reason::MapKind { helper: helper.id, map }.into());
        }
        let writes = matches!(helper.name, "map_update_elem" | "map_delete_elem" | "map_push_elem" | "map_pop_elem");
        if writes {
            self.map_access(map, true)?;
        }
        Ok(())
    }

    /// Whether programs of this type change maps of sockets by the general helpers (`may_update_sockmap`).
    fn may_change_sockets(&self, helper: &Helper) -> bool {
        match self.program.prog_type {
            ProgType::Tracing => self.program.attach_type == Some(AttachType::TraceIter),
            ProgType::SockOps => helper.name == "map_delete_elem",
            ProgType::SocketFilter
            | ProgType::SchedCls
            | ProgType::SchedAct
            | ProgType::Xdp
            | ProgType::SkReuseport
            | ProgType::FlowDissector
            | ProgType::SkLookup => true,
            _ => false,
        }
    }

    /// What is in register 0 behind the call.
    fn result(&mut self, state: &mut State, at: u32, helper: &Helper, ret: Ret, seen: &Seen) -> Step<Reg> {
        let takes = matches!(helper.name, "sk_lookup_tcp" | "sk_lookup_udp" | "skc_lookup_tcp" | "ringbuf_reserve");
        let id = self.id();
        let reference = if takes { id } else { 0 };
        if takes {
            state.acquire(reference, at);
        }
        let pointer = |kind| Reg { reference, ..Reg::nullable(kind, id) };
        Ok(match ret {
            Ret::Nothing => Reg::UNSET,
            Ret::Scalar => self.number_of(helper, seen),
            Ret::Value | Ret::ValueOrNull => {
                let map = seen.map.ok_or(Stop::Undecided("a value without a map"))?;
                let spec = self.maps[map as usize];
                let kind = match (spec.map_type, self.inner[map as usize]) {
                    (MapType::ArrayOfMaps | MapType::HashOfMaps, Some(inner)) => Kind::Map(inner),
                    (MapType::ArrayOfMaps | MapType::HashOfMaps, None) => {
                        return Err(Stop::Undecided("maps of unknown maps"));
                    }
                    (MapType::Sockmap | MapType::Sockhash, _) => {
                        let id = self.id();
                        state.acquire(id, at);
                        return Ok(Reg { reference: id, ..Reg::nullable(Kind::Socket, id) });
                    }
                    (MapType::Xskmap, _) => return Err(Stop::Undecided("sockets in maps")),
                    _ => Kind::Value(map),
                };
                let locked = matches!(kind, Kind::Value(map) if self.fields[map as usize]
                    .iter()
                    .any(|field| field.kind == FieldKind::SpinLock));
                let found =
                    spec.map_type == MapType::Array && seen.key.is_some_and(|key| key < u64::from(spec.max_entries));
                let null = ret == Ret::ValueOrNull && !found;
                if null { pointer(kind) } else { Reg { id: if locked { id } else { 0 }, ..Reg::pointer(kind) } }
            }
            Ret::SocketOrNull => part(pointer(Kind::Socket), helper, seen),
            Ret::SockCommonOrNull => part(pointer(Kind::SockCommon), helper, seen),
            Ret::TcpSockOrNull => part(pointer(Kind::TcpSock), helper, seen),
            Ret::RingRecordOrNull => pointer(Kind::Memory(seen.constant)),
            Ret::DynptrMemoryOrNull => {
                let given = seen.dynptr.ok_or(Stop::Undecided("memory without a dynptr"))?;
                Reg { slice: given.id, reference: given.reference, ..pointer(Kind::Memory(seen.constant)) }
            }
            Ret::KernelPointerOrNull => {
                let field = seen.field.ok_or(Stop::Undecided("a pointer without a place"))?;
                let Some((kind, _)) = self.target_of(&field)? else {
                    return Err(Stop::Undecided("this pointer in a map"));
                };
                let reference = self.id();
                state.acquire(reference, at);
                Reg { reference, ..Reg::nullable(kind, reference) }
            }
            Ret::PerCpuVariable | Ret::PerCpuVariableOrNull => return Err(Stop::Undecided("variables of the kernel")),
            Ret::Typed(name) if self.types.kernel.is_some() => {
                let trust = if helper.name == "get_current_task_btf" { Trust::Trusted } else { Trust::Plain };
                Reg::pointer(Kind::Struct(self.kernel_structure(name)?, trust))
            }
            Ret::Typed(_) => Reg::pointer(Kind::Typed),
            Ret::TypedOrNull(name) => {
                part(pointer(Kind::Struct(self.kernel_structure(name)?, Trust::Plain)), helper, seen)
            }
        })
    }

    /// Numbers with bounds (`do_refine_retval_range`).
    fn number_of(&self, helper: &Helper, seen: &Seen) -> Reg {
        let bounded = matches!(
            helper.name,
            "get_stack" | "get_task_stack" | "probe_read_str" | "probe_read_kernel_str" | "probe_read_user_str"
        );
        if bounded {
            let most = i64::try_from(seen.most).unwrap_or(i64::MAX).min(i64::from(i32::MAX));
            let signed = skep_domain::Range::new(-4095, most);
            let narrow = skep_domain::Range::new(-4095, i32::try_from(most).unwrap_or(i32::MAX));
            return Reg::number(Scalar::from_parts(
                skep_domain::Tnum::UNKNOWN,
                skep_domain::Range::<u64>::FULL,
                signed,
                skep_domain::Range::<u32>::FULL,
                narrow,
            ));
        }
        if helper.name == "get_smp_processor_id" && self.kernel >= Kernel::V6_12 {
            // The greatest number of processors that a kernel for x86-64 is built for.
            return Reg::number(Scalar::from_range(0, 8191));
        }
        Reg::UNKNOWN
    }
}

/// A pointer to the same socket by another type ends with it if it is held (`is_ptr_cast_function`).
fn part(pointer: Reg, helper: &Helper, seen: &Seen) -> Reg {
    let casts = matches!(helper.name, "tcp_sock" | "sk_fullsock") || helper.name.starts_with("skc_to_");
    if casts && pointer.reference == 0 { Reg { reference: seen.reference, ..pointer } } else { pointer }
}
