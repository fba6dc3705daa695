//! Any bytes as a shape and a value of it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skep_trace::fuzz::value(data));
