//! Any bytes as operations on a map, against a list.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skep_vm::ebpf::maps::fuzz::maps(data));
