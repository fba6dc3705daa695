//! The intermediate representation: what every language is compiled to, and what BPF code is generated from.
//!
//! Values are defined once; blocks have parameters instead of phi instructions. Types are what a register can hold: two
//! widths of integers, and pointers by the memory they point to, so that what the kernel's verifier forbids (a mask on a
//! pointer, a load through a pointer that may be null) is a type error here, with a place in the source.
//!
//! What lives here: the data structures, [`Builder`], the text form ([`mod@text`]), the rules ([`mod@verify`]), the
//! reference interpreter ([`interp`], operators in [`eval`]) that says what everything means, what passes ask about
//! functions ([`analysis`]), and random modules for tests ([`fuzz`]). Passes are in `skep-opt`, code generation in
//! `skep-codegen`.
//!
//! # What an instruction means
//! - Integers wrap. An `i32` has zeros in the upper half of its register, always. Division by zero gives 0, the
//!   remainder by zero the dividend, shift counts are taken modulo the width: as in the instruction set (RFC 9669).
//! - There is no undefined value. What could be read before it is written is an error of the rules, or zero.
//! - A branch can name its operands anew: its results are the same values, known to have been compared. Uses that rely
//!   on a comparison read those names, so no pass can move a use in front of its check, and the register that was
//!   compared is the register that is used.
//!
//! # The text form
//! `Display` prints it and [`parse`] reads it; [`mod@text`] has the grammar.
//! ```
//! let text = r#"license "GPL"
//! map m0 @counts = hash key 4 value 8 entries 1024
//!
//! func f0 @count: program xdp "xdp" -> i32 {
//!   slot s0 4 align 4
//! b0(v0: ptr<ctx>):
//!   v1: i32 = const 7
//!   v2: ptr<stack> = slot_addr s0
//!   store.32 v2 + 0, v1
//!   v3: ptr<map m0> = map_addr m0
//!   v4: ptr<value m0>? = call helper map_lookup_elem(v3, v2)
//!   v5: ptr<value m0>? = const 0
//!   v6: ptr<value m0> = branch eq v4, v5 -> b2(), b1()
//! b1:
//!   v7: i64 = const 1
//!   atomic.64 add v6 + 0, v7
//!   jump b2()
//! b2:
//!   v8: i32 = const 2
//!   return v8
//! }
//! "#;
//! let module = skep_ir::parse(text).unwrap();
//! assert_eq!(skep_ir::verify(&module), Ok(()));
//! assert_eq!(module.to_string(), text);
//! ```

pub mod analysis;
mod assembly;
pub mod builder;
mod entity;
pub mod eval;
mod function;
pub mod fuzz;
pub mod hash;
mod inst;
pub mod interp;
mod module;
mod op;
pub mod parallel;
pub mod text;
mod types;
pub mod verify;

pub use assembly::{Assembly, Referred};
pub use builder::Builder;
pub use entity::{Block, CoreRef, Entity, FuncRef, GlobalRef, Inst, KfuncRef, MapRef, Slot, Value};
pub use function::{BlockData, Function, Inlining, InstNode, Loc, SlotData, ValueData, ValueDef};
pub use inst::{Callee, Edge, InstData};
pub use module::{Core, FuncKind, Global, Kfunc, MapDecl, Module, ProgramInfo, Source};
pub use op::{AtomicOp, Binary, Cond, CoreKind, Space, Unary, Width};
pub use text::{ParseError, parse};
pub use types::{Memory, Pointer, Type};
pub use verify::{Violation, verify};
