//! Any bytes as a stack and the call frame information that it is unwound by.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skep_sym::fuzz::call_frames(data));
