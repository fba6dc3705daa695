//! Abstract numbers keep the concrete ones that they stand for.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skep_domain::fuzz::soundness(data));
