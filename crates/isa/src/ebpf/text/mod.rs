//! The text form of 64-bit programs: disassembler and assembler.
//!
//! The notation is the one of the kernel's own disassembler (`kernel/bpf/disasm.c`):
//!
//! ```text
//! r6 = r1                                 w0 = w1                 r1 = (s8)r2
//! r0 += 5                                 w0 s>>= 3               r0 = -r0
//! r0 = be16 r0                            r0 = bswap64 r0
//! r0 = *(u32 *)(r1 +4)                    r0 = *(s8 *)(r1 -1)     r0 = *(u8 *)skb[12]
//! *(u64 *)(r10 -8) = r1                   *(u8 *)(r10 -9) = 5     r0 = *(u16 *)skb[r7 + 14]
//! lock *(u64 *)(r1 +0) += r2              r2 = atomic64_fetch_add((u64 *)(r1 +0), r2)
//! r0 = atomic_cmpxchg((u32 *)(r1 +0), r0, r2)
//! r1 = load_acquire((u64 *)(r2 +0))       store_release((u64 *)(r2 +0), r1)
//! r1 = 0x1122334455667788 ll              r1 = map[fd:3] ll       r2 = subprog[+5] ll
//! goto +3                                 gotol -70000            if w1 s> 5 goto +3
//! call 12                                 call pc+7               call kfunc 4711
//! callx r3                                may_goto +2             exit
//! ```
//!
//! [`disassemble`] prints programs in a form that [`assemble`] reads back to the same bytes. [`line`] also prints
//! [`Notation::Kernel`], byte for byte what a verifier log shows.

mod asm;
mod cursor;
mod disasm;
mod statement;

pub use asm::{AsmError, assemble};
pub use disasm::{Notation, disassemble, line, numbered};
