//! Loads and stores through pointers to structures of the kernel, objects of the program, and the fields of map values
//! that only the kernel touches (`check_ptr_to_btf_access`, `check_map_access`).

use skep_btf::TypeId;

use crate::memory::Access;
use crate::reg::{Hold, Kind, Reg, Trust};
use crate::reject::{Reason, Step, Stop};
use crate::rules;
use crate::search::Verifier;
use crate::state::State;
use crate::types::{self, Field, FieldKind, Place, Pointer};

/// Members that are valid as long as their structure is (`BTF_TYPE_SAFE_TRUSTED`).
const TRUSTED: &[(&str, &str)] = &[
    ("bpf_iter_meta", "seq"),
    ("bpf_iter__task", "meta"),
    ("bpf_iter__task", "task"),
    ("linux_binprm", "file"),
    ("file", "f_inode"),
    ("dentry", "d_inode"),
];
/// The same, and perhaps null (`BTF_TYPE_SAFE_TRUSTED_OR_NULL`).
const TRUSTED_OR_NULL: &[(&str, &str)] =
    &[("socket", "sk"), ("vm_area_struct", "vm_mm"), ("vm_area_struct", "vm_file")];
/// Members that are valid under the RCU read lock (`BTF_TYPE_SAFE_RCU`).
const RCU: &[(&str, &str)] = &[
    ("task_struct", "cpus_ptr"),
    ("task_struct", "cgroups"),
    ("task_struct", "real_parent"),
    ("task_struct", "group_leader"),
    ("cgroup", "kn"),
    ("css_set", "dfl_cgrp"),
    ("cgroup_subsys_state", "cgroup"),
];
/// The same, and perhaps null (`BTF_TYPE_SAFE_RCU_OR_NULL`).
const RCU_OR_NULL: &[(&str, &str)] = &[("mm_struct", "exe_file"), ("sk_buff", "sk"), ("request_sock", "sk")];

