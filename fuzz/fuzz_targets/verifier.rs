//! Any instructions as a program of any type: a verdict, always the same.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skep_verifier::fuzz::verdicts(data));
