//! Loads, stores and atomic operations by what the address points to (`check_mem_access`).

use skep_domain::Scalar;
use skep_isa::ebpf::{AtomicOp, Reg as Register, Size, Src, Width};
use skep_isa::{MapType, ProgType};

use crate::alu::MAX_OFFSET;
use crate::loader;
use crate::profile::{Field, Kernel};
use crate::reg::{Hold, Kind, Reg, Trust};
use crate::reject::{Reason, Step, Stop};
use crate::rules;
use crate::search::Verifier;
use crate::state::State;

/// Flags of maps that programs only read, or only write (`BPF_F_RDONLY_PROG`, `BPF_F_WRONLY_PROG`).
const READ_ONLY: u32 = 1 << 7;
const WRITE_ONLY: u32 = 1 << 8;

/// Pointers through which one instruction may access memory: different code is made for each of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Memory that is simply there.
    Plain,
    /// A structure of the kernel (`PTR_TO_BTF_ID` with its flags).
    Structure(Trust),
    /// An object of the program, whose type is one of those.
    Object(Hold),
    /// Memory of the kernel without a type.
    Foreign,
    /// Several of the last three, by loads that may fail.
    Mixed,
    /// The context.
    Context,
    /// A full socket.
    Socket,
    /// A socket of any kind.
    SockCommon,
    /// The TCP part of a socket.
    TcpSock,
    /// A socket of AF_XDP.
    XdpSock,
    /// Memory of an arena, by accesses that may fail.
    Arena,
}

/// An access.
#[derive(Debug, Clone, Copy)]
pub struct Access {
    /// The register with the address.
    pub reg: u8,
    /// Distance in the instruction.
    pub off: i64,
    /// Bytes.
    pub size: u32,
    /// Whether it writes.
    pub write: bool,
}

