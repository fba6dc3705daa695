//! Any bytes as notes of an ELF file.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skep_sym::fuzz::note_reader(data));
