//! The just-in-time compiler: 64-bit BPF to machine code.
//!
//! Code is generated for a named machine, not for the one that runs the generator, so each machine's generator is built
//! and tested everywhere.
#![cfg_attr(not(test), expect(dead_code, unused_imports, reason = "the lowering comes next"))]

mod a64;
