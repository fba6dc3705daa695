//! Calls of helpers: arguments against what the helper takes, and what it leaves (`check_helper_call`).

use skep_domain::Scalar;
use skep_isa::MapType;
use skep_isa::helpers::{self, Access as Use, Arg, Helper, Ret};

use crate::alu::MAX_OFFSET;
use crate::memory::Access;
use crate::precision::{Place, Wanted};
use crate::profile::Kernel;
use crate::reg::{Kind, Reg};
use crate::reject::{Reason, Step, Stop};
use crate::search::Verifier;
use crate::state::State;

/// What the arguments of a call have told.
#[derive(Debug, Default)]
struct Seen {
    /// The map that was passed.
    map: Option<u32>,
    /// The key of it, if it is a constant.
    key: Option<u64>,
    /// Memory that waits for its size: register and use.
    memory: Option<(u8, Use)>,
    /// Memory that the helper fills: register and size.
    filled: Vec<(u8, u32)>,
    /// The greatest size that was passed.
    most: u64,
    /// A size that is a constant.
    constant: u32,
    /// A reference that ends here.
    released: Option<u32>,
    /// A reference that the result is a part of.
    reference: u32,
}

impl Verifier<'_> {
    /// `call HELPER`
    pub fn helper(&mut self, state: &mut State, at: u32, id: i32) -> Step<()> {
        let number = u32::try_from(id).map_err(|_| Reason::NoHelper(id))?;
        let helper = helpers::by_id(number).ok_or(Reason::NoHelper(id))?;
        if !self.hook.has_helper(number) {
            // Some are only there for programs that may sleep, or at hooks that were not asked.
            if helper.may_sleep || self.program.flags != skep_object::ProgFlags::default() {
                return Err(Stop::Undecided("helpers of programs that may sleep"));
            }
            return Err(Reason::HelperRefused(number).into());
        }
        if helper.gpl_only && !self.gpl {
            return Err(Reason::Licence(number).into());
        }
        let Some(signature) = helper.signature(self.program.prog_type) else {
            return Err(Stop::Undecided("a helper without a signature"));
        };
        let mut seen = Seen::default();
        for (index, arg) in signature.args.iter().enumerate() {
            let reg = u8::try_from(index + 1).unwrap_or(5);
            self.argument(state, helper, reg, *arg, &mut seen)?;
        }
        self.suits_map(helper, &seen)?;
        for (reg, size) in std::mem::take(&mut seen.filled) {
            self.fill_memory(state, reg, size)?;
        }
        if helper.name == "tail_call" {
            if let Some((_, at)) = state.references.first() {
                return Err(Reason::Unreleased(*at).into());
            }
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
                    return if value.kind == Kind::Typed {
                        Err(Stop::Undecided("typed sockets"))
                    } else {
                        Err(wrong())
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
                if value.kind == Kind::Typed { Err(Stop::Undecided("typed sockets")) } else { Err(wrong()) }
            }
            Arg::StackOrNull if null => self.precise_ok(state, reg),
            Arg::StackOrNull => {
                if matches!(value.kind, Kind::Stack(_)) {
                    Ok(())
                } else {
                    Err(wrong())
                }
            }
            Arg::Callback => Err(Stop::Undecided("callbacks")),
            Arg::SpinLock => Err(Stop::Undecided("locks")),
            Arg::Timer => Err(Stop::Undecided("timers")),
            Arg::KernelPointerSlot | Arg::KernelPointerOrNull => Err(Stop::Undecided("pointers of the kernel in maps")),
            Arg::Dynptr | Arg::NewDynptr | Arg::ReleasedDynptr => Err(Stop::Undecided("dynptrs")),
            Arg::ConstantText => Err(Stop::Undecided("constant texts")),
            Arg::Typed(_) | Arg::TypedOrNull(_) | Arg::PerCpuVariable => Err(Stop::Undecided("typed pointers")),
        }
    }

    fn precise_ok(&mut self, state: &State, reg: u8) -> Step<()> {
        self.precise(state, reg);
        Ok(())
    }

    /// Whether memory of this kind can be an argument.
    fn kind_of_memory(&self, value: &Reg, helper: &Helper, reg: u8, wanted: Arg) -> Step<()> {
        let fits =
            matches!(value.kind, Kind::Stack(_) | Kind::Packet | Kind::PacketMeta | Kind::Value(_) | Kind::Memory(_));
        if fits && !value.nullable {
            return Ok(());
        }
        if matches!(value.kind, Kind::Typed | Kind::FlowKeys) {
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
                if writes {
                    return Err(Stop::Undecided("helpers that write packets"));
                }
                if !(self.writes_packet() && helper.packets) {
                    return Err(Stop::Undecided("packets as arguments of this helper"));
                }
                self.packet(&value, reg, 0, size)
            }
            _ => self.region(&value, Access { reg, off: 0, size, write: writes }),
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
        if most > 0 {
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
            self.stack_fill(state, extent, size);
        }
        Ok(())
    }

    /// Whether the helper works on the map (`check_map_func_compatibility`).
    fn suits_map(&self, helper: &Helper, seen: &Seen) -> Step<()> {
        let Some(map) = seen.map else { return Ok(()) };
        let spec = self.maps[map as usize];
        let facts = skep_isa::maps::facts(spec.map_type);
        if !facts.helpers.contains(&helper.name) {
            return Err(Reason::MapKind { helper: helper.id, map }.into());
        }
        let writes = matches!(helper.name, "map_update_elem" | "map_delete_elem" | "map_push_elem" | "map_pop_elem");
        if helper.name.starts_with("map_") {
            self.map_access(map, writes)?;
        }
        Ok(())
    }

    /// What is in register 0 behind the call.
    fn result(&mut self, state: &mut State, at: u32, helper: &Helper, ret: Ret, seen: &Seen) -> Step<Reg> {
        let takes = matches!(helper.name, "sk_lookup_tcp" | "sk_lookup_udp" | "skc_lookup_tcp" | "ringbuf_reserve");
        let id = self.id();
        let reference = if takes { self.id() } else { 0 };
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
                    (MapType::Sockmap | MapType::Sockhash | MapType::Xskmap, _) => {
                        return Err(Stop::Undecided("sockets in maps"));
                    }
                    _ => Kind::Value(map),
                };
                let found =
                    spec.map_type == MapType::Array && seen.key.is_some_and(|key| key < u64::from(spec.max_entries));
                let null = ret == Ret::ValueOrNull && !found;
                if null { pointer(kind) } else { Reg::pointer(kind) }
            }
            Ret::SocketOrNull => part(pointer(Kind::Socket), seen),
            Ret::SockCommonOrNull => part(pointer(Kind::SockCommon), seen),
            Ret::TcpSockOrNull => part(pointer(Kind::TcpSock), seen),
            Ret::RingRecordOrNull => pointer(Kind::Memory(seen.constant)),
            Ret::DynptrMemoryOrNull => return Err(Stop::Undecided("dynptrs")),
            Ret::KernelPointerOrNull => return Err(Stop::Undecided("pointers of the kernel in maps")),
            Ret::PerCpuVariable | Ret::PerCpuVariableOrNull => return Err(Stop::Undecided("variables of the kernel")),
            Ret::Typed(_) => Reg::pointer(Kind::Typed),
            Ret::TypedOrNull(_) => return Err(Stop::Undecided("typed pointers")),
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

/// A pointer to a part of a socket that is held: it ends with it.
fn part(pointer: Reg, seen: &Seen) -> Reg {
    if pointer.reference == 0 { Reg { reference: seen.reference, ..pointer } } else { pointer }
}
