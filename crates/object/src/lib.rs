//! Programs and maps as plain data: the same bytes on every machine, accepted by every executor.
//!
//! A front end produces an [`Object`]; an executor (the kernel's loader, the virtual machine) turns it into
//! something alive. Nothing here owns a file descriptor or asks the running machine anything.
//!
//! ```
//! use skep_isa::ebpf::{Callee, Imm64, Op, Reg};
//! use skep_isa::{MapType, ProgType};
//! use skep_object::{MapSpec, Object, Program};
//!
//! let mut object = Object::new("GPL");
//! let blocked = object.add_map(MapSpec::new("blocked", MapType::Hash, 4, 1, 1000));
//! let mut insns = Vec::new();
//! Op::LoadImm { dst: Reg::R1, value: blocked.load() }.emit(&mut insns);
//! Op::mov_imm(Reg::R0, 0).emit(&mut insns);
//! Op::Exit.emit(&mut insns);
//! object.add_program(Program::new("filter", ProgType::SocketFilter, insns));
//! assert_eq!(object.validate(), Ok(()));
//! ```
//!
//! [`Object::from_elf`] reads what clang makes of C (`clang -O2 -g -target bpf -c prog.c`), [`link_elf`] makes one file of
//! several, and [`Object::to_elf`] writes what libbpf and bpftool load. What only the running kernel has stays open until
//! [`Object::resolve`] fits the object to a kernel, about which it asks a [`KernelInfo`].
//!
//! # Guarantees
//! * [`Object::validate`] accepts an object only if every program decodes, keeps control inside itself and refers
//!   only to maps that exist. Whether it is safe to run is decided by a verifier.
//! * Map references in code are 64-bit immediate loads of kind `MapFd` or `MapFdValue` whose number is a
//!   [`MapIdx`]; the executor puts its own handle there.
//! * [`Object::from_elf`] gives an object that is valid in this sense once it is resolved, or an error with a place, for
//!   any bytes.
//! * After [`Object::resolve`] every instruction is the one that libbpf would load.

mod attach;
mod btf_edit;
mod elf;
mod exceptions;
mod externs;
#[doc(hidden)]
pub mod fuzz;
mod link;
mod listing;
mod map;
mod object;
mod program;
mod resolve;
mod write;

pub use attach::{AttachError, AttachPoint, Side, near_section};
pub use elf::{ElfError, ElfProblem, SectionKind, elf_section, section_kind};
pub use exceptions::exception_callbacks;
pub use externs::{ConfigForm, Extern, ExternIdx, ExternKind, ExternUse};
pub use link::{LinkError, LinkProblem, link_elf};
pub use listing::{Item, Names, ObjectNames, listing};
pub use map::{Image, MapFlags, MapIdx, MapSpec, Purpose, Reference, Variable};
pub use object::{Object, ObjectError};
pub use program::{CoreRelocation, Function, Line, ProgFlags, ProgIdx, Program};
pub use resolve::{
    BAD_RELOCATION, KernelData, KernelInfo, MISSING_FUNCTION, Missing, Module, Resolved, Table, TableProgram,
};
