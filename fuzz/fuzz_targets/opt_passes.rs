//! Passes keep the meaning of random modules.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skep_opt::fuzz::passes(data));
