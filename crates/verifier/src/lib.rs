//! The verdict that the kernel's verifier would give, without the kernel, and why.
//!
//! ```text
//!  Program --Code--> shape --search--> paths: step, alu, branch, memory, stack, call --> Verdict
//!                                |   ^
//!                     equal, precision: states that were kept at joins
//! ```
//!
//! The rules are those of `kernel/bpf/verifier.c` for a process with all capabilities, or with those of [`Terms`]; which helper and which field of the
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
mod loader;
mod masks;
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

pub use loader::{Loader, may_load};
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

/// By what a program is judged besides the kernel.
#[derive(Debug, Clone, Copy, Default)]
pub struct Terms<'a> {
    /// The types of the kernel that the object was fitted to: without them whatever depends on them is undecided.
    pub types: Option<&'a Arc<Btf>>,
    /// The process that loads the program.
    pub loader: Loader,
    /// Whether the kernel tells addresses of its variables (`CONFIG_KALLSYMS_ALL`): without that whatever uses them is
    /// undecided.
    pub variables: Option<bool>,
    /// Whether all arithmetic with pointers is refused but constants that are added to an address of the stack: a rule
    /// stricter than those of any kernel.
    pub no_pointer_arithmetic: bool,
}

/// Verifies one program of an object for a kernel and a process with all capabilities.
pub fn verify(object: &Object, program: &Program, kernel: Kernel) -> Verdict {
    verify_by(object, program, kernel, &Terms::default())
}

/// As [`verify`], with the types of the kernel that the object was fitted to.
pub fn verify_with(object: &Object, program: &Program, kernel: Kernel, types: &Arc<Btf>) -> Verdict {
    verify_by(object, program, kernel, &Terms { types: Some(types), ..Terms::default() })
}

/// As [`verify`], on other terms.
pub fn verify_by(object: &Object, program: &Program, kernel: Kernel, terms: &Terms<'_>) -> Verdict {
    verify_and(object, program, kernel, terms, None)
}

/// As [`verify`], and keeps what is known at each instruction.
pub fn verify_noting(object: &Object, program: &Program, kernel: Kernel) -> (Verdict, Noted) {
    verify_noting_by(object, program, kernel, &Terms::default())
}

/// As [`verify_by`], and keeps what is known at each instruction.
pub fn verify_noting_by(object: &Object, program: &Program, kernel: Kernel, terms: &Terms<'_>) -> (Verdict, Noted) {
    let mut noted = Noted::new(program.insns.len());
    (verify_and(object, program, kernel, terms, Some(&mut noted)), noted)
}

fn verify_and(
    object: &Object,
    program: &Program,
    kernel: Kernel,
    terms: &Terms<'_>,
    noted: Option<&mut Noted>,
) -> Verdict {
    let mut verifier = match prepare(object, program, kernel, terms) {
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
    terms: &Terms<'_>,
) -> Result<Verifier<'a>, Box<Verdict>> {
    if let Some(reference) = program.externs.first() {
        let at = u32::try_from(reference.at.index()).unwrap_or(0);
        return Err(Box::new(Verdict::Undecided { at, what: "references to the kernel" }));
    }
    if let Some(need) = needs::first_unmet(&needs::needs(object, program), kernel.release()) {
        let reason = Reason::Later { what: need.what.clone(), since: need.since };
        return Err(Box::new(Verdict::Rejected(Rejection::at(need.at.unwrap_or(0), reason))));
    }
    let loader = terms.loader.on(kernel);
    loader::admits(object, program, loader).map_err(|rejection| Box::new(Verdict::Rejected(rejection)))?;
    let attach_type = program.attach_type.map_or(0, skep_isa::AttachType::number);
    let hook = kernel
        .hook(program.prog_type, attach_type)
        .or_else(|| hooks::typed(kernel, program))
        .or_else(|| hooks::alike(kernel, program));
    // The kernel takes types from processes with CAP_BPF only.
    let own = Some(&object.btf).filter(|_| loader.bpf).and_then(|btf| Btf::parse(btf.clone()).ok()).map(Arc::new);
    let types = Types { kernel: terms.types.cloned(), own };
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
    Verifier::new(object, program, hook, kernel, types, globals, terms)
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
