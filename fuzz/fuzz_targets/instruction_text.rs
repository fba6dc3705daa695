//! Any bytes as instructions, printed and read back.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skep_isa::ebpf::fuzz::text(data));
