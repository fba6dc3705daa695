//! Any changes to two object files that are linked.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skep_object::fuzz::link(data));
