//! Any bytes as a capture file.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skep_packet::file::fuzz::readers(data));
