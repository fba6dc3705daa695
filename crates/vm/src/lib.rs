//! User-space execution of BPF programs.
//!
//! [`classic`] runs the filters of `SO_ATTACH_FILTER` and tcpdump with the meaning that the Linux kernel gives them, at
//! some hundred million instructions a second. [`ebpf`] runs 64-bit programs with maps and helpers.
//!
//! ```
//! use skep_isa::classic::{Insn, JmpOp, Size};
//! use skep_vm::classic::{Metadata, Program};
//!
//! // Keep IPv4 packets.
//! let program = Program::new(&[
//!     Insn::ld_abs(Size::Half, 12),
//!     Insn::jump_k(JmpOp::Eq, 0x0800, 0, 1),
//!     Insn::ret_k(262_144),
//!     Insn::ret_k(0),
//! ])?;
//! let packet = [0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 2, 0x08, 0x00, 0x45];
//! assert_eq!(program.run(&packet, 60, &Metadata::default()), 262_144);
//! assert_eq!(program.run(&packet[..13], 60, &Metadata::default()), 0);
//! # Ok::<(), skep_vm::classic::LoadError>(())
//! ```
//!
//! Guarantees: a program that was loaded never panics, never runs without end and never reads or writes outside the
//! memory that it was given, whatever its instructions and its input are.

pub mod classic;
pub mod ebpf;
#[doc(hidden)]
pub mod fuzz;
