//! Any bytes as the contents of a map of a script.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skep_trace::fuzz::map(data));
