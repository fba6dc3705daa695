//! Where calls put arguments and results: the System V convention for x86-64 and that of AArch64 (AAPCS64).
//!
//! Only what programs for the kernel can read is told apart: registers of integers, the stack, the rest.

use super::{DebugInfo, DebugType, EntryId};
use crate::binary::Machine;

/// Where a value is at the start of a function, or a result at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Home {
    /// In the register of the integer argument with this number; for results in that of results.
    Register(u32),
    /// In memory whose address is in that register.
    Address(u32),
    /// On the stack, so many bytes behind the first argument there.
    Stack(u32),
    /// Where programs for the kernel cannot read it, and why.
    Nowhere(&'static str),
}

const FLOAT: &str = "floating-point numbers are in registers that programs for the kernel cannot read";
const PIECES: &str = "the structure is passed in several registers, piece by piece";
const UNKNOWN: &str = "its type is not known";

/// How a value of a type travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// In so many registers of integers.
    Integers(u32),
    /// In so many registers of floating-point numbers.
    Floats(u32),
    /// In one register of each kind.
    Mixed,
    /// In memory: bytes, and of what its address is a multiple.
    Memory(u64, u64),
    /// By its address.
    Reference,
    /// Nobody knows.
    Unknown,
}

/// Types inside of a structure that are looked at: larger ones are passed in memory anyway.
const MOST_VISITS: usize = 1024;

/// The scalars in a type: offset, whether it is a floating-point number, bytes.
struct Leaves {
    found: Vec<(u64, bool, u64)>,
    /// How many more types may be looked at.
    left: usize,
}

/// The registers that are left.
struct Left {
    integers: u32,
    floats: u32,
    used: u32,
    used_floats: u32,
    stack: u64,
}

impl Left {
    fn integers(&mut self, count: u32) -> Option<u32> {
        let first = self.used;
        let fits = first.checked_add(count).is_some_and(|end| end <= self.integers);
        if fits {
            self.used += count;
        }
        fits.then_some(first)
    }

    fn floats(&mut self, count: u32) -> bool {
        let fits = self.used_floats.checked_add(count).is_some_and(|end| end <= self.floats);
        if fits {
            self.used_floats += count;
        }
        fits
    }

    fn on_stack(&mut self, bytes: u64, align: u64) -> Home {
        let start = self.stack.next_multiple_of(align.clamp(8, 16));
        self.stack = start.saturating_add(bytes.saturating_add(7) / 8 * 8);
        u32::try_from(start).map_or(Home::Nowhere(UNKNOWN), Home::Stack)
    }
}

impl DebugInfo {
    /// The places of parameters with these types, and that of the result.
    pub(super) fn homes(&self, params: &[Option<EntryId>], result: Option<EntryId>) -> (Vec<Home>, Home) {
        let x86 = match self.machine {
            Machine::X86_64 => true,
            Machine::Aarch64 => false,
            Machine::Other(_) => {
                let unknown = Home::Nowhere("the calling convention of this machine is not known");
                return (vec![unknown.clone(); params.len()], unknown);
            }
        };
        let integers = if x86 { 6 } else { 8 };
        let mut left = Left { integers, floats: 8, used: 0, used_floats: 0, stack: 0 };
        let result_home = match self.class(result, x86) {
            Class::Integers(0 | 1) => Home::Register(0),
            Class::Integers(_) | Class::Mixed => Home::Nowhere(PIECES),
            Class::Floats(_) => Home::Nowhere(FLOAT),
            Class::Memory(..) | Class::Reference => {
                // The caller says where it wants it, on x86-64 in the first register of integers, which comes back as
                // the result.
                if x86 {
                    left.used = 1;
                    Home::Address(0)
                } else {
                    Home::Nowhere("the caller keeps the address of the result")
                }
            }
            Class::Unknown => Home::Nowhere(UNKNOWN),
        };
        let homes = params.iter().map(|param| self.home(*param, x86, &mut left)).collect();
        (homes, result_home)
    }

    fn home(&self, param: Option<EntryId>, x86: bool, left: &mut Left) -> Home {
        let bytes = self.bytes(param);
        match self.class(param, x86) {
            Class::Integers(count @ (0 | 1)) => match left.integers(count.max(1)) {
                Some(number) => Home::Register(number),
                None => left.on_stack(bytes, 8),
            },
            Class::Integers(count) => match left.integers(count) {
                Some(_) => Home::Nowhere(PIECES),
                None => {
                    if !x86 {
                        // What does not fit closes the registers for all that follows.
                        left.used = left.integers;
                    }
                    left.on_stack(bytes, 8)
                }
            },
            Class::Floats(count) => {
                if left.floats(count) {
                    Home::Nowhere(FLOAT)
                } else {
                    left.on_stack(bytes, 8)
                }
            }
            Class::Mixed => {
                if left.used < left.integers && left.used_floats < left.floats {
                    left.used += 1;
                    left.used_floats += 1;
                    Home::Nowhere(PIECES)
                } else {
                    left.on_stack(bytes, 8)
                }
            }
            Class::Memory(bytes, align) => left.on_stack(bytes, align),
            Class::Reference => left.integers(1).map_or(Home::Nowhere("its address is on the stack"), Home::Address),
            Class::Unknown => {
                left.integers(1);
                Home::Nowhere(UNKNOWN)
            }
        }
    }

