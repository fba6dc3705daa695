//! Any bytes as the text of a module, read and printed.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skep_ir::fuzz::text(data));
