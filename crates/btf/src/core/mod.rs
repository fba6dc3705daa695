//! "Compile once, run everywhere": finding in the running kernel's types what an object's relocations ask for, by the
//! rules of libbpf and the kernel (`tools/lib/bpf/relo_core.c`).
//!
//! A relocation names a type of the object, a path inside of it, and a question: where is this member, how large is that
//! type, does it exist? [`relocate`] looks for the types of the same name among the targets, follows the same names inside
//! of them, and answers. Changing the instruction is left to whoever holds it; [`Resolution`] says how.

mod compat;
mod error;
mod spec;
mod value;

pub use error::{CoreError, CoreProblem};

use std::cell::Cell;

use crate::blob::Btf;
use crate::error::{BtfError, Problem};
use crate::kind::{Kind, TypeId};
use crate::names::essential_name;
use error::Describe;
use spec::Spec;
use value::Answer;

/// What a relocation asks for (`enum bpf_core_relo_kind`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum CoreKind {
    /// Distance of a member from the start of the structure in bytes.
    FieldByteOffset = 0,
    /// Size of a member in bytes; for a bit field that of the load that reads it.
    FieldByteSize = 1,
    /// 1 if the member exists, else 0.
    FieldExists = 2,
    /// 1 if the member is signed, else 0.
    FieldSigned = 3,
    /// How far to shift a bit field to the left in a 64-bit register, to lose what stands above it.
    FieldLshiftU64 = 4,
    /// How far to shift it to the right afterwards.
    FieldRshiftU64 = 5,
    /// Number of the type in the object.
    TypeIdLocal = 6,
    /// Number of the type in the kernel, 0 if it does not exist.
    TypeIdTarget = 7,
    /// 1 if the type exists, else 0.
    TypeExists = 8,
    /// Size of the type in bytes, 0 if it does not exist.
    TypeSize = 9,
    /// 1 if the constant of the enumeration exists, else 0.
    EnumvalExists = 10,
    /// Value of the constant.
    EnumvalValue = 11,
    /// 1 if a type exists that has all that the object's has, with the same names and matching types; else 0.
    TypeMatches = 12,
}

impl CoreKind {
    /// Every kind in the order of the numbers, with the name that the compiler's documentation uses.
    const ALL: [(Self, &'static str); 13] = [
        (Self::FieldByteOffset, "byte_off"),
        (Self::FieldByteSize, "byte_sz"),
        (Self::FieldExists, "field_exists"),
        (Self::FieldSigned, "signed"),
        (Self::FieldLshiftU64, "lshift_u64"),
        (Self::FieldRshiftU64, "rshift_u64"),
        (Self::TypeIdLocal, "local_type_id"),
        (Self::TypeIdTarget, "target_type_id"),
        (Self::TypeExists, "type_exists"),
        (Self::TypeSize, "type_size"),
        (Self::EnumvalExists, "enumval_exists"),
        (Self::EnumvalValue, "enumval_value"),
        (Self::TypeMatches, "type_matches"),
    ];

    /// The kind with a number, as in [`CoreRecord::kind`](crate::CoreRecord::kind); `None` above 12.
    pub fn new(number: u32) -> Option<Self> {
        Self::ALL.get(number as usize).map(|(kind, _)| *kind)
    }

    /// The name in libbpf's messages, such as `byte_off`.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// Whether it asks about a member.
    pub const fn is_field(self) -> bool {
        (self as u32) < Self::TypeIdLocal as u32
    }

    /// Whether it asks about a constant of an enumeration.
    pub const fn is_enumval(self) -> bool {
        matches!(self, Self::EnumvalExists | Self::EnumvalValue)
    }
}

/// What to look for: the content of a [`CoreRecord`](crate::CoreRecord), with its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relocation<'a> {
    /// The type at the root of the access, in the object's types.
    pub ty: TypeId,
    /// The path from there, numbers with colons between them: first the index as if the type were the element of an
    /// array, then members and elements; for types `0`; for constants the index of the constant.
    pub access: &'a str,
    /// The question.
    pub kind: CoreKind,
}

/// The answer to a relocation, and how to put it into the instruction.
///
/// The value is written over the immediate of an arithmetic instruction or of a 64-bit load, or over the offset of a load or
/// store. If there is no value, the instruction must be replaced by one that the verifier refuses, but only if it can be
/// reached: libbpf writes a call of the helper 195896080 (`0xbad2310`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolution {
    /// The question.
    pub kind: CoreKind,
    /// What the compiler must have written into the instruction; an error of compiler or loader if it did not. `None` if the
    /// compiler may have chosen otherwise: bit fields can be loaded in several ways.
    pub original: Option<u64>,
    /// What has to be there instead; `None` if the running kernel has no such member or constant.
    pub value: Option<u64>,
    /// What happens to the size of a load or store. Only for [`CoreKind::FieldByteOffset`] in instructions that access
    /// memory.
    pub memory: MemorySize,
    /// Where the answer comes from: position in the list of targets and type; `None` if nothing fits.
    pub target: Option<(usize, TypeId)>,
}