impl Verifier<'_> {
    /// A load through a pointer to a structure of the kernel.
    pub fn load_struct(&mut self, state: &State, pointer: &Reg, access: Access) -> Step<Reg> {
        let Kind::Struct(ty, trust) = pointer.kind else { return Err(Stop::Undecided("structures of the kernel")) };
        let place = self.place_in_struct(pointer, access)?;
        match place {
            Place::Number => Ok(Reg::UNKNOWN),
            Place::Loose => Ok(Reg::loose(self.kernel)),
            Place::Pointer(member) => {
                let owner_trusted = trust == Trust::Trusted || pointer.reference != 0;
                let (trust, null) = self.trust_of(state, ty, &member, trust, owner_trusted)?;
                let id = if null { self.id() } else { 0 };
                Ok(Reg { nullable: null, id, ..Reg::pointer(Kind::Struct(member.ty.0, trust)) })
            }
        }
    }

    /// Whether the program may access a structure of the kernel through the pointer at all.
    ///
    /// # Errors
    /// If not.
    pub fn may_use_struct(&self, pointer: &Reg, access: Access) -> Step<()> {
        let Kind::Struct(_, trust) = pointer.kind else { return Err(Stop::Undecided("structures of the kernel")) };
        if pointer.nullable {
            return Err(Reason::NullableAccess(access.reg, pointer.kind).into());
        }
        self.may_see_structs()?;
        if !self.gpl {
            return Err(Reason::Rule(&rules::STRUCT_LICENCE).into());
        }
        if trust == Trust::Elsewhere {
            return Err(Reason::Rule(&rules::STRUCT_USER).into());
        }
        Ok(())
    }

    /// Whether the process may read structures of the kernel, and objects with types.
    pub fn may_see_structs(&self) -> Step<()> {
        if self.loader.perfmon { Ok(()) } else { Err(Reason::Rule(&rules::STRUCT_PRIVILEGE).into()) }
    }

    fn place_in_struct(&self, pointer: &Reg, access: Access) -> Step<Place> {
        let Kind::Struct(ty, _) = pointer.kind else { return Err(Stop::Undecided("structures of the kernel")) };
        let Some(kernel) = &self.types.kernel else { return Err(Stop::Undecided("the types of the kernel")) };
        self.may_use_struct(pointer, access)?;
        let off = pointer.fixed_offset().ok_or(Reason::Rule(&rules::STRUCT_OFFSET))?;
        let off = u32::try_from(off + access.off).map_err(|_| Reason::Rule(&rules::STRUCT_FIELD))?;
        types::walk(kernel, TypeId(ty), off, access.size).ok_or_else(|| Reason::Rule(&rules::STRUCT_FIELD).into())
    }

    /// How far a pointer that was read from a structure can be relied on, and whether it may be null.
    fn trust_of(
        &self,
        state: &State,
        ty: u32,
        member: &Pointer,
        from: Trust,
        owner_trusted: bool,
    ) -> Step<(Trust, bool)> {
        let Some(kernel) = &self.types.kernel else { return Err(Stop::Undecided("the types of the kernel")) };
        if self.kernel < crate::Kernel::V6_12 {
            return Err(Stop::Undecided("pointers in structures of the kernel"));
        }
        let owner = kernel.name(TypeId(ty)).unwrap_or("");
        let name = types::member_name(kernel, member.owner, member.member);
        let listed = |list: &[(&str, &str)]| list.contains(&(owner, name));
        Ok(match from {
            Trust::Untrusted => (Trust::Untrusted, false),
            Trust::Elsewhere => (Trust::Elsewhere, false),
            Trust::Trusted | Trust::Rcu | Trust::Plain if owner_trusted || from == Trust::Rcu => {
                if listed(TRUSTED) {
                    (Trust::Trusted, false)
                } else if listed(TRUSTED_OR_NULL) {
                    (Trust::Trusted, true)
                } else if state.in_rcu() {
                    if listed(RCU) {
                        (Trust::Rcu, false)
                    } else if member.rcu || listed(RCU_OR_NULL) {
                        (Trust::Rcu, true)
                    } else if member.user || member.percpu {
                        (Trust::Elsewhere, false)
                    } else if member.in_union {
                        (Trust::Untrusted, false)
                    } else {
                        (Trust::Plain, false)
                    }
                } else {
                    (Trust::Untrusted, false)
                }
            }
            _ => {
                if member.user || member.percpu {
                    (Trust::Elsewhere, false)
                } else if member.in_union {
                    (Trust::Untrusted, false)
                } else {
                    (Trust::Plain, false)
                }
            }
        })
    }

    /// A load or store in an object of the program.
    pub fn access_object(&self, pointer: &Reg, access: Access) -> Step<Reg> {
        let Kind::Object(ty, hold) = pointer.kind else { return Err(Stop::Undecided("objects of the program")) };
        let Some(own) = &self.types.own else { return Err(Stop::Undecided("the types of the program")) };
        if pointer.nullable {
            return Err(Reason::NullableAccess(access.reg, pointer.kind).into());
        }
        self.may_see_structs()?;
        if hold == Hold::PerCpu {
            return Err(Reason::Rule(&rules::STRUCT_USER).into());
        }
        if access.write && hold == Hold::Untrusted {
            return Err(Reason::Rule(&rules::STRUCT_WRITE).into());
        }
        let off = pointer.fixed_offset().ok_or(Reason::Rule(&rules::STRUCT_OFFSET))?;
        let off = u32::try_from(off + access.off).map_err(|_| Reason::Rule(&rules::STRUCT_FIELD))?;
        let end = off.saturating_add(access.size);
        if self.fields_of(TypeId(ty)).iter().any(|field| off < field.off + field.size && field.off < end) {
            return Err(Reason::Rule(&rules::FIELD_IS_PROTECTED).into());
        }
        match types::walk(own, TypeId(ty), off, access.size) {
            Some(Place::Number) => Ok(Reg::UNKNOWN),
            Some(Place::Loose) => Ok(Reg::loose(self.kernel)),
            // Pointers of the program that are no pointers of the kernel are numbers behind the first level.
            Some(Place::Pointer(_)) => Ok(Reg::UNKNOWN),
            None => Err(Reason::Rule(&rules::STRUCT_FIELD).into()),
        }
    }

    /// The fields of an object's type that only the kernel touches.
    pub fn fields_of(&self, ty: TypeId) -> Vec<Field> {
        self.types.own.as_ref().map_or_else(Vec::new, |own| types::fields(own, ty))
    }

    /// An access to a map value may touch one field that only the kernel touches: which one.
    ///
    /// # Errors
    /// If it is not a pointer, or not accessed as a whole.
    pub fn field_of_value(&self, map: u32, pointer: &Reg, access: Access) -> Step<Option<Field>> {
        let fields = &self.fields[map as usize];
        if fields.is_empty() {
            return Ok(None);
        }
        let fixed = i64::from(pointer.off) + access.off;
        let least = fixed.saturating_add(pointer.num.s64().min);
        let most = fixed.saturating_add(i64::try_from(pointer.num.u64().max).unwrap_or(i64::MAX));
        for field in fields {
            let (start, end) = (i64::from(field.off), i64::from(field.off + field.size));
            if least >= end || most.saturating_add(i64::from(access.size)) <= start {
                continue;
            }
            if !field.kind.is_pointer() {
                return Err(Reason::Rule(&rules::FIELD_IS_PROTECTED).into());
            }
            if pointer.num.as_constant().is_none() || least != start || access.size != 8 {
                return Err(Reason::Rule(&rules::KPTR_WHOLE).into());
            }
            return Ok(Some(*field));
        }
        Ok(None)
    }

    /// Memory that is handed on may not hold fields that only the kernel touches.
    pub fn no_fields(&self, pointer: &Reg, access: Access) -> Step<()> {
        match pointer.kind {
            Kind::Value(map) if self.field_of_value(map, pointer, access)?.is_some() => {
                Err(Reason::Rule(&rules::KPTR_WHOLE).into())
            }
            _ => Ok(()),
        }
    }

    /// A pointer of the kernel is read from a map (`check_map_kptr_access`).
    pub fn load_kernel_pointer(&mut self, state: &State, field: &Field) -> Step<Reg> {
        let Some((kind, id)) = self.target_of(field)? else { return Err(Stop::Undecided("this pointer in a map")) };
        let name = self.id();
        let in_rcu = state.in_rcu();
        let kind = match (field.kind, kind) {
            (FieldKind::LoosePointer, _) => {
                return if id == 0 {
                    Err(Stop::Undecided("this pointer in a map"))
                } else {
                    Ok(Reg::nullable(Kind::Struct(id, Trust::Untrusted), name))
                };
            }
            (FieldKind::Pointer, Kind::Object(ty, _)) => {
                Kind::Object(ty, if in_rcu { Hold::Rcu } else { Hold::Untrusted })
            }
            (FieldKind::Pointer, _) if in_rcu && self.is_rcu_protected(id) => Kind::Struct(id, Trust::Rcu),
            (FieldKind::Pointer, _) => Kind::Struct(id, Trust::Untrusted),
            _ => return Err(Stop::Undecided("pointers in maps to memory of processors or processes")),
        };
        Ok(Reg::nullable(kind, name))
    }

    /// Structures whose references are given back after a grace period (`rcu_protected_types`).
    fn is_rcu_protected(&self, ty: u32) -> bool {
        const PROTECTED: &[&str] = &["prog_test_ref_kfunc", "cgroup", "bpf_cpumask", "task_struct", "bpf_crypto_ctx"];
        let kernel = self.types.kernel.as_ref();
        kernel.and_then(|kernel| kernel.name(TypeId(ty)).ok()).is_some_and(|name| PROTECTED.contains(&name))
    }

    /// The kind of what a pointer in a map points to: a structure of the kernel with the same name if there is one, else an
    /// object of the program.
    pub fn target_of(&self, field: &Field) -> Step<Option<(Kind, u32)>> {
        let (Some(own), Some(kernel), Some(ty)) = (&self.types.own, &self.types.kernel, field.ty) else {
            return Err(Stop::Undecided("the types of the kernel"));
        };
        let name = own.name(ty).unwrap_or("");
        let found = kernel.find_type(name, |kind| matches!(kind, skep_btf::Kind::Struct(_)));
        Ok(match found {
            Some(found) => Some((Kind::Struct(found.0, Trust::Trusted), found.0)),
            None if types::composite(own, ty).is_some() => Some((Kind::Object(ty.0, Hold::Owned), 0)),
            None => None,
        })
    }

    /// What is stored over a pointer of the kernel in a map.
    pub fn store_kernel_pointer(&self, field: &Field, value: Option<&Reg>, imm: Option<i32>) -> Step<()> {
        match (field.kind, value, imm) {
            (_, None, Some(0)) => Ok(()),
            (FieldKind::UserPointer, ..) | (_, None, _) => Err(Reason::Rule(&rules::KPTR_STORE).into()),
            (FieldKind::LoosePointer, Some(value), _) => {
                if value.is_zero() {
                    return Ok(());
                }
                let Some((_, wanted)) = self.target_of(field)? else {
                    return Err(Stop::Undecided("this pointer in a map"));
                };
                match (value.kind, &self.types.kernel) {
                    (Kind::Struct(ty, trust), Some(kernel)) if trust != Trust::Elsewhere => {
                        let off = value.fixed_offset().and_then(|off| u32::try_from(off).ok());
                        let fits = off.is_some_and(|off| types::reaches(kernel, TypeId(ty), off, TypeId(wanted)));
                        if fits { Ok(()) } else { Err(Reason::Rule(&rules::KPTR_TYPE).into()) }
                    }
                    _ => Err(Reason::Rule(&rules::KPTR_TYPE).into()),
                }
            }
            (_, Some(_), _) => Err(Reason::Rule(&rules::KPTR_STORE).into()),
        }
    }
}
