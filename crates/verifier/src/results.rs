//! Results of helpers: what register 0 holds behind a call (`check_helper_call`, `do_refine_retval_range`).

use skep_domain::{Range, Scalar, Tnum};
use skep_isa::MapType;
use skep_isa::helpers::{Helper, Ret};

use crate::call::Seen;
use crate::profile::Kernel;
use crate::reg::{Kind, Reg, Trust};
use crate::reject::{Step, Stop};
use crate::search::Verifier;
use crate::state::State;
use crate::types::FieldKind;

impl Verifier<'_> {
    /// What is in register 0 behind the call.
    pub fn result(&mut self, state: &mut State, at: u32, helper: &Helper, ret: Ret, seen: &Seen) -> Step<Reg> {
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
                    (MapType::Xskmap, _) => Kind::XdpSock,
                    _ => Kind::Value(map),
                };
                let locked = matches!(kind, Kind::Value(map) if self.fields[map as usize]
                    .iter()
                    .any(|field| field.kind == FieldKind::SpinLock));
                let found = matches!(spec.map_type, MapType::Array | MapType::PercpuArray)
                    && seen.key.is_some_and(|key| key < u64::from(spec.max_entries));
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
            Ret::PerCpuVariable | Ret::PerCpuVariableOrNull => {
                let ty = seen.variable.ok_or(Stop::Undecided("a variable without a type"))?;
                let found = self.variable(ty)?;
                if ret == Ret::PerCpuVariable { found } else { Reg { nullable: true, id, ..found } }
            }
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
            let signed = Range::new(-4095, most);
            let narrow = Range::new(-4095, i32::try_from(most).unwrap_or(i32::MAX));
            return Reg::number(Scalar::from_parts(
                Tnum::UNKNOWN,
                Range::<u64>::FULL,
                signed,
                Range::<u32>::FULL,
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
