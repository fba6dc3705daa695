//! What the kernel's verifier finds at an offset of an object whose type it knows, as `btf_struct_walk` in
//! `kernel/bpf/btf.c` looks for it. A read that is found here needs no helper.

use skep_btf::{Btf, Kind, TypeId};

use super::Step;

/// How deep composites are nested at most; deeper ones are read by helpers.
const DEEPEST: u32 = 32;

/// What a read of so many bytes gives; `None` if the verifier refuses it, or if what it gives is of use to nobody.
pub fn walk(btf: &Btf, id: u32, offset: u32, size: u32) -> Option<Step> {
    let (mut id, mut offset) = (TypeId(id), offset);
    for _ in 0..DEEPEST {
        let (Kind::Struct(composite) | Kind::Union(composite)) = btf.kind(id).ok()? else { return None };
        if offset.checked_add(size)? > composite.size {
            return None;
        }
        match member(btf, composite.members(), offset, size)? {
            Found::Step(step) => return Some(step),
            Found::Inside(inner, rest) => (id, offset) = (inner, rest),
        }
    }
    None
}

enum Found {
    Step(Step),
    /// It goes on in a composite, at an offset.
    Inside(TypeId, u32),
}

/// The first member that the bytes are in.
fn member(btf: &Btf, members: impl Iterator<Item = skep_btf::Member>, offset: u32, size: u32) -> Option<Found> {
    for member in members {
        let start = member.bit_offset / 8;
        if offset + size <= start {
            return None;
        }
        if member.bits > 0 {
            let end = (member.bit_offset + u32::from(member.bits)).div_ceil(8);
            if offset <= start && end <= offset + size {
                return Some(Found::Step(Step::Number));
            }
            continue;
        }
        if offset < start {
            return None;
        }
        let bytes = btf.size_of(member.ty).ok()?;
        if offset - start >= bytes {
            continue;
        }
        return field(btf, member.ty, offset - start, size);
    }
    None
}

/// What is at an offset of a member.
fn field(btf: &Btf, ty: TypeId, offset: u32, size: u32) -> Option<Found> {
    let (mut ty, mut offset) = (btf.resolve(ty).ok()?, offset);
    while let Ok(Kind::Array(array)) = btf.kind(ty) {
        ty = btf.resolve(array.element).ok()?;
        offset = offset.checked_rem(btf.size_of(ty).ok()?)?;
    }
    match btf.kind(ty).ok()? {
        Kind::Struct(_) | Kind::Union(_) => return Some(Found::Inside(ty, offset)),
        Kind::Ptr(to) => {
            if offset != 0 || size != 8 {
                return None;
            }
            let target = btf.resolve(to).ok()?;
            if matches!(btf.kind(target), Ok(Kind::Struct(_) | Kind::Union(_))) {
                return is_plain(btf, to).then_some(Found::Step(Step::Pointer(target.0)));
            }
        }
        _ => {}
    }
    (offset + size <= btf.size_of(ty).ok()?).then_some(Found::Step(Step::Number))
}

/// Whether no tag says that the memory behind a pointer is that of a process or of each processor.
fn is_plain(btf: &Btf, mut ty: TypeId) -> bool {
    for _ in 0..DEEPEST {
        match btf.kind(ty) {
            Ok(Kind::TypeTag(_)) if btf.name(ty) != Ok("rcu") => return false,
            Ok(Kind::TypeTag(next) | Kind::Const(next) | Kind::Volatile(next) | Kind::Typedef(next)) => ty = next,
            other => return other.is_ok(),
        }
    }
    false
}
