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
//! A 64-bit program with memory of the embedder and a helper of its own:
//!
//! ```
//! use skep_isa::{ProgType, ebpf::assemble};
//! use skep_vm::classic::Metadata;
//! use skep_vm::ebpf::{Helpers, Input, Setup};
//!
//! // Register 1 points to the memory, register 2 is its length; helper 100 is ours.
//! let insns = assemble("r6 = r1 \n r1 = *(u32 *)(r6 +0) \n call 100 \n *(u32 *)(r6 +4) = r0 \n exit")?;
//! let helpers = Helpers::kernel().with(100, |_, [number, ..]| Ok(number * number));
//! let vm = Setup::new().helpers(helpers).fuel(1_000).program("square", ProgType::SocketFilter, &insns).load()?;
//!
//! let mut worker = vm.worker()?;
//! let mut memory = [12u32, 0].map(u32::to_ne_bytes).concat();
//! let input = |context| Input { context, packet: &[], meta: &Metadata::default() };
//! assert_eq!(worker.run(0, input(&mut memory)), Ok(144));
//! assert_eq!(memory[4..], 144u32.to_ne_bytes());
//!
//! // Memory that is not there ends the run with a place and a reason.
//! let fault = worker.run(0, input(&mut [])).unwrap_err();
//! assert_eq!(fault.at.0, 1);
//! assert!(fault.to_string().starts_with("instruction 1 reads 4 bytes from address"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Guarantees: a program that was loaded never panics, never runs without end and never reads or writes outside the
//! memory that it was given, whatever its instructions and its input are.

pub mod classic;
pub mod ebpf;
#[doc(hidden)]
pub mod fuzz;
