//! Any bytes as operations on an LRU map, against the rules that never bend.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skep_vm::ebpf::maps::fuzz::lru(data));
