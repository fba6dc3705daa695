//! Words of the script language in any order: parsed, printed, simplified.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skep_lang_script::fuzz::words(data));
