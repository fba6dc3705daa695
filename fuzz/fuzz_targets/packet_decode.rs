//! Any bytes as a packet of any link type, decoded and printed.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skep_packet::fuzz::decode(data));