impl Verifier<'_> {
    /// `dst = *(size *)(base + off)`
    #[expect(clippy::too_many_arguments, reason = "the fields of the instruction")]
    pub fn load(
        &mut self,
        state: &mut State,
        at: u32,
        size: Size,
        signed: bool,
        dst: Register,
        base: Register,
        off: i16,
    ) -> Step<()> {
        let pointer = self.read(state, base)?;
        self.writable(dst)?;
        let access = Access { reg: base.number(), off: off.into(), size: size.bytes(), write: false };
        self.same_kind(at, &pointer, true)?;
        if signed && pointer.kind == Kind::Arena {
            self.loads_signed_from_arena()?;
        }
        let mut value = self.load_from(state, &pointer, access)?;
        if value.is_number() && size.bytes() < 8 {
            value.num = if signed { value.num.sign_extended(size.bytes()) } else { value.num.truncated(size.bytes()) };
        }
        state.set(dst.index(), value);
        Ok(())
    }

    fn load_from(&mut self, state: &mut State, pointer: &Reg, access: Access) -> Step<Reg> {
        match pointer.kind {
            Kind::Stack(_) => {
                self.aligned_stack(pointer, access)?;
                let extent = self.stack_extent(state, pointer, access.off, access.size)?;
                self.stack_read(state, extent, access.size)
            }
            Kind::Context => self.load_context(pointer, access),
            Kind::Value(map) => {
                self.region(pointer, access)?;
                if let Some(field) = self.field_of_value(map, pointer, access)? {
                    return self.load_kernel_pointer(state, &field);
                }
                let constant = self.constant_in_map(map, pointer, access);
                self.leans_on_kernel |= constant.is_some();
                Ok(constant.unwrap_or(Reg::UNKNOWN))
            }
            Kind::Socket | Kind::SockCommon | Kind::TcpSock | Kind::XdpSock => self.load_socket(pointer, access),
            Kind::Map(map) => self.load_map(pointer, map, access),
            Kind::Struct(..) => self.load_struct(state, pointer, access),
            Kind::Object(..) => self.access_object(pointer, access),
            _ => {
                self.region(pointer, access)?;
                Ok(Reg::UNKNOWN)
            }
        }
    }

    /// `*(size *)(base + off) = src`
    pub fn store(&mut self, state: &mut State, at: u32, size: Size, base: Register, off: i16, src: Src) -> Step<()> {
        let value = match src {
            Src::Reg(reg) => Some(self.read(state, reg)?),
            Src::Imm(_) => None,
        };
        let pointer = self.read(state, base)?;
        let access = Access { reg: base.number(), off: off.into(), size: size.bytes(), write: true };
        self.same_kind(at, &pointer, false)?;
        let visible = matches!(
            pointer.kind,
            Kind::Context | Kind::Value(_) | Kind::Memory(_) | Kind::Packet | Kind::PacketMeta | Kind::FlowKeys
        );
        if let Some(value) = value.filter(|_| visible) {
            self.hides(&value)?;
        }
        match pointer.kind {
            Kind::Stack(_) => {
                self.aligned_stack(&pointer, access)?;
                let extent = self.stack_extent(state, &pointer, access.off, access.size)?;
                let (source, imm) = match src {
                    Src::Reg(reg) => (Some(reg.number()), None),
                    Src::Imm(imm) => (None, Some(imm)),
                };
                self.stack_write(state, extent, access.size, source, imm)
            }
            Kind::Context => {
                // Constants are stored into some contexts since 6.3 only.
                self.context_place(&pointer, access).and_then(|off| {
                    if self.hook.writes(off, access.size) && self.has_field(off, access) {
                        Ok(())
                    } else {
                        Err(Reason::Context { off, size: access.size, write: true }.into())
                    }
                })
            }
            Kind::Socket | Kind::SockCommon | Kind::TcpSock | Kind::XdpSock => {
                Err(Reason::NoAccess(access.reg, pointer.kind).into())
            }
            Kind::Struct(..) => {
                self.may_use_struct(&pointer, access)?;
                self.store_struct(&pointer, access)
            }
            Kind::Object(..) => self.access_object(&pointer, access).map(drop),
            _ => {
                self.region(&pointer, access)?;
                if let Kind::Value(map) = pointer.kind
                    && let Some(field) = self.field_of_value(map, &pointer, access)?
                {
                    let imm = if let Src::Imm(imm) = src { Some(imm) } else { None };
                    return self.store_kernel_pointer(&field, value.as_ref(), imm);
                }
                Ok(())
            }
        }
    }

    /// `lock *(size *)(base + off) OP= src`
    #[expect(clippy::too_many_arguments, reason = "the fields of the instruction")]
    pub fn atomic(
        &mut self,
        state: &mut State,
        at: u32,
        width: Width,
        op: AtomicOp,
        fetch: bool,
        base: Register,
        off: i16,
        src: Register,
    ) -> Step<()> {
        let operand = self.read(state, src)?;
        let compares = op == AtomicOp::CmpXchg;
        if compares {
            let expected = self.read(state, Register::R0)?;
            self.hides(&expected)?;
        }
        self.hides(&operand)?;
        let pointer = self.read(state, base)?;
        let target = if compares { Register::R0 } else { src };
        if (fetch || op.alu().is_none()) && target == base {
            // The register that takes the old value is overwritten before the access is looked at.
            return Err(Reason::NumberAsAddress(base.number()).into());
        }
        self.takes_atomic(state, base)?;
        let combines = matches!(op, AtomicOp::And | AtomicOp::Or | AtomicOp::Xor) && fetch;
        let whole = Access { reg: base.number(), off: off.into(), size: width.size().bytes(), write: true };
        if let Kind::Struct(..) = pointer.kind {
            self.may_use_struct(&pointer, whole)?;
            self.store_struct(&pointer, whole)?;
        }
        if matches!(pointer.kind, Kind::Foreign | Kind::Key(_)) || (pointer.kind == Kind::Arena && combines) {
            return Err(Reason::Atomic.into());
        }
        if let Kind::Value(map) = pointer.kind {
            self.region(&pointer, whole)?;
            if self.field_of_value(map, &pointer, whole)?.is_some() {
                return Err(Reason::Rule(&rules::KPTR_WHOLE).into());
            }
        }
        self.same_kind(at, &pointer, false)?;
        let size = width.size();
        if pointer.kind != Kind::Arena {
            self.aligned(&pointer, i64::from(off), size.bytes())?;
        }
        let read = Access { reg: base.number(), off: off.into(), size: size.bytes(), write: false };
        let mut old = self.load_from(state, &pointer, read)?;
        if old.is_pointer() {
            self.takes_pointer(false)?;
            if !fetch {
                self.hides(&old)?;
            }
        }
        if old.is_pointer() && fetch {
            return Err(Stop::Undecided("atomic operations on spilled pointers"));
        }
        if let Kind::Stack(_) = pointer.kind {
            let extent = self.stack_extent(state, &pointer, read.off, read.size)?;
            self.stack_write(state, extent, read.size, None, None)?;
        } else if !matches!(pointer.kind, Kind::Struct(..)) {
            self.region(&pointer, whole)?;
        }
        if fetch || op.alu().is_none() {
            old.num = if old.is_number() { old.num.truncated(read.size) } else { Scalar::UNKNOWN };
            self.writable(target)?;
            state.set(target.index(), Reg { precise: false, ..old });
        }
        Ok(())
    }

    /// Whether there are atomic operations on what a register points to (`atomic_ptr_type_ok`).
    pub fn takes_atomic(&mut self, state: &State, base: Register) -> Step<()> {
        let refused = matches!(
            self.read(state, base)?.kind,
            Kind::Context
                | Kind::Packet
                | Kind::PacketMeta
                | Kind::FlowKeys
                | Kind::Socket
                | Kind::SockCommon
                | Kind::TcpSock
                | Kind::XdpSock
        );
        if refused { Err(Reason::Atomic.into()) } else { Ok(()) }
    }

    /// What one instruction accesses is of one kind as far as the code that is made of it goes (`save_aux_ptr_type`). Loads
    /// may find structures of the kernel that can be relied on and others.
    fn same_kind(&mut self, at: u32, pointer: &Reg, loads: bool) -> Step<()> {
        if !pointer.is_pointer() {
            return Ok(());
        }
        self.leans_on_kernel |= !crate::verified::is_common(pointer.kind);
        let class = match pointer.kind {
            Kind::Context => Class::Context,
            Kind::Socket => Class::Socket,
            Kind::SockCommon => Class::SockCommon,
            Kind::TcpSock => Class::TcpSock,
            Kind::XdpSock => Class::XdpSock,
            Kind::Arena => Class::Arena,
            Kind::Struct(_, trust) => Class::Structure(trust),
            Kind::Typed => Class::Structure(Trust::Plain),
            Kind::Object(_, hold) => Class::Object(hold),
            Kind::Foreign => Class::Foreign,
            _ => Class::Plain,
        };
        let typed = |class| matches!(class, Class::Structure(_) | Class::Object(_) | Class::Foreign | Class::Mixed);
        let class = match self.classes[at as usize] {
            Some(before) if before == class => class,
            // Since 6.4, where one of them may fail.
            Some(before) if loads && typed(before) && typed(class) && self.kernel >= Kernel::V6_6 => Class::Mixed,
            Some(_) => return Err(Reason::MixedAccess.into()),
            None => class,
        };
        self.classes[at as usize] = Some(class);
        Ok(())
    }

    /// Accesses that need to be aligned on every processor.
    pub fn aligned(&self, pointer: &Reg, off: i64, size: u32) -> Step<()> {
        let fixed = i64::from(pointer.off) + off;
        let place = pointer.num.bits().add(skep_domain::Tnum::constant(fixed.cast_unsigned()));
        if place.is_aligned(size.into()) { Ok(()) } else { Err(Reason::Misaligned { off: fixed, size }.into()) }
    }

    fn aligned_stack(&self, pointer: &Reg, access: Access) -> Step<()> {
        // Accesses by a variable offset need no alignment that the processor does not need.
        match pointer.fixed_offset() {
            Some(off) if (off + access.off) % i64::from(access.size) != 0 => {
                Err(Reason::Misaligned { off: off + access.off, size: access.size }.into())
            }
            Some(_) => Ok(()),
            None if pointer
                .num
                .bits()
                .add(skep_domain::Tnum::constant((i64::from(pointer.off) + access.off).cast_unsigned()))
                .is_aligned(access.size.into()) =>
            {
                Ok(())
            }
            None => Err(Reason::Misaligned { off: i64::from(pointer.off) + access.off, size: access.size }.into()),
        }
    }

    /// Whether the process may use a part of the context.
    fn has_field(&self, off: i64, access: Access) -> bool {
        loader::has_field(self.program, self.loader, off, access.size, access.write)
    }

    /// The place of an access to the context, which has to be a constant.
    fn context_place(&self, pointer: &Reg, access: Access) -> Step<i64> {
        let Some(0) = pointer.num.as_constant() else { return Err(Reason::MovedContext.into()) };
        if pointer.off != 0 {
            return Err(Reason::MovedContext.into());
        }
        Ok(i64::from(pointer.off) + access.off)
    }

    fn load_context(&mut self, pointer: &Reg, access: Access) -> Step<Reg> {
        let off = self.context_place(pointer, access)?;
        if let Some(value) = self.argument_of_hook(off, access.size)? {
            return Ok(value);
        }
        if self.program.prog_type == ProgType::Tracepoint {
            // A pointer of the kernel is in front of the record.
            let inside = (8..TRACE_RECORD).contains(&off) && off % i64::from(access.size) == 0;
            let reason = Reason::Context { off, size: access.size, write: false };
            return if inside { Ok(Reg::UNKNOWN) } else { Err(reason.into()) };
        }
        match self.hook.read(off, access.size).filter(|_| self.has_field(off, access)) {
            Some(Field::Number) => Ok(Reg::UNKNOWN),
            Some(Field::Pointer(kind, nullable)) => {
                if kind == Kind::SockCommon && nullable {
                    let id = self.id();
                    return Ok(Reg::nullable(kind, id));
                }
                let id = if nullable { self.id() } else { 0 };
                Ok(Reg { nullable, id, ..Reg::pointer(kind) })
            }
            Some(Field::Structure(name)) => {
                Ok(Reg::pointer(Kind::Struct(self.kernel_structure(name)?, Trust::Trusted)))
            }
            Some(Field::Typed) => Ok(Reg::pointer(Kind::Typed)),
            None => Err(Reason::Context { off, size: access.size, write: false }.into()),
        }
    }

    /// Memory with a beginning and an end: map values, packets, records.
    pub fn region(&self, pointer: &Reg, access: Access) -> Step<()> {
        let Access { reg, off, size, write } = access;
        if pointer.is_number() {
            return Err(Reason::NumberAsAddress(reg).into());
        }
        if pointer.nullable {
            return Err(Reason::NullableAccess(reg, pointer.kind).into());
        }
        match pointer.kind {
            Kind::Value(map) => {
                self.map_access(map, write)?;
                let spec = self.maps[map as usize];
                bounds(pointer, reg, off, size, spec.value_size)
            }
            Kind::Foreign if write => Err(Reason::Rule(&rules::READ_ONLY).into()),
            // Accesses that may fail need no bounds.
            Kind::Foreign | Kind::Arena => Ok(()),
            Kind::Memory(_) | Kind::Buffer if write && pointer.read_only => Err(Reason::Rule(&rules::READ_ONLY).into()),
            Kind::Memory(total) => bounds(pointer, reg, off, size, total),
            Kind::Buffer | Kind::Record => match pointer.fixed_offset() {
                Some(fixed) if pointer.num.as_constant() == Some(0) && fixed + off >= 0 => Ok(()),
                Some(fixed) => Err(Reason::BelowStart { reg, kind: pointer.kind, least: fixed + off }.into()),
                None => Err(Reason::Rule(&rules::BUFFER_OFFSET).into()),
            },
            Kind::Key(_) if write => Err(Reason::NoAccess(reg, pointer.kind).into()),
            Kind::Key(map) => bounds(pointer, reg, off, size, self.maps[map as usize].key_size),
            Kind::FlowKeys => match pointer.fixed_offset().map(|fixed| fixed + off) {
                Some(place) if place >= 0 && place + i64::from(size) <= FLOW_KEYS => Ok(()),
                _ => Err(Reason::BehindEnd { reg, kind: pointer.kind, most: off, size: 56 }.into()),
            },
            Kind::Packet | Kind::PacketMeta => {
                if write && !self.writes_packet() {
                    return Err(Reason::NoAccess(reg, pointer.kind).into());
                }
                self.packet(pointer, reg, off, size)
            }
            Kind::Typed => Err(Stop::Undecided("structures of the kernel")),
            kind => Err(Reason::NoAccess(reg, kind).into()),
        }
    }

    /// Whether programs may use the map so.
    pub fn map_access(&self, map: u32, write: bool) -> Step<()> {
        let flags = self.maps[map as usize].flags.0;
        let refused = if write { flags & READ_ONLY != 0 } else { flags & WRITE_ONLY != 0 };
        if refused { Err(Reason::MapAccess { map, write }.into()) } else { Ok(()) }
    }

    /// Programs that write packets; helpers take packets from the same ones (`may_access_direct_pkt_data`).
    pub fn writes_packet(&self) -> bool {
        matches!(
            self.program.prog_type,
            ProgType::SchedCls
                | ProgType::SchedAct
                | ProgType::Xdp
                | ProgType::LwtXmit
                | ProgType::SkSkb
                | ProgType::SkMsg
                | ProgType::CgroupSockopt
        )
    }

    /// An access to the packet (`check_packet_access`).
    pub fn packet(&self, pointer: &Reg, reg: u8, off: i64, size: u32) -> Step<()> {
        if pointer.num.s64().min < 0 {
            return Err(Reason::BelowStart { reg, kind: pointer.kind, least: pointer.num.s64().min }.into());
        }
        let place = i64::from(pointer.off) + off;
        if place < 0 || place + i64::from(size) > i64::from(pointer.known_bytes()) {
            return Err(Reason::OutsidePacket { reg, off: place, size, range: pointer.known_bytes() }.into());
        }
        Ok(())
    }

    /// Constants in maps that nobody changes any more (`bpf_map_direct_read`).
    fn constant_in_map(&self, map: u32, pointer: &Reg, access: Access) -> Option<Reg> {
        let spec = self.maps[map as usize];
        if !spec.frozen || spec.flags.0 & READ_ONLY == 0 || spec.map_type != MapType::Array {
            return None;
        }
        let start = usize::try_from(pointer.fixed_offset()?.checked_add(access.off)?).ok()?;
        let (_, value) = spec.contents.first()?;
        let bytes = value.get(start..start.checked_add(access.size as usize)?)?;
        let mut number = [0; 8];
        number[..bytes.len()].copy_from_slice(bytes);
        Some(Reg::constant(u64::from_le_bytes(number)))
    }
}

