//! Classic programs against their 64-bit translation.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skep_vm::fuzz::translation(data));
