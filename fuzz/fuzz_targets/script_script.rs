//! Any text as a script: parsed, printed, parsed again.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skep_lang_script::fuzz::script(data));
