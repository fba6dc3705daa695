//! Any bytes as a format and its arguments.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skep_trace::fuzz::format(data));
