//! When types of two blobs are the same.

use std::mem::discriminant;

use super::{Fuel, is_enum};
use crate::blob::{Btf, MAX_DEPTH};
use crate::error::{BtfError, Problem};
use crate::kind::{Composite, Enum, Kind, NameOff, TypeId};
use crate::names::essential_name;

/// Two blobs that are compared.
pub(super) struct Pair<'a> {
    pub(super) local: &'a Btf,
    pub(super) target: &'a Btf,
    pub(super) fuel: &'a Fuel,
}

impl Pair<'_> {
    /// Whether two names are the same without flavours.
    fn same_name(&self, local: NameOff, target: NameOff) -> Result<bool, BtfError> {
        Ok(essential_name(self.local.string(local)?) == essential_name(self.target.string(target)?))
    }

    /// Whether two types have the same name without flavours.
    fn same_type_name(&self, local: TypeId, target: TypeId) -> Result<bool, BtfError> {
        Ok(essential_name(self.local.name(local)?) == essential_name(self.target.name(target)?))
    }

    /// Pays for a comparison and goes one type deeper.
    fn deeper(&self, depth: usize, id: TypeId) -> Result<usize, BtfError> {
        self.fuel.burn()?;
        if depth >= MAX_DEPTH { Err(BtfError::new(0, Problem::Nested(id.0))) } else { Ok(depth + 1) }
    }
}

/// Whether kinds are the same; enumerations of both widths are.
pub(super) fn same_kind(one: &Kind<'_>, other: &Kind<'_>) -> bool {
    discriminant(one) == discriminant(other) || is_enum(one) && is_enum(other)
}

/// `bpf_core_types_are_compat`, from the root.
pub(super) fn are_compatible(pair: &Pair<'_>, local: TypeId, target: TypeId) -> Result<bool, BtfError> {
    let same = same_kind(&pair.local.kind(local)?, &pair.target.kind(target)?);
    Ok(same && compatible(pair, local, target, 0)?)
}

fn compatible(pair: &Pair<'_>, mut local: TypeId, mut target: TypeId, mut depth: usize) -> Result<bool, BtfError> {
    loop {
        depth = pair.deeper(depth, local)?;
        let kinds = (pair.local.resolved(local)?, pair.target.resolved(target)?);
        if !same_kind(&kinds.0, &kinds.1) {
            return Ok(false);
        }
        (local, target) = match kinds {
            // Integers that are parts of larger ones come from old compilers and are refused.
            (Kind::Int(local), Kind::Int(target)) => return Ok(local.bit_offset == 0 && target.bit_offset == 0),
            (Kind::Ptr(local), Kind::Ptr(target)) => (local, target),
            (Kind::Array(local), Kind::Array(target)) => (local.element, target.element),
            (Kind::FuncProto(local), Kind::FuncProto(target)) => {
                if local.params().len() != target.params().len() {
                    return Ok(false);
                }
                for (local, target) in local.params().zip(target.params()) {
                    if !compatible(pair, local.ty, target.ty, depth)? {
                        return Ok(false);
                    }
                }
                (local.result, target.result)
            }
            (Kind::Void | Kind::Struct(_) | Kind::Union(_) | Kind::Enum(_) | Kind::Enum64(_) | Kind::Fwd { .. }, _) => {
                return Ok(true);
            }
            _ => return Ok(false),
        };
    }
}

/// Whether members of the same name can be the same member (`bpf_core_fields_are_compat`).
pub(super) fn fields_are_compatible(pair: &Pair<'_>, local: TypeId, target: TypeId) -> Result<bool, BtfError> {
    let (mut local, mut target) = (local, target);
    for _ in 0..MAX_DEPTH {
        pair.fuel.burn()?;
        let ids = (pair.local.resolve(local)?, pair.target.resolve(target)?);
        let kinds = (pair.local.kind(ids.0)?, pair.target.kind(ids.1)?);
        let composite = |kind: &Kind<'_>| matches!(kind, Kind::Struct(_) | Kind::Union(_));
        if composite(&kinds.0) && composite(&kinds.1) {
            return Ok(true);
        }
        if !same_kind(&kinds.0, &kinds.1) {
            return Ok(false);
        }
        match kinds {
            (Kind::Ptr(_) | Kind::Float { .. }, _) => return Ok(true),
            (Kind::Fwd { .. } | Kind::Enum(_) | Kind::Enum64(_), _) => {
                let anonymous = pair.local.name(ids.0)?.is_empty() || pair.target.name(ids.1)?.is_empty();
                return Ok(anonymous || pair.same_type_name(ids.0, ids.1)?);
            }
            (Kind::Int(local), Kind::Int(target)) => return Ok(local.bit_offset == 0 && target.bit_offset == 0),
            (Kind::Array(one), Kind::Array(other)) => (local, target) = (one.element, other.element),
            _ => return Ok(false),
        }
    }
    Err(BtfError::new(0, Problem::Nested(local.0)))
}

