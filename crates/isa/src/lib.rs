//! Both BPF instruction sets as tables: encode, decode, print, read, translate.
//!
//! * [`classic`] is the 32-bit accumulator machine of `SO_ATTACH_FILTER` and tcpdump.
//! * [`ebpf`] is the 64-bit machine of RFC 9669 with the additions of Linux.
//! * [`translate`](mod@translate) makes a 64-bit socket filter of a classic program.
//! * [`helpers`], [`ProgType`], [`MapType`] and [`AttachType`] name what the kernel numbers, as do [`syscalls`] and
//!   [`errno`].
//! * [`fuzz`] turns a fuzzer's bytes into choices, for the random programs of the crates above.
//!
//! ```
//! use skep_isa::{classic, ebpf, translate};
//!
//! // `tcpdump -ddd 'ip'`, printed as `tcpdump -d` does, then as a 64-bit program.
//! let program = classic::parse_decimal("4\n40 0 0 12\n21 0 1 2048\n6 0 0 262144\n6 0 0 0\n")?;
//! assert_eq!(classic::check(&program), Ok(()));
//! assert_eq!(
//!     classic::listing(&program, classic::PadStyle::V1_11).lines().nth(1),
//!     Some("(001) jeq      #0x800           jt 2\tjf 3")
//! );
//! let translated = translate::translate(&program, &translate::Options::default())?;
//! let text = ebpf::disassemble(&translated.insns)?;
//! assert_eq!(text.lines().nth(2), Some("if w0 != 2048 goto +2"));
//! assert_eq!(ebpf::assemble(&text)?, translated.insns);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Guarantees
//! * One table per instruction set; decoder, printers, readers and validators derive from it.
//! * Decoding checks every reserved field; encoding a decoded instruction gives the same bytes, for 64-bit
//!   instructions bit by bit, for classic ones except for fields that no implementation reads.
//! * Every text that a printer writes, its reader reads back to the same program.
//! * No input makes a function of this crate panic or run without end.
//!
//! This crate knows numbers and notation. It runs nothing and asks the machine nothing.

pub mod classic;
pub mod contexts;
pub mod ebpf;
pub mod errno;
pub mod fuzz;
pub mod helpers;
pub mod kfuncs;
pub mod limits;
pub mod maps;
pub mod near;
pub mod programs;
pub mod reference;
mod release;
pub mod sections;
mod sets;
pub mod syscalls;
pub mod translate;
mod types;
pub mod versions;

pub use release::Release;
pub use sets::ProgSet;
pub use types::{AttachType, LinkType, MapType, ProgType};
