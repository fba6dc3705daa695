//! Any bytes as an object file.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skep_object::fuzz::elf(data));
