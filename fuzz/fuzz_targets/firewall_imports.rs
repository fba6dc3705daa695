//! Any bytes as the rules of another firewall.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skep_firewall::fuzz::imports(data));
