//! Any bytes as debug information, and as a name of C++ or Rust.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skep_sym::fuzz::debug_information(data));
