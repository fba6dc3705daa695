//! Any text as an expression of the debugger: read or refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skep_debug::fuzz::expressions(data));
