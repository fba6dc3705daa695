//! The verdict that the kernel's verifier would give, without the kernel, and why.
//!
//! ```text
//!  Program --Code--> shape --search--> paths: step, alu, branch, memory, stack, call --> Verdict
//!                                |   ^
//!                     equal, precision: states that were kept at joins
//! ```
//!
//! The rules are those of `kernel/bpf/verifier.c` for a process with all capabilities; which helper and which field of the
//! context a program may use at its hook was asked of running kernels ([`profile`]). A construct whose rules are not
//! known here gives [`Verdict::Undecided`], never an acceptance.
//!
//! What lives here: shape of programs ([`code`]), what is known about values ([`reg`](mod@reg), `state`), the walk over all
//! paths (`search`), and the reasons of refusals ([`reject`]). Nothing here asks the running machine anything.
//!
//! # Guarantees
//! Any instructions are answered with a verdict; time and memory are bounded by the kernel's own limit of a million
//! instructions on all paths together.

use std::sync::Arc;

use skep_btf::Btf;
use skep_isa::ProgType;
use skep_object::{Object, Program};

mod alu;
mod arena;
mod args;
mod branch;
mod call;
mod callback;
pub mod code;
mod edit;
mod equal;
mod exceptions;
pub mod facts;
pub mod fuzz;
mod global;
mod hold;
mod hooks;
mod joins;
mod kargs;
mod kcall;
pub mod kfuncs;
mod live;
mod memory;
pub mod needs;
pub mod noted;
mod operations;
mod owned;
mod precision;
pub mod profile;
pub mod reg;
pub mod reject;
mod results;
pub mod rules;
mod search;
mod slots;
mod sockets;
mod special;
mod stack;
mod stacks;
mod state;
mod step;
pub mod suggest;
mod text;
mod tracepoints;
mod trail;
mod typed;
pub mod types;
mod verified;

pub use profile::Kernel;
pub use reject::{Reason, Rejection, Stop};
pub use verified::Verified;

use noted::Noted;
use search::Verifier;
use types::Types;

/// The answer for one program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The kernel would load it.
    Accepted(Facts),
    /// The kernel would refuse it.
    Rejected(Rejection),
    /// It needs rules that are not known here.
    Undecided {
        /// The slot of the instruction that needs them.
        at: u32,
        /// What it needs.
        what: &'static str,
    },
}

impl Verdict {
    /// Whether the kernel would load it; `None` if that is not known.
    pub fn accepted(&self) -> Option<bool> {
        match self {
            Self::Accepted(_) => Some(true),
            Self::Rejected(_) => Some(false),
            Self::Undecided { .. } => None,
        }
    }
}

/// What is known about a program that is accepted. What it does is in [`facts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Facts {
    /// The most instructions that one run executes, those of functions of the kernel not counted; `None` if the rules do
    /// not tell, as for loops that the kernel repeats.
    pub longest: Option<u64>,
    /// Instructions that were looked at on all paths.
    pub processed: u64,
    /// Bytes of stack on the deepest chain of calls.
    pub stack: u32,
}

/// Verifies one program of an object for a kernel.
pub fn verify(object: &Object, program: &Program, kernel: Kernel) -> Verdict {
    verify_and(object, program, kernel, None, None)
}

/// As [`verify`], with the types of the kernel that the object was fitted to: without them whatever depends on them is
/// undecided.
pub fn verify_with(object: &Object, program: &Program, kernel: Kernel, types: &Arc<Btf>) -> Verdict {
    verify_and(object, program, kernel, Some(types), None)
}

/// As [`verify`], and keeps what is known at each instruction.
pub fn verify_noting(object: &Object, program: &Program, kernel: Kernel) -> (Verdict, Noted) {
    noting(object, program, kernel, None)
}

/// As [`verify_with`], and keeps what is known at each instruction.
pub fn verify_noting_with(object: &Object, program: &Program, kernel: Kernel, types: &Arc<Btf>) -> (Verdict, Noted) {
    noting(object, program, kernel, Some(types))
}

fn noting(object: &Object, program: &Program, kernel: Kernel, types: Option<&Arc<Btf>>) -> (Verdict, Noted) {
    let mut noted = Noted::new(program.insns.len());
    (verify_and(object, program, kernel, types, Some(&mut noted)), noted)
}

fn verify_and(
    object: &Object,
    program: &Program,
    kernel: Kernel,
    types: Option<&Arc<Btf>>,
    noted: Option<&mut Noted>,
) -> Verdict {
    let mut verifier = match prepare(object, program, kernel, types) {
        Ok(verifier) => verifier,
        Err(verdict) => return *verdict,
    };
    verifier.noted = noted;
    match verifier.run().and_then(|()| verifier.check_stacks()) {
        Ok(stack) => Verdict::Accepted(Facts { processed: verifier.processed, stack, longest: verifier.longest() }),
        Err((at, Stop::Undecided(what))) => Verdict::Undecided { at, what },
        Err((at, Stop::Reject(reason))) => Verdict::Rejected(Rejection { at, reason, path: verifier.path() }),
    }
}

/// A program before its first instruction, or the verdict if none is looked at.
fn prepare<'a>(
    object: &'a Object,
    program: &'a Program,
    kernel: Kernel,
    types: Option<&Arc<Btf>>,
) -> Result<Verifier<'a>, Box<Verdict>> {
    if let Some(reference) = program.externs.first() {
        let at = u32::try_from(reference.at.index()).unwrap_or(0);
        return Err(Box::new(Verdict::Undecided { at, what: "references to the kernel" }));
    }
    if let Some(need) = needs::first_unmet(&needs::needs(object, program), kernel.release()) {
        let reason = Reason::Later { what: need.what.clone(), since: need.since };
        return Err(Box::new(Verdict::Rejected(Rejection::at(need.at.unwrap_or(0), reason))));
    }
    let attach_type = program.attach_type.map_or(0, skep_isa::AttachType::number);
    let hook = kernel
        .hook(program.prog_type, attach_type)
        .or_else(|| hooks::typed(kernel, program))
        .or_else(|| hooks::alike(kernel, program));
    let types = Types { kernel: types.cloned(), own: Btf::parse(object.btf.clone()).ok().map(Arc::new) };
    let of_operation = |operation: operations::Operation| operations::hook(kernel, &operation);
    let hook = match program.prog_type {
        ProgType::StructOps => operations::operation(object, program, &types).and_then(of_operation),
        _ => hook,
    };
    let Some(hook) = hook else {
        let what = match program.prog_type {
            ProgType::StructOps => "this operation, or operations of this release",
            ProgType::Tracing => "typed hooks of this release",
            ProgType::Lsm => "security hooks",
            _ => "this type of program",
        };
        return Err(Box::new(Verdict::Undecided { at: 0, what }));
    };
    let globals = types.own.as_deref().map_or_else(Vec::new, |own| globals(own, program));
    Verifier::new(object, program, hook, kernel, types, globals)
        .map_err(|rejection| Box::new(Verdict::Rejected(rejection)))
}

/// Which functions of a program other objects may call, by their types: the kernel verifies each of them by itself.
fn globals(btf: &Btf, program: &Program) -> Vec<bool> {
    let is_global = |function: &skep_object::Function| {
        let kind = function.ty.and_then(|ty| btf.kind(skep_btf::TypeId(ty)).ok());
        matches!(kind, Some(skep_btf::Kind::Func { linkage: skep_btf::Linkage::Global, .. }))
    };
    program.functions.iter().enumerate().map(|(index, function)| index > 0 && is_global(function)).collect()
}
