//! Code generation: from modules of the intermediate representation to objects with BPF programs.
//!
//! ```text
//! ir::Module --check--> select --> mir --allocate--> frame, emit --> code --relax--> link --> object::Object
//! ```
//!
//! What comes out is made for the kernel's verifier: the register that was compared is the one that is used, 32-bit values
//! have zeros in their upper halves, spilled registers fill eight aligned bytes, constants and addresses are made where
//! they are used, choices are branches, and there is no unreachable code.
//!
//! ```
//! use skep_codegen::{Options, compile};
//! use skep_ir::{Builder, FuncKind, Function, Memory, Module, ProgramInfo, Type};
//! use skep_isa::{ProgType, ebpf};
//!
//! let info = ProgramInfo { prog_type: ProgType::Xdp, attach_type: None, flags: 0, section: "xdp".into() };
//! let mut func = Function::new("pass", FuncKind::Program(info), &[Type::ptr(Memory::Context)], Some(Type::I32));
//! let mut builder = Builder::new(&mut func);
//! let pass = builder.i32(2);
//! builder.ret(Some(pass));
//! let mut module = Module::new("GPL");
//! module.add_function(func);
//! let object = compile(&module, &Options::default())?;
//! assert_eq!(ebpf::disassemble(&object.programs[0].insns)?, "r0 = 2\nexit\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Guarantees
//! * The same module gives the same bytes on every machine.
//! * [`compile`] gives an object that [`Object::validate`](skep_object::Object::validate) accepts, or an error with a
//!   place, for every module that follows the rules of the representation.

mod check;
mod code;
mod emit;
mod error;
mod frame;
mod link;
mod maps;
mod mir;
mod polish;
mod regalloc;
mod relax;
mod select;
mod spills;
#[cfg(test)]
mod tests;
mod types;
mod ways;

use skep_ir::Module;
use skep_isa::ebpf::{Cpu, Endian};
use skep_object::Object;

pub use error::{Error, FrameObject, Problem};

/// What code is generated for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Version of the instruction set. Version 3 needs Linux 5.12, version 4 Linux 6.6.
    pub cpu: Cpu,
    /// Byte order of the machine that runs it. Only byte swaps below version 4 depend on it.
    pub endian: Endian,
}

impl Default for Options {
    /// Version 3 for a little-endian machine.
    fn default() -> Self {
        Self { cpu: Cpu::V3, endian: Endian::Little }
    }
}

/// Compiles a module. Functions that no program reaches are left out; those that several programs call are copied into
/// each.
///
/// # Errors
/// The first thing that cannot be compiled, with its place.
pub fn compile(module: &Module, options: &Options) -> Result<Object, Error> {
    link::link(module, options)
}