/// What happens to the size of a load or store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemorySize {
    /// It stays.
    Same,
    /// The member is shorter or longer in the running kernel, and reads still give its value, because it is a pointer or an
    /// unsigned integer. Sizes in bytes; loads and stores of other sizes than 1, 2, 4 and 8 do not exist.
    Changes {
        /// In the object.
        from: u32,
        /// In the kernel.
        to: u32,
    },
    /// The sizes differ and a load or store would read or write something else: refuse it. Other instructions are fine.
    Refused {
        /// In the object.
        from: u32,
        /// In the kernel.
        to: u32,
    },
}

/// Work that is left for one relocation. Types of hostile files can be nested so that comparing them would not end.
struct Fuel(Cell<u32>);

impl Fuel {
    fn new() -> Self {
        Self(Cell::new(1 << 20))
    }

    fn burn(&self) -> Result<(), BtfError> {
        let rest = self.0.get().checked_sub(1);
        self.0.set(rest.ok_or(BtfError::new(0, Problem::Endless))?);
        Ok(())
    }
}

/// Answers a relocation of an object.
///
/// The first target is the kernel itself; the others, its modules, are asked only if it has no type of that name and kind.
/// Flavours (`task_struct___old`) count as the type whose flavour they are.
///
/// # Errors
/// A path that leads nowhere in the object's own types, a type without name, targets that contradict each other, broken
/// types. That the kernel has no such type or member is no error, but an answer.
pub fn relocate(local: &Btf, relocation: Relocation<'_>, targets: &[&Btf]) -> Result<Resolution, CoreError> {
    let describe = Describe { local, relocation };
    let fail = |problem| CoreError::new(describe, problem);
    let broken = |error| fail(CoreProblem::Btf(error));
    if relocation.kind == CoreKind::TypeIdLocal {
        local.kind(relocation.ty).map_err(broken)?;
        let value = Some(relocation.ty.0.into());
        let target = None;
        return Ok(Resolution { kind: relocation.kind, original: None, value, memory: MemorySize::Same, target });
    }
    let fuel = Fuel::new();
    let spec = Spec::parse(local, relocation).map_err(fail)?;
    let before = Answer::of(&spec, relocation.kind).map_err(fail)?;
    let mut found: Option<(Spec<'_>, Answer, usize)> = None;
    for (at, target, candidate) in candidates(local, relocation, targets).map_err(fail)? {
        let Some(match_) = spec.find_in(target, candidate, relocation.kind, &fuel).map_err(broken)? else { continue };
        let answer = Answer::of(&match_, relocation.kind).map_err(fail)?;
        if let Some((first, answer_before, _)) = &found {
            if first.bit_offset != match_.bit_offset || answer_before.value != answer.value {
                let [one, other] = [first, &match_].map(|spec| spec.to_string());
                let values = (answer_before.value, answer.value);
                return Err(fail(CoreProblem::Ambiguous { one, other, values }));
            }
            continue;
        }
        found = Some((match_, answer, at));
    }
    let memory = match &found {
        Some((match_, after, _)) => before.memory(local, after, match_.btf).map_err(broken)?,
        None => MemorySize::Same,
    };
    Ok(Resolution {
        kind: relocation.kind,
        original: before.validate.then_some(before.value),
        value: match &found {
            Some((_, after, _)) => Some(after.value),
            None => value::missing(relocation.kind),
        },
        memory,
        target: found.map(|(match_, _, at)| (at, match_.root)),
    })
}

/// The types that may be the one that the object means: same name without flavour, same kind.
fn candidates<'t>(
    local: &Btf,
    relocation: Relocation<'_>,
    targets: &[&'t Btf],
) -> Result<Vec<(usize, &'t Btf, TypeId)>, CoreProblem> {
    let name = local.name(relocation.ty)?;
    let kind = local.kind(relocation.ty)?;
    if name.is_empty() {
        return Err(CoreProblem::Anonymous);
    }
    let name = essential_name(name);
    let mut found: Vec<(usize, &Btf, TypeId)> = Vec::new();
    for (at, target) in targets.iter().enumerate() {
        // The kernel's own types go before those of all modules.
        if at > 0 && found.first().is_some_and(|(first, ..)| *first == 0) {
            break;
        }
        for id in target.find_flavours(name) {
            if compat::same_kind(&kind, &target.kind(id)?) {
                found.push((at, *target, id));
            }
        }
    }
    Ok(found)
}

/// Whether a type of an object and one of the kernel are the same as far as their kinds, pointers, arrays and prototypes
/// go (`bpf_core_types_are_compat`). Names do not matter, nor do members.
///
/// # Errors
/// Types that do not exist, more than 32 types inside each other, or so many ways between them that comparing would not end.
pub fn types_are_compatible(local: &Btf, local_id: TypeId, target: &Btf, target_id: TypeId) -> Result<bool, BtfError> {
    compat::are_compatible(&compat::Pair { local, target, fuel: &Fuel::new() }, local_id, target_id)
}

/// Whether a type of the kernel has everything that a type of an object has, with the same names without flavours and
/// types that match in turn (`bpf_core_types_match`).
///
/// # Errors
/// As for [`types_are_compatible`].
pub fn types_match(local: &Btf, local_id: TypeId, target: &Btf, target_id: TypeId) -> Result<bool, BtfError> {
    compat::matches(&compat::Pair { local, target, fuel: &Fuel::new() }, local_id, target_id)
}

/// Whether the kind is an enumeration of either width.
const fn is_enum(kind: &Kind<'_>) -> bool {
    matches!(kind, Kind::Enum(_) | Kind::Enum64(_))
}