    fn class(&self, ty: Option<EntryId>, x86: bool) -> Class {
        match self.kind(ty) {
            DebugType::Void if ty.is_none() => Class::Integers(0),
            DebugType::Void => Class::Unknown,
            DebugType::Int { bytes: 16, .. } => Class::Integers(2),
            DebugType::Int { .. } | DebugType::Bool | DebugType::Pointer(_) | DebugType::Enum { .. } => {
                Class::Integers(1)
            }
            DebugType::Float { bytes: 16 } if x86 => Class::Memory(16, 16),
            DebugType::Float { .. } => Class::Floats(1),
            DebugType::Composite(id) => self.composite_class(id, x86),
            DebugType::Array { .. } | DebugType::Function => Class::Unknown,
        }
    }

    fn composite_class(&self, id: EntryId, x86: bool) -> Class {
        let Some(composite) = self.composite(id) else { return Class::Unknown };
        if composite.by_reference {
            return Class::Reference;
        }
        // Whatever is in it; members with an alignment of their own above 8 are rare.
        if x86 && composite.bytes > 16 {
            return Class::Memory(composite.bytes, 8);
        }
        let mut leaves = Leaves { found: Vec::new(), left: MOST_VISITS };
        if !self.leaves(Some(id), 0, &mut leaves, 0) {
            return Class::Unknown;
        }
        let leaves = leaves.found;
        let align = leaves.iter().map(|leaf| leaf.2).max().unwrap_or(1);
        if !x86 {
            let floats = leaves.iter().all(|leaf| leaf.1 && leaf.2 == leaves[0].2);
            if floats && (1..=4).contains(&leaves.len()) {
                return Class::Floats(leaves.len() as u32);
            }
            if composite.bytes > 16 {
                return Class::Reference;
            }
            return Class::Integers(composite.bytes.div_ceil(8) as u32);
        }
        if composite.bytes > 16 || leaves.iter().any(|leaf| leaf.0 % leaf.2.max(1) != 0 || leaf.2 > 8) {
            return Class::Memory(composite.bytes, align);
        }
        let float = |first: u64| {
            let mut inside = leaves.iter().filter(|leaf| leaf.0 / 8 == first).peekable();
            inside.peek().is_some() && inside.all(|leaf| leaf.1)
        };
        match (composite.bytes, float(0), float(1)) {
            (0, ..) => Class::Integers(0),
            (1..=8, true, _) => Class::Floats(1),
            (1..=8, false, _) => Class::Integers(1),
            (_, true, true) => Class::Floats(2),
            (_, false, false) => Class::Integers(2),
            _ => Class::Mixed,
        }
    }

    /// Finds the scalars in a type. Says whether all of them are known.
    fn leaves(&self, ty: Option<EntryId>, start: u64, leaves: &mut Leaves, depth: usize) -> bool {
        if depth > 16 || leaves.left == 0 {
            return false;
        }
        leaves.left -= 1;
        let found = &mut leaves.found;
        match self.kind(ty) {
            DebugType::Void | DebugType::Function => return false,
            DebugType::Bool => found.push((start, false, 1)),
            DebugType::Int { bytes, .. } | DebugType::Enum { bytes, .. } => found.push((start, false, bytes)),
            DebugType::Float { bytes } => found.push((start, true, bytes)),
            DebugType::Pointer(_) => found.push((start, false, 8)),
            DebugType::Array { element, counts } => {
                let one = self.bytes(element);
                let count = counts.iter().fold(1u64, |all, count| all.saturating_mul(*count));
                for number in 0..count.min(64) {
                    let start = start.saturating_add(number.saturating_mul(one));
                    if !self.leaves(element, start, leaves, depth + 1) {
                        return false;
                    }
                }
            }
            DebugType::Composite(id) => {
                for member in self.composite(id).map(|composite| composite.members).unwrap_or_default() {
                    if let Some((first, _)) = member.bits {
                        leaves.found.push((start.saturating_add(first / 8), false, 1));
                    } else if !self.leaves(member.ty, start.saturating_add(member.offset), leaves, depth + 1) {
                        return false;
                    }
                }
            }
        }
        true
    }
}
