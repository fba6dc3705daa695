//! Random modules: they follow the rules, survive their text, run to an end.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skep_ir::fuzz::modules(data));
