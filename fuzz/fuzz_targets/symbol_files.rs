//! Any bytes as a file with symbols.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skep_sym::fuzz::files(data));
