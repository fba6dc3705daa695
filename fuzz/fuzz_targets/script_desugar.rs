//! Any text as a script: simplified, its types laid out.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skep_lang_script::fuzz::desugar(data));
