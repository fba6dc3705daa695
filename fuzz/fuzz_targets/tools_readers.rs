//! Any bytes as a head, a condition, a time and a recording of a tool.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skep_tools::fuzz::readers(data));
