//! Types: of the kernel, whose structures programs read, and of the object, whose values hold locks and the like.
//!
//! Nothing here knows registers: questions about types are answered from BTF (`kernel/bpf/btf.c`).

use std::sync::Arc;

use skep_btf::{Btf, Composite, Kind, TypeId};

/// Structures inside of structures that are followed.
const DEPTH: u32 = 16;

/// The types that a verification may ask for.
#[derive(Debug, Clone, Default)]
pub struct Types {
    /// Those of the kernel; without them whatever depends on them is undecided.
    pub kernel: Option<Arc<Btf>>,
    /// Those of the object.
    pub own: Option<Arc<Btf>>,
}

/// What a field that only the kernel touches is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FieldKind {
    /// `struct bpf_spin_lock`
    SpinLock,
    /// `struct bpf_res_spin_lock`
    ResilientLock,
    /// `struct bpf_timer`
    Timer,
    /// `struct bpf_wq`
    Work,
    /// `struct bpf_task_work`
    TaskWork,
    /// `struct bpf_list_head`
    ListHead,
    /// `struct bpf_list_node`
    ListNode,
    /// `struct bpf_rb_root`
    TreeRoot,
    /// `struct bpf_rb_node`
    TreeNode,
    /// `struct bpf_refcount`
    RefCount,
    /// A pointer that is only read (`__kptr_untrusted`).
    LoosePointer,
    /// A pointer that owns a reference (`__kptr`).
    Pointer,
    /// A pointer to memory of each processor (`__percpu_kptr`).
    PerCpuPointer,
    /// A pointer to memory of a process (`__uptr`).
    UserPointer,
}

impl FieldKind {
    const NAMES: &[(&str, Self)] = &[
        ("bpf_spin_lock", Self::SpinLock),
        ("bpf_res_spin_lock", Self::ResilientLock),
        ("bpf_timer", Self::Timer),
        ("bpf_wq", Self::Work),
        ("bpf_task_work", Self::TaskWork),
        ("bpf_list_head", Self::ListHead),
        ("bpf_list_node", Self::ListNode),
        ("bpf_rb_root", Self::TreeRoot),
        ("bpf_rb_node", Self::TreeNode),
        ("bpf_refcount", Self::RefCount),
    ];

    const TAGS: &[(&str, Self)] = &[
        ("kptr_untrusted", Self::LoosePointer),
        ("kptr", Self::Pointer),
        ("percpu_kptr", Self::PerCpuPointer),
        ("uptr", Self::UserPointer),
    ];

    /// Whether it is a pointer.
    pub fn is_pointer(self) -> bool {
        matches!(self, Self::LoosePointer | Self::Pointer | Self::PerCpuPointer | Self::UserPointer)
    }

    /// Whether it holds nodes.
    pub fn is_root(self) -> bool {
        matches!(self, Self::ListHead | Self::TreeRoot)
    }
}

/// A field that only the kernel touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// What it is.
    pub kind: FieldKind,
    /// Distance from the start in bytes.
    pub off: u32,
    /// Bytes.
    pub size: u32,
    /// For pointers the type in the object that they are declared with; for heads the type of the nodes' structure.
    pub ty: Option<TypeId>,
    /// For heads where the node is in its structure.
    pub node: u32,
}

/// What is at a place of a structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A number, or a part of one.
    Number,
    /// A pointer to a structure.
    Pointer(Pointer),
    /// A pointer to something else: bytes, numbers, functions.
    Loose,
}

/// A pointer in a structure of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pointer {
    /// The structure that it points to.
    pub ty: TypeId,
    /// The structure that it is a member of.
    pub owner: TypeId,
    /// Its place in the owner's list of members.
    pub member: u32,
    /// Tagged `__rcu`.
    pub rcu: bool,
    /// Tagged `__user`.
    pub user: bool,
    /// Tagged `__percpu`.
    pub percpu: bool,
    /// In a union with other members.
    pub in_union: bool,
}