/// `bpf_core_types_match`, from the root.
pub(super) fn matches(pair: &Pair<'_>, local: TypeId, target: TypeId) -> Result<bool, BtfError> {
    type_matches(pair, (local, target), false, 0)
}

fn type_matches(
    pair: &Pair<'_>,
    (mut local, mut target): (TypeId, TypeId),
    mut behind_pointer: bool,
    mut depth: usize,
) -> Result<bool, BtfError> {
    loop {
        depth = pair.deeper(depth, local)?;
        let ids = (pair.local.resolve(local)?, pair.target.resolve(target)?);
        if !pair.same_type_name(ids.0, ids.1)? {
            return Ok(false);
        }
        (local, target) = match (pair.local.kind(ids.0)?, pair.target.kind(ids.1)?) {
            (Kind::Void, Kind::Void) => return Ok(true),
            (Kind::Fwd { union }, other) => return Ok(declared(union, behind_pointer, &other)),
            (Kind::Enum(local) | Kind::Enum64(local), Kind::Enum(target) | Kind::Enum64(target)) => {
                return enums_match(pair, local, target);
            }
            (Kind::Struct(_), other) if behind_pointer => return Ok(declared(false, true, &other)),
            (Kind::Union(_), other) if behind_pointer => return Ok(declared(true, true, &other)),
            (Kind::Struct(local), Kind::Struct(target)) | (Kind::Union(local), Kind::Union(target)) => {
                return composites_match(pair, local, target, depth);
            }
            (Kind::Int(local), Kind::Int(target)) => {
                return Ok(local.size == target.size && local.signed == target.signed);
            }
            (Kind::Ptr(local), Kind::Ptr(target)) => {
                behind_pointer = true;
                (local, target)
            }
            (Kind::Array(local), Kind::Array(target)) if local.len == target.len => (local.element, target.element),
            (Kind::FuncProto(local), Kind::FuncProto(target)) => {
                if local.params().len() != target.params().len() {
                    return Ok(false);
                }
                for (local, target) in local.params().zip(target.params()) {
                    if !type_matches(pair, (local.ty, target.ty), behind_pointer, depth)? {
                        return Ok(false);
                    }
                }
                (local.result, target.result)
            }
            _ => return Ok(false),
        };
    }
}

/// Whether a structure or union of which only name and sort count is that sort, declared or, behind a pointer, defined.
fn declared(is_union: bool, behind_pointer: bool, target: &Kind<'_>) -> bool {
    match target {
        Kind::Fwd { union } => *union == is_union,
        Kind::Struct(_) => behind_pointer && !is_union,
        Kind::Union(_) => behind_pointer && is_union,
        _ => false,
    }
}

/// Whether every constant exists, with whatever value.
fn enums_match(pair: &Pair<'_>, local: Enum<'_>, target: Enum<'_>) -> Result<bool, BtfError> {
    if local.values().len() > target.values().len() {
        return Ok(false);
    }
    for constant in local.values() {
        let mut found = false;
        for other in target.values() {
            pair.fuel.burn()?;
            found = pair.same_name(constant.name, other.name)?;
            if found {
                break;
            }
        }
        if !found {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether every member exists with a type that matches, in whatever order.
fn composites_match(
    pair: &Pair<'_>,
    local: Composite<'_>,
    target: Composite<'_>,
    depth: usize,
) -> Result<bool, BtfError> {
    if local.members().len() > target.members().len() {
        return Ok(false);
    }
    for member in local.members() {
        let mut found = false;
        for other in target.members() {
            pair.fuel.burn()?;
            found =
                pair.same_name(member.name, other.name)? && type_matches(pair, (member.ty, other.ty), false, depth)?;
            if found {
                break;
            }
        }
        if !found {
            return Ok(false);
        }
    }
    Ok(true)
}
