//! Any bytes as a 64-bit program, on all engines.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skep_vm::fuzz::ebpf(data));