/// A structure or union.
pub fn composite(btf: &Btf, ty: TypeId) -> Option<Composite<'_>> {
    match btf.kind(ty).ok()? {
        Kind::Struct(composite) | Kind::Union(composite) => Some(composite),
        _ => None,
    }
}

/// What `size` bytes at a distance from the start of a structure are; `None` if no program may read them so.
pub fn walk(btf: &Btf, ty: TypeId, off: u32, size: u32) -> Option<Place> {
    walk_in(btf, ty, off, size, false, DEPTH)
}

fn walk_in(btf: &Btf, ty: TypeId, off: u32, size: u32, in_union: bool, depth: u32) -> Option<Place> {
    let depth = depth.checked_sub(1)?;
    let this = composite(btf, ty)?;
    let in_union = in_union || (matches!(btf.kind(ty), Ok(Kind::Union(_))) && this.members().len() > 1);
    if off.checked_add(size)? > this.size {
        // Only an array without an end may go on behind.
        let last = this.members().last()?;
        let start = last.bit_offset / 8;
        let Ok(Kind::Array(array)) = btf.resolved(last.ty) else { return None };
        let element = btf.size_of(array.element).ok()?;
        if array.len != 0 || off < start || element == 0 {
            return None;
        }
        let inner = btf.resolve(array.element).ok()?;
        let rest = (off - start) % element;
        return if composite(btf, inner).is_some() {
            walk_in(btf, inner, rest, size, in_union, depth)
        } else {
            // Elements that are numbers; pointers behind the end are not followed.
            (!matches!(btf.kind(inner), Ok(Kind::Ptr(_))) && rest + size <= element).then_some(Place::Number)
        };
    }
    for (index, member) in this.members().enumerate() {
        let mut start = member.bit_offset / 8;
        if off + size <= start {
            return None;
        }
        if member.bits > 0 {
            let end = (member.bit_offset + u32::from(member.bits)).div_ceil(8);
            if off <= start && end <= off + size {
                return Some(Place::Number);
            }
            // A part of a bit-field may belong to what follows; by itself it cannot be read.
            continue;
        }
        if off < start {
            return None;
        }
        let Ok(whole) = btf.size_of(member.ty) else { continue };
        if off >= start + whole {
            continue;
        }
        let end = start + whole;
        let mut inner = btf.resolve(member.ty).ok()?;
        let mut length = whole;
        let mut arrays = 0;
        while let Ok(Kind::Array(array)) = btf.kind(inner) {
            inner = btf.resolve(array.element).ok()?;
            length = btf.size_of(inner).ok()?;
            arrays += 1;
            if length == 0 || arrays > DEPTH {
                return None;
            }
        }
        start += (off - start) / length.max(1) * length;
        if composite(btf, inner).is_some() {
            return walk_in(btf, inner, off - start, size, in_union, depth);
        }
        if let Ok(Kind::Ptr(target)) = btf.kind(inner) {
            if off != start || size != length {
                return None;
            }
            return Some(pointer(btf, target, ty, index, in_union).map_or(Place::Loose, Place::Pointer));
        }
        // Elements of an array that are numbers are read together, but not beyond its end.
        return (off + size <= end).then_some(Place::Number);
    }
    None
}

/// A pointer to a structure, if it is one.
fn pointer(btf: &Btf, target: TypeId, owner: TypeId, member: usize, in_union: bool) -> Option<Pointer> {
    let (mut rcu, mut user, mut percpu) = (false, false, false);
    let mut ty = target;
    for _ in 0..DEPTH {
        match btf.kind(ty).ok()? {
            Kind::TypeTag(next) => {
                match btf.name(ty).unwrap_or("") {
                    "rcu" => rcu = true,
                    "user" => user = true,
                    "percpu" => percpu = true,
                    _ => {}
                }
                ty = next;
            }
            Kind::Const(next) | Kind::Volatile(next) | Kind::Restrict(next) | Kind::Typedef(next) => ty = next,
            Kind::Struct(_) => {
                let member = u32::try_from(member).ok()?;
                return Some(Pointer { ty, owner, member, rcu, user, percpu, in_union });
            }
            _ => return None,
        }
    }
    None
}

