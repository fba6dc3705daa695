//! Any bytes as instructions to list.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skep_object::fuzz::listings(data));
