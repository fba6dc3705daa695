//! What a program holds: locks, and what has to be given back at the end (`process_spin_lock`, `check_resource_leak`).

use skep_btf::TypeId;
use skep_isa::ebpf::{Imm64, Op};
use skep_isa::{MapType, ProgType};

use crate::kargs::same_owner;
use crate::profile::Kernel;
use crate::reg::{Hold, Kind, Reg, Trust};
use crate::reject::{Reason, Step, Stop};
use crate::rules;
use crate::search::Verifier;
use crate::state::{Lock, State};
use crate::types::FieldKind;

/// Maps that programs that may sleep can use.
fn is_for_sleepers(map: MapType) -> bool {
    matches!(
        map,
        MapType::Hash
            | MapType::LruHash
            | MapType::Array
            | MapType::PercpuHash
            | MapType::PercpuArray
            | MapType::LruPercpuHash
            | MapType::ArrayOfMaps
            | MapType::HashOfMaps
            | MapType::Ringbuf
            | MapType::UserRingbuf
            | MapType::InodeStorage
            | MapType::SkStorage
            | MapType::TaskStorage
            | MapType::CgrpStorage
            | MapType::Queue
            | MapType::Stack
            | MapType::Arena
    )
}

impl Verifier<'_> {
    /// `spin_lock` and `spin_unlock`
    pub fn spin_lock(&mut self, state: &mut State, at: u32, reg: u8, takes: bool) -> Step<()> {
        let value = *state.reg(reg.into());
        if value.nullable {
            return Err(Reason::NullableAccess(reg, value.kind).into());
        }
        let off = value.fixed_offset().ok_or(Reason::Rule(&rules::LOCK_NOT_IN_VALUE))?;
        let fields = match value.kind {
            Kind::Value(map) => self.fields[map as usize].clone(),
            Kind::Object(ty, Hold::Owned) => self.fields_of(TypeId(ty)),
            _ => return Err(Reason::Rule(&rules::LOCK_NOT_IN_VALUE).into()),
        };
        if !fields.iter().any(|field| field.kind == FieldKind::SpinLock && i64::from(field.off) == off) {
            return Err(Reason::Rule(&rules::LOCK_NOT_IN_VALUE).into());
        }
        match (takes, state.lock) {
            (true, Some(_)) => Err(Reason::Rule(&rules::LOCK_TWICE).into()),
            (true, None) => {
                state.lock = Some(Lock { kind: value.kind, id: value.id, at });
                Ok(())
            }
            (false, None) => Err(Reason::Rule(&rules::LOCK_NOT_HELD).into()),
            (false, Some(lock)) => {
                if !same_owner(lock.kind, value.kind) || lock.id != value.id {
                    return Err(Reason::Rule(&rules::LOCK_OTHER).into());
                }
                state.forget_shared(self.lost());
                state.lock = None;
                Ok(())
            }
        }
    }

    /// Nothing may be held where the program ends or goes to another one.
    pub fn holds_nothing(&self, state: &State) -> Step<()> {
        if let Some((_, at)) = state.references.first() {
            return Err(Reason::Unreleased(*at).into());
        }
        let rule = if state.lock.is_some() {
            &rules::LOCK_KEPT
        } else if state.rcu {
            &rules::RCU_KEPT
        } else if state.preempt > 0 {
            &rules::PREEMPT_KEPT
        } else if !state.interrupts.is_empty() {
            &rules::IRQ_KEPT
        } else {
            return Ok(());
        };
        Err(Reason::Rule(rule).into())
    }

    /// The address of a function of the kernel, which is compared with null where it may be missing, or of a variable of the
    /// kernel (`check_pseudo_btf_id`).
    ///
    /// # Errors
    /// If the kernel does not have it, or does not tell where it is.
    pub fn address_in_kernel(&self, id: i32) -> Step<Reg> {
        let unknown = || Stop::Undecided("variables of the kernel");
        let kernel = self.types.kernel.as_ref().filter(|_| self.kernel >= Kernel::V6_12).ok_or_else(unknown)?;
        let id = u32::try_from(id).map_err(|_| unknown())?;
        match kernel.kind(TypeId(id)) {
            Ok(skep_btf::Kind::Func { .. }) => Ok(Reg { read_only: true, ..Reg::pointer(Kind::Memory(0)) }),
            Ok(skep_btf::Kind::Var { ty, .. }) => match self.variables {
                None => Err(unknown()),
                Some(false) => Err(Reason::Rule(&rules::VARIABLE_ADDRESS).into()),
                Some(true) if is_per_cpu(kernel, TypeId(id)) => Ok(Reg::pointer(Kind::PerCpu(ty.0))),
                Some(true) => self.variable(ty.0),
            },
            _ => Err(unknown()),
        }
    }

    /// A variable of the kernel of a type: a structure, or memory that is only read.
    ///
    /// # Errors
    /// If the type has no size.
    pub fn variable(&self, ty: u32) -> Step<Reg> {
        let unknown = || Stop::Undecided("variables of this type");
        let kernel = self.types.kernel.as_ref().ok_or_else(unknown)?;
        let ty = kernel.resolve(TypeId(ty)).map_err(|_| unknown())?;
        match kernel.kind(ty) {
            Ok(skep_btf::Kind::Struct(_) | skep_btf::Kind::Union(_)) => {
                Ok(Reg::pointer(Kind::Struct(ty.0, Trust::Plain)))
            }
            _ => {
                let size = kernel.size_of(ty).map_err(|_| unknown())?;
                Ok(Reg { read_only: true, ..Reg::pointer(Kind::Memory(size)) })
            }
        }
    }

    /// Maps that programs of this type cannot use (`check_map_prog_compatibility`).
    ///
    /// # Errors
    /// The first one.
    pub fn check_maps(&self) -> Result<(), (u32, Stop)> {
        let tracing = matches!(
            self.program.prog_type,
            ProgType::Kprobe
                | ProgType::Tracepoint
                | ProgType::PerfEvent
                | ProgType::RawTracepoint
                | ProgType::RawTracepointWritable
        );
        let mut arena = None;
        for at in 0..self.code.slots() {
            // The kernel looks for variables before it follows paths.
            match self.code.op(at) {
                Some(Op::LoadImm { value: Imm64::BtfVar { id, fd: 0 }, .. }) => {
                    self.address_in_kernel(id).map_err(|stop| (at, stop))?;
                }
                Some(Op::LoadImm { value: Imm64::BtfVar { .. }, .. }) => {
                    return Err((at, Stop::Undecided("variables of the kernel")));
                }
                _ => {}
            }
            let Some(Op::LoadImm { value: Imm64::MapFd(map) | Imm64::MapFdValue { fd: map, .. }, .. }) =
                self.code.op(at)
            else {
                continue;
            };
            let Some(spec) = usize::try_from(map).ok().and_then(|map| self.maps.get(map)) else { continue };
            if spec.map_type == MapType::Arena
                && usize::try_from(map).is_ok_and(|map| arena.replace(map).is_some_and(|other| other != map))
            {
                return Err((at, Reason::Rule(&rules::ARENA_TWICE).into()));
            }
            if self.program.flags.0 & skep_object::ProgFlags::SLEEPABLE.0 != 0 && !is_for_sleepers(spec.map_type) {
                return Err((at, Reason::Rule(&rules::SLEEPS_MAP).into()));
            }
            let Some(fields) = usize::try_from(map).ok().and_then(|map| self.fields.get(map)) else { continue };
            let has = |kind| fields.iter().any(|field| field.kind == kind);
            let locks = has(FieldKind::SpinLock) && (tracing || self.program.prog_type == ProgType::SocketFilter);
            let rule = if locks || (tracing && (has(FieldKind::ListHead) || has(FieldKind::TreeRoot))) {
                &rules::LOCK_PROGRAM
            } else if tracing && (has(FieldKind::Timer) || has(FieldKind::Work)) {
                &rules::TIMER_PROGRAM
            } else {
                continue;
            };
            return Err((at, Reason::Rule(rule).into()));
        }
        Ok(())
    }
}

/// Whether each processor has a variable of its own.
fn is_per_cpu(kernel: &skep_btf::Btf, variable: TypeId) -> bool {
    const SECTION: &str = ".data..percpu";
    let section = kernel.find_type(SECTION, |kind| matches!(kind, skep_btf::Kind::Datasec { .. }));
    match section.map(|section| kernel.kind(section)) {
        Some(Ok(skep_btf::Kind::Datasec { vars, .. })) => vars.iter().any(|var| var.ty == variable),
        _ => false,
    }
}