/// The name of a member of a structure.
pub fn member_name(btf: &Btf, owner: TypeId, member: u32) -> &str {
    let found = composite(btf, owner).and_then(|owner| owner.members().nth(member as usize));
    found.and_then(|member| btf.string(member.name).ok()).unwrap_or("")
}

/// Distance and size in bytes of a member of a structure by a path of names with points between them (`a.b`).
pub fn field_at_path(btf: &Btf, structure: &str, path: &str) -> Option<(u32, u32)> {
    let mut ty = btf.find_type(structure, |kind| matches!(kind, Kind::Struct(_)))?;
    let (mut off, mut size) = (0, 0);
    for name in path.split('.') {
        let member = composite(btf, ty)?.members().find(|member| btf.string(member.name) == Ok(name))?;
        if member.bits > 0 {
            return None;
        }
        off += member.bit_offset / 8;
        ty = btf.resolve(member.ty).ok()?;
        size = btf.size_of(ty).ok()?;
    }
    Some((off, size))
}

/// Whether a pointer that points `off` bytes into a structure can be passed where another one is wanted: it is that one,
/// or one that lies in the first at this place (`btf_struct_ids_match`).
pub fn reaches(btf: &Btf, ty: TypeId, off: u32, wanted: TypeId) -> bool {
    let mut current = (ty, off);
    for _ in 0..DEPTH {
        let (ty, off) = current;
        if off == 0 && same(btf, ty, wanted) {
            return true;
        }
        let Some(this) = composite(btf, ty) else { return false };
        let inner = this.members().find_map(|member| {
            let start = member.bit_offset / 8;
            let mut inner = btf.resolve(member.ty).ok()?;
            let size = btf.size_of(inner).ok()?;
            if member.bits > 0 || off < start || off >= start + size {
                return None;
            }
            let mut rest = off - start;
            while let Ok(Kind::Array(array)) = btf.kind(inner) {
                inner = btf.resolve(array.element).ok()?;
                rest %= btf.size_of(inner).ok().filter(|size| *size > 0)?;
            }
            composite(btf, inner).map(|_| (inner, rest))
        });
        match inner {
            Some(next) => current = next,
            None => return false,
        }
    }
    false
}

/// Whether two numbers stand for one structure: a name counts once.
fn same(btf: &Btf, left: TypeId, right: TypeId) -> bool {
    left == right
        || (btf.name(left).is_ok_and(|name| !name.is_empty() && btf.name(right) == Ok(name))
            && composite(btf, left).is_some() == composite(btf, right).is_some()
            && composite(btf, left).map(|one| one.size) == composite(btf, right).map(|one| one.size))
}

/// The fields of a type that only the kernel touches, by place.
pub fn fields(btf: &Btf, ty: TypeId) -> Vec<Field> {
    let mut found = Vec::new();
    collect(btf, ty, 0, DEPTH, &mut found);
    found.sort_by_key(|field: &Field| field.off);
    found
}

fn collect(btf: &Btf, ty: TypeId, base: u32, depth: u32, found: &mut Vec<Field>) {
    let Some(depth) = depth.checked_sub(1) else { return };
    let Ok(ty) = btf.resolve(ty) else { return };
    match btf.kind(ty) {
        Ok(Kind::Datasec { vars, .. }) => {
            for var in vars.iter() {
                if let Ok(Kind::Var { ty, .. }) = btf.kind(var.ty) {
                    member(btf, ty, var.ty, None, base + var.offset, depth, found);
                }
            }
        }
        Ok(Kind::Struct(this)) => {
            for (index, one) in this.members().enumerate() {
                member(btf, one.ty, ty, u32::try_from(index).ok(), base + one.bit_offset / 8, depth, found);
            }
        }
        _ => {}
    }
}

