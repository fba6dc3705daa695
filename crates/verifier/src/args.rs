//! Arguments of helpers: what each takes, and memory with its size (`check_func_arg`, `check_helper_mem_access`).

use skep_isa::MapType;
use skep_isa::helpers::{Access as Use, Arg, Helper};

use crate::alu::MAX_OFFSET;
use crate::call::Seen;
use crate::memory::Access;
use crate::precision::{Place, Wanted};
use crate::profile::Kernel;
use crate::reg::{DynptrKind, Hold, Kind, Reg, Trust};
use crate::reject::{Reason, Step, Stop};
use crate::rules;
use crate::search::Verifier;
use crate::state::State;
use crate::types::FieldKind;

impl Verifier<'_> {
    /// What one argument has to be, and what it tells (`check_func_arg`).
    ///
    /// # Errors
    /// If it is something else.
    #[expect(clippy::too_many_lines, reason = "one arm for each kind of argument")]
    pub fn argument(&mut self, state: &mut State, helper: &Helper, reg: u8, arg: Arg, seen: &mut Seen) -> Step<()> {
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
            Arg::Scalar => self.hides(&value),
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
            Arg::PerCpuVariable => match value.kind {
                Kind::PerCpu(ty) => {
                    seen.variable = Some(ty);
                    Ok(())
                }
                Kind::Struct(_, Trust::Elsewhere) | Kind::Object(_, Hold::PerCpu) | Kind::Typed => {
                    Err(Stop::Undecided("members and objects of each processor"))
                }
                _ => Err(wrong()),
            },
        }
    }

    fn precise_ok(&mut self, state: &State, reg: u8) -> Step<()> {
        self.precise(state, reg);
        Ok(())
    }

    /// Whether memory of this kind can be an argument.
    fn kind_of_memory(&self, value: &Reg, helper: &Helper, reg: u8, wanted: Arg) -> Step<()> {
        let fits = matches!(
            value.kind,
            Kind::Stack(_)
                | Kind::Packet
                | Kind::PacketMeta
                | Kind::Key(_)
                | Kind::Value(_)
                | Kind::Memory(_)
                | Kind::Buffer
        );
        // Keys and values have no type for memory that is only read (`MEM_RDONLY`), though they are.
        let of_map = matches!(wanted, Arg::Key | Arg::Value(_) | Arg::ValueOrNull);
        let locked = of_map && value.read_only && matches!(value.kind, Kind::Memory(_) | Kind::Buffer);
        if fits && !value.nullable && !locked {
            return Ok(());
        }
        if matches!(value.kind, Kind::Struct(_, Trust::Trusted)) && !value.nullable && self.kernel >= Kernel::V6_12 {
            // Structures that can be relied on are only read.
            return match wanted {
                Arg::Memory(Use::Read) | Arg::MemoryOrNull(Use::Read) | Arg::FixedMemory(_, Use::Read) => Ok(()),
                _ => Err(Reason::Rule(&rules::STRUCT_ARGUMENT).into()),
            };
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
            Kind::Struct(..) => self.load_struct(state, &value, Access { reg, off: 0, size, write: false }).map(drop),
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
            if unsigned.max == 0 && zero {
                self.precise(state, reg);
                return Ok(());
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

    /// The bytes of stack that the helper fills.
    pub fn fill_memory(&mut self, state: &mut State, reg: u8, size: u32) -> Step<()> {
        let value = *state.reg(reg.into());
        if let Kind::Stack(_) = value.kind {
            let extent = self.stack_extent(state, &value, 0, size)?;
            self.stack_fill(state, extent, size)?;
        }
        Ok(())
    }
}
