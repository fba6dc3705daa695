//! Passes over the intermediate representation.
//!
//! What lives here: one file for each pass, the one ordered list of them ([`pipeline`]), and [`optimise`], which runs it
//! over a module. A pass is a function that changes a function of the module and says whether it did.
//!
//! The passes were chosen for what the kernel's verifier can follow, not for speed: values that are checked and loaded
//! twice have to become one value, what is compared has to be what is used, and a check may go only if the verifier knows
//! as much without it. What they never do: reassociate arithmetic on pointers, fuse range checks, move loads or
//! computations upwards, widen accesses, turn branches into arithmetic, narrow the operands of comparisons, or fold
//! constants that depend on the kernel's types.
//!
//! ```
//! use skep_ir::parse;
//! use skep_opt::{Options, optimise};
//!
//! let mut module = parse(
//!     r#"license "GPL"
//! func f0 @f: static -> i64 {
//! b0(v0: i64):
//!   v1: i64 = const 8
//!   v2: i64 = urem v0, v1
//!   return v2
//! }"#,
//! )?;
//! optimise(&mut module, &Options::default());
//! assert!(module.functions[0].to_string().contains("and v0"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Guarantees
//! * A module that satisfies the rules of `skep_ir` still does behind every pass, and means the same.
//! * Each pass ends; the work is bounded by the size of the function and the limits of [`Options`].

mod blocks;
mod cse;
mod dce;
mod dse;
mod effects;
mod equal;
mod fold;
pub mod fuzz;
mod inline;
mod narrow;
mod pipeline;
mod range;
mod refine;
mod sccp;
mod simplify;
mod slots;
mod stack;
mod unroll;
mod util;

pub use pipeline::{Ctx, Options, Pass, PassReport, Report, Step, optimise, optimise_with, pipeline, run_pass};
