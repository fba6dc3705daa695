//! Random classic programs over random packets, against a slow reference.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skep_vm::fuzz::classic(data));
