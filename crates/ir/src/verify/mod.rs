//! The rules of the representation.
//!
//! A module that follows them has a meaning for every input, and does nothing that the kernel's verifier rejects whatever
//! the values are. Bounds of accesses through variable offsets are not judged here: that is what the program's own checks
//! are for.
//!
//! - **Shape.** Every block of a function ends in its only terminator; edges lead to blocks of the function and carry as
//!   many arguments as the block has parameters; nothing leads to the entry. A value is read only where its definition
//!   dominates. A non-null pointer may stand where a nullable one is expected, else types are equal.
//! - **Integers.** Operands of arithmetic have one type, which is that of the result. There is no arithmetic on pointers
//!   but [`PtrAdd`](crate::InstData::PtrAdd), [`PtrAddConst`](crate::InstData::PtrAddConst) and
//!   [`PtrDiff`](crate::InstData::PtrDiff).
//! - **Pointers.** One that may be null is only compared, passed on and stored. Nothing is added to the context, to maps,
//!   to functions and to the end of the packet; to kernel objects only constants. The context is read and written through
//!   the parameter of the function (or a copy that was saved on the stack) at constant, aligned offsets. Accesses to the
//!   stack are aligned, atomic ones always. Constant offsets stay in the object. `.rodata` is not written.
//! - **Unknown classes.** Pointers to [`Memory::Any`](crate::Memory::Any) come from numbers and from other pointers by
//!   [`Cast`](crate::InstData::Cast). They may be null or point anywhere: what holds for them only the kernel's verifier
//!   says, and the rules above do not.
//! - **Arenas.** Memory of an arena is read and written through a [`SpaceCast`](crate::InstData::SpaceCast) of an address.
//!   Such a pointer may have anything added to it and be used at any offset and alignment.
//! - **Refinement.** The results of a branch are its operands, in order, with their types; a nullable pointer that is
//!   compared with the constant 0 for equality may become one that is not null, which is read only where the edge
//!   dominates on which it is not.
//! - **Packets.** Packet pointers are not used behind calls that [move the packet](crate::Callee::moves_packet).
//! - **Calls.** At most five arguments; functions of the module take what they declare. No recursion, at most eight
//!   frames, at most 512 bytes of objects on a chain of calls.

mod arithmetic;
mod calls;
mod check;
mod control;
mod dominance;
mod frames;
mod memory;
mod packet;
mod structure;

use std::fmt;

use crate::entity::{Block, Entity, FuncRef};
use crate::function::Loc;
use crate::module::Module;

/// A rule that is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The function, `None` for what is not in one.
    pub function: Option<FuncRef>,
    /// Its name; empty if there is no function.
    pub name: String,
    /// The block, if it is about one.
    pub block: Option<Block>,
    /// The instruction as text, if it is about one.
    pub inst: Option<String>,
    /// Where the instruction comes from.
    pub loc: Loc,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.function.is_some() {
            write!(f, "function `{}`", self.name)?;
            if let Some(block) = self.block {
                write!(f, ", {block}")?;
            }
            if let Some(inst) = &self.inst {
                write!(f, ", `{inst}`")?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Violation {}

/// What is checked besides the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Whether blocks that cannot be reached are reported: the kernel rejects such code.
    pub report_unreachable: bool,
}

/// Checks a module against the rules.
///
/// # Errors
/// Every rule that is broken, in the order of the functions. A function whose shape is wrong is not looked at further.
pub fn verify(module: &Module) -> Result<(), Vec<Violation>> {
    verify_with(module, Options::default())
}

/// Checks a module against the rules and against what the options ask for.
///
/// # Errors
/// As those of [`verify`].
pub fn verify_with(module: &Module, options: Options) -> Result<(), Vec<Violation>> {
    let mut violations = Vec::new();
    structure::declarations(module, &mut violations);
    let mut sound = true;
    for (at, function) in module.functions.iter().enumerate() {
        let before = violations.len();
        let mut check = check::Check::new(module, FuncRef::new(at), function, &mut violations);
        structure::check(&mut check);
        if check.found(before) {
            sound = false;
            continue;
        }
        dominance::check(&mut check, options);
        control::check(&mut check);
    }
    // What crosses functions needs all of them in shape.
    if sound {
        packet::check(module, &mut violations);
        frames::check(module, &mut violations);
    }
    if violations.is_empty() { Ok(()) } else { Err(violations) }
}
