//! Any text as commands and messages of the debugger: answered.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skep_debug::fuzz::commands(data));
