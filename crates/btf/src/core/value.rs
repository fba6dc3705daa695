//! The answer to a question, once it is known what it is about.

use super::spec::{Spec, Step};
use super::{CoreKind, CoreProblem, MemorySize};
use crate::blob::{Btf, MAX_DEPTH};
use crate::error::BtfError;
use crate::kind::{Int, Kind, Member, TypeId};

/// An answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    pub(super) value: u64,
    /// Whether the compiler must have come to the same value.
    pub(super) validate: bool,
    /// What a load or store at the offset accesses: size in bytes and type.
    access: Option<(u32, TypeId)>,
}

/// The answer if nothing fits; `None` if there is none.
pub(super) const fn missing(kind: CoreKind) -> Option<u64> {
    match kind {
        CoreKind::FieldExists
        | CoreKind::EnumvalExists
        | CoreKind::TypeExists
        | CoreKind::TypeMatches
        | CoreKind::TypeSize
        | CoreKind::TypeIdTarget => Some(0),
        _ => None,
    }
}

impl Answer {
    /// A value that the compiler knows as well.
    const fn sure(value: u64) -> Self {
        Self { value, validate: true, access: None }
    }

    /// Answers for a path.
    pub(super) fn of(spec: &Spec<'_>, kind: CoreKind) -> Result<Self, CoreProblem> {
        Ok(match kind {
            CoreKind::FieldExists | CoreKind::TypeExists | CoreKind::TypeMatches | CoreKind::EnumvalExists => {
                Self::sure(1)
            }
            // Which types there are is nothing that a compiler could know.
            CoreKind::TypeIdLocal | CoreKind::TypeIdTarget => {
                Self { validate: false, ..Self::sure(spec.root.0.into()) }
            }
            CoreKind::TypeSize => Self::sure(spec.btf.size_of(spec.root)?.into()),
            CoreKind::EnumvalValue => Self::sure(constant(spec)?),
            _ => Self::of_field(spec, kind)?,
        })
    }

    fn of_field(spec: &Spec<'_>, kind: CoreKind) -> Result<Self, CoreProblem> {
        let step = spec.steps.last().ok_or(CoreProblem::Path)?;
        match step.name {
            None => Self::of_element(spec, *step, kind),
            Some(_) => Self::of_member(spec, *step, kind),
        }
    }

    fn of_element(spec: &Spec<'_>, step: Step, kind: CoreKind) -> Result<Self, CoreProblem> {
        let size = spec.btf.size_of(step.ty)?;
        match kind {
            CoreKind::FieldByteOffset => {
                let access = Some((size, step.ty));
                Ok(Self { access, ..Self::sure(spec.bit_offset / 8) })
            }
            CoreKind::FieldByteSize => Ok(Self::sure(size.into())),
            _ => Err(CoreProblem::Element),
        }
    }

    fn of_member(spec: &Spec<'_>, step: Step, kind: CoreKind) -> Result<Self, CoreProblem> {
        let btf = spec.btf;
        let (Kind::Struct(composite) | Kind::Union(composite)) = btf.kind(step.ty)? else {
            return Err(CoreProblem::NoParts(btf.kind(step.ty)?.name()));
        };
        let count = composite.members().len() as u32;
        let member = composite.members().nth(step.index as usize);
        let member = member.ok_or(CoreProblem::NoPart(step.index, count))?;
        let bitfield = member.bits > 0;
        let load = Load::of(spec, member)?;
        Ok(match kind {
            CoreKind::FieldByteOffset => {
                let access = if bitfield { None } else { accessed(btf, member.ty)? };
                Self { value: load.from, validate: !bitfield, access }
            }
            CoreKind::FieldByteSize => Self { validate: !bitfield, ..Self::sure(load.size) },
            CoreKind::FieldSigned => Self::sure(is_signed(&btf.resolved(member.ty)?).into()),
            CoreKind::FieldLshiftU64 => {
                let above = (spec.bit_offset + load.bits).saturating_sub(8 * load.from);
                Self { validate: !bitfield, ..Self::sure(64u64.wrapping_sub(above)) }
            }
            _ => Self::sure(64u64.wrapping_sub(load.bits)),
        })
    }

    /// What a load or store must become to access the member of the target, see [`MemorySize`].
    pub(super) fn memory(self, local: &Btf, after: &Self, target: &Btf) -> Result<MemorySize, BtfError> {
        let (Some((from, before)), Some((to, after))) = (self.access, after.access) else {
            return Ok(MemorySize::Same);
        };
        if from == to {
            return Ok(MemorySize::Same);
        }
        let unsigned = |kind: &Kind<'_>| matches!(kind, Kind::Int(Int { signed: false, .. }));
        let pointer = |kind: &Kind<'_>| matches!(kind, Kind::Ptr(_));
        let kinds = (local.resolved(before)?, target.resolved(after)?);
        let safe = unsigned(&kinds.0) && unsigned(&kinds.1) || pointer(&kinds.0) && pointer(&kinds.1);
        Ok(if safe { MemorySize::Changes { from, to } } else { MemorySize::Refused { from, to } })
    }
}

/// The load that reads a member: bytes from the start of the root, bytes, and bits of the member.
struct Load {
    from: u64,
    size: u64,
    bits: u64,
}

impl Load {
    fn of(spec: &Spec<'_>, member: Member) -> Result<Self, CoreProblem> {
        let at = spec.bit_offset;
        let mut size = u64::from(spec.btf.size_of(member.ty)?);
        if member.bits == 0 {
            return Ok(Self { from: at / 8, size, bits: 8 * size });
        }
        let bits = u64::from(member.bits);
        size = size.max(1);
        // The smallest aligned load that has all bits.
        loop {
            let from = at / 8 / size * size;
            if at + bits - 8 * from <= 8 * size {
                return Ok(Self { from, size, bits });
            }
            if size >= 8 {
                return Err(CoreProblem::WideBitfield);
            }
            size *= 2;
        }
    }
}

/// What a load or store at a member accesses: of an array its elements.
fn accessed(btf: &Btf, member: TypeId) -> Result<Option<(u32, TypeId)>, BtfError> {
    let mut ty = member;
    for _ in 0..MAX_DEPTH {
        match btf.resolved(ty)? {
            Kind::Array(array) => ty = array.element,
            _ => return Ok(Some((btf.size_of(ty)?, ty))),
        }
    }
    Ok(None)
}

const fn is_signed(kind: &Kind<'_>) -> bool {
    match kind {
        Kind::Int(int) => int.signed,
        Kind::Enum(values) | Kind::Enum64(values) => values.signed,
        _ => false,
    }
}

fn constant(spec: &Spec<'_>) -> Result<u64, CoreProblem> {
    let step = spec.steps.first().ok_or(CoreProblem::Path)?;
    let (Kind::Enum(values) | Kind::Enum64(values)) = spec.btf.kind(step.ty)? else {
        return Err(CoreProblem::NoParts(spec.btf.kind(step.ty)?.name()));
    };
    let constant = values.values().nth(step.index as usize);
    let count = values.values().len() as u32;
    constant.map(|constant| constant.value.cast_unsigned()).ok_or(CoreProblem::NoPart(step.index, count))
}
