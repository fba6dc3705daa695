//! What helpers do with regions, dynptrs, and pointers to structures of the kernel.

use skep_btf::TypeId;
use skep_isa::helpers::Helper;

use crate::call::Seen;
use crate::reg::{DynptrKind, Hold, Kind, Reg, Trust};
use crate::reject::{Reason, Step, Stop};
use crate::rules;
use crate::search::Verifier;
use crate::state::State;
use crate::types;

impl Verifier<'_> {
    /// Locks and regions in which the helper cannot be called.
    pub fn check_regions(&self, state: &State, helper: &Helper) -> Step<()> {
        if state.lock.is_some() && !matches!(helper.name, "spin_unlock" | "spin_lock") {
            return Err(Reason::Rule(&rules::LOCK_CALL).into());
        }
        if helper.may_sleep && !state.sleeps {
            return Err(Reason::Rule(&rules::SLEEPS_PROGRAM).into());
        }
        if helper.may_sleep && (state.rcu || state.preempt > 0 || !state.interrupts.is_empty()) {
            return Err(Reason::Rule(&rules::SLEEPS_HERE).into());
        }
        Ok(())
    }

    /// What the helper does with dynptrs.
    pub fn helper_dynptrs(&mut self, state: &mut State, at: u32, helper: &Helper, seen: &Seen) -> Step<()> {
        if let Some(reg) = seen.made {
            let pointer = *state.reg(reg.into());
            let kind = match helper.name {
                "ringbuf_reserve_dynptr" => DynptrKind::Record,
                "dynptr_from_mem" => {
                    if !matches!(state.reg(1).kind, Kind::Value(_)) {
                        return Err(Reason::Rule(&rules::DYNPTR_MEMORY).into());
                    }
                    DynptrKind::Local
                }
                _ => return Err(Stop::Undecided("dynptrs that this helper makes")),
            };
            self.new_dynptr(state, at, &pointer, kind, 0)?;
        }
        if let Some(given) = seen.ended {
            self.release_dynptr(state, &given)?;
        }
        let packet = seen.dynptr.is_some_and(|given| matches!(given.kind, DynptrKind::Packet | DynptrKind::Metadata));
        if packet && helper.name == "dynptr_write" {
            state.forget_packet(self.lost());
        }
        Ok(())
    }

    /// Whether a pointer can be put into the field of a map value; it is then the map's.
    pub fn exchanged(&self, value: &Reg, seen: &mut Seen) -> Step<bool> {
        let field = seen.field.ok_or(Stop::Undecided("a pointer without a place"))?;
        if value.reference == 0 || value.nullable || value.fixed_offset() != Some(0) {
            return Ok(false);
        }
        let (Some((kind, wanted)), Some(kernel), Some(own)) =
            (self.target_of(&field)?, &self.types.kernel, &self.types.own)
        else {
            return Err(Stop::Undecided("this pointer in a map"));
        };
        let fits = match (kind, value.kind) {
            (Kind::Struct(..), Kind::Struct(ty, _)) => {
                ty == wanted || kernel.name(TypeId(ty)) == kernel.name(TypeId(wanted))
            }
            (Kind::Object(wanted, _), Kind::Object(ty, Hold::Owned)) => {
                types::reaches(own, TypeId(ty), 0, TypeId(wanted)) && ty == wanted
            }
            _ => false,
        };
        seen.released = Some(value.reference);
        Ok(fits)
    }

    /// A pointer to a structure of the kernel (`check_reg_type`).
    pub fn typed_argument(&self, value: &Reg, name: &str, wrong: &Stop) -> Step<()> {
        if value.kind == Kind::Typed {
            return Err(Stop::Undecided("typed pointers"));
        }
        let Kind::Struct(_, trust) = value.kind else {
            // Sockets of other kinds fit some of them.
            return if crate::kcall::structure_of(value.kind).is_some() {
                Err(Stop::Undecided("typed sockets"))
            } else {
                Err(wrong.clone())
            };
        };
        if value.nullable || matches!(trust, Trust::Untrusted | Trust::Elsewhere) {
            return Err(wrong.clone());
        }
        let kernel = self.types.kernel.as_ref().ok_or(Stop::Undecided("the types of the kernel"))?;
        let wanted = TypeId(self.kernel_structure(name)?);
        if crate::kcall::fits(kernel, value, wanted, false) { Ok(()) } else { Err(wrong.clone()) }
    }
}
