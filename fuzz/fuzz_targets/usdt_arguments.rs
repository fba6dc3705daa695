//! Any text as arguments of USDT probes.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skep_sym::fuzz::arguments(data));