fn member(btf: &Btf, ty: TypeId, owner: TypeId, index: Option<u32>, off: u32, depth: u32, found: &mut Vec<Field>) {
    let Ok(mut inner) = btf.resolve(ty) else { return };
    let mut count = 1u32;
    for _ in 0..DEPTH {
        let Ok(Kind::Array(array)) = btf.kind(inner) else { break };
        let Ok(element) = btf.resolve(array.element) else { return };
        (inner, count) = (element, count.saturating_mul(array.len));
    }
    match btf.kind(inner) {
        Ok(Kind::Struct(this)) => {
            let name = btf.name(inner).unwrap_or("");
            match FieldKind::NAMES.iter().find(|(known, _)| *known == name) {
                Some((_, kind)) => {
                    let held = if kind.is_root() { contained(btf, owner, index) } else { None };
                    for number in 0..count.min(64) {
                        found.push(Field {
                            kind: *kind,
                            off: off + number * this.size,
                            size: this.size,
                            ty: held.map(|(ty, _)| ty),
                            node: held.map_or(0, |(_, node)| node),
                        });
                    }
                }
                None => {
                    for number in 0..count.min(64) {
                        collect(btf, inner, off + number * this.size, depth, found);
                    }
                }
            }
        }
        Ok(Kind::Ptr(target)) => {
            if let Some((kind, ty)) = tagged(btf, target) {
                for number in 0..count.min(64) {
                    found.push(Field { kind, off: off + number * 8, size: 8, ty: Some(ty), node: 0 });
                }
            }
        }
        _ => {}
    }
}

/// A pointer with a tag that makes it one of the kernel.
fn tagged(btf: &Btf, target: TypeId) -> Option<(FieldKind, TypeId)> {
    let mut ty = target;
    let mut kind = None;
    for _ in 0..DEPTH {
        match btf.kind(ty).ok()? {
            Kind::TypeTag(next) => {
                let name = btf.name(ty).ok()?;
                kind = kind.or_else(|| FieldKind::TAGS.iter().find(|(tag, _)| *tag == name).map(|(_, kind)| *kind));
                ty = next;
            }
            Kind::Const(next) | Kind::Volatile(next) | Kind::Typedef(next) => ty = next,
            _ => break,
        }
    }
    kind.map(|kind| (kind, ty))
}

/// The structure of the nodes and where the node is in it, by the declaration's tag `contains:TYPE:MEMBER`.
fn contained(btf: &Btf, owner: TypeId, index: Option<u32>) -> Option<(TypeId, u32)> {
    let mut tags = btf.ids().filter_map(|id| match btf.kind(id) {
        Ok(Kind::DeclTag(tag)) if tag.target == owner && tag.component == index => btf.name(id).ok(),
        _ => None,
    });
    let text = tags.find_map(|name| name.strip_prefix("contains:"))?;
    let (name, node) = text.split_once(':')?;
    let ty = btf.find_type(name, |kind| matches!(kind, Kind::Struct(_)))?;
    let place = composite(btf, ty)?.members().find(|member| btf.string(member.name) == Ok(node))?;
    Some((ty, place.bit_offset / 8))
}

/// The text tags of a function's argument (`arg:ctx`, `arg:nonnull`), as its declaration has them.
pub fn argument_tags(btf: &Btf, function: TypeId, argument: u32) -> Vec<&str> {
    let tags = btf.ids().filter_map(|id| match btf.kind(id) {
        Ok(Kind::DeclTag(tag)) if tag.target == function && tag.component == Some(argument) => btf.name(id).ok(),
        _ => None,
    });
    tags.filter_map(|name| name.strip_prefix("arg:")).collect()
}

/// The structure that a pointer type points to, behind all modifiers, with its name.
pub fn pointee(btf: &Btf, pointer: TypeId) -> Option<(TypeId, &str)> {
    let Ok(Kind::Ptr(target)) = btf.resolved(pointer) else { return None };
    let ty = btf.resolve(target).ok()?;
    Some((ty, btf.name(ty).unwrap_or("")))
}