/// Bytes of the longest record of a tracepoint (`PERF_MAX_TRACE_SIZE`).
const TRACE_RECORD: i64 = 8192;
/// Size of `struct bpf_flow_keys`.
const FLOW_KEYS: i64 = 56;

/// Whether an access is in memory of a size (`check_mem_region_access`).
pub fn bounds(pointer: &Reg, reg: u8, off: i64, size: u32, total: u32) -> Step<()> {
    let kind = pointer.kind;
    let fixed = i64::from(pointer.off) + off;
    let least = pointer.num.s64().min;
    if least < 0 && (least == i64::MIN || fixed.checked_add(least).is_none_or(|least| least < 0)) {
        return Err(Reason::BelowStart { reg, kind, least: fixed.saturating_add(least) }.into());
    }
    let ends = |start: i64| start >= 0 && start + i64::from(size) <= i64::from(total);
    if !ends(fixed + least) {
        let least = fixed + least;
        let reason = if least < 0 {
            Reason::BelowStart { reg, kind, least }
        } else {
            Reason::BehindEnd { reg, kind, most: least + i64::from(size), size: total }
        };
        return Err(reason.into());
    }
    let most = pointer.num.u64().max;
    if most >= MAX_OFFSET.unsigned_abs() {
        return Err(Reason::Unbounded { kind, lower: false }.into());
    }
    let most = fixed + most.cast_signed();
    if !ends(most) {
        return Err(Reason::BehindEnd { reg, kind, most: most + i64::from(size), size: total }.into());
    }
    Ok(())
}
