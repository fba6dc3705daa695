//! Any bytes as rules and as packets, and random rules printed and read back.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skep_firewall::fuzz::texts(data));
