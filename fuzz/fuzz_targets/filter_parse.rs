//! Any text as a filter expression.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skep_lang_filter::fuzz::parse(data));
