//! BTF, the type information of BPF programs and of the kernel (Linux, `Documentation/bpf/btf.rst`): read, printed, written,
//! and matched.
//!
//! * [`Btf`] is one blob: types with a number each, and their names. It reads lazily: opening checks the outline and
//!   builds an index of one `u32` for each type; names and members are read when they are asked for. The kernel's five
//!   megabytes are open, and a type found by its name, after a millisecond.
//! * [`Ext`] is the content of `.BTF.ext` in an object file: which function and which source line an instruction
//!   belongs to, and which accesses a loader may have to relocate.
//! * [`core`] answers such relocations ("compile once, run everywhere") with the running kernel's types.
//! * [`CPrinter`] writes types as declarations in C, [`RawType`] as a listing; [`Value`] takes bytes apart by their type and
//!   prints them as JSON, and [`encode`] reads them
//!   back.
//! * [`Selection`] is what has one of many names, found in one walk without an index.
//! * [`trace_fields`] reads what tracefs says about the records of tracepoints.
//! * [`BtfBuilder`] writes blobs, merges them, and makes types unique.
//!
//! ```
//! use skep_btf::{Btf, Kind, TypeId};
//!
//! // One type: `int` with 4 bytes, signed.
//! let mut blob = vec![0x9f, 0xeb, 1, 0];
//! for word in [24, 0, 16, 16, 5, /* name, INT, size, encoding */ 1, 1 << 24, 4, 1 << 24 | 32] {
//!     blob.extend_from_slice(&u32::to_le_bytes(word));
//! }
//! blob.extend_from_slice(b"\0int\0");
//! let btf = Btf::parse(blob)?;
//! let int = btf.find("int").ok_or("no such type")?;
//! assert_eq!(btf.size_of(int)?, 4);
//! assert!(matches!(btf.kind(int)?, Kind::Int(int) if int.signed));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Guarantees
//! * Any bytes give a value or a [`BtfError`] with the offset in the blob; nothing panics.
//! * An open blob occupies its own bytes and four for each type, and about five for each name once names have been looked
//!   for repeatedly.
//! * Every walk through types ends: after [`MAX_DEPTH`] steps, or when it has cost out of proportion to the blob. Texts and
//!   values are at most 64 times as large as what they are made of, and 64 KiB.
//! * Little-endian blobs only; a big-endian one is told apart and refused.

mod blob;
mod build;
mod bytes;
mod c;
pub mod core;
mod encode;
mod error;
mod ext;
#[doc(hidden)]
pub mod fuzz;
mod fuzz_graph;
mod kind;
mod names;
mod notation;
mod number;
mod raw;
mod select;
mod source;
mod tracepoint;
mod value;

pub use blob::{Btf, MAX_DEPTH};
pub use build::{BtfBuilder, BuildError, IdMap, NewMember, NewType};
pub use c::CPrinter;
pub use encode::{EncodeError, encode};
pub use error::{BtfError, Problem};
pub use ext::{CoreRecord, Ext, FuncRecord, LineRecord, Records};
pub use kind::{
    Array, Composite, DeclTag, Enum, Enumerator, FuncProto, Int, Kind, Linkage, Member, NameOff, Param, SectionVar,
    TypeId, Vars,
};
pub use names::essential_name;
pub use raw::RawType;
pub use select::{Named, Selection};
pub use source::Source;
pub use tracepoint::{TraceField, trace_fields};
pub use value::{Value, ValueError};
